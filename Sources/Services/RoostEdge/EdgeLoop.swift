import Logging
import NIOCore
import NIOPosix
import RoostLinux
import RoostModel
import RoostPostgresWire
import RoostRouting
import Synchronization

/// The part of an edge that lives on one event loop: its sessions, and its copy of the routes. Nothing in it is
/// shared, so nothing on the way of a byte takes a lock.
final class EdgeLoop {
    let eventLoop: any EventLoop
    let configuration: EdgeConfiguration
    let counters: EdgeCounters
    let shared: SharedRouting
    let logger: Logger
    private let index: Int
    private let sessionLimits: SessionCore.Limits

    private(set) var routes = ClusterTable()
    private var routesByApp: [AppName: ClusterRoute] = [:]
    private var contexts: [TLSIdentity: TLSContext] = [:]
    private var sessions: [SessionID: Session] = [:]
    /// Those with a deadline.
    private var timed: [SessionID: Session] = [:]
    /// Doors for which a retry is due on this loop.
    private var retrying: Set<Door> = []
    private var shortagesLogged: [SessionCore.Shortage: Moment] = [:]
    private var nextNumber: UInt64 = 0
    private var sweeps = 0
    private var isClosed = false
    private var loginLog = LoginLog(limit: EdgeConfiguration.loginLinesMax)
    let pulse = LoopPulse()

    init(
        _ eventLoop: any EventLoop, index: Int, configuration: EdgeConfiguration, counters: EdgeCounters,
        shared: SharedRouting, logger: Logger
    ) {
        self.eventLoop = eventLoop
        self.index = index
        self.configuration = configuration
        self.counters = counters
        self.shared = shared
        self.logger = logger
        var limits = configuration.session
        limits.waitMax = configuration.hold.waitMax
        sessionLimits = limits
        scheduleSweep()
    }

    /// The loop a session lives on, from its id.
    static func index(of session: SessionID) -> Int { Int(session.number % UInt64(EdgeConfiguration.loopsMax)) }

    // MARK: Sessions

    /// A client's connection, before its first byte. The handler goes into the channel here.
    func accept(_ channel: any Channel, for access: Access) throws {
        // A turn with many clients in it is a long one, and no standstill.
        pulse.beat()
        // The edge's own checks are no clients.
        if channel.localAddress?.v4 != channel.remoteAddress?.v4 { counters.accepted.increment() }
        guard let local = channel.localAddress?.v4, let remote = channel.remoteAddress?.v4, let route = routes[local]
        else {
            // An address of this host that no service has: as if nobody listened there.
            counters.strays.increment()
            SocketOptions.closeByReset(channel)
            throw ChannelError.inappropriateOperationForState
        }
        switch shared.arrive(from: SourcePrefix(of: remote), isOwn: remote == local, now: .present) {
        case .admitted(let place):
            counters.sessions.increment()
            try begin(channel, from: remote, at: local, for: access, route, place, refusal: nil)
        case .refused(let refusal, let place):
            try begin(channel, from: remote, at: local, for: access, route, place, refusal: refusal)
        case .dropped:
            counters.refused.increment()
            SocketOptions.closeByReset(channel)
            throw ChannelError.inappropriateOperationForState
        }
    }

    private func begin(
        _ channel: any Channel, from client: IPv4Address, at address: IPv4Address, for access: Access,
        _ route: ClusterRoute, _ place: Admission.Place, refusal: Admission.Refusal?
    ) throws {
        nextNumber += 1
        let id = SessionID(nextNumber * UInt64(EdgeConfiguration.loopsMax) + UInt64(index))
        let core = SessionCore(
            id: id, client: client, address: address, access: access, route: route, limits: sessionLimits,
            now: .present)
        let session = Session(core, loop: self, client: channel, place: place, refusal: refusal)
        sessions[id] = session
        settle(session)
        try channel.pipeline.syncOperations.addHandler(session.client)
    }

    /// A session's deadline may have changed.
    func settle(_ session: Session) {
        guard sessions[session.id] != nil else { return }
        timed[session.id] = session.deadline == nil ? nil : session
    }

    func remove(_ session: Session, wasRefused: Bool) {
        timed[session.id] = nil
        if sessions.removeValue(forKey: session.id) != nil, !wasRefused { counters.sessions.decrement() }
    }

    func call(_ ids: [SessionID], _ call: SharedRouting.Call) {
        for id in ids {
            switch call {
            case .called: sessions[id]?.receive(.called)
            case .placed: sessions[id]?.receive(.placed)
            }
        }
    }

    /// Ends everything: the edge stops.
    func close() {
        isClosed = true
        for session in Array(sessions.values) { session.receive(.clientGone) }
    }

    private func scheduleSweep() {
        eventLoop.assumeIsolated().scheduleTask(in: EdgeConfiguration.sweepInterval.timeAmount) { [weak self] in
            guard let self, !isClosed else { return }
            sweep()
            scheduleSweep()
        }
    }

