import RoostHost
import RoostModel
import RoostPlanet
import RoostPlans
import RoostStore
import RoostWire
import Synchronization
import Testing

@testable import RoostControl
@testable import RoostPostgresControl

/// Removals to their very end, beside members that say that the store has gone back: whoever was removed goes, and then others
/// can come and go.
@Suite("Who was removed goes") struct RemovalTests {
    /// A cluster that is whole, and whose members say by their numbers who they are.
    private struct Scene {
        let world: ClusterWorld
        let fence: Transaction.Compare

        init(members count: Int = 3) async throws {
            world = try await ClusterWorld(hosts: 8)
            try await world.create(members: count)
            fence = try await world.takeDuty()
            #expect(try await world.settle(under: fence))
            try await world.becomeReady()
            var rule = try await rule()
            rule.confirmations = count / 2
            try await put(rule)
            for member in rule.members { try await say(member) { $0.skills = MemberSkill.known } }
        }

        func records() async throws -> Planet.ClusterRecords {
            try #require(try await world.look().clusters[world.cluster])
        }

        func rule() async throws -> ClusterRule { try #require(try await records().rule) }

        func put(_ rule: ClusterRule) async throws {
            _ = try await world.store.commit(
                Transaction(then: [try .put(rule, at: StoreKeys.clusterRule(world.cluster))]))
        }

        func say(_ member: MemberName, _ change: (inout MemberReport) -> Void) async throws {
            var report =
                try await records().reports[member]
                ?? MemberReport(
                    member: member, role: .standby, state: .running, promised: .first, position: nil, timeline: 1,
                    replayed: .zero, isStreaming: true, lagBytes: 0, lagMilliseconds: 0, skills: MemberSkill.known)
            change(&report)
            _ = try await world.store.commit(
                Transaction(then: [try .put(report, at: StoreKeys.report(world.cluster, member))]))
        }

        /// In one of the ways in which a member can have proof; it confirms all the same, as a liar may.
        func claim(_ number: Int, _ way: Int = 0) async throws {
            let (member, rule) = (try name(number), try await rule())
            let later = Reign(epoch: Epoch(500), leader: member, begin: LSN(1))
            try await say(member) { report in
                var knowledge = MemberKnowledge(opened: nil, history: rule.history, timeline: 1, position: nil)
                switch way % 3 {
                case 0: (knowledge.opened, knowledge.history) = (later, rule.history + [later])
                case 1:
                    var others = rule
                    others.changes = (rule.changes ?? 0) + 40
                    knowledge.membership = Membership(of: others)
                default: report.promised = Epoch(9)
                }
                report.knowledge = knowledge
            }
        }

        func name(_ number: Int) throws -> MemberName { try MemberName("db-\(number)") }

        /// As the leader does it.
        func takeSteps() async throws {
            var rule = try await rule()
            while let step = rule.change?.current {
                rule.change?.left.removeFirst()
                rule.change?.done.append(step)
                rule.members.removeAll { $0 == step.member }
                if step.kind == .add { rule.members.append(step.member) }
                rule.confirmations = rule.members.count / 2
                rule.changes = (rule.changes ?? 0) + 1
            }
            try await put(rule)
        }

        func ask(_ wish: MemberWish) async throws -> PlanetOperationID {
            try #require(try await world.directory.requestMembers(of: world.cluster, wish))
        }

        func refusal(_ wish: MemberWish) async throws -> String {
            try #require(await #expect(throws: Refusal.self) { try await ask(wish) }).message
        }

        /// All that there is to do, and what becomes of the operation.
        func end(of id: PlanetOperationID) async throws -> OperationRecord {
            #expect(try await world.settle(under: fence))
            try await world.keepOperations(under: fence)
            return try #require(try await world.look().operations[id])
        }

        func silence(_ numbers: Int...) throws {
            let names = Set(try numbers.map(name))
            world.ear.silent.withLock { $0 = names }
        }

        /// Machine, volume and every record.
        func isGone(_ number: Int) async throws -> Bool {
            let (member, records) = (try name(number), try await records())
            return records.placements[member] == nil && records.reports[member] == nil
                && records.spec?.members.contains { $0.name == member } == false
                && world.machines.allSatisfy { $0.order.name != member.text }
                && world.volumes.count == world.machines.count
        }
    }

