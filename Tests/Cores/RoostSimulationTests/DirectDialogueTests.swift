import RoostFailover
import RoostModel
import Testing

/// Recruitments and answers that come straight from members.
@Suite struct DirectDialogueTests {
    /// `m2` follows `m1`, as `m3` does.
    private struct Talk {
        var dialogue: Dialogue
        var sequence: UInt64 = 1
        /// All that the last event led to.
        var actions: [FailoverAction] = []

        init() throws { dialogue = try Dialogue.follower("m2") }

        var names: [MemberName] { dialogue.names }
        var revision: Int64 { dialogue.ruleRevision }

        @discardableResult mutating func tell(_ event: FailoverEvent) -> [FailoverAction] {
            actions = dialogue.all(event)
            return actions
        }

        mutating func hear(
            _ member: Int, epoch: UInt64 = 1, misses: Bool = false, call: DirectCall? = nil,
            answer: DirectAnswer? = nil
        ) {
            tell(
                .heard(
                    MemberBeat(
                        member: names[member - 1], epoch: Epoch(epoch), isOpen: member == 1, missesLeader: misses,
                        hears: [], call: call, answer: answer)))
        }

        mutating func newsOfStore() {
            sequence += 1
            dialogue.beat(sequence)
            tell(.viewed(dialogue.view, by: .watch))
        }

        /// The leader is heard for long, then no more.
        mutating func missLeader(otherMisses: Bool) {
            for step in 0..<46 {
                dialogue.wait(.milliseconds(100))
                let isThere = step < 40
                if isThere { hear(1) }
                hear(3, misses: !isThere && otherMisses)
                newsOfStore()
                let told = tell(.tick)
                if told.contains(where: { if case .changeRule = $0 { true } else { false } }) { return }
            }
        }

        /// The other's answer to recruitment 2.
        func answer(_ end: UInt64, epoch: UInt64 = 2, of history: [Reign]? = nil) -> DirectAnswer {
            let history = history ?? dialogue.rule?.history ?? []
            return DirectAnswer(
                epoch: Epoch(epoch), reigns: history.count, digest: history.digest, end: LSN(end), replayed: LSN(end),
                timeline: 1, cannotLead: false)
        }

        var change: (rule: ClusterRule, revision: Int64)? {
            for case .changeRule(let rule, let revision, _) in actions { return (rule, revision) }
            return nil
        }
        var operation: PostgresOperation? {
            for case .postgres(let operation, _) in actions.reversed() { return operation }
            return nil
        }
        var saved: DurableState? {
            for case .save(let state) in actions.reversed() { return state }
            return nil
        }
        var said: MemberBeat? {
            for case .beat(let beat) in actions.reversed() { return beat }
            return nil
        }

        mutating func end(_ outcome: OperationOutcome = .done) {
            tell(.operationEnded(dialogue.operation, outcome))
        }

        /// It heeds the call of `m3`.
        mutating func heed() {
            missLeader(otherMisses: false)
            hear(3, epoch: 2, call: DirectCall(epoch: Epoch(2), revision: revision))
        }
    }

    private func called() throws -> Talk {
        var talk = try Talk()
        talk.missLeader(otherMisses: true)
        return talk
    }

    @Test func whoCallsDoesNotWaitForTheStore() throws {
        var talk = try called()
        #expect(talk.change?.rule.recruitment?.epoch == Epoch(2))
        #expect(talk.operation == .sever)
        #expect(talk.said?.call == DirectCall(epoch: Epoch(2), revision: talk.revision))
        #expect(talk.said?.answer == nil && talk.saved == nil)
        talk.end()
        #expect(talk.saved?.promised == Epoch(2) && talk.saved?.direct == Epoch(2))
        #expect(talk.operation == .readEnd && talk.said?.answer == nil)
        talk.end(.end(LSN(1000), timeline: 1))
        #expect(talk.said?.answer == talk.answer(1000))
        // A beat's time later it says both again, for whom the first did not reach.
        talk.dialogue.wait(.milliseconds(100))
        talk.tell(.tick)
        #expect(talk.said?.answer == talk.answer(1000) && talk.said?.call != nil)
    }

