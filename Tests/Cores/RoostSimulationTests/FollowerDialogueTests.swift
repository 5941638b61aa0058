import RoostFailover
import RoostModel
import Testing

@Suite struct FollowerDialogueTests {
    @Test func firstMemberFoundsTheCluster() throws {
        var dialogue = try Dialogue("m1")
        #expect(dialogue.tell(.tick).isEmpty)
        #expect(dialogue.read() == [.postgres(.initialize, OperationID(1))])
        let actions = dialogue.ended()
        let reign = Reign(epoch: .first, leader: dialogue.names[0], begin: .zero)
        let state = DurableState(
            promised: .first, chain: [reign], timeline: 1, data: .usable, led: .first, keptSince: Epoch.none)
        // On disk before it is in the store.
        #expect(
            actions == [
                .save(state), .changeRule(Dialogue.firstRule(dialogue.names), expectedRevision: 0, dialogue.ruleChange),
            ])
        // Died before the answer: the data is kept, the rule asked for again.
        var reborn = try Dialogue("m1", state: state)
        reborn.tell(.tick)
        #expect(
            reborn.read() == [.changeRule(Dialogue.firstRule(dialogue.names), expectedRevision: 0, reborn.ruleChange)])
    }

    @Test func othersWaitForARuleAndThenCopy() throws {
        var dialogue = try Dialogue("m2")
        dialogue.tell(.tick)
        #expect(dialogue.read().isEmpty)
        dialogue.rule = Dialogue.firstRule(dialogue.names)
        dialogue.revision += 1
        #expect(dialogue.watch() == [.save(DurableState(promised: .first, keptSince: .first))])
        // The first heartbeat seen may be an old one; the second shows that the leader lives.
        dialogue.beat(1)
        let reign = Reign(epoch: .first, leader: dialogue.names[0], begin: .zero)
        #expect(dialogue.watch() == [.save(DurableState(promised: .first, opened: reign, keptSince: .first))])
        dialogue.beat(2)
        let clone = PostgresOperation.clone(from: dialogue.names[0], epoch: .first)
        #expect(dialogue.watch() == [.postgres(clone, OperationID(1))])
        #expect(dialogue.ended(.unreachable("gone")).isEmpty)
        dialogue.wait(.seconds(1))
        #expect(dialogue.tell(.tick) == [.postgres(clone, OperationID(2))])
        // Whole: it counts from here on, and then takes its place.
        var copied = DurableState(promised: .first, data: .exchanging, opened: reign, keptSince: .first)
        copied.chain = Dialogue.firstRule(dialogue.names).history
        copied.timeline = 1
        #expect(dialogue.ended() == [.save(copied), .postgres(.exchange, OperationID(3))])
        copied.data = .usable
        #expect(dialogue.ended() == [.save(copied), .postgres(.readEnd, OperationID(4))])
        #expect(
            dialogue.ended(.end(LSN(900), timeline: 1)) == [
                .postgres(.follow(dialogue.names[0], epoch: .first, fork: nil), OperationID(5))
            ])
    }

    @Test func aMemberThatLostItsDiskDoesNotFoundASecondCluster() throws {
        var dialogue = try Dialogue("m1")
        dialogue.rule = Dialogue.firstRule(dialogue.names)
        dialogue.tell(.tick)
        guard case .save? = dialogue.read().first else {
            Issue.record("no promise")
            return
        }
        let actions = dialogue.tell(.tick)
        #expect(!actions.contains { if case .postgres = $0 { true } else { false } })
    }

    @Test func aWatchBeforeTheFirstReadIsNotBelieved() throws {
        var dialogue = try Dialogue("m2")
        dialogue.rule = Dialogue.firstRule(dialogue.names)
        dialogue.tell(.tick)
        #expect(dialogue.watch().isEmpty)
        #expect(!dialogue.read().isEmpty)
    }

    @Test func aRecruitmentIsAnsweredInThisOrder() throws {
        var dialogue = try Dialogue.follower("m2")
        let proposer = dialogue.names[2]
        dialogue.change { $0.recruitment = Recruitment(epoch: Epoch(2), proposer: proposer, reason: .leaderSilent) }
        // The fence first, and nothing else: no promise, no answer.
        let calling = dialogue.all(.viewed(dialogue.view, by: .watch))
        #expect(calling.contains(.postgres(.sever, dialogue.operation)))
        #expect(Dialogue.reported(calling)?.chain == nil)
        // Failed: again, still without a promise.
        dialogue.wait(.milliseconds(10))
        #expect(dialogue.ended(.failed("no")).isEmpty)
        dialogue.wait(.seconds(1))
        #expect(dialogue.tell(.tick) == [.postgres(.sever, dialogue.operation)])
        // Behind the fence: the promise on disk, then the end of the log.
        var promised = dialogue.member.state
        promised.promised = Epoch(2)
        promised.keptSince = .first
        #expect(dialogue.ended() == [.save(promised), .postgres(.readEnd, dialogue.operation)])
        let answer = Dialogue.reported(dialogue.all(.operationEnded(dialogue.operation, .end(LSN(1200), timeline: 1))))
        #expect(answer?.promised == Epoch(2))
        #expect(answer?.position == Position(epoch: .first, end: LSN(1200)))
        #expect(answer?.chain == promised.chain)
    }

    /// The store's yes is a lease to the one that is chosen, and to nobody else. If it does not speak, another does.
    @Test(arguments: [("m2", 0), ("m3", 400)])
    func theOneThatIsChosenTellsTheStoreFirst(_ name: String, _ wait: Int) throws {
        var dialogue = try Dialogue.follower(name)
        let names = dialogue.names
        dialogue.change { $0.recruitment = Recruitment(epoch: Epoch(2), proposer: names[2], reason: .leaderSilent) }
        _ = dialogue.watch()
        _ = dialogue.ended()
        _ = dialogue.ended(.end(LSN(1000), timeline: 1))
        let chain = dialogue.member.state.chain
        dialogue.reports = [names[1], names[2]].map { name in
            MemberReport(
                member: name, role: .standby, state: .waiting, promised: Epoch(2),
                position: Position(epoch: .first, end: LSN(1000)), timeline: 1, replayed: LSN(1000),
                isStreaming: false, lagBytes: 0, lagMilliseconds: 0, chain: chain)
        }
        dialogue.revision += 1
        func verdict(_ actions: [FailoverAction]) -> ClusterRule? {
            for case .changeRule(let rule, _, _) in actions { return rule }
            return nil
        }
        var decided = verdict(dialogue.watch())
        if wait > 0 {
            #expect(decided == nil)
            dialogue.wait(.milliseconds(wait - 1))
            #expect(verdict(dialogue.tell(.tick)) == nil)
            #expect(dialogue.member.wakeAt <= dialogue.now + .milliseconds(1))
            dialogue.wait(.milliseconds(1))
            decided = verdict(dialogue.tell(.tick))
        }
        #expect(decided?.leader == names[1])
        #expect(decided?.epoch == Epoch(2))
    }

    @Test func aCrashThatOvertakesTheWordOfSuccessIsNotForgotten() throws {
        var dialogue = try Dialogue.follower("m2")
        let leader = dialogue.names[0]
        // Nobody knows what it did meanwhile: its log is read again.
        #expect(dialogue.tell(.postgresExited(after: dialogue.operation)) == [.postgres(.sever, dialogue.operation)])
        #expect(dialogue.ended().isEmpty)
        dialogue.wait(.seconds(1))
        #expect(dialogue.tell(.tick) == [.postgres(.readEnd, dialogue.operation)])
        #expect(
            dialogue.ended(.end(LSN(1000), timeline: 1)) == [
                .postgres(.follow(leader, epoch: .first, fork: nil), dialogue.operation)
            ])
        // It ran, and died before that was said.
        #expect(dialogue.tell(.postgresExited(after: dialogue.operation)).isEmpty)
        #expect(dialogue.ended() == [.postgres(.sever, dialogue.operation)])
    }

    @Test func aSilentLeaderIsReplacedOnlyWhileTheStoreAnswers() throws {
        var dialogue = try Dialogue.follower("m2")
        for _ in 0..<7 {
            dialogue.wait(.milliseconds(250))
            #expect(dialogue.read().isEmpty)
        }
        // The store was away for a while: patience begins anew.
        dialogue.wait(.milliseconds(1500))
        for _ in 0..<8 {
            #expect(dialogue.read().isEmpty)
            dialogue.wait(.milliseconds(250))
        }
        dialogue.wait(.milliseconds(200))
        var called = dialogue.rule
        called?.recruitment = Recruitment(epoch: Epoch(2), proposer: dialogue.names[1], reason: .leaderSilent)
        #expect(dialogue.read() == [.changeRule(try #require(called), expectedRevision: 5, dialogue.ruleChange)])
    }

    /// Who was to lead has left since. A call that names it is none that a host takes, so nobody would ever be called.
    @Test func aCallNamesNobodyWhoIsNoMember() throws {
        var dialogue = try Dialogue.follower("m2")
        let gone = try MemberName("m6")
        dialogue.change { $0.switchover = SwitchoverRequest(id: "1", target: gone) }
        var calls: [ClusterRule] = []
        for _ in 0..<40 where calls.isEmpty {
            dialogue.wait(.milliseconds(100))
            calls = dialogue.read().compactMap { if case .changeRule(let next, _, _) = $0 { next } else { nil } }
        }
        let call = try #require(calls.first)
        #expect(call.recruitment?.target == nil && call.recruitment?.reason == .leaderSilent)
        try call.check(asChangeOf: try #require(dialogue.rule), by: dialogue.names[1])
    }

    @Test func aLeaderThatIsStillHeardHasMoreTime() throws {
        var dialogue = try Dialogue.follower("m2")
        for _ in 0..<15 {
            dialogue.wait(.milliseconds(250))
            _ = dialogue.observed(dialogue.standby(1000))
            #expect(dialogue.read().isEmpty)
        }
        dialogue.wait(.milliseconds(250))
        _ = dialogue.observed(dialogue.standby(1000))
        #expect(dialogue.read().count == 1)
    }

    /// Both fell silent: the machine is gone. A stream that spoke only now and then says nothing by its silence.
    @Test(arguments: [(250, 1200), (1250, 2000)])
    func aLeaderWhoseStreamWasBusyIsMissedSooner(pause: Int, patience: Int) throws {
        var dialogue = try Dialogue.follower("m2")
        for beat in 1...12 {
            dialogue.wait(.milliseconds(pause))
            _ = dialogue.observed(dialogue.standby(1000, silence: .milliseconds(100)))
            dialogue.beat(UInt64(beat))
            _ = dialogue.watch()
        }
        var waited = 0
        while waited < patience {
            #expect(dialogue.read().isEmpty, "after \(waited) ms")
            dialogue.wait(.milliseconds(100))
            waited += 100
            _ = dialogue.observed(dialogue.standby(1000, silence: .milliseconds(100 + waited)))
        }
        #expect(dialogue.read().count == 1)
    }

    /// A standby whose log ends on the timeline that the new leader leaves, at the fork or before, need not ask.
    @Test(arguments: [(900, 1, true), (1000, 1, true), (900, 2, false)] as [(UInt64, UInt32, Bool)])
    func aStandbyIsToldWhereTheLeadersTimelineBegins(_ end: UInt64, _ timeline: UInt32, _ isTold: Bool) throws {
        var dialogue = try Dialogue.follower("m2")
        let newLeader = dialogue.names[2]
        dialogue.change {
            $0.epoch = Epoch(2)
            $0.leader = newLeader
            $0.history.append(Reign(epoch: Epoch(2), leader: newLeader, begin: LSN(1000)))
            $0.timeline = 2
        }
        _ = dialogue.watch()
        _ = dialogue.ended()
        let fork = isTold ? TimelineFork(timeline: 2, begin: LSN(1000)) : nil
        let actions = dialogue.ended(.end(LSN(end), timeline: timeline))
        #expect(actions.last == .postgres(.follow(newLeader, epoch: Epoch(2), fork: fork), dialogue.operation))
    }

    @Test func aLogThatGoesBeyondTheForkIsRewound() throws {
        var dialogue = try Dialogue.follower("m2")
        let newLeader = dialogue.names[2]
        dialogue.change {
            $0.epoch = Epoch(2)
            $0.leader = newLeader
            $0.history.append(Reign(epoch: Epoch(2), leader: newLeader, begin: LSN(900)))
        }
        _ = dialogue.watch()
        _ = dialogue.ended()
        #expect(dialogue.ended(.end(LSN(1000), timeline: 1)).isEmpty)
        let chain = dialogue.member.state.chain
        dialogue.beat(1)
        _ = dialogue.watch()
        #expect(dialogue.member.state.data == .usable)
        dialogue.beat(2)
        _ = dialogue.watch()
        // Tried out first.
        #expect(dialogue.member.state.data == .usable)
        _ = dialogue.ended()
        #expect(dialogue.member.state.data == .rewinding)
        #expect(dialogue.member.state.chain == chain)
        _ = dialogue.ended()
        // Not usable before it has streamed in the new epoch.
        #expect(dialogue.member.state.data == .rewinding)
        _ = dialogue.ended()
        _ = dialogue.observed(dialogue.standby(950, isStreaming: false, silence: nil))
        #expect(dialogue.member.state.data == .rewinding)
        _ = dialogue.observed(dialogue.standby(1100))
        #expect(dialogue.member.state.data == .usable)
        #expect(dialogue.member.state.chain == dialogue.rule?.history)
    }

    /// The store went back between the choice and the office, and chose anew.
    @Test func whoWasChosenByAStoreThatWentBackFollowsWhomItChoseInstead() throws {
        var dialogue = try Dialogue.follower("m2")
        let names = dialogue.names
        dialogue.change { $0.recruitment = Recruitment(epoch: Epoch(2), proposer: names[1], reason: .leaderSilent) }
        _ = dialogue.watch()
        _ = dialogue.ended()
        _ = dialogue.ended(.end(LSN(1000), timeline: 1))
        func choose(_ leader: MemberName) {
            dialogue.change {
                $0.epoch = Epoch(2)
                $0.leader = leader
                $0.recruitment = nil
                $0.history = [$0.history[0], Reign(epoch: Epoch(2), leader: leader, begin: LSN(1000))]
            }
        }
        choose(names[1])
        _ = dialogue.watch()
        #expect(dialogue.member.status.phase == .claiming)
        choose(names[2])
        #expect(dialogue.watch().last == .postgres(.sever, dialogue.operation))
        _ = dialogue.ended()
        let follow = dialogue.ended(.end(LSN(1000), timeline: 1)).last
        #expect(follow == .postgres(.follow(names[2], epoch: Epoch(2), fork: nil), dialogue.operation))
    }

    /// What was asked for in an office that never began does not make the next one.
    @Test func whoIsCalledAgainBeforeItsOfficeNeedsTheStoresWordAnew() throws {
        var dialogue = try Dialogue.follower("m2")
        let names = dialogue.names
        func call() {
            dialogue.change {
                $0.epoch = .first
                $0.leader = names[0]
                $0.history = [$0.history[0]]
                $0.recruitment = Recruitment(epoch: Epoch(2), proposer: names[1], reason: .leaderSilent)
            }
        }
        func choose() {
            dialogue.change {
                $0.epoch = Epoch(2)
                $0.leader = names[1]
                $0.recruitment = nil
                $0.history = [$0.history[0], Reign(epoch: Epoch(2), leader: names[1], begin: LSN(1000))]
            }
        }
        call()
        _ = dialogue.watch()
        _ = dialogue.ended()
        _ = dialogue.ended(.end(LSN(1000), timeline: 1))
        choose()
        let sent = dialogue.all(.viewed(dialogue.view, by: .watch)).compactMap { action -> UInt64? in
            guard case .heartbeat(let beat, _) = action else { return nil }
            return beat.sequence
        }
        let sequence = try #require(sent.last)
        call()
        #expect(dialogue.watch().last == .postgres(.sever, dialogue.operation))
        _ = dialogue.tell(.heartbeatAnswered(sequence: sequence, .applied(revision: dialogue.revision)))
        _ = dialogue.ended()
        _ = dialogue.ended(.end(LSN(1000), timeline: 1))
        choose()
        #expect(dialogue.watch().isEmpty)
        #expect(dialogue.member.status.phase == .claiming)
    }

    /// Its pages may be newer than its log.
    @Test func aLogThatLostItsOwnReignIsReplaced() throws {
        let names = try (1...3).map { try MemberName("m\($0)") }
        let first = Reign(epoch: .first, leader: names[0], begin: .zero)
        let own = Reign(epoch: Epoch(2), leader: names[1], begin: LSN(1000))
        var dialogue = try Dialogue(
            "m2",
            state: DurableState(promised: Epoch(2), chain: [first, own], timeline: 2, data: .usable, led: Epoch(2)))
        dialogue.rule = Dialogue.firstRule(names)
        dialogue.change {
            $0.epoch = Epoch(3)
            $0.history += [own, Reign(epoch: Epoch(3), leader: names[0], begin: LSN(1200))]
        }
        dialogue.beat(1)
        dialogue.tell(.tick)
        _ = dialogue.read()
        dialogue.beat(2)
        _ = dialogue.watch()
        let actions = dialogue.ended(.end(LSN(900), timeline: 1))
        #expect(dialogue.member.state.data == .usable)
        guard case .postgres(.clone(let leader, _), _)? = actions.last else {
            Issue.record("\(actions) \(dialogue.member.status)")
            return
        }
        #expect(leader == names[0])
    }

    /// Whatever its stream showed once, after 10 s it may be of another time.
    @Test func readersAreLetInForAsLongAsTheStreamMoves() throws {
        var dialogue = try Dialogue.follower("m2")
        #expect(dialogue.observed(dialogue.standby(1000)) == [.setGate(isOpen: true)])
        dialogue.wait(.milliseconds(9900))
        #expect(dialogue.observed(dialogue.standby(1000, isStreaming: false, silence: nil)).isEmpty)
        dialogue.wait(.milliseconds(100))
        #expect(dialogue.tell(.tick) == [.setGate(isOpen: false)])
        #expect(dialogue.member.status.detail == "its stream has stood still for 10 s")
        #expect(dialogue.observed(dialogue.standby(1000)) == [.setGate(isOpen: true)])
    }

    /// Else it reads as if it were why the call gets on no better.
    @Test("What a member says of the leader that it follows is over when members are called away from it")
    func whatItSaidOfItsLeaderIsOver() throws {
        let stray = PostgresObservation.primary(PrimaryObservation(timeline: 2, flushed: LSN(1200), standbys: []))
        let end = OperationOutcome.end(
            LSN(1200), timeline: 2, forks: [TimelineFork(timeline: 2, begin: LSN(1000))])
        for isRewinding in [false, true] {
            var dialogue = try Dialogue.follower("m2")
            _ = dialogue.observed(dialogue.standby(1000))
            dialogue.beat(2)
            _ = dialogue.watch()
            if isRewinding {
                _ = dialogue.observed(stray)
                _ = dialogue.ended()
                _ = dialogue.ended(end)
            } else {
                dialogue.wait(.seconds(10))
                _ = dialogue.tell(.tick)
            }
            #expect(dialogue.member.status.detail != nil)
            let names = dialogue.names
            dialogue.change {
                $0.recruitment = Recruitment(epoch: Epoch(2), proposer: names[2], reason: .leaderSilent)
            }
            #expect(dialogue.watch().last == .postgres(.sever, dialogue.operation))
            #expect(dialogue.member.status.detail == nil)
        }
    }
}
