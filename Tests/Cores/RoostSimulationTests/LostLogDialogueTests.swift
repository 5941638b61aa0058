import RoostFailover
import RoostModel
import Testing

/// A leader whose disk has not what it said it had: its log ends within its own reign, before what others have of it.
@Suite struct LostLogDialogueTests {
    private func report(_ member: MemberName, _ end: UInt64) -> MemberReport {
        MemberReport(
            member: member, role: .standby, state: .running, promised: .first,
            position: Position(epoch: .first, end: LSN(end)), timeline: 1, replayed: LSN(end), isStreaming: false,
            lagBytes: 0, lagMilliseconds: 0)
    }

    /// `m1` comes back in its epoch; `m3` has said that it has the log up to `end`.
    private func returning(to end: UInt64) throws -> Dialogue {
        let name = try MemberName("m1")
        let chain = [Reign(epoch: .first, leader: name, begin: .zero)]
        var dialogue = try Dialogue(
            "m1", state: DurableState(promised: .first, chain: chain, data: .usable, led: .first))
        dialogue.rule = Dialogue.firstRule(dialogue.names)
        dialogue.reports = [report(dialogue.names[2], end)]
        dialogue.tell(.tick)
        _ = dialogue.read()
        _ = dialogue.tell(.heartbeatAnswered(sequence: 1, .applied(revision: 11)))
        _ = dialogue.ended()
        return dialogue
    }

    private func resignation(_ dialogue: Dialogue) -> ClusterRule? {
        var next = dialogue.rule
        next?.recruitment = Recruitment(epoch: Epoch(2), proposer: dialogue.names[0], reason: .leaderLostLog)
        return next
    }

    @Test func aLeaderThatHasLessThanOthersReportDoesNotOpen() throws {
        var dialogue = try returning(to: 501)
        // Another standby has all that is left: it would be enough.
        let actions = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
        #expect(actions == [.postgres(.stop(.immediate), dialogue.operation)])
        // Who says so may be the one that is wrong.
        #expect(dialogue.member.status.detail?.contains("m3 says that it has it up to 0/1F5") == true)
        let next = try #require(resignation(dialogue))
        #expect(dialogue.ended() == [.changeRule(next, expectedRevision: 5, dialogue.ruleChange)])
        dialogue = try returning(to: 500)
        #expect(dialogue.observed(try dialogue.primary(500, ["m2": 500])).last == .setGate(isOpen: true))
    }

    /// Whatever one says that it has replayed: it is not more than it says that it has.
    @Test func moreReplayedThanThereIsProvesNothing() throws {
        var dialogue = try Dialogue.leader()
        var odd = report(dialogue.names[2], 500)
        odd.replayed = LSN(1 << 62)
        dialogue.reports = [odd]
        dialogue.revision += 1
        _ = dialogue.watch()
        #expect(dialogue.observed(try dialogue.primary(500, ["m2": 500])).last == .setGate(isOpen: true))
        #expect(dialogue.observed(try dialogue.primary(500, ["m2": 500])).isEmpty)
    }

    /// A standby whose disk hangs can promise nothing, and still says how far it was: a leader that comes back with less has
    /// lost something, and its answer alone proves nothing.
    @Test func whatAStandbyHadIsSaidUntilItAnswers() throws {
        var dialogue = try Dialogue.follower("m2")
        let names = dialogue.names
        let sample = StandbyObservation(
            timeline: 1, received: LSN(1200), replayed: LSN(1200), isStreaming: true, silence: .zero, lag: .zero)
        _ = dialogue.observed(.standby(sample))
        dialogue.change { $0.recruitment = Recruitment(epoch: Epoch(2), proposer: names[2], reason: .leaderSilent) }
        #expect(dialogue.watch().contains(.postgres(.sever, dialogue.operation)))
        _ = dialogue.tell(.volumeHangs(since: dialogue.now))
        dialogue.wait(.seconds(20))
        _ = dialogue.tell(.tick)
        let said = try #require(dialogue.stored)
        #expect(said.promised == .first && said.position?.end == LSN(1200) && said.cannotLead == true)

        var answer = report(names[0], 1199)
        let rule = try #require(dialogue.rule)
        (answer.promised, answer.chain) = (Epoch(2), rule.history)
        let tally = try #require(RecruitmentTally(rule: rule, reports: [answer, said]))
        #expect(!tally.isSufficient && tally.bereft.map(\.member) == [names[0]])
        (answer.position, answer.replayed) = (said.position, LSN(1200))
        #expect(RecruitmentTally(rule: rule, reports: [answer, said])?.isSufficient == true)
    }

