public import RoostModel

/// When each peer is probed: every ``interval(peers:)``, the peers spread evenly over it, so that a host never
/// sends all its probes at once and its probe traffic stays bounded however many hosts there are.
public enum ProbeSchedule {
    public static let intervalMin = Duration.milliseconds(100)
    /// Up to so many peers are probed at the shortest interval; more peers share the same number of probes.
    public static let peersAtShortestInterval = 50

    public static func interval(peers: Int) -> Duration {
        guard peers > peersAtShortestInterval else { return intervalMin }
        return intervalMin * peers / peersAtShortestInterval
    }

    /// The first probe of the peer with this index, at most one interval from now.
    public static func firstProbe(of index: Int, peers: Int, from now: Moment) -> Moment {
        precondition(index >= 0 && index < peers)
        return now + interval(peers: peers) * index / peers
    }

    /// The probe after the one that was due at `due`. A schedule that was missed (the host slept) is not caught up.
    public static func next(after due: Moment, peers: Int, now: Moment) -> Moment {
        let interval = interval(peers: peers)
        let next = due + interval
        return next > now ? next : now + interval
    }
}
