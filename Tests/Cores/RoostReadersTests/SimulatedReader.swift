import RoostFailover
import RoostModel

@testable import RoostReaders

/// A reader in virtual time: its core, its Postgres, and faults of its own.
struct SimulatedReader {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    private struct Running {
        var operation: PostgresOperation
        var id: OperationID
        var endsAt: Moment
        /// Of a copy.
        var copy: TrueLog?
    }

    let name: MemberName
    var reader: Reader
    private(set) var now: Moment
    private(set) var isOpen = false
    private(set) var log = TrueLog()
    private var copy: TrueLog?
    private var runs = false
    /// Whom its Postgres follows, and from whose epoch's slot.
    private var follows: (member: MemberName?, epoch: UInt64)?
    /// Its Postgres is led elsewhere, which takes a moment: a reload, and a receiver that begins anew.
    private var leading: (seat: ReaderSeat, until: Moment)?
    private var seated: ReaderSeat?
    private var running: Running?
    private var lastOperation = OperationID.none
    private var dryFor = 0
    /// Everything that clients were shown.
    private var shown: [(at: Moment, log: TrueLog)] = []
    private var streamedAt = Moment(sinceBoot: .seconds(1000))
    /// Whom it streams from.
    private var streamsFrom: MemberName?
    /// Since its last stream began, it has had all that its source had.
    private var isCaughtUp = false
    private var storeHeardFor = 0
    var storeAwayUntil = Moment.zero
    var frozenUntil = Moment.zero
    var linkDownUntil = Moment.zero
    /// For so many steps a standby has been there that would feed it.
    private var feedableFor = 0

    static let step = Duration.milliseconds(50)
    private static let stalenessMax = Duration.seconds(30)
    /// The same while the store is heard, which tells of a standby that gets nothing before that does itself.
    private static let stalenessWithStoreMax = Duration.seconds(18)
    private static let logKept: UInt64 = 200_000

    init(
        _ number: Int, in cluster: inout SimulatedCluster, breakage: ReaderBreakage? = nil, now: Moment
    ) throws {
        self.now = now
        name = try MemberName("r\(number)")
        reader = Reader(
            name: name, state: DurableState(), timings: FailoverTimings(), breakage: breakage,
            now: now)
        reader.nearest = cluster.members.map(\.name).shuffled(using: &cluster.chance)
    }

    /// - Parameter leaderEnds: how much there was in each step.
    mutating func advance(_ now: Moment, in cluster: inout SimulatedCluster, _ leaderEnds: [UInt64]) throws {
        self.now = now
        storeHeardFor = now < storeAwayUntil ? 0 : storeHeardFor + 1
        stream(&cluster)
        if now >= frozenUntil { try think(&cluster) }
        if isOpen { shown.append((now, log)) }
        let isFeedable = cluster.members.indices.contains { cluster.isFed($0) && !cluster.members[$0].refuses }
        let isWell = now >= frozenUntil && now >= linkDownUntil && now >= storeAwayUntil
        feedableFor = isFeedable && isWell ? feedableFor + 1 : 0
        try check(leaderEnds, servingMax: cluster.servingMax)
    }

    /// At the end of everything.
    func checkEnd(_ cluster: SimulatedCluster) throws {
        guard isOpen else { throw Failure(description: "it serves nobody in the end: \(reader.status)") }
        let (end, leaders) = (log.end, cluster.members[cluster.leader].log)
        guard log.isPrefix(of: leaders), leaders.end - end < 20_000 else {
            throw Failure(description: "it has \(log) in the end, and its leader \(leaders)")
        }
        for (at, log) in shown where !log.isPrefix(of: leaders) {
            throw Failure(description: "\(log) was shown at \(at), and taken back: there is \(leaders)")
        }
    }

    // MARK: - Its Postgres

    /// From whoever has its slot; a leader has one only of a reader that is made wrong, which then gets what nobody else has.
    private func source(_ cluster: SimulatedCluster) -> TrueLog? {
        guard runs, let follows, let standby = follows.member, let index = cluster.index(of: standby),
            now >= linkDownUntil,
            cluster.members[index].epoch == follows.epoch, cluster.gives(index, to: name)
        else {
            return nil
        }
        return cluster.members[index].log
    }

