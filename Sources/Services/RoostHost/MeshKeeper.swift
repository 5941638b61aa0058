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
        let changes = watcher.changes.subscribe(to: PeerTable.isConcerned)
        await cancelWhenGracefulShutdown {
            var table = PeerTable(host: host, seeds: seeds)
            var isSet = false
            var changed: Set<PlanetChange> = [.all]
            var iterator = changes.makeAsyncIterator()
            while !Task.isCancelled {
                if watcher.read({ table.take(changed, from: $0) }) { isSet = false }
                changed = []
                if !isSet {
                    do {
                        try await mesh.setPeers(table.sorted)
                        isSet = true
                    } catch {
                        logger.error("cannot set the mesh's peers", metadata: ["error": "\(error)"])
                        try? await Task.sleep(for: Self.retryPause)
                        continue
                    }
                }
                guard let next = await iterator.next() else { return }
                changed = next
            }
        }
    }
}

/// The other hosts with their machines, kept up change by change: published hosts, and the seeds that have not published
/// yet.
struct PeerTable {
    private let host: HostName
    private let seeds: [HostName: MeshPeer]
    private var peers: [HostName: MeshPeer]

    init(host: HostName, seeds: [HostConfiguration.Seed]) {
        self.host = host
        self.seeds = Dictionary(
            seeds.filter { $0.host != host }.map {
                ($0.host, MeshPeer(host: $0.host, identity: $0.identity, machines: []))
            }, uniquingKeysWith: { $1 })
        peers = self.seeds
    }

    var sorted: [MeshPeer] { peers.values.sorted { $0.host < $1.host } }

    static func isConcerned(_ change: PlanetChange) -> Bool {
        switch change {
        case .all, .host, .machine: true
        case .connection, .volume, .app, .address, .cluster, .operation: false
        }
    }

    /// - Returns: whether a peer is another one than before.
    mutating func take(_ changes: Set<PlanetChange>, from planet: Planet) -> Bool {
        var hosts: Set<HostName> = []
        for change in changes {
            switch change {
            case .all: hosts.formUnion(Array(planet.hosts.keys) + Array(peers.keys))
            case .host(let name), .machine(_, let name): hosts.insert(name)
            case .connection, .volume, .app, .address, .cluster, .operation: break
            }
        }
        var isChanged = false
        for name in hosts where name != host {
            let peer = planet.hosts[name].map {
                MeshPeer(host: name, identity: $0.mesh, machines: planet.machineAddresses(on: name).sorted())
            }
            guard peers[name] != peer ?? seeds[name] else { continue }
            peers[name] = peer ?? seeds[name]
            isChanged = true
        }
        return isChanged
    }
}
