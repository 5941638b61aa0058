import RoostModel

/// Where a log leaves the history that its member believes it has: by Postgres's own account of its timelines, and not
/// by what the member remembers of it. Somebody may have promoted a standby by hand; what it wrote then is no leader's.
///
/// Every reign begins one timeline, with the number after that of the reign before: a leader whose promotion came to
/// another number, or began twice, does not lead.
struct Divergence: Hashable, Sendable {
    /// Up to here the log is what the chain says.
    var agreed: LSN
    /// Of the first byte that is not.
    var timeline: UInt32

    /// Nil when log and chain agree, or when it is not known which timeline the chain ends on.
    ///
    /// - Parameters:
    ///   - forks: where each timeline of the log begins, but the first.
    ///   - last: the timeline of the chain's last reign.
    init?(end: LSN, forks: [TimelineFork], chain: [Reign], last: UInt32?) {
        guard let last, let oldest = chain.first else { return nil }
        let contributed = chain.contributed(upTo: end)
        guard last >= UInt32(chain.count) else { return nil }
        let first = last - UInt32(chain.count - 1)
        // Where the oldest reign that is known begins is told by nobody: history before it was dropped.
        let expected = contributed.enumerated().map { index, reign in
            TimelineFork(timeline: first + UInt32(index), begin: index == 0 ? oldest.begin : reign.begin)
        }
        var found = ([TimelineFork(timeline: 1, begin: .zero)] + forks).filter { $0.timeline >= first }
        if found.first?.timeline == first { found[0].begin = oldest.begin }
        for index in 0..<max(expected.count, found.count) {
            let (its, own) = (index < expected.count ? expected[index] : nil, index < found.count ? found[index] : nil)
            if its == own { continue }
            let begin = min(its?.begin ?? end, own?.begin ?? end)
            agreed = min(begin, end)
            timeline = own?.timeline ?? found.last?.timeline ?? 1
            return
        }
        return nil
    }
}

extension ClusterRule {
    /// The timeline of the last reign: a new cluster's is the first.
    var lastTimeline: UInt32? {
        if let timeline { return timeline }
        return history.count == 1 && history.first?.begin == .zero ? 1 : nil
    }
}
