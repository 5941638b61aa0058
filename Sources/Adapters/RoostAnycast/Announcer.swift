public import RoostModel
public import RoostWire

public struct EdgeUplink: Hashable, Sendable {
    /// The provider's name.
    public var name: String
    public var neighbor: IPv4Address
    public var neighborAS: UInt32
    public var local: IPv4Address
    /// Signs the session (RFC 2385), as agreed with the provider; nil: it is not signed.
    public var password: String?
    /// Packets must come from the link itself (RFC 5082). Only where the provider does the same.
    public var checksTTL: Bool?

    static let passwordLengthMax = 80

    public init(
        name: String, neighbor: IPv4Address, neighborAS: UInt32, local: IPv4Address, password: String? = nil,
        checksTTL: Bool? = nil
    ) {
        self.name = name
        self.neighbor = neighbor
        self.neighborAS = neighborAS
        self.local = local
        self.password = password
        self.checksTTL = checksTTL
    }
}

public struct AnnouncementStatus: Hashable, Sendable {
    public var announced: EdgeHealth
    public var sessions: [Session]

    public struct Session: Hashable, Sendable {
        public var uplink: String
        public var isEstablished: Bool

        public init(uplink: String, isEstablished: Bool) {
            self.uplink = uplink
            self.isEstablished = isEstablished
        }
    }

    public init(announced: EdgeHealth, sessions: [Session]) {
        self.announced = announced
        self.sessions = sessions
    }

    /// Announced as well, and somebody hears it: an edge without neighbours is reached by its own addresses.
    var leadsClients: Bool {
        announced == .healthy && (sessions.isEmpty || sessions.contains(where: \.isEstablished))
    }
}
