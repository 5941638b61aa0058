import RoostFailover
import RoostModel
import Testing

@Suite struct LeaderDialogueTests {
    @Test func aReturningLeaderAsksForItsLeaseFirst() throws {
        let name = try MemberName("m1")
        let chain = [Reign(epoch: .first, leader: name, begin: .zero)]
        let state = DurableState(promised: .first, chain: chain, data: .usable, led: .first)
        var dialogue = try Dialogue("m1", state: state)
        dialogue.rule = Dialogue.firstRule(dialogue.names)
        dialogue.tell(.tick)
        let actions = dialogue.all(.viewed(dialogue.view, by: .read(dialogue.lastRead)))
        #expect(!actions.contains { if case .postgres = $0 { true } else { false } })
        let started = dialogue.tell(.heartbeatAnswered(sequence: 1, .applied(revision: 20)))
        #expect(
            started == [
                .postgres(
                    .startPrimary(epoch: .first, confirmations: 1, standbys: Array(dialogue.names.dropFirst())),
                    dialogue.operation)
            ])
    }

    @Test func aReturningLeaderThatIsBeingReplacedAnswers() throws {
        let name = try MemberName("m1")
        let chain = [Reign(epoch: .first, leader: name, begin: .zero)]
        let state = DurableState(promised: .first, chain: chain, data: .usable, led: .first)
        var dialogue = try Dialogue("m1", state: state)
        dialogue.rule = Dialogue.firstRule(dialogue.names)
        let proposer = dialogue.names[1]
        dialogue.change { $0.recruitment = Recruitment(epoch: Epoch(2), proposer: proposer, reason: .leaderSilent) }
        dialogue.tell(.tick)
        let actions = dialogue.read()
        #expect(dialogue.member.state.promised == Epoch(2))
        #expect(actions.last == .postgres(.readEnd, dialogue.operation))
    }

    @Test func opensOnlyWhenStandbysHaveWhatClientsWouldSee() throws {
        var dialogue = try Dialogue.leader()
        #expect(dialogue.observed(try dialogue.primary(500)).isEmpty)
        #expect(dialogue.observed(try dialogue.primary(600, ["m2": 499])).isEmpty)
        let actions = dialogue.all(.observed(try dialogue.primary(600, ["m2": 500]), after: dialogue.operation))
        #expect(actions.contains(.setGate(isOpen: true)))
        #expect(!actions.contains { if case .heartbeat(let beat, _) = $0 { beat.isOpen } else { false } })
        // The store hears it at once when clients are let in, and not before.
        let told = dialogue.all(.gateAnswered(isOpen: true, failure: nil))
        #expect(told.contains { if case .heartbeat(let beat, _) = $0 { beat.isOpen } else { false } })
    }

    /// People read it beside a status that says `ready`.
    @Test func whatALeaderWaitedForIsTakenBackWhenItOpens() throws {
        var dialogue = try Dialogue.leader()
        _ = dialogue.observed(try dialogue.primary(500))
        dialogue.wait(.milliseconds(200))
        #expect(dialogue.stored?.detail == "waits until 1 standby has its log up to 0/1F4")
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
        #expect(dialogue.stored?.detail == nil)
    }

    @Test func afterAPromotionOldBytesAreNotEnough() throws {
        var dialogue = try Dialogue.follower("m2")
        let names = dialogue.names
        dialogue.change { $0.recruitment = Recruitment(epoch: Epoch(2), proposer: names[1], reason: .leaderSilent) }
        _ = dialogue.watch()
        _ = dialogue.ended()
        _ = dialogue.ended(.end(LSN(1000), timeline: 1))
        dialogue.change {
            $0.recruitment = nil
            $0.epoch = Epoch(2)
            $0.leader = names[1]
            $0.history.append(Reign(epoch: Epoch(2), leader: names[1], begin: LSN(1000)))
        }
        _ = dialogue.watch()
        let actions = dialogue.tell(.heartbeatAnswered(sequence: 1, .applied(revision: 30)))
        // The chain on disk before a byte of the new reign can exist.
        guard case .save(let state)? = actions.first else {
            Issue.record("\(actions)")
            return
        }
        #expect(state.chain == dialogue.rule?.history)
        // As many as the rule says must have each commit, and of nobody else than its standbys.
        #expect(
            actions.last
                == .postgres(
                    .promote(epoch: Epoch(2), confirmations: 1, standbys: [names[0], names[2]]), dialogue.operation))
        _ = dialogue.ended(.promoted(switchPoint: LSN(1000), timeline: 2))
        #expect(dialogue.member.state.led == Epoch(2))
        // Its own end-of-recovery record is not flushed yet in this sample; then it is, but nobody has it.
        #expect(dialogue.observed(try dialogue.primary(1000, ["m3": 1000])).isEmpty)
        #expect(dialogue.observed(try dialogue.primary(1001, ["m3": 1000])).isEmpty)
        #expect(dialogue.observed(try dialogue.primary(1001, ["m3": 1001])).last == .setGate(isOpen: true))
    }

    /// Standbys were told both beforehand, so a leader that begins elsewhere must not lead.
    @Test(arguments: [(1001, 3), (1000, 4)] as [(UInt64, UInt32)])
    func aPromotionThatEndedElsewhereIsGivenUp(_ begin: UInt64, _ timeline: UInt32) throws {
        var dialogue = try Dialogue.follower("m2")
        let names = dialogue.names
        dialogue.change { $0.recruitment = Recruitment(epoch: Epoch(2), proposer: names[1], reason: .leaderSilent) }
        _ = dialogue.watch()
        _ = dialogue.ended()
        _ = dialogue.ended(.end(LSN(1000), timeline: 2))
        // What Postgres shows meanwhile is older, and does not count.
        _ = dialogue.observed(dialogue.standby(1000, isStreaming: false, silence: nil))
        #expect(Dialogue.reported(dialogue.all(.tick))?.timeline ?? 2 == 2)
        dialogue.change {
            $0.recruitment = nil
            $0.epoch = Epoch(2)
            $0.leader = names[1]
            $0.history.append(Reign(epoch: Epoch(2), leader: names[1], begin: LSN(1000)))
        }
        _ = dialogue.watch()
        _ = dialogue.tell(.heartbeatAnswered(sequence: 1, .applied(revision: 30)))
        let actions = dialogue.ended(.promoted(switchPoint: LSN(begin), timeline: timeline))
        #expect(actions.last == .postgres(.stop(.immediate), dialogue.operation))
        #expect(dialogue.member.state.data == .usable)
    }

    @Test func theLeaseCountsFromTheSending() throws {
        var dialogue = try Dialogue.leader()
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
        dialogue.wait(.seconds(3))
        var sequences: [UInt64] = []
        for case .heartbeat(let beat, _) in dialogue.all(.tick) { sequences.append(beat.sequence) }
        let sequence = try #require(sequences.first)
        // Answered 1.9 s later: good until 6 s after the sending.
        dialogue.wait(.milliseconds(1900))
        _ = dialogue.tell(.heartbeatAnswered(sequence: sequence, .applied(revision: 40)))
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
        dialogue.wait(.milliseconds(4000))
        #expect(dialogue.observed(try dialogue.primary(500, ["m2": 500])).isEmpty)
        dialogue.wait(.milliseconds(200))
        #expect(dialogue.tell(.tick) == [.setGate(isOpen: false), .postgres(.stop(.immediate), dialogue.operation)])
    }

    /// A cut of its way to the store is over, and what was sent into it has no answer yet: what is sent now has.
    @Test func heartbeatsWithoutAnAnswerKeepNoneBack() throws {
        var dialogue = try Dialogue.leader()
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
        var sequences: [UInt64] = []
        for step in 1...19 {
            dialogue.wait(.milliseconds(300))
            let sample = try dialogue.primary(500, ["m2": 500])
            let actions = dialogue.all(.observed(sample, after: dialogue.operation)) + dialogue.all(.tick)
            for case .heartbeat(let beat, _) in actions { sequences.append(beat.sequence) }
            #expect(sequences.count == step)
        }
        // The newest is answered, and those before it never.
        _ = dialogue.tell(
            .heartbeatAnswered(sequence: try #require(sequences.last), .applied(revision: 40)))
        dialogue.wait(.seconds(5))
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
        #expect(dialogue.member.status.phase == .leading)
    }

    @Test func aFrozenLeaderStopsBeforeAnythingElse() throws {
        var dialogue = try Dialogue.leader()
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
        dialogue.wait(.seconds(60))
        let actions = dialogue.all(.viewed(dialogue.view, by: .watch))
        #expect(actions.prefix(2) == [.setGate(isOpen: false), .postgres(.stop(.immediate), dialogue.operation)])
    }

    @Test func aCrashIsClosedAndStartedInPlaceAFewTimes() throws {
        var dialogue = try Dialogue.leader()
        try crashInPlace(&dialogue, times: 3)
        _ = dialogue.tell(.postgresExited(after: dialogue.operation))
        var called = dialogue.rule
        called?.recruitment = Recruitment(epoch: Epoch(2), proposer: dialogue.names[0], reason: .leaderResigned)
        #expect(dialogue.ended() == [.changeRule(try #require(called), expectedRevision: 5, dialogue.ruleChange)])
    }

    /// Long enough for one that a busy computer has made slow, and not longer.
    @Test func aPostgresThatSaysNothingForTenSecondsIsEnded() throws {
        var dialogue = try Dialogue.leader()
        #expect(dialogue.observed(try dialogue.primary(500, ["m2": 500])).last == .setGate(isOpen: true))
        // The store answers all the time: it is not the lease that ends.
        func wait(_ time: Duration) -> [FailoverAction] {
            dialogue.wait(time)
            let actions = dialogue.all(.tick)
            for case .heartbeat(let beat, _) in actions {
                dialogue.tell(.heartbeatAnswered(sequence: beat.sequence, .applied(revision: 50)))
            }
            return actions.filter { action in
                switch action {
                case .read, .report, .heartbeat, .holdLease, .beat: false
                case .save, .changeRule, .postgres, .setGate, .exit: true
                }
            }
        }
        for _ in 0..<33 { #expect(wait(.milliseconds(300)).isEmpty) }
        #expect(dialogue.member.status.phase == .leading && dialogue.member.status.isOpen)
        #expect(
            wait(.milliseconds(100)) == [
                .setGate(isOpen: false),
                .postgres(
                    .startPrimary(epoch: .first, confirmations: 1, standbys: Array(dialogue.names.dropFirst())),
                    dialogue.operation),
            ])
        #expect(dialogue.member.status.phase == .restarting)
    }

    @Test func crashesOfAnEarlierReignDoNotCount() throws {
        var dialogue = try Dialogue.leader()
        let names = dialogue.names
        try crashInPlace(&dialogue, times: 3)
        _ = dialogue.tell(.postgresExited(after: dialogue.operation))
        _ = dialogue.ended()
        dialogue.change { $0.recruitment = Recruitment(epoch: Epoch(2), proposer: names[0], reason: .leaderResigned) }
        _ = dialogue.watch()
        _ = dialogue.ended()
        _ = dialogue.ended(.end(LSN(500), timeline: 1))
        dialogue.change {
            $0.recruitment = nil
            $0.epoch = Epoch(2)
            $0.leader = names[0]
            $0.history.append(Reign(epoch: Epoch(2), leader: names[0], begin: LSN(500)))
        }
        for case .heartbeat(let beat, _) in dialogue.all(.viewed(dialogue.view, by: .watch)) {
            _ = dialogue.tell(.heartbeatAnswered(sequence: beat.sequence, .applied(revision: 60)))
        }
        _ = dialogue.ended(.promoted(switchPoint: LSN(500), timeline: 2))
        #expect(dialogue.member.state.led == Epoch(2))
        _ = dialogue.observed(try dialogue.primary(501, ["m2": 501]))
        _ = dialogue.tell(.postgresExited(after: dialogue.operation))
        #expect(dialogue.member.status.phase == .restarting)
    }

    private func crashInPlace(_ dialogue: inout Dialogue, times: Int) throws {
        for _ in 0..<times {
            _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
            let actions = dialogue.tell(.postgresExited(after: dialogue.operation))
            #expect(actions.first == .setGate(isOpen: false))
            dialogue.wait(.seconds(1))
            for case .heartbeat(let beat, _) in dialogue.all(.tick) {
                _ = dialogue.tell(.heartbeatAnswered(sequence: beat.sequence, .applied(revision: 50)))
            }
            dialogue.wait(.seconds(1))
            dialogue.tell(.tick)
            _ = dialogue.ended()
        }
    }

    @Test func aLeaderThatNobodyHearsMakesWayForThoseWhoHearEachOther() throws {
        var dialogue = try Dialogue.leader()
        for second in 1...15 as ClosedRange<Int64> {
            dialogue.wait(.seconds(1))
            dialogue.reports = dialogue.names.dropFirst().map {
                MemberReport(
                    member: $0, role: .standby, state: .running, promised: .first,
                    position: Position(epoch: .first, end: LSN(400)), timeline: 1, replayed: LSN(400),
                    isStreaming: false, lagBytes: 0, lagMilliseconds: second * 1000)
            }
            dialogue.revision += 1
            for case .heartbeat(let beat, _) in dialogue.all(.viewed(dialogue.view, by: .watch)) {
                _ = dialogue.tell(.heartbeatAnswered(sequence: beat.sequence, .applied(revision: dialogue.revision)))
            }
            _ = dialogue.observed(try dialogue.primary(500))
            if dialogue.member.status.phase == .resigning {
                #expect(second > 10)
                return
            }
        }
        Issue.record("\(dialogue.member.status)")
    }

    /// Standbys stream from data of the same system only, so an open leader's is the cluster's.
    @Test func anOpenLeaderNamesTheClustersData() throws {
        var dialogue = try Dialogue.leader()
        let standbys = [StreamObservation(member: dialogue.names[1], isStreaming: true, flushed: LSN(500))]
        func sample(_ standbys: [StreamObservation]) -> PostgresObservation {
            .primary(PrimaryObservation(timeline: 1, flushed: LSN(500), standbys: standbys, system: 77))
        }
        #expect(dialogue.observed(sample([])).isEmpty)
        var named = dialogue.rule
        named?.system = 77
        let actions = dialogue.observed(sample(standbys)) + dialogue.tell(.tick)
        #expect(
            actions.last
                == .changeRule(try #require(named), expectedRevision: dialogue.ruleRevision, dialogue.ruleChange))
        dialogue.change { $0.system = 77 }
        _ = dialogue.tell(.ruleAnswered(dialogue.ruleChange, .refused))
        _ = dialogue.watch()
        dialogue.wait(.seconds(1))
        #expect(dialogue.observed(sample(standbys)).isEmpty, "once")
    }

    /// A number that is not so would keep every copy from being made, for as long as the cluster is there.
    @Test func aNumberThatIsNotThatOfTheClustersDataIsPutRight() throws {
        var dialogue = try Dialogue.leader()
        func sample(_ names: [MemberName]) -> PostgresObservation {
            let streams = names.map { StreamObservation(member: $0, isStreaming: true, flushed: LSN(500)) }
            return .primary(PrimaryObservation(timeline: 1, flushed: LSN(500), standbys: streams, system: 77))
        }
        dialogue.change { $0.system = 76 }
        _ = dialogue.watch()
        let second = dialogue.names[1]
        let actions = dialogue.observed(sample([second])) + dialogue.tell(.tick)
        var right = try #require(dialogue.rule)
        right.system = 77
        #expect(actions.last == .changeRule(right, expectedRevision: dialogue.ruleRevision, dialogue.ruleChange))
        try right.check(asChangeOf: try #require(dialogue.rule), by: dialogue.names[0])
        // Its host is of a version that takes one number only: it is not asked again and again.
        _ = dialogue.tell(.ruleAnswered(dialogue.ruleChange, .denied("the data's number")))
        dialogue.wait(.seconds(1))
        let later = dialogue.observed(sample([second])) + dialogue.tell(.tick)
        #expect(later.isEmpty, "\(later)")
    }

    /// It may be this member's data that is of somewhere else: without others that have it the number stays.
    @Test func aNumberStaysWhereNobodyElseHasTheData() throws {
        for members in [3, 1] {
            var dialogue = try Dialogue.leader(members: members)
            let standbys = members == 1 ? [] : [dialogue.names[1]]
            let streams = standbys.map { StreamObservation(member: $0, isStreaming: true, flushed: LSN(500)) }
            func sample(_ streams: [StreamObservation]) -> PostgresObservation {
                .primary(PrimaryObservation(timeline: 1, flushed: LSN(500), standbys: streams, system: 77))
            }
            dialogue.change { $0.system = 77 }
            _ = dialogue.watch()
            #expect(dialogue.observed(sample(streams)).contains(.setGate(isOpen: true)))
            _ = dialogue.observed(sample([]))
            dialogue.change { $0.system = 76 }
            let actions = dialogue.watch() + dialogue.observed(sample([])) + dialogue.tell(.tick)
            #expect(!actions.contains(where: { if case .changeRule = $0 { true } else { false } }), "\(members)")
        }
    }

    @Test func aSwitchoverDrainsBeforeItCalls() throws {
        var dialogue = try Dialogue.leader()
        let names = dialogue.names
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500, "m3": 500]))
        dialogue.change { $0.switchover = SwitchoverRequest(id: "a", target: names[2]) }
        #expect(dialogue.watch() == [.postgres(.checkpoint, dialogue.operation)])
        #expect(dialogue.ended() == [.setGate(isOpen: false), .postgres(.stop(.fast), dialogue.operation)])
        var called = dialogue.rule
        called?.recruitment = Recruitment(
            epoch: Epoch(2), proposer: names[0], reason: .switchover, target: names[2])
        #expect(
            dialogue.ended() == [
                .changeRule(try #require(called), expectedRevision: dialogue.ruleRevision, dialogue.ruleChange)
            ])
    }

    @Test func aSwitchoverThatCannotBeIsRefusedWithAReason() throws {
        var dialogue = try Dialogue.leader()
        let names = dialogue.names
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
        dialogue.change { $0.switchover = SwitchoverRequest(id: "a", target: names[2]) }
        let actions = dialogue.watch()
        guard case .changeRule(let rule, _, _)? = actions.first else {
            Issue.record("\(actions)")
            return
        }
        #expect(rule.switchover?.refusal == "too few standbys are up to date")
        #expect(rule.recruitment == nil)
    }

    @Test func aMachineThatStopsHandsOver() throws {
        var dialogue = try Dialogue.leader()
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
        #expect(dialogue.tell(.terminate) == [.setGate(isOpen: false), .postgres(.stop(.fast), dialogue.operation)])
        guard case .changeRule(let rule, _, _)? = dialogue.ended().first else {
            Issue.record("does not resign")
            return
        }
        #expect(rule.recruitment?.reason == .leaderResigned)
        #expect(dialogue.tell(.ruleAnswered(dialogue.ruleChange, .applied(revision: 60))) == [.exit])
    }

    /// What Postgres says it has written it may not have: it is not started once more on the same volume.
    @Test func aLeaderWhoseVolumeFailsHandsOverAndIsNotStartedAgain() throws {
        var dialogue = try Dialogue.leader()
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
        #expect(
            dialogue.tell(.volumeFailed("takes no writes"))
                == [.setGate(isOpen: false), .postgres(.stop(.immediate), dialogue.operation)])
        #expect(dialogue.stored?.detail == "takes no writes" && dialogue.stored?.role == .primary)
        #expect(dialogue.tell(.postgresExited(after: dialogue.operation)).isEmpty)
        var next = dialogue.rule
        next?.recruitment = Recruitment(epoch: Epoch(2), proposer: dialogue.names[0], reason: .leaderResigned)
        #expect(dialogue.ended() == [.changeRule(try #require(next), expectedRevision: 5, dialogue.ruleChange)])
        #expect(dialogue.tell(.ruleAnswered(dialogue.ruleChange, .applied(revision: 60))) == [.exit])
        #expect(dialogue.stored?.state == .stopped)
    }

    /// One that only begins to lead again, too; and one whose wish for something else is on its way.
    @Test func aLeaderThatIsStartingHandsOverToo() throws {
        var dialogue = try Dialogue.leader()
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
        dialogue.change { $0.switchover = SwitchoverRequest(id: "a", target: nil) }
        #expect(dialogue.watch().contains { if case .changeRule = $0 { true } else { false } })
        _ = dialogue.tell(.volumeFailed("takes no writes"))
        #expect(dialogue.ended().isEmpty)
        let actions = dialogue.tell(.ruleAnswered(dialogue.ruleChange, .refused))
        guard case .changeRule(let rule, _, _)? = actions.first else {
            Issue.record("\(actions)")
            return
        }
        #expect(rule.recruitment?.reason == .leaderResigned)
    }

    @Test func aMemberWhoseVolumeFailsSaysSoAndGoes() throws {
        var follower = try Dialogue.follower("m2")
        #expect(
            follower.tell(.volumeFailed("takes no writes")) == [.postgres(.stop(.immediate), follower.operation)])
        #expect(follower.ended() == [.exit])
        #expect(follower.stored?.detail == "takes no writes")
        // The store may be away.
        follower = try Dialogue.follower("m2")
        _ = follower.member.receive(.volumeFailed("takes no writes"), now: follower.now)
        let stop = OperationID(follower.operation.number + 1)
        #expect(!follower.member.receive(.operationEnded(stop, .done), now: follower.now).contains(.exit))
        follower.wait(.seconds(8))
        #expect(follower.member.receive(.tick, now: follower.now).contains(.exit))
        // An only member has nobody to hand over to.
        var only = try Dialogue.leader(members: 1)
        _ = only.tell(.volumeFailed("takes no writes"))
        #expect(only.ended() == [.exit])
    }
}