    @Test("One with proof goes when it is removed, and then another can come", arguments: 0..<3, [true, false])
    func oneWithProof(way: Int, isReplaced: Bool) async throws {
        let scene = try await Scene()
        defer { scene.world.remove() }
        let leaver = try scene.name(3)
        try await scene.claim(3, way)
        let id = try await scene.ask(isReplaced ? .replace(leaver, nil, nil) : .remove(leaver))
        #expect(try await scene.world.settle(under: scene.fence))
        #expect(try await !scene.isGone(3), "nothing goes before the rule says so")
        try await scene.takeSteps()
        // It goes on saying so until it is gone.
        try await scene.claim(3, way)
        #expect(try await scene.end(of: id).state == .succeeded)
        #expect(try await scene.isGone(3))
        try await scene.say(try scene.name(isReplaced ? 4 : 2)) { _ in }
        let next = try await scene.ask(.add(scene.world.hosts.region, nil))
        try await scene.takeSteps()
        #expect(try await scene.end(of: next).state == .succeeded)
    }

    @Test("Whose neighbour lies goes as well, and then the liar", arguments: 0..<2)
    func neighbour(way: Int) async throws {
        let scene = try await Scene()
        defer { scene.world.remove() }
        try await scene.claim(2, way)
        // Of three one is too few to forbid it, and of the two that are left it is not one too many.
        for number in [3, 2] {
            let id = try await scene.ask(.remove(try scene.name(number)))
            try await scene.takeSteps()
            #expect(try await scene.end(of: id).state == .succeeded, "db-\(number)")
            #expect(try await scene.isGone(number))
        }
        #expect(scene.world.machines.count == 1)
    }

    @Test("Several liars, one after the other, as long as the leader and enough others go on")
    func several() async throws {
        let scene = try await Scene(members: 5)
        defer { scene.world.remove() }
        for (way, number) in [3, 4, 5].enumerated() { try await scene.claim(number, way) }
        #expect(try await scene.refusal(.add(scene.world.hosts.region, nil)).contains("roost pg recover"))
        #expect(try await scene.refusal(.remove(try scene.name(2))).contains("says db-3, db-4, db-5"))
        for number in [5, 4, 3] {
            let id = try await scene.ask(.remove(try scene.name(number)))
            try await scene.takeSteps()
            #expect(try await scene.end(of: id).state == .succeeded, "db-\(number)")
            #expect(try await scene.isGone(number))
        }
        #expect(try await scene.rule().members == [try scene.name(1), try scene.name(2)])
    }

    @Test("Who is kept by the word of too many is said, and goes when those are not heard any more")
    func kept() async throws {
        let scene = try await Scene(members: 4)
        defer { scene.world.remove() }
        let id = try await scene.ask(.remove(try scene.name(4)))
        try await scene.takeSteps()
        for number in [2, 3] { try await scene.claim(number, number - 1) }
        let look = try await scene.world.look()
        let plan = try #require(
            scene.world.reconciler.plan(
                for: scene.world.cluster, in: look, reachable: Set(scene.world.names)))
        let words = "db-4 is no member any more, and nothing of it is destroyed while db-2, db-3 say that the store"
        #expect(plan.steps.isEmpty && plan.obstacles.contains { $0.hasPrefix(words) }, "\(plan)")
        // Nor by a plan of before.
        let fence = scene.fence
        let isDone = try await scene.world.reconciler.carryOut(
            .retire(try scene.name(4)), for: scene.world.cluster, in: look, fence: fence)
        #expect(!isDone)
        #expect(try await !scene.isGone(4))
        // What is asked for now could be done, but for the one that has not gone.
        #expect(try await scene.refusal(.remove(try scene.name(3))).hasPrefix(words))
        try await scene.world.keepOperations(under: fence)
        #expect(try await scene.world.look().operations[id]?.state == .running)
        // One of them has been stopped.
        try scene.silence(3)
        #expect(try await scene.end(of: id).state == .succeeded)
        #expect(try await scene.isGone(4))
        _ = try await scene.ask(.remove(try scene.name(3)))
    }

