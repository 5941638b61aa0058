import RoostLinux
import RoostModel
import RoostPlanet
import RoostStore
import RoostWire
import Testing

@testable import RoostControl
@testable import RoostPostgresControl

/// What operators ask of a cluster that runs.
@Suite("Maintenance") struct MaintenanceTests {
    private func rule(_ world: ClusterWorld) async throws -> ClusterRule {
        try #require(try await world.look().clusters[world.cluster]?.rule)
    }

    /// A cluster whose members can do what this version can.
    private func ready(skills: [MemberSkill]? = MemberSkill.known) async throws -> ClusterWorld {
        let world = try await ClusterWorld()
        try await world.create()
        try await world.becomeReady()
        let reports = try #require(try await world.look().clusters[world.cluster]?.reports)
        let puts = try reports.values.map { report in
            var report = report
            report.skills = skills
            return try Transaction.Operation.put(report, at: StoreKeys.report(world.cluster, report.member))
        }
        _ = try await world.store.commit(Transaction(then: puts))
        return world
    }

    @Test("A pause is in the rule, is counted anew when it is asked for again, and ends when somebody says so")
    func pause() async throws {
        let world = try await ready()
        defer { world.remove() }
        for length in [Duration.seconds(3600), .seconds(60)] {
            let before = WallClock.milliseconds()
            try await world.directory.pause(world.cluster, for: length)
            let pause = try #require(try await rule(world).pause)
            #expect(pause.length == length && (before...WallClock.milliseconds()).contains(pause.beganAt))
        }
        for isPaused in [true, false] {
            let found = try await world.directory.resume(world.cluster)
            #expect((found?.length == .seconds(60)) == isPaused && (found == nil) == !isPaused)
            #expect(try await rule(world).pause == nil)
        }
    }

