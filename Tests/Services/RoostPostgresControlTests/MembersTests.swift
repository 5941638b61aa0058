import RoostFailover
import RoostModel
import RoostPlans
import RoostStore
import Testing

@testable import RoostControl
@testable import RoostPlanet
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

    @Test(
        "A change of members that another replaces before anybody looked has ended as it had", arguments: [true, false])
    func changeThatNobodySawEnd(isDone: Bool) async throws {
        let world = try await ready()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        let id = try #require(try await ask(world, .remove(try MemberName("db-3"))))
        if isDone {
            try await takeStep(world)
            #expect(try await world.settle(under: fence))
        } else {
            try await world.directory.cancelChange(of: world.cluster)
        }
        let next = try #require(try await ask(world, .add(world.hosts.region, world.names[3])))
        try await world.keepOperations(under: fence)
        let operations = try await world.look().operations
        let (ended, words) = (operations[id], operations[id]?.result ?? "")
        #expect(ended?.state == (isDone ? .succeeded : .failed), "\(words)")
        #expect(
            words.hasPrefix(isDone ? "the members are db-1, db-2" : "it was taken back; the members are"), "\(words)")
        #expect(ended?.steps.contains { $0.name == "db-3 is no member any more" } == isDone)
        #expect(operations[next]?.state == .running)
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
        #expect(try await records(world).absence(of: comer) == .joining)
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
        // Also where nobody looked in the moment between.
        #expect(ended.steps.map(\.name).contains("db-4 has a copy and follows"))
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
        #expect(try await world.directory.cancelChange(of: world.cluster))
        #expect(try await !world.directory.cancelChange(of: world.cluster), "nothing is under way any more")
        let fence = try await world.takeDuty()
        #expect(try await world.settle(under: fence))
        try await world.keepOperations(under: fence)
        let taken = try #require(try await world.look().operations[id])
        #expect(taken.state == .failed)
        #expect(!taken.steps.contains { $0.name.contains("db-4 is no member any more") }, "it never was one")
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

    @Test("A replacement that goes on somewhere else is not the one that is asked for")
    func replacedElsewhere() async throws {
        let world = try await ready()
        defer { world.remove() }
        let (leaver, elsewhere) = (try MemberName("db-2"), try RegionCode("iad"))
        let id = try #require(try await ask(world, .replace(leaver, elsewhere, nil)))
        #expect(try await ask(world, .replace(leaver, elsewhere, nil)) == id)
        for wish in [MemberWish.replace(leaver, nil, nil), .replace(leaver, world.hosts.region, nil)] {
            #expect(try await refusal(world, wish).message.contains(id.text))
        }
    }

    @Test("A replacement's steps are told in the order in which they came, whoever notes them first")
    func stepsOfAReplacement() async throws {
        let world = try await ready()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        let id = try #require(try await ask(world, .replace(try MemberName("db-2"), nil, nil)))
        #expect(try await world.settle(under: fence))
        for _ in 0..<2 { try await takeStep(world) }
        // The plan's steps first, and then what members did.
        #expect(try await world.settle(under: fence))
        try await world.keepOperations(under: fence)
        let steps = try #require(try await world.look().operations[id]?.steps.map(\.name))
        let both = steps.filter { $0.contains("member") }
        #expect(both == ["db-4 is a member", "db-2 is no member any more"], "\(steps)")
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

    @Test("Who is no member is not found, whatever else goes on; nobody waits for what cannot come")
    func strangers() async throws {
        let world = try await ready()
        defer { world.remove() }
        let (stranger, directory, cluster) = (try MemberName("db-9"), world.directory, world.cluster)
        func notFound(_ when: String) async throws {
            for wish in [MemberWish.remove(stranger), .replace(stranger, nil, nil)] {
                #expect(try await refusal(world, wish).code == .notFound, "\(wish), \(when)")
            }
            let refusals = [
                await #expect(throws: Refusal.self) {
                    try await directory.requestSwitchover(of: cluster, to: stranger)
                },
                await #expect(throws: Refusal.self) {
                    try await directory.requestRestart(of: cluster, stranger, handsOver: true, within: .seconds(60))
                },
            ]
            for refusal in refusals {
                #expect(refusal?.code == .notFound && refusal?.message.contains("db-1, db-2, db-3") == true, "\(when)")
            }
        }
        try await notFound("nothing goes on")
        let (second, third) = (try MemberName("db-2"), try MemberName("db-3"))
        let id = try await directory.requestSwitchover(of: cluster, to: second)
        try await notFound("a switchover")
        for target in [second, third, nil] {
            let other = await #expect(throws: Refusal.self) {
                try await directory.requestSwitchover(of: cluster, to: target)
            }
            #expect(other?.code == .failedPrecondition, "there is such a member")
            #expect(other?.message.contains("a switchover to db-2 is under way already, operation \(id)") == true)
            #expect(other?.message.contains("roost operations show \(id)") == true)
        }
        _ = try await ask(world, .add(world.hosts.region, nil))
        try await notFound("a change of members")
        #expect(try await refusal(world, .remove(third)).code == .failedPrecondition)
        var called = try await rule(world)
        called.recruitment = Recruitment(epoch: Epoch(2), proposer: called.members[1], reason: .leaderSilent)
        called.change = nil
        _ = try await world.store.commit(
            Transaction(then: [try .put(called, at: StoreKeys.clusterRule(world.cluster))]))
        try await notFound("an election")
        #expect(try await refusal(world, .remove(third)).code == .failedPrecondition)
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

    private func write(_ world: ClusterWorld, _ change: (inout ClusterRule) -> Void) async throws {
        var rule = try await rule(world)
        change(&rule)
        _ = try await world.store.commit(Transaction(then: [try .put(rule, at: StoreKeys.clusterRule(world.cluster))]))
    }

    @Test("A rule that lacks members takes nobody apart: somebody has to have asked for that")
    func aShortRule() async throws {
        let world = try await ready()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        try await write(world) { $0.members.removeLast(2) }
        #expect(try await world.settle(under: fence))
        #expect(world.machines.count == 3 && world.volumes.count == 3)
        let third = try MemberName("db-3")
        #expect(try await records(world).absence(of: third) == .unnamed)
        // Whoever looked at it says so.
        _ = try #require(try await ask(world, .remove(third)))
        try await write(world) { rule in
            let left = rule.change?.left ?? []
            rule.change?.done = left
            rule.change?.left = []
        }
        #expect(try await world.settle(under: fence))
        #expect(world.machines.count == 2 && world.volumes.count == 2)
    }

    @Test(
        "In a store that went back nobody who was still to come is taken back, and nothing is taken apart",
        arguments: [true, nil])
    func aStoreThatWentBack(flag: Bool?) async throws {
        let world = try await ready()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        _ = try #require(try await ask(world, .replace(try MemberName("db-2"), nil, nil)))
        #expect(try await world.settle(under: fence))
        #expect(world.machines.count == 4)
        var knowing = try #require(try await records(world).reports[try MemberName("db-1")])
        let key = StoreKeys.report(world.cluster, knowing.member)
        knowing.promised = Epoch(9)
        knowing.knowledge = MemberKnowledge(opened: nil, history: [], timeline: nil, position: nil)
        _ = try await world.store.commit(Transaction(then: [try .put(knowing, at: key)]))
        let before = try await rule(world)
        await #expect(throws: Refusal.self) { try await world.directory.cancelChange(of: world.cluster) }
        #expect(try await rule(world) == before)
        // A step that was in the copy, too.
        try await takeStep(world)
        try await takeStep(world)
        #expect(try await records(world).departed.map(\.text) == ["db-2"])
        #expect(try await !world.settle(under: fence), "what is kept is said, and looked at again")
        #expect(world.machines.count == 4 && world.volumes.count == 4)
        // A rule that was put right gives up what was asked for, and destroys nobody by that.
        try await write(world) { rule in
            rule.members = before.members
            rule.change = before.change
            // In a rule that was put right by a version before, the words alone say so.
            rule.change?.refusal = MemberChange.refusalOfLostStore
            rule.change?.storeWentBack = flag
        }
        knowing.knowledge = nil
        _ = try await world.store.commit(Transaction(then: [try .put(knowing, at: key)]))
        #expect(try await world.settle(under: fence))
        #expect(world.machines.count == 4 && world.volumes.count == 4)
    }

    @Test("A leader that refuses in the store's words keeps nobody from being taken apart, and cannot set the flag")
    func wordsOfALeader() async throws {
        let world = try await ready()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        _ = try #require(try await ask(world, .add(world.hosts.region, nil)))
        #expect(try await world.settle(under: fence))
        let before = try await rule(world)
        var forged = before
        forged.change?.refusal = MemberChange.refusalOfLostStore
        for flag in [false, true, nil] {
            forged.change?.storeWentBack = flag
            #expect(throws: UnlawfulChange.self) { try forged.check(asChangeOf: before, by: before.leader) }
        }
        for flag in [true, nil] {
            forged = before
            forged.change?.refusal = "db-2 is back"
            forged.change?.memberReturned = flag
            #expect(throws: UnlawfulChange.self) { try forged.check(asChangeOf: before, by: before.leader) }
        }
        // And where a host of a version before has let it: the flag decides, not the words.
        try await write(world) { $0.change?.refusal = MemberChange.refusalOfLostStore }
        #expect(try await world.settle(under: fence))
        #expect(world.machines.count == 3 && world.volumes.count == 3)
    }

    @Test("What a plan of before would destroy is looked up once more, and stays when it is wanted")
    func anOldPlan() async throws {
        let world = try await ready()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        _ = try #require(try await ask(world, .add(world.hosts.region, nil)))
        #expect(try await world.settle(under: fence))
        let planet = try await world.look()
        let placement = try #require(planet.clusters[world.cluster]?.placements[try MemberName("db-4")])
        #expect(
            try await !world.reconciler.carryOut(.remove(placement), for: world.cluster, in: planet, fence: fence))
        #expect(world.machines.count == 4 && world.volumes.count == 4)
        // One that cannot read the present spec plans nothing from the one it has kept.
        var old = planet
        let key = StoreKeys.clusterSpec(world.cluster)
        old.apply(
            .changes(
                [.put(Entry(key: key, value: Array("?".utf8), created: Revision(1), modified: Revision(99)))],
                revision: Revision(99)))
        #expect(world.reconciler.plan(for: world.cluster, in: old, reachable: Set(world.names)) == nil)
    }

    @Test("A number that a host's machine or a member tells of is not given again, whatever the store knows")
    func numbersThatTheStoreForgot() async throws {
        let world = try await ready()
        defer { world.remove() }
        let (spec, present) = (try #require(try await records(world).spec), try await rule(world))
        var seen = try await records(world)
        func next(_ published: Set<MemberName> = []) throws -> [String] {
            try MemberWish.add(world.hosts.region, nil).course(of: spec, seen, present, beside: published).steps.map(
                \.member.text)
        }
        #expect(try next() == ["db-4"])
        #expect(try next([try MemberName("db-7"), try MemberName("other-9")]) == ["db-8"])
        var knowing = try #require(seen.reports[try MemberName("db-1")])
        var later = present
        later.members.append(try MemberName("db-5"))
        later.changes = 1
        knowing.knowledge = MemberKnowledge(
            opened: nil, history: [], timeline: nil, position: nil, membership: Membership(of: later))
        _ = try await world.store.commit(
            Transaction(then: [try .put(knowing, at: StoreKeys.report(world.cluster, knowing.member))]))
        seen = try await records(world)
        #expect(try next() == ["db-6"])
    }

    @Test(
        "What members say uses up no numbers: little of it is believed, and of this cluster",
        arguments: ["report", "knowledge", "rule"])
    func numbersThatSomebodyMadeUp(place: String) async throws {
        let world = try await ready()
        defer { world.remove() }
        let present = try await records(world)
        var spec = try #require(present.spec)
        func last(_ names: [String]) throws -> Int {
            var seen = present
            let reigns = try names.enumerated().map { index, name in
                Reign(epoch: Epoch(UInt64(index) + 1), leader: try MemberName(name), begin: .zero)
            }
            switch place {
            case "rule": seen.rule?.history = reigns
            case "report": seen.reports[try MemberName("db-2")]?.chain = reigns
            default:
                seen.reports[try MemberName("db-2")]?.knowledge = MemberKnowledge(
                    opened: nil, history: reigns, timeline: nil, position: nil)
            }
            return seen.lastNumber(of: spec, beside: [])
        }
        #expect(try last(["db-998"]) == 3 && last(["db-13"]) == 3 && last(["other-5", "db-04"]) == 3)
        #expect(try last(["db-12"]) == 12 && last(["db-998", "db-5"]) == 5)
        spec.lastNumber = 20
        #expect(try last(["db-29"]) == 29 && last(["db-30"]) == 20)
        spec.lastNumber = 995
        #expect(try last(["db-999"]) == 995 && last(["db-997"]) == 997)
        spec.lastNumber = 999
        #expect(try last(["db-999"]) == 999)
    }

    @Test("A cluster is made of numbers above those of machines that are still there from one of its name")
    func numbersOfAFormerCluster() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        func directory(beside former: [String]) throws -> ClusterDirectory {
            let names = Set(try former.map { try MemberName($0) })
            return ClusterDirectory(
                store: world.store, prefixes: [try IPv4Prefix("203.0.113.0/24")], keepsSecretsApart: { true },
                published: { $0 == world.cluster ? names : [] }
            ) { _, _ in
                ClusterSecrets(
                    ownerPassword: "a", replicationPassword: "b", authorityCertificate: "c", serverCertificate: "d",
                    serverKey: "e")
            }
        }
        let order = ClusterDirectory.Order(
            name: world.cluster, regions: Array(repeating: world.hosts.region, count: 3), volumeSize: .gibibytes(1),
            guest: MachineGuest(cpuKind: .shared, cpus: 1, memoryMebibytes: 512), image: "docker.example/postgres:17")
        let refusal = try #require(
            await #expect(throws: Refusal.self) { try await directory(beside: ["db-997"]).create(order) })
        #expect(refusal.code == .failedPrecondition && refusal.message.contains("db-997"))
        let spec = try await directory(beside: ["db-2", "db-4", "other-9"]).create(order)
        #expect(spec.members.map(\.name.text) == ["db-5", "db-6", "db-7"] && spec.lastNumber == 7)
        #expect(try await records(world).spec == spec)
    }

    @Test("How many there are to be in one region is no word on a change in another")
    func scalingElsewhere() async throws {
        let world = try await ready()
        defer { world.remove() }
        let elsewhere = try RegionCode("iad")
        let id = try #require(try await ask(world, .scale([world.hosts.region: 4])))
        #expect(try await ask(world, .scale([world.hosts.region: 4])) == id)
        #expect(try await ask(world, .scale([elsewhere: 0])) == nil, "it is so, and stays so")
        #expect(try await refusal(world, .scale([elsewhere: 1])).code == .failedPrecondition)
        #expect(try await refusal(world, .scale([world.hosts.region: 3])).code == .failedPrecondition)
    }
}
