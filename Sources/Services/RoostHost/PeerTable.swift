public import RoostModel
public import RoostPeers
public import RoostPlanet

/// The other hosts and where machines' addresses are, kept up change by change: published hosts, and the seeds that have
/// not published yet. What a change of the planet says is looked up by what it names, and told on as what it means for
/// the mesh.
public struct PeerTable: Sendable {
    private let host: HostName
    private let seeds: [HostName: MeshIdentity]
    private var identities: [HostName: MeshIdentity]

    private struct Place: Hashable {
        var host: HostName
        var address: IPv6Address
    }

    private var places: [MachineID: Place] = [:]
    /// This host's too: a machine that it gives up may be another's.
    private var machines: [HostName: Set<MachineID>] = [:]

    public init(host: HostName, seeds: [HostConfiguration.Seed]) {
        self.host = host
        self.seeds = Dictionary(
            seeds.filter { $0.host != host }.map { ($0.host, $0.identity) }, uniquingKeysWith: { $1 })
        identities = self.seeds
    }

    /// All of them.
    public var peers: [MeshPeer] {
        identities.map { name, identity in
            let addresses = machines[name, default: []].compactMap { places[$0]?.address }
            return MeshPeer(host: name, identity: identity, machines: addresses.sorted())
        }.sorted { $0.host < $1.host }
    }

    public static func isConcerned(_ change: PlanetChange) -> Bool {
        switch change {
        case .all, .host, .machine: true
        case .connection, .volume, .app, .address, .cluster, .operation: false
        }
    }

    /// - Returns: what is another for the mesh.
    public mutating func take(_ changes: Set<PlanetChange>, from planet: Planet) -> [PeerChange] {
        var hosts: Set<HostName> = []
        var touched: Set<MachineID> = []
        for change in changes {
            switch change {
            case .all:
                hosts.formUnion(planet.hosts.keys)
                hosts.formUnion(identities.keys)
                hosts.formUnion(machines.keys)
            case .host(let name): hosts.insert(name)
            case .machine(let id, _): touched.insert(id)
            case .connection, .volume, .app, .address, .cluster, .operation: break
            }
        }
        var news: [PeerChange] = []
        for name in hosts {
            touched.formUnion(machines[name] ?? [])
            touched.formUnion((planet.hosts[name]?.machines ?? []).map(\.id))
            let identity = planet.hosts[name]?.mesh ?? seeds[name]
            guard name != host, identities[name] != identity else { continue }
            identities[name] = identity
            news.append(.host(name, identity))
        }
        for id in touched { move(id, in: planet, &news) }
        return news
    }

    private mutating func move(_ id: MachineID, in planet: Planet, _ news: inout [PeerChange]) {
        let now = planet.host(of: id).flatMap { owner in
            planet.machine(id, on: owner).map { Place(host: owner, address: $0.address) }
        }
        let before = places[id]
        guard now != before else { return }
        places[id] = now
        if let before {
            machines[before.host]?.remove(id)
            if machines[before.host]?.isEmpty == true { machines[before.host] = nil }
            if before.host != host { news.append(.address(before.address, on: before.host, isThere: false)) }
        }
        if let now {
            machines[now.host, default: []].insert(id)
            if now.host != host { news.append(.address(now.address, on: now.host, isThere: true)) }
        }
    }
}
