import RoostFailover
import RoostModel

@testable import RoostReaders

/// A reader in virtual time: its core, its Postgres, a store that may be away, and faults by a seed.
struct ReaderSimulation {
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

    var cluster: SimulatedCluster
    var reader: Reader
    private(set) var now = Moment(sinceBoot: .seconds(1000))
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
    private var leaderEnds: [UInt64] = []
    private var storeHeardFor = 0
    private var storeAwayUntil = Moment.zero
    private var frozenUntil = Moment.zero
    private var linkDownUntil = Moment.zero
    private var starvedUntil = Moment.zero
    private var refusedUntil = Moment.zero
    /// For so many steps a standby has been there that would feed it.
    private var feedableFor = 0

    static let step = Duration.milliseconds(50)
    private static let stalenessMax = Duration.seconds(30)
    /// The same while the store is heard, which tells of a standby that gets nothing before that does itself.
    private static let stalenessWithStoreMax = Duration.seconds(18)
    /// After its standby was lost to it: as long as two of them are tried, with pauses between copies.
    private static let servingMax = Duration.seconds(100)
    private static let logKept: UInt64 = 200_000

    init(seed: UInt64, breakage: ReaderBreakage? = nil) throws {
        cluster = try SimulatedCluster(seed: seed)
        reader = Reader(
            name: try MemberName("r4"), state: DurableState(), timings: FailoverTimings(), breakage: breakage, now: now)
        reader.nearest = cluster.members.map(\.name).shuffled(using: &cluster.chance)
    }

    /// - Throws: what is broken.
    mutating func run(seconds: Int) throws {
        for second in 0..<seconds {
            // It has the last minute to become whole.
            if second < seconds - 90 { disturb() } else if second == seconds - 90 { heal() }
            for _ in 0..<20 { try advance() }
        }
        guard isOpen else { throw Failure(description: "it serves nobody in the end: \(reader.status)") }
        let (end, leaders) = (log.end, cluster.members[cluster.leader].log)
        guard log.isPrefix(of: leaders), leaders.end - end < 20_000 else {
            throw Failure(description: "it has \(log) in the end, and its leader \(leaders)")
        }
        for (at, log) in shown where !log.isPrefix(of: leaders) {
            throw Failure(description: "\(log) was shown at \(at), and taken back: there is \(leaders)")
        }
    }

    private mutating func disturb() {
        if now >= refusedUntil { for index in cluster.members.indices { cluster.members[index].refuses = false } }
        switch cluster.pick(0, 42) {
        case 41, 42:
            refusedUntil = now + .seconds(cluster.pick(20, 300))
            cluster.members[cluster.pick(0, 2)].refuses = true
        case 0: cluster.callForAnother(now, isLost: true)
        case 1: cluster.callForAnother(now, isLost: false)
        case 2: storeAwayUntil = now + .seconds(cluster.pick(1, 30))
        case 3: frozenUntil = now + .seconds(cluster.pick(1, 15))
        case 4: linkDownUntil = now + .seconds(cluster.pick(1, 30))
        case 5: starvedUntil = now + .seconds(cluster.pick(1, 60))
        case 6...12: for index in cluster.members.indices { cluster.members[index].isUp = true }
        default: break
        }
        let upstream = reader.seat.member.flatMap { cluster.index(of: $0) }
        for index in cluster.members.indices {
            cluster.members[index].isStarved =
                now < starvedUntil && (index == upstream || cluster.members[index].isStarved)
        }
    }

    private mutating func heal() {
        (storeAwayUntil, frozenUntil, linkDownUntil, starvedUntil) = (now, now, now, now)
        for index in cluster.members.indices {
            cluster.members[index].isUp = true
            cluster.members[index].isStarved = false
            cluster.members[index].refuses = false
        }
    }

    private mutating func advance() throws {
        now = now + Self.step
        let epochs = cluster.rule.epoch
        cluster.step(now)
        // A standby that is promoted sends away whom it fed: its slots of the epoch before are gone.
        if cluster.rule.epoch != epochs, follows?.epoch != cluster.rule.epoch.number { dryFor += 1 }
        storeHeardFor = now < storeAwayUntil ? 0 : storeHeardFor + 1
        leaderEnds.append(cluster.isLed ? cluster.members[cluster.leader].log.end : leaderEnds.last ?? 0)
        stream()
        if now >= frozenUntil { try think() }
        if isOpen { shown.append((now, log)) }
        let isFeedable = cluster.members.indices.contains { cluster.isFed($0) && !cluster.members[$0].refuses }
        let isWell = now >= frozenUntil && now >= linkDownUntil && now >= storeAwayUntil
        feedableFor = isFeedable && isWell ? feedableFor + 1 : 0
        try check()
    }

    // MARK: - Its Postgres

    /// From whoever has the slot; a leader has one only of a reader that is made wrong, which then gets what nobody else has.
    private var source: TrueLog? {
        guard runs, let follows, let name = follows.member, let index = cluster.index(of: name), now >= linkDownUntil
        else {
            return nil
        }
        let member = cluster.members[index]
        guard member.isUp, member.epoch == follows.epoch, member.dryFor < 200, !member.refuses else { return nil }
        return member.log
    }

