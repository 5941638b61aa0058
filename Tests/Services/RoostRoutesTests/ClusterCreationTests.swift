import Foundation
import RoostLinux
import RoostPlanet
import Testing

/// What whoever creates a cluster is told before any member is made.
@Suite struct ClusterCreationTests {
    private static func create(_ name: String, replicas: Int, at host: HostUnderTest) async throws -> [String: Any] {
        let regions = Array(repeating: #""ams""#, count: replicas).joined(separator: ", ")
        let made = try await host.call(
            "POST /v1/postgres", #"{"name": "\#(name)", "region": "ams", "replica_regions": [\#(regions)]}"#)
        #expect(made.status == 201, "\(made.text)")
        return made.object
    }

    @Test("Members that will be on one host are named in the answer, with what the host's loss would mean")
    func sharedHosts() async throws {
        try await PlanetUnderTest.run(["ams1", "ams2", "iad1"]) { planet in
            let host = try planet["ams1"]
            let areHeard = try await poll(for: .seconds(10)) { host.watcher.read { $0.hosts.count } == 3 ? true : nil }
            #expect(areHeard == true)
            let apart = try await Self.create("two", replicas: 1, at: host)
            #expect(apart["shared_hosts"] == nil)
            let three = try await Self.create("three", replicas: 2, at: host)
            let shared = try #require(three["shared_hosts"] as? [[String: Any]])
            #expect(shared.count == 1)
            #expect((shared.first?["members"] as? [String])?.count == 2)
            #expect((shared.first?["loss"] as? String)?.contains("can lose commits") == true)
        }
    }
}
