import CLinux
import Glibc
public import Logging
import NIOCore
import NIOPosix
public import RoostBalancing
import RoostModel
public import ServiceLifecycle
import Synchronization

/// The edge of a host: accepts Postgres clients at anycast addresses and takes each to the member of its cluster that
/// it came for.
///
/// TLS ends here, with the cluster's certificate; from here to the member the bytes travel in clear inside the
/// encrypted mesh. A client in clear is served too, unless its route requires TLS. Postgres sees the edge's own mesh
/// address as the client's address. `channel_binding=require` cannot work through an edge: the TLS that a client would
/// bind to does not end at Postgres.
public final class EdgeService: Service {
    private struct State {
        var routes = RouteTable()
        var contexts: [TLSIdentity: TLSContext] = [:]
        var isAccepting = true
        var loops: [LoopHandle] = []
        var listenersWanted = 0
        var listenersOpen = 0
        /// Which address the next health check connects to.
        var probes = 0
    }

    private let configuration: EdgeConfiguration
    private let logger: Logger
    private let counters = EdgeCounters()
    private let room: WaitingRoom
    private let state = Mutex(State())
    /// Keeps one change of the routes whole before the next begins.
    private let changing = Mutex(())
    private let changes: AsyncStream<Void>
    private let changed: AsyncStream<Void>.Continuation

    public init(configuration: EdgeConfiguration = EdgeConfiguration(), logger: Logger = Logger(label: "roost.edge")) {
        self.configuration = configuration
        self.logger = logger
        room = WaitingRoom(limits: configuration.hold)
        (changes, changed) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    // MARK: - What the host says

    /// The routes are now these. Takes effect on every event loop at once: sessions that may not go on are cut, held
    /// ones are released, listeners come and go. May be called from any thread, before ``run()`` too.
    public func update(_ routes: RouteTable) {
        changing.withLock { _ in
            let contexts = contexts(for: routes)
            let (loops, old) = state.withLock { state in
                let old = state.routes
                state.routes = routes
                state.contexts = contexts
                return (state.loops, old)
            }
            guard routes != old else { return }
            for loop in loops { loop.execute { $0.update(routes, contexts: contexts) } }
            for door in openedDoors(from: old, to: routes) { room.opened(door) }
        }
        changed.yield()
    }

    /// False: stop listening; the sessions there are go on. True: listen again.
    public func setAccepting(_ isAccepting: Bool) {
        state.withLock { $0.isAccepting = isAccepting }
        changed.yield()
    }

    /// Doors that lead to somebody they did not lead to before.
    private func openedDoors(from old: RouteTable, to new: RouteTable) -> [Door] {
        new.addresses.flatMap { address in
            Access.allCases.compactMap { access -> Door? in
                guard let route = new[address] else { return nil }
                let before = old[address]?.candidates(for: access, within: configuration.replicas) ?? []
                let now = route.candidates(for: access, within: configuration.replicas)
                let isNews = Set(now) != Set(before) || old[address]?.epoch != route.epoch
                return isNews && !now.isEmpty ? Door(app: route.app, access: access) : nil
            }
        }
    }

    private func contexts(for routes: RouteTable) -> [TLSIdentity: TLSContext] {
        let known = state.withLock { $0.contexts }
        var contexts: [TLSIdentity: TLSContext] = [:]
        for (address, route) in routes.routes {
            guard let identity = route.tls, contexts[identity] == nil else { continue }
            do {
                contexts[identity] = try known[identity] ?? TLSContext(identity)
            } catch {
                logger.error(
                    "the cluster's certificate or key cannot be used; its clients are served without TLS",
                    metadata: ["address": "\(address)", "app": "\(route.app)", "error": "\(error)"])
            }
        }
        return contexts
    }

    // MARK: - What the host may ask

    public func stats() -> EdgeStats {
        var stats = counters.stats
        stats.held = room.count
        state.withLock {
            stats.listenersOpen = $0.listenersOpen
            stats.listenersWanted = $0.listenersWanted
        }
        return stats
    }

    /// By local facts only: every event loop turns, and a connection to one of the edge's own addresses (another one
    /// at each call) is accepted and answered, both within ``EdgeConfiguration/healthTime``. False before ``run()``
    /// and while the edge does not accept.
    public func health() async -> Bool {
        let (loops, target) = state.withLock { state in
            state.probes += 1
            let addresses = state.routes.addresses
            return (
                state.isAccepting ? state.loops : [],
                addresses.isEmpty ? nil : addresses[state.probes % addresses.count]
            )
        }
        guard !loops.isEmpty else { return false }
        return await HealthProbe(loops: loops.map(\.eventLoop), port: configuration.writePort)
            .check(target, within: configuration.healthTime)
    }

    // MARK: - Life

    /// Serves until the task is cancelled or shut down gracefully. On a graceful shutdown it stops accepting and gives
    /// its sessions ``EdgeConfiguration/drainTime``.
    public func run() async throws {
        let count = min(max(configuration.loops ?? System.coreCount, 1), EdgeConfiguration.loopsMax)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: count)
        let sessionsMax = min(configuration.sessionsMax, Self.raiseFileLimit())
        var handles: [LoopHandle] = []
        for (index, eventLoop) in group.makeIterator().enumerated() {
            handles.append(
                try await eventLoop.submit { [self] in
                    LoopHandle(
                        EdgeLoop(
                            eventLoop, index: index, configuration: configuration, sessionsMax: sessionsMax,
                            counters: counters, room: room, logger: logger))
                }.get())
        }
        begin(handles)
        await withGracefulShutdownHandler {
            await follow(handles)
        } onGracefulShutdown: {
            self.changed.finish()
        }
        state.withLock { $0.loops = [] }
        for handle in handles { handle.execute { $0.close() } }
        try await group.shutdownGracefully()
    }

