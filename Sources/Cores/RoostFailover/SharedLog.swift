import RoostModel

/// How much of its log a leader knows others to have: it never has less itself, as only what is on its disk is sent
/// (walsender.c, XLogSendPhysical).
///
/// A sample of its Postgres may be older than a report that came before it, but not than the sample before: what a report
/// shows counts from the second sample on.
struct SharedLog: Hashable, Sendable {
    private var epoch = Epoch.none
    private var reported = LSN.zero
    /// What the reports before the last sample have shown.
    private var known = LSN.zero

    mutating func note(_ view: StoreView, besides leader: MemberName) {
        guard let rule = view.rule, rule.leader == leader else { return }
        if rule.epoch != epoch { self = SharedLog(epoch: rule.epoch) }
        for report in view.reports where report.member != leader {
            reported = max(reported, report.end(in: rule) ?? .zero)
        }
    }

    /// Its Postgres has come up, and what was reported was written before.
    mutating func settle() { known = reported }

    /// What others have beyond the end of the leader's log; nil when they have not more.
    ///
    /// - Parameter sample: its end was read after what its standbys have.
    mutating func excess(over sample: PrimaryObservation) -> LSN? {
        let streamed = sample.standbys.lazy.filter(\.isStreaming).map(\.flushed).max() ?? .zero
        let most = max(known, streamed)
        known = reported
        return most > sample.flushed ? most : nil
    }
}

extension SharedLog {
    private init(epoch: Epoch) {
        self.init()
        self.epoch = epoch
    }
}
