import Foundation
import RoostLinux
import RoostMesh
import RoostModel
import RoostPlanet
import RoostStore
import Testing

/// From where clients may log in to a cluster, as operators say it at any host.
@Suite struct ClientListTests {
    private static let path = "/v1/postgres/orders/allow"

    private static func create(at host: HostUnderTest) async throws {
        let made = try await host.call(
            "POST /v1/postgres", #"{"name": "orders", "region": "ams", "replica_regions": []}"#)
        #expect(made.status == 201, "\(made.text)")
    }

    /// The cluster's record, as it is written.
    private static func spec(in planet: PlanetUnderTest) async throws -> Entry {
        let key = StoreKeys.clusterSpec(try AppName("orders"))
        return try #require(try await planet.store.read(.key(key), at: nil).entries.first)
    }

    private static func allowed(_ entry: Entry) throws -> [String]? {
        try JSONDecoder().decode(ClusterSpec.self, from: Data(entry.value)).allowedClients
    }

    private static func body(_ networks: [String]) -> String {
        #"{"allow": [\#(networks.map { "\"\($0)\"" }.joined(separator: ", "))]}"#
    }

    @Test("A list is told at once where it was set, is replaced whole, and can be taken away")
    func set() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"], deaf: ["iad1"]) { planet in
            let (ams, iad) = (try planet["ams1"], try planet["iad1"])
            try await Self.create(at: ams)
            for networks in [["203.0.113.0/24", "198.51.100.7/32"], ["10.0.0.0/8"]] {
                for host in [ams, iad] {
                    let told = try await host.call("PUT \(Self.path)", Self.body(networks))
                    #expect(told.status == 200 && told.object["allow"] as? [String] == networks, "\(told.text)")
                }
                #expect(try Self.allowed(try await Self.spec(in: planet)) == networks)
                let shown = try await iad.call("GET /v1/postgres/orders")
                #expect(shown.object["allow"] as? [String] == networks, "\(shown.text)")
            }
            let told = try await ams.call("PUT \(Self.path)", Self.body([]))
            #expect(told.status == 200 && told.object["allow"] == nil, "\(told.text)")
            #expect(try Self.allowed(try await Self.spec(in: planet)) == [])
        }
    }

    @Test("What is no list is refused with the reason, and the list stays as it was")
    func refused() async throws {
        try await PlanetUnderTest.run { planet in
            let host = try planet["ams1"]
            try await Self.create(at: host)
            #expect(try await host.call("PUT \(Self.path)", Self.body(["203.0.113.0/24"])).status == 200)
            let before = try await Self.spec(in: planet)
            let tooMany = (0...ClusterSpec.allowedClientsMax).map { "10.0.\($0).0/24" }
            for (networks, words) in [
                (["0.0.0.0/0"], "an empty list is everywhere"), (["10.0.0.0/7"], "8 to 32 bits"),
                (["203.0.113.7/24"], "203.0.113.7/24"), (["203.0.113.7"], "203.0.113.7"),
                (["2001:db8::/32"], "2001:db8::"), ([""], "not a valid IPv4 prefix"),
                (["198.51.100.0/24", "10.0.0.0/33"], "10.0.0.0/33"),
                (["198.51.100.0/24", "10.0.0.0/8", "198.51.100.0/24"], "198.51.100.0/24 is named twice"),
                (tooMany, "at most \(ClusterSpec.allowedClientsMax)"),
            ] {
                let answer = try await host.call("PUT \(Self.path)", Self.body(networks))
                #expect(answer.status == 400 && answer.string("error").contains(words), "\(networks): \(answer.text)")
            }
            for body in [nil, "{}", #"{"allow": null}"#, #"{"allow": "10.0.0.0/8"}"#, #"{"allow": [], "deny": ["x"]}"#]
            {
                let answer = try await host.call("PUT \(Self.path)", body)
                #expect(answer.status == 400, "\(body ?? "nothing"): \(answer.text)")
            }
            let unknown = try await host.call("PUT /v1/postgres/nobody/allow", Self.body(["10.0.0.0/8"]))
            #expect(unknown.status == 404 && unknown.string("error").contains("nobody"), "\(unknown.text)")
            #expect(try await Self.spec(in: planet) == before)
            // As many as there may be, and what is there already is no change.
            let most = Array(tooMany.dropLast())
            for _ in 0..<2 { #expect(try await host.call("PUT \(Self.path)", Self.body(most)).status == 200) }
            let after = try await Self.spec(in: planet)
            #expect(try Self.allowed(after) == most)
        }
    }

    @Test("While an edge would let everybody in there are no lists; one that is there can be taken away")
    func oldEdge() async throws {
        try await PlanetUnderTest.run { planet in
            let host = try planet["ams1"]
            try await Self.create(at: host)
            let networks = ["203.0.113.0/24"]
            #expect(try await host.call("PUT \(Self.path)", Self.body(networks)).status == 200)
            func put(_ name: String, isEdge: Bool, _ capabilities: Set<Capability>) async throws {
                let old = HostRecord(
                    host: try HostName(name), region: try RegionCode("ams"), generation: Generation(1),
                    capacity: HostCapacity(cpus: 1, memory: .gibibytes(1), disk: .gibibytes(1)),
                    mesh: MeshIdentity(
                        publicKey: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", endpoint: "198.18.0.9:51820",
                        probePort: 51821, address: MeshAddress.host(try HostName(name))),
                    isEdge: isEdge, isStoreMember: false, capabilities: capabilities)
                _ = try await planet.store.commit(
                    Transaction(then: [
                        .put(
                            key: StoreKeys.host(old.host), value: Array(try JSONEncoder().encode(old)), lease: nil)
                    ]))
                let isHeard = try await poll(for: .seconds(10)) {
                    host.watcher.planet.hosts[old.host].map { $0.capabilities == capabilities } == true ? true : nil
                }
                #expect(isHeard == true)
            }
            // One that is no edge is nobody's way in.
            try await put("old1", isEdge: false, [.smallRecords])
            #expect(try await host.call("PUT \(Self.path)", Self.body(["10.0.0.0/8"])).status == 200)
            try await put("old2", isEdge: true, [.smallRecords])
            let before = try await Self.spec(in: planet)
            let answer = try await host.call("PUT \(Self.path)", Self.body(networks))
            #expect(answer.status == 412 && answer.string("error").contains("upgrade old2 first"), "\(answer.text)")
            #expect(try await Self.spec(in: planet) == before)
            #expect(try await host.call("PUT \(Self.path)", Self.body([])).status == 200)
            #expect(try Self.allowed(try await Self.spec(in: planet)) == [])
            try await put("old2", isEdge: true, [.smallRecords, .clientLists])
            #expect(try await host.call("PUT \(Self.path)", Self.body(networks)).status == 200)
        }
    }
}
