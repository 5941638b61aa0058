import Foundation
import RoostModel
import RoostStore
import Testing

/// Operations as people and programs ask for them, at any host.
@Suite struct OperationRouteTests {
    private static func id(_ number: Int) throws -> PlanetOperationID {
        try PlanetOperationID("0123456789ABCDEFGHJKMNPQ" + (number < 10 ? "0" : "") + "\(number)")
    }

    private static func put(_ record: OperationRecord, in planet: PlanetUnderTest) async throws {
        _ = try await planet.store.commit(
            Transaction(then: [
                .put(key: StoreKeys.operation(record.id), value: Array(try JSONEncoder().encode(record)), lease: nil)
            ]))
    }

    private static func running(_ number: Int, _ object: String) throws -> OperationRecord {
        OperationRecord(
            id: try id(number), kind: .createCluster, object: try AppName(object), objectMadeAt: 1,
            startedAt: 1_795_761_000_000, requestID: "r1")
    }

    @Test("Any host lists and shows them, also one that has not heard of them yet, and an unknown one is not found")
    func listed() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"], deaf: ["iad1"]) { planet in
            let (ams, iad) = (try planet["ams1"], try planet["iad1"])
            var ended = try Self.running(1, "orders")
            ended.state = .succeeded
            ended.endedAt = 1_795_761_001_000
            ended.result = "ready"
            ended.steps = [.init(name: "placed orders-1 on ams1", at: 1_795_761_000_500)]
            try await Self.put(ended, in: planet)
            try await Self.put(try Self.running(2, "bank"), in: planet)
            let shown = try await iad.call("GET /v1/operations/\(ended.id)")
            #expect(shown.status == 200 && shown.string("state") == "succeeded" && shown.string("result") == "ready")
            #expect(shown.string("request_id") == "r1" && shown.string("object") == "orders")
            #expect((shown.object["steps"] as? [[String: Any]])?.first?["name"] as? String == "placed orders-1 on ams1")
            _ = try await ams.call("GET /v1/operations/\(try Self.id(1))/wait?timeout=20")
            func ids(_ query: String) async throws -> [String] {
                let list = try await ams.call("GET /v1/operations\(query)").object["operations"] as? [[String: Any]]
                return (list ?? []).compactMap { $0["id"] as? String }
            }
            #expect(try await ids("") == [try Self.id(2).text, try Self.id(1).text])
            #expect(try await ids("?object=orders") == [try Self.id(1).text])
            #expect(try await ids("?state=running") == [try Self.id(2).text])
            #expect(try await ids("?limit=1") == [try Self.id(2).text])
            #expect(try await ams.call("GET /v1/operations?state=paused").status == 400)
            #expect(try await ams.call("GET /v1/operations?limit=0").status == 400)
            #expect(try await ams.call("GET /v1/operations/\(try Self.id(9))").status == 404)
            #expect(try await ams.call("GET /v1/operations/nonsense").status == 400)
        }
    }

    @Test("A wait ends when the operation does, and says so when it does not in time")
    func waits() async throws {
        try await PlanetUnderTest.run { planet in
            let host = try planet["ams1"]
            var record = try Self.running(1, "orders")
            let path = "/v1/operations/\(record.id)/wait"
            try await Self.put(record, in: planet)
            #expect(try await host.call("GET \(path)?timeout=100ms").status == 408)
            #expect(try await host.call("GET \(path)?timeout=61s").status == 400)
            async let waited = host.call("GET \(path)?timeout=30s")
            record.steps = [.init(name: "placed", at: 1)]
            try await Self.put(record, in: planet)
            record.state = .failed
            record.result = "destroyed"
            try await Self.put(record, in: planet)
            let answer = try await waited
            #expect(answer.status == 200 && answer.string("state") == "failed")
        }
    }
}
