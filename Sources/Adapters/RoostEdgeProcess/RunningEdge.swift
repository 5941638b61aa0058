import Glibc
import RoostEdgeLink
import RoostEdgeWire
import RoostLinux
import RoostModel
import RoostPostgresWire
import RoostWire

/// An edge that runs, and what this roostd knows of it. One thread's own.
final class RunningEdge {
    private static let prefix = "edge-"
    private static let suffix = ".sock"

    /// Larger for an edge that was started later.
    let number: Int
    let path: String
    /// Nil for one that an earlier roostd has started.
    let child: ChildProcess?
    let since: Moment
    private(set) var process: pid_t
    private(set) var connection: EdgeConnection?
    private var feed = RouteFeed()
    /// Identities that were too long to be told.
    private var untold: Set<UInt32> = []

    var greeting: EdgeGreeting? {
        didSet { if let greeting { isForeign = greeting.protocolVersion != EdgeGreeting.protocolPresent } }
    }
    /// It has greeted, over this connection or an earlier one.
    var hasSpoken = false
    var isRetiring = false
    /// It is to retire by our will, and has not said yet that it does.
    var mustRetire = false
    /// It was told so over the present connection.
    var isToldToRetire = false
    var isInformed = false
    /// It accepts at sockets, as it says itself.
    var isAccepting = false
    /// As far as anybody knows, also while there is no link.
    var mayLetIn: Bool
    var hasShownSockets = false
    /// It has the listening sockets of this roostd.
    var isListening = false
    /// It says to the guard how it is, by a link that this roostd has made.
    var isGuarded = false
    var patience = EdgePatience()
    /// It was ended because it was of no use any more.
    var mustBeGoneBy: Moment?
    var troubles = EdgeTroubles()

    init(number: Int, folder: String, child: ChildProcess?, now: Moment) {
        self.number = number
        path = Self.path(number, in: folder)
        self.child = child
        process = child?.pid ?? 0
        mayLetIn = child == nil
        since = now
    }

    static func name(_ number: Int) -> String { prefix + "\(number)" }

    static func path(_ number: Int, in folder: String) -> String { folder + "/" + name(number) + suffix }

    static func number(ofFile name: String) -> Int? {
        guard name.hasPrefix(prefix), name.hasSuffix(suffix) else { return nil }
        return Int(name.dropFirst(prefix.count).dropLast(suffix.count))
    }

    /// It was ended, and neither speaks nor goes: the kernel does not let it, or nobody knows which process it is.
    func isLost(at now: Moment) -> Bool { mustBeGoneBy.map { now >= $0 } ?? false }

    /// It can be spoken to, speaks as we do, and has shown its sockets.
    var isKnown: Bool { greeting?.protocolVersion == EdgeGreeting.protocolPresent && hasShownSockets }
    /// It speaks another protocol, as it has said over this link or an earlier one: it drops each of them, for we do not
    /// speak as it does.
    private(set) var isForeign = false

    /// It accepts at the sockets, or will. What was heard of it holds while its link is made again.
    func mayAccept(at now: Moment) -> Bool {
        if isAccepting || isListening && !isRetiring { return true }
        return greeting == nil && !isRetiring && mayLetIn && !wasKilled && !isLost(at: now)
    }

    /// It lets clients in, or may do so. One that was started gets the sockets after it has spoken; one that was killed has
    /// no instruction left; one that retires and speaks another protocol cannot be asked.
    var servesClients: Bool { !wasKilled && (hasSpoken || child == nil) && (!isRetiring || mayLetIn && !isForeign) }
    private var wasKilled = false
    /// What it says that it can do. Nil while it has said nothing; of one that speaks another protocol nothing is believed.
    var capabilities: Set<Capability>? {
        guard let greeting else { return nil }
        return isForeign ? [] : Set(greeting.capabilities.map(Capability.of))
    }

    enum Contact {
        case made
        /// Nobody listens: not yet, or no more.
        case none
        /// Nobody takes what waits at the socket.
        case busy
        /// The socket is somebody else's.
        case stranger(PassingSocket.Peer)
    }

    func connect(as user: uid_t, release: String) throws -> Contact {
        let socket: Int32
        do throws(SystemError) {
            // Never waits: the same thread speaks to edges that listen.
            socket = try UnixSocket.connect(path)
        } catch {
            if error.code == EAGAIN { return .busy }
            guard error.code == ECONNREFUSED || error.code == ENOENT else { throw error }
            return .none
        }
        let connection = try EdgeConnection(descriptor: socket)
        // What is sent may wait, for a bounded time.
        _ = fcntl(socket, F_SETFL, 0)
        guard connection.peer.user == user, child == nil || child?.pid == connection.peer.process else {
            return .stranger(connection.peer)
        }
        try connection.send(.greeting(EdgeGreeting(release: release)))
        if process != connection.peer.process { (wasKilled, isForeign) = (false, false) }
        process = connection.peer.process
        self.connection = connection
        patience.reach()
        return .made
    }

    func disconnect() {
        connection = nil
        greeting = nil
        feed = RouteFeed()
        untold = []
        isInformed = false
        isToldToRetire = false
        isAccepting = false
        hasShownSockets = false
        isListening = false
        isGuarded = false
    }

    /// Tells it what is new.
    /// - Returns: addresses whose certificate or route is too long to be told: nobody is served there.
    func tell(_ table: ClusterTable) throws -> [IPv4Address] {
        guard let connection else { return [] }
        var unserved: [IPv4Address] = []
        for step in feed.steps(to: table) {
            switch step {
            case .identity(let body):
                do { try connection.send(.routes(step)) } catch is EdgeConnection.MessageTooLong {
                    untold.insert(body.number)
                }
            case .route(var body):
                if let number = body.identity, untold.contains(number) {
                    body.encryption = "unusable"
                    body.identity = nil
                    unserved.append(body.address)
                }
                do { try connection.send(.routes(.route(body))) } catch is EdgeConnection.MessageTooLong {
                    unserved.append(body.address)
                    try connection.send(.routes(.gone(body.address)))
                }
            case .table, .gone, .edges, .apply: try connection.send(.routes(step))
            }
        }
        return unserved
    }

    /// It retires, as it says itself.
    func retires() {
        isRetiring = true
        mustRetire = false
    }

    /// Once over each connection, until it says that it does: a link may fail before it has heard.
    func tellToRetire(within seconds: Int) throws {
        guard mustRetire, !isToldToRetire, let connection else { return }
        try connection.send(.retire(EdgeRetirementBody(drainSeconds: seconds)))
        isToldToRetire = true
    }

    var hasEnded: Bool {
        if let child { return child.hasEnded() }
        return process > 0 && Glibc.kill(process, 0) != 0 && errno == ESRCH
    }

    func kill() {
        guard process > 0 else { return }
        Glibc.kill(process, SIGKILL)
        wasKilled = true
    }

}
