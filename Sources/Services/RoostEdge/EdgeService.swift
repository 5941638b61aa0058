public import Logging
import NIOCore
import NIOPosix
import RoostModel
public import RoostPostgresWire
public import RoostRouting
public import ServiceLifecycle
import Synchronization

/// The edge of a host: accepts Postgres clients at anycast addresses and takes each to the member of its cluster that
/// it came for.
///
/// TLS ends here, with the cluster's certificate; from here to the member the bytes travel in clear inside the
/// encrypted mesh. Postgres sees the edge's own mesh address as the client's address. `channel_binding=require` cannot
/// work through an edge: the TLS that a client would bind to does not end at Postgres.
public final class EdgeService: Service {
    private struct State {
        var routes = ClusterTable()
        /// The planet was heard of, now or before: the routes are what it said.
        var isInformed = false
        var contexts: [TLSIdentity: TLSContext] = [:]
        var isAccepting = true
        /// Another one for each set of sockets that was handed over.
        var socketsGeneration = 0
        /// It accepts nobody any more, and ends with its last session or after this time.
        var retirement: Duration?
        var loops: [LoopHandle] = []
        /// Asks the others how they are.
        var asker: (any EventLoop)?
        var listenersWanted = 0
        var listenersOpen = 0
        /// Which address the next health check connects to.
        var probes = 0
    }

    private let configuration: EdgeConfiguration
    private let logger: Logger
    let counters = EdgeCounters()
    private let shared: SharedRouting
    private let sockets: SocketSource
    private let passed: PassedSockets
    private let state = Mutex(State())
    /// Keeps one change of the routes whole before the next begins.
    private let changing = Mutex(())
    private let changes: AsyncStream<Void>
    private let changed: AsyncStream<Void>.Continuation

    /// - Parameter opensSockets: false: it listens at what ``listen(on:)`` gives it, and at nothing before.
    public convenience init(
        configuration: EdgeConfiguration = EdgeConfiguration(), logger: Logger = Logger(label: "roost.edge"),
        opensSockets: Bool = true
    ) {
        let passed = PassedSockets()
        self.init(
            configuration: configuration, logger: logger, passed: passed,
            sockets: opensSockets ? SocketSource.opened { try ListeningSocket(port: $0) } : passed.source)
        if !opensSockets { state.withLock { $0.isAccepting = false } }
    }

    /// `makeSocket`: where the listening sockets come from; called for a port, once for each loop.
    convenience init(
        configuration: EdgeConfiguration, logger: Logger,
        makeSocket: @escaping @Sendable (Int) throws -> ListeningSocket
    ) {
        self.init(
            configuration: configuration, logger: logger, passed: PassedSockets(), sockets: .opened(by: makeSocket))
    }

