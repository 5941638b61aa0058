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

    private func few(_ count: Int, _ mute: (Int, Testimony.Reason)...) -> StoreRecovery.Obstacle {
        .tooFewSay(count, of: mute.map { Testimony.Mute(names[$0.0 - 1], $0.1) })
    }

    @Test func theLastHistoryThatAMemberKnowsComesBack() throws {
        var present = Dialogue.firstRule(names)
        present.pause = WishTerm(beganAt: 0, length: .seconds(60))
        present.switchover = SwitchoverRequest(id: "a", target: nil)
        present.restart = RestartRequest(
            id: "b", members: names, handsOver: true, term: WishTerm(beganAt: 0, length: .seconds(60)))
        present.change = MemberChange(id: "c", steps: [MemberChange.Step(.remove, names[2])])
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
        // What was wished for then is not wished for now: it may have been done since, or taken back.
        #expect(recovery.rule.switchover == nil && recovery.rule.pause == nil)
        #expect(recovery.rule.restart?.hasEnded == true && recovery.rule.change?.hasEnded == true)
        present.restart?.left = []
        let ended = try StoreRecovery(
            of: present, [report(3, opened: second, [first, second]), report(2, opened: second, [first, second])])
        #expect(ended.rule.restart == present.restart)
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
        #expect(obstacle([known]) == few(1, (1, .unheard), (3, .unheard)))
        let words = obstacle([known])?.description
        #expect(words?.contains("1 more member must say what it knows, of: m1 (not heard), m3 (not heard)") == true)
        // It has promised what the store does not know of, and has not looked at the store's rule yet.
        #expect(obstacle([known, report(3, promised: 2, nil)]) == few(1, (1, .unheard), (3, .hasNotLooked)))
        #expect(
            obstacle([known, report(3, promised: 1, nil, skills: [.pause])]) == few(1, (1, .unheard), (3, .program)))
        // It has lost its disk, and what it knew.
        var empty = report(3, promised: 1, nil)
        (empty.position, empty.data) = (nil, .absent)
        #expect(obstacle([known, empty]) == few(1, (1, .unheard), (3, .noData)))
        #expect(obstacle([known, report(3, opened: second, [])]) == few(1, (1, .unheard), (3, .noHistory)))
        var failed = report(3, promised: 1, nil)
        failed.state = .failed
        #expect(obstacle([known, failed]) == few(1, (1, .unheard), (3, .failed)))
        #expect(throws: Never.self) {
            _ = try StoreRecovery(of: Dialogue.firstRule(names), [known, report(3, promised: 1, nil)])
        }
    }

    /// Whoever reads that a member has no data may give up its volume. That nothing is known of an end, and what a phase looks
    /// like, is also of one that merely starts.
    @Test(
        arguments: [
            (nil, .dataUnknown), (.absent, .noData), (.whole, .endUnread), (.replaced, .endUnread),
            (.spoiled, .spoiledData), (.unfinished, .unfinishedData), (.unknown("later"), .dataUnknown),
        ] as [(MemberData?, Testimony.Reason)])
    func thatThereIsNoDataIsTheMembersOwnWord(data: MemberData?, reason: Testimony.Reason) {
        let known = report(2, opened: second, [first, second])
        for state in MemberReport.State.known {
            var other = report(3, promised: 1, nil)
            (other.position, other.state, other.data) = (nil, state, data)
            #expect(obstacle([known, other]) == few(1, (1, .unheard), (3, reason)), "\(state)")
        }
        #expect("\(reason)".contains("it has no data") == (data == .absent))
    }

    /// Its Postgres starts, or it has not made sure yet that the store has gone back.
    @Test func aMemberSaysWhetherItHasDataBeforeItKnowsWhereThatEnds() throws {
        let known = report(3, promised: 2, opened: second, [first, second])
        for promised in [Epoch.first, Epoch(2)] {
            var dialogue = try Dialogue(
                "m2",
                state: DurableState(promised: promised, chain: [first], data: .usable, keptSince: Epoch.none))
            dialogue.rule = Dialogue.firstRule(names)
            dialogue.tell(.tick)
            _ = dialogue.read()
            let said = try #require(dialogue.stored)
            #expect(said.position == nil && said.data == .whole && said.state == .starting)
            #expect(obstacle([known, said]) == few(1, (1, .unheard), (2, .endUnread)), "\(promised)")
        }
        var dialogue = try Dialogue("m2")
        dialogue.rule = Dialogue.firstRule(names)
        dialogue.tell(.tick)
        _ = dialogue.read()
        let said = try #require(dialogue.stored)
        #expect(said.data == .absent && said.state == .empty)
        #expect(obstacle([known, said]) == few(1, (1, .unheard), (2, .noData)))
    }

    /// Its Postgres or its disk hangs: it has more, for all that is known, than was last seen of it. Its answer to a call is
    /// what it has, whether or not its Postgres starts.
    @Test func whatWasLastSeenOfOneThatCannotLeadIsNoEnd() throws {
        let known = report(2, opened: second, [first, second])
        var other = report(3, promised: 1, nil)
        other.cannotLead = true
        #expect(obstacle([known, other]) == few(1, (1, .unheard), (3, .endUnread)))
        other.chain = [first]
        #expect(try StoreRecovery(of: Dialogue.firstRule(names), [known, other]).rule.history == [first, second])
    }

    /// A volume that was made since the copy of the store, or may have been, knows nothing of what the one before it had, also
    /// when it has a copy of the data of then.
    @Test func aNewVolumeDoesNotSpeakForTheLostOne() throws {
        let present = Dialogue.firstRule(names)
        let known = report(2, opened: second, [first, second])
        for since in [nil, Epoch.first, Epoch(2)] {
            let copied = report(3, promised: 1, nil, keptSince: since)
            // One that is heard, and says all that it ever will, is not asked for without the reason.
            let reason = since.map(Testimony.Reason.newVolume) ?? .volumeOfUnknownAge
            #expect(obstacle([known, copied]) == few(1, (1, .unheard), (3, reason)), "\(since as Any)")
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
        #expect(throws: few(1, (1, .newVolume(.first)), (2, .unheard))) {
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
        #expect(obstacle([member, leader]) == few(1, (2, .unheard)))
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

    /// A member has no place in a store that went back behind its coming, and who went since has one. It is said before
    /// anybody is asked to change the rule.
    @Test func otherMembersAreNotTheStores() throws {
        let comer = try MemberName("m4")
        var later = Dialogue.firstRule([names[0], names[1], comer])
        later.changes = 2
        var (one, two) = (report(1, promised: 1, opened: first, [first]), report(2, promised: 1, nil))
        one.knowledge?.membership = Membership(of: later)
        two.knowledge = one.knowledge
        #expect(obstacle([one, two]) == .otherMembers(later.members, store: names))
        #expect(
            obstacle([one, two])?.description.contains("they are m1, m2, m4, and the store has m1, m2, m3") == true)
        #expect(one.proof(against: Dialogue.firstRule(names)) == .membership(Membership(of: later)))
        #expect(one.proof(against: later) == nil)
    }

    /// Of four, two may be away while one of them is removed, and what is written then is confirmed by the other two. So these
    /// two know nothing of it, and they would be enough by how many confirm.
    @Test func halfOfAnEvenNumberIsNotEnough() throws {
        let four = try (1...4).map { try MemberName("m\($0)") }
        let present = Dialogue.firstRule(four)
        func said(_ place: Int) -> MemberReport {
            var report = report(1, opened: second, [first, second])
            report.member = four[place - 1]
            return report
        }
        #expect(throws: StoreRecovery.Obstacle.tooFewSay(1, of: [.init(four[0], .unheard), .init(four[3], .unheard)])) {
            try StoreRecovery(of: present, [said(2), said(3)])
        }
        #expect(try StoreRecovery(of: present, [said(2), said(3), said(4)]).rule.epoch == Epoch(2))
        #expect(
            (1...9).map { place in
                let members = (1...place).compactMap { try? MemberName("m\($0)") }
                return Testimony(of: Dialogue.firstRule(members), []).needed
            } == [1, 2, 2, 3, 3, 4, 4, 5, 5])
    }

    /// Root in one member's machine: whatever number it says, nobody counts beyond it, and nobody falls over it.
    @Test func whatCannotBeIsNoProof() {
        let present = Dialogue.firstRule(names)
        let last = Reign(epoch: Epoch(.max), leader: names[2], begin: LSN(.max))
        var changed = report(3, promised: 1, [first])
        changed.knowledge?.membership = Membership(of: present)
        changed.knowledge?.membership?.changes = .max
        var alone = report(3, promised: 1, [first])
        alone.knowledge?.membership = Membership(of: present)
        alone.knowledge?.membership?.changes = 1
        alone.knowledge?.membership?.members = []
        for said in [
            report(3, promised: .max, [first]), report(3, opened: last, [first]), report(3, [first, last]),
            report(3, [second, first]), changed, alone,
        ] {
            #expect(said.proof(against: present) == nil, "\(said)")
            #expect(obstacle([said, report(2, promised: 1, nil)]) == .nothingIsMissing)
            #expect(StoreRecovery(calling: present, beyond: [said]) == nil)
            // It keeps nobody from putting right what others know.
            let known = report(2, opened: second, [first, second])
            #expect(obstacle([known, said]) == few(1, (1, .unheard), (3, .incredible)))
            #expect(throws: Never.self) {
                let recovery = try StoreRecovery(of: present, [report(1, promised: 1, nil), known, said])
                #expect(recovery.rule.recruitment?.epoch == Epoch(3))
            }
        }
    }

    /// A rule was put right while somebody was away that had promised more. All are called beyond that under the leader that
    /// there is, and it takes part again.
    @Test func whoHasOnlyPromisedMoreIsCalled() throws {
        var present = Dialogue.firstRule(names)
        present.pause = WishTerm(beganAt: 0, length: .seconds(60))
        let away = report(3, promised: 9, opened: first, [first])
        #expect(away.proof(against: present) == .promise(Epoch(9)))
        let recovery = try #require(StoreRecovery(calling: present, beyond: [away, report(2, promised: 1, nil)]))
        #expect(recovery.rule.recruitment == Recruitment(epoch: Epoch(10), proposer: names[2], reason: .storeRecovered))
        #expect(recovery.keepsHistory(of: present) && recovery.strangers.isEmpty && recovery.source == nil)
        // The cluster goes on: what is wished for is.
        #expect(recovery.rule.pause == present.pause)
        // Somebody misses what was open: an election by this history could take it back.
        let missing = report(2, opened: second, [first, second])
        #expect(StoreRecovery(calling: present, beyond: [away, missing]) == nil)
        #expect(StoreRecovery(calling: present, beyond: [report(2, promised: 1, nil)]) == nil)

        var dialogue = try Dialogue(
            "m3",
            state: DurableState(promised: Epoch(9), chain: [first], timeline: 1, data: .usable, opened: first))
        dialogue.rule = present
        dialogue.beat(1)
        dialogue.tell(.tick)
        for _ in 0..<2 { _ = dialogue.read() }
        #expect(dialogue.member.status.phase == .quarantined)
        let said = try #require(dialogue.stored)
        let called = try #require(StoreRecovery(calling: present, beyond: [said]))
        dialogue.change { $0 = called.rule }
        #expect(dialogue.watch() == [.postgres(.sever, dialogue.operation)])
        _ = dialogue.ended()
        #expect(dialogue.member.state.promised == Epoch(10) && dialogue.stored?.knowledge == nil)
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