    private func isStreaming(_ cluster: SimulatedCluster) -> Bool {
        guard let source = source(cluster) else { return false }
        return log.isPrefix(of: source) && source.end - log.end < Self.logKept
    }

    /// Whose slot it reads from, be it for a copy.
    func reads(in cluster: SimulatedCluster) -> MemberName? {
        if isStreaming(cluster) { return follows?.member }
        guard case .clone? = running?.operation, canCopy(cluster) != nil else { return nil }
        return reader.seat.member
    }

    private mutating func stream(_ cluster: inout SimulatedCluster) {
        if let source = source(cluster), isStreaming(cluster) {
            dryFor = 0
            log = source.prefix(min(source.end, log.end + UInt64(cluster.pick(0, 2000))))
        } else {
            dryFor += 1
        }
        noteStream(cluster)
    }

    private mutating func noteStream(_ cluster: SimulatedCluster) {
        let former = streamsFrom
        streamsFrom = isStreaming(cluster) ? follows?.member : nil
        guard streamsFrom != nil else { return }
        if streamsFrom != former { isCaughtUp = false }
        streamedAt = now
        if log.end == source(cluster)?.end { isCaughtUp = true }
    }

    private func canCopy(_ cluster: SimulatedCluster) -> TrueLog? {
        guard let standby = reader.seat.member, let index = cluster.index(of: standby), now >= linkDownUntil,
            cluster.members[index].epoch == cluster.rule.epoch.number, cluster.gives(index, to: name)
        else {
            return nil
        }
        return cluster.members[index].log
    }

    // MARK: - Its supervisor

    private mutating func think(_ cluster: inout SimulatedCluster) throws {
        if now >= storeAwayUntil { try tell(.viewed(cluster.view, by: .watch), &cluster) }
        if let running, now >= running.endsAt { try end(running, &cluster) }
        if let leading, now >= leading.until {
            follows?.member = leading.seat.member
            seated = leading.seat
            self.leading = nil
        }
        if running == nil, runs, cluster.pick(0, 3) == 0 {
            // It may follow another one as of this step.
            noteStream(cluster)
            reader.sampledAt = seated
            try tell(.observed(sample(cluster), after: lastOperation), &cluster)
        }
        if running == nil, runs, dryFor > 40, let source = source(cluster),
            !log.isPrefix(of: source) || source.end - log.end >= Self.logKept
        {
            // A standby that is behind is no proof.
            if !source.isPrefix(of: log) {
                try tell(.cannotFollow("the log is not there", after: lastOperation), &cluster)
            }
        }
        if now >= reader.wakeAt { try tell(.tick, &cluster) }
    }

    private func sample(_ cluster: SimulatedCluster) -> PostgresObservation {
        let isStreaming = isStreaming(cluster)
        return .standby(
            StandbyObservation(
                timeline: log.timeline, received: LSN(log.end), replayed: LSN(log.end), isStreaming: isStreaming,
                silence: isStreaming ? .milliseconds(50) : nil, lag: .zero))
    }

    /// As the shell does it: what comes of an event's actions waits until all of them are carried out.
    private mutating func tell(_ event: FailoverEvent, _ cluster: inout SimulatedCluster) throws {
        var waiting = [event]
        while !waiting.isEmpty {
            for action in reader.receive(waiting.removeFirst(), now: now) {
                if let answer = try carriedOut(action, &cluster) { waiting.append(answer) }
            }
            if running == nil, follows != nil, (leading?.seat ?? seated) != reader.seat {
                seated = nil
                leading = (reader.seat, now + Self.step * cluster.pick(0, 40))
            }
        }
    }

