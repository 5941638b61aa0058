import RoostFailover
import RoostModel
import Testing

@testable import RoostReaders

/// What a reader asks of its shell, step by step.
@Suite struct ReaderCoreTests {
    private var reader: Reader
    private var now = Moment(sinceBoot: .seconds(100))
    private var view: StoreView
    private var operation = OperationID.none
    private let members: [MemberName]
    /// The store answers each report at once.
    private var isStoreThere = true
    private var said: MemberReport?

    init() throws {
        members = try (1...3).map { try MemberName("m\($0)") }
        let leader = members[0]
        let history = [Reign(epoch: .first, leader: leader, begin: .zero)]
        reader = Reader(
            name: try MemberName("m4"),
            state: DurableState(promised: .first, chain: history, timeline: 1, data: .usable), now: now)
        reader.nearest = members.reversed()
        view = StoreView(
            revision: 1, members: members,
            rule: ClusterRule(
                epoch: .first, leader: leader, members: members, confirmations: 1, history: history, timeline: 1),
            ruleRevision: 1, heartbeat: nil,
            reports: members.map {
                MemberReport(
                    member: $0, role: $0 == leader ? .primary : .standby, state: .running, promised: .first,
                    position: nil,
                    timeline: 1, replayed: LSN(100), isStreaming: $0 != leader, lagBytes: 0, lagMilliseconds: 0)
            })
        beat()
    }

    private mutating func beat(confirming: [MemberName]? = nil) {
        let confirming = confirming ?? Array(members.dropFirst())
        view.revision += 1
        view.heartbeat = Heartbeat(
            epoch: view.rule?.epoch ?? .none, leader: members[0], sequence: (view.heartbeat?.sequence ?? 0) + 1,
            isOpen: true,
            standbys: members.dropFirst().map {
                StandbyView(member: $0, isConfirming: confirming.contains($0), behindBytes: 0)
            })
    }

    @discardableResult
    private mutating func tell(_ event: FailoverEvent) -> [FailoverAction] {
        var actions = reader.receive(event, now: now)
        for case .postgres(_, let id) in actions { operation = id }
        for case .report(let report) in actions {
            said = report
            guard isStoreThere else { continue }
            actions += tell(.reportAnswered(sequence: report.sequence, .applied(revision: view.revision)))
        }
        return actions
    }

    private mutating func see() -> [FailoverAction] { tell(.viewed(view, by: .watch)) }

    private mutating func sample(isStreaming: Bool, at seat: ReaderSeat? = nil) -> [FailoverAction] {
        reader.sampledAt = seat ?? reader.seat
        return tell(
            .observed(
                .standby(
                    StandbyObservation(
                        timeline: 1, received: LSN(100), replayed: LSN(100), isStreaming: isStreaming,
                        silence: .milliseconds(50), lag: .zero)), after: operation))
    }

    /// It follows.
    private mutating func begin(confirming: [MemberName]? = nil) {
        beat(confirming: confirming)
        tell(.tick)
        tell(.viewed(view, by: .read(ReadNumber(1))))
        tell(.operationEnded(operation, .end(LSN(100), timeline: 1)))
        tell(.operationEnded(operation, .done))
        beat(confirming: confirming)
        _ = see()
    }

    /// For so long, with a sample and a heartbeat each second.
    private mutating func pass(
        _ seconds: Int, isStreaming: Bool, confirming: [MemberName]? = nil, at seat: ReaderSeat? = nil
    ) -> [FailoverAction] {
        var actions: [FailoverAction] = []
        for _ in 0..<seconds {
            now = now + .seconds(1)
            beat(confirming: confirming)
            actions += see()
            actions += sample(isStreaming: isStreaming, at: seat)
        }
        return actions
    }

    private func gates(_ actions: [FailoverAction]) -> [Bool] {
        actions.compactMap { action in
            if case .setGate(let isOpen) = action { isOpen } else { nil }
        }
    }

    @Test mutating func itFollowsTheNearestStandbyAndServesWhenItStreams() {
        begin()
        #expect(reader.seat.member == members[2])
        #expect(reader.status.phase == .following && !reader.status.isOpen)
        #expect(gates(sample(isStreaming: false)) == [])
        #expect(gates(sample(isStreaming: true)) == [true])
        #expect(reader.status.isOpen)
        #expect(gates(pass(30, isStreaming: true)) == [])
    }

    @Test mutating func itClosesAfterTenSecondsWithoutAStreamThoughNothingIsHeard() {
        begin()
        _ = sample(isStreaming: true)
        now = now + .milliseconds(9999)
        #expect(gates(tell(.tick)) == [])
        #expect(reader.wakeAt <= now + .milliseconds(1))
        now = now + .milliseconds(1)
        #expect(gates(tell(.tick)) == [false])
    }

    @Test mutating func itClosesWhereItsStandbyIsNotFedAndNoOtherIs() {
        begin()
        _ = sample(isStreaming: true)
        #expect(gates(pass(9, isStreaming: true, confirming: [])) == [])
        #expect(gates(pass(3, isStreaming: true, confirming: [])) == [false])
        #expect(gates(pass(1, isStreaming: true)) == [true])
    }

