import RoostModel
import Testing

@testable import RoostFailover

/// What stands still without an error: a disk, a Postgres.
@Suite struct HangDialogueTests {
    /// Each second the others report that they stream, or are in another state.
    ///
    /// - Returns: what the leader asks of the store, and after how many seconds.
    private func calls(
        within max: Int64, others states: [MemberReport.State] = [.running, .running], _ dialogue: inout Dialogue
    ) throws -> (rule: ClusterRule, after: Int64)? {
        for second in 1...max {
            dialogue.wait(.seconds(1))
            dialogue.reports = zip(dialogue.names.dropFirst(), states).map {
                MemberReport(
                    member: $0, role: .standby, state: $1, promised: .first,
                    position: Position(epoch: .first, end: LSN(500)), timeline: 1, replayed: LSN(500),
                    isStreaming: $1 == .running, lagBytes: 0, lagMilliseconds: 0, sequence: UInt64(second))
            }
            dialogue.revision += 1
            let sample = try dialogue.primary(500, ["m2": 500, "m3": 500])
            var actions = dialogue.all(.viewed(dialogue.view, by: .watch))
            actions += dialogue.all(.observed(sample, after: dialogue.operation))
            for case .heartbeat(let beat, _) in actions {
                _ = dialogue.tell(.heartbeatAnswered(sequence: beat.sequence, .applied(revision: dialogue.revision)))
            }
            for case .changeRule(let rule, _, _) in actions { return (rule, second) }
        }
        return nil
    }

    /// Its lease is renewed and its standbys stream: what shows it is a small write that does not end.
    @Test func aLeaderWhoseDiskHangsCallsForAnotherBeforeItIsStopped() throws {
        var dialogue = try Dialogue.leader()
        #expect(try calls(within: 20, &dialogue) == nil)
        _ = dialogue.tell(.volumeHangs(since: dialogue.now))
        let call = try #require(try calls(within: 20, &dialogue))
        #expect(call.after == 8 && call.rule.recruitment?.reason == .leaderResigned)
        #expect(dialogue.member.status.phase == .leading)
        #expect(dialogue.stored?.detail?.contains("volume") == true)
        // Only then is it put behind the fence, which may take as long as the disk hangs.
        dialogue.change { $0.recruitment = call.rule.recruitment }
        #expect(dialogue.watch().contains(.postgres(.sever, dialogue.operation)))
    }

    @Test func itIsNotCalledForWhereNobodyElseCouldLeadOrWhenItIsOver() throws {
        var dialogue = try Dialogue.leader()
        _ = dialogue.tell(.volumeHangs(since: dialogue.now))
        #expect(try calls(within: 20, others: [.running], &dialogue) == nil)
        // One in quarantine answers nobody, whatever its Postgres has.
        dialogue = try Dialogue.leader()
        _ = dialogue.tell(.volumeHangs(since: dialogue.now))
        #expect(try calls(within: 20, others: [.running, .failed], &dialogue) == nil)
        dialogue = try Dialogue.leader()
        _ = dialogue.tell(.volumeHangs(since: dialogue.now))
        #expect(try calls(within: 7, &dialogue) == nil)
        _ = dialogue.tell(.volumeHangs(since: nil))
        #expect(try calls(within: 20, &dialogue) == nil)
    }

