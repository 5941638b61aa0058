import RoostFailover
import RoostModel
import RoostSimulation
import Testing

/// Members whose Postgres is started anew: one at a time, the leader last.
@Suite struct RestartDialogueTests {
    private func ask(
        _ dialogue: inout Dialogue, _ members: [String], handsOver: Bool = true, seconds: Int64 = 600, ago: Int64 = 0
    )
        throws
    {
        let wish = RestartRequest(
            id: "a", members: try members.map { try MemberName($0) }, handsOver: handsOver,
            term: WishTerm(beganAt: (dialogue.now - .zero).milliseconds - ago * 1000, length: .seconds(seconds)))
        dialogue.change { $0.restart = wish }
    }

    /// The leader's next word: these confirm.
    private func beat(_ dialogue: inout Dialogue, _ sequence: UInt64, _ confirming: [String], isOpen: Bool = true)
        throws
    {
        dialogue.beat(sequence)
        dialogue.heartbeat?.isOpen = isOpen
        dialogue.heartbeat?.standbys = try ["m2", "m3"].map {
            StandbyView(member: try MemberName($0), isConfirming: confirming.contains($0), behindBytes: 0)
        }
    }

    /// `m2` streams from `m1`, which is open and lives.
    private func follower() throws -> Dialogue {
        var dialogue = try Dialogue.follower("m2")
        _ = dialogue.observed(dialogue.standby(1000))
        try beat(&dialogue, 2, ["m2", "m3"])
        _ = dialogue.watch()
        return dialogue
    }

    @Test func aStandbyStopsFollowsAgainAndSaysSo() throws {
        var dialogue = try follower()
        try ask(&dialogue, ["m2", "m3", "m1"])
        #expect(dialogue.watch() == [.setGate(isOpen: false), .postgres(.stop(.fast), dialogue.operation)])
        let leader = dialogue.names[0]
        // Somebody may have promoted it meanwhile, so its log is read before it follows.
        #expect(dialogue.ended() == [.postgres(.sever, dialogue.operation)])
        #expect(dialogue.ended() == [.postgres(.readEnd, dialogue.operation)])
        #expect(
            dialogue.ended(.end(LSN(1000), timeline: 1)) == [
                .postgres(.follow(leader, epoch: .first, fork: nil), dialogue.operation)
            ])
        #expect(dialogue.ended().isEmpty)
        // Not before it streams again.
        #expect(dialogue.observed(dialogue.standby(1000, isStreaming: false)).isEmpty)
        var done = dialogue.rule
        done?.restart?.left = [dialogue.names[2], leader]
        done?.restart?.done = [dialogue.names[1]]
        let said = FailoverAction.changeRule(
            try #require(done), expectedRevision: dialogue.ruleRevision, RuleChangeNumber(1))
        #expect(dialogue.observed(dialogue.standby(1000)) == [.setGate(isOpen: true), said])
        // What is said twice is done once.
        dialogue.change { $0.restart = done?.restart }
        #expect(dialogue.watch().isEmpty)
    }

    /// Of the clocks on two hosts' walls one may be hours ahead.
    @Test(arguments: [-5, 5] as [Int64])
    func oneThatIsSeenToComeHasItsWholeTime(hours: Int64) throws {
        var dialogue = try follower()
        try ask(&dialogue, ["m2", "m3", "m1"], ago: hours * 3600)
        #expect(dialogue.watch() == [.setGate(isOpen: false), .postgres(.stop(.fast), dialogue.operation)])
    }

    @Test func aStandbyWaitsForItsTurnAndForTheOthers() throws {
        var dialogue = try follower()
        try ask(&dialogue, ["m3", "m2", "m1"])
        #expect(dialogue.watch().isEmpty)
        let second = dialogue.names[1]
        dialogue.change { $0.restart?.left = [second] }
        try beat(&dialogue, 3, ["m2"])
        #expect(dialogue.watch().isEmpty)
        _ = dialogue.tell(.tick)
        #expect(dialogue.member.status.phase == .following)
        try beat(&dialogue, 4, ["m2", "m3"], isOpen: false)
        #expect(dialogue.watch().isEmpty)
        // A leader that was open once.
        try beat(&dialogue, 5, ["m2", "m3"])
        var late = dialogue
        late.wait(.seconds(3))
        #expect(!late.tell(.tick).contains(.postgres(.stop(.fast), late.operation)))
        #expect(dialogue.watch().last == .postgres(.stop(.fast), dialogue.operation))
    }

