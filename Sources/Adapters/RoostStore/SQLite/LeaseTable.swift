import RoostModel

/// When each lease ends, on the host's monotonic clock. Pure: time comes in.
///
/// Deadlines are in memory only. A restarted store does not know how long it was away, so it gives every lease its
/// whole time to live again: late is allowed, early is not.
struct LeaseTable {
    private struct Term {
        var timeToLive: Duration
        var deadline: Moment
    }

    private var terms: [LeaseID: Term] = [:]

    mutating func begin(_ lease: LeaseID, timeToLive: Duration, now: Moment) {
        terms[lease] = Term(timeToLive: timeToLive, deadline: now + timeToLive)
    }

    /// - Returns: false when the lease is gone, or due: once it is due only its end can follow.
    mutating func keepAlive(_ lease: LeaseID, now: Moment) -> Bool {
        guard var term = terms[lease], now < term.deadline else { return false }
        term.deadline = now + term.timeToLive
        terms[lease] = term
        return true
    }

    func isAlive(_ lease: LeaseID, now: Moment) -> Bool {
        terms[lease].map { now < $0.deadline } ?? false
    }

    mutating func end(_ lease: LeaseID) {
        terms[lease] = nil
    }

    /// The leases that are due, the longest overdue first.
    func due(now: Moment) -> [LeaseID] {
        terms.filter { $0.value.deadline <= now }
            .sorted { ($0.value.deadline, $0.key.number) < ($1.value.deadline, $1.key.number) }
            .map(\.key)
    }

    var nextDeadline: Moment? { terms.values.map(\.deadline).min() }
}
