public import RoostModel

/// Whether a member at the cluster's home is to lead again, after a failover has taken the lead away from there.
public enum Homecoming {
    /// So long nothing must be against it, without a break, and so long it takes until it is tried again: a switchover cuts
    /// sessions, and a home that comes and goes is none.
    public static var patience: Duration { .seconds(600) }

    /// - Parameters:
    ///   - confirming: standbys by which the leader sees commits confirmed.
    ///   - isOpen: the leader renews its lease and lets clients in.
    ///   - isBusy: somebody works on the cluster.
    /// - Returns: who is to lead; nil: who does, or nobody can say.
    public static func leader(
        of spec: ClusterSpec, under rule: ClusterRule, confirming: Set<MemberName>, isOpen: Bool, isBusy: Bool
    ) -> MemberName? {
        guard let home = spec.home, !spec.isDestroying, isOpen, !isBusy, rule.recruitment == nil,
            rule.change?.current == nil, rule.switchover == nil || rule.switchover?.refusal != nil
        else { return nil }
        func isAtHome(_ member: MemberName) -> Bool {
            spec.members.contains { $0.name == member && $0.region == home }
        }
        // Whoever lags, or is away, is waited for: then it is the cluster that needs its leader.
        guard !isAtHome(rule.leader), !isLedByHand(spec, rule),
            rule.members.allSatisfy({ $0 == rule.leader || confirming.contains($0) })
        else { return nil }
        return rule.members.first(where: isAtHome)
    }

    /// The present leader is whom somebody has had lead, and stays it until there is another one: by that wish the next reign
    /// was its own. What comes after it is a failover's.
    public static func isLedByHand(_ spec: ClusterSpec, _ rule: ClusterRule) -> Bool {
        guard let away = spec.ledAway, rule.epoch > away.epoch else { return false }
        // Named again, it is no other one: a leader whose first reign did not open, or that was away for a moment, has several.
        let since = rule.history.filter { $0.epoch > away.epoch }
        guard !since.isEmpty, since.allSatisfy({ $0.leader == rule.leader }) else { return false }
        return away.target.map { $0 == rule.leader } ?? true
    }

    /// The wish has come to nothing in the epoch in which it was asked for: it was refused, or taken away. Whoever leads next does
    /// so without it; so it is taken off the spec before that, for no rule after it tells of it.
    public static func hasFailed(_ away: LedAway, under rule: ClusterRule) -> Bool {
        rule.epoch == away.epoch && rule.recruitment == nil && rule.switchover.map { $0.refusal != nil } ?? true
    }
}
