import RoostFailover
import RoostModel
import Testing

/// Data that has to be replaced, and data that must not be given up.
@Suite struct ReplacementDialogueTests {
    /// `m2`, following, with a leader that was seen to live.
    private func follower(members: Int = 3) throws -> Dialogue {
        var dialogue = try Dialogue.follower("m2", members: members)
        _ = dialogue.observed(dialogue.standby(1000))
        dialogue.beat(2)
        _ = dialogue.watch()
        return dialogue
    }

    private func strayPrimary() -> PostgresObservation {
        .primary(PrimaryObservation(timeline: 2, flushed: LSN(1200), standbys: []))
    }

    private static let strayEnd = OperationOutcome.end(
        LSN(1200), timeline: 2, forks: [TimelineFork(timeline: 2, begin: LSN(1000))])

    @Test func aStandbyPromotedByHandIsClosedAndTakenBack() throws {
        var dialogue = try follower()
        #expect(
            dialogue.observed(strayPrimary()) == [.setGate(isOpen: false), .postgres(.sever, dialogue.operation)])
        #expect(dialogue.member.status.detail?.contains("promoted") == true)
        #expect(dialogue.ended() == [.postgres(.readEnd, dialogue.operation)])
        let actions = dialogue.ended(Self.strayEnd)
        #expect(actions.last == .postgres(.tryRewind(to: dialogue.names[0], epoch: .first), dialogue.operation))
        #expect(dialogue.member.status.detail?.contains("promoted") == true)
        // Only tried out so far: what it has counts, whatever happens.
        #expect(dialogue.member.state.data == .usable)
        let earnest = dialogue.all(.operationEnded(dialogue.operation, .done))
        #expect(dialogue.member.state.data == .rewinding)
        #expect(earnest.last == .postgres(.rewind(to: dialogue.names[0], epoch: .first), dialogue.operation))
    }

    @Test(arguments: [OperationOutcome.unreachable("it is down"), .failed("no answer"), .impossible("its log is gone")])
    func aRewindThatCannotBeginTakesNothingAway(outcome: OperationOutcome) throws {
        var dialogue = try follower()
        _ = dialogue.observed(strayPrimary())
        _ = dialogue.ended()
        let before = dialogue.member.state
        _ = dialogue.ended(Self.strayEnd)
        let actions = dialogue.all(.operationEnded(dialogue.operation, outcome))
        #expect(dialogue.member.state == before)
        #expect(!actions.contains { if case .save = $0 { true } else { false } }, "\(actions)")
    }

    /// A leader that is closed may wait for this very member. What another holds back counts for nobody, however far it goes.
    @Test(arguments: [MemberReport.State.running, .failed])
    func oneInQuarantineIsNoCopyToCountOn(_ state: MemberReport.State) throws {
        var dialogue = try follower()
        var other = asks(dialogue.names[2])
        (other.state, other.asksToReplace) = (state, nil)
        dialogue.reports = [other]
        dialogue.beat(3)
        dialogue.heartbeat?.isOpen = false
        _ = dialogue.watch()
        _ = dialogue.observed(strayPrimary())
        _ = dialogue.ended()
        let leader = dialogue.names[0]
        #expect(
            dialogue.ended(Self.strayEnd).last
                == .postgres(
                    state == .failed ? .clone(from: leader, epoch: .first) : .tryRewind(to: leader, epoch: .first),
                    dialogue.operation))
    }

    /// `m2` has more than `m3` took over, which is closed; `m1` is at `end`, and heard or not. What `m2` does with what it has.
    private func outgrown(
        other end: Position?, isHeard: Bool, isOpen: Bool = false, reports: Int = 1
    ) throws -> (Dialogue, PostgresOperation?) {
        var dialogue = try follower()
        let names = dialogue.names
        dialogue.change {
            $0.epoch = Epoch(2)
            $0.leader = names[2]
            $0.history.append(Reign(epoch: Epoch(2), leader: names[2], begin: LSN(1000)))
            $0.timeline = 2
        }
        var other = asks(names[0])
        (other.position, other.asksToReplace, other.promised) = (end, nil, Epoch(2))
        dialogue.reports = [other]
        // The first one that is seen may be old.
        for number in UInt64(1)...2 {
            dialogue.beat(number)
            dialogue.heartbeat?.isOpen = isOpen
            _ = dialogue.watch()
        }
        if isHeard {
            let beat = MemberBeat(member: names[0], epoch: Epoch(2), isOpen: false, missesLeader: false, hears: [])
            _ = dialogue.all(.heard(beat, after: nil))
        }
        for _ in 1..<reports {
            dialogue.wait(.milliseconds(100))
            dialogue.reports[0].lagMilliseconds += 1
            dialogue.revision += 1
            _ = dialogue.watch()
        }
        _ = dialogue.ended()
        let actions = dialogue.ended(.end(LSN(1200), timeline: 1))
        for case .postgres(let operation, _) in actions.reversed() { return (dialogue, operation) }
        return (dialogue, nil)
    }

    /// Both the leader and `m1` are heard.
    ///
    /// - Returns: what is begun, and after how long.
    private func goOn(
        _ dialogue: inout Dialogue, for time: Duration, other end: (Duration) -> Position?
    ) throws -> (operation: PostgresOperation, after: Duration)? {
        let began = dialogue.now
        let isOpen = dialogue.heartbeat?.isOpen ?? false
        while dialogue.now - began < time {
            dialogue.wait(.milliseconds(300))
            dialogue.reports[0].position = end(dialogue.now - began)
            dialogue.beat((dialogue.heartbeat?.sequence ?? 0) + 1)
            dialogue.heartbeat?.isOpen = isOpen
            let beat = MemberBeat(
                member: dialogue.names[0], epoch: Epoch(2), isOpen: false, missesLeader: false, hears: [])
            let actions = dialogue.all(.heard(beat, after: nil)) + dialogue.all(.viewed(dialogue.view, by: .watch))
            for case .postgres(let operation, _) in actions { return (operation, dialogue.now - began) }
        }
        return nil
    }

    /// It may be the only one beside the leader that has what was confirmed. Whoever is lost is no reason to stay without a
    /// leader that anybody confirms for, nor is one that comes no further.
    @Test func aCopyThatALiveMemberLacksIsNotTakenBackInPlace() throws {
        let (behind, level) = (Position(epoch: .first, end: LSN(900)), Position(epoch: .first, end: LSN(1000)))
        func operation(_ end: Position?, _ isHeard: Bool, _ isOpen: Bool = false) throws -> PostgresOperation? {
            try outgrown(other: end, isHeard: isHeard, isOpen: isOpen).1
        }
        let rewind = PostgresOperation.tryRewind(to: try MemberName("m3"), epoch: Epoch(2))
        // Two that both left the history would wait for each other; a foreign log is copied anew, and comes no further.
        for position in [level, Position(epoch: .first, end: LSN(1300)), Position(epoch: Epoch(7), end: LSN(400))] {
            #expect(try operation(position, true) == rewind, "\(position)")
        }
        #expect(try operation(behind, true, true) == rewind, "an open leader has enough others")
        for end in [behind, nil] {
            // It has it a moment later.
            var (dialogue, begun) = try outgrown(other: end, isHeard: true)
            #expect(begun == nil && dialogue.member.status.detail?.contains("m1 has what was confirmed") == true)
            let caughtUp = try goOn(&dialogue, for: .seconds(20)) { $0 > .seconds(5) ? level : end }
            #expect(
                caughtUp?.operation == rewind
                    && caughtUp.map { (Duration.seconds(5)...Duration.seconds(6)).contains($0.after) } == true)
            // It never does.
            (dialogue, begun) = try outgrown(other: end, isHeard: true)
            let ill = try goOn(&dialogue, for: .seconds(200)) { _ in end }
            #expect(
                ill?.operation == rewind
                    && ill.map { (Duration.seconds(58)...Duration.seconds(62)).contains($0.after) } == true)
        }
        // It comes further all the time, and never there.
        var (dialogue, begun) = try outgrown(other: behind, isHeard: true)
        #expect(begun == nil)
        let slow = try goOn(&dialogue, for: .seconds(1000)) {
            Position(epoch: .first, end: LSN(900 + UInt64($0.components.seconds / 30)))
        }
        #expect(
            slow?.operation == rewind
                && slow.map { (Duration.seconds(590)...Duration.seconds(610)).contains($0.after) } == true)
    }

    /// What it says through the store is a sign of life, too.
    @Test func aMemberWhoseBeatsDoNotComeIsNotLost() throws {
        var (dialogue, begun) = try outgrown(other: Position(epoch: .first, end: LSN(900)), isHeard: false, reports: 2)
        #expect(begun == nil, "\(String(describing: begun))")
        (dialogue, begun) = try outgrown(other: Position(epoch: .first, end: LSN(900)), isHeard: false)
        #expect(begun == .tryRewind(to: dialogue.names[2], epoch: Epoch(2)))
    }

    /// Trying it out takes time.
    @Test func whoLivesWhenItWasTriedOutCounts() throws {
        var (dialogue, operation) = try outgrown(other: Position(epoch: .first, end: LSN(900)), isHeard: false)
        let leader = dialogue.names[2]
        #expect(operation == .tryRewind(to: leader, epoch: Epoch(2)))
        let beat = MemberBeat(
            member: dialogue.names[0], epoch: Epoch(2), isOpen: false, missesLeader: false, hears: [])
        _ = dialogue.all(.heard(beat, after: nil))
        let actions = dialogue.ended()
        #expect(!actions.contains { if case .postgres(.rewind, _) = $0 { true } else { false } }, "\(actions)")
        #expect(dialogue.member.state.data == .usable)
    }

    /// Two forks of one number look alike to pg_rewind.
    @Test func aStrayTimelineWhoseNumberTheLeaderHasTooIsCopied() throws {
        var dialogue = try follower()
        let names = dialogue.names
        dialogue.change {
            $0.epoch = Epoch(2)
            $0.leader = names[2]
            $0.history.append(Reign(epoch: Epoch(2), leader: names[2], begin: LSN(1000)))
            $0.timeline = 2
        }
        dialogue.beat(1)
        _ = dialogue.watch()
        dialogue.beat(2)
        _ = dialogue.watch()
        _ = dialogue.ended()
        let actions = dialogue.ended(Self.strayEnd)
        #expect(actions.last == .postgres(.clone(from: names[2], epoch: Epoch(2)), dialogue.operation))
        #expect(dialogue.member.state.data == .usable)
    }

    @Test func bytesThatNoLeaderWroteDoNotCountInARecruitment() throws {
        var dialogue = try follower()
        let proposer = dialogue.names[2]
        dialogue.change { $0.recruitment = Recruitment(epoch: Epoch(2), proposer: proposer, reason: .leaderSilent) }
        _ = dialogue.watch()
        _ = dialogue.ended()
        let answer = Dialogue.reported(dialogue.all(.operationEnded(dialogue.operation, Self.strayEnd)))
        #expect(answer?.position == Position(epoch: .first, end: LSN(1000)))
        #expect(answer?.cannotLead == true)
        let why = "somebody else promoted its Postgres: its log left the cluster's history at 0/3E8"
        #expect(answer?.detail?.hasPrefix(why) == true)
    }

    @Test func aStandbyThatFellBehindKeepsItsDataUntilACopyIsWhole() throws {
        var dialogue = try follower()
        let names = dialogue.names
        _ = dialogue.tell(.cannotFollow("it is gone", after: dialogue.operation))
        _ = dialogue.ended()
        let clone = PostgresOperation.clone(from: names[0], epoch: .first)
        #expect(dialogue.ended(.end(LSN(1000), timeline: 1)) == [.postgres(clone, dialogue.operation)])
        #expect(dialogue.member.state.data == .usable)
        // The leader is lost in the middle: what is there answers.
        dialogue.change { $0.recruitment = Recruitment(epoch: Epoch(2), proposer: names[2], reason: .leaderSilent) }
        #expect(dialogue.watch() == [.postgres(.sever, dialogue.operation)])
        _ = dialogue.ended()
        let answer = Dialogue.reported(
            dialogue.all(.operationEnded(dialogue.operation, .end(LSN(1000), timeline: 1))))
        #expect(answer?.position == Position(epoch: .first, end: LSN(1000)))
        #expect(answer?.cannotLead == nil)
    }

    @Test func aCrashInTheMiddleOfTheExchangeGoesOnWithIt() throws {
        let chain = [Reign(epoch: .first, leader: try MemberName("m1"), begin: .zero)]
        var dialogue = try Dialogue(
            "m2", state: DurableState(promised: .first, chain: chain, timeline: 1, data: .exchanging))
        dialogue.rule = Dialogue.firstRule(dialogue.names)
        dialogue.tell(.tick)
        #expect(dialogue.read() == [.postgres(.exchange, dialogue.operation)])
        let actions = dialogue.ended()
        #expect(actions.last == .postgres(.readEnd, dialogue.operation))
        #expect(dialogue.member.state.data == .usable)
    }

    @Test func withoutRoomForTwoItAsksTheLeaderForLeave() throws {
        var dialogue = try follower()
        let names = dialogue.names
        _ = dialogue.tell(.cannotFollow("it is gone", after: dialogue.operation))
        _ = dialogue.ended()
        _ = dialogue.ended(.end(LSN(1000), timeline: 1))
        let asking = Dialogue.reported(dialogue.all(.operationEnded(dialogue.operation, .noRoom("no room"))))
        #expect(asking?.asksToReplace == true)
        #expect(asking?.position == Position(epoch: .first, end: LSN(1000)))
        // No leave, or somebody else's: its data stays. It looks for room now and then.
        dialogue.beat(3, mayReplace: names[2])
        #expect(dialogue.watch().isEmpty)
        #expect(dialogue.member.state.data == .usable)
        dialogue.beat(4, mayReplace: names[1])
        let actions = dialogue.watch()
        #expect(actions.last == .postgres(.discard, dialogue.operation))
        #expect(dialogue.member.state.data == .cloning)
        #expect(
            dialogue.ended() == [.postgres(.clone(from: names[0], epoch: .first), dialogue.operation)])
    }

    @Test func aPostgresThatDoesNotStartKeepsItsData() throws {
        var dialogue = try follower()
        _ = dialogue.tell(.postgresExited(after: dialogue.operation))
        _ = dialogue.ended()
        var operations: [PostgresOperation] = []
        for second in 1...400 as ClosedRange<UInt64> {
            dialogue.wait(.seconds(1))
            dialogue.beat(2 + second)
            var actions = dialogue.watch()
            while case .postgres(let operation, _)? = actions.last {
                operations.append(operation)
                switch operation {
                case .sever: actions = dialogue.ended()
                case .clone: actions = dialogue.ended(.noRoom("no room"))
                default: actions = dialogue.ended(.failed("Postgres ended with status 1"))
                }
            }
            #expect(dialogue.member.state.data == .usable)
            #expect(dialogue.stored?.asksToReplace == nil)
        }
        #expect(operations.contains(.clone(from: dialogue.names[0], epoch: .first)))
        #expect(!operations.contains(.discard))
        #expect(dialogue.member.status.detail != nil)
    }

    /// Proven to be no database any more: it counts for nothing, and is still not removed before a copy is whole.
    @Test func spoiledDataIsCopiedBeside() throws {
        var dialogue = try follower()
        _ = dialogue.tell(.postgresExited(after: dialogue.operation))
        _ = dialogue.ended()
        dialogue.wait(.seconds(1))
        dialogue.beat(3)
        #expect(dialogue.watch() == [.postgres(.readEnd, dialogue.operation)])
        _ = dialogue.ended(.spoiled("pg_control is gone"))
        #expect(dialogue.member.state.data == .spoiled)
        let actions = dialogue.ended()
        #expect(actions == [.postgres(.clone(from: dialogue.names[0], epoch: .first), dialogue.operation)])
    }

    // MARK: - The leader

    private func asks(_ member: MemberName) -> MemberReport {
        MemberReport(
            member: member, role: .standby, state: .waiting, promised: .first,
            position: Position(epoch: .first, end: LSN(100)), timeline: 1, replayed: LSN(100), isStreaming: false,
            lagBytes: 0, lagMilliseconds: 0, asksToReplace: true)
    }

    /// The leave in the next heartbeat of a leader whose standbys stream like this.
    private func leave(
        members: Int = 3, streaming: [String: UInt64], reports: [MemberReport]
    ) throws -> MemberName? {
        var dialogue = try Dialogue.leader(members: members)
        _ = dialogue.observed(
            try dialogue.primary(500, ["m2": 500, "m4": 500].filter { members > 3 || $0.key != "m4" }))
        dialogue.reports = reports
        dialogue.revision += 1
        _ = dialogue.watch()
        _ = dialogue.observed(try dialogue.primary(600, streaming))
        dialogue.wait(.milliseconds(400))
        for case .heartbeat(let beat, _) in dialogue.all(.tick) { return beat.mayReplace }
        return nil
    }

    @Test func oneMemberAtATimeGetsLeaveWhileEnoughOthersStream() throws {
        let names = try (1...5).map { try MemberName("m\($0)") }
        #expect(try leave(streaming: ["m2": 600], reports: [asks(names[2])]) == names[2])
        // The other does not have everything, does not stream, or asks as well.
        #expect(try leave(streaming: ["m2": 599], reports: [asks(names[2])]) == nil)
        #expect(try leave(streaming: [:], reports: [asks(names[2])]) == nil)
        #expect(try leave(streaming: [:], reports: [asks(names[1]), asks(names[2])]) == nil)
        // Of two members, none ever.
        #expect(try leave(members: 2, streaming: [:], reports: [asks(names[1])]) == nil)
        // Another has no data.
        var empty = asks(names[4])
        (empty.state, empty.position, empty.asksToReplace) = (.cloning, nil, nil)
        let streaming: [String: UInt64] = ["m2": 600, "m4": 600]
        #expect(try leave(members: 5, streaming: streaming, reports: [asks(names[2]), empty]) == nil)
        #expect(try leave(members: 5, streaming: streaming, reports: [asks(names[2]), asks(names[4])]) == names[2])
        // By its own word, where it says one, and not by what it looks like while it starts or has stopped.
        let words: [(state: MemberReport.State, data: MemberData, lacks: Bool)] = [
            (.empty, .absent, true), (.empty, .whole, false), (.empty, .spoiled, true), (.stopped, .absent, true),
            (.stopped, .whole, false), (.waiting, .unfinished, true), (.failed, .whole, true),
        ]
        for (state, data, lacks) in words {
            (empty.state, empty.data) = (state, data)
            let given = try leave(members: 5, streaming: streaming, reports: [asks(names[2]), empty])
            #expect(given == (lacks ? nil : names[2]), "\(state) \(data)")
        }
    }

    /// Whoever guards a leader from outside looks away at that word.
    @Test func aLeaderSaysThatItHasStoppedWhenItHas() throws {
        var dialogue = try Dialogue.leader()
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
        dialogue.wait(.seconds(60))
        let stopping = dialogue.all(.tick)
        #expect(stopping.contains(.postgres(.stop(.immediate), dialogue.operation)))
        #expect(dialogue.stored?.state == .running)
        #expect(dialogue.stored?.role == .primary)
        _ = dialogue.ended(.failed("it does not end"))
        #expect(dialogue.stored?.role == .primary)
        dialogue.wait(.seconds(1))
        _ = dialogue.tell(.tick)
        _ = dialogue.all(.operationEnded(dialogue.operation, .done))
        #expect(dialogue.stored?.role == .standby)
    }
}
