public import RoostBalancing

/// The ports, bounds and times of an edge. All have working values; tests use shorter times and other ports.
public struct EdgeConfiguration: Sendable {
    /// Leads to the primary.
    public var writePort = 5432
    /// Leads to the nearest replica.
    public var readPort = 5433
    /// Event loops; nil: one for each core.
    public var loops: Int?
    /// Client connections at one time. Clamped at start to what the limit of open files allows.
    public var sessionsMax = 20_000
    /// From accepting a connection to the whole startup packet, TLS handshake included.
    public var startupTime = Duration.seconds(10)
    /// One attempt to connect to a backend.
    public var connectTime = Duration.seconds(1)
    /// From the startup packet to the backend's first answer: a frozen Postgres still has a kernel that accepts.
    public var firstReplyTime = Duration.seconds(5)
    /// From the backend's first answer to the end of the login; Postgres's own `authentication_timeout` is the same.
    public var loginTime = Duration.seconds(60)
    /// Between rounds of attempts while an open route's backend refuses.
    public var retryInterval = Duration.milliseconds(75)
    /// From sending a client its last bytes to closing without waiting for it to read them.
    public var farewellTime = Duration.seconds(60)
    /// How long a cancel request may take, all members together.
    public var cancelTime = Duration.seconds(3)
    /// How long the local check may take.
    public var healthTime = Duration.milliseconds(500)
    /// How long sessions may go on after a graceful shutdown was asked for.
    public var drainTime = Duration.seconds(5)
    public var hold = HoldQueue.Limits()
    public var replicas = ReplicaLimits()

    public init() {}

    /// How often deadlines are looked at, and so how exact they are.
    static let sweepInterval = Duration.milliseconds(100)
    /// How often sessions of the read port are reviewed for a replica that fell behind.
    static let sweepsPerReview = 10
    /// How often a listener that could not be opened is tried again.
    static let bindRetryInterval = Duration.seconds(1)
    static let loopsMax = 64
    static let listenBacklog: Int32 = 4096
    /// Connections taken from a listener's backlog before the event loop looks at its sessions again.
    static let acceptBurst: UInt = 32
}
