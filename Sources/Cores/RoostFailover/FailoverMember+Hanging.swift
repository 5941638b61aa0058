import RoostModel

// A leader whose disk hangs: nothing fails, what is in memory is read, its lease is renewed, and no commit ends.
extension FailoverMember {
    mutating func volumeHangs(since: Moment?) { volumeHangsSince = since }

    /// Longer after each failover that comes soon after another: with everybody's disk slow, the next leader's is, too.
    var hangLimit: Duration { listening.hearing.escalated(timings.hangPatience, upTo: timings.isolationMax) }

    /// Calls a recruitment before anything else: what waits for the disk cannot be stopped, and a promise cannot be written.
    /// Those that answer have left this leader, so that nothing is confirmed by it any more, whatever becomes of it.
    mutating func offerAtHang(_ rule: ClusterRule, _ now: Moment) {
        guard phase.mayBePrimary, breakage != .keepsOfficeWhileHung, let since = volumeHangsSince,
            now - since >= hangLimit, othersCouldTakeOver(rule, now), !isPaused(now), rule.recruitment == nil,
            ruleChange == nil
        else { return }
        detail =
            "its volume has not taken a small write for \((now - since).components.seconds) s, while others could lead"
        proposeSuccession(rule, now)
    }

    /// Of whoever leads: why commits wait.
    func hangWords(_ now: Moment) -> String? {
        guard let since = volumeHangsSince, now - since >= timings.hangPatience else { return nil }
        return "its volume hangs: a small write has not ended"
    }
}
