import RoostModel

/// All that was done to one list or set.
struct KeyStory {
    /// A moment from which on an element is known to be there, and under which primary.
    private struct Evidence {
        var since: Int64
        var timeline: UInt32
    }

    private struct SessionName: Hashable {
        var worker: String
        var session: Int
    }

    private let writes: [Int64: HistoryEntry]
    /// Those that were answered, by when they began.
    private let reads: [HistoryEntry]
    /// What is there in the end; nil where nobody looked.
    private let last: [Int64]?
    private let displacedReadsMax: Duration
    private var known: [Int64: [Evidence]] = [:]
    private var found: Set<Finding> = []

    private(set) var findings: [HistoryFinding] = []
    private(set) var replicaLagMax = Duration.zero
    private(set) var displacedLagMax = Duration.zero

    private struct Finding: Hashable {
        var kind: HistoryFinding.Kind
        var element: Int64
    }

    /// - Parameter hasEnded: it was read what is there in the end: a key that is not among it is empty.
    init(_ entries: [HistoryEntry], hasEnded: Bool, displacedReadsMax: Duration) {
        let written = entries.filter(\.action.isWrite).compactMap { entry in entry.elements.first.map { ($0, entry) } }
        writes = Dictionary(written) { first, _ in first }
        reads = entries.filter { !$0.action.isWrite && $0.outcome == .confirmed }.sorted {
            ($0.begin, $0.worker, $0.number) < ($1.begin, $1.worker, $1.number)
        }
        last = hasEnded ? reads.last(where: \.isFinal)?.elements ?? [] : nil
        self.displacedReadsMax = displacedReadsMax
    }

    mutating func judge() {
        for read in reads { judgeContent(of: read) }
        judgeEnd()
        judgeSessions()
        collectEvidence()
        for read in reads where !read.isFinal { judgeAge(of: read) }
    }

    private mutating func note(_ kind: HistoryFinding.Kind, _ entry: HistoryEntry, _ element: Int64, _ detail: String) {
        guard found.insert(Finding(kind: kind, element: element)).inserted else { return }
        findings.append(HistoryFinding(kind, entry, element, detail))
    }

    // MARK: - What an answer may hold

    private mutating func judgeContent(of read: HistoryEntry) {
        var seen: Set<Int64> = []
        for element in read.elements {
            guard seen.insert(element).inserted else {
                note(.duplicated, read, element, "it is there twice")
                continue
            }
            guard let write = writes[element] else {
                note(.phantom, read, element, "nobody wrote it")
                continue
            }
            if write.outcome == .failed { note(.phantom, read, element, "its write was refused") }
            if let end = read.end, write.begin > end {
                note(.phantom, read, element, "it was read before it was written")
            }
        }
    }

    // MARK: - What has to be there in the end

    private mutating func judgeEnd() {
        guard let last else { return }
        let there = Set(last)
        for (element, write) in writes where write.outcome == .confirmed && !there.contains(element) {
            note(.lost, write, element, "it was confirmed, and is not there in the end")
        }
        for read in reads where !read.isFinal {
            for element in read.elements where !there.contains(element) && writes[element] != nil {
                note(.vanished, read, element, "it was read, and is not there in the end")
            }
            // Whatever else is wrong with the answer has been said.
            var seen: Set<Int64> = []
            let order = read.elements.filter { there.contains($0) && seen.insert($0).inserted }
            guard read.key.kind == .list, let place = Self.departure(order, from: last) else { continue }
            note(.disordered, read, order[place], "in the end the list begins in another way")
        }
    }

    /// Where a list stops being the beginning of another.
    private static func departure(_ list: [Int64], from whole: [Int64]) -> Int? {
        list.indices.first { $0 >= whole.count || list[$0] != whole[$0] }
    }

    // MARK: - What a session has seen

    private mutating func judgeSessions() {
        var before: [SessionName: HistoryEntry] = [:]
        for read in reads {
            let session = SessionName(worker: read.worker, session: read.session)
            if let earlier = before[session] {
                let there = Set(read.elements)
                for element in earlier.elements where !there.contains(element) {
                    note(.backwards, read, element, "the session's read \(earlier.number) had it")
                }
            }
            before[session] = read
        }
    }

    // MARK: - What a read has to show

    /// An element is there when its write was confirmed, or when the primary has shown it. (A replica may show what is
    /// on its own disk before the primary has heard so.)
    private mutating func collectEvidence() {
        for (element, write) in writes where write.outcome == .confirmed {
            if let end = write.end, let timeline = write.timeline { add(element, end, timeline) }
        }
        for read in reads where read.port == HistoryPort.primary {
            guard let end = read.end, let timeline = read.timeline else { continue }
            for element in read.elements { add(element, end, timeline) }
        }
    }

    private mutating func add(_ element: Int64, _ since: Int64, _ timeline: UInt32) {
        var all = known[element, default: []]
        if let same = all.firstIndex(where: { $0.timeline == timeline }) {
            all[same].since = min(all[same].since, since)
        } else {
            all.append(Evidence(since: since, timeline: timeline))
        }
        known[element] = all
    }

    private mutating func judgeAge(of read: HistoryEntry) {
        let there = Set(read.elements)
        for (element, evidence) in known where !there.contains(element) {
            for proof in evidence where proof.since < read.begin {
                let lag = Duration.microseconds(read.begin - proof.since)
                guard read.port == HistoryPort.primary else {
                    replicaLagMax = max(replicaLagMax, lag)
                    continue
                }
                // The same primary, or one that came after it, has everything that it has confirmed.
                let isDisplaced = read.timeline.map { $0 < proof.timeline } ?? true
                guard isDisplaced, lag <= displacedReadsMax else {
                    note(.stale, read, element, "it was there \(lag.milliseconds) ms before the read began")
                    continue
                }
                displacedLagMax = max(displacedLagMax, lag)
            }
        }
    }
}
