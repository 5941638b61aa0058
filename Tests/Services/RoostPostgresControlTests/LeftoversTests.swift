import RoostHost
import RoostLinux
import RoostModel
import RoostPlanet
import RoostStore
import RoostWire
import Synchronization
import Testing

@testable import RoostControl
@testable import RoostPostgresControl

/// What hosts have of a cluster and no record of it names, because the store went back to an older copy.
@Suite("What is left over of clusters") struct LeftoversTests {
    private func ready() async throws -> ClusterWorld {
        let world = try await ClusterWorld()
        try await world.create()
        #expect(try await world.settle(under: try await world.takeDuty()))
        try await world.becomeReady()
        return world
    }

    /// Takes the member off the spec and the records, as an older copy has never had it.
    private func forget(_ member: MemberName, of world: ClusterWorld, inRule isInRule: Bool) async throws {
        let cluster = try #require(try await world.look().clusters[world.cluster])
        var (spec, rule) = (try #require(cluster.spec), try #require(cluster.rule))
        var operations: [Transaction.Operation] = [
            .delete(.key(StoreKeys.placement(world.cluster, member))),
            .delete(.key(StoreKeys.report(world.cluster, member))),
        ]
        if !isInRule {
            spec.members.removeAll { $0.name == member }
            rule.members.removeAll { $0 == member }
            operations.append(try .put(spec, at: StoreKeys.clusterSpec(world.cluster)))
            operations.append(try .put(rule, at: StoreKeys.clusterRule(world.cluster)))
        }
        _ = try await world.store.commit(Transaction(then: operations))
    }

    @Test("It is named with what has it, once it is old enough, and no member is")
    func named() async throws {
        let world = try await ready()
        defer { world.remove() }
        let leaver = try MemberName("db-3")
        let before = try await world.look()
        let place = try #require(before.clusters[world.cluster]?.placements[leaver])
        let later = Int64.max / 2
        func leftovers(at time: Int64 = later) async throws -> [LeftoverBody]? {
            let planet = try await world.look()
            let records = try #require(planet.clusters[world.cluster])
            return ClusterLeftovers.of(try #require(records.spec), records, in: planet, at: time)
        }
        #expect(try await leftovers() == nil)
        try await forget(leaver, of: world, inRule: false)
        let left = try #require(try await leftovers())
        #expect(left.map(\.machine) == [place.machine, nil] && left.map(\.volume) == [nil, place.volume])
        #expect(left.map(\.host) == [place.host, place.host] && left.map(\.name) == ["db-3", nil])
        // The record of its place may be on its way.
        #expect(try await leftovers(at: 0) == nil)
    }

    @Test("A volume is not named before the machine that is on it, nor while that is on its way to be gone")
    func onAMachine() async throws {
        let world = try await ready()
        defer { world.remove() }
        let leaver = try MemberName("db-3")
        let before = try await world.look()
        let place = try #require(before.clusters[world.cluster]?.placements[leaver])
        try await forget(leaver, of: world, inRule: false)
        let planet = try await world.look()
        let records = try #require(planet.clusters[world.cluster])
        let spec = try #require(records.spec)
        var host = try #require(planet.hosts[place.host])
        let (machine, volume) = (
            try #require(host.machines.first { $0.id == place.machine }),
            try #require(host.volumes.first { $0.id == place.volume })
        )
        let wallClock = volume.createdAt + (ClusterLeftovers.ageMin + .seconds(1)).milliseconds
        func left(_ change: (inout [MachineRecord], inout VolumeRecord) -> Void) -> [LeftoverBody]? {
            var (machines, onMachine) = ([machine], volume)
            onMachine.attachedMachine = machine.id
            change(&machines, &onMachine)
            host.machines = host.machines.filter { $0.id != machine.id } + machines
            host.volumes = host.volumes.filter { $0.id != volume.id } + [onMachine]
            var planet = planet
            planet.put(host)
            return ClusterLeftovers.of(spec, records, in: planet, at: wallClock)
        }
        let both = [LeftoverBody(name: "db-3", machine: machine.id, volume: volume.id, host: place.host)]
        #expect(left { _, _ in } == both)
        // It was made a little later than its volume.
        #expect(left { machines, _ in machines[0].createdAt = wallClock } == both)
        // Its record has not come yet.
        #expect(
            left { machines, _ in machines = [] }
                == [LeftoverBody(name: nil, machine: machine.id, volume: volume.id, host: place.host)])
        #expect(left { machines, _ in machines[0].state = .destroying } == nil)
        let member = try #require(records.placements[try MemberName("db-1")])
        #expect(left { machines, volume in (machines, volume.attachedMachine) = ([], member.machine) } == nil)
        #expect(
            left { machines, volume in (machines, volume.attachedMachine) = ([], nil) }
                == [LeftoverBody(name: nil, machine: nil, volume: volume.id, host: place.host)])
    }