    private init(
        configuration: EdgeConfiguration, logger: Logger, passed: PassedSockets, sockets: SocketSource
    ) {
        self.configuration = configuration
        self.logger = logger
        self.passed = passed
        self.sockets = sockets
        shared = SharedRouting(configuration, FileRoom.ofThisProcess(configuration.admission))
        (changes, changed) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    // MARK: - What the host says

    /// The routes are now these. Takes effect on every event loop at once: sessions that may not go on are cut, held
    /// ones are released. May be called from any thread, before ``run()`` too. Only with what the planet said: an
    /// edge that was never told anything is not healthy.
    public func update(_ told: RouteTable<ClusterRoute>) {
        changing.withLock { _ in
            let (routes, contexts) = usable(told)
            let (loops, old) = state.withLock { state in
                let old = state.routes
                state.routes = routes
                state.isInformed = true
                state.contexts = contexts
                return (state.loops, old)
            }
            guard routes != old else { return }
            shared.share(among: routes.edges)
            for loop in loops { loop.execute { $0.update(routes, contexts: contexts) } }
            for door in openedDoors(from: old, to: routes) { shared.opened(door) }
        }
        changed.yield()
    }

    /// False: stop listening; the sessions there are go on. True: listen again.
    public func setAccepting(_ isAccepting: Bool) {
        state.withLock { $0.isAccepting = isAccepting }
        changed.yield()
    }

    /// Listens on these sockets, which are bound, and on no others; on none: stop listening. The sessions there are go
    /// on. The descriptors become this edge's own.
    public func listen(on sockets: [(port: UInt16, descriptor: Int32)]) {
        passed.replace(sockets)
        state.withLock {
            $0.isAccepting = !sockets.isEmpty
            $0.socketsGeneration += 1
        }
        changed.yield()
    }

    /// Accepts nobody any more; ``run()`` returns when the last session has ended, or after this time.
    public func retire(within time: Duration) {
        state.withLock { $0.retirement = time }
        changed.finish()
    }

    /// Doors that lead to somebody they did not lead to before.
    private func openedDoors(from old: ClusterTable, to new: ClusterTable) -> [Door] {
        new.addresses.flatMap { address in
            Access.allCases.compactMap { access -> Door? in
                guard let route = new[address] else { return nil }
                let before = old[address]?.candidates(for: access, within: configuration.session.replicas) ?? []
                let now = route.candidates(for: access, within: configuration.session.replicas)
                let isNews = Set(now) != Set(before) || old[address]?.epoch != route.epoch
                return isNews && !now.isEmpty ? Door(app: route.app, access: access) : nil
            }
        }
    }

    /// The routes with what this edge can do of them: a certificate that cannot be used serves nobody, and nobody is
    /// served in clear instead.
    private func usable(_ told: ClusterTable) -> (ClusterTable, [TLSIdentity: TLSContext]) {
        let known = state.withLock { $0.contexts }
        var contexts: [TLSIdentity: TLSContext] = [:]
        var routes = told
        for (address, route) in told.routes {
            guard let identity = route.encryption.identity, contexts[identity] == nil else { continue }
            do {
                contexts[identity] = try known[identity] ?? TLSContext(identity)
            } catch {
                routes.routes[address]?.encryption = .unusable
                logger.error(
                    "the cluster's certificate or key cannot be used; its clients are refused",
                    metadata: ["address": "\(address)", "app": "\(route.app)", "error": "\(error)"])
            }
        }
        return (routes, contexts)
    }

    // MARK: - What the host may ask

    public func stats() -> EdgeStats {
        var stats = counters.stats
        stats.held = shared.held
        state.withLock {
            stats.listenersOpen = $0.listenersOpen
            stats.listenersWanted = $0.listenersWanted
        }
        return stats
    }

    /// It was told of the planet, now or before.
    public var isInformed: Bool { state.withLock { $0.isInformed } }
    public var isRetiring: Bool { state.withLock { $0.retirement != nil } }

    /// Copies of the sockets that were handed over; the caller's to close.
    func copyPassedSockets() -> [(port: UInt16, descriptor: Int32)] { passed.copies() }

    /// By local facts only: every event loop turns, and a connection to one of the edge's own addresses (another one
    /// at each call) is accepted and answered, both within ``EdgeConfiguration/healthTime``; ``HealthSigns`` says what
    /// else will do. False before ``run()`` and while the edge does not accept, lacks a listener, or knows of no planet.
    public func health() async -> Bool {
        let (loops, asker, target) = state.withLock { state in
            state.probes += 1
            let addresses = state.routes.addresses
            let isReady =
                state.isAccepting && state.isInformed && state.listenersWanted > 0
                && state.listenersOpen == state.listenersWanted
            return (
                isReady ? state.loops : [], state.asker,
                addresses.isEmpty ? nil : addresses[state.probes % addresses.count]
            )
        }
        guard let asker, !loops.isEmpty else { return false }
        let probe = HealthProbe(loops: loops.map(\.eventLoop), asker: asker, port: configuration.writePort)
        let answers = counters.answers.load(ordering: .relaxed)
        let answer = await probe.check(target, within: configuration.healthTime)
        let sinceShortage =
            Moment.present.sinceBoot.milliseconds - Int64(counters.lastShortage.load(ordering: .relaxed))
        return HealthSigns(
            answer: answer, answersClients: counters.answers.load(ordering: .relaxed) != answers,
            isShort: sinceShortage < 2 * configuration.healthTime.milliseconds,
            stillness: loops.map(\.pulse.stillness).max() ?? .zero
        ).isHealthy
    }

    // MARK: - Life

    /// Serves until the task is cancelled or shut down gracefully. On a graceful shutdown it stops accepting and gives
    /// its sessions ``EdgeConfiguration/drainTime``; after ``retire(within:)``, the time said there.
    public func run() async throws {
        let count = min(max(configuration.loops ?? System.coreCount, 1), EdgeConfiguration.loopsMax)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: count)
        let askers = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        state.withLock { $0.asker = askers.any() }
        var handles: [LoopHandle] = []
        for (index, eventLoop) in group.makeIterator().enumerated() {
            handles.append(
                try await eventLoop.submit { [self] in
                    LoopHandle(
                        EdgeLoop(
                            eventLoop, index: index, configuration: configuration, counters: counters, shared: shared,
                            logger: logger))
                }.get())
        }
        begin(handles)
        await withGracefulShutdownHandler {
            await follow(handles)
        } onGracefulShutdown: {
            self.changed.finish()
        }
        state.withLock { ($0.loops, $0.asker) = ([], nil) }
        for handle in handles { handle.execute { $0.close() } }
        try await group.shutdownGracefully()
        try await askers.shutdownGracefully()
    }

    private func begin(_ handles: [LoopHandle]) {
        shared.begin(handles)
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
            var listeners = Listeners(
                configuration: configuration, loops: handles, logger: logger, sockets: sockets)
            for await _ in changes { await adjust(&listeners) }
            state.withLock { $0.isAccepting = false }
            await adjust(&listeners)
            passed.replace([])
            await drain()
            group.cancelAll()
        }
    }

    private func adjust(_ listeners: inout Listeners) async {
        let (isAccepting, generation) = state.withLock { ($0.isAccepting, $0.socketsGeneration) }
        let wanted = await listeners.follow(isAccepting: isAccepting, generation: generation)
        let open = listeners.count
        state.withLock {
            $0.listenersWanted = wanted
            $0.listenersOpen = open
        }
    }

    private func drain() async {
        let start = Moment.present
        while counters.sessions.load(ordering: .relaxed) > 0,
            Moment.present - start < state.withLock({ $0.retirement }) ?? configuration.drainTime
        {
            guard (try? await Task.sleep(for: EdgeConfiguration.sweepInterval)) != nil else { return }
        }
    }
}
