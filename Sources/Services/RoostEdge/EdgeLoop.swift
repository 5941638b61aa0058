import Logging
import NIOCore
import NIOPosix
import RoostBalancing
import RoostModel
import Synchronization

/// The part of an edge that lives on one event loop: its sessions, and its copy of the routes. Nothing in it is
/// shared, so nothing on the way of a byte takes a lock.
final class EdgeLoop {
    let eventLoop: any EventLoop
    let configuration: EdgeConfiguration
    let counters: EdgeCounters
    let room: WaitingRoom
    let logger: Logger
    private let index: Int
    private let sessionsMax: Int

    private(set) var routes = RouteTable()
    private var contexts: [TLSIdentity: TLSContext] = [:]
    private var sessions: [SessionID: Session] = [:]
    /// Those with a deadline.
    private var timed: [SessionID: Session] = [:]
    /// Doors for which a retry is due on this loop.
    private var retrying: Set<Door> = []
    private var nextNumber: UInt64 = 0
    private var sweeps = 0
    private var isClosed = false

    init(
        _ eventLoop: any EventLoop, index: Int, configuration: EdgeConfiguration, sessionsMax: Int,
        counters: EdgeCounters, room: WaitingRoom, logger: Logger
    ) {
        self.eventLoop = eventLoop
        self.index = index
        self.configuration = configuration
        self.sessionsMax = sessionsMax
        self.counters = counters
        self.room = room
        self.logger = logger
        scheduleSweep()
    }

    /// The loop a session lives on, from its id.
    static func index(of session: SessionID) -> Int { Int(session.number % UInt64(EdgeConfiguration.loopsMax)) }

    // MARK: Sessions

    /// A client's connection, before its first byte. The handler goes into the channel here.
    func accept(_ channel: any Channel, at address: IPv4Address, for access: Access) throws {
        counters.accepted.increment()
        guard counters.sessions.load(ordering: .relaxed) < sessionsMax else {
            counters.refused.increment()
            return try channel.pipeline.syncOperations.addHandler(Doorkeeper())
        }
        nextNumber += 1
        let id = SessionID(nextNumber * UInt64(EdgeConfiguration.loopsMax) + UInt64(index))
        let session = Session(id: id, loop: self, address: address, access: access, client: channel)
        try channel.pipeline.syncOperations.addHandler(session.client)
        counters.sessions.increment()
        sessions[id] = session
        settle(session)
    }

    /// A session's deadline changed.
    func settle(_ session: Session) {
        timed[session.id] = session.deadline == nil ? nil : session
    }

    func remove(_ session: Session) {
        timed[session.id] = nil
        if sessions.removeValue(forKey: session.id) != nil { counters.sessions.decrement() }
    }

    func resume(_ ids: [SessionID]) {
        for id in ids { sessions[id]?.resume() }
    }

    /// Ends everything: the edge stops.
    func close() {
        isClosed = true
        for session in Array(sessions.values) { session.finish() }
    }

    private func scheduleSweep() {
        eventLoop.assumeIsolated().scheduleTask(in: EdgeConfiguration.sweepInterval.timeAmount) { [weak self] in
            guard let self, !isClosed else { return }
            sweep()
            scheduleSweep()
        }
    }

    private func sweep() {
        sweeps += 1
        let now = NIODeadline.now()
        for session in Array(timed.values) where session.deadline.map({ $0 <= now }) ?? false { session.timedOut() }
        guard sweeps.isMultiple(of: EdgeConfiguration.sweepsPerReview) else { return }
        for session in Array(sessions.values) where session.access == .read { session.review(routes[session.address]) }
    }

    // MARK: Routes

    func update(_ routes: RouteTable, contexts: [TLSIdentity: TLSContext]) {
        let old = self.routes
        self.routes = routes
        self.contexts = contexts
        let changed = Set(old.routes.keys).union(routes.routes.keys).filter { old[$0] != routes[$0] }
        guard !changed.isEmpty else { return }
        for session in Array(sessions.values) where changed.contains(session.address) {
            session.review(routes[session.address])
        }
    }

    func tlsContext(at address: IPv4Address) -> TLSContext? {
        routes[address]?.tls.flatMap { contexts[$0] }
    }

    /// Some of those who wait at the door try again in a moment, if there is somebody to try.
    func retryLater(_ door: Door) {
        guard retrying.insert(door).inserted else { return }
        eventLoop.assumeIsolated().scheduleTask(in: configuration.retryInterval.timeAmount) { [self] in
            retrying.remove(door)
            guard
                let route = routes.routes.values.first(where: { $0.app == door.app }),
                !route.candidates(for: door.access, within: configuration.replicas).isEmpty
            else { return }
            room.retry(door)
        }
    }

    // MARK: Backends

    /// Connects on this loop. `prepare` gets the channel before it connects and puts the handlers in.
    func connect(to backend: Backend, prepare: @escaping @Sendable (any Channel) throws -> Void)
        -> EventLoopFuture<any Channel>
    {
        var bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(configuration.connectTime.timeAmount)
            .channelOption(.autoRead, value: false)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.writeBufferWaterMark, value: SocketOptions.waterMark)
            .channelOption(.recvAllocator, value: SocketOptions.receiveBuffer)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try prepare(channel) }
            }
        for (option, value) in SocketOptions.peer {
            bootstrap = bootstrap.channelOption(option, value: value)
        }
        do {
            return bootstrap.connect(to: try backend.socketAddress)
        } catch {
            return eventLoop.makeFailedFuture(error)
        }
    }
}

extension Backend {
    var socketAddress: SocketAddress {
        get throws {
            var bytes = ByteBuffer()
            bytes.writeInteger(address.high)
            bytes.writeInteger(address.low)
            return try SocketAddress(packedIPAddress: bytes, port: Int(port))
        }
    }
}

extension Duration {
    var timeAmount: TimeAmount {
        .nanoseconds(components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000)
    }
}

extension Moment {
    /// By the clock NIO's deadlines use.
    static var present: Moment {
        Moment(sinceBoot: .nanoseconds(Int64(NIODeadline.now().uptimeNanoseconds)))
    }
}