    @Test("It can be taken away when nobody can need it: not what may be a member's data, not while nobody leads")
    func mayGo() async throws {
        let world = try await ready()
        defer { world.remove() }
        var records = try #require(try await world.look().clusters[world.cluster])
        let rule = try #require(records.rule)
        func objection(_ records: Planet.ClusterRecords, isHeard: Bool = true) -> String? {
            ClusterLeftovers.objection(records, isLeaderHeard: isHeard)
        }
        #expect(objection(records) == nil)
        #expect(objection(records, isHeard: false)?.contains("lets nobody in") == true)
        var called = rule
        called.recruitment = Recruitment(epoch: rule.epoch.next, proposer: rule.members[1], reason: .leaderSilent)
        _ = try await world.store.commit(
            Transaction(then: [try .put(called, at: StoreKeys.clusterRule(world.cluster))]))
        records = try #require(try await world.look().clusters[world.cluster])
        #expect(objection(records)?.contains("lets nobody in") == true)
        _ = try await world.store.commit(Transaction(then: [try .put(rule, at: StoreKeys.clusterRule(world.cluster))]))
        // A member that the rule names and no record places: what is left over may be its data.
        try await forget(try MemberName("db-3"), of: world, inRule: true)
        records = try #require(try await world.look().clusters[world.cluster])
        #expect(objection(records)?.contains("none says where db-3 is") == true)
        try await forget(try MemberName("db-3"), of: world, inRule: false)
        records = try #require(try await world.look().clusters[world.cluster])
        #expect(objection(records) == nil)
    }

    @Test("Where one says that the store went back for which it has no place, nothing that is left over goes unforced")
    func lastWord() async throws {
        let world = try await ready()
        defer { world.remove() }
        let stranger = try MemberName("db-3")
        var report = try #require(try await world.look().clusters[world.cluster]?.reports[stranger])
        let rule = try #require(try await world.look().clusters[world.cluster]?.rule)
        try await forget(stranger, of: world, inRule: false)
        func word() async throws -> String? {
            _ = try await world.store.commit(
                Transaction(then: [try .put(report, at: StoreKeys.report(world.cluster, stranger))]))
            return ClusterLeftovers.lastWord(try #require(try await world.look().clusters[world.cluster]))
        }
        #expect(try await word() == nil)
        report.knowledge = MemberKnowledge(
            opened: nil, history: rule.history, timeline: 1, position: nil,
            membership: Membership(of: rule))
        report.knowledge?.membership?.changes = 1
        let words = try await word()
        #expect(words?.hasPrefix("db-3, for which the store has no place, says") == true, "\(words ?? "")")
        // Whoever looks at the cluster reads it, and what has to be written to destroy it all the same.
        let records = try #require(try await world.look().clusters[world.cluster])
        let left = ClusterLeftovers.of(
            try #require(records.spec), records, in: try await world.look(), at: Int64.max / 2)
        #expect(left?.isEmpty == false && left?.allSatisfy { $0.lastCopy == words } == true)
        // Nobody is asked who hears it: it is the last that it has said.
        world.ear.silent.withLock { $0 = [stranger] }
        #expect(try await word() != nil)
        report.knowledge = nil
        #expect(try await word() == nil)
    }
}
