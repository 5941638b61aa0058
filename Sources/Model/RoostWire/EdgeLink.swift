public import RoostModel

/// What roostd and its edge say to each other over a UNIX socket: frames of a kind and a body, bodies in JSON.
///
/// Either side passes over kinds it does not know and fields it does not know, so that programs of two releases live
/// together while one replaces the other. A change that the other side must understand gets a capability, said in the
/// greeting.
public enum EdgeFrameKind: UInt16, Sendable, CaseIterable {
    /// Both, first: ``EdgeGreeting``.
    case greeting = 1
    /// roostd: routes follow from nothing on; those that are in force stay so until ``apply``.
    case table = 2
    /// roostd: ``EdgeIdentityBody``.
    case identity = 3
    /// roostd: ``EdgeRouteBody``, new or changed.
    case route = 4
    /// roostd: ``EdgeRouteGoneBody``.
    case routeGone = 5
    /// roostd: what was said since the last of these is in force now, all at once.
    case apply = 6
    /// roostd: listen on the sockets that come along, and on no others. The edge, after its greeting: the ones it has,
    /// for a roostd that has none. ``EdgeListenersBody``.
    case listeners = 7
    /// roostd, with a socket: tell the guard of the announcement by it how you are, from now on.
    case guarding = 8
    /// roostd: accept nobody any more, serve the sessions to their end, and end. ``EdgeRetirementBody``.
    case retire = 9
    /// roostd: it is there.
    case beat = 10
    /// The edge: ``EdgeReportBody``.
    case report = 11
    /// roostd: how many edges there are. ``EdgeCountBody``.
    case edges = 12
}

/// The first thing that either side says.
public struct EdgeGreeting: Hashable, Sendable, Codable {
    /// Of the frames themselves. Those of another cannot be read at all.
    public static let protocolPresent = 1
    /// What this release can do beyond the frames, each a word of ``Capability/ofEdges``.
    public static let capabilitiesPresent = Capability.ofEdges.map(\.rawValue).sorted()

    /// ``protocolPresent`` of who speaks.
    public var protocolVersion: Int
    /// ``capabilitiesPresent`` of who speaks; unknown ones are passed over.
    public var capabilities: [String]
    /// The release of the program, for people.
    public var release: String
    /// The edge: it knows routes.
    public var isInformed: Bool?
    /// The edge: it accepts nobody any more.
    public var isRetiring: Bool?

    /// Speaks for this release. roostd leaves out what is the edge's to say.
    public init(release: String, isInformed: Bool? = nil, isRetiring: Bool? = nil) {
        protocolVersion = Self.protocolPresent
        capabilities = Self.capabilitiesPresent
        self.release = release
        self.isInformed = isInformed
        self.isRetiring = isRetiring
    }

    enum CodingKeys: String, CodingKey {
        case protocolVersion = "protocol"
        case capabilities, release
        case isInformed = "is_informed"
        case isRetiring = "is_retiring"
    }
}

/// A certificate and its key, under the number by which routes name it. Both sides forget it when, after an
/// ``EdgeFrameKind/apply``, no route names it.
public struct EdgeIdentityBody: Hashable, Sendable, Codable {
    /// Of this connection; from 1 on, never given twice.
    public var number: UInt32
    /// PEM, the server's certificate first.
    public var certificateChain: String
    /// PEM. Never to be logged.
    public var privateKey: String

    /// As it is sent; nothing is checked.
    public init(number: UInt32, certificateChain: String, privateKey: String) {
        self.number = number
        self.certificateChain = certificateChain
        self.privateKey = privateKey
    }

    enum CodingKeys: String, CodingKey {
        case number
        case certificateChain = "certificate_chain"
        case privateKey = "private_key"
    }
}

/// Where one anycast address leads.
public struct EdgeRouteBody: Hashable, Sendable, Codable {
    /// A member as the edge reaches it: over the mesh.
    public struct Backend: Hashable, Sendable, Codable {
        /// For logs.
        public var member: MemberName
        /// On the mesh.
        public var address: IPv6Address
        /// TCP.
        public var port: UInt16

        /// As it is sent.
        public init(member: MemberName, address: IPv6Address, port: UInt16) {
            self.member = member
            self.address = address
            self.port = port
        }
    }

    /// A member that does not lead, with what is known of its fitness.
    public struct Replica: Hashable, Sendable, Codable {
        /// Where it is.
        public var backend: Backend
        /// From the edge's host; nil where nothing was measured.
        public var roundTripMicroseconds: Int64?
        /// It receives from the present leader.
        public var isStreaming: Bool
        /// Received and not replayed.
        public var lagBytes: UInt64
        /// Age of what was replayed last.
        public var lagMilliseconds: Int64

        /// As it is sent.
        public init(
            backend: Backend, roundTripMicroseconds: Int64?, isStreaming: Bool, lagBytes: UInt64, lagMilliseconds: Int64
        ) {
            self.backend = backend
            self.roundTripMicroseconds = roundTripMicroseconds
            self.isStreaming = isStreaming
            self.lagBytes = lagBytes
            self.lagMilliseconds = lagMilliseconds
        }