    private var isStreaming: Bool {
        guard let source else { return false }
        return log.isPrefix(of: source) && source.end - log.end < Self.logKept
    }

    private mutating func stream() {
        if let source, isStreaming {
            dryFor = 0
            log = source.prefix(min(source.end, log.end + UInt64(cluster.pick(0, 2000))))
        } else {
            dryFor += 1
        }
        noteStream()
    }

    private mutating func noteStream() {
        let former = streamsFrom
        streamsFrom = isStreaming ? follows?.member : nil
        guard streamsFrom != nil else { return }
        if streamsFrom != former { isCaughtUp = false }
        streamedAt = now
        if log.end == source?.end { isCaughtUp = true }
    }

    private var canCopy: TrueLog? {
        guard let name = reader.seat.member, let index = cluster.index(of: name), now >= linkDownUntil else {
            return nil
        }
        let member = cluster.members[index]
        guard member.isUp, member.epoch == cluster.rule.epoch.number, member.dryFor < 200, !member.refuses else {
            return nil
        }
        return member.log
    }

    // MARK: - Its supervisor

    private mutating func think() throws {
        if now >= storeAwayUntil { try tell(.viewed(view, by: .watch)) }
        if let running, now >= running.endsAt { try end(running) }
        if let leading, now >= leading.until {
            follows?.member = leading.seat.member
            seated = leading.seat
            self.leading = nil
        }
        if running == nil, runs, cluster.pick(0, 3) == 0 {
            // It may follow another one as of this step.
            noteStream()
            reader.sampledAt = seated
            try tell(.observed(sample, after: lastOperation))
        }
        if running == nil, runs, dryFor > 40, let source,
            !log.isPrefix(of: source) || source.end - log.end >= Self.logKept
        {
            // A standby that is behind is no proof.
            if !source.isPrefix(of: log) { try tell(.cannotFollow("the log is not there", after: lastOperation)) }
        }
        if now >= reader.wakeAt { try tell(.tick) }
    }

    private var view: StoreView {
        StoreView(
            revision: cluster.revision, members: cluster.rule.members, rule: cluster.rule,
            ruleRevision: cluster.ruleRevision, heartbeat: cluster.heartbeat, reports: cluster.reports)
    }

    private var sample: PostgresObservation {
        .standby(
            StandbyObservation(
                timeline: log.timeline, received: LSN(log.end), replayed: LSN(log.end), isStreaming: isStreaming,
                silence: isStreaming ? .milliseconds(50) : nil, lag: .zero))
    }

    /// As the shell does it: what comes of an event's actions waits until all of them are carried out.
    private mutating func tell(_ event: FailoverEvent) throws {
        var waiting = [event]
        while !waiting.isEmpty {
            for action in reader.receive(waiting.removeFirst(), now: now) {
                if let answer = try carriedOut(action) { waiting.append(answer) }
            }
            if running == nil, follows != nil, (leading?.seat ?? seated) != reader.seat {
                seated = nil
                leading = (reader.seat, now + Self.step * cluster.pick(0, 40))
            }
        }
    }

    private mutating func carriedOut(_ action: FailoverAction) throws -> FailoverEvent? {
        switch action {
        case .save, .exit: return nil
        case .read(let number):
            return now < storeAwayUntil
                ? FailoverEvent.readFailed(number) : FailoverEvent.viewed(view, by: .read(number))
        case .report(let report):
            guard report == report.withoutVoice else {
                throw Failure(description: "it has a word to say: \(report)")
            }
            return FailoverEvent.reportAnswered(
                sequence: report.sequence, now < storeAwayUntil ? .unavailable : .applied(revision: cluster.revision))
        case .postgres(let operation, let id):
            begin(operation, id)
            return nil
        case .setGate(let open):
            isOpen = open
            return FailoverEvent.gateAnswered(isOpen: open, failure: nil)
        case .changeRule, .heartbeat, .holdLease, .beat: throw Failure(description: "it asks for \(action)")
        }
    }

    private mutating func begin(_ operation: PostgresOperation, _ id: OperationID) {
        lastOperation = id
        var time = Duration.milliseconds(Int64(cluster.pick(1, 8) * 50))
        if case .clone = operation { time = .milliseconds(Int64(cluster.pick(20, 80) * 50)) }
        (follows, leading, seated) = (nil, nil, nil)
        running = Running(operation: operation, id: id, endsAt: now + time, copy: canCopy)
    }

    private mutating func end(_ done: Running) throws {
        running = nil
        var outcome = OperationOutcome.done
        switch done.operation {
        case .clone:
            // One that is sent away in the middle of it has no copy.
            if let copied = done.copy, canCopy != nil {
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
            if canCopy == nil { outcome = .unreachable("nobody to go by") }
        case .rewind:
            if let other = canCopy {
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
        try tell(.operationEnded(done.id, outcome))
    }

    // MARK: - What must hold

    private func check() throws {
        if !isOpen, feedableFor > Int(Self.servingMax / Self.step) {
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
