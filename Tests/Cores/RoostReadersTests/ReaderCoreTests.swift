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
        let actions = reader.receive(event, now: now)
        for case .postgres(_, let id) in actions { operation = id }
        return actions
    }

    private mutating func see() -> [FailoverAction] { tell(.viewed(view, by: .watch)) }

    private mutating func sample(isStreaming: Bool) -> [FailoverAction] {
        tell(
            .observed(
                .standby(
                    StandbyObservation(
                        timeline: 1, received: LSN(100), replayed: LSN(100), isStreaming: isStreaming,
                        silence: .milliseconds(50), lag: .zero)), after: operation))
    }

    /// It follows.
    private mutating func begin() {
        tell(.tick)
        tell(.viewed(view, by: .read(ReadNumber(1))))
        tell(.operationEnded(operation, .end(LSN(100), timeline: 1)))
        tell(.operationEnded(operation, .done))
        beat()
        _ = see()
    }

    /// For so long, with a sample and a heartbeat each second.
    private mutating func pass(
        _ seconds: Int, isStreaming: Bool, confirming: [MemberName]? = nil
    ) -> [FailoverAction] {
        var actions: [FailoverAction] = []
        for _ in 0..<seconds {
            now = now + .seconds(1)
            beat(confirming: confirming)
            actions += see()
            actions += sample(isStreaming: isStreaming)
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
        #expect(reader.upstream == members[2])
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
        func said(_ actions: [FailoverAction]) -> MemberReport? {
            actions.compactMap { if case .report(let report) = $0 { report } else { nil } }.last
        }
        _ = sample(isStreaming: true)
        #expect(said(tell(.gateAnswered(isOpen: true, failure: "no rights")))?.isOpen != true)
        let open = said(tell(.gateAnswered(isOpen: true, failure: nil)))
        #expect(open?.isOpen == true && open?.upstream == members[2])
        now = now + .seconds(11)
        #expect(said(tell(.tick))?.isOpen == false)
    }

    @Test mutating func anotherUpstreamIsSaidAtOnce() {
        begin()
        _ = sample(isStreaming: true)
        beat(confirming: [members[1]])
        _ = see()
        now = now + Seat.patience
        beat(confirming: [members[1]])
        let said = see().compactMap { if case .report(let report) = $0 { report.upstream } else { nil } }
        #expect(reader.upstream == members[1] && said.last == members[1])
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
        #expect(reader.upstream != members[2])
    }
}
