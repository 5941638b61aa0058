import RoostFailover
import RoostModel
import RoostSimulation
import Testing

/// What the rule is to become whose store has gone back, by what members have on their volumes.
@Suite struct StoreRecoveryTests {
    private let names: [MemberName]
    private let first: Reign
    private let second: Reign

    init() throws {
        names = try (1...3).map { try MemberName("m\($0)") }
        first = Reign(epoch: .first, leader: names[0], begin: .zero)
        second = Reign(epoch: Epoch(2), leader: names[1], begin: LSN(1000))
    }

    private func report(
        _ place: Int, promised: UInt64 = 2, opened: Reign? = nil, _ history: [Reign]?, timeline: UInt32? = 2,
        skills: [MemberSkill]? = MemberSkill.known, end: UInt64 = 500, keptSince: Epoch? = Epoch.none
    ) -> MemberReport {
        MemberReport(
            member: names[place - 1], role: .standby, state: history == nil ? .running : .failed,
            promised: Epoch(promised), position: Position(epoch: .first, end: LSN(end)), timeline: 1, replayed: .zero,
            isStreaming: false, lagBytes: 0,
            lagMilliseconds: 0, skills: skills,
            knowledge: history.map {
                MemberKnowledge(opened: opened, history: $0, timeline: timeline, position: nil)
            }, keptSince: keptSince)
    }

    private func obstacle(_ reports: [MemberReport]) -> StoreRecovery.Obstacle? {
        #expect(throws: StoreRecovery.Obstacle.self) { try StoreRecovery(of: Dialogue.firstRule(names), reports) }
    }