    @Test("Who ends a pause is told which it was, that it was over by itself, or that there was none")
    func whatAResumeFound() {
        let (pause, uncounted) = (WishTerm(beganAt: 1_000_000, length: .seconds(60)), ClusterVoices())
        #expect(
            ClusterStatus.resumed(pause, hearing: uncounted, at: 1_030_000)
                == ResumedState(wasPaused: true, endsAt: TimeText.of(1_060_000)))
        #expect(
            ClusterStatus.resumed(pause, hearing: uncounted, at: 1_060_000)
                == ResumedState(wasPaused: false, endsAt: TimeText.of(1_060_000)))
        #expect(ClusterStatus.resumed(nil, hearing: uncounted, at: 0) == ResumedState(wasPaused: false, endsAt: nil))
        var odd = pause
        for end in [Int64.min, -1, 999_999] {
            odd.endsAt = end
            #expect(
                ClusterStatus.resumed(odd, hearing: uncounted, at: 1_030_000)
                    == ResumedState(wasPaused: false, endsAt: nil))
        }
        // By the clock on the wall it is over, or has just begun; who has heard it come knows.
        for clock: Int64 in [1_060_000 + 18_000_000, 1_000_000 - 18_000_000] {
            for left in [Duration.seconds(10), .zero] {
                let voices = ClusterVoices(terms: [TermLeft(term: pause, left: left)])
                #expect(ClusterStatus.resumed(pause, hearing: voices, at: clock).wasPaused == (left > .zero))
            }
            // It came after they were asked.
            #expect(ClusterStatus.resumed(pause, hearing: ClusterVoices(terms: []), at: clock).wasPaused)
        }
    }

    @Test("What members would not see is refused while the store has gone back, also what only ends something")
    func refusedBehindTheStore() async throws {
        let world = try await ready()
        defer { world.remove() }
        try await world.directory.pause(world.cluster, for: .seconds(60))
        let leader = try await rule(world).leader
        let key = StoreKeys.report(world.cluster, leader)
        var report = try #require(try await world.look().clusters[world.cluster]?.reports[leader])
        report.promised = Epoch(9)
        report.knowledge = MemberKnowledge(opened: nil, history: [], timeline: nil, position: nil)
        _ = try await world.store.commit(Transaction(then: [try .put(report, at: key)]))
        let before = try await rule(world)
        let calls: [(String, () async throws(Refusal) -> Void)] = [
            (
                "pause",
                { () async throws(Refusal) in try await world.directory.pause(world.cluster, for: .seconds(60)) }
            ),
            ("resume", { () async throws(Refusal) in try await world.directory.resume(world.cluster) }),
            ("restart", { () async throws(Refusal) in try await world.directory.cancelRestart(of: world.cluster) }),
            ("scale", { () async throws(Refusal) in try await world.directory.cancelChange(of: world.cluster) }),
        ]
        for (what, call) in calls {
            let refusal = await #expect(throws: Refusal.self, "\(what)") { try await call() }
            #expect(refusal?.code == .failedPrecondition && refusal?.message.contains("roost pg recover db") == true)
        }
        #expect(try await rule(world) == before)
    }

    @Test("A cluster that is well has nothing to be put right, whoever lets clients in and whoever is heard")
    func nothingToPutRight() async throws {
        let world = try await ready()
        defer { world.remove() }
        let rule = try await rule(world)
        let beat = Heartbeat(epoch: rule.epoch, leader: rule.leader, sequence: 7, isOpen: true)
        _ = try await world.store.commit(
            Transaction(then: [try .put(beat, at: StoreKeys.clusterHeartbeat(world.cluster))]))
        for voices in [
            ClusterVoices(), ClusterVoices(members: Set(rule.members), isLeaderRenewing: true),
        ] {
            let body = try await world.directory.recovery(of: world.cluster, hearing: voices)
            #expect(!body.isNeeded && body.proposal == nil, "\(body)")
            #expect(body.obstacle == "no member that is heard says that the store has gone back", "\(body)")
        }
    }

    private func change(_ world: ClusterWorld, _ change: (inout ClusterRule) -> Void) async throws {
        var rule = try await rule(world)
        change(&rule)
        _ = try await world.store.commit(Transaction(then: [try .put(rule, at: StoreKeys.clusterRule(world.cluster))]))
    }

    private func restart(_ world: ClusterWorld, _ member: String? = nil, handsOver: Bool = true) async throws
        -> PlanetOperationID
    {
        try await world.directory.requestRestart(
            of: world.cluster, try member.map { try MemberName($0) }, handsOver: handsOver, within: .seconds(60))
    }

    @Test("Whether a restart goes on is counted by the clock that nobody sets", arguments: [-5, 5])
    func restartByTheOwnClock(ahead: Int64) async throws {
        let world = try await ready()
        defer { world.remove() }
        let id = try await restart(world)
        // The clock of the host that is asked now is hours off from that of the one that was asked first.
        try await change(world) { $0.restart?.term.beganAt -= ahead * 3_600_000 }
        try await change(world) { $0.restart?.term.endsAt -= ahead * 3_600_000 }
        let term = try #require(try await rule(world).restart).term
        func ask(_ left: Duration) async throws -> PlanetOperationID {
            try await world.directory.requestRestart(
                of: world.cluster, nil, handsOver: true, within: .seconds(60),
                hearing: ClusterVoices(terms: [TermLeft(term: term, left: left)]))
        }
        #expect(try await ask(.seconds(30)) == id)
        let isUnderWay = try await world.directory.cancelRestart(
            of: world.cluster, hearing: ClusterVoices(terms: [TermLeft(term: term, left: .zero)]))
        #expect(!isUnderWay)
        #expect(try await ask(.zero) != id)
        let former = try await world.operations.find(id)
        #expect(former?.state == .failed && former?.result?.contains("its time was over") == true)
    }

    @Test("A restart begins with its operation, is one as often as it is asked for, and ends as members say")
    func restart() async throws {
        let world = try await ready()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        let id = try await restart(world)
        let wish = try #require(try await rule(world).restart)
        // The leader comes last.
        #expect(wish.left.map(\.text) == ["db-2", "db-3", "db-1"] && wish.handsOver && wish.id == id.text)
        #expect(try await restart(world) == id)
        let other = await #expect(throws: Refusal.self) { try await restart(world, "db-2", handsOver: false) }
        #expect(other?.message.contains("another restart is under way, operation \(id)") == true)
        #expect(other?.message.contains("roost pg restart db --cancel") == true)
        func operation() async throws -> OperationRecord { try #require(try await world.look().operations[id]) }
        try await change(world) { $0.restart?.left.removeFirst() }
        try await change(world) { $0.restart?.done = [$0.members[1]] }
        try await world.keepOperations(under: fence)
        #expect(try await operation().state == .running)
        #expect(try await operation().steps.map(\.name) == ["db-2's Postgres was started anew"])
        try await change(world) {
            $0.restart?.left = []
            $0.restart?.done = [$0.members[1], $0.members[2], $0.members[0]]
        }
        try await world.keepOperations(under: fence)
        #expect(try await operation().state == .succeeded)
        // One that is over gives way to the next, which is taken back.
        let next = try await restart(world, "db-3")
        #expect(try await rule(world).restart?.left.map(\.text) == ["db-3"])
        for isFirst in [true, false] {
            #expect(try await world.directory.cancelRestart(of: world.cluster) == isFirst)
        }
        try await world.keepOperations(under: fence)
        let ended = try #require(try await world.look().operations[next])
        #expect(
            ended.state == .failed
                && ended.result?.contains("taken back; not started anew by then: db-3 (one that had") == true)
    }

    @Test("A wish that another replaces before anybody looked has ended as it had, whatever came of it")
    func wishesThatNobodySawEnd() async throws {
        let world = try await ready()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        let done = try await restart(world, "db-3")
        try await change(world) {
            let left = $0.restart?.left ?? []
            $0.restart?.done = left
            $0.restart?.left = []
        }
        let refused = try await restart(world, "db-2")
        #expect(refused != done)
        try await change(world) { $0.restart?.refusal = "too few standbys stream" }
        let last = try await restart(world, "db-2")
        let target = try MemberName("db-2")
        let denied = try await world.directory.requestSwitchover(of: world.cluster, to: target)
        try await change(world) { $0.switchover?.refusal = "db-2 is not up to date" }
        _ = try await world.directory.requestSwitchover(of: world.cluster, to: target)
        try await world.keepOperations(under: fence)
        let operations = try await world.look().operations
        #expect(operations[done]?.state == .succeeded && operations[done]?.result == "db-3 was started anew")
        #expect(operations[done]?.steps.map(\.name) == ["db-3's Postgres was started anew"])
        let words = operations[refused]?.result ?? ""
        #expect(operations[refused]?.state == .failed && words.hasPrefix("too few standbys stream; not"), "\(words)")
        #expect(operations[denied]?.state == .failed && operations[denied]?.result == "db-2 is not up to date")
        #expect(operations[last]?.state == .running)
    }

    @Test("Of a restart that the rule has not any more it is said that nobody has seen its end")
    func restartThatIsLost() async throws {
        let world = try await ready()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        let id = try await restart(world, "db-3")
        try await change(world) { $0.restart = nil }
        try await world.keepOperations(under: fence)
        let ended = try #require(try await world.look().operations[id])
        #expect(ended.result?.contains("whether this one was done before, nobody has seen") == true, "\(ended)")
    }

    @Test("A restart whose time is over has failed, and who does not know it is not asked")
    func restartThatIsLate() async throws {
        let world = try await ready()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        let id = try await restart(world)
        try await change(world) { $0.restart?.term = WishTerm(beganAt: 0, length: .seconds(60)) }
        try await world.keepOperations(under: fence)
        let ended = try #require(try await world.look().operations[id])
        #expect(ended.state == .failed && ended.result?.contains("its time was over") == true)
        let nobody = await #expect(throws: Refusal.self) { try await restart(world, "db-9") }
        #expect(nobody?.code == .notFound && nobody?.message.contains("db-9 is not a member") == true)
        let old = try await ready(skills: [.pause])
        defer { old.remove() }
        let refusal = await #expect(throws: Refusal.self) { try await restart(old) }
        #expect(refusal?.message.contains("the program of db-2, db-3, db-1 cannot do it") == true)
    }

    @Test("A rule whose store went back is put right by what members know, once, and not under an open leader")
    func recovery() async throws {
        let world = try await ready()
        defer { world.remove() }
        let before = try await rule(world)
        let reign = Reign(epoch: Epoch(2), leader: before.members[1], begin: LSN(1000))
        func store(_ role: MemberReport.Role) async throws {
            try await Self.store(role, reign, of: before, in: world)
        }
        let all = ClusterVoices(members: Set(before.members))
        try await store(.primary)
        // Nobody would do it.
        for refused in [
            await #expect(throws: Refusal.self) { try await restart(world) },
            await #expect(throws: Refusal.self) {
                try await world.directory.requestSwitchover(of: world.cluster, to: nil)
            },
        ] {
            #expect(refused?.code == .failedPrecondition && refused?.message.contains("roost pg recover") == true)
        }
        #expect(try await rule(world) == before)
        let open = try await world.directory.recovery(of: world.cluster, hearing: all)
        #expect(open.proposal == nil && open.obstacle?.contains("lets clients in") == true, "\(open)")
        try await store(.standby)
        // Its reports do not come through, or say what was before; it renews its lease, and lets clients in.
        for members in [[], Set(before.members)] {
            let renewing = ClusterVoices(members: members, isLeaderRenewing: true)
            let seen = try await world.directory.recovery(of: world.cluster, hearing: renewing)
            let words = members.isEmpty ? "no member that is heard" : "lets clients in"
            #expect(seen.proposal == nil && seen.obstacle?.contains(words) == true, "\(seen)")
        }
        let few = try await world.directory.recovery(
            of: world.cluster, hearing: ClusterVoices(members: [before.members[1]]))
        #expect(few.proposal == nil && few.isNeeded && few.obstacle?.contains("1 more member") == true, "\(few)")
        let body = try await world.directory.recovery(of: world.cluster, hearing: all)
        #expect(body.proposal?.last == ReignBody(reign) && body.proposal?.calls == Epoch(3), "\(body)")
        let position = Position(epoch: Epoch(2), end: LSN(1500))
        #expect(body.members[1].position == position && body.members[0].last == nil)
        #expect(body.members[1].logEnd?.end == "0/5DC", "as reigns are written")
        let proposal = try #require(body.proposal)
        let wish = RecoverBody(revision: body.revision, proposal: proposal)
        func refusal(_ wish: RecoverBody, _ voices: ClusterVoices) async throws -> String {
            let refusal = await #expect(throws: Refusal.self) {
                try await world.directory.recover(world.cluster, as: wish, hearing: voices)
            }
            #expect(try await rule(world) == before)
            return refusal?.message ?? ""
        }
        let older = RecoverBody(revision: body.revision - 1, proposal: proposal)
        #expect(try await refusal(older, all).contains("has changed since"))
        // Something else was shown.
        for change: (inout RecoveryProposal) -> Void in [
            { $0.last.begin = "0/1" }, { $0.calls = Epoch(4) }, { $0.source = nil }, { $0.strangers = [before.leader] },
        ] {
            var other = wish
            change(&other.proposal)
            #expect(try await refusal(other, all).contains("not what was shown"))
        }
        var renewing = all
        renewing.isLeaderRenewing = true
        #expect(try await refusal(wish, renewing).contains("lets clients in"))
        try await world.directory.recover(world.cluster, as: wish, hearing: all)
        let after = try await rule(world)
        #expect(after.history == before.history + [reign] && after.epoch == Epoch(2))
        #expect(after.recruitment?.epoch == Epoch(3) && after.recruitment?.reason == .storeRecovered)
        await #expect(throws: Refusal.self) {
            try await world.directory.recover(world.cluster, as: wish, hearing: all)
        }
    }

    @Test("A renewal that has not come to whoever counts the leader's silence is one")
    func recoveryAfterARenewal() async throws {
        let world = try await ready()
        defer { world.remove() }
        let before = try await rule(world)
        let reign = Reign(epoch: Epoch(2), leader: before.members[1], begin: LSN(1000))
        try await Self.store(.standby, reign, of: before, in: world)
        let sequence = try #require(try await world.look().clusters[world.cluster]?.heartbeat?.sequence)
        var voices = ClusterVoices(members: Set(before.members))
        (voices.leaderQuietMilliseconds, voices.leaderBeat) = (60_000, sequence)
        let body = try await world.directory.recovery(of: world.cluster, hearing: voices)
        let wish = RecoverBody(revision: body.revision, proposal: try #require(body.proposal))
        voices.leaderBeat = sequence - 1
        let late = try await world.directory.recovery(of: world.cluster, hearing: voices)
        #expect(late.proposal == nil && late.obstacle?.contains("lets clients in") == true, "\(late)")
        let refusal = await #expect(throws: Refusal.self) {
            try await world.directory.recover(world.cluster, as: wish, hearing: voices)
        }
        #expect(refusal?.message.contains("lets clients in") == true)
        #expect(try await rule(world) == before)
    }

    /// What members say when the store has gone back behind this reign.
    private static func store(
        _ role: MemberReport.Role, _ reign: Reign, of rule: ClusterRule, in world: ClusterWorld
    ) async throws {
        var reports = try #require(try await world.look().clusters[world.cluster]?.reports)
        reports[rule.leader]?.keptSince = Epoch.none
        reports[rule.leader]?.position = Position(epoch: .first, end: LSN(900))
        reports[rule.leader]?.role = role
        for member in rule.members[1...] {
            reports[member]?.promised = Epoch(2)
            reports[member]?.state = .failed
            reports[member]?.keptSince = .first
            reports[member]?.knowledge = MemberKnowledge(
                opened: reign, history: rule.history + [reign], timeline: 2,
                position: Position(epoch: Epoch(2), end: LSN(1500)))
        }
        let puts = try reports.values.map { report in
            try Transaction.Operation.put(report, at: StoreKeys.report(world.cluster, report.member))
        }
        _ = try await world.store.commit(Transaction(then: puts))
    }

    @Test("Who has proof and no history says that the store has gone back, too")
    func proofWithoutHistory() async throws {
        let world = try await ready()
        defer { world.remove() }
        let before = try await rule(world)
        var report = try #require(try await world.look().clusters[world.cluster]?.reports[before.members[1]])
        report.promised = Epoch(2)
        report.knowledge = MemberKnowledge(opened: nil, history: [], timeline: nil, position: nil)
        _ = try await world.store.commit(
            Transaction(then: [try .put(report, at: StoreKeys.report(world.cluster, report.member))]))
        let voices = ClusterVoices(members: [report.member])
        let body = try await world.directory.recovery(of: world.cluster, hearing: voices)
        #expect(body.isNeeded && body.members.map(\.hasProof) == [false, true, false], "\(body)")
    }

    @Test("What cannot be paused is refused with the reason, and the rule stays as it was")
    func refusals() async throws {
        let world = try await ready(skills: nil)
        defer { world.remove() }
        func refusal(_ length: Duration = .seconds(60)) async throws -> String {
            let before = try await rule(world)
            let refusal = await #expect(throws: Refusal.self) {
                try await world.directory.pause(world.cluster, for: length)
            }
            #expect(try await rule(world) == before)
            return refusal.map { "\($0.code) \($0.message)" } ?? ""
        }
        // Members of the version before would call a recruitment all the same.
        #expect(try await refusal().contains("the program of db-1, db-2, db-3 cannot do it"))
        #expect(try await refusal(.seconds(86_401)).contains("a pause has 1 to 86400 seconds"))
        #expect(try await refusal(.zero).contains("a pause has"))
        var called = try await rule(world)
        called.recruitment = Recruitment(epoch: Epoch(2), proposer: called.members[1], reason: .leaderSilent)
        _ = try await world.store.commit(
            Transaction(then: [try .put(called, at: StoreKeys.clusterRule(world.cluster))]))
        #expect(try await refusal().contains("changing its leader"))
        let nobody = await #expect(throws: Refusal.self) {
            try await world.directory.resume(try AppName("nobody"))
        }
        #expect(nobody?.code == .notFound)
    }
}
