public import RoostFailover
public import RoostModel

/// One reader's decisions: pure, no clock, no I/O.
///
/// What a reader has to do with its data – copy, follow, leave a leader, take back what is in no history – is what a member does
/// that joins. So it has that member's core, which sees it join for ever: nobody counts what it says, and the rule never names it.
/// Three things differ, and are decided here: it follows a standby and never the leader, it has no word to say, and it lets
/// clients in.
///
/// **What it shows its upstream has on disk.** A standby passes on what it has flushed, and nothing before (walsender.c,
/// GetStandbyFlushRecPtr). From a leader a reader would get what nobody has confirmed, and show what may be taken back.
public struct Reader: Sendable {
    private var core: FailoverMember
    private var choice = Seat()
    private var gate = ReaderGate()
    private var cluster = ReaderView()
    private var lastOperation = OperationID.none
    private var isCopying = false
    /// Copies since it last streamed.
    private var copies = 0
    /// What was said last, if anything.
    private var lastSaid: MemberReport?
    private let breakage: ReaderBreakage?

    /// The members of the cluster, the nearest to this reader first. The shell knows, and says so before each event.
    public var nearest: [MemberName] = []
    /// The same: as of which seat Postgres was led, when the sample was taken that comes next. Of another one's stream it tells
    /// nothing: it takes a moment to be led elsewhere.
    public var sampledAt: ReaderSeat?

    /// - Parameter state: what was last saved; a new `DurableState()` when there is no file.
    public init(name: MemberName, state: DurableState, timings: FailoverTimings = FailoverTimings(), now: Moment) {
        self.init(name: name, state: state, timings: timings, breakage: nil, now: now)
    }

    package init(
        name: MemberName, state: DurableState, timings: FailoverTimings, breakage: ReaderBreakage?, now: Moment
    ) {
        core = FailoverMember(name: name, state: state, timings: timings, now: now)
        self.breakage = breakage
    }

    public var state: DurableState { core.state }

    /// As ``FailoverMember/lacksRoomToStart``.
    public var lacksRoomToStart: Bool {
        get { core.lacksRoomToStart }
        set { core.lacksRoomToStart = newValue }
    }

    /// Whom it is to copy from and to follow. The shell looks after each event, and has its Postgres follow another one at once where
    /// it follows already.
    public private(set) var seat = ReaderSeat(member: nil, number: 0)

    public var status: FailoverStatus {
        var status = core.status
        status.isOpen = gate.isOpen
        status.leaseUntil = nil
        return status
    }

    /// Hand over a `.tick` when this moment has come. Changes with every event.
    public var wakeAt: Moment { gate.closesAt.map { min($0, core.wakeAt) } ?? core.wakeAt }

    public mutating func receive(_ event: FailoverEvent, now: Moment) -> [FailoverAction] {
        var told = event
        switch event {
        case .viewed(let view, let source):
            cluster.see(view, source, now)
            told = .viewed(view.seen(byReader: core.name), by: source)
        case .observed(.standby(let sample), let id)
        where id == lastOperation && isFollowing && sampledAt == seat:
            gate.sampled(isStreaming: sample.isStreaming, now)
            if sample.isStreaming { copies = 0 }
        case .operationEnded(let id, let outcome) where id == lastOperation && isCopying:
            choice.noteCopy(isThere: outcome == .done, now)
            if outcome == .done, core.status.phase == .cloning { copies += 1 }
        case .gateAnswered(let isOpen, let failure): gate.answered(isOpen: isOpen, failure)
        case .tick, .readFailed, .ruleAnswered, .heartbeatAnswered, .reportAnswered, .operationEnded, .observed,
            .postgresExited, .cannotFollow, .leaderLostLog, .volumeHangs, .volumeFailed, .heard, .terminate:
            break
        }
        // Before the core begins anything that needs somebody to be followed.
        choose(now)
        let asked = core.receive(told, now: now)
        if isLeaving(after: asked) { gate.forgetStream() }
        // A core that has left its leader wants another one, perhaps.
        choose(now)
        if case .viewed = event, let isFed = cluster.isFed(seat.member, now) { gate.heard(isFed: isFed) }
        return carriedOut(asked, now)
    }

    private var isFollowing: Bool { core.status.phase == .following }