    /// It may be the one that is to lead.
    @Test func aStandbyWaitsForASwitchover() throws {
        var dialogue = try follower()
        let second = dialogue.names[1]
        dialogue.change { $0.switchover = SwitchoverRequest(id: "s", target: second) }
        try ask(&dialogue, ["m2", "m3", "m1"])
        #expect(dialogue.watch().isEmpty)
        #expect(dialogue.stored?.detail == "its restart waits until the switchover is over")
        dialogue.change { $0.switchover?.refusal = "m2 is not up to date" }
        #expect(dialogue.watch().last == .postgres(.stop(.fast), dialogue.operation))
    }

    @Test func whoHasBegunEndsItAlsoWhenItIsTakenBack() throws {
        var dialogue = try follower()
        try ask(&dialogue, ["m2", "m3"])
        _ = dialogue.watch()
        _ = dialogue.ended()
        // It has been stopped, and no more than that.
        #expect(dialogue.stored?.detail == "its Postgres is being started anew")
        dialogue.change { $0.restart?.refusal = "it was taken back" }
        _ = dialogue.watch()
        _ = dialogue.ended()
        _ = dialogue.ended(.end(LSN(1000), timeline: 1))
        _ = dialogue.ended()
        let actions = dialogue.observed(dialogue.standby(1000))
        var done = dialogue.rule
        done?.restart?.left = [dialogue.names[2]]
        done?.restart?.done = [dialogue.names[1]]
        #expect(
            actions.last
                == .changeRule(try #require(done), expectedRevision: dialogue.ruleRevision, dialogue.ruleChange),
            "\(actions)")
        #expect(done?.restart?.refusal == "it was taken back")
    }

    /// What it has to say is stored as it said it: it does not linger.
    @Test func aVolumeThatFailsDuringARestartIsToldAndLeftAtOnce() throws {
        var dialogue = try follower()
        try ask(&dialogue, ["m2"])
        _ = dialogue.watch()
        _ = dialogue.ended()
        _ = dialogue.tell(.volumeFailed("its volume fails"))
        #expect(dialogue.ended().contains(.exit))
        #expect(dialogue.stored?.detail == "its volume fails")
    }

    @Test func nobodyBeginsWhenTheTimeIsOver() throws {
        var dialogue = try follower()
        try ask(&dialogue, ["m2"], seconds: 5)
        try beat(&dialogue, 3, ["m2"])
        #expect(dialogue.watch().isEmpty)
        for sequence in 4...9 as ClosedRange<UInt64> {
            dialogue.wait(.seconds(1))
            try beat(&dialogue, sequence, ["m2"])
            #expect(dialogue.watch().isEmpty)
        }
        try beat(&dialogue, 10, ["m2", "m3"])
        #expect(dialogue.watch().isEmpty)
        // And a leader that was asked first is last all the same.
        try ask(&dialogue, ["m1", "m2"])
        #expect(dialogue.watch().last == .postgres(.stop(.fast), dialogue.operation))
    }

    @Test func theLeaderHandsOver() throws {
        var dialogue = try Dialogue.leader()
        let open = try dialogue.primary(500, ["m2": 500, "m3": 500])
        _ = dialogue.observed(open)
        try ask(&dialogue, ["m2", "m1"])
        #expect(dialogue.watch().isEmpty)
        dialogue.change { $0.restart?.left = [$0.leader] }
        // One that is behind could not take over.
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
        #expect(dialogue.watch().isEmpty)
        #expect(dialogue.observed(open) == [.postgres(.checkpoint, dialogue.operation)])
        #expect(dialogue.ended() == [.setGate(isOpen: false), .postgres(.stop(.fast), dialogue.operation)])
        let actions = dialogue.ended()
        guard case .changeRule(let rule, _, _)? = actions.last else {
            Issue.record("\(actions)")
            return
        }
        #expect(rule.recruitment?.reason == .switchover)
        #expect(rule.restart?.left == [dialogue.names[0]])
    }

    @Test func inOfficeTheLeaderStartsItsPostgresAnew() throws {
        for members in [1, 3] {
            var dialogue = try Dialogue.leader(members: members)
            let open = try dialogue.primary(500, members == 1 ? [:] : ["m2": 500, "m3": 500])
            _ = dialogue.observed(open)
            // An only member has nobody to hand over to.
            try ask(&dialogue, ["m1"], handsOver: members == 1)
            #expect(dialogue.watch() == [.postgres(.checkpoint, dialogue.operation)])
            #expect(dialogue.ended() == [.setGate(isOpen: false), .postgres(.stop(.fast), dialogue.operation)])
            let confirmations = members / 2
            let standbys = Array(dialogue.names.dropFirst())
            let start = PostgresOperation.startPrimary(epoch: .first, confirmations: confirmations, standbys: standbys)
            #expect(dialogue.ended() == [.postgres(start, dialogue.operation)])
            _ = dialogue.ended()
            let actions = dialogue.observed(open)
            #expect(actions.first == .setGate(isOpen: true))
            guard case .changeRule(let rule, _, _)? = actions.last else {
                Issue.record("\(actions)")
                return
            }
            #expect(rule.restart?.left == [] && rule.restart?.done == [dialogue.names[0]])
        }
    }

