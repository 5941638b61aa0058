public import RoostMesh
public import RoostModel
public import RoostPlanet
public import RoostPostgresWire
public import RoostRouting
public import ServiceLifecycle
import Synchronization

/// Turns the planet into the table an edge routes by, and hands it over when it has changed: by the planet, or by the
/// distances, which change also while the store is away; by who says nothing any more, by what a leader's host has told this one straight; and when it becomes what the planet says now, not what it said
/// when this process began. Nothing is handed over before the planet was heard of, in this
/// process or (as the copy on disk says) before.
public struct EdgeRouting: Service {
    let watcher: PlanetWatcher
    let hearing: ClusterHearing
    let news: LeaderNews
    let mesh: any MeshPaths
    let host: HostName
    let update: @Sendable (_ table: ClusterTable, _ isLive: Bool) async -> Void

    public init(
        watcher: PlanetWatcher, hearing: ClusterHearing, news: LeaderNews, mesh: any MeshPaths, host: HostName,
        update: @escaping @Sendable (_ table: RouteTable<ClusterRoute>, _ isLive: Bool) async -> Void
    ) {
        self.watcher = watcher
        self.hearing = hearing
        self.news = news
        self.mesh = mesh
        self.host = host
        self.update = update
    }

    /// Routes come from clusters and what edges show of them. Whether anything else is heard holds up no failover; where
    /// a member's machine is does not change.
    private var isLive: Bool { watcher.hasHeard && watcher.isLive(ClusterInterest.ofEdges) }

    public func run() async throws {
        let changes = watcher.changes.subscribe(to: RouteBook.isConcerned)
        let (reasons, reason) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let due = Due()
        // On disk there is what another process of this host has heard.
        let isKnown = watcher.read { !$0.clusters.isEmpty }
        reason.yield()
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask {
                    for await some in changes {
                        due.note(some)
                        reason.yield()
                    }
                }
                group.addTask {
                    while (try? await Task.sleep(for: Self.measureInterval)) != nil {
                        due.noteMeasured()
                        reason.yield()
                    }
                }
                group.addTask {
                    // Nobody tells that nothing is told.
                    while (try? await Task.sleep(for: ClusterHearing.interval)) != nil {
                        if due.note(hearing.silent()) { reason.yield() }
                        // Nor that what was told counts no more.
                        if !news.isEmpty { reason.yield() }
                    }
                }
                group.addTask {
                    for await _ in news.told { reason.yield() }
                }
                var book = RouteBook(host: host)
                var isHanded = false
                var wasLive = false
                for await _ in reasons where isHanded || isKnown || isLive {
                    let now = due.take()
                    let measurements = now.isMeasured ? await mesh.measurements() : nil
                    let isLive = self.isLive
                    let isChanged = watcher.read {
                        book.take(
                            now.changes, measurements, silent: now.silent, told: news.beats(isLive: isLive), from: $0)
                    }
                    guard isChanged || !isHanded || isLive != wasLive else { continue }
                    isHanded = true
                    wasLive = isLive
                    await update(book.table, isLive)
                }
                group.cancelAll()
            }
        }
    }

    /// What has come since the table was last looked at.
    private final class Due: Sendable {
        private struct State {
            var changes: Set<PlanetChange> = []
            var isMeasured = false
            var silent: [AppName: SilentMembers] = [:]
        }

        private let state = Mutex(State(changes: [.all], isMeasured: true))

        func note(_ changes: Set<PlanetChange>) { state.withLock { $0.changes.formUnion(changes) } }
        func noteMeasured() { state.withLock { $0.isMeasured = true } }

        /// - Returns: whether others are silent than before.
        func note(_ silent: [AppName: SilentMembers]) -> Bool {
            state.withLock { state in
                defer { state.silent = silent }
                return state.silent != silent
            }
        }

        func take() -> (changes: Set<PlanetChange>, isMeasured: Bool, silent: [AppName: SilentMembers]) {
            state.withLock { state in
                defer { (state.changes, state.isMeasured) = ([], false) }
                return (state.changes, state.isMeasured, state.silent)
            }
        }
    }

    /// How old a distance may be that a reader's replica is chosen by.
    private static let measureInterval = Duration.seconds(5)
}
