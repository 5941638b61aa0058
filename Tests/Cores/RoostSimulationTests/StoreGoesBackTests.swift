import RoostFailover
import RoostModel
import Testing

/// A store that is restored from an older copy names a leader without what was confirmed since. And what is no proof of
/// that: a wrong quarantine is an outage.
@Suite struct StoreGoesBackTests {
    private let names: [MemberName]
    private let first: Reign
    private let second: Reign

    init() throws {
        names = try (1...3).map { try MemberName("m\($0)") }
        first = Reign(epoch: .first, leader: names[0], begin: .zero)
        second = Reign(epoch: Epoch(2), leader: names[1], begin: LSN(1000))
    }

    /// `m3` has followed `m2` in epoch 2; the store says that `m1` leads in epoch 1.
    private func member(opened: Reign?, chain: [Reign]? = nil, promised: UInt64 = 2) throws -> Dialogue {
        var dialogue = try Dialogue(
            "m3",
            state: DurableState(
                promised: Epoch(promised), chain: chain ?? [first, second], timeline: 2, data: .usable, opened: opened))
        dialogue.rule = Dialogue.firstRule(names)
        dialogue.beat(1)
        dialogue.tell(.tick)
        return dialogue
    }

    @Test func theReignThatIsOpenIsKeptOnDisk() throws {
        var dialogue = try Dialogue.follower("m2")
        #expect(dialogue.member.state.opened == first)
        dialogue.change { [names, second] in
            $0.epoch = Epoch(2)
            $0.leader = names[1]
            $0.history.append(second)
        }
        _ = dialogue.watch()
        // The heartbeat is of the reign before.
        #expect(dialogue.member.state.opened == first)
        dialogue.beat(7)
        _ = dialogue.watch()
        #expect(dialogue.member.state.opened == second)
    }

    @Test func aLeaderKeepsItBeforeItOpens() throws {
        var dialogue = try Dialogue.leader()
        #expect(dialogue.member.state.opened == nil)
        let actions = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
        guard case .save(let state)? = actions.first else {
            Issue.record("\(actions)")
            return
        }
        #expect(state.opened == first)
        #expect(actions.dropFirst() == [.setGate(isOpen: true)])
    }

    @Test func aStoreWithoutTheOpenReignIsNotFollowed() throws {
        var dialogue = try member(opened: second)
        #expect(dialogue.read().isEmpty)
        #expect(dialogue.member.status.phase == .quarantined)
        #expect(dialogue.member.status.detail?.contains("m2 led in epoch 2, from 0/3E8") == true)
        // It answers no call either, and says that it has no data to count on.
        dialogue.change { [names] in
            $0.recruitment = Recruitment(epoch: Epoch(9), proposer: names[0], reason: .leaderResigned)
        }
        #expect(dialogue.watch().isEmpty)
        #expect(dialogue.member.state.promised == Epoch(2))
        #expect(dialogue.stored?.state == .failed && dialogue.stored?.position == nil && dialogue.stored?.chain == nil)
        // A newer copy of the store was found.
        dialogue.change { [names, second] in
            $0.epoch = Epoch(2)
            $0.leader = names[1]
            $0.history.append(second)
            $0.recruitment = nil
        }
        #expect(dialogue.watch() == [.postgres(.sever, dialogue.operation)])
        #expect(dialogue.ended() == [.postgres(.readEnd, dialogue.operation)])
    }

    /// One who runs puts up the fence first, whatever it is at.
    @Test func aLeaderOfAReignThatTheStoreLostCloses() throws {
        var dialogue = try Dialogue.leader()
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
        dialogue.change { [names] in
            $0.history = [Reign(epoch: .first, leader: names[1], begin: .zero)]
            $0.leader = names[1]
        }
        #expect(dialogue.watch() == [.setGate(isOpen: false), .postgres(.sever, dialogue.operation)])
        #expect(dialogue.ended().isEmpty)
        #expect(dialogue.member.status.phase == .quarantined)
        #expect(dialogue.member.state.data == .usable)
    }

