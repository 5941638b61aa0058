public import RoostModel
public import RoostRouting

extension Backend {
    /// The port Postgres listens on in every machine.
    public static let postgresPort: UInt16 = 5432

    public init(member: MemberName, address: IPv6Address) {
        self.init(member: member, address: address, port: Self.postgresPort)
    }
}

/// A member that does not lead, with what is known of its fitness to answer reads.
public struct Replica: Hashable, Sendable {
    public var backend: Backend
    /// From this edge to the member, as the mesh measures it; nil when it has not been measured.
    public var roundTrip: Duration?
    /// Receives from the present leader at this moment.
    public var isStreaming: Bool
    public var lagBytes: UInt64
    public var lag: Duration

    public init(backend: Backend, roundTrip: Duration?, isStreaming: Bool, lagBytes: UInt64, lag: Duration) {
        self.backend = backend
        self.roundTrip = roundTrip
        self.isStreaming = isStreaming
        self.lagBytes = lagBytes
        self.lag = lag
    }
}

/// Where one anycast address leads, as far as the store is known here.
public struct ClusterRoute: Hashable, Sendable {
    public var app: AppName
    public var epoch: Epoch
    /// Nil while nobody leads or the leader's place is unknown.
    public var leader: Backend?
    /// The leader of `epoch` has said that it accepts clients.
    public var isOpen: Bool
    /// The members are leaving the leader for a new epoch: nobody is to be brought to it any more.
    public var isRecruiting: Bool
    /// All members but the leader.
    public var replicas: [Replica]
    public var encryption: Encryption
    /// The networks that clients may log in from; nil: all. Empty: none.
    public var allowed: [IPv4Prefix]?

    public init(
        app: AppName, epoch: Epoch, leader: Backend?, isOpen: Bool, isRecruiting: Bool = false,
        replicas: [Replica] = [], encryption: Encryption = .none, allowed: [IPv4Prefix]? = nil
    ) {
        self.app = app
        self.epoch = epoch
        self.leader = leader
        self.isOpen = isOpen
        self.isRecruiting = isRecruiting
        self.replicas = replicas
        self.encryption = encryption
        self.allowed = allowed
    }

    /// Whether a client from there may log in.
    func allows(_ client: IPv4Address) -> Bool { allowed?.contains { $0.contains(client) } ?? true }
}

public typealias ClusterTable = RouteTable<ClusterRoute>