    /// It follows no more, or begins to follow anew: nothing is known of its stream.
    private mutating func isLeaving(after actions: [FailoverAction]) -> Bool {
        var isLeaving = !isFollowing
        for case .postgres(let operation, let id) in actions {
            lastOperation = id
            isCopying = operation.copies
            isLeaving = true
        }
        return isLeaving && breakage != .servesWithoutStream
    }

    private mutating func choose(_ now: Moment) {
        guard let standbys = cluster.standbys(of: breakage) else { return }
        let use: Seat.Use =
            switch core.status.phase {
            case .following: gate.streams(now) ? .streaming : .dry
            case .cloning, .rewinding: .copying
            case .starting, .empty, .initializing, .founding, .severing, .reading, .waiting, .exchanging, .discarding,
                .claiming, .promoting, .restarting, .leading, .draining, .suspended, .quarantined, .resigning, .leaving:
                .none
            }
        let byDistance = nearest.filter(standbys.contains) + standbys.filter { !nearest.contains($0) }
        choice.look(standbys, fit: byDistance.filter(cluster.feeds), use: use, now)
        guard choice.member != seat.member else { return }
        seat = ReaderSeat(member: choice.member, number: seat.number + 1)
        gate.forgetUpstream()
    }

    /// Of what its core asks for, what a reader may. Nobody asks it who leads; and the gate is its own.
    private mutating func carriedOut(_ asked: [FailoverAction], _ now: Moment) -> [FailoverAction] {
        var actions: [FailoverAction] = []
        // Closed before anything is done to its Postgres, and open only when all is.
        let (isOpen, wasOpen) = (gate.mayOpen(now, breakage), gate.isOpen)
        gate.set(isOpen: isOpen)
        if wasOpen, !isOpen { actions.append(.setGate(isOpen: false)) }
        for action in asked {
            switch action {
            case .save, .read, .postgres, .exit: actions.append(action)
            case .report(let report): actions.append(.report(said(report)))
            case .changeRule, .heartbeat, .holdLease, .setGate, .beat: break
            }
        }
        if isOpen, !wasOpen { actions.append(.setGate(isOpen: true)) }
        // Its upstream, and edges, wait for this; the core knows nothing of it.
        if let last = lastSaid, last.upstream != seat.member || last.isOpen != gate.stands {
            for case .report(let report) in core.reportAnew(now) { actions.append(.report(said(report))) }
        }
        return actions
    }

    private mutating func said(_ report: MemberReport) -> MemberReport {
        var report = report.withoutVoice
        report.upstream = seat.member
        report.isOpen = gate.stands
        report.detail = report.detail ?? words
        lastSaid = report
        return report
    }
}

extension Reader {
    /// For people.
    private var words: String? {
        if seat.member == nil {
            let leader = cluster.leader.map { " of \($0)" } ?? ""
            return "waits for a standby\(leader) that confirms, to be fed by it"
        }
        if core.status.phase == .cloning, copies > 0 {
            return
                "makes another copy: no standby had the log that follows the last one, or it could not go on from there"
        }
        return gate.obstacle(to: seat.member)
    }
}

/// Whom a reader follows. The number tells a seat from the same one at another time.
public struct ReaderSeat: Hashable, Sendable {
    /// Nil: none is known that could feed it.
    public var member: MemberName?
    public var number: UInt64

    public init(member: MemberName?, number: UInt64) {
        self.member = member
        self.number = number
    }
}

extension PostgresOperation {
    /// It takes data from the one that is followed.
    fileprivate var copies: Bool {
        switch self {
        case .clone, .tryRewind, .rewind: true
        case .initialize, .exchange, .discard, .sever, .readEnd, .follow, .promote, .startPrimary, .confirmBy,
            .checkpoint, .stop:
            false
        }
    }
}

/// A wrong order, for tests of what notices it.
package enum ReaderBreakage: Hashable, Sendable, CaseIterable {
    /// Follows the leader too.
    case followsLeader
    /// Stays open when its stream has stood still, or it has none.
    case servesWithoutStream
    /// Does not ask whether its upstream is fed itself.
    case trustsStarvedUpstream
}

extension StoreView {
    /// As the core of a reader sees it: it is what joins now, and will be for ever. What it has may always give way to a copy.
    func seen(byReader name: MemberName) -> StoreView {
        var view = self
        view.rule?.change = MemberChange(id: "reader", steps: [.init(.add, name)])
        view.rule?.switchover = nil
        view.rule?.restart = nil
        view.heartbeat?.mayReplace = name
        return view
    }
}
