import RoostFailover
import RoostModel
import Testing

/// What a member does where something that it needs is not there: the store, the rule, its Postgres, the other member.
@Suite struct OutageDialogueTests {
    private func first(_ leader: MemberName) -> Reign { Reign(epoch: .first, leader: leader, begin: .zero) }

    /// The store answers each heartbeat.
    private func wait(_ time: Duration, _ dialogue: inout Dialogue) -> [FailoverAction] {
        dialogue.wait(time)
        let actions = dialogue.all(.tick)
        for case .heartbeat(let beat, _) in actions {
            dialogue.tell(.heartbeatAnswered(sequence: beat.sequence, .applied(revision: dialogue.revision)))
        }
        return actions.filter { action in
            switch action {
            case .read, .report, .heartbeat, .holdLease, .beat: false
            case .save, .changeRule, .postgres, .setGate, .exit: true
            }
        }
    }

    private func changesPostgres(_ actions: [FailoverAction]) -> Bool {
        actions.contains { if case .postgres = $0 { true } else { false } }
    }

    // MARK: - The store

    /// Who led may have been replaced, and who followed may be called to another: neither knows.
    @Test(arguments: ["m1", "m2"])
    func aMemberThatStartsWithoutTheStoreStartsNoPostgres(_ name: String) throws {
        var state = DurableState(promised: .first, chain: [first(try MemberName("m1"))], data: .usable)
        if name == "m1" { state.led = .first }
        var dialogue = try Dialogue(name, state: state)
        dialogue.rule = Dialogue.firstRule(dialogue.names)
        for _ in 0..<60 {
            #expect(dialogue.tell(.tick).isEmpty)
            #expect(dialogue.tell(.readFailed(dialogue.lastRead)).isEmpty)
            // It may be of before.
            #expect(dialogue.watch().isEmpty)
            dialogue.wait(.seconds(1))
        }
        #expect(dialogue.member.status.phase == .starting)
        let actions = dialogue.all(.viewed(dialogue.view, by: .read(dialogue.lastRead)))
        if name == "m2" { return #expect(actions.contains(.postgres(.readEnd, dialogue.operation))) }
        #expect(!changesPostgres(actions))
        #expect(actions.contains { if case .heartbeat = $0 { true } else { false } })
    }

    /// Each answer comes so late that the store may have been away, and that again and again: this does not keep a leader in
    /// office of whom nothing is heard.
    @Test(arguments: [950, 1500, 1950])
    func aStoreThatIsSlowForLongDoesNotKeepASilentLeader(_ milliseconds: Int) throws {
        var dialogue = try Dialogue.follower("m2")
        let took = try #require(timeToCall(every: .milliseconds(milliseconds), &dialogue), "nobody is called")
        #expect(took >= dialogue.member.timings.patienceWithSlowStore && took < .seconds(25), "\(took)")
        // Not all at once.
        var next = try Dialogue.follower("m3")
        let later = try #require(timeToCall(every: .milliseconds(milliseconds), &next))
        #expect(milliseconds > 950 || later > took, "\(later) after \(took)")
    }

    /// Until it calls for another leader, while the store answers so often; nil: it does not in a minute.
    private func timeToCall(
        every interval: Duration, _ dialogue: inout Dialogue, whileHearing beat: MemberBeat? = nil
    ) -> Duration? {
        let begin = dialogue.now
        while dialogue.now - begin < .seconds(60) {
            for _ in 1...10 {
                dialogue.wait(interval / 10)
                if let beat { _ = dialogue.tell(.heard(beat)) }
            }
            let actions = dialogue.tell(.tick) + dialogue.read()
            if actions.contains(where: { if case .changeRule = $0 { true } else { false } }) {
                return dialogue.now - begin
            }
        }
        return nil
    }

    /// It says itself that it lives and serves: only its way to the store is ill.
    @Test func aLeaderThatIsHeardDirectlyIsKeptHoweverSlowTheStoreIs() throws {
        var dialogue = try Dialogue.follower("m2")
        let names = dialogue.names
        func beat(isOpen: Bool) -> MemberBeat {
            MemberBeat(
                member: names[0], epoch: .first, isOpen: isOpen, missesLeader: false, hears: Array(names.dropFirst()))
        }
        #expect(timeToCall(every: .milliseconds(950), &dialogue, whileHearing: beat(isOpen: true)) == nil)
        // One that lives and lets nobody in is no such leader.
        dialogue = try Dialogue.follower("m2")
        #expect(timeToCall(every: .milliseconds(950), &dialogue, whileHearing: beat(isOpen: false)) != nil)
    }

    /// A heartbeat now and then is news, and an outage is none of the leader's silence, however long it lasts.
    @Test func aLeaderThatIsHeardThroughASlowStoreIsKeptAndSoIsOneOfBeforeAnOutage() throws {
        var dialogue = try Dialogue.follower("m2")
        for sequence in 2...20 as ClosedRange<UInt64> {
            dialogue.beat(sequence)
            for _ in 1...3 {
                dialogue.wait(.milliseconds(1500))
                #expect(dialogue.tell(.tick).isEmpty)
                #expect(!dialogue.read().contains { if case .changeRule = $0 { true } else { false } })
            }
        }
        for _ in 1...60 {
            dialogue.wait(.milliseconds(400))
            _ = dialogue.tell(.tick)
            _ = dialogue.tell(.readFailed(dialogue.lastRead))
        }
        #expect(dialogue.read().isEmpty, "the first answer after it")
        dialogue.wait(.milliseconds(1000))
        #expect(dialogue.read().isEmpty)
    }

    @Test func aLeaderWhoseRuleIsGoneStopsWithItsLeaseAndGoesOnWhenItIsBack() throws {
        var dialogue = try Dialogue.leader()
        #expect(dialogue.observed(try dialogue.primary(500, ["m2": 500])).last == .setGate(isOpen: true))
        let rule = dialogue.rule
        dialogue.rule = nil
        dialogue.revision += 1
        #expect(dialogue.watch().isEmpty)
        #expect(dialogue.member.status.detail == "the cluster has no rule any more")
        dialogue.wait(.milliseconds(5900))
        #expect(dialogue.observed(try dialogue.primary(500, ["m2": 500])).isEmpty)
        dialogue.wait(.milliseconds(200))
        #expect(dialogue.tell(.tick) == [.setGate(isOpen: false), .postgres(.stop(.immediate), dialogue.operation)])
        #expect(dialogue.ended().isEmpty)
        #expect(
            dialogue.member.status.phase == .claiming && dialogue.member.status.leaseUntil == nil, "its machine stays")
        // However long it lasts.
        dialogue.wait(.seconds(3600))
        #expect(dialogue.tell(.tick).isEmpty)
        #expect(dialogue.member.state.data == .usable)

        dialogue.rule = rule
        dialogue.revision += 1
        var started: [FailoverAction] = []
        for case .heartbeat(let beat, _) in dialogue.all(.viewed(dialogue.view, by: .watch)) {
            started += dialogue.tell(.heartbeatAnswered(sequence: beat.sequence, .applied(revision: dialogue.revision)))
        }
        let standbys = Array(dialogue.names.dropFirst())
        #expect(
            started == [
                .postgres(.startPrimary(epoch: .first, confirmations: 1, standbys: standbys), dialogue.operation)
            ])
    }

    /// The records of the cluster are lost, or the store is a new one: that is no reason to begin anew.
    @Test(arguments: ["m1", "m2"])
    func aMemberWithDataMakesNoNewClusterOfIt(_ name: String) throws {
        let names = try (1...3).map { try MemberName("m\($0)") }
        let second = Reign(epoch: Epoch(2), leader: names[1], begin: LSN(1000))
        var dialogue = try Dialogue(
            name,
            state: DurableState(promised: Epoch(2), chain: [first(names[0]), second], timeline: 2, data: .usable))
        dialogue.tell(.tick)
        for _ in 0..<60 {
            #expect(dialogue.read().isEmpty)
            dialogue.wait(.seconds(1))
            #expect(dialogue.tell(.tick).isEmpty)
        }
        #expect(dialogue.member.state.data == .usable)
        guard name == "m1" else { return }
        #expect(dialogue.member.status.detail?.contains("whose rule is gone") == true)
    }

    // MARK: - Its Postgres

    /// The leader's, that does not come up: so often it is tried, and then another leads. An only member has no other.
    @Test(arguments: [(3, 3), (1, 12)])
    func aPostgresThatDoesNotStartIsTriedSoOften(members: Int, times: Int) throws {
        var dialogue = try Dialogue.leader(members: members)
        let standbys = members > 1 ? ["m2": UInt64(500)] : [:]
        #expect(dialogue.observed(try dialogue.primary(500, standbys)).last == .setGate(isOpen: true))
        var starts = 0
        var actions = dialogue.tell(.postgresExited(after: dialogue.operation))
        while case .postgres(.startPrimary, _)? = actions.last, starts < times {
            starts += 1
            actions = dialogue.ended(.failed("it does not start"))
            // At most 15 s between two.
            for _ in 0..<160 where actions.isEmpty { actions = wait(.milliseconds(100), &dialogue) }
        }
        #expect(starts == times)
        guard members > 1 else { return }
        #expect(actions == [.postgres(.stop(.immediate), dialogue.operation)])
        var next = dialogue.rule
        next?.recruitment = Recruitment(epoch: Epoch(2), proposer: dialogue.names[0], reason: .leaderResigned)
        #expect(dialogue.ended() == [.changeRule(try #require(next), expectedRevision: 5, dialogue.ruleChange)])
    }

    // MARK: - Whole data

    @Test func aCopyThatIsNotWholeAnswersNothing() throws {
        var dialogue = try Dialogue("m2")
        let names = dialogue.names
        dialogue.tell(.tick)
        dialogue.rule = Dialogue.firstRule(names)
        dialogue.beat(1)
        _ = dialogue.read()
        dialogue.beat(2)
        #expect(dialogue.watch().last == .postgres(.clone(from: names[0], epoch: .first), dialogue.operation))
        dialogue.change { $0.recruitment = Recruitment(epoch: Epoch(2), proposer: names[2], reason: .leaderSilent) }
        #expect(dialogue.watch() == [.postgres(.sever, dialogue.operation)])
        let actions = dialogue.all(.operationEnded(dialogue.operation, .done))
        #expect(!changesPostgres(actions))
        let answer = try #require(Dialogue.reported(actions))
        #expect(answer.promised == Epoch(2) && answer.position == nil && answer.chain == nil)
        let rule = try #require(dialogue.rule)
        let tally = try #require(RecruitmentTally(rule: rule, reports: [answer]))
        #expect(tally.answers.isEmpty && !tally.isSufficient)
    }

    /// Half of its pages are the leader's: it is nothing that Postgres could be started on, and nothing that counts.
    @Test func dataWhoseRewindWasCutOffIsCopiedAndNeverStarted() throws {
        let names = try (1...3).map { try MemberName("m\($0)") }
        var dialogue = try Dialogue(
            "m2",
            state: DurableState(promised: Epoch(2), chain: [first(names[0])], timeline: 1, data: .rewinding))
        dialogue.rule = Dialogue.firstRule(names)
        dialogue.change {
            $0.epoch = Epoch(2)
            $0.leader = names[2]
            $0.history.append(Reign(epoch: Epoch(2), leader: names[2], begin: LSN(900)))
            $0.timeline = 2
        }
        dialogue.beat(1)
        dialogue.tell(.tick)
        let actions = dialogue.all(.viewed(dialogue.view, by: .read(dialogue.lastRead)))
        #expect(!changesPostgres(actions))
        let report = try #require(Dialogue.reported(actions))
        #expect(report.position == nil && report.chain == nil)
        dialogue.beat(2)
        #expect(dialogue.watch() == [.postgres(.clone(from: names[2], epoch: Epoch(2)), dialogue.operation)])
    }

    @Test func aLeaderThatLostItsDataAsksForASuccessor() throws {
        var dialogue = try Dialogue("m1")
        dialogue.rule = Dialogue.firstRule(dialogue.names)
        dialogue.tell(.tick)
        var next = dialogue.rule
        next?.recruitment = Recruitment(epoch: Epoch(2), proposer: dialogue.names[0], reason: .leaderResigned)
        let called = try #require(next)
        #expect(
            dialogue.read() == [
                .save(DurableState(promised: .first, keptSince: .first)),
                .changeRule(called, expectedRevision: 5, dialogue.ruleChange),
            ])
        // Of one member nobody else has it.
        dialogue = try Dialogue("m1", members: 1)
        dialogue.rule = Dialogue.firstRule(dialogue.names)
        dialogue.tell(.tick)
        #expect(dialogue.read() == [.save(DurableState(promised: .first, keptSince: .first))])
        #expect(dialogue.member.status.detail == "named leader without usable data")
    }

    // MARK: - The other member

    /// It has all that was confirmed, and can prove so: but what it would confirm now would be on one disk alone.
    @Test func ofTwoMembersTheOneThatIsLeftLeadsAndLetsNobodyIn() throws {
        var dialogue = try Dialogue.follower("m2", members: 2)
        let names = dialogue.names
        dialogue.change { $0.recruitment = Recruitment(epoch: Epoch(2), proposer: names[1], reason: .leaderSilent) }
        _ = dialogue.watch()
        _ = dialogue.ended()
        // Its own answer need not come back from the store.
        let verdict = dialogue.ended(.end(LSN(1000), timeline: 1))
        guard case .changeRule(let next, _, _)? = verdict.first else {
            Issue.record("\(verdict)")
            return
        }
        #expect(next.leader == names[1] && next.epoch == Epoch(2))
        dialogue.change { $0 = next }
        let promoting = dialogue.tell(.ruleAnswered(dialogue.ruleChange, .applied(revision: dialogue.ruleRevision)))
        let promotion = PostgresOperation.promote(epoch: Epoch(2), confirmations: 1, standbys: [names[0]])
        #expect(promoting.last == .postgres(promotion, dialogue.operation))
        _ = dialogue.ended(.promoted(switchPoint: LSN(1000), timeline: 2))
        for _ in 0..<60 {
            #expect(wait(.seconds(1), &dialogue).isEmpty)
            let alone = PrimaryObservation(timeline: 2, flushed: LSN(1001), standbys: [])
            #expect(dialogue.observed(.primary(alone)).isEmpty)
        }
        #expect(dialogue.member.status.phase == .leading && !dialogue.member.status.isOpen)
        #expect(dialogue.member.status.detail == "waits until 1 standby has its log up to 0/3E9")
        let back = StreamObservation(member: names[0], isStreaming: true, flushed: LSN(1001))
        let both = PrimaryObservation(timeline: 2, flushed: LSN(1001), standbys: [back])
        #expect(dialogue.observed(.primary(both)).last == .setGate(isOpen: true))
    }
}