    @Test func theLastHistoryThatAMemberKnowsComesBack() throws {
        var present = Dialogue.firstRule(names)
        present.pause = WishTerm(beganAt: 0, length: .seconds(60))
        present.switchover = SwitchoverRequest(id: "a", target: nil)
        let recovery = try StoreRecovery(
            of: present,
            [report(3, promised: 5, opened: second, [first, second]), report(2, opened: second, [first, second])])
        #expect(recovery.source == names[1] && recovery.strangers.isEmpty)
        #expect(recovery.rule.epoch == Epoch(2) && recovery.rule.leader == names[1])
        #expect(recovery.rule.history == [first, second] && recovery.rule.timeline == 2)
        // Nobody is named: all are called above whatever one has promised, and their logs decide.
        #expect(
            recovery.rule.recruitment
                == Recruitment(epoch: Epoch(6), proposer: names[1], reason: .storeRecovered))
        // A wish for a leader of then is not one of now.
        #expect(recovery.rule.switchover == nil && recovery.rule.pause == present.pause)
        #expect(recovery.rule.members == present.members && recovery.rule.confirmations == 1)
    }

    /// The store has the history, and has lost only that members were called.
    @Test func whatOnlyLacksTheCallIsCalledAgain() throws {
        let present = Dialogue.firstRule(names)
        let recovery = try StoreRecovery(
            of: present, [report(2, promised: 4, opened: first, [first]), report(3, promised: 1, nil)])
        #expect(recovery.source == nil && recovery.rule.history == present.history)
        #expect(recovery.rule.recruitment?.epoch == Epoch(5))
    }

    @Test func whoSaysTooLittleDecidesNothing() {
        let known = report(2, opened: second, [first, second])
        #expect(obstacle([]) == .nothingIsMissing)
        #expect(obstacle([report(1, promised: 1, nil), report(3, promised: 1, nil)]) == .nothingIsMissing)
        #expect(obstacle([known]) == .tooFewSay(1, of: [names[0], names[2]]))
        #expect(obstacle([known])?.description.contains("1 more member must say what it knows, of: m1, m3") == true)
        // It has promised what the store does not know of, and has not looked at the store's rule yet.
        #expect(obstacle([known, report(3, promised: 2, nil)]) == .tooFewSay(1, of: [names[0], names[2]]))
        #expect(obstacle([known, report(3, promised: 1, nil, skills: [.pause])]) != nil)
        // It has lost its disk, and what it knew.
        var empty = report(3, promised: 1, nil)
        empty.position = nil
        #expect(obstacle([known, empty]) == .tooFewSay(1, of: [names[0], names[2]]))
        #expect(obstacle([known, report(3, opened: second, [])]) == .tooFewSay(1, of: [names[0], names[2]]))
        var failed = report(3, promised: 1, nil)
        failed.state = .failed
        #expect(obstacle([known, failed]) != nil)
        #expect(throws: Never.self) {
            _ = try StoreRecovery(of: Dialogue.firstRule(names), [known, report(3, promised: 1, nil)])
        }
    }

    /// A volume that was made since the copy of the store, or may have been, knows nothing of what the one before it had, also
    /// when it has a copy of the data of then.
    @Test func aNewVolumeDoesNotSpeakForTheLostOne() throws {
        let present = Dialogue.firstRule(names)
        let known = report(2, opened: second, [first, second])
        for since in [nil, Epoch.first, Epoch(2)] {
            let copied = report(3, promised: 1, nil, keptSince: since)
            #expect(obstacle([known, copied]) == .tooFewSay(1, of: [names[0], names[2]]), "\(since as Any)")
        }
        // It was there before the store's last leader was.
        var later = present
        (later.epoch, later.leader, later.history) = (Epoch(2), names[1], [first, second])
        let third = Reign(epoch: Epoch(3), leader: names[2], begin: LSN(2000))
        let proof = report(3, promised: 3, opened: third, [first, second, third])
        let kept = report(1, promised: 2, nil, keptSince: .first)
        #expect(try StoreRecovery(of: later, [proof, kept]).rule.epoch == Epoch(3))
        // It counts by what the store went back to, not by what it has chosen since.
        later.history[1] = Reign(epoch: Epoch(2), leader: names[0], begin: LSN(700))
        later.leader = names[0]
        #expect(throws: StoreRecovery.Obstacle.tooFewSay(1, of: [names[0], names[1]])) {
            try StoreRecovery(of: later, [proof, kept])
        }
    }

    /// What a leader wrote since the store went back, and enough of those who go on by the store's rule may have, was
    /// confirmed.
    @Test func whatMayHaveBeenConfirmedSinceIsNotTakenBack() {
        let known = report(2, opened: second, [first, second])
        let leader = report(1, promised: 1, nil, end: 1200)
        let standby = report(3, promised: 1, nil, end: 1100)
        #expect(obstacle([known, standby]) == .writtenSince([names[2]]))
        #expect(obstacle([known, standby])?.description.contains("m3 has log from under the store's rule") == true)
        #expect(obstacle([known, leader, standby]) == .writtenSince([names[0], names[2]]))
        #expect(throws: Never.self) {
            // Nobody else has the end of that leader's log.
            _ = try StoreRecovery(of: Dialogue.firstRule(names), [known, leader, report(3, promised: 1, nil)])
            _ = try StoreRecovery(of: Dialogue.firstRule(names), [known, report(3, promised: 1, nil, end: 1000)])
        }
    }

    /// In what members do: who makes the cluster has kept its volume from the beginning, who comes later since then.
    @Test func aMemberSaysSinceWhenItHasItsVolume() throws {
        var dialogue = try Dialogue("m3")
        dialogue.rule = Dialogue.firstRule(names)
        dialogue.tell(.tick)
        _ = dialogue.read()
        #expect(dialogue.member.state.promised == .first && dialogue.member.state.keptSince == .first)
        // A program that did not keep it had promised this.
        var former = try Dialogue.follower("m3")
        #expect(former.member.state.keptSince == nil)
        let proposer = names[1]
        former.change { $0.recruitment = Recruitment(epoch: Epoch(2), proposer: proposer, reason: .leaderSilent) }
        _ = former.watch()
        _ = former.ended()
        #expect(former.member.state.promised == Epoch(2) && former.member.state.keptSince == .first)
    }

    /// Each was chosen by a store of its own. What was open stays, whichever has the higher epoch.
    @Test func whatWasOpenIsInTheHistory() throws {
        let other = Reign(epoch: Epoch(3), leader: names[2], begin: LSN(900))
        let (open, unopened) = (report(2, opened: second, [first, second]), report(3, opened: first, [first, other]))
        let recovery = try StoreRecovery(of: Dialogue.firstRule(names), [open, unopened])
        #expect(recovery.rule.history == [first, second] && recovery.source == names[1])
        #expect(recovery.strangers == [names[2]])
        // Both were: no history has all.
        let contradiction = obstacle([open, report(3, opened: other, [first, other])])
        #expect(contradiction == .contradiction(names[1], names[2], leaders: []))
    }

    /// A leader writes down that it opens before it does. What another only heard of may have been open.
    @Test func onlyItsLeaderKnowsThatAReignWasNeverOpen() throws {
        let other = Reign(epoch: Epoch(3), leader: names[2], begin: LSN(900))
        let member = report(1, opened: first, [first, second])
        let leader = report(3, opened: first, [first, other])
        // It has not begun the reign that it was chosen for.
        let chosen = report(2, opened: first, [first])
        let recovery = try StoreRecovery(of: Dialogue.firstRule(names), [member, leader, chosen])
        #expect(recovery.rule.history == [first, second] && recovery.strangers == [names[2]])
        // Without that one, nobody who goes on could be chosen by enough answers.
        #expect(obstacle([member, leader]) == .tooFewSay(1, of: [names[1]]))
        let unheard = Reign(epoch: Epoch(3), leader: names[1], begin: LSN(900))
        let words = obstacle([member, report(3, opened: first, [first, unheard])])
        #expect(words == .contradiction(names[0], names[2], leaders: [names[1]]))
        #expect(words?.description.contains("m2 could decide it") == true)
    }

    /// What was chosen and never open is dropped by every later choice.
    @Test func aLaterHistoryCountsMoreThanOneThatCameToNothing() throws {
        let third = Reign(epoch: Epoch(3), leader: names[2], begin: LSN(1000))
        let recovery = try StoreRecovery(
            of: Dialogue.firstRule(names),
            [report(2, opened: first, [first, second]), report(3, promised: 3, opened: third, [first, third])])
        #expect(recovery.rule.history == [first, third] && recovery.rule.epoch == Epoch(3))
    }

    /// A contradiction between the store's own history since it went back and what a member knows.
    @Test func whatTheStoreHasChosenSinceIsLeftOut() throws {
        var present = Dialogue.firstRule(names)
        present.history.append(Reign(epoch: Epoch(2), leader: names[0], begin: LSN(800)))
        present.epoch = Epoch(2)
        let recovery = try StoreRecovery(
            of: present, [report(2, opened: second, [first, second]), report(1, promised: 2, nil)])
        #expect(recovery.rule.history == [first, second])
        #expect(recovery.strangers == [names[0]])
    }

    /// In what members do: those that were right go on by themselves.
    @Test func aRuleThatIsPutRightIsFollowed() throws {
        var dialogue = try Dialogue(
            "m3",
            state: DurableState(
                promised: Epoch(2), chain: [first, second], timeline: 2, data: .usable, opened: second))
        dialogue.rule = Dialogue.firstRule(names)
        dialogue.beat(1)
        dialogue.tell(.tick)
        #expect(dialogue.read().isEmpty)
        let told = try #require(dialogue.stored?.knowledge)
        #expect(told.opened == second && told.history == [first, second] && told.timeline == 2)
        let said = try #require(dialogue.stored)
        let recovery = try StoreRecovery(
            of: Dialogue.firstRule(names), [said, report(2, opened: second, [first, second])])
        dialogue.change { $0 = recovery.rule }
        #expect(dialogue.watch() == [.postgres(.sever, dialogue.operation)])
        _ = dialogue.ended()
        #expect(dialogue.member.state.promised == Epoch(3))
        #expect(dialogue.stored?.knowledge == nil)
    }

    /// The simulation puts every store right that went back, also by what some of the members say, and fails when anything that
    /// was confirmed is missing in the rule.
    @Test(arguments: [2, 3, 5])
    func whatFollowsLacksNothing(members: Int) {
        let faults: [ClusterScenario.Fault] = [
            .storeGoesBack, .crashMember, .restartMember, .isolate, .switchover, .loseDisk, .cutOneWay, .freezeMember,
        ]
        let runs = (1...60 as ClosedRange<UInt64>).map {
            run(ClusterScenario(seed: $0, members: members, faults: faults, chaosSeconds: 40))
        }
        #expect(runs.contains { $0.recoveries > 0 })
    }
}
