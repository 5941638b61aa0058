public import RoostModel

/// A place where calls come in, who may come in there, and what everybody there is held to.
public struct APIDoor: Sendable {
    public enum Place: Hashable, Sendable {
        case socket(path: String)
        case tcp(host: String, port: Int)
    }

    public enum Callers: Sendable {
        /// Users without a token: root, and the account that `roostd` runs under. The kernel says who is at the other
        /// end of a socket.
        case root
        /// Users with the planet's token, and hosts with their own credential, each from its own address only: the mesh
        /// lets nobody send from the address of another host.
        case credentials(PlanetToken, addressOfPeer: @Sendable (HostName) -> String)
        /// The one machine that this socket is in.
        case member(MachineID)
    }

    public var place: Place
    public var callers: Callers
    public var limits: DoorLimits
    /// Whose door it is, for words that another host may pass on.
    public var host: HostName?

    public init(_ place: Place, for callers: Callers, limits: DoorLimits, of host: HostName? = nil) {
        self.place = place
        self.callers = callers
        self.limits = limits
        self.host = host
    }
}

/// What every caller of a door is held to.
public struct DoorLimits: Hashable, Sendable {
    /// More wait in the kernel's queue until one of these is closed.
    public var connectionsMax: Int
    /// A connection without a request, or with half of one, is hung up after this. A request that is being answered may
    /// take as long as it does.
    public var idleTime: Duration
    /// A request whose body has not come as a whole by then is hung up, however often a byte of it comes: else a few callers
    /// hold all connections.
    public var bodyTime: Duration
    /// What is answered and has not been taken as a whole by then is cut off, however often a byte of it is taken. What an
    /// answer takes to be made does not count; one that comes piece by piece has this time for each piece.
    public var answerTime: Duration
    public var bodyBytesMax: Int

    public init(
        connectionsMax: Int, idleTime: Duration, bodyTime: Duration, answerTime: Duration, bodyBytesMax: Int
    ) {
        self.answerTime = answerTime
        self.connectionsMax = connectionsMax
        self.idleTime = idleTime
        self.bodyTime = bodyTime
        self.bodyBytesMax = bodyBytesMax
    }

    /// Users and hosts. The idle time is longer than clients of this house keep their connections.
    public static let planet = DoorLimits(
        connectionsMax: 1024, idleTime: .seconds(20), bodyTime: .seconds(60), answerTime: .seconds(120),
        bodyBytesMax: 1 << 20)
    /// A machine, whose programs are anybody's.
    public static let member = DoorLimits(
        connectionsMax: 16, idleTime: .seconds(30), bodyTime: .seconds(30), answerTime: .seconds(30),
        bodyBytesMax: 64 << 10)
}
