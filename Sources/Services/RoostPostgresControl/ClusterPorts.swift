/// The ports of a cluster.
public enum ClusterPorts {
    /// Where each member's Postgres listens, and where edges serve the primary. Open only where a member says so.
    public static let write: UInt16 = 5432
    /// Where edges serve the nearest replica.
    public static let read: UInt16 = 5433
}
