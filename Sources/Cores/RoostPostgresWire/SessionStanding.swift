public import RoostModel
public import RoostRouting

/// Whether a session may go on where it is, each time its cluster's route changes.
///
/// - A session of the write port belongs to one epoch's leader. Once the epoch is another, or the leader, it is cut at
///   once. A leader that is only not open (its standbys are away, say) keeps its sessions: it alone knows its state.
/// - A session of the read port stays while its member streams within the limits, and also when the member becomes the
///   leader. A member that stopped streaming or fell behind keeps its sessions for the lag limit (a failover stops all
///   of them for a moment), then loses them. A member that led and does not any more loses them at once: its history
///   may have ended elsewhere. So does one that left the cluster.
public struct SessionStanding: Hashable, Sendable {
    public enum Verdict: Hashable, Sendable {
        case keep
        case cut(Reason)
    }

    public enum Reason: String, Hashable, Sendable {
        case clusterGone = "the cluster is gone"
        case newEpoch = "the cluster has a new leader"
        case memberGone = "the member left the cluster"
        case deposed = "the member no longer leads"
        case behind = "the replica fell behind"
    }

    public let access: Access
    public let backend: Backend
    public let epoch: Epoch
    /// The member led when the session began, or since.
    private var hasLed: Bool
    /// Since when the member has not been fit to answer reads.
    private var unfitSince: Moment?

    /// A session to `backend`, set up under `route`.
    public init(access: Access, backend: Backend, under route: ClusterRoute) {
        self.access = access
        self.backend = backend
        self.epoch = route.epoch
        self.hasLed = route.leader == backend
    }

    public mutating func review(_ route: ClusterRoute?, limits: ReplicaLimits, now: Moment) -> Verdict {
        guard let route else { return .cut(.clusterGone) }
        switch access {
        case .write:
            return route.epoch == epoch && route.leader == backend ? .keep : .cut(.newEpoch)
        case .read:
            return reviewReader(route, limits: limits, now: now)
        }
    }

    private mutating func reviewReader(_ route: ClusterRoute, limits: ReplicaLimits, now: Moment) -> Verdict {
        if route.leader == backend {
            hasLed = true
            unfitSince = nil
            return .keep
        }
        if hasLed { return .cut(.deposed) }
        guard let replica = route.replicas.first(where: { $0.backend == backend }) else { return .cut(.memberGone) }
        if limits.admit(replica) {
            unfitSince = nil
            return .keep
        }
        let since = unfitSince ?? now
        unfitSince = since
        return now - since >= limits.lagMax ? .cut(.behind) : .keep
    }
}