        enum CodingKeys: String, CodingKey {
            case backend
            case roundTripMicroseconds = "round_trip_us"
            case isStreaming = "is_streaming"
            case lagBytes = "lag_bytes"
            case lagMilliseconds = "lag_ms"
        }
    }

    /// The cluster's anycast address.
    public var address: IPv4Address
    /// The cluster.
    public var app: AppName
    /// A new one cuts the sessions of the old.
    public var epoch: Epoch
    /// Nil while nobody leads, or nobody knows where.
    public var leader: Backend?
    /// The leader has said that it accepts clients.
    public var isOpen: Bool
    /// The members are leaving the leader.
    public var isRecruiting: Bool
    /// All members but the leader.
    public var replicas: [Replica]
    /// `none`, `optional` or `required`; every other word means that nobody is served.
    public var encryption: String
    /// With `optional` and `required`.
    public var identity: UInt32?
    /// The networks that clients may come from; nil: all. Empty: none.
    public var allowed: [IPv4Prefix]?

    /// As it is sent; nothing is checked.
    public init(
        address: IPv4Address, app: AppName, epoch: Epoch, leader: Backend?, isOpen: Bool, isRecruiting: Bool,
        replicas: [Replica], encryption: String, identity: UInt32?, allowed: [IPv4Prefix]? = nil
    ) {
        self.address = address
        self.app = app
        self.epoch = epoch
        self.leader = leader
        self.isOpen = isOpen
        self.isRecruiting = isRecruiting
        self.replicas = replicas
        self.encryption = encryption
        self.identity = identity
        self.allowed = allowed
    }

    enum CodingKeys: String, CodingKey {
        case address, app, epoch, leader
        case isOpen = "is_open"
        case isRecruiting = "is_recruiting"
        case replicas, encryption, identity, allowed
    }
}

/// The address leads nowhere any more.
public struct EdgeRouteGoneBody: Hashable, Sendable, Codable {
    /// Of the cluster that is no more.
    public var address: IPv4Address

    /// As it is sent.
    public init(address: IPv4Address) { self.address = address }
}

/// How many edges share what a service has for clients in the middle of their login. An edge that is not told reckons with
/// itself alone.
public struct EdgeCountBody: Hashable, Sendable, Codable {
    /// The one that is told among them.
    public var edges: Int

    /// As it is sent.
    public init(edges: Int) { self.edges = edges }
}

/// The port of each socket that comes along, in their order. They are bound; the edge is to listen.
public struct EdgeListenersBody: Hashable, Sendable, Codable {
    /// None: listen no more.
    public var ports: [UInt16]

    /// As it is sent; the sockets go along in the same order.
    public init(ports: [UInt16]) { self.ports = ports }
}

/// How long the sessions may take to their end.
public struct EdgeRetirementBody: Hashable, Sendable, Codable {
    /// From when it is read; then those that are left are cut.
    public var drainSeconds: Int

    /// As it is sent.
    public init(drainSeconds: Int) { self.drainSeconds = drainSeconds }

    enum CodingKeys: String, CodingKey {
        case drainSeconds = "drain_seconds"
    }
}

/// How an edge is: at once when its health changes, and every second.
public struct EdgeReportBody: Hashable, Sendable, Codable {
    /// It listens at all its sockets, its event loops turn, and a connection to one of its own addresses is answered.
    public var isHealthy: Bool
    /// It was told of the planet at least once.
    public var isInformed: Bool
    /// It accepts nobody any more.
    public var isRetiring: Bool
    /// Client connections now.
    public var sessions: Int
    /// Everything that it counts, by name.
    public var counters: [String: Int]

    /// As it is sent.
    public init(isHealthy: Bool, isInformed: Bool, isRetiring: Bool, sessions: Int, counters: [String: Int]) {
        self.isHealthy = isHealthy
        self.isInformed = isInformed
        self.isRetiring = isRetiring
        self.sessions = sessions
        self.counters = counters
    }

    enum CodingKeys: String, CodingKey {
        case isHealthy = "is_healthy"
        case isInformed = "is_informed"
        case isRetiring = "is_retiring"
        case sessions, counters
    }
}

/// What an edge's announcement depends on; one byte of it goes from the edge to the guard of the announcement.
public enum EdgeHealth: String, Sendable, Codable, CaseIterable {
    /// Announce.
    case healthy
    /// Announce as the last choice (RFC 8326 community, prepended path): sessions finish, new ones go elsewhere.
    case draining
    /// Withdraw.
    case down

    /// How it is said to the guard.
    public var byte: UInt8 {
        switch self {
        case .healthy: UInt8(ascii: "h")
        case .draining: UInt8(ascii: "d")
        case .down: UInt8(ascii: "x")
        }
    }

    /// Nil for what no edge of this release says.
    public init?(byte: UInt8) {
        guard let found = Self.allCases.first(where: { $0.byte == byte }) else { return nil }
        self = found
    }
}
