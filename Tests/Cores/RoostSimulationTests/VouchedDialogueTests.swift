import RoostFailover
import RoostModel
import Testing

/// A lease that other members renew, and a member that starts, while the store says nothing.
@Suite struct VouchedDialogueTests {
    /// `m1` leads epoch 1 and is open; the store has fallen silent.
    private struct Talk {
        var dialogue: Dialogue
        /// Those that speak, by number.
        var speakers: [Int] = []
        var epoch = Epoch.first
        /// For how long what they say was on its way, both ways; nil: it does not show.
        var age: Duration? = .milliseconds(100)
        /// Where clients come from.
        var standbys: [String: UInt64] = [:]
        var actions: [FailoverAction] = []

        init(members: Int) throws {
            dialogue = try Dialogue.leader(members: members)
            let others = (2...max(members, 2)).map { "m\($0)" }.prefix(members - 1)
            standbys = Dictionary(uniqueKeysWithValues: others.map { ($0, UInt64(500)) })
            _ = dialogue.observed(try dialogue.primary(500, standbys))
            _ = dialogue.tell(.gateAnswered(isOpen: true, failure: nil))
        }

        /// - Returns: after how long it stopped its Postgres; nil: not within so long.
        mutating func goOn(for time: Duration) throws -> Duration? {
            let began = dialogue.now
            while dialogue.now - began < time {
                dialogue.wait(.milliseconds(100))
                actions = []
                for number in speakers {
                    let beat = MemberBeat(
                        member: try MemberName("m\(number)"), epoch: epoch, isOpen: false, missesLeader: false,
                        hears: dialogue.names)
                    actions += dialogue.all(.heard(beat, after: age.map { dialogue.now.before($0) }))
                }
                actions += dialogue.all(.observed(try dialogue.primary(500, standbys), after: dialogue.operation))
                actions += dialogue.all(.tick)
                if actions.contains(where: { if case .postgres(.stop, _) = $0 { true } else { false } }) {
                    return dialogue.now - began
                }
            }
            return nil
        }
    }

