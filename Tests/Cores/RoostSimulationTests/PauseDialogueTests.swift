import RoostFailover
import RoostModel
import RoostSimulation
import Testing

/// While somebody works on a cluster's hosts, nobody else is made its leader but by hand.
@Suite struct PauseDialogueTests {
    private func pause(_ dialogue: inout Dialogue, for length: Duration, ago: Duration = .zero) {
        let now = (dialogue.now - .zero).milliseconds
        dialogue.change { $0.pause = WishTerm(beganAt: now - ago.milliseconds, length: length) }
    }

    /// What it asks of the store, when it reads again and again and hears nothing new. Its Postgres answers.
    private func calls(_ dialogue: inout Dialogue, for duration: Duration) -> [FailoverAction] {
        var calls: [FailoverAction] = []
        let end = dialogue.now + duration
        while dialogue.now < end {
            dialogue.wait(.milliseconds(100))
            _ = dialogue.observed(dialogue.standby(1000, silence: nil))
            calls += dialogue.tell(.tick) + dialogue.read()
        }
        return calls
    }

    @Test func aStandbyCallsNobodyUntilThePauseIsOver() throws {
        var dialogue = try Dialogue.follower("m2")
        pause(&dialogue, for: .seconds(60))
        #expect(dialogue.watch().isEmpty)
        #expect(calls(&dialogue, for: .seconds(59)).isEmpty)
        var called = dialogue.rule
        called?.recruitment = Recruitment(epoch: Epoch(2), proposer: dialogue.names[1], reason: .leaderSilent)
        let rule = try #require(called)
        let first = calls(&dialogue, for: .seconds(2)).first
        #expect(first == .changeRule(rule, expectedRevision: dialogue.ruleRevision, RuleChangeNumber(1)))
    }

    @Test func resumedItCallsAtOnce() throws {
        var dialogue = try Dialogue.follower("m2")
        pause(&dialogue, for: .seconds(60))
        _ = dialogue.watch()
        #expect(calls(&dialogue, for: .seconds(30)).isEmpty)
        dialogue.change { $0.pause = nil }
        _ = dialogue.watch()
        #expect(!calls(&dialogue, for: .seconds(4)).isEmpty)
    }

