import RoostModel

/// A leader's standbys, as its own Postgres shows them over time.
///
/// A row that says `streaming` is not enough: a standby that gets nothing through a bad path says so for as long as its own
/// small messages arrive. One that confirms has, sooner or later, what the leader had.
struct StreamWatch: Sendable {
    private struct Mark {
        var member: MemberName
        /// Where the leader's log ended…
        var end: LSN
        /// …at this moment.
        var at: Moment
        /// The stream has reached an earlier mark.
        var hasReached = false
    }

    private var marks: [Mark] = []
    private(set) var standbys: [StandbyView] = []

    /// - Parameter patience: so long after the leader a standby may have its log on disk.
    mutating func note(
        _ sample: PrimaryObservation, of members: [MemberName], patience: Duration, _ now: Moment
    ) {
        marks.removeAll { mark in !sample.standbys.contains { $0.member == mark.member && $0.isStreaming } }
        standbys = members.map { member in
            guard let stream = sample.standbys.first(where: { $0.member == member }) else { return Self.absent(member) }
            // One that has just connected has not said yet what it has.
            let behind =
                stream.flushed > .zero
                ? sample.flushed.offset - min(stream.flushed.offset, sample.flushed.offset) : nil
            guard stream.isStreaming else {
                return StandbyView(member: member, isConfirming: false, behindBytes: behind)
            }
            var mark = marks.first { $0.member == member } ?? Mark(member: member, end: sample.flushed, at: now)
            if stream.flushed >= mark.end {
                mark = Mark(member: member, end: sample.flushed, at: now, hasReached: true)
            }
            marks.removeAll { $0.member == member }
            marks.append(mark)
            return StandbyView(
                member: member, isConfirming: mark.hasReached && now - mark.at <= patience, behindBytes: behind)
        }
    }

    static func absent(_ member: MemberName) -> StandbyView {
        StandbyView(member: member, isConfirming: false, behindBytes: nil)
    }
}
