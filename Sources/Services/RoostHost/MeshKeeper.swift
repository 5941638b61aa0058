public import Logging
public import RoostMesh
public import RoostModel
public import RoostPlanet
public import ServiceLifecycle

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
        var table = PeerTable(host: host, seeds: seeds)
        var isSet = false
        var changed: Set<PlanetChange> = [.all]
        var iterator = changes.makeAsyncIterator()
        while !Task.isCancelled {
            let news = watcher.read { table.take(changed, from: $0) }
            changed = []
            do throws(MeshError) {
                if !isSet {
                    try await mesh.setPeers(table.peers)
                    isSet = true
                } else if !news.isEmpty {
                    try await mesh.changePeers(news)
                }
            } catch {
                // What of it was done is not known.
                isSet = false
                logger.error("cannot set the mesh's peers", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: Self.retryPause)
                continue
            }
            guard let next = await iterator.next() else { return }
            changed = next
        }
    }
}
