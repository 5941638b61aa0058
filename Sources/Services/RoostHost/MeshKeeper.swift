public import Logging
import RoostMesh
import RoostModel
import RoostPlanet
public import ServiceLifecycle

/// Tells the mesh who the other hosts are and which machines they have, at every change of the planet.
public struct MeshKeeper: Service {
    let host: HostName
    let seeds: [HostConfiguration.Seed]
    let watcher: PlanetWatcher
    let mesh: any Mesh
    let logger: Logger

    static let retryPause = Duration.seconds(1)

    public init(
        host: HostName, seeds: [HostConfiguration.Seed], watcher: PlanetWatcher, mesh: any Mesh, logger: Logger
    ) {
        self.host = host
        self.seeds = seeds
        self.watcher = watcher
        self.mesh = mesh
        self.logger = logger
    }

    public func run() async throws {
        let changes = watcher.changes.subscribe()
        await cancelWhenGracefulShutdown {
            var set: [MeshPeer]?
            var iterator = changes.makeAsyncIterator()
            while !Task.isCancelled {
                let peers = Self.peers(of: host, seeds: seeds, in: watcher.planet)
                if peers != set {
                    do {
                        try await mesh.setPeers(peers)
                        set = peers
                    } catch {
                        logger.error("cannot set the mesh's peers", metadata: ["error": "\(error)"])
                        try? await Task.sleep(for: Self.retryPause)
                        continue
                    }
                }
                guard await iterator.next() != nil else { return }
            }
        }
    }

    /// Published hosts with their machines, and the seeds that have not published yet.
    static func peers(of host: HostName, seeds: [HostConfiguration.Seed], in planet: Planet) -> [MeshPeer] {
        var peers: [HostName: MeshPeer] = [:]
        for seed in seeds { peers[seed.host] = MeshPeer(host: seed.host, identity: seed.identity, machines: []) }
        for record in planet.hosts.values {
            let machines = record.machines.map(\.address).sorted()
            peers[record.host] = MeshPeer(host: record.host, identity: record.mesh, machines: machines)
        }
        peers[host] = nil
        return peers.values.sorted { $0.host < $1.host }
    }
}