    /// Clients are not cut off again and again for what does not go.
    @Test func aLeaderThatCouldNotHandOverSaysWhyAndTriesNoMore() throws {
        var dialogue = try Dialogue.leader()
        let open = try dialogue.primary(500, ["m2": 500, "m3": 500])
        _ = dialogue.observed(open)
        try ask(&dialogue, ["m1"])
        _ = dialogue.watch()
        let actions = dialogue.ended(.failed("the checkpoint took too long")) + dialogue.observed(open)
        var refused = dialogue.rule
        refused?.restart?.refusal = "the checkpoint took too long"
        #expect(
            actions.contains(
                .changeRule(try #require(refused), expectedRevision: dialogue.ruleRevision, dialogue.ruleChange)),
            "\(actions)")
        dialogue.change { $0.restart?.refusal = "the checkpoint took too long" }
        #expect(dialogue.watch().isEmpty)
    }

    /// One that was given up is not forgotten over another that is given up before the store has taken the first's refusal.
    @Test func aRestartGivenUpIsNotBegunAgainAfterASwitchoverIs() throws {
        var dialogue = try Dialogue.leader()
        let open = try dialogue.primary(500, ["m2": 500, "m3": 500])
        _ = dialogue.observed(open)
        try ask(&dialogue, ["m1"])
        #expect(dialogue.watch() == [.postgres(.checkpoint, dialogue.operation)])
        // Somebody asks for a switchover before the store hears of it.
        _ = dialogue.ended(.failed("too slow"))
        dialogue.change { $0.switchover = SwitchoverRequest(id: "s", target: nil) }
        let switchover =
            dialogue.watch() + dialogue.tell(.ruleAnswered(dialogue.ruleChange, .refused)) + dialogue.observed(open)
        #expect(switchover.contains(.postgres(.checkpoint, dialogue.operation)), "\(switchover)")
        _ = dialogue.ended(.failed("too slow"))
        dialogue.change { $0.switchover?.refusal = "too slow" }
        var actions =
            dialogue.watch() + dialogue.tell(.ruleAnswered(dialogue.ruleChange, .refused)) + dialogue.observed(open)
        for _ in 0..<10 {
            dialogue.wait(.milliseconds(100))
            for action in dialogue.all(.tick) {
                actions.append(action)
                guard case .heartbeat(let beat, _) = action else { continue }
                actions += dialogue.tell(
                    .heartbeatAnswered(sequence: beat.sequence, .applied(revision: dialogue.revision)))
            }
        }
        #expect(!actions.contains { if case .postgres(.checkpoint, _) = $0 { true } else { false } }, "\(actions)")
        let refusals = actions.compactMap { action -> String? in
            guard case .changeRule(let rule, _, _) = action else { return nil }
            return rule.restart?.refusal
        }
        #expect(refusals.contains("too slow"))
    }

    /// Without faults: each member once, one at a time, and writes wait for the leader's alone.
    @Test(arguments: [(ClusterScenario.Fault.restartAll, 3), (.restartInOffice, 3), (.restartAll, 5), (.restartAll, 2)])
    func aWholeClusterIsStartedAnew(_ fault: ClusterScenario.Fault, members: Int) {
        for seed in 1...30 as ClosedRange<UInt64> {
            let run = run(quiet(fault, seed: seed, members: members))
            #expect(run.restarted == members, "seed \(seed)")
            #expect(run.restartingAtOnce == 1, "seed \(seed)")
            #expect(run.epochs == (fault == .restartAll ? 2 : 1), "seed \(seed)")
            #expect(run.longestGapSeconds < 4, "seed \(seed)")
        }
    }

    @Test func allAtOnceIsNoticed() {
        let runs = (1...10 as ClosedRange<UInt64>).map {
            ClusterSimulation(quiet(.restartAll, seed: $0, members: 3), breakage: .restartsTogether).run()
        }
        #expect(runs.contains { $0.restartingAtOnce > 1 })
    }

    private func quiet(_ fault: ClusterScenario.Fault, seed: UInt64, members: Int) -> ClusterScenario {
        ClusterScenario(
            seed: seed, members: members, faults: [], script: [.init(fault, atSeconds: 12, forSeconds: 30)],
            chaosSeconds: 45)
    }
}
