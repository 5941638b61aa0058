import RoostHistory
import RoostModel

/// A history that a database which keeps its promises has: one primary after the other, a replica behind it, answers that
/// get lost, refusals, and a primary that goes on answering reads after it was replaced.
struct GeneratedHistory {
    static let displacedMax = Duration.seconds(2)
    private static let keys = 4
    private static let callsPerWorker = 100
    private static let second: Int64 = 1_000_000

    /// A call before it is known what it meets.
    private struct Plan {
        var entry: HistoryEntry
        /// When the database does it; nil: never.
        var effect: Int64?
        var end: Int64?
    }

    private var random: SplitMix64
    /// When each primary after the first took over.
    private let handovers: [Int64]
    private var written: [HistoryEntry.Key: [(element: Int64, at: Int64)]] = [:]
    private(set) var entries: [HistoryEntry] = []

    init(seed: UInt64) {
        var chance = SplitMix64(seed: seed)
        handovers = [1, 3].map { $0 * Self.second + Int64(chance.next() % 1_000_000) }
        random = chance
        var plans: [Plan] = []
        for worker in 0..<6 { plans += plan(worker) }
        plans.sort { ($0.effect ?? .max, $0.entry.worker) < ($1.effect ?? .max, $1.entry.worker) }
        for plan in plans where plan.entry.action.isWrite && plan.effect != nil {
            written[plan.entry.key, default: []].append((plan.entry.elements[0], plan.effect ?? 0))
        }
        var sessions: [String: (server: String, number: Int)] = [:]
        entries = plans.map { answer($0, &sessions) }
        entries.sort { ($0.begin, $0.worker) < ($1.begin, $1.worker) }
        for (number, key) in written.keys.sorted().enumerated() {
            var last = HistoryEntry(
                worker: "last", number: number, port: HistoryPort.primary, session: 0,
                action: key.kind == .list ? .readList : .readSet, keyNumber: key.number,
                elements: written[key, default: []].map(\.element), begin: 100 * Self.second, isFinal: true)
            (last.end, last.outcome, last.timeline) = (last.begin + 1, .confirmed, 3)
            entries.append(last)
        }
    }

    mutating func below(_ count: Int) -> Int { Int(random.next() % UInt64(count)) }

    /// Workers 4 and 5 are readers at the replica.
    private mutating func plan(_ worker: Int) -> [Plan] {
        var now = Int64(below(100_000))
        return (0..<Self.callsPerWorker).map { number in
            let isReplica = worker > 3
            let action = HistoryEntry.Action.allCases[isReplica ? 2 + below(2) : below(4)]
            let entry = HistoryEntry(
                worker: "w\(worker)", number: number, port: isReplica ? HistoryPort.replica : HistoryPort.primary,
                session: 0, action: action, keyNumber: below(Self.keys),
                elements: action.isWrite ? [Int64(worker * 1000 + number)] : [], begin: now)
            let effect = now + 1 + Int64(below(40_000))
            let end = effect + 1 + Int64(below(40_000))
            now = end + Int64(below(20_000))
            guard action.isWrite else { return Plan(entry: entry, effect: effect, end: end) }
            return switch below(10) {
            case 0: Plan(entry: entry, effect: nil, end: nil)
            case 1: Plan(entry: entry, effect: effect + Int64(below(3_000_000)), end: nil)
            case 2: Plan(entry: entry, effect: nil, end: end)
            default: Plan(entry: entry, effect: effect, end: end)
            }
        }
    }