    /// It can promise nothing, so it is nobody's hope.
    @Test func aStandbyWhoseDiskHangsIsNoneThatCouldLead() throws {
        var dialogue = try Dialogue.follower("m2")
        _ = dialogue.observed(dialogue.standby(1000))
        #expect(dialogue.stored?.position != nil)
        let since = dialogue.now
        dialogue.wait(.seconds(9))
        _ = dialogue.tell(.volumeHangs(since: since))
        _ = dialogue.observed(dialogue.standby(1000))
        dialogue.wait(.seconds(1))
        _ = dialogue.observed(dialogue.standby(1000))
        // How far it was is said all the same, for whoever comes back with less.
        #expect(
            dialogue.stored?.position == Position(epoch: .first, end: LSN(1000)) && dialogue.stored?.cannotLead == true)
    }

    // MARK: - A standby's Postgres

    /// A tenth of a second, in which the leader lives and says this of its standby.
    private func step(_ dialogue: inout Dialogue, _ sequence: inout UInt64, _ view: StandbyView? = nil) {
        dialogue.wait(.milliseconds(100))
        sequence += 1
        dialogue.beat(sequence)
        dialogue.heartbeat?.standbys = view.map { [$0] }
        _ = dialogue.watch()
        _ = dialogue.tell(.tick)
    }

    /// - Returns: after how many seconds its Postgres is ended; nil: not within so many.
    private func ends(
        within seconds: Int, _ dialogue: inout Dialogue, _ sequence: inout UInt64, _ view: StandbyView? = nil
    ) -> Double? {
        for count in 1...(seconds * 10) {
            step(&dialogue, &sequence, view)
            if dialogue.member.status.phase == .severing { return Double(count) / 10 }
        }
        return nil
    }

    /// It is seen to stream again.
    private func comeBack(_ dialogue: inout Dialogue) {
        _ = dialogue.ended()
        _ = dialogue.ended(.end(LSN(1000), timeline: 1))
        _ = dialogue.ended()
        #expect(dialogue.member.status.phase == .following)
        _ = dialogue.observed(dialogue.standby(1000))
    }

    @Test func aPostgresThatAnswersNothingIsEndedAndStartedAgainLaterEachTime() throws {
        for (name, first) in [("m2", 30.0), ("m3", 35.0)] {
            var dialogue = try Dialogue.follower(name)
            var sequence: UInt64 = 10
            _ = dialogue.observed(dialogue.standby(1000))
            #expect(ends(within: 100, &dialogue, &sequence) == first)
            comeBack(&dialogue)
            #expect(ends(within: 100, &dialogue, &sequence) == first + 30)
        }
    }

    /// As long as its leader sees it, it lives, whatever its supervisor hears.
    @Test(arguments: [true, false])
    func oneThatItsLeaderSeesIsLeftAlone(isConfirming: Bool) throws {
        var dialogue = try Dialogue.follower("m2")
        var sequence: UInt64 = 10
        let seen = StandbyView(member: dialogue.names[1], isConfirming: isConfirming, behindBytes: 7)
        #expect(ends(within: 100, &dialogue, &sequence, seen) == nil)
        let unseen = StandbyView(member: dialogue.names[1], isConfirming: false, behindBytes: nil)
        #expect(ends(within: 1, &dialogue, &sequence, unseen) != nil)
    }

    /// A tenth of a second, in which the other standby's Postgres is being started.
    private func stepBesideAStart(_ dialogue: inout Dialogue, _ sequence: inout UInt64) {
        dialogue.reports = [
            MemberReport(
                member: dialogue.names[2], role: .standby, state: .starting, promised: .first, position: nil,
                timeline: 1, replayed: .zero, isStreaming: false, lagBytes: 0, lagMilliseconds: 0, sequence: sequence)
        ]
        step(&dialogue, &sequence)
    }

    @Test func oneAtATime() throws {
        var dialogue = try Dialogue.follower("m2")
        var sequence: UInt64 = 10
        for _ in 1...400 {
            stepBesideAStart(&dialogue, &sequence)
            #expect(dialogue.member.status.phase == .following)
        }
        dialogue.reports = []
        #expect(ends(within: 10, &dialogue, &sequence) != nil)
    }

    /// One whose Postgres never starts says so for ever, and commits wait for this one.
    @Test func aStartThatComesToNothingIsWaitedForSoLong() throws {
        var dialogue = try Dialogue.follower("m2")
        var sequence: UInt64 = 10
        _ = dialogue.observed(dialogue.standby(1000))
        let timings = FailoverTimings()
        var waited = Duration.zero
        while dialogue.member.status.phase == .following, waited < .seconds(1000) {
            stepBesideAStart(&dialogue, &sequence)
            waited += .milliseconds(100)
        }
        #expect(waited == timings.standbySilenceMin + timings.comingMax)
    }
}
