import RoostHost
import RoostLinux
import RoostModel
import RoostPlanet
import RoostPlans
import RoostStore
import RoostWire
import Testing

@testable import RoostControl
@testable import RoostPostgresControl

/// A failover that a person decides: what is shown, what is written, and what becomes of those that were given up.
@Suite("A failover that a person decides") struct ForcedFailoverTests {
    /// Of three members two are lost, the primary among them, and the third has answered the call.
    private struct Scene {
        let world: ClusterWorld
        let fence: Transaction.Compare
        let names: [MemberName]

        init() async throws {
            world = try await ClusterWorld(hosts: 8)
            try await world.create(members: 3)
            fence = try await world.takeDuty()
            #expect(try await world.settle(under: fence))
            try await world.becomeReady()
            names = try (1...3).map { try MemberName("db-\($0)") }
            var rule = try await rule()
            rule.recruitment = Recruitment(epoch: Epoch(2), proposer: names[1], reason: .leaderSilent)
            try await put(rule)
            try await say(1) { $0.position = Position(epoch: .first, end: LSN(1500)) }
            try await say(2) { report in
                report.state = .waiting
                report.promised = Epoch(2)
                report.position = Position(epoch: .first, end: LSN(1000))
                report.chain = rule.history
                report.committedAt = 1_767_323_045_000
            }
            try await say(3) { $0.position = Position(epoch: .first, end: LSN(900)) }
        }

        /// The second is heard.
        var voices: ClusterVoices { hearing(1) }

        /// As long as nobody has renewed the lease since.
        func hearing(_ beat: UInt64?) -> ClusterVoices {
            var voices = ClusterVoices(members: [names[1]])
            voices.leaderBeat = beat
            voices.quiet = [
                MemberQuiet(member: names[0], milliseconds: 60_000),
                MemberQuiet(member: names[2], milliseconds: 90_000),
            ]
            voices.leaderQuietMilliseconds = 60_000
            return voices
        }

        func records() async throws -> Planet.ClusterRecords {
            try #require(try await world.look().clusters[world.cluster])
        }

        func rule() async throws -> ClusterRule { try #require(try await records().rule) }

        func put(_ rule: ClusterRule) async throws {
            _ = try await world.store.commit(
                Transaction(then: [try .put(rule, at: StoreKeys.clusterRule(world.cluster))]))
        }

        func say(_ number: Int, _ change: (inout MemberReport) -> Void) async throws {
            let member = names[number - 1]
            var report = try #require(try await records().reports[member])
            report.skills = MemberSkill.known
            report.data = .whole
            change(&report)
            _ = try await world.store.commit(
                Transaction(then: [try .put(report, at: StoreKeys.report(world.cluster, member))]))
        }

        func look(to member: Int? = nil, _ voices: ClusterVoices? = nil) async throws -> FailoverBody {
            try await world.directory.failover(
                of: world.cluster, to: member.map { names[$0 - 1] }, hearing: voices ?? self.voices)
        }

        func wish(_ body: FailoverBody) throws -> FailoverWish {
            FailoverWish(
                revision: body.revision, proposal: try #require(body.proposal), acceptsDataLoss: true, by: "ann@desk")
        }

        func decide(_ wish: FailoverWish, _ voices: ClusterVoices? = nil) async throws -> PlanetOperationID {
            try await world.directory.decideFailover(of: world.cluster, as: wish, hearing: voices ?? self.voices)
        }

        func refusal(_ wish: FailoverWish, _ voices: ClusterVoices? = nil) async throws -> String {
            let before = try await rule()
            let refusal = await #expect(throws: Refusal.self) { _ = try await decide(wish, voices) }
            #expect(try await rule() == before)
            return refusal?.message ?? ""
        }

        /// As the named one does it.
        func elect() async throws -> ClusterRule {
            var rule = try await rule()
            let call = try #require(rule.recruitment)
            let member = try #require(call.target)
            rule.recruitment = nil
            rule.epoch = call.epoch
            rule.leader = member
            rule.history.append(Reign(epoch: call.epoch, leader: member, begin: LSN(1000)))
            try await put(rule)
            let beat = Heartbeat(epoch: call.epoch, leader: member, sequence: 1, isOpen: true)
            _ = try await world.store.commit(
                Transaction(then: [try .put(beat, at: StoreKeys.clusterHeartbeat(world.cluster))]))
            return rule
        }
    }

    @Test("What may be lost is shown: who is missing since when, how far each is, and what lies between")
    func shown() async throws {
        let scene = try await Scene()
        defer { scene.world.remove() }
        let before = try await scene.rule()
        let body = try await scene.look()
        #expect(
            body.members.map(\.name) == [scene.names[1], scene.names[0], scene.names[2]], "from the best to the worst")
        #expect(body.members.map(\.isHeard) == [true, false, false])
        #expect(body.members.map(\.silentMilliseconds) == [nil, 60_000, 90_000])
        #expect(body.members[0].lastCommit == TimeText.of(1_767_323_045_000) && body.members[0].obstacle == nil)
        let proposal = try #require(body.proposal, "\(body)")
        #expect(proposal.member == scene.names[1] && proposal.keeps == [scene.names[1]] && proposal.calls == Epoch(4))
        #expect(proposal.furthest?.member == scene.names[0] && proposal.furthest?.bytes == 500)
        #expect(try await scene.rule() == before)
        let dead = try await scene.look(to: 3)
        #expect(
            dead.proposal == nil && dead.obstacle?.contains("db-3 cannot be made the leader: it is not heard") == true)
        // Two are enough for an election that loses nothing.
        var two = scene.voices
        two.members.insert(scene.names[2])
        let safe = try await scene.look(to: 2, two)
        #expect(safe.proposal == nil && safe.obstacle?.contains("lose nothing by it") == true, "\(safe)")
        // The leader's lease may still run.
        var early = scene.voices
        early.leaderQuietMilliseconds = 6500
        #expect(try await scene.look(to: 2, early).obstacle?.contains("renewed its lease a moment ago") == true)
    }