    private mutating func answer(_ plan: Plan, _ sessions: inout [String: (server: String, number: Int)])
        -> HistoryEntry
    {
        var entry = plan.entry
        guard let end = plan.end else { return entry }
        entry.end = end
        guard let effect = plan.effect else {
            entry.outcome = .failed
            return entry
        }
        entry.outcome = .confirmed
        let reign = handovers.count { $0 <= effect }
        var (moment, timeline) = (effect, UInt32(reign + 1))
        var server = "primary \(reign)"
        if entry.port == HistoryPort.replica {
            // As far behind as it is, it only goes forward.
            (moment, server) = (effect - 300_000, "replica")
        } else if !entry.action.isWrite, reign > 0, effect - handovers[reign - 1] < Self.second, below(2) == 0 {
            // The primary of before has not heard of it.
            (moment, timeline, server) = (handovers[reign - 1], UInt32(reign), "primary \(reign - 1)")
        }
        entry.timeline = entry.port == HistoryPort.replica ? nil : timeline
        if !entry.action.isWrite {
            entry.elements = written[entry.key, default: []].filter { $0.at < moment }.map(\.element)
        }
        let before = sessions[entry.worker] ?? (server, 1)
        let number = before.server == server ? before.number : before.number + 1
        sessions[entry.worker] = (server, number)
        (entry.session, entry.server) = (number, server)
        return entry
    }

    // MARK: - Anomalies

    enum Anomaly: CaseIterable {
        case confirmedIsGone, allOfAKeyIsGone, nobodyWrote, refusedIsThere, readBeforeItWasWritten, twiceInASet
        case twiceInAList, seenIsGone, seenAtTheReplicaIsGone, changedPlaces, gapInAList, sessionGoesBack
        case samePrimaryForgets, laterPrimaryLacks, displacedForTooLong, standbyAtThePrimarysPort

        var kind: HistoryFinding.Kind {
            switch self {
            case .confirmedIsGone, .allOfAKeyIsGone: .lost
            case .nobodyWrote, .refusedIsThere, .readBeforeItWasWritten: .phantom
            case .twiceInASet, .twiceInAList: .duplicated
            case .seenIsGone, .seenAtTheReplicaIsGone: .vanished
            case .changedPlaces, .gapInAList: .disordered
            case .sessionGoesBack: .backwards
            case .samePrimaryForgets, .laterPrimaryLacks, .displacedForTooLong, .standbyAtThePrimarysPort: .stale
            }
        }
    }

    /// Changes the history so that the database has done wrong in one point.
    /// - Returns: the element that it is about; nil where the history has no place for it.
    mutating func plant(_ anomaly: Anomaly) -> Int64? {
        switch anomaly {
        case .confirmedIsGone, .allOfAKeyIsGone: takeAway(isAll: anomaly == .allOfAKeyIsGone)
        case .nobodyWrote: change({ !$0.isFinal }) { $0.elements.append(-1) }.map { _ in -1 }
        case .refusedIsThere: refuseAWrite()
        case .readBeforeItWasWritten: writeLater()
        case .twiceInASet: repeatOne(.readSet)
        case .twiceInAList: repeatOne(.readList)
        case .seenIsGone: showWhatNeverComes(at: HistoryPort.primary)
        case .seenAtTheReplicaIsGone: showWhatNeverComes(at: HistoryPort.replica)
        case .changedPlaces:
            change({ $0.action == .readList && $0.elements.count > 1 && !$0.isFinal }) {
                $0.elements.swapAt($0.elements.count - 1, $0.elements.count - 2)
            }?.dropLast().last
        case .gapInAList:
            change({ $0.action == .readList && $0.elements.count > 1 && !$0.isFinal }) {
                $0.elements.remove(at: $0.elements.count - 2)
            }?.last
        case .sessionGoesBack: goBack()
        case .samePrimaryForgets: forget { $0.timeline == $1.timeline }
        case .laterPrimaryLacks: forget { ($0.timeline ?? 0) > ($1.timeline ?? 0) }
        case .displacedForTooLong: forget(as: 1) { $1.timeline == 2 && Self.isLate($0, $1) }
        case .standbyAtThePrimarysPort: forget(as: nil) { Self.isLate($0, $1) }
        }
    }

    private static func isLate(_ read: HistoryEntry, _ write: HistoryEntry) -> Bool {
        write.end.map { .microseconds(read.begin - $0) > displacedMax } ?? false
    }

