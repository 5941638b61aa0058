import RoostFailover
import RoostModel
import Testing

/// A core that is spoken to, and who looks on.
private struct WatchedDialogue {
    var dialogue: Dialogue
    var steps: FailoverSteps
    var account: FailoverSteps.Account?

    init(_ dialogue: Dialogue) {
        self.dialogue = dialogue
        steps = FailoverSteps(of: dialogue.member.name)
        // What a shell would have handed to both from the beginning.
        _ = steps.note(.viewed(dialogue.view, by: .read(dialogue.lastRead)), [], from: dialogue.now, to: dialogue.now)
    }

    @discardableResult
    mutating func tell(_ event: FailoverEvent, after wait: Int = 0) -> [FailoverAction] {
        dialogue.wait(.milliseconds(wait))
        let actions = dialogue.all(event)
        // The disk takes its time for what is saved, and nothing else is waited for.
        let saves = actions.contains { if case .save = $0 { true } else { false } }
        let done = saves ? dialogue.now + .milliseconds(5) : dialogue.now
        if let account = steps.note(event, actions, from: dialogue.now, to: done) { self.account = account }
        return actions
    }

    mutating func ended(_ outcome: OperationOutcome = .done, after wait: Int) {
        tell(.operationEnded(dialogue.operation, outcome), after: wait)
    }

    mutating func observed(_ sample: PostgresObservation, after wait: Int) {
        tell(.observed(sample, after: dialogue.operation), after: wait)
    }

    mutating func watch(after wait: Int = 0) -> [FailoverAction] {
        tell(.viewed(dialogue.view, by: .watch), after: wait)
    }

    /// In milliseconds.
    var stamps: [String: Int64]? {
        account.map { account in
            Dictionary(uniqueKeysWithValues: account.steps.map { ($0.step.rawValue, $0.after.milliseconds) })
        }
    }
}

@Suite struct FailoverStepsTests {
    /// Until the recruitment for epoch 2, which another member has called.
    private func called() throws -> WatchedDialogue {
        var watched = WatchedDialogue(try Dialogue.follower("m2"))
        let other = watched.dialogue.names[2]
        watched.dialogue.beat(2)
        _ = watched.watch(after: 300)
        watched.dialogue.change {
            $0.recruitment = Recruitment(epoch: Epoch(2), proposer: other, reason: .leaderSilent)
        }
        _ = watched.watch(after: 1500)
        return watched
    }

    private func elect(_ leader: Int, _ watched: inout WatchedDialogue, epoch: UInt64 = 2, after wait: Int) {
        let name = watched.dialogue.names[leader]
        watched.dialogue.change {
            $0.recruitment = nil
            $0.epoch = Epoch(epoch)
            $0.leader = name
            $0.history.append(Reign(epoch: Epoch(epoch), leader: name, begin: LSN(1000)))
        }
        _ = watched.watch(after: wait)
    }

    private func open(_ watched: inout WatchedDialogue) throws {
        watched.tell(.heartbeatAnswered(sequence: 1, .applied(revision: 30)), after: 100)
        watched.ended(.promoted(switchPoint: LSN(1000), timeline: 2), after: 200)
        // Of the reign before; then of this one, on this member only; then on a standby.
        watched.observed(try watched.dialogue.primary(1000, ["m3": 1000]), after: 50)
        watched.observed(try watched.dialogue.primary(1001, ["m3": 1000]), after: 50)
        watched.observed(try watched.dialogue.primary(1001, ["m3": 1001]), after: 300)
        #expect(watched.account == nil)
        watched.tell(.gateAnswered(isOpen: true, failure: nil), after: 40)
    }

