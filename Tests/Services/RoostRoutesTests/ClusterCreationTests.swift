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

    @Test(
        "What a cluster is to survive says where its members are; what the hosts cannot do is refused, and says what is missing"
    )
    func survive() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1", "sin1"]) { planet in
            let host = try planet["ams1"]
            let areHeard = try await poll(for: .seconds(10)) { host.watcher.read { $0.hosts.count } == 3 ? true : nil }
            #expect(areHeard == true)
            let made = try await host.call(
                "POST /v1/postgres",
                #"{"name": "wide", "survive": "region", "home": "iad", "replace_after": "30m"}"#)
            #expect(made.status == 201, "\(made.text)")
            let members = try #require(made.object["members"] as? [[String: Any]])
            #expect(members.first?["region"] as? String == "iad")
            #expect(Set(members.compactMap { $0["region"] as? String }) == ["ams", "iad", "sin"])
            #expect(made.object["replace_after"] as? String == "30m")
            #expect((made.object["survival"] as? [String: Any])?["wanted"] as? String == "region")
            for (wish, status, words) in [
                (#"{"name": "narrow", "survive": "host", "home": "ams"}"#, 422, "3 hosts of region ams must have room"),
                (#"{"name": "narrow", "survive": "zone", "home": "ams"}"#, 400, "'zone' is none of these"),
                (#"{"name": "narrow", "survive": "host"}"#, 400, "field 'home' is missing"),
                (#"{"name": "narrow", "home": "ams"}"#, 400, "comes with 'survive'"),
                (
                    #"{"name": "narrow", "survive": "host", "home": "ams", "region": "ams", "replica_regions": []}"#,
                    400,
                    "'survive' says where members are"
                ),
                (
                    #"{"name": "narrow", "region": "ams", "replica_regions": [], "replace_after": "1s"}"#, 400,
                    "never, or a duration from 10s to 168h"
                ),
            ] {
                let refused = try await host.call("POST /v1/postgres", wish)
                #expect(refused.status == status && refused.text.contains(words), "\(refused.text)")
            }
            let later = try await host.call("PUT /v1/postgres/wide/replace-after", #"{"after": "never"}"#)
            #expect(later.status == 200 && later.object["replace_after"] as? String == "never", "\(later.text)")
            #expect(try await host.call("PUT /v1/postgres/wide/replace-after", #"{"after": "soon"}"#).status == 400)
        }
    }
}