    /// By this people choose whose data to keep. A member may have promised an epoch, or heard of its open leader, without
    /// a byte of it.
    @Test func howFarItsOwnLogGoesIsSaid() throws {
        var away = try member(opened: first, chain: [first], promised: 7)
        for _ in 1...2 { _ = away.read() }
        let detail = try #require(away.member.status.detail)
        #expect(detail.contains("promised epoch 7"))
        #expect(detail.contains("how far its own log goes was not read; what it has beyond 0/0 is of epoch 1"))

        var standby = try Dialogue.follower("m2")
        _ = standby.observed(standby.standby(1500))
        standby.change { [names] in $0.history = [Reign(epoch: .first, leader: names[2], begin: .zero)] }
        _ = standby.watch()
        #expect(standby.member.status.detail?.contains("its own log goes at least up to 0/5DC of epoch 1") == true)
        // Postgres had a little more when it was told to stop following.
        _ = standby.ended()
        #expect(standby.member.status.phase == .quarantined)
        _ = standby.observed(standby.standby(1600, isStreaming: false))
        #expect(standby.member.status.detail?.contains("its own log goes at least up to 0/640 of epoch 1") == true)
        // It could not lead from there: it answers nobody.
        #expect(standby.stored?.state == .failed && standby.stored?.cannotLead == true)

        // It has heard that `m2` is open in epoch 2, and has nothing of it yet.
        var late = try Dialogue.follower("m3")
        late.change { [names, second] in
            $0.epoch = Epoch(2)
            $0.leader = names[1]
            $0.history.append(second)
        }
        late.beat(7)
        _ = late.watch()
        #expect(late.member.state.opened == second)
        late.change { [names, first] in
            $0.epoch = .first
            $0.leader = names[0]
            $0.history = [first]
        }
        _ = late.watch()
        let words = try #require(late.member.status.detail)
        #expect(words.contains("m2 led in epoch 2, from 0/3E8"))
        #expect(words.contains("its own log goes at least up to 0/3E8 of epoch 1"))
    }

    @Test func aLeaderSaysHowFarItsOwnLogGoes() throws {
        var dialogue = try Dialogue.leader()
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
        dialogue.change { [names] in
            $0.history = [Reign(epoch: .first, leader: names[1], begin: .zero)]
            $0.leader = names[1]
        }
        _ = dialogue.watch()
        #expect(dialogue.member.status.detail?.contains("its own log goes at least up to 0/1F4 of epoch 1") == true)
    }

    /// A recruitment is never withdrawn; but one read may be of a store that is about to be put right.
    @Test func aStoreThatCallsForLessThanWasPromisedIsNotFollowed() throws {
        var dialogue = try member(opened: first, chain: [first])
        _ = dialogue.read()
        #expect(dialogue.member.status.phase != .quarantined)
        _ = dialogue.read()
        #expect(dialogue.member.status.phase == .quarantined)
        #expect(dialogue.member.status.detail?.contains("promised epoch 2") == true)
        // It was only the call that the store had lost.
        dialogue.change { [names] in
            $0.recruitment = Recruitment(epoch: Epoch(2), proposer: names[1], reason: .leaderSilent)
        }
        #expect(dialogue.watch() == [.postgres(.sever, dialogue.operation)])
    }

    @Test func twoReignsOfOneEpochAreAProof() throws {
        var dialogue = try member(opened: nil)
        dialogue.change { [names] in
            $0.epoch = Epoch(3)
            $0.leader = names[0]
            $0.history += [
                Reign(epoch: Epoch(2), leader: names[0], begin: LSN(900)),
                Reign(epoch: Epoch(3), leader: names[0], begin: LSN(950)),
            ]
        }
        _ = dialogue.read()
        #expect(dialogue.member.status.phase == .quarantined)
    }