    @Test func eachStepCountsFromTheLastBeat() throws {
        var watched = try called()
        watched.ended(after: 60)
        watched.ended(.end(LSN(1000), timeline: 1), after: 40)
        elect(1, &watched, after: 400)
        try open(&watched)
        #expect(watched.account?.epoch == Epoch(2))
        #expect(watched.account?.cause == .recruitment(.leaderSilent))
        #expect(
            watched.stamps == [
                "called": 1500, "fenced": 1560, "promised": 1565, "end_read": 1600, "elected": 2000,
                "promoted": 2300, "confirmed": 2700, "open": 2740,
            ])
        // Told once, and the next word of the gate belongs to nothing.
        watched.account = nil
        watched.tell(.gateAnswered(isOpen: true, failure: nil))
        #expect(watched.account == nil)
    }

    @Test func aRecruitmentOfItsOwnBeginsWithTheSuspicion() throws {
        var watched = WatchedDialogue(try Dialogue.follower("m2"))
        watched.dialogue.beat(2)
        _ = watched.watch(after: 300)
        var asked: ClusterRule?
        for _ in 0..<100 where asked == nil {
            watched.dialogue.wait(.milliseconds(100))
            for case .changeRule(let rule, _, _) in watched.tell(
                .viewed(watched.dialogue.view, by: .read(watched.dialogue.lastRead)))
            {
                asked = rule
            }
        }
        let rule = try #require(asked)
        #expect(rule.recruitment?.proposer == watched.dialogue.member.name)
        watched.dialogue.rule = rule
        watched.dialogue.revision += 1
        watched.dialogue.ruleRevision = watched.dialogue.revision
        watched.tell(
            .ruleAnswered(watched.dialogue.ruleChange, .applied(revision: watched.dialogue.revision)), after: 120)
        watched.ended(after: 60)
        watched.ended(.end(LSN(1000), timeline: 1), after: 40)
        elect(1, &watched, after: 400)
        try open(&watched)
        let stamps = try #require(watched.stamps)
        let suspected = try #require(stamps["suspected"])
        #expect(suspected >= 2000 && suspected <= 4000)
        #expect(stamps["called"] == suspected + 120)
    }

    /// By another member's word, and before the rule says anything.
    @Test func aDirectRecruitmentBeginsWithTheCall() throws {
        var watched = WatchedDialogue(try Dialogue.follower("m2"))
        let names = watched.dialogue.names
        let revision = watched.dialogue.ruleRevision
        func beat(_ member: Int, _ call: DirectCall? = nil, _ answer: DirectAnswer? = nil) -> FailoverEvent {
            .heard(
                MemberBeat(
                    member: names[member], epoch: Epoch(call == nil ? 1 : 2), isOpen: member == 0,
                    missesLeader: false, hears: [], call: call, answer: answer))
        }
        for sequence in 2...47 as ClosedRange<UInt64> {
            watched.dialogue.beat(sequence)
            watched.tell(.viewed(watched.dialogue.view, by: .watch), after: 100)
            if sequence < 42 { watched.tell(beat(0)) }
            watched.tell(beat(2))
            watched.tell(.tick)
        }
        watched.tell(beat(2, DirectCall(epoch: Epoch(2), revision: revision)), after: 100)
        watched.ended(after: 60)
        watched.ended(.end(LSN(1000), timeline: 1), after: 40)
        let history = try #require(watched.dialogue.rule?.history)
        let answer = DirectAnswer(
            epoch: Epoch(2), reigns: 1, digest: history.digest, end: LSN(900), replayed: LSN(900), timeline: 1,
            cannotLead: false)
        let decided = watched.tell(
            beat(2, DirectCall(epoch: Epoch(2), revision: revision, stored: revision + 50), answer), after: 30)
        #expect(decided.contains { if case .changeRule = $0 { true } else { false } })
        watched.dialogue.revision = revision + 60
        watched.tell(.ruleAnswered(watched.dialogue.ruleChange, .applied(revision: revision + 60)), after: 120)
        watched.ended(.promoted(switchPoint: LSN(1000), timeline: 2), after: 200)
        watched.observed(try watched.dialogue.primary(1001, ["m3": 1001]), after: 100)
        watched.tell(.gateAnswered(isOpen: true, failure: nil), after: 40)
        // The store's last heartbeat is as old as the call.
        #expect(
            watched.stamps == [
                "called": 100, "fenced": 160, "promised": 165, "end_read": 200, "decided": 230, "elected": 350,
                "promoted": 550, "confirmed": 650, "open": 690,
            ])
        #expect(watched.account?.cause == .recruitment(.leaderSilent) && watched.account?.epoch == Epoch(2))
    }

    @Test func oneThatAnotherWinsIsForgotten() throws {
        var watched = try called()
        watched.ended(after: 60)
        watched.ended(.end(LSN(1000), timeline: 1), after: 40)
        elect(2, &watched, after: 400)
        watched.ended(after: 100)
        watched.observed(watched.dialogue.standby(1001), after: 100)
        watched.tell(.gateAnswered(isOpen: true, failure: nil))
        #expect(watched.account == nil)
    }

    @Test func aSecondRecruitmentIsOfTheSameFailover() throws {
        var watched = try called()
        watched.ended(after: 60)
        let other = watched.dialogue.names[2]
        watched.dialogue.change {
            $0.recruitment = Recruitment(epoch: Epoch(3), proposer: other, reason: .leaderSilent)
        }
        _ = watched.watch(after: 5000)
        watched.ended(.end(LSN(1000), timeline: 1), after: 40)
        elect(1, &watched, epoch: 3, after: 400)
        try open(&watched)
        let stamps = try #require(watched.stamps)
        #expect(watched.account?.epoch == Epoch(3))
        #expect(stamps["called"] == 6560 && stamps["elected"] == 7000)
        #expect(stamps["fenced"] == nil, "it was behind the fence already")
    }

    @Test func aRestartCountsFromTheCrash() throws {
        var watched = WatchedDialogue(try Dialogue.leader())
        watched.observed(try watched.dialogue.primary(500, ["m2": 500]), after: 0)
        watched.tell(.gateAnswered(isOpen: true, failure: nil))
        #expect(watched.account == nil)
        watched.tell(.postgresExited(after: watched.dialogue.operation), after: 100)
        watched.ended(after: 250)
        watched.observed(try watched.dialogue.primary(700, ["m2": 500]), after: 50)
        watched.observed(try watched.dialogue.primary(750, ["m2": 700]), after: 600)
        watched.tell(.gateAnswered(isOpen: true, failure: nil), after: 30)
        #expect(watched.account?.cause == .postgresEnded)
        #expect(watched.stamps == ["started": 250, "confirmed": 900, "open": 930])
    }
}