    /// A process that begins in the middle counts what is left; and a clock that is far behind makes no pause longer.
    @Test(arguments: [(40, 21), (60, 1), (7200, 1), (-7200, 61)] as [(Int64, Int64)])
    func theEndIsThatOfTheRecord(ago: Int64, seconds: Int64) throws {
        var dialogue = try Dialogue.follower("m2") { pause(&$0, for: .seconds(60), ago: .seconds(ago)) }
        if seconds > 1 { #expect(calls(&dialogue, for: .seconds(seconds - 2)).isEmpty) }
        #expect(!calls(&dialogue, for: .seconds(5)).isEmpty)
    }

    /// Of two hosts' clocks one may be hours ahead.
    @Test(arguments: [-5, 5] as [Int64])
    func whoSeesAPauseComeCountsAllOfIt(ahead: Int64) throws {
        var dialogue = try Dialogue.follower("m2")
        _ = calls(&dialogue, for: .milliseconds(500))
        pause(&dialogue, for: .seconds(60), ago: .seconds(ahead * 3600))
        _ = dialogue.watch()
        #expect(calls(&dialogue, for: .seconds(59)).isEmpty)
        #expect(!calls(&dialogue, for: .seconds(5)).isEmpty)
    }

    /// Of one that comes after a time in which it did not hear the store nobody knows how old it is.
    @Test func aPauseThatMayBeOldIsCountedByTheClockOnTheWall() throws {
        var dialogue = try Dialogue.follower("m2")
        dialogue.wait(.seconds(120))
        pause(&dialogue, for: .seconds(60), ago: .seconds(120))
        #expect(!calls(&dialogue, for: .seconds(15)).isEmpty)
    }

    @Test func aLeaderThatCrashesAgainAndAgainIsStartedInPlace() throws {
        var dialogue = try Dialogue.leader()
        pause(&dialogue, for: .seconds(3600))
        for _ in 0..<10 {
            for case .heartbeat(let beat, _) in dialogue.all(.viewed(dialogue.view, by: .watch)) {
                _ = dialogue.tell(.heartbeatAnswered(sequence: beat.sequence, .applied(revision: dialogue.revision)))
            }
            _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
            _ = dialogue.tell(.postgresExited(after: dialogue.operation))
            #expect(dialogue.member.status.phase == .restarting)
            let end = dialogue.now + .seconds(20)
            while dialogue.member.status.phase == .restarting, dialogue.now < end {
                dialogue.wait(.milliseconds(300))
                for case .heartbeat(let beat, _) in dialogue.all(.tick) {
                    _ = dialogue.tell(
                        .heartbeatAnswered(sequence: beat.sequence, .applied(revision: dialogue.revision)))
                }
                _ = dialogue.ended()
            }
            #expect(dialogue.member.status.phase == .leading)
        }
    }

    /// Its machine comes back, and it leads on.
    @Test func aLeaderWhoseMachineStopsAsksForNoSuccessor() throws {
        var dialogue = try Dialogue.leader()
        pause(&dialogue, for: .seconds(3600))
        _ = dialogue.watch()
        _ = dialogue.tell(.terminate)
        #expect(dialogue.ended() == [.exit])
    }

    /// What keeps commits safe is as ever: who has lost part of its log does not lead, and says why nobody does.
    @Test func aLeaderThatCannotLeadStopsAndWaits() throws {
        var dialogue = try Dialogue.leader()
        pause(&dialogue, for: .seconds(3600))
        _ = dialogue.watch()
        let name = dialogue.names[0]
        var state = dialogue.member.state
        state.chain = [
            Reign(epoch: .first, leader: dialogue.names[1], begin: .zero),
            Reign(epoch: Epoch(2), leader: name, begin: LSN(900)),
        ]
        (state.promised, state.led) = (Epoch(2), Epoch(2))
        var short = try Dialogue("m1", state: state)
        short.rule = ClusterRule(
            epoch: Epoch(2), leader: name, members: short.names, confirmations: 1, history: state.chain)
        pause(&short, for: .seconds(3600))
        short.tell(.tick)
        _ = short.read()
        _ = short.tell(.heartbeatAnswered(sequence: 1, .applied(revision: 30)))
        _ = short.ended()
        #expect(
            short.observed(try short.primary(500, ["m2": 500])).last == .postgres(.stop(.immediate), short.operation))
        #expect(short.ended().isEmpty)
        #expect(calls(&short, for: .seconds(30)).isEmpty)
        #expect(short.stored?.detail?.contains("paused: it cannot lead") == true)
    }

    /// That it is paused is no reason, and the status of the cluster says it anyway.
    @Test func aLeaderThatLeadsOnGivesNoPauseAsItsReason() throws {
        var dialogue = try Dialogue.leader()
        pause(&dialogue, for: .seconds(3600))
        _ = dialogue.watch()
        _ = dialogue.observed(try dialogue.primary(500))
        #expect(dialogue.stored?.detail?.contains("paused") != true)
        #expect(dialogue.stored?.detail?.contains("waits until 1 standby has its log") == true)
    }

    @Test func aSwitchoverByHandGoesOn() throws {
        var dialogue = try Dialogue.leader()
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500, "m3": 500]))
        pause(&dialogue, for: .seconds(3600))
        let target = dialogue.names[1]
        dialogue.change { $0.switchover = SwitchoverRequest(id: "a", target: target) }
        #expect(dialogue.watch() == [.postgres(.checkpoint, dialogue.operation)])
        _ = dialogue.ended()
        let actions = dialogue.ended()
        guard case .changeRule(let rule, _, _)? = actions.last else {
            Issue.record("\(actions)")
            return
        }
        #expect(rule.recruitment?.reason == .switchover && rule.pause != nil)
    }

    /// The leader's machine is away for half a minute, once by a crash and once by an orderly stop.
    @Test(arguments: [ClusterScenario.Fault.crashMember, .restartMember, .freezeMember])
    func aPausedClusterKeepsItsLeader(_ fault: ClusterScenario.Fault) {
        for seed in 1...40 as ClosedRange<UInt64> {
            let script = [
                ClusterScenario.Scripted(.pause, atSeconds: 12, forSeconds: 60),
                .init(fault, atSeconds: 14, forSeconds: 30),
            ]
            let scenario = ClusterScenario(seed: seed, members: 3, faults: [], script: script, chaosSeconds: 50)
            #expect(run(scenario).epochs == 1, "seed \(seed)")
        }
    }
}
