public import RoostPostgresWire
public import RoostRouting

/// The ports, bounds and times of an edge. All have working values; tests use shorter times and other ports.
public struct EdgeConfiguration: Sendable {
    /// Leads to the primary.
    public var writePort = 5432
    /// Leads to the nearest replica.
    public var readPort = 5433
    /// Event loops; nil: one for each core.
    public var loops: Int?
    /// The times of a session. Its `waitMax` is that of `hold`.
    public var session = SessionCore.Limits()
    /// How many may be connected. The edge's own bound is lower where the limit of open files is.
    public var admission = Admission.Limits()
    /// How many may be in the middle of their login.
    public var logins = LoginPlaces.Limits()
    /// How long members that do not answer are passed over.
    public var silence = SilentBackends.Limits()
    public var hold = HoldQueue.Limits()
    /// Between rounds of attempts while an open route's backend refuses.
    public var retryInterval = Duration.milliseconds(75)
    /// How long the local check may take.
    public var healthTime = Duration.milliseconds(500)
    /// How long sessions may go on after a graceful shutdown was asked for.
    public var drainTime = Duration.seconds(5)

    public init() {}

    func port(of access: Access) -> Int {
        switch access {
        case .write: writePort
        case .read: readPort
        }
    }

    /// How often deadlines are looked at, and so how exact they are.
    static let sweepInterval = Duration.milliseconds(100)
    /// How often sessions of the read port are reviewed for a replica that fell behind.
    static let sweepsPerReview = 10
    /// How often a listener that could not be opened is tried again.
    static let bindRetryInterval = Duration.seconds(1)
    /// How often the same shortage of the host is logged.
    static let shortageLogInterval = Duration.seconds(10)
    static let loopsMax = 64
    /// Lines of the log for one client's logins to one cluster, on each loop.
    static let loginLinesMax = RateLimit(burst: 20, perSecond: 1)
    static let listenBacklog: Int32 = 4096
    /// Connections taken from a listener's backlog before the event loop looks at its sessions again. A handshake costs
    /// about as much as a thousand small packets: so many at a time keep established sessions waiting for some
    /// milliseconds, whoever comes.
    static let acceptBurst: UInt = 8
}