    private func begin(_ handles: [LoopHandle]) {
        room.begin(handles)
        changing.withLock { _ in
            let (routes, contexts) = state.withLock { state in
                state.loops = handles
                return (state.routes, state.contexts)
            }
            for handle in handles { handle.execute { $0.update(routes, contexts: contexts) } }
        }
        changed.yield()
    }

    /// Keeps the listeners as they should be, until the stream of changes ends; then drains.
    private func follow(_ handles: [LoopHandle]) async {
        await withDiscardingTaskGroup { group in
            group.addTask {
                // Listeners that could not be opened are tried again.
                while (try? await Task.sleep(for: EdgeConfiguration.bindRetryInterval)) != nil {
                    if self.state.withLock({ $0.listenersOpen != $0.listenersWanted }) { self.changed.yield() }
                }
            }
            var listeners = Listeners(configuration: configuration, loops: handles, logger: logger)
            for await _ in changes { await adjust(&listeners) }
            state.withLock { $0.isAccepting = false }
            await adjust(&listeners)
            await drain()
            group.cancelAll()
        }
    }

    private func adjust(_ listeners: inout Listeners) async {
        let addresses = state.withLock { $0.isAccepting ? $0.routes.addresses : [] }
        let wanted = await listeners.follow(addresses)
        let open = listeners.count
        state.withLock {
            $0.listenersWanted = wanted
            $0.listenersOpen = open
        }
    }

    private func drain() async {
        let end = ContinuousClock.now + configuration.drainTime
        while counters.sessions.load(ordering: .relaxed) > 0, ContinuousClock.now < end {
            guard (try? await Task.sleep(for: EdgeConfiguration.sweepInterval)) != nil else { return }
        }
    }

    /// A session takes two file descriptors.
    ///
    /// - Returns: how many sessions there may be.
    private static func raiseFileLimit() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return .max }
        if limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        guard limit.rlim_cur < rlim_t(Int32.max) else { return .max }
        // Some are for the rest of the host's work.
        let reserved = min(Int(limit.rlim_cur) / 4, 512)
        return max((Int(limit.rlim_cur) - reserved) / 2, 1)
    }
}
