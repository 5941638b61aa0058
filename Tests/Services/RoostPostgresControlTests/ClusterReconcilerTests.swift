import Foundation
import RoostHost
import RoostModel
import RoostPlanet
import RoostPlans
import RoostStore
import Synchronization
import Testing

@testable import RoostPostgresControl

/// What keeps clusters: cut off at every call that it makes, and met by hosts whose view is old.
@Suite("Keeping clusters") struct ClusterReconcilerTests {
    /// The calls of a whole life: created with three members, destroyed.
    private static let callsMax = 64

    private func expectComplete(_ world: ClusterWorld) async throws {
        let placements = try await world.look().clusters[world.cluster]?.placements ?? [:]
        #expect(placements.count == 3)
        #expect(Set(placements.values.map(\.host)).count == 3)
        #expect(Set(world.machines.map { $0.order.id }) == Set(placements.values.map(\.machine)))
        #expect(world.machines.count == 3)
        #expect(Set(world.volumes.map { $0.order.id }) == Set(placements.values.map(\.volume)))
        #expect(world.volumes.count == 3)
    }

    private func expectGone(_ world: ClusterWorld) async throws {
        let planet = try await world.look()
        #expect(planet.clusters[world.cluster] == nil)
        #expect(planet.apps[world.cluster] == nil)
        #expect(planet.addresses.isEmpty)
        #expect(world.machines.isEmpty)
        #expect(world.volumes.isEmpty)
    }

    @Test("A cluster is made and taken apart, and nothing of it is left")
    func wholeLife() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        try await world.create()
        #expect(try await world.settle(under: fence))
        try await expectComplete(world)
        try await world.directory.destroy(world.cluster)
        #expect(try await world.settle(under: fence))
        try await expectGone(world)
        #expect(world.cuts.calls <= Self.callsMax)
        #expect(world.cuts.calls > 20)
    }

    @Test(
        "Cut off at any call, before or after its effect, the next host makes one whole cluster and leaves nothing",
        arguments: 1...callsMax)
    func cutAnywhere(call: Int) async throws {
        for cut in [Cuts.Cut.before(call), .after(call)] {
            let world = try await ClusterWorld(cut: cut)
            defer { world.remove() }
            try await world.create()
            _ = try await world.round(under: try await world.takeDuty())
            #expect(try await world.settle(under: try await world.takeDuty()))
            try await expectComplete(world)
            try await world.directory.destroy(world.cluster)
            _ = try await world.round(under: try await world.takeDuty())
            #expect(try await world.settle(under: try await world.takeDuty()))
            try await expectGone(world)
        }
    }

    @Test("A host that lost the duty changes nothing in the store")
    func fenced() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        try await world.create()
        let old = try await world.takeDuty()
        _ = try await world.takeDuty()
        _ = try await world.round(under: old)
        #expect(try await world.look().clusters[world.cluster]?.placements.isEmpty == true)
        #expect(world.machines.isEmpty)
    }

    @Test("A late removal, from a view in which the old cluster was going, leaves the new one of that name alone")
    func lateRemoval() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        try await world.create()
        #expect(try await world.settle(under: fence))
        try await world.directory.destroy(world.cluster)
        while try await world.look().clusters[world.cluster]?.placements.isEmpty == false {
            _ = try await world.round(under: fence)
        }
        let old = try await world.look()
        #expect(try await world.settle(under: fence))
        try await world.create()
        _ = try await world.round(under: fence, seeing: old)
        let planet = try await world.look()
        #expect(planet.clusters[world.cluster]?.spec?.isDestroying == false)
        #expect(planet.clusters[world.cluster]?.secrets != nil)
        #expect(planet.apps[world.cluster] != nil)
        #expect(planet.addresses.count == 1)
    }

    @Test("A host without room is left: the placement is forgotten, its volume too, and another host is asked")
    func fullHost() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        world.hosts.full.withLock { $0 = [world.names[0]] }
        try await world.create()
        for _ in 0..<4 { _ = try await world.round(under: fence) }
        let placed = try await world.look().clusters[world.cluster]?.placements ?? [:]
        #expect(world.machines.allSatisfy { $0.host != world.names[0] })
        #expect(world.volumes.allSatisfy { $0.host != world.names[0] })
        #expect(placed.values.filter { $0.host != world.names[0] }.count >= 2)
    }

    @Test("A choice whose volume was given up, and that was not forgotten then, is forgotten now and made anew")
    func cutOffBeforeForgetting() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        try await world.create(members: 1)
        _ = try await world.round(under: fence)
        let former = try #require(try await world.look().clusters[world.cluster]?.placements.values.first)
        try await world.hosts.destroyVolume(former.volume, of: world.cluster, on: former.host)
        #expect(try await world.settle(under: fence))
        let present = try #require(try await world.look().clusters[world.cluster]?.placements.values.first)
        #expect(present.volume != former.volume)
        #expect(world.volumes.map(\.order.id) == [present.volume])
        #expect(world.machines.map(\.order.id) == [present.machine])
    }

    @Test("A placement that another host has written meanwhile is not forgotten by a late one")
    func lateForgetting() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        try await world.create(members: 1)
        _ = try await world.round(under: fence)
        let old = try await world.look()
        let former = try #require(old.clusters[world.cluster]?.placements.values.first)
        var other = former
        other.host = try #require(world.names.first { $0 != former.host })
        let key = StoreKeys.placement(world.cluster, former.member)
        _ = try await world.store.commit(
            Transaction(then: [.put(key: key, value: Array(try JSONEncoder().encode(other)), lease: nil)]))
        world.hosts.full.withLock { $0 = [former.host] }
        _ = try await world.round(under: fence, seeing: old)
        #expect(try await world.look().clusters[world.cluster]?.placements[former.member] == other)
    }
}