    /// One that was never open may be lost; the oldest ones are dropped; and what an older program has not kept is not
    /// missed.
    @Test(arguments: [0, 1, 2])
    func whatIsNoProof(_ example: Int) throws {
        var dialogue = try member(opened: [first, second, nil][example])
        let third = Reign(epoch: Epoch(3), leader: names[0], begin: LSN(1000))
        dialogue.change { [names, first, second] in
            $0.epoch = Epoch(3)
            $0.leader = names[0]
            $0.history = [[first, third], [third], [first, second, third]][example]
        }
        #expect(dialogue.read().contains(.postgres(.readEnd, dialogue.operation)))
    }

    /// Etcd's revisions go back with it unless they are made to go on.
    @Test func anOlderRevisionIsTakenFromTheSecondReadOnly() throws {
        var dialogue = try Dialogue.follower("m2")
        dialogue.revision = 5
        dialogue.ruleRevision = 4
        dialogue.rule?.switchover = SwitchoverRequest(id: "a", target: nil)
        dialogue.heartbeat = nil
        // Its rule has gone on at a revision that is lower than that of the old view.
        dialogue.change { [names] in
            $0.recruitment = Recruitment(epoch: Epoch(2), proposer: names[2], reason: .leaderSilent)
        }
        #expect(dialogue.watch().isEmpty)
        dialogue.wait(.seconds(1))
        #expect(dialogue.all(.tick).asksToRead)
        // This one may have been on its way since before the old view; the next one was not.
        #expect(dialogue.all(.viewed(dialogue.view, by: .read(dialogue.lastRead))).asksToRead)
        dialogue.wait(.milliseconds(50))
        #expect(dialogue.watch().isEmpty)
        #expect(dialogue.read().last == .postgres(.sever, dialogue.operation))
    }

    /// On a busy computer reads are answered after they were given up, the one after the other: all of them are older than
    /// what is known, and none was asked for after it.
    @Test func answersThatComeLateProveNothing() throws {
        var dialogue = try Dialogue.follower("m2")
        let before = dialogue.view
        var asked: [ReadNumber] = []
        for _ in 1...3 {
            dialogue.wait(.seconds(5))
            #expect(dialogue.all(.tick).asksToRead)
            asked.append(dialogue.lastRead)
        }
        dialogue.beat(2)
        _ = dialogue.watch()
        for number in asked.dropLast() {
            #expect(dialogue.tell(.viewed(before, by: .read(number))).isEmpty)
            dialogue.wait(.milliseconds(50))
        }
        #expect(dialogue.member.status.phase == .following)
        // The last one may have been on its way, too; what is asked for now was not.
        #expect(dialogue.all(.viewed(before, by: .read(asked[2]))).asksToRead)
        dialogue.wait(.milliseconds(50))
        _ = dialogue.read()
        #expect(dialogue.member.status.phase == .following && dialogue.lastRead != asked[2])
    }

    /// What becomes of a report that was given up says nothing of the newer one that is on its way.
    @Test(arguments: [StoreAnswer.applied(revision: 90), .unavailable])
    func answersThatComeLateAreOfTheReportsTheyAnswer(late: StoreAnswer) throws {
        var dialogue = try Dialogue.follower("m2")
        func said(_ event: FailoverEvent) -> MemberReport? {
            Dialogue.reported(dialogue.member.receive(event, now: dialogue.now))
        }
        dialogue.wait(.seconds(5))
        let first = try #require(said(.tick))
        dialogue.wait(.seconds(5))
        let second = try #require(said(.tick))
        #expect(second.sequence != first.sequence)
        #expect(said(.reportAnswered(sequence: first.sequence, late)) == nil)
        // Long enough to say it again, had that been its answer, and too short to give it up.
        dialogue.wait(MemberReport.tick + .milliseconds(500))
        #expect(said(.tick) == nil)
        #expect(said(.reportAnswered(sequence: second.sequence, .unavailable)) == nil)
        dialogue.wait(FailoverTimings().reportRetry)
        #expect(said(.tick) != nil)
    }
}

extension [FailoverAction] {
    fileprivate var asksToRead: Bool { contains { if case .read = $0 { true } else { false } } }
}
