import CoreMetrics
import RoostAPI
import RoostClient
import RoostModel
import RoostTelemetry
import Testing

/// What a host counts, as those see it who collect it.
@Suite struct MetricsRouteTests {
    @Test("Calls move the counters, and what is there is told as it is")
    func counting() async throws {
        let registry = MetricsRegistry()
        try await withMetricsFactory(registry.factory) {
            try await PlanetUnderTest.run(registry: registry) { planet in
                let host = try planet["ams1"]
                _ = try await host.call("POST /v1/apps", #"{"name":"shop"}"#)
                _ = try await host.call("POST /v1/apps", #"{"name":"shop"}"#)
                let made = try await host.call("POST /v1/apps/shop/machines", #"{"config":{"image":"redis:7"}}"#)
                let machine = "/v1/apps/shop/machines/\(made.string("id"))"
                #expect(try await host.call("GET \(machine)/wait?timeout=60").status == 200)
                for number in 0..<3 { _ = try await host.call("GET /v1/nowhere/\(number)") }

                let reply = try await host.call("GET /metrics")
                #expect(reply.status == 200)
                #expect(reply.response.header("content-type") == "text/plain; version=0.0.4; charset=utf-8")
                let families = try StrictExposition.parse(reply.text)
                func calls(_ method: String, _ route: String, _ status: Int) -> Double? {
                    families.value(
                        "roost_api_calls_total", ["method": method, "route": route, "status": "\(status)"])
                }
                #expect(calls("POST", "/v1/apps", 201) == 1)
                #expect(calls("POST", "/v1/apps", 422) == 1)
                #expect(calls("GET", "none", 404) == 3)
                #expect(
                    families.value("roost_api_call_seconds_count", ["method": "POST", "route": "/v1/apps"]) == 2)
                #expect(families.value("roost_machines", ["state": "started"]) == 1)
                #expect(families.value("roost_machines", ["state": "stopped"]) == 0)
                #expect(families.value("roost_machine_events_total", ["event": "launch"]) == 1)
                #expect(families.value("roost_machine_events_total", ["event": "start"]) == 1)
                #expect(families.value("roost_machine_events_total", ["event": "stop"]) == 0)
                #expect(families.value("roost_machine_launch_seconds_count", ["result": "ok"]) == 1)
                #expect(families.value("roost_machine_attach_seconds_count", [:]) == 1)
                let commits = ["operation": "commit", "result": "ok"]
                let before = try #require(families.value("roost_store_calls_total", commits))
                #expect(before >= 2)
                #expect(families.value("roost_store_watch_lag_seconds_count", [:]) ?? 0 >= 1)
                #expect(families.value("roost_store_live", [:]) == 1)

                // Also what is ordered, and once each.
                #expect(try await host.call("POST \(machine)/restart").status == 200)
                #expect(try await host.call("POST \(machine)/stop").status == 200)
                #expect(try await host.call("GET \(machine)/wait?state=stopped&timeout=60").status == 200)
                let ended = try StrictExposition.parse(try await host.call("GET /metrics").text)
                let events = try await host.call("GET \(machine)/events").text
                for kind in ["launch", "start", "restart", "stop", "exit"] {
                    let count =
                        events.split(separator: #""type":"\#(kind)""#, omittingEmptySubsequences: false).count - 1
                    #expect(
                        count > 0 && ended.value("roost_machine_events_total", ["event": kind]) == Double(count),
                        "\(kind)")
                }

                _ = try await host.call("POST /v1/apps", #"{"name":"bank"}"#)
                let later = try StrictExposition.parse(try await host.call("GET /metrics").text)
                #expect(later.value("roost_store_calls_total", commits) ?? 0 > before)
            }
        }
    }

    @Test("What may wake somebody is told as 0 before it happens: what is born as 1 has not grown")
    func beginnings() async throws {
        let registry = MetricsRegistry()
        try await withMetricsFactory(registry.factory) {
            try await PlanetUnderTest.run(registry: registry) { planet in
                let families = try StrictExposition.parse(try await planet["ams1"].call("GET /metrics").text)
                for kind in MachineEvent.Kind.known {
                    #expect(families.value("roost_machine_events_total", ["event": kind.rawValue]) == 0)
                }
                let failed = ["operation": "keep_alive", "result": "unavailable"]
                #expect(families.value("roost_store_calls_total", failed) == 0)
            }
        }
    }

    @Test("A scraper reads the numbers and nothing else; others do not see that there are any")
    func scrapers() async throws {
        try await PlanetUnderTest.run { planet in
            let host = try planet["ams1"]
            let token = PlanetToken(PlanetUnderTest.token)
            let scraper = [(name: "authorization", value: "Bearer \(token.scrapeCredential)")]
            #expect(try await host.call("GET /metrics", headers: scraper).status == 200)
            for line in ["GET /v1/apps", "GET /v1/internal/mesh", "POST /v1/apps", "GET /v1/platform/hosts"] {
                #expect(try await host.call(line, headers: scraper).status == 404)
            }
            let peer = [(name: "authorization", value: token.credential(of: host.name))]
            #expect(try await host.call("GET /metrics", headers: peer).status == 404)
            let wrong = [(name: "authorization", value: "Bearer " + String(token.scrapeCredential.reversed()))]
            #expect(try await host.call("GET /metrics", headers: wrong).status == 401)
            let other = [(name: "authorization", value: "Bearer \(PlanetToken("another token 000").scrapeCredential)")]
            #expect(try await host.call("GET /metrics", headers: other).status == 401)
        }
    }
}
