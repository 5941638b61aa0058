public import RoostModel

/// When each peer is probed: every ``interval(peers:)``, the peers spread evenly over it, so that a host never
/// sends all its probes at once and its probe traffic stays bounded however many hosts there are.
///
/// A planet has as many paths as the square of its hosts. So the interval grows with the square of the peers at first,
/// and the whole planet sends no more than a small one does; from ``intervalOfMany`` on, which still shows an outage
/// within ``PathStatistics/Limits/silence``, only as far as a host's own bound asks for.
public enum ProbeSchedule {
    public static let intervalMin = Duration.milliseconds(100)
    /// Up to so many peers are probed at the shortest interval. A host never sends more probes than to so many: 110 a
    /// second.
    public static let peersAtShortestInterval = 11
    public static let intervalOfMany = Duration.seconds(1)

    public static func interval(peers: Int) -> Duration {
        let few = peersAtShortestInterval
        guard peers > few else { return intervalMin }
        return max(min(intervalMin * (peers * peers) / (few * few), intervalOfMany), intervalMin * peers / few)
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