    /// What it got while its standby got nothing is not new, however late it came.
    @Test mutating func itDoesNotOpenForWhatItGotWhileItsStandbyWasNotFed() {
        begin()
        _ = sample(isStreaming: true)
        #expect(gates(pass(14, isStreaming: true, confirming: [])) == [false])
        #expect(gates(pass(3, isStreaming: false)) == [])
        #expect(gates(pass(1, isStreaming: true)) == [true])
    }

    /// Edges go by what it says, and come to a closed door otherwise.
    @Test mutating func itSaysThatItIsOpenWhenItsHostHasOpened() {
        begin()
        _ = sample(isStreaming: true)
        tell(.gateAnswered(isOpen: true, failure: "no rights"))
        #expect(said?.isOpen != true)
        tell(.gateAnswered(isOpen: true, failure: nil))
        #expect(said?.isOpen == true && said?.upstream == members[2])
        now = now + .seconds(11)
        tell(.tick)
        #expect(said?.isOpen == false)
    }

    /// Each is carried by a thread of its own: of two with one number the older one might stay in the store.
    @Test mutating func oneReportIsOnItsWayAtATimeAndEachHasANumberOfItsOwn() throws {
        begin()
        isStoreThere = false
        // The one that says that it follows.
        _ = pass(3, isStreaming: true)
        let before = try #require(said)
        tell(.gateAnswered(isOpen: true, failure: nil))
        #expect(said == before && before.isOpen == false)
        tell(.reportAnswered(sequence: before.sequence, .applied(revision: 1)))
        let open = try #require(said)
        #expect(open.isOpen == true && open.sequence == before.sequence.map { $0 + 1 })
        tell(.reportAnswered(sequence: open.sequence, .unavailable))
        now = now + FailoverTimings().reportRetry
        tell(.tick)
        #expect(said?.isOpen == true && said?.sequence == before.sequence.map { $0 + 2 })
    }

    @Test mutating func anotherUpstreamIsSaidAtOnce() {
        begin()
        _ = sample(isStreaming: true)
        beat(confirming: [members[1]])
        _ = see()
        now = now + Seat.patience
        beat(confirming: [members[1]])
        _ = see()
        #expect(reader.seat.member == members[1] && said?.upstream == members[1])
    }

    /// To be led elsewhere takes a moment, in which its Postgres streams from the one before.
    @Test mutating func aStreamOfTheOneBeforeIsNoneOfTheOther() {
        begin()
        _ = sample(isStreaming: true)
        let former = reader.seat
        #expect(gates(pass(6, isStreaming: true, confirming: [members[1]])) == [])
        #expect(reader.seat.member == members[1])
        #expect(gates(pass(12, isStreaming: true, confirming: [members[1]], at: former)) == [false])
        #expect(gates(sample(isStreaming: true)) == [true])
    }

    @Test mutating func aNearerOneThatGivesNothingIsLeftBeforeClientsAreSentAway() {
        begin(confirming: [members[1]])
        _ = sample(isStreaming: true)
        #expect(reader.seat.member == members[1] && reader.status.isOpen)
        var actions: [FailoverAction] = []
        for _ in 0..<90 where reader.seat.member == members[1] {
            actions += pass(1, isStreaming: true, at: reader.seat)
        }
        #expect(reader.seat.member == members[2])
        var seconds = 0
        while reader.seat.member == members[2], seconds < 60 {
            actions += pass(1, isStreaming: false)
            seconds += 1
        }
        #expect(reader.seat.member == members[1] && seconds <= 6, "after \(seconds) s")
        actions += pass(1, isStreaming: false) + pass(30, isStreaming: true)
        #expect(gates(actions) == [])
        #expect(reader.seat.member == members[1])
    }

    @Test mutating func withoutTheStoreItServesOn() {
        begin()
        _ = sample(isStreaming: true)
        for _ in 0..<60 {
            now = now + .seconds(1)
            #expect(gates(sample(isStreaming: true)) == [])
        }
    }

    @Test mutating func whenMembersAreCalledItIsClosedBeforeItsPostgresIsTouchedAndSaysNothing() throws {
        begin()
        _ = sample(isStreaming: true)
        view.rule?.recruitment = Recruitment(epoch: Epoch(2), proposer: members[1], reason: .leaderSilent)
        view.revision += 1
        view.ruleRevision += 1
        let actions = see()
        let order = actions.compactMap { action -> String? in
            switch action {
            case .setGate(let isOpen): isOpen ? "open" : "close"
            case .postgres(.sever, _): "sever"
            case .postgres, .save, .read, .report, .exit: nil
            case .changeRule, .heartbeat, .holdLease, .beat: "speak"
            }
        }
        #expect(order == ["close", "sever"])
        var said = tell(.operationEnded(operation, .done))
        said += tell(.operationEnded(operation, .end(LSN(100), timeline: 1)))
        for case .report(let report) in said {
            #expect(report.position == nil && report.chain == nil && report.skills == nil)
        }
        #expect(reader.state.promised == Epoch(2))
    }

    @Test mutating func whoFeedsItAndLeadsNowIsLeftForAnother() throws {
        begin()
        _ = sample(isStreaming: true)
        var rule = try #require(view.rule)
        rule.epoch = Epoch(2)
        rule.leader = members[2]
        rule.history.append(Reign(epoch: Epoch(2), leader: members[2], begin: LSN(100)))
        rule.timeline = 2
        view.rule = rule
        view.revision += 1
        view.ruleRevision += 1
        let actions = see()
        #expect(gates(actions) == [false])
        #expect(reader.seat.member != members[2])
    }
}
