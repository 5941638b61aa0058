/// What can be measured by itself.
public enum BenchPart: String, Sendable, Codable, CaseIterable {
    /// What it costs a host to follow a large planet.
    case feed
    /// From the order to make a machine until it runs.
    case machines
    /// Many machines at once, and after a power loss.
    case many
    /// Writes that are on the disk.
    case volumes
    /// Postgres through an edge.
    case edge
    /// How long writes stand still when something breaks.
    case gaps
    /// The same beside Patroni.
    case patroni

    public static let roundsMax = 100

    public var roundsDefault: Int {
        switch self {
        case .feed: 3
        case .machines: 15
        case .many: 1
        case .volumes: 7
        case .edge: 5
        case .gaps: 5
        case .patroni: 2
        }
    }

    /// What one host does is measured on a planet of one, where nobody else takes its processors.
    var isOfOneHost: Bool {
        switch self {
        case .machines, .many, .volumes: true
        case .feed, .edge, .gaps, .patroni: false
        }
    }

    /// Programs of this computer, and their Debian packages.
    var programs: [(program: String, package: String)] {
        switch self {
        case .feed: [("etcd", "etcd-server")]
        case .machines: [("bash", "bash"), ("runc", "runc"), ("podman", "podman"), ("busybox", "busybox-static")]
        case .many: [("runc", "runc"), ("busybox", "busybox-static")]
        case .volumes: [("fio", "fio"), ("busybox", "busybox-static")]
        case .edge: [("haproxy", "haproxy"), ("pgbench", "postgresql"), ("psql", "postgresql-client")]
        case .gaps: [("psql", "postgresql-client")]
        case .patroni: [("curl", "curl"), ("mmdebstrap", "mmdebstrap")]
        }
    }
}
