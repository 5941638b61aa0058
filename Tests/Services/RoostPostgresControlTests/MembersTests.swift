import RoostModel
import RoostPlanet
import RoostStore
import Testing

@testable import RoostControl
@testable import RoostPostgresControl

/// Members that come and go: what is asked for, what is refused, and what is made and taken apart because of it.
@Suite("Members that come and go") struct MembersTests {
    private func ready(members: Int = 3, skills: [MemberSkill]? = MemberSkill.known) async throws -> ClusterWorld {
        let world = try await ClusterWorld()
        try await world.create(members: members)
        #expect(try await world.settle(under: try await world.takeDuty()))
        try await world.becomeReady()
        let reports = try await records(world).reports
        let puts = try reports.values.map { report in
            var report = report
            report.skills = skills
            return try Transaction.Operation.put(report, at: StoreKeys.report(world.cluster, report.member))
        }
        _ = try await world.store.commit(Transaction(then: puts))
        return world
    }

    private func records(_ world: ClusterWorld) async throws -> Planet.ClusterRecords {
        try #require(try await world.look().clusters[world.cluster])
    }

    private func rule(_ world: ClusterWorld) async throws -> ClusterRule { try #require(try await records(world).rule) }

    private func ask(_ world: ClusterWorld, _ wish: MemberWish) async throws -> PlanetOperationID? {
        try await world.directory.requestMembers(of: world.cluster, wish)
    }

    /// As the leader does it.
    private func takeStep(_ world: ClusterWorld) async throws {
        var rule = try await rule(world)
        let step = try #require(rule.change?.left.first)
        rule.change?.left.removeFirst()
        rule.change?.done.append(step)
        if step.kind == .add { rule.members.append(step.member) } else { rule.members.removeAll { $0 == step.member } }
        rule.confirmations = rule.members.count / 2
        rule.changes = (rule.changes ?? 0) + 1
        _ = try await world.store.commit(Transaction(then: [try .put(rule, at: StoreKeys.clusterRule(world.cluster))]))
    }

    private func refusal(_ world: ClusterWorld, _ wish: MemberWish) async throws -> Refusal {
        let before = try await rule(world)
        let refusal = try #require(await #expect(throws: Refusal.self) { try await ask(world, wish) })
        #expect(try await rule(world) == before, "what is refused changes nothing")
        return refusal
    }

    @Test("A member that is asked for is placed and made, and counts when the rule names it")
    func add() async throws {
        let world = try await ready()
        defer { world.remove() }
        let id = try #require(try await ask(world, .add(world.hosts.region, world.names[3])))
        let fence = try await world.takeDuty()
        #expect(try await world.settle(under: fence))
        let comer = try MemberName("db-4")
        #expect(try await records(world).placements[comer]?.host == world.names[3])
        #expect(try await records(world).absence(of: comer) == "joining")
        try await world.keepOperations(under: fence)
        #expect(try await world.look().operations[id]?.state == .running)
        #expect(
            try await ask(world, .add(world.hosts.region, world.names[3])) == id, "what goes on is what is asked for")
        // One at a time.
        let second = try await refusal(world, .add(world.hosts.region, nil))
        #expect(second.code == .failedPrecondition && second.message.contains(id.text))
        try await takeStep(world)
        try await world.keepOperations(under: fence)
        let ended = try #require(try await world.look().operations[id])
        #expect(ended.state == .succeeded && ended.result?.contains("db-1, db-2, db-3, db-4") == true)
        #expect(ended.steps.map(\.name).contains("placed db-4 on ams4"))
        #expect(ended.steps.map(\.name).contains("db-4 is a member"))
    }

    @Test("A member that is removed is taken off, and its machine and volume go; its number is not given again")
    func remove() async throws {
        let world = try await ready()
        defer { world.remove() }
        let leaver = try MemberName("db-3")
        let id = try #require(try await ask(world, .remove(leaver)))
        #expect(try await ask(world, .remove(leaver)) == id, "what goes on is what is asked for")
        let fence = try await world.takeDuty()
        #expect(try await world.settle(under: fence))
        #expect(world.machines.count == 3, "nothing goes before the rule says so")
        try await takeStep(world)
        #expect(try await world.settle(under: fence))
        #expect(world.machines.count == 2 && world.volumes.count == 2)
        let after = try await records(world)
        #expect(after.placements[leaver] == nil && after.reports[leaver] == nil)
        #expect(after.spec?.members.map(\.name.text) == ["db-1", "db-2"])
        try await world.keepOperations(under: fence)
        #expect(try await world.look().operations[id]?.state == .succeeded)
        _ = try #require(try await ask(world, .add(world.hosts.region, nil)))
        #expect(try await rule(world).change?.left.map(\.member.text) == ["db-4"])
    }

