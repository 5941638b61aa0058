import RoostModel

/// How much of its log a leader knows others to have: it never has less itself, as only what is on its disk is sent
/// (walsender.c, XLogSendPhysical).
///
/// A sample of its Postgres may be older than a report that came before it, but not than the sample before: what a report
/// shows counts from the second sample on.
struct SharedLog: Hashable, Sendable {
    /// Where somebody's log ends.
    struct End: Hashable, Sendable {
        var member: MemberName
        var end: LSN
    }

    private var epoch = Epoch.none
    private var reported: End?
    /// What the reports before the last sample have shown.
    private var known: End?

    mutating func note(_ view: StoreView, besides leader: MemberName) {
        guard let rule = view.rule, rule.leader == leader else { return }
        if rule.epoch != epoch { self = SharedLog(epoch: rule.epoch) }
        for report in view.reports where report.member != leader {
            guard let end = report.end(in: rule), end > reported?.end ?? .zero else { continue }
            reported = End(member: report.member, end: end)
        }
    }

    /// Its Postgres has come up, and what was reported was written before.
    mutating func settle() { known = reported }

    /// Who has the most beyond the end of the leader's log; nil when nobody has more.
    ///
    /// - Parameter sample: its end was read after what its standbys have.
    mutating func excess(over sample: PrimaryObservation) -> End? {
        let streamed = sample.standbys.filter(\.isStreaming).map { End(member: $0.member, end: $0.flushed) }
        let most = ([known].compactMap(\.self) + streamed).max { $0.end < $1.end }
        known = reported
        return most.flatMap { $0.end > sample.flushed ? $0 : nil }
    }
}

extension SharedLog {
    private init(epoch: Epoch) {
        self.init()
        self.epoch = epoch
    }
}
