public import RoostModel

/// A member of a cluster as an edge reaches it: over the mesh, at the member's own address.
public struct Backend: Hashable, Sendable, CustomStringConvertible {
    public var member: MemberName
    public var address: IPv6Address
    public var port: UInt16

    /// The port Postgres listens on in every machine.
    public static let portDefault: UInt16 = 5432

    public init(member: MemberName, address: IPv6Address, port: UInt16 = Backend.portDefault) {
        self.member = member
        self.address = address
        self.port = port
    }

    public var description: String { "\(member) at [\(address)]:\(port)" }
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

/// What an edge shows to a client that asks for TLS: the cluster's certificate and its key, both PEM.
public struct TLSIdentity: Hashable, Sendable, CustomStringConvertible {
    /// The server certificate first, then the chain, if there is one.
    public var certificateChain: String
    public var privateKey: String

    public init(certificateChain: String, privateKey: String) {
        self.certificateChain = certificateChain
        self.privateKey = privateKey
    }

    /// Never the key: values end up in logs.
    public var description: String { "TLS identity of \(certificateChain.utf8.count) certificate bytes" }
}

/// Which of a cluster's two ports a client came to.
public enum Access: String, Hashable, Sendable, CaseIterable {
    /// Port 5432: the primary, and nothing but the primary.
    case write
    /// Port 5433: the nearest replica that keeps up.
    case read
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
    /// Nil: the edge answers 'N' to a client that asks for TLS.
    public var tls: TLSIdentity?
    /// Refuses a client that speaks in clear. Off by default: the client chooses (`sslmode`), and SCRAM never sends
    /// a password in clear either way.
    public var requiresTLS: Bool

    public init(
        app: AppName, epoch: Epoch, leader: Backend?, isOpen: Bool, isRecruiting: Bool = false,
        replicas: [Replica] = [],
        tls: TLSIdentity? = nil,
        requiresTLS: Bool = false
    ) {
        self.app = app
        self.epoch = epoch
        self.leader = leader
        self.isOpen = isOpen
        self.isRecruiting = isRecruiting
        self.replicas = replicas
        self.tls = tls
        self.requiresTLS = requiresTLS
    }
}

/// Every anycast address an edge serves. A value: an edge gets a whole new one at each change, never a part.
public struct RouteTable: Hashable, Sendable {
    public var routes: [IPv4Address: ClusterRoute]

    public init(_ routes: [IPv4Address: ClusterRoute] = [:]) { self.routes = routes }

    public subscript(address: IPv4Address) -> ClusterRoute? { routes[address] }

    /// In the order of the addresses, so that whoever walks the table does it the same way each time.
    public var addresses: [IPv4Address] { routes.keys.sorted() }
}