    /// The store's yes to the new rule is all that it needs: no heartbeat has to come back first.
    @Test func oneChangeOfTheRuleMakesItTheLeader() throws {
        var talk = try called()
        let recruited = try #require(talk.change)
        talk.end()
        talk.end(.end(LSN(1000), timeline: 1))
        talk.hear(3, epoch: 2, answer: talk.answer(900))
        // Its first question to the store is not answered yet.
        #expect(talk.change == nil)
        talk.tell(.ruleAnswered(talk.dialogue.ruleChange, .applied(revision: 50)))
        let decided = try #require(talk.change)
        #expect(decided.revision == 50 && decided.rule.leader == talk.names[1] && decided.rule.epoch == Epoch(2))
        #expect(decided.rule.recruitment == nil && decided.rule.history.last?.begin == LSN(1000))
        #expect(talk.said?.call?.stored == 50)
        #expect(recruited.revision < 50)
        talk.tell(.ruleAnswered(talk.dialogue.ruleChange, .applied(revision: 51)))
        #expect(
            talk.operation == .promote(epoch: Epoch(2), confirmations: 1, standbys: [talk.names[0], talk.names[2]]))
    }

    /// The recruitment never came to the store: the rule that it names has not changed.
    @Test func withoutTheStoresRecruitmentItDecidesOnTheRuleThatWasCalledUnder() throws {
        var talk = try called()
        let revision = talk.revision
        talk.end()
        talk.end(.end(LSN(1000), timeline: 1))
        talk.tell(.ruleAnswered(talk.dialogue.ruleChange, .unavailable))
        talk.dialogue.wait(.milliseconds(200))
        talk.hear(3, epoch: 2, answer: talk.answer(900))
        let decided = try #require(talk.change)
        #expect(decided.revision == revision && decided.rule.leader == talk.names[1])
    }

    /// One that is merely cut off takes nobody from a leader that is well.
    @Test func aCallIsHeededByWhoMissesTheLeaderToo() throws {
        var talk = try Talk()
        for _ in 0..<40 {
            talk.dialogue.wait(.milliseconds(100))
            talk.hear(1)
            talk.hear(3, call: DirectCall(epoch: Epoch(2), revision: talk.revision))
            talk.newsOfStore()
            talk.tell(.tick)
            #expect(talk.operation == nil && talk.change == nil)
        }
        talk.heed()
        #expect(talk.operation == .sever && talk.change == nil)
        talk.end()
        #expect(talk.saved?.promised == Epoch(2) && talk.saved?.direct == Epoch(2))
    }

    @Test(arguments: [(2, 1), (2, -1), (3, 0), (1, 0)])
    func aCallUnderAnotherRuleIsNotHeeded(epoch: Int, ahead: Int) throws {
        var talk = try Talk()
        talk.missLeader(otherMisses: false)
        talk.hear(3, epoch: 2, call: DirectCall(epoch: Epoch(UInt64(epoch)), revision: talk.revision + Int64(ahead)))
        #expect(talk.operation == nil)
        // Nor one in a pause.
        let now = (talk.dialogue.now - Moment.zero).milliseconds
        talk.dialogue.change { $0.pause = WishTerm(beganAt: now, length: .seconds(600)) }
        talk.newsOfStore()
        talk.hear(3, epoch: 2, call: DirectCall(epoch: Epoch(2), revision: talk.revision))
        #expect(talk.operation == nil)
    }

    /// Its log counts, in its own count as in that of others, and it makes the other one the leader, which has as much.
    @Test func whoHasNoRoomToStartIsNotChosen() throws {
        var talk = try called()
        talk.end()
        talk.dialogue.member.lacksRoomToStart = true
        talk.end(.end(LSN(1000), timeline: 1))
        #expect(talk.said?.answer?.cannotLead == true && talk.dialogue.stored?.cannotLead == true)
        talk.tell(.ruleAnswered(talk.dialogue.ruleChange, .applied(revision: 50)))
        var waited = Duration.zero
        while waited <= FailoverTimings().verdictPatience * 2 {
            talk.hear(3, epoch: 2, answer: talk.answer(1000))
            if talk.change == nil { talk.tell(.tick) }
            if let decided = talk.change {
                #expect(decided.revision == 50 && decided.rule.leader == talk.names[2])
                return
            }
            talk.dialogue.wait(.milliseconds(100))
            waited += .milliseconds(100)
        }
        Issue.record("nobody is chosen")
    }

    /// Nor does it decide before it has answered itself, or by one that is not heard any more.
    @Test func anAnswerToAnotherRecruitmentDoesNotCount() throws {
        var talk = try called()
        talk.tell(.ruleAnswered(talk.dialogue.ruleChange, .applied(revision: 50)))
        talk.hear(3, epoch: 2, answer: talk.answer(900))
        talk.end()
        let foreign = [Reign(epoch: .first, leader: talk.names[2], begin: .zero)]
        for answer in [talk.answer(900, epoch: 1), talk.answer(900, epoch: 3), talk.answer(900, of: foreign)] {
            talk.hear(3, epoch: 2, answer: answer)
            #expect(talk.change == nil)
        }
        talk.end(.end(LSN(1000), timeline: 1))
        #expect(talk.change == nil)
        talk.dialogue.wait(.milliseconds(100))
        talk.hear(3, epoch: 2, answer: talk.answer(900))
        #expect(talk.change?.rule.leader == talk.names[1])
    }

    @Test func whatWasSaidLongAgoDoesNotCount() throws {
        var talk = try called()
        talk.tell(.ruleAnswered(talk.dialogue.ruleChange, .applied(revision: 50)))
        talk.hear(3, epoch: 2, answer: talk.answer(900))
        talk.end()
        for _ in 0..<20 {
            talk.dialogue.wait(.milliseconds(100))
            talk.tell(.tick)
        }
        talk.end(.end(LSN(1000), timeline: 1))
        #expect(talk.change == nil)
    }

    /// Who called has heard from the store which revision has the recruitment.
    @Test func anotherThatIsChosenDecidesOnTheRevisionThatItIsTold() throws {
        var talk = try Talk()
        let revision = talk.revision
        talk.heed()
        talk.end()
        talk.end(.end(LSN(1000), timeline: 1))
        let call = DirectCall(epoch: Epoch(2), revision: revision)
        talk.hear(3, epoch: 2, call: call, answer: talk.answer(900))
        #expect(talk.change == nil)
        talk.hear(
            3, epoch: 2, call: DirectCall(epoch: Epoch(2), revision: revision, stored: 70), answer: talk.answer(900))
        #expect(talk.change?.revision == 70 && talk.change?.rule.leader == talk.names[1])
    }

    /// A caller that has fallen silent says nothing of the store any more, as it says nothing of its log.
    @Test func theRevisionThatASilentCallerHasToldIsNotDecidedOn() throws {
        var talk = try Talk()
        let revision = talk.revision
        talk.heed()
        talk.end()
        talk.hear(
            3, epoch: 2, call: DirectCall(epoch: Epoch(2), revision: revision, stored: 70), answer: talk.answer(900))
        for _ in 0..<6 {
            talk.dialogue.wait(.milliseconds(100))
            talk.tell(.tick)
        }
        // Its answer has come to the store before.
        talk.dialogue.reports = [
            MemberReport(
                member: talk.names[2], role: .standby, state: .waiting, promised: Epoch(2),
                position: Position(epoch: .first, end: LSN(900)), timeline: 1, replayed: LSN(900), isStreaming: false,
                lagBytes: 0, lagMilliseconds: 0, chain: talk.dialogue.rule?.history)
        ]
        talk.newsOfStore()
        talk.end(.end(LSN(1000), timeline: 1))
        #expect(talk.change == nil)
        // It decides on the revision that it knows itself: where the store has another one by now, it does not take that.
        for _ in 0..<40 where talk.change == nil {
            talk.dialogue.wait(.milliseconds(50))
            talk.newsOfStore()
            if talk.change == nil { talk.tell(.viewed(talk.dialogue.view, by: .read(talk.dialogue.lastRead))) }
        }
        #expect(talk.change?.revision == revision && talk.change?.rule.leader == talk.names[1])
    }

    /// Who called is gone, and with it its word to the store.
    private func unstored(_ talk: inout Talk) -> Duration? {
        var waited = Duration.zero
        while waited < .seconds(5) {
            talk.dialogue.wait(.milliseconds(50))
            waited += .milliseconds(50)
            talk.newsOfStore()
            if let change = talk.change {
                #expect(change.rule.recruitment?.epoch == Epoch(2) && change.revision == talk.revision)
                return waited
            }
            talk.tell(.viewed(talk.dialogue.view, by: .read(talk.dialogue.lastRead)))
            if talk.change != nil { return waited }
            #expect(talk.dialogue.member.status.phase == .waiting)
        }
        return nil
    }

    /// The leader goes on all the while, and somebody has even paused the cluster since.
    @Test(arguments: [false, true])
    func aPromiseThatTheStoreDoesNotKnowIsBroughtThere(isPaused: Bool) throws {
        var talk = try Talk()
        talk.heed()
        talk.end()
        talk.end(.end(LSN(1000), timeline: 1))
        if isPaused {
            let now = (talk.dialogue.now - Moment.zero).milliseconds
            talk.dialogue.change { $0.pause = WishTerm(beganAt: now, length: .seconds(600)) }
        }
        let waited = try #require(unstored(&talk))
        #expect(waited >= .seconds(1) && waited <= .milliseconds(1300))
    }

    /// Whoever called has been removed meanwhile, and a host takes calls of members only.
    @Test func aPromiseToOneThatHasLeftIsBroughtInItsOwnName() throws {
        var talk = try Talk()
        talk.heed()
        talk.end()
        talk.end(.end(LSN(1000), timeline: 1))
        let (caller, name) = (talk.names[2], talk.names[1])
        let other = try MemberName("m4")
        talk.dialogue.change { rule in rule.members = rule.members.map { $0 == caller ? other : $0 } }
        #expect(unstored(&talk) != nil)
        let (rule, next) = (try #require(talk.dialogue.rule), try #require(talk.change?.rule))
        #expect(next.recruitment?.proposer == name)
        try next.check(asChangeOf: rule, by: name)
    }

    /// The process is another, and knows it from its disk alone; the store has not gone back.
    @Test func aPromiseThatTheStoreDoesNotKnowOutlivesTheProcess() throws {
        var talk = try Talk()
        talk.dialogue = try Dialogue(
            "m2",
            state: DurableState(
                promised: Epoch(2), chain: Dialogue.firstRule(talk.names).history, data: .usable, direct: Epoch(2)))
        talk.dialogue.rule = Dialogue.firstRule(talk.names)
        talk.dialogue.beat(1)
        talk.tell(.tick)
        talk.tell(.viewed(talk.dialogue.view, by: .read(talk.dialogue.lastRead)))
        #expect(talk.operation == .readEnd)
        talk.end(.end(LSN(1000), timeline: 1))
        #expect(talk.said?.answer == talk.answer(1000))
        let waited = try #require(unstored(&talk))
        #expect(waited <= .milliseconds(1300))
    }

    /// Once the store has called for it, a store that calls for less has gone back.
    @Test func aPromiseThatTheStoreKnewShowsThatItWentBack() throws {
        var talk = try Talk()
        talk.heed()
        talk.end()
        talk.end(.end(LSN(1000), timeline: 1))
        let former = talk.dialogue
        talk.dialogue.change {
            $0.recruitment = Recruitment(epoch: Epoch(2), proposer: $0.members[2], reason: .leaderSilent)
        }
        talk.tell(.viewed(talk.dialogue.view, by: .watch))
        // A choice does not wait for the disk to know it: it goes there with what is saved next.
        #expect(talk.saved == nil && talk.dialogue.member.state.direct == nil)
        var other = talk
        other.dialogue.change {
            ($0.epoch, $0.leader, $0.recruitment) = (Epoch(2), $0.members[2], nil)
            $0.history.append(Reign(epoch: Epoch(2), leader: $0.members[2], begin: LSN(1000)))
        }
        other.tell(.viewed(other.dialogue.view, by: .watch))
        #expect(other.saved?.promised == Epoch(2) && other.saved != nil && other.saved?.direct == nil)
        talk.dialogue.rule = former.rule
        talk.dialogue.ruleRevision += 10
        talk.dialogue.revision += 10
        for _ in 0..<3 { talk.tell(.viewed(talk.dialogue.view, by: .read(talk.dialogue.lastRead))) }
        #expect(talk.dialogue.member.status.phase == .quarantined)
    }

    /// Before its promise is on disk nothing binds it.
    @Test func aCallThatCameToNothingIsForgotten() throws {
        var talk = try Talk()
        talk.heed()
        // The rule is another before the fence is up.
        talk.dialogue.change { $0.switchover = SwitchoverRequest(id: "1", target: nil, refusal: "no") }
        talk.newsOfStore()
        talk.end()
        #expect(talk.saved == nil)
        talk.end(.end(LSN(1000), timeline: 1))
        #expect(talk.operation == .follow(talk.names[0], epoch: .first, fork: nil))
    }
}