    @Test("What was shown is decided, once, with evidence in the rule and an operation that ends")
    func decided() async throws {
        let scene = try await Scene()
        defer { scene.world.remove() }
        var asked = try await scene.rule()
        asked.switchover = SwitchoverRequest(id: "old", target: nil)
        try await scene.put(asked)
        let wish = try scene.wish(try await scene.look(to: 2))
        var unwilling = wish
        unwilling.acceptsDataLoss = false
        #expect(try await scene.refusal(unwilling).contains("accept_data_loss"))
        var other = wish
        other.proposal.givesUp = [scene.names[2]]
        #expect(try await scene.refusal(other).contains("not what was shown"))
        other = wish
        other.proposal.furthest?.bytes = 10
        #expect(try await scene.refusal(other).contains("not what was shown"), "more is lost than was shown")
        other = wish
        other.revision -= 1
        #expect(try await scene.refusal(other).contains("has changed since"))
        other = wish
        other.by = String(repeating: "x", count: 200)
        #expect(try await scene.refusal(other).contains("at most 128 bytes"))
        // The leader is back since its silence was counted, whoever has heard it yet; or nobody has counted.
        let beat = Heartbeat(epoch: .first, leader: scene.names[0], sequence: 900, isOpen: true)
        let key = StoreKeys.clusterHeartbeat(scene.world.cluster)
        _ = try await scene.world.store.commit(Transaction(then: [try .put(beat, at: key)]))
        #expect(try await scene.refusal(wish).contains("has renewed its lease since"))
        var uncounted = scene.hearing(900)
        uncounted.leaderQuietMilliseconds = nil
        #expect(try await scene.refusal(wish, uncounted).contains("nobody has counted"))
        let id = try await scene.decide(wish, scene.hearing(900))
        let rule = try await scene.rule()
        #expect(rule.members == [scene.names[1]] && rule.confirmations == 0 && rule.changes == 1)
        #expect(rule.recruitment?.reason == .forced && rule.recruitment?.target == scene.names[1])
        #expect(rule.switchover == nil && rule.forced?.id == id.text && rule.forced?.by == "ann@desk")
        #expect(try await scene.refusal(wish).contains("has changed since"), "twice at once")
        let again = try await scene.look(to: 2)
        #expect(again.proposal == nil && again.obstacle?.contains("lose nothing") == true, "it is under way: \(again)")
        try await scene.world.keepOperations(under: scene.fence)
        #expect(try await scene.world.look().operations[id]?.state == .running)
        _ = try await scene.elect()
        try await scene.world.keepOperations(under: scene.fence)
        let operation = try #require(try await scene.world.look().operations[id])
        #expect(operation.state == .succeeded && operation.kind == .forcedFailover, "\(operation)")
        #expect(operation.steps.first?.name.contains("a person has decided that db-2 leads") == true)
    }

