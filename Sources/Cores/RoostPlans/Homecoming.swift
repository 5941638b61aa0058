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
        guard !isAtHome(rule.leader), !isLedAway(spec, rule, isAtHome),
            rule.members.allSatisfy({ $0 == rule.leader || confirming.contains($0) })
        else { return nil }
        return rule.members.first(where: isAtHome)
    }

    /// Somebody has had another member lead, and that is where it stays, also through failovers, until one at home has led again,
    /// by whatever way. Of a wish that came to nothing nothing follows.
    private static func isLedAway(_ spec: ClusterSpec, _ rule: ClusterRule, _ isAtHome: (MemberName) -> Bool) -> Bool {
        guard let away = spec.ledAway else { return false }
        let since = rule.history.filter { $0.epoch > away.epoch }.map(\.leader)
        guard !since.isEmpty, !since.contains(where: isAtHome) else { return false }
        return away.target.map(since.contains) ?? true
    }
}