    @Test(arguments: [(1, []), (2, [2]), (3, [3]), (4, [2, 4]), (5, [2, 5])])
    func aLeaderWithEnoughOthersGoesOn(members: Int, speakers: [Int]) throws {
        var talk = try Talk(members: members)
        talk.speakers = speakers
        #expect(try talk.goOn(for: .seconds(120)) == nil)
        #expect(talk.dialogue.member.status.isOpen)
        let since = talk.dialogue.now.before(members == 1 ? .zero : .milliseconds(100))
        #expect(talk.dialogue.member.status.leaseUntil == since + talk.dialogue.member.timings.lease)
        // Its host guards it from outside, and hears it from nobody else.
        var held: [Moment] = []
        for _ in 0..<10 {
            _ = try talk.goOn(for: .milliseconds(100))
            for case .holdLease(.first, let since, nil) in talk.actions { held.append(since) }
        }
        #expect((3...5).contains(held.count) && talk.dialogue.now - (held.last ?? .zero) < .seconds(1))
        // They fall silent: as long as a lease, from when they were last known to be with it.
        talk.speakers = []
        let stopped = try talk.goOn(for: .seconds(10))
        #expect(
            members == 1
                ? stopped == nil
                : (Duration.milliseconds(5800)...Duration.milliseconds(6000)).contains(stopped ?? .zero))
    }

    private static let courses: [(members: Int, speakers: [Int])] = [(1, []), (2, []), (3, []), (5, [4]), (3, [2])]

    /// The store renews it; where more than half of the members decide it does not, but for an only member.
    @Test(arguments: courses, [true, false])
    func theStoreAloneDoesNotRenewItWhereMoreThanHalfDecide(_ course: (members: Int, speakers: [Int]), isMarked: Bool)
        throws
    {
        var talk = try Talk(members: course.members)
        talk.speakers = course.speakers
        if isMarked {
            talk.dialogue.change { $0.majority = true }
            _ = talk.dialogue.watch()
        }
        let began = talk.dialogue.now
        var stopped: Duration?
        while stopped == nil, talk.dialogue.now - began < .seconds(20) {
            stopped = try talk.goOn(for: .milliseconds(100)).map { _ in talk.dialogue.now - began }
            for case .heartbeat(let beat, _) in talk.actions where stopped == nil {
                talk.dialogue.tell(.heartbeatAnswered(sequence: beat.sequence, .applied(revision: 20)))
            }
        }
        guard isMarked, course.members > 1, course.speakers != [2] else { return #expect(stopped == nil) }
        #expect((Duration.seconds(5)...Duration.milliseconds(6500)).contains(stopped ?? .zero))
    }

    @Test(arguments: [(2, []), (3, []), (4, [2]), (5, [4])])
    func tooFewDoNotRenewIt(members: Int, speakers: [Int]) throws {
        var talk = try Talk(members: members)
        talk.speakers = speakers
        let stopped = try #require(try talk.goOn(for: .seconds(20)))
        #expect((Duration.seconds(5)...Duration.seconds(6)).contains(stopped))
    }

    /// Whoever has promised a later epoch may have chosen another leader; one of an older epoch has not promised this one.
    @Test(arguments: [Epoch(2), Epoch(3), .none])
    func theWordOfAnotherEpochDoesNotCount(_ epoch: Epoch) throws {
        var talk = try Talk(members: 3)
        (talk.speakers, talk.epoch) = ([2, 3], epoch)
        let stopped = try #require(try talk.goOn(for: .seconds(20)))
        #expect((Duration.seconds(5)...Duration.seconds(6)).contains(stopped))
    }

    /// What was on its way for long says nothing of now; nor does what does not show when it was said.
    @Test(arguments: [Duration.seconds(6), .seconds(60), nil])
    func aWordThatMayBeOldDoesNotCount(_ age: Duration?) throws {
        var talk = try Talk(members: 3)
        (talk.speakers, talk.age) = ([2, 3], age)
        let stopped = try #require(try talk.goOn(for: .seconds(20)))
        #expect((Duration.seconds(5)...Duration.seconds(6)).contains(stopped))
    }

    /// A host of before ends the machine of a leader that the store has not renewed; one that knows of another machine, too.
    @Test(arguments: [true, false])
    func theHostHasToTakeIt(isOfBefore: Bool) throws {
        var talk = try Talk(members: 3)
        talk.speakers = [2, 3]
        if isOfBefore {
            var view = talk.dialogue.view
            view.hostTakesWord = false
            talk.dialogue.tell(.viewed(view, by: .watch))
        }
        let began = talk.dialogue.now
        var stopped: Duration?
        while stopped == nil, talk.dialogue.now - began < .seconds(20) {
            stopped = try talk.goOn(for: .milliseconds(100)).map { _ in talk.dialogue.now - began }
            for case .heartbeat(let beat, _) in talk.actions where !isOfBefore {
                talk.dialogue.tell(.heartbeatAnswered(sequence: beat.sequence, .denied("it is another machine's")))
            }
        }
        let took = try #require(stopped)
        #expect((Duration.seconds(5)...Duration.milliseconds(6500)).contains(took))
    }

    /// A host that was wrong once: what it takes later shows it.
    @Test func aDenialThatIsOverEndsNoReign() throws {
        var talk = try Talk(members: 3)
        talk.speakers = [2, 3]
        talk.dialogue.change { $0.majority = true }
        _ = talk.dialogue.watch()
        var denials = 0
        for step in 0..<200 {
            #expect(try talk.goOn(for: .milliseconds(100)) == nil, "\(step)")
            for case .heartbeat(let beat, _) in talk.actions {
                let isDenied = step > 20 && denials == 0
                denials += isDenied ? 1 : 0
                let answer = isDenied ? StoreAnswer.denied("it is another machine's") : .applied(revision: 20)
                talk.dialogue.tell(.heartbeatAnswered(sequence: beat.sequence, answer))
            }
        }
    }

    /// `m1` starts anew in its office; `m3` is lost, and with it the word of one of those that confirm once the step is taken.
    @Test(arguments: [true, false])
    func aStepThatWasPreparedKeepsNoLeaderFromItsLease(isComerHeard: Bool) throws {
        var dialogue = try kept("m1")
        let fourth = try MemberName("m4")
        dialogue.change {
            $0.majority = true
            $0.change = MemberChange(id: "1", steps: [MemberChange.Step(.add, fourth)])
            $0.change?.isPrepared = true
        }
        var actions = dialogue.read()
        var hasStarted = false
        for _ in 0..<40 where !hasStarted {
            dialogue.wait(.milliseconds(100))
            for member in [dialogue.names[1]] + (isComerHeard ? [fourth] : []) {
                let beat = MemberBeat(member: member, epoch: .first, isOpen: false, missesLeader: false, hears: [])
                actions += dialogue.tell(.heard(beat, after: dialogue.now))
            }
            actions += dialogue.tell(.tick)
            for action in actions {
                if case .postgres(.startPrimary, _) = action { hasStarted = true }
                guard case .changeRule(let next, _, _) = action else { continue }
                #expect(next.change?.isPrepared == nil && next.change?.current != nil && next.members.count == 3)
                dialogue.change { $0 = next }
                _ = dialogue.tell(.ruleAnswered(dialogue.ruleChange, .applied(revision: dialogue.ruleRevision)))
            }
            actions = []
        }
        #expect(hasStarted)
    }

    /// The store answers, and others report that they could lead: they are asked to, after a while.
    @Test func aLeaderThatHearsNobodyMakesWay() throws {
        var dialogue = try kept("m1")
        dialogue.change { $0.majority = true }
        _ = dialogue.read()
        #expect(dialogue.member.status.phase == .claiming)
        for step in 1...150 {
            dialogue.wait(.milliseconds(100))
            if step.isMultiple(of: 20) {
                dialogue.reports = dialogue.names.dropFirst().map {
                    MemberReport(
                        member: $0, role: .standby, state: .running, promised: .first,
                        position: Position(epoch: .first, end: LSN(500)), timeline: 1, replayed: LSN(500),
                        isStreaming: false, lagBytes: 0, lagMilliseconds: Int64(step))
                }
                dialogue.revision += 1
            }
            let actions = dialogue.all(.tick) + dialogue.watch()
            for case .heartbeat(let beat, _) in actions {
                _ = dialogue.tell(.heartbeatAnswered(sequence: beat.sequence, .applied(revision: dialogue.revision)))
            }
            for case .changeRule(let next, _, _) in actions {
                #expect(next.recruitment?.reason == .leaderResigned && (98...130).contains(step), "\(step)")
                #expect(dialogue.member.status.detail == "waits until 1 other member is heard")
                return
            }
        }
        Issue.record("it stays in its office")
    }

    /// So many that those who are left are too few to choose a leader: under the rule, under the one that the next step makes
    /// of it, and while that is prepared.
    @Test(arguments: 1...9)
    func whoVouchesLeavesTooFewToChoose(members: Int) throws {
        let names = try (1...members + 1).map { try MemberName("m\($0)") }
        let rule = Dialogue.firstRule(Array(names.prefix(members)))
        var steps = [MemberChange.Step(.add, names[members])]
        if members > 1 { steps.append(MemberChange.Step(.remove, names[members - 1])) }
        for step in steps {
            // Into an odd number a step goes as it is, into an even one when that is prepared.
            for isPrepared in members.isMultiple(of: 2) ? [false] : [true, false] {
                var asked = rule
                asked.change = MemberChange(id: "1", steps: [step])
                if isPrepared { asked.change?.isPrepared = true }
                var next = asked
                next.members = step.kind == .add ? names : Array(names.prefix(members - 1))
                next.confirmations = ClusterRule.confirmations(of: next.members.count)
                let isPossible = isPrepared || members.isMultiple(of: 2)
                for possible in [asked] + (isPossible ? [next] : []) {
                    var called = possible
                    called.recruitment = Recruitment(epoch: Epoch(2), proposer: names[0], reason: .leaderSilent)
                    let tally = try #require(RecruitmentTally(rule: called, reports: []))
                    // The worst of choices: those who vouch are no members of it, as far as that can be.
                    let outside = asked.vouchers.filter { !possible.members.contains($0) }.count
                    let vouching = max(asked.vouchersNeeded - outside, 0)
                    let left = possible.members.count - 1 - vouching
                    #expect(left < tally.standbysNeeded, "\(members) \(step) \(isPrepared) \(possible.members)")
                }
            }
        }
    }

    // MARK: - Who starts without the store

    private func kept(_ name: String, _ change: (inout DurableState) -> Void = { _ in }) throws -> Dialogue {
        let leader = try MemberName("m1")
        var state = DurableState(
            promised: .first, chain: [Reign(epoch: .first, leader: leader, begin: .zero)], timeline: 1, data: .usable)
        if name == "m1" { state.led = .first }
        change(&state)
        var dialogue = try Dialogue(name, state: state)
        dialogue.rule = Dialogue.firstRule(dialogue.names)
        dialogue.beat(1)
        dialogue.tell(.tick)
        _ = dialogue.tell(.readFailed(dialogue.lastRead))
        return dialogue
    }

    /// What it follows, it has followed before: what its host has heard last says no more than its own disk.
    @Test func aStandbyFollowsByWhatItsHostHeardLast() throws {
        var dialogue = try kept("m2")
        let reading = dialogue.tell(.viewed(dialogue.view, by: .kept))
        #expect(reading.last == .postgres(.readEnd, dialogue.operation))
        let following = dialogue.ended(.end(LSN(1000), timeline: 1))
        let follow = PostgresOperation.follow(dialogue.names[0], epoch: .first, fork: nil)
        #expect(following.last == .postgres(follow, dialogue.operation))
        _ = dialogue.ended()
        #expect(dialogue.observed(dialogue.standby(1000)).last == .setGate(isOpen: true))
        // The store is back, and nothing has changed.
        dialogue.beat(2)
        #expect(dialogue.read().isEmpty)
    }

    /// It has promised the epoch, and nothing of its leader's log is here: its own may have to be taken back.
    @Test func nothingIsGivenUpByIt() throws {
        var dialogue = try kept("m2") { $0.promised = Epoch(2) }
        let names = dialogue.names
        dialogue.change {
            $0.epoch = Epoch(2)
            $0.leader = names[2]
            $0.history.append(Reign(epoch: Epoch(2), leader: names[2], begin: LSN(900)))
        }
        for _ in 0..<60 {
            dialogue.wait(.seconds(1))
            _ = dialogue.tell(.viewed(dialogue.view, by: .kept))
            #expect(dialogue.tell(.tick).isEmpty)
        }
        #expect(dialogue.member.state.data == .usable && dialogue.member.status.phase == .starting)
    }

    /// A later promise, data that does not count, another leader of the epoch, members that are gone: it waits for the store.
    @Test func whatTheDiskDoesNotBearOutIsNotBelieved() throws {
        let changes: [(inout DurableState) -> Void] = [
            { $0.promised = Epoch(2) }, { $0.promised = .none }, { $0.data = .rewinding }, { $0.chain = [] },
            { $0.chain[0].begin = LSN(5) }, { $0 = DurableState() },
        ]
        for (index, change) in changes.enumerated() {
            var dialogue = try kept("m2", change)
            #expect(dialogue.tell(.viewed(dialogue.view, by: .kept)).isEmpty, "\(index)")
            #expect(dialogue.tell(.tick).isEmpty && dialogue.member.status.phase == .starting, "\(index)")
        }
    }

    /// By enough words of now; not before, and not without.
    @Test func aLeaderLeadsOnByTheWordOfEnough() throws {
        var dialogue = try kept("m1")
        let other = MemberBeat(
            member: dialogue.names[1], epoch: .first, isOpen: false, missesLeader: false, hears: [])
        _ = dialogue.tell(.viewed(dialogue.view, by: .kept))
        #expect(dialogue.member.status.phase == .claiming)
        for step in 0..<100 {
            dialogue.wait(.milliseconds(100))
            let after = step < 50 ? nil : dialogue.now.before(.milliseconds(50))
            let started = dialogue.tell(.heard(other, after: after)) + dialogue.tell(.tick)
            guard !started.isEmpty else { continue }
            #expect((50..<55).contains(step))
            let standbys = Array(dialogue.names.dropFirst())
            #expect(
                started == [
                    .postgres(.startPrimary(epoch: .first, confirmations: 1, standbys: standbys), dialogue.operation)
                ])
            return
        }
        Issue.record("it does not start")
    }

    /// The host ends the machine of a leader that does not say so in time, whether or not the store answers.
    @Test func aLeaderThatHasReadNothingSaysThatItHasStopped() throws {
        var dialogue = try kept("m1")
        _ = dialogue.tell(.viewed(dialogue.view, by: .kept))
        let other = MemberBeat(
            member: dialogue.names[1], epoch: .first, isOpen: false, missesLeader: false, hears: [])
        var (starts, stops) = (0, 0)
        for step in 0..<150 where stops == 0 {
            dialogue.wait(.milliseconds(100))
            var actions: [FailoverAction] = []
            if step < 50 { actions += dialogue.tell(.heard(other, after: dialogue.now.before(.milliseconds(50)))) }
            if starts > 0 { actions += dialogue.observed(try dialogue.primary(500, ["m2": 500])) }
            actions += dialogue.tell(.tick)
            for case .postgres(let operation, _) in actions {
                if case .stop = operation { stops += 1 } else { starts += 1 }
                if starts == 1 { #expect(dialogue.stored?.role == .primary) }
                _ = dialogue.ended()
            }
        }
        #expect(starts >= 1 && stops == 1 && dialogue.stored?.role == .standby)
    }

    /// An earlier report may be on its way for long, or have failed a moment ago.
    @Test(arguments: [true, false])
    func thatPostgresIsStoppedWaitsForNoOtherReport(isRefused: Bool) throws {
        var talk = try Talk(members: 3)
        talk.speakers = [2, 3]
        #expect(try talk.goOn(for: .seconds(1)) == nil)
        var (member, now, operation) = (talk.dialogue.member, talk.dialogue.now, talk.dialogue.operation)
        var roles: [MemberReport.Role] = []
        for _ in 0..<100 where roles.last != .standby {
            now = now + .milliseconds(100)
            var actions = member.receive(.observed(try talk.dialogue.primary(500, [:]), after: operation), now: now)
            actions += member.receive(.tick, now: now)
            for case .postgres(.stop, let id) in actions {
                operation = id
                actions += member.receive(.operationEnded(id, .done), now: now)
                roles += actions.compactMap { if case .report(let report) = $0 { report.role } else { nil } }
                #expect(roles.contains(.primary) && roles.last == .standby)
                return
            }
            for case .report(let report) in actions {
                roles.append(report.role)
                guard isRefused else { continue }
                _ = member.receive(.reportAnswered(sequence: report.sequence, .unavailable), now: now)
            }
        }
        Issue.record("it does not stop: \(roles)")
    }

    /// A step that it has asked for may be in the store: then others decide than it knows of.
    @Test func aLeaderThatMayHaveOtherMembersWaits() throws {
        let names = try (1...4).map { try MemberName("m\($0)") }
        var four = Dialogue.firstRule(names)
        four.changes = 1
        for isKnown in [true, false] {
            var dialogue = try kept("m1") {
                if isKnown { $0.membership = Membership(of: four) } else { $0.asked = Membership(of: four) }
            }
            for _ in 0..<100 {
                dialogue.wait(.milliseconds(100))
                var actions = dialogue.tell(.viewed(dialogue.view, by: .kept))
                for name in names[1...2] {
                    let beat = MemberBeat(member: name, epoch: .first, isOpen: false, missesLeader: false, hears: [])
                    actions += dialogue.tell(.heard(beat, after: dialogue.now.before(.milliseconds(50))))
                }
                actions += dialogue.tell(.tick)
                #expect(!actions.contains { if case .postgres(.startPrimary, _) = $0 { true } else { false } })
            }
            #expect(dialogue.member.status.leaseUntil == nil)
        }
    }

    /// It is written down before the store is asked.
    @Test func aStepThatIsAskedForIsOnDiskBefore() throws {
        var dialogue = try Dialogue.leader(members: 2)
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
        _ = dialogue.tell(.gateAnswered(isOpen: true, failure: nil))
        let third = try MemberName("m3")
        dialogue.change {
            $0.change = MemberChange(id: "1", steps: [MemberChange.Step(.add, third)])
        }
        _ = dialogue.watch()
        var actions = dialogue.ended()
        let streams = ["m2": UInt64(500), "m3": UInt64(500)]
        for _ in 0..<5 where !actions.contains(where: { if case .changeRule = $0 { true } else { false } }) {
            actions = dialogue.observed(try dialogue.primary(500, streams))
        }
        let saved = try #require(
            actions.firstIndex { if case .save(let state) = $0 { state.asked != nil } else { false } })
        let asked = try #require(actions.firstIndex { if case .changeRule = $0 { true } else { false } })
        #expect(saved < asked)
        #expect(dialogue.member.state.asked?.members == dialogue.names + [third])
        dialogue.change { _ in }
        guard case .changeRule(let next, _, _) = actions[asked] else { return }
        dialogue.rule = next
        _ = dialogue.tell(.ruleAnswered(dialogue.ruleChange, .applied(revision: dialogue.revision)))
        #expect(dialogue.member.state.asked == nil && dialogue.member.state.membership?.changes == 1)
    }
}

extension Moment {
    fileprivate func before(_ duration: Duration) -> Moment { Moment(sinceBoot: sinceBoot - duration) }
}