    private func sweep() {
        pulse.beat()
        sweeps += 1
        let now = Moment.present
        for session in Array(timed.values) where session.deadline.map({ $0 <= now }) ?? false {
            session.receive(.deadlinePassed)
        }
        guard sweeps.isMultiple(of: EdgeConfiguration.sweepsPerReview) else { return }
        for session in Array(sessions.values) where session.access == .read { session.receive(.reviewDue) }
    }

    // MARK: Routes

    func update(_ routes: ClusterTable, contexts: [TLSIdentity: TLSContext]) {
        let old = self.routes
        self.routes = routes
        self.contexts = contexts
        let changed = Set(old.routes.keys).union(routes.routes.keys).filter { old[$0] != routes[$0] }
        guard !changed.isEmpty else { return }
        routesByApp = Dictionary(routes.routes.values.map { ($0.app, $0) }, uniquingKeysWith: { first, _ in first })
        for session in Array(sessions.values) where changed.contains(session.address) {
            session.receive(.routeChanged(routes[session.address]))
        }
    }

    func tlsContext(_ identity: TLSIdentity) -> TLSContext? { contexts[identity] }

    /// Some of those who wait at the door try again in a moment, if there is somebody to try.
    func retryLater(_ door: Door) {
        guard retrying.insert(door).inserted else { return }
        eventLoop.assumeIsolated().scheduleTask(in: configuration.retryInterval.timeAmount) { [self] in
            retrying.remove(door)
            guard
                let route = routesByApp[door.app],
                !route.candidates(for: door.access, within: sessionLimits.replicas).isEmpty
            else { return }
            shared.retry(door)
        }
    }

    // MARK: Backends

    /// Connects on this loop. `prepare` gets the channel before it connects and puts the handlers in.
    func connect(to backend: Backend, prepare: @escaping @Sendable (any Channel) throws -> Void)
        -> EventLoopFuture<any Channel>
    {
        var bootstrap = ClientBootstrap(group: eventLoop)
            // The session's own deadline is earlier.
            .connectTimeout((sessionLimits.connectTime * 2).timeAmount)
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

// MARK: - Counting and telling

extension EdgeLoop {
    func note(_ note: SessionCore.Note, of session: Session, through backend: Leg?) {
        pulse.beat()
        switch note {
        case .encrypted, .refused, .established: if !session.isOwn { counters.answers.increment() }
        case .held, .short, .silent, .answered, .attemptFailed, .cut: break
        }
        switch note {
        case .encrypted: counters.tls.increment()
        case .held: counters.everHeld.increment()
        case .refused: counters.refused.increment()
        case .short(let shortage): isShort(of: shortage)
        case .silent(let member): shared.wasSilent(member, now: .present)
        case .answered(let member): shared.answered(member)
        case .attemptFailed(let member, let reason):
            counters.attemptsFailed.increment()
            logger.debug(
                "attempt failed",
                metadata: [
                    "address": "\(session.address)", "backend": "\(member)", "reason": "\(reason.rawValue)",
                ])
        case .cut(let reason):
            counters.cut.increment()
            logger.debug(
                "session cut",
                metadata: [
                    "address": "\(session.address)", "session": "\(session.id.number)",
                    "reason": "\(reason.rawValue)",
                ])
        case .established(let member, let isIn):
            counters.established.increment()
            guard isIn else { return }
            guard
                let unlogged = loginLog.take(
                    session.peer?.v4 ?? session.address, at: session.address, now: .present)
            else { return }
            // Postgres knows the session by this edge's address and the local port: the two logs meet there.
            logger.info(
                "client logged in",
                metadata: [
                    "client": "\(session.peer.map { "\($0)" } ?? "-")", "session": "\(session.id.number)",
                    "address": "\(session.address)", "access": "\(session.access.rawValue)",
                    "member": "\(member.member)",
                    "local_port": "\(backend?.context?.channel.localAddress?.port ?? 0)",
                    "unlogged": "\(unlogged)",
                ])
        }
    }

    /// This host is out of something. It is no sign against anybody else, so it has to be said here.
    func isShort(of shortage: SessionCore.Shortage) {
        let now = Moment.present
        counters.shortages.increment()
        counters.lastShortage.store(Int(now.sinceBoot.milliseconds), ordering: .relaxed)
        if let last = shortagesLogged[shortage], now - last < EdgeConfiguration.shortageLogInterval { return }
        shortagesLogged[shortage] = now
        logger.error("this host is out of \(shortage.rawValue): clients wait at this edge")
    }
}

extension Duration {
    var timeAmount: TimeAmount {
        .nanoseconds(components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000)
    }
}

extension Moment {
    /// A moment is one of one clock everywhere. NIO's own, which stops while the host sleeps, is for its timers.
    static var present: Moment { BootClock.now() }
}
