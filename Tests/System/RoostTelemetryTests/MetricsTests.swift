import CoreMetrics
import Foundation
import Testing

@testable import RoostTelemetry

@Suite struct MetricsTests {
    @Test("What was counted is served in the text format, with type and help")
    func exposition() throws {
        let registry = MetricsRegistry()
        withMetricsFactory(registry.factory) {
            Metric.apiCalls.add("GET", "/v1/apps", "200")
            Metric.apiCalls.add("GET", "/v1/apps", "200")
            Metric.apiCalls.add("POST", "/v1/apps", "422")
            Metric.storeDuration.observe(.milliseconds(3), "read")
            Metric.storeDuration.observe(.seconds(90), "read")
            Gauge(label: "a-library.gauge", dimensions: [("path", "a\"b\\c\nd")]).record(1.5)
        }
        let text = registry.exposition(with: [
            MetricSample(.machines, 4, "started"), MetricSample(.machines, 0, "stopped"),
            MetricSample(.meshPeerLoss, .nan, "iad1"),
        ])
        let families = try StrictExposition.parse(text)
        #expect(families["roost_api_calls_total"]?.type == "counter")
        #expect(families.value("roost_api_calls_total", ["method": "GET", "route": "/v1/apps", "status": "200"]) == 2)
        #expect(families.value("roost_api_calls_total", ["method": "POST", "route": "/v1/apps", "status": "422"]) == 1)
        #expect(families.value("roost_machines", ["state": "started"]) == 4)
        #expect(families.value("roost_mesh_peer_loss_ratio", ["peer": "iad1"])?.isNaN == true)
        #expect(families.value("a_library_gauge", ["path": "a\"b\\c\nd"]) == 1.5)
        let read = ["operation": "read"]
        #expect(families.value("roost_store_call_seconds_count", read) == 2)
        #expect(families.value("roost_store_call_seconds_bucket", read.merging(["le": "0.0025"]) { $1 }) == 0)
        #expect(families.value("roost_store_call_seconds_bucket", read.merging(["le": "0.005"]) { $1 }) == 1)
        #expect(families.value("roost_store_call_seconds_bucket", read.merging(["le": "60"]) { $1 }) == 1)
        #expect(families.value("roost_store_call_seconds_bucket", read.merging(["le": "+Inf"]) { $1 }) == 2)
        let sum = try #require(families.value("roost_store_call_seconds_sum", read))
        #expect(abs(sum - 90.003) < 1e-6)
    }

    @Test("However many labels and names there are, what is kept is bounded, and nothing counted is lost")
    func bounded() throws {
        let registry = MetricsRegistry()
        withMetricsFactory(registry.factory) {
            for number in 0..<5000 { Metric.machineEvents.add("e\(number)") }
            for number in 0..<1000 { Counter(label: "name\(number)").increment() }
        }
        let families = try StrictExposition.parse(registry.exposition())
        #expect(families.count == MetricsRegistry.namesMax)
        let series = try #require(families["roost_machine_events_total"]?.series)
        #expect(series.count == MetricsRegistry.seriesMax + 1)
        #expect(series.map(\.value).reduce(0, +) == 5000)
        #expect(families.value("roost_machine_events_total", ["event": "other"]) == 4000)
    }

    @Test("A name under two kinds is served as the first, and does not end the program")
    func twoKinds() throws {
        let registry = MetricsRegistry()
        withMetricsFactory(registry.factory) {
            Counter(label: "x").increment()
            Timer(label: "x").recordNanoseconds(1)
        }
        #expect(try StrictExposition.parse(registry.exposition()).value("x", [:]) == 1)
    }

    @Test("The page that describes the numbers has each of them, with its kind, and no other")
    func page() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../../..")
        let page = try String(contentsOf: root.appending(path: "docs/telemetry.md"), encoding: .utf8)
        var described: [String: [String]] = [:]
        for line in page.split(separator: "\n") where line.hasPrefix("| `roost_") {
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            // Rows of what to be woken by have two cells.
            guard cells.count == 4 else { continue }
            let name = cells[0].split(separator: "`")[0]
            let labels = cells[2].split(separator: "`").filter { $0 != ", " && $0 != "–" }
            described[String(name)] = [cells[1]] + labels.map(String.init)
        }
        let known = Dictionary(uniqueKeysWithValues: Metric.all.map { ($0.name, [$0.kind.rawValue] + $0.labels) })
        #expect(described == known)
    }

    @Test("Names follow Prometheus's rules: a counter ends with total, a histogram with its unit")
    func names() {
        for metric in Metric.all {
            #expect(metric.name.hasPrefix("roost_") && metric.help.hasSuffix("."))
            #expect((metric.kind == .counter) == metric.name.hasSuffix("_total"))
            if metric.kind == .histogram { #expect(metric.name.hasSuffix("_seconds")) }
        }
        #expect(Set(Metric.all.map(\.name)).count == Metric.all.count)
    }
}