    private mutating func carriedOut(
        _ action: FailoverAction, _ cluster: inout SimulatedCluster
    ) throws -> FailoverEvent? {
        switch action {
        case .save, .exit: return nil
        case .read(let number):
            return now < storeAwayUntil
                ? FailoverEvent.readFailed(number) : FailoverEvent.viewed(cluster.view, by: .read(number))
        case .report(let report):
            guard report == report.withoutVoice else {
                throw Failure(description: "it has a word to say: \(report)")
            }
            if now >= storeAwayUntil { cluster.take(report) }
            return FailoverEvent.reportAnswered(
                sequence: report.sequence, now < storeAwayUntil ? .unavailable : .applied(revision: cluster.revision))
        case .postgres(let operation, let id):
            begin(operation, id, &cluster)
            return nil
        case .setGate(let open):
            isOpen = open
            return FailoverEvent.gateAnswered(isOpen: open, failure: nil)
        case .changeRule, .heartbeat, .holdLease, .beat: throw Failure(description: "it asks for \(action)")
        }
    }

    private mutating func begin(
        _ operation: PostgresOperation, _ id: OperationID, _ cluster: inout SimulatedCluster
    ) {
        lastOperation = id
        var time = Duration.milliseconds(Int64(cluster.pick(1, 8) * 50))
        // Who is not let in hears that at once.
        if case .clone = operation, canCopy(cluster) != nil { time = .milliseconds(Int64(cluster.pick(20, 80) * 50)) }
        (follows, leading, seated) = (nil, nil, nil)
        running = Running(operation: operation, id: id, endsAt: now + time, copy: canCopy(cluster))
    }

    private mutating func end(_ done: Running, _ cluster: inout SimulatedCluster) throws {
        running = nil
        var outcome = OperationOutcome.done
        switch done.operation {
        case .clone:
            // One that is sent away in the middle of it has no copy.
            if let copied = done.copy, canCopy(cluster) != nil {
                copy = copied
            } else {
                outcome = .unreachable("nobody to copy")
            }
        case .exchange:
            if let whole = copy { log = whole }
            (copy, runs) = (nil, false)
        case .discard: (log, runs) = (TrueLog(), false)
        case .tryRewind:
            runs = false
            if canCopy(cluster) == nil { outcome = .unreachable("nobody to go by") }
        case .rewind:
            if let other = canCopy(cluster) {
                log = log.prefix(log.agreement(with: other))
            } else {
                outcome = .failed("cut off")
            }
        case .sever: break
        case .readEnd:
            runs = true
            outcome = .end(LSN(log.end), timeline: log.timeline, forks: log.forks)
        case .follow(_, let epoch, _):
            runs = true
            (follows, seated) = ((reader.seat.member, epoch.number), reader.seat)
        case .stop: runs = false
        case .initialize, .promote, .startPrimary, .confirmBy, .checkpoint:
            throw Failure(description: "it begins \(done.operation)")
        }
        try tell(.operationEnded(done.id, outcome), &cluster)
    }

    // MARK: - What must hold

    private func check(_ leaderEnds: [UInt64], servingMax: Duration) throws {
        if !isOpen, feedableFor > Int(servingMax / Self.step) {
            throw Failure(
                description: "it serves nobody at \(now), and follows \(String(describing: reader.seat.member))")
        }
        guard isOpen, now >= frozenUntil else { return }
        let slack = Duration.seconds(2)
        if now - max(streamedAt, frozenUntil) > ReaderGate.standstillMax + slack {
            throw Failure(description: "it serves at \(now) without a stream since \(streamedAt)")
        }
        let isTold = storeHeardFor > Int(Self.stalenessMax / Self.step)
        let ageMax = isTold ? Self.stalenessWithStoreMax : Self.stalenessMax
        let steps = Int(ageMax / Self.step)
        // While it catches up edges go by how far it is behind, also when its stream breaks off before it has.
        guard isCaughtUp, leaderEnds.count > steps, now - frozenUntil > Self.stalenessMax else { return }
        // A new leader may have less than the one before it.
        let before = leaderEnds.suffix(steps + 1).min() ?? 0
        if log.end < before {
            throw Failure(
                description: "it serves what is older than \(ageMax): \(log), and there was \(before)")
        }
    }
}