    @Test("While the leader says so nothing is taken apart, until another leads or it is not heard")
    func leader() async throws {
        let scene = try await Scene()
        defer { scene.world.remove() }
        let id = try await scene.ask(.remove(try scene.name(3)))
        try await scene.takeSteps()
        try await scene.claim(1)
        #expect(try await !scene.world.settle(under: scene.fence))
        #expect(try await !scene.isGone(3))
        #expect(try await scene.refusal(.remove(try scene.name(2))).contains("says db-1"))
        try scene.silence(1)
        #expect(try await scene.end(of: id).state == .succeeded)
        #expect(try await scene.isGone(3))
    }

    @Test("One that was to come and says so is not taken back with what was given up, and is in nobody's way")
    func comer() async throws {
        let scene = try await Scene()
        defer { scene.world.remove() }
        _ = try await scene.ask(.add(scene.world.hosts.region, nil))
        #expect(try await scene.world.settle(under: scene.fence))
        for way in 0..<3 {
            try await scene.say(try scene.name(4)) { _ in }
            try await scene.claim(4, way)
            #expect(try await scene.world.directory.cancelChange(of: scene.world.cluster) == (way == 0))
            #expect(try await scene.world.settle(under: scene.fence))
            #expect(scene.world.machines.count == 4, "it may be all that there is")
            #expect(try await scene.records().absence(of: try scene.name(4)) == .unnamed)
        }
        let planet = try await scene.world.look()
        let body = try #require(ClusterStatus.body(of: scene.world.cluster, in: planet))
        #expect(body.status == .ready && body.detail?.contains("gone back") != true, "\(body)")
        let id = try await scene.ask(.remove(try scene.name(4)))
        try await scene.takeSteps()
        #expect(try await scene.end(of: id).state == .succeeded)
        #expect(try await scene.isGone(4))
    }

    @Test("No replacement is taken back, which destroys who comes, while the leader says that the store went back")
    func takenBack() async throws {
        let scene = try await Scene()
        defer { scene.world.remove() }
        let id = try await scene.ask(.replace(try scene.name(3), nil, nil))
        var rule = try await scene.rule()
        rule.change?.isAutomatic = true
        try await scene.put(rule)
        #expect(try await scene.world.settle(under: scene.fence))
        func takeBack() async throws(Refusal) -> Bool {
            try await scene.world.directory.takeBack(
                id.text, of: scene.world.cluster, because: "db-4 was not heard from", under: [scene.fence])
        }
        for way in 0..<3 {
            try await scene.claim(1, way)
            let refusal = await #expect(throws: Refusal.self) { try await takeBack() }
            #expect(refusal?.message.contains("roost pg recover") == true)
            #expect(try await scene.rule().change?.refusal == nil)
        }
        #expect(try await scene.world.settle(under: scene.fence))
        #expect(scene.world.machines.count == 4, "it may have all that there is")
        // One of three forbids nothing, unless it leads.
        try await scene.say(try scene.name(1)) { ($0.knowledge, $0.promised) = (nil, .first) }
        try await scene.claim(2)
        #expect(try await takeBack())
        #expect(try await scene.rule().change?.refusal == "db-4 was not heard from")
    }

    @Test("Nothing is missing to a cluster because one says so that is no member of it")
    func nothingIsMissing() async throws {
        let scene = try await Scene()
        defer { scene.world.remove() }
        let id = try await scene.ask(.remove(try scene.name(3)))
        try await scene.takeSteps()
        try await scene.claim(3)
        let (planet, rule) = (try await scene.world.look(), try await scene.rule())
        let body = try #require(ClusterStatus.body(of: scene.world.cluster, in: planet))
        #expect(body.detail?.contains("roost pg recover") != true && body.status == .ready, "\(body)")
        let voices = ClusterVoices(members: Set(rule.members + [try scene.name(3)]), isLeaderRenewing: true)
        let recovery = try await scene.world.directory.recovery(of: scene.world.cluster, hearing: voices)
        #expect(recovery.proposal == nil)
        #expect(recovery.obstacle?.contains("nothing is missing to the cluster. db-3") == true, "\(recovery)")
        #expect(try await scene.end(of: id).state == .succeeded)
    }

