import RoostModel
import RoostPlanet
import RoostWire
import Testing

@testable import RoostPostgresControl

/// What a cluster's status says that the store does not survive.
@Suite struct StoreLossTests {
    private func host(_ name: String, hasStore: Bool) throws -> HostRecord {
        let host = try HostName(name)
        return HostRecord(
            host: host, region: try RegionCode(String(name.prefix(3))), generation: Generation(1),
            capacity: HostCapacity(cpus: 8, memory: .gibibytes(8), disk: .gibibytes(100)),
            mesh: MeshIdentity(
                publicKey: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", endpoint: "198.18.0.1:1", probePort: 1,
                address: MeshAddress.host(host)),
            isEdge: false, isStoreMember: hasStore, machines: [], volumes: [])
    }

    @Test("It follows from what hosts say of themselves, and from what they say no more")
    func status() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        try await world.create()
        #expect(try await world.settle(under: try await world.takeDuty()))
        try await world.becomeReady()
        var planet = try await world.look()
        func survival(_ hosts: [(String, Bool)]) throws -> SurvivalBody {
            for (name, hasStore) in hosts { planet.put(try host(name, hasStore: hasStore)) }
            return try #require(ClusterStatus.body(of: world.cluster, in: planet)?.survival)
        }
        let apart = try survival([("iad8", true), ("iad9", true), ("sin9", true)])
        #expect(apart.now == [.host] && apart.regions?.map(\.text) == ["ams", "iad"])
        #expect(apart.store == "the store does not survive the loss of region iad: it has 2 of its 3 members there")
        let alone = try survival([("iad8", false), ("sin9", false)])
        #expect(alone.now == [] && alone.hosts?.map(\.text) == ["iad9"])
        #expect(alone.store == "the store does not survive the loss of iad9: it has 1 of its 1 members there")
        let none = try survival([("iad9", false)])
        #expect(none.now == [.host] && none.store == nil)
    }
}
