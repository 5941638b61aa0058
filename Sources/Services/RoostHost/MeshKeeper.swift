public import Logging
public import RoostMesh
public import RoostModel
public import RoostPlanet
public import ServiceLifecycle
import Synchronization

/// Tells the mesh who the other hosts are and which machines they have: all of it once and after an error, then what
/// every change of the planet means.
public struct MeshKeeper: Service {
    let host: HostName
    let seeds: [HostConfiguration.Seed]
    let watcher: PlanetWatcher
    let mesh: any MeshPeers
    let logger: Logger

    static let retryPause = Duration.seconds(1)

    public init(
        host: HostName, seeds: [HostConfiguration.Seed], watcher: PlanetWatcher, mesh: any MeshPeers, logger: Logger
    ) {
        self.host = host
        self.seeds = seeds
        self.watcher = watcher
        self.mesh = mesh
        self.logger = logger
    }

    public func run() async throws {
        let changes = watcher.changes.subscribe(to: PeerTable.isConcerned)
        await cancelWhenGracefulShutdown { await follow(changes) }
    }

    private func follow(_ changes: PlanetFeed.Subscription) async {
        let news = News()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { for await some in changes { news.add(some) } }
            group.addTask { await tell(news) }
            await group.next()
            group.cancelAll()
        }
    }

    /// What has changed since it was looked at, whether or not the mesh takes it.
    private final class News: Sendable {
        private let changes = Mutex<Set<PlanetChange>>([])
        private let calls = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

        var called: AsyncStream<Void> { calls.stream }

        /// All of it is news.
        init() { add([.all]) }

        func add(_ some: Set<PlanetChange>) {
            changes.withLock { $0.formUnion(some) }
            calls.continuation.yield()
        }

        func take() -> Set<PlanetChange> {
            changes.withLock { changes in
                defer { changes = [] }
                return changes
            }
        }
    }

    /// One peer that the mesh refuses keeps none of the later ones out: each attempt is made with what is known by then.
    private func tell(_ news: News) async {
        var table = PeerTable(host: host, seeds: seeds)
        var isSet = false
        for await _ in news.called {
            repeat {
                let changed = news.take()
                let steps = watcher.read { table.take(changed, from: $0) }
                do throws(MeshError) {
                    if !isSet {
                        try await mesh.setPeers(table.peers)
                        isSet = true
                    } else if !steps.isEmpty {
                        try await mesh.changePeers(steps)
                    }
                } catch {
                    // What of it was done is not known.
                    isSet = false
                    logger.error("cannot set the mesh's peers", metadata: ["error": "\(error)"])
                    try? await Task.sleep(for: Self.retryPause)
                }
            } while !isSet && !Task.isCancelled
        }
    }
}