    /// Its receiver begins with the segment that the leader's end is in: it streams, and says how far it is.
    @Test func aLeaderThatHasLessThanAStandbyThatStreamsDoesNotOpen() throws {
        var dialogue = try Dialogue.leader()
        let actions = dialogue.observed(try dialogue.primary(500, ["m2": 501]))
        #expect(actions == [.postgres(.stop(.immediate), dialogue.operation)])
    }

    @Test func aLeaderThatHasLostItsTimelineDoesNotOpen() throws {
        let name = try MemberName("m1")
        let chain = [Reign(epoch: .first, leader: name, begin: .zero)]
        var dialogue = try Dialogue(
            "m1",
            state: DurableState(promised: .first, chain: chain, timeline: 2, data: .usable, led: .first))
        dialogue.rule = Dialogue.firstRule(dialogue.names)
        dialogue.rule?.timeline = 2
        dialogue.tell(.tick)
        _ = dialogue.read()
        _ = dialogue.tell(.heartbeatAnswered(sequence: 1, .applied(revision: 11)))
        _ = dialogue.ended()
        let actions = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
        #expect(actions == [.postgres(.stop(.immediate), dialogue.operation)])
    }

    /// A sample that was on its way when a newer report came.
    @Test func anOldSampleIsNoProof() throws {
        var dialogue = try Dialogue.leader()
        #expect(dialogue.observed(try dialogue.primary(500, ["m3": 500])).last == .setGate(isOpen: true))
        for round in 1...3 as ClosedRange<UInt64> {
            dialogue.reports = [report(dialogue.names[2], 500 + round * 10)]
            dialogue.revision += 1
            #expect(dialogue.watch().isEmpty)
            #expect(dialogue.observed(try dialogue.primary(490 + round * 10, ["m3": 490 + round * 10])).isEmpty)
        }
        // The next one was not.
        let actions = dialogue.observed(try dialogue.primary(520, ["m3": 520]))
        #expect(actions == [.setGate(isOpen: false), .postgres(.stop(.immediate), dialogue.operation)])
    }

    /// A copy of such a leader would lose here what is only here.
    @Test func aFollowerOfAShortLeaderCallsARecruitment() throws {
        var dialogue = try Dialogue.follower("m2")
        var next = dialogue.rule
        next?.recruitment = Recruitment(epoch: Epoch(2), proposer: dialogue.names[1], reason: .leaderLostLog)
        let called = try #require(next)
        #expect(
            dialogue.tell(.leaderLostLog("it ends before", after: dialogue.operation))
                == [.changeRule(called, expectedRevision: 5, dialogue.ruleChange)])
        #expect(dialogue.member.state.data == .usable)
        #expect(dialogue.member.status.phase == .following && dialogue.member.status.detail == "it ends before")
        // A word about an earlier operation does not count.
        dialogue = try Dialogue.follower("m2")
        #expect(dialogue.tell(.leaderLostLog("late", after: OperationID(1))).isEmpty)
    }

    /// Its leader would take it for log of its own that it has lost.
    @Test func whatSomebodyElseWroteIsNotShown() throws {
        var dialogue = try Dialogue.follower("m2")
        _ = dialogue.observed(dialogue.standby(1000))
        _ = dialogue.observed(try dialogue.primary(1300))
        _ = dialogue.ended()
        _ = dialogue.ended(.end(LSN(1300), timeline: 2, forks: [TimelineFork(timeline: 2, begin: LSN(1000))]))
        #expect(dialogue.member.status.phase == .waiting)
        dialogue.wait(.seconds(4))
        _ = dialogue.observed(dialogue.standby(1300, isStreaming: false, silence: nil))
        #expect(dialogue.stored?.replayed == LSN(1000))
        #expect(dialogue.stored?.position == Position(epoch: .first, end: LSN(1000)))
    }

    /// Its pages may hold what its log has lost: another has gone on from beyond its end.
    @Test func whoLostAPartOfItsReignIsCopiedAnew() throws {
        var dialogue = try returning(to: 501)
        let names = dialogue.names
        _ = dialogue.observed(try dialogue.primary(500))
        _ = dialogue.ended()
        dialogue.change { $0.recruitment = Recruitment(epoch: Epoch(2), proposer: names[0], reason: .leaderLostLog) }
        _ = dialogue.watch()
        _ = dialogue.ended()
        _ = dialogue.ended(.end(LSN(500), timeline: 1))
        dialogue.change {
            $0.recruitment = nil
            $0.epoch = Epoch(2)
            $0.leader = names[2]
            $0.history.append(Reign(epoch: Epoch(2), leader: names[2], begin: LSN(501)))
        }
        dialogue.beat(1)
        _ = dialogue.watch()
        dialogue.beat(2)
        #expect(dialogue.watch() == [.postgres(.clone(from: names[2], epoch: Epoch(2)), dialogue.operation)])
        #expect(dialogue.member.status.detail?.contains("lost part of its own log") == true)
    }
}