    @Test("One that never said a word, or leaves a skill out, can be removed and replaced; those that stay need it")
    func withoutAWord() async throws {
        for isMute in [true, false] {
            let scene = try await Scene()
            defer { scene.world.remove() }
            let leaver = try scene.name(3)
            if isMute {
                _ = try await scene.world.store.commit(
                    Transaction(then: [.delete(.key(StoreKeys.report(scene.world.cluster, leaver)))]))
            } else {
                try await scene.say(leaver) { $0.skills = [] }
            }
            #expect(try await scene.refusal(.add(scene.world.hosts.region, nil)).contains("program of db-3 cannot"))
            let other = try await scene.refusal(.replace(try scene.name(2), nil, nil))
            #expect(other.contains("program of db-3 cannot do it") && other.contains("roost pg member replace"))
            let id = try await scene.ask(isMute ? .replace(leaver, nil, nil) : .remove(leaver))
            #expect(try await scene.world.settle(under: scene.fence))
            try await scene.takeSteps()
            #expect(try await scene.end(of: id).state == .succeeded)
            #expect(try await scene.isGone(3))
        }
    }

    @Test(
        "What a change leaves behind that gives way to another waits for its host only where that was asked",
        arguments: [true, false])
    func leftBehind(wasAsked: Bool) async throws {
        let scene = try await Scene(members: 4)
        defer { scene.world.remove() }
        let id = try await scene.ask(.remove(try scene.name(3)))
        let place = try #require(try await scene.records().placements[try scene.name(3)])
        try await scene.takeSteps()
        let planet = try await scene.world.look()
        let isOff = try await scene.world.reconciler.carryOut(
            .retire(place.member), for: scene.world.cluster, in: planet, fence: scene.fence)
        #expect(isOff)
        if wasAsked {
            try await scene.world.reconciler.note(
                "its host does not answer", failed: [.remove(place)], on: scene.world.cluster,
                in: try await scene.world.look(), fence: scene.fence)
        }
        _ = try await scene.ask(.remove(try scene.name(4)))
        let ended = try #require(try await scene.world.look().operations[id])
        let words = "what is left of db-3 " + (wasAsked ? "goes when its host answers" : "is not gone yet")
        #expect(ended.state == .succeeded && ended.result?.hasSuffix(words) == true, "\(ended)")
    }

    @Test("A removal has not ended because something else is in the way: only where its own host could not do it")
    func anothersObstacle() async throws {
        let scene = try await Scene()
        defer { scene.world.remove() }
        let id = try await scene.ask(.remove(try scene.name(3)))
        let place = try #require(try await scene.records().placements[try scene.name(3)])
        try await scene.takeSteps()
        // Off the list; its host has not been asked yet.
        let planet = try await scene.world.look()
        try await scene.world.reconciler.carryOut(
            .retire(place.member), for: scene.world.cluster, in: planet, fence: scene.fence)
        func note(_ failed: [ClusterPlan.Step]) async throws -> OperationRecord {
            let planet = try await scene.world.look()
            try await scene.world.reconciler.note(
                "db-2 and its host are not heard from", failed: failed, on: scene.world.cluster, in: planet,
                fence: scene.fence)
            try await scene.world.keepOperations(under: scene.fence)
            return try #require(try await scene.world.look().operations[id])
        }
        #expect(try await note([]).state == .running)
        #expect(try await note([.make(place)]).state == .running)
        let ended = try await note([.remove(place)])
        #expect(ended.state == .succeeded && ended.result?.contains("what is left of db-3 goes when") == true)
    }
}