    @Test("One comes before the other goes; more or fewer in a region is the same, step by step")
    func replaceAndScale() async throws {
        let world = try await ready()
        defer { world.remove() }
        let leaver = try MemberName("db-2")
        let id = try #require(try await ask(world, .replace(leaver, nil, nil)))
        #expect(try await rule(world).change?.left.map { "\($0.kind) \($0.member)" } == ["add db-4", "remove db-2"])
        #expect(try await ask(world, .replace(leaver, nil, nil)) == id)
        #expect(try await ask(world, .replace(leaver, world.hosts.region, nil)) == id)
        #expect(try await refusal(world, .replace(leaver, nil, world.names[3])).message.contains(id.text))
        try await world.directory.cancelChange(of: world.cluster)
        let fence = try await world.takeDuty()
        #expect(try await world.settle(under: fence))
        try await world.keepOperations(under: fence)
        #expect(try await world.look().operations[id]?.state == .failed)
        #expect(try await records(world).spec?.members.count == 3, "who was to come is wanted no more")
        #expect(try await ask(world, .scale([world.hosts.region: 3])) == nil, "it has them already")
        _ = try #require(try await ask(world, .scale([world.hosts.region: 5])))
        #expect(try await rule(world).change?.left.map(\.member.text) == ["db-5", "db-6"])
        for _ in 0..<2 { try await takeStep(world) }
        #expect(try await world.settle(under: fence))
        let spec = try #require(try await records(world).spec)
        #expect(spec.members.count == 5 && world.machines.count == 5)
        let (seen, present) = (try await records(world), try await rule(world))
        let fewer = try MemberWish.scale([world.hosts.region: 4]).course(of: spec, seen, present)
        #expect(fewer.steps.count == 1 && fewer.steps.first?.kind == .remove)
        #expect(fewer.steps.first?.member.text != "db-1", "not the leader")
    }

    @Test("Of nine one goes before the other comes, if the others can miss it")
    func nine() async throws {
        let world = try await ready(members: 9)
        defer { world.remove() }
        let (spec, seen) = (try #require(try await records(world).spec), try await records(world))
        let present = try await rule(world)
        let leaver = try MemberName("db-5")
        func steps(_ wish: MemberWish) throws(Refusal) -> [String] {
            try wish.course(of: spec, seen, present).steps.map { "\($0.kind) \($0.member)" }
        }
        #expect(try steps(.replace(leaver, nil, nil)) == ["remove db-5", "add db-10"])
        #expect(try steps(.scale([world.hosts.region: 8, try RegionCode("iad"): 1])) == ["remove db-9", "add db-10"])
        #expect(throws: Refusal.self) { try steps(.add(world.hosts.region, nil)) }
        let silent = try (6...9).map { StoreKeys.report(world.cluster, try MemberName("db-\($0)")) }
        _ = try await world.store.commit(Transaction(then: silent.map { .delete(.key($0)) }))
        let few = try await records(world)
        let refusal = try #require(
            #expect(throws: Refusal.self) { try MemberWish.replace(leaver, nil, nil).course(of: spec, few, present) })
        #expect(refusal.message.contains("without db-5, 4 other standbys must confirm each commit, and 3 can"))
    }

    @Test("What would not be safe, or cannot be, is refused, and changes nothing")
    func refused() async throws {
        let world = try await ready()
        defer { world.remove() }
        let leader = try await refusal(world, .remove(try MemberName("db-1")))
        #expect(leader.code == .failedPrecondition && leader.message.contains("roost pg switchover db"))
        #expect(try await refusal(world, .remove(try MemberName("db-9"))).code == .notFound)
        let none = try await refusal(world, .scale([world.hosts.region: 0]))
        #expect(none.code == .failedPrecondition)
        #expect(try await refusal(world, .scale([world.hosts.region: 10])).message.contains("at most 9"))
        // The leader sees nobody confirm.
        var heartbeat = try #require(try await records(world).heartbeat)
        heartbeat.standbys = []
        _ = try await world.store.commit(
            Transaction(then: [try .put(heartbeat, at: StoreKeys.clusterHeartbeat(world.cluster))]))
        let missed = try await refusal(world, .remove(try MemberName("db-3")))
        #expect(missed.message.contains("without db-3, 1 other standby must confirm"))
        var called = try await rule(world)
        called.recruitment = Recruitment(epoch: Epoch(2), proposer: called.members[1], reason: .leaderSilent)
        _ = try await world.store.commit(
            Transaction(then: [try .put(called, at: StoreKeys.clusterRule(world.cluster))]))
        #expect(try await refusal(world, .add(world.hosts.region, nil)).message.contains("changing its leader"))
        let old = try await ready(skills: [.pause])
        defer { old.remove() }
        #expect(try await refusal(old, .add(old.hosts.region, nil)).message.contains("cannot do it"))
    }
}