    /// Changes one of the answered reads that fit.
    /// - Returns: what it shows now.
    private mutating func change(
        _ isFit: (HistoryEntry) -> Bool, _ change: (inout HistoryEntry) -> Void
    ) -> [Int64]? {
        let fit = entries.indices.filter {
            !entries[$0].action.isWrite && entries[$0].outcome == .confirmed && isFit(entries[$0])
        }
        guard !fit.isEmpty else { return nil }
        let index = fit[below(fit.count)]
        change(&entries[index])
        return entries[index].elements
    }

    private mutating func choose(_ isFit: (HistoryEntry) -> Bool) -> HistoryEntry? {
        let fit = entries.filter(isFit)
        return fit.isEmpty ? nil : fit[below(fit.count)]
    }

    private mutating func takeAway(isAll: Bool) -> Int64? {
        guard let write = choose({ $0.action.isWrite && $0.outcome == .confirmed }) else { return nil }
        if isAll {
            entries.removeAll { $0.isFinal && $0.key == write.key }
        } else {
            for index in entries.indices where !entries[index].action.isWrite {
                entries[index].elements.removeAll { $0 == write.elements[0] }
            }
        }
        return write.elements[0]
    }

    private mutating func refuseAWrite() -> Int64? {
        guard let read = choose({ !$0.action.isWrite && !$0.elements.isEmpty }),
            let index = entries.firstIndex(where: { $0.action.isWrite && $0.elements[0] == read.elements[0] })
        else { return nil }
        entries[index].outcome = .failed
        return read.elements[0]
    }

    private mutating func writeLater() -> Int64? {
        guard let read = choose({ !$0.action.isWrite && !$0.elements.isEmpty && !$0.isFinal }), let end = read.end,
            let index = entries.firstIndex(where: { $0.action.isWrite && $0.elements == [read.elements[0]] })
        else { return nil }
        entries[index].begin = end + 1
        entries[index].end = end + 2
        return read.elements[0]
    }

    private mutating func repeatOne(_ action: HistoryEntry.Action) -> Int64? {
        change({ $0.action == action && !$0.elements.isEmpty }) { $0.elements.append($0.elements[0]) }?.last
    }

    private mutating func showWhatNeverComes(at port: UInt16) -> Int64? {
        let there = Set(entries.filter(\.isFinal).flatMap(\.elements))
        guard
            let write = choose({ $0.action.isWrite && $0.outcome == .unknown && !there.contains($0.elements[0]) }),
            let element = write.elements.first
        else { return nil }
        let shown = change({ $0.key == write.key && $0.port == port && $0.begin > write.begin && !$0.isFinal }) {
            $0.elements.append(element)
        }
        return shown.map { _ in element }
    }

    private mutating func goBack() -> Int64? {
        guard
            let first = choose({ entry in
                entry.port == HistoryPort.replica && !entry.elements.isEmpty
            })
        else { return nil }
        let later = change({
            $0.worker == first.worker && $0.session == first.session && $0.key == first.key && $0.number > first.number
        }) { $0.elements.removeAll() }
        return later.map { _ in first.elements[0] }
    }

    /// Lets a read at the primary's port lack what was confirmed before it began.
    private mutating func forget(
        as timeline: UInt32?? = .none, _ isFit: (_ read: HistoryEntry, _ write: HistoryEntry) -> Bool
    ) -> Int64? {
        let writes = Dictionary(
            entries.filter { $0.action.isWrite && $0.outcome == .confirmed }.map { ($0.elements[0], $0) }
        ) { first, _ in first }
        let pairs = entries.indices.flatMap { index -> [(Int, Int64)] in
            let read = entries[index]
            guard !read.action.isWrite, !read.isFinal, read.port == HistoryPort.primary else { return [] }
            return read.elements.filter { element in
                guard let write = writes[element], let end = write.end, end < read.begin else { return false }
                return isFit(read, write)
            }.map { (index, $0) }
        }
        guard !pairs.isEmpty else { return nil }
        let (index, element) = pairs[below(pairs.count)]
        entries[index].elements.removeAll { $0 == element }
        if let timeline { entries[index].timeline = timeline }
        return element
    }
}
