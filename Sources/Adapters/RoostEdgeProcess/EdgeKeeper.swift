import Glibc
public import Logging
import RoostEdgeLink
import RoostLinux
import RoostModel
public import RoostPostgresWire
public import RoostRouting
import RoostWire
public import ServiceLifecycle
import Synchronization

/// Keeps an edge running and tells it what to do. Run it as a service; the edge outlives it, and the next one finds it.
public final class EdgeKeeper: Service {
    struct Orders: Sendable {
        var table: ClusterTable?
        /// The table is what the planet says now, and not what it said once.
        var isLive = false
        var isAccepting: Bool
        var isReplacementDue = false
    }

    /// How long the sessions of an edge that was replaced may go on.
    public static let drainTime = Duration.seconds(3600)
    /// For an edge to take what it is told when there is no keeper.
    private static let sendTime = Duration.seconds(5)
    /// After an attempt to replace an edge that came to nothing, unless somebody asks.
    public static let replacementInterval = Duration.seconds(60)

    let program: EdgeProgram
    /// The edges' sockets.
    let folder: String
    let logger: Logger
    let watch: @Sendable (Int32) -> Bool
    let bell: Bell
    /// Between two attempts to replace an edge.
    let replacementInterval: Duration
    private let orders: Mutex<Orders>
    private let isOver = Mutex(false)
    private let counted = Mutex<[String: Int]>([:])
    /// What every edge that may serve clients has said that it can do, whenever it changes, the newest only. While none
    /// has been heard: as it was, for there is nobody who would serve otherwise. For one reader.
    public let capabilities: AsyncStream<Set<Capability>>
    private let capabilityNews: AsyncStream<Set<Capability>>.Continuation
    private let saidLast = Mutex<Set<Capability>>([])

    /// - Parameters:
    ///   - folder: for the sockets of edges; nobody else may write there.
    ///   - isAccepting: false: the edge was stopped by hand.
    ///   - watch: gets the guard's end of a socket by which an edge says how it is. It says whether the guard has it: an
    ///     edge keeps the link that it has until then, and `watch` is asked again with another.
    public init(
        _ program: EdgeProgram, folder: String, isAccepting: Bool,
        replacementInterval: Duration = EdgeKeeper.replacementInterval, logger: Logger = Logger(label: "roost.edge"),
        watch: @escaping @Sendable (Int32) -> Bool
    ) throws {
        self.program = program
        self.folder = folder
        self.replacementInterval = replacementInterval
        self.logger = logger
        self.watch = watch
        orders = Mutex(Orders(isAccepting: isAccepting))
        bell = try Bell()
        (capabilities, capabilityNews) = AsyncStream.makeStream(
            of: Set<Capability>.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// The routes are now these.
    public func route(_ table: RouteTable<ClusterRoute>, isLive: Bool) {
        change {
            $0.table = table
            $0.isLive = isLive
        }
    }

    /// False: listen no more; the sessions there are go on.
    public func setAccepting(_ isAccepting: Bool) { change { $0.isAccepting = isAccepting } }

    /// Another process takes over, without a connection refused or cut.
    public func replace() { change { $0.isReplacementDue = true } }

    /// What the edge that serves has counted since it started, by name, as it said last.
    public func counters() -> [String: Int] { counted.withLock { $0 } }

    func note(_ counters: [String: Int]) { counted.withLock { $0 = counters } }

    func note(_ can: Set<Capability>) {
        let isNews = saidLast.withLock { last in
            defer { last = can }
            return last != can
        }
        if isNews { capabilityNews.yield(can) }
    }

    private func change(_ change: (inout Orders) -> Void) {
        orders.withLock { change(&$0) }
        bell.ring()
    }

    /// What is to be done now; an order to replace is given once.
    func takeOrders() -> Orders {
        orders.withLock { orders in
            let taken = orders
            orders.isReplacementDue = false
            return taken
        }
    }

    public func run() async throws {
        try DurableFile.makePrivateFolder(folder, mode: 0o700)
        await cancelWhenGracefulShutdown {
            await withTaskCancellationHandler {
                await BlockingCall.run {
                    var rounds = EdgeRounds(self)
                    while !self.isOver.withLock({ $0 }) { rounds.next() }
                    rounds.end()
                }
            } onCancel: {
                self.isOver.withLock { $0 = true }
                self.bell.ring()
            }
        }
    }

    /// On a host that is no edge any more: the edges that still run serve their sessions to the end.
    public static func end(folder: String) {
        for name in (try? FolderListing.names(in: folder)) ?? [] {
            let path = folder + "/" + name
            guard let socket = try? UnixSocket.connect(path, within: sendTime),
                let connection = try? EdgeConnection(descriptor: socket)
            else {
                unlink(path)
                continue
            }
            try? connection.send(.retire(EdgeRetirementBody(drainSeconds: Int(drainTime.components.seconds))))
        }
    }
}