    @Test("Who was given up is kept and shown until it is removed, and nobody is replaced for it")
    func givenUp() async throws {
        let scene = try await Scene()
        defer { scene.world.remove() }
        let (machines, cluster) = (scene.world.machines.count, scene.world.cluster)
        _ = try await scene.decide(try scene.wish(try await scene.look(to: 2)))
        let rule = try await scene.elect()
        #expect(try await scene.world.settle(under: scene.fence))
        #expect(scene.world.machines.count == machines, "nothing of it is touched")
        let records = try await scene.records()
        #expect(records.departed.isEmpty && records.spec?.members.count == 3)
        for number in [1, 3] { #expect(records.absence(of: scene.names[number - 1]) == .unnamed) }
        let body = try #require(ClusterStatus.body(of: cluster, in: try await scene.world.look()))
        #expect(body.forced?.kept == [scene.names[0], scene.names[2]] && body.forced?.member == scene.names[1])
        let line = try #require(body.members.first { $0.name == scene.names[2] })
        #expect(line.state == "no member", "\(line)")
        // A person adds one, and has one removed that was given up.
        let comer = try #require(
            try await scene.world.directory.requestMembers(of: cluster, .add(scene.world.hosts.region, nil)))
        #expect(try await scene.rule().change?.id == comer.text)
        var cancelled = rule
        cancelled.change = nil
        try await scene.put(cancelled)
        _ = try #require(try await scene.world.directory.requestMembers(of: cluster, .remove(scene.names[2])))
        var taken = try await scene.rule()
        let steps = taken.change?.left ?? []
        taken.change?.done = steps
        taken.change?.left = []
        try await scene.put(taken)
        #expect(try await scene.records().departed.contains(scene.names[2]))
        #expect(try await scene.world.settle(under: scene.fence))
        #expect(try await scene.records().spec?.members.contains { $0.name == scene.names[2] } == false)
        #expect(try await scene.records().spec?.members.contains { $0.name == scene.names[0] } == true)
    }

    @Test("One that was to come is given up, and not destroyed, with the change that ends")
    func comers() async throws {
        let scene = try await Scene()
        defer { scene.world.remove() }
        var rule = try await scene.rule()
        rule.recruitment = nil
        try await scene.put(rule)
        _ = try await scene.world.directory.requestMembers(
            of: scene.world.cluster, .add(scene.world.hosts.region, nil))
        rule = try await scene.rule()
        rule.recruitment = Recruitment(epoch: Epoch(2), proposer: scene.names[1], reason: .leaderSilent)
        try await scene.put(rule)
        _ = try await scene.decide(try scene.wish(try await scene.look(to: 2)))
        let records = try await scene.records()
        let comer = try MemberName("db-4")
        #expect(records.rule?.change?.refusal == ForcedFailover.refusalOfWishes)
        #expect(records.rule?.forced?.givenUp.contains(comer) == true)
        #expect(!records.departed.contains(comer), "it may have a copy of what nobody else has")
    }

    @Test("A leader that is heard and lets clients in is not put aside")
    func leaderServes() async throws {
        let scene = try await Scene()
        defer { scene.world.remove() }
        var rule = try await scene.rule()
        rule.recruitment = nil
        try await scene.put(rule)
        var voices = ClusterVoices(members: Set(scene.names), isLeaderRenewing: true)
        voices.leaderQuietMilliseconds = 100
        for number in [2, 3] {
            try await scene.say(number) {
                $0.promised = .first; $0.isStreaming = true
            }
        }
        let body = try await scene.look(to: 2, voices)
        #expect(body.proposal == nil && body.obstacle?.contains("roost pg switchover") == true, "\(body)")
        // Alone it has all of it, and may go on alone.
        voices.members = [scene.names[0]]
        for number in [2, 3] { try await scene.say(number) { $0.isStreaming = false } }
        let alone = try await scene.look(to: 1, voices)
        #expect(alone.proposal?.keeps == [scene.names[0]] && alone.proposal?.furthest == nil, "\(alone)")
        let id = try await scene.decide(try scene.wish(alone), voices)
        #expect(try await scene.rule().forced?.id == id.text)
    }
}
