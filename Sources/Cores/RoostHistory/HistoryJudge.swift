/// Goes through a history and says what in it cannot be. What it demands is what `docs/postgres.md` promises.
///
/// Every element is written at most once, so what is there tells one story. A write of unknown outcome may be there or
/// not; one that was seen counts as done from then on.
public struct HistoryJudge: Sendable {
    /// For how long after it was replaced a primary that does not know it yet may answer reads at the primary's port.
    let displacedReadsMax: Duration

    public init(displacedReadsMax: Duration) { self.displacedReadsMax = displacedReadsMax }

    public struct Counts: Sendable, Hashable, Codable {
        public var confirmed = 0
        public var failed = 0
        public var unknown = 0
        public var reads = 0
        public var replicaReads = 0

        enum CodingKeys: String, CodingKey {
            case confirmed, failed, unknown, reads
            case replicaReads = "replica_reads"
        }
    }

    public struct Verdict: Sendable, Hashable {
        /// In the order of keys; of each kind and element, only the first entry that shows it.
        public var findings: [HistoryFinding]
        public var counts: Counts
        /// How long before its beginning a read at the replicas' port lacks something that was confirmed, at most.
        public var replicaLagMax: Duration
        /// The same of reads at the primary's port that a primary of before answered, within what it may.
        public var displacedLagMax: Duration
    }

    /// - Parameter hasEnded: all that is there was read at last (``HistoryEntry/isFinal``): a key that is not among that
    ///   is empty. Without that nothing can be called lost or vanished.
    public func judge(_ entries: [HistoryEntry], hasEnded: Bool) -> Verdict {
        var verdict = Verdict(findings: [], counts: Counts(), replicaLagMax: .zero, displacedLagMax: .zero)
        for entry in entries where !entry.isFinal { Self.count(entry, &verdict.counts) }
        for (_, entries) in Dictionary(grouping: entries, by: \.key) {
            var story = KeyStory(entries, hasEnded: hasEnded, displacedReadsMax: displacedReadsMax)
            story.judge()
            verdict.findings += story.findings
            verdict.replicaLagMax = max(verdict.replicaLagMax, story.replicaLagMax)
            verdict.displacedLagMax = max(verdict.displacedLagMax, story.displacedLagMax)
        }
        verdict.findings.sort()
        return verdict
    }

    private static func count(_ entry: HistoryEntry, _ counts: inout Counts) {
        guard entry.action.isWrite else {
            guard entry.outcome == .confirmed else { return }
            counts.reads += 1
            if entry.port == HistoryPort.replica { counts.replicaReads += 1 }
            return
        }
        switch entry.outcome {
        case .confirmed: counts.confirmed += 1
        case .failed: counts.failed += 1
        case .unknown: counts.unknown += 1
        }
    }
}
