import RoostMesh
import RoostModel
import RoostPlanet
import RoostPostgresWire
import RoostRecords
import RoostRouting

/// The routes of an edge, kept up change by change: what a change does not touch is not looked at. Pure.
struct RouteBook: Sendable {
    private let host: HostName
    private(set) var table = ClusterTable()
    private var addresses: [AppName: IPv4Address] = [:]
    /// The clusters that have a member on a host.
    private var clusters: [HostName: Set<AppName>] = [:]
    private var hosts: [AppName: Set<HostName>] = [:]
    /// In whole milliseconds, and as they were while they differ little: every path varies a bit all the time, and every
    /// other distance is a new table.
    private var roundTrips: [HostName: Duration] = [:]
    /// Who has said nothing for too long.
    private var silent: [AppName: SilentMembers] = [:]
    /// What leaders' hosts have told straight.
    private var told: [AppName: Heartbeat] = [:]
    private static let differenceMin = Duration.milliseconds(2)
    /// Of the distance that was: an eighth.
    private static let differencePart = 8
    /// Routes that were looked at, for tests.
    private(set) var looks = 0

    init(host: HostName) { self.host = host }

    static func isConcerned(_ change: PlanetChange) -> Bool {
        switch change {
        case .all, .connection: true
        case .cluster(_, let part): part != .obstacle
        case .host, .machine, .volume, .app, .address, .operation: false
        }
    }

    /// - Parameters:
    ///   - measurements: nil: as before.
    ///   - silent: nil: as before.
    ///   - told: nil: as before.
    /// - Returns: whether the table is another one than before.
    mutating func take(
        _ changes: Set<PlanetChange>, _ measurements: [PathMeasurement]? = nil,
        silent next: [AppName: SilentMembers]? = nil, told news: [AppName: Heartbeat]? = nil, from planet: Planet
    ) -> Bool {
        var touched: Set<AppName> = []
        var isChanged = false
        if let measurements {
            touched = note(measurements)
            // As seldom as distances: edges come and go with weeks between. One that is stopped or away may serve again.
            let edges = max(planet.hosts.values.count(where: \.isEdge), 1)
            isChanged = edges != table.edges
            table.edges = edges
        }
        if let next {
            touched.formUnion(Set(next.keys).union(silent.keys).filter { next[$0] != silent[$0] })
            silent = next
        }
        if let news {
            touched.formUnion(Set(news.keys).union(told.keys).filter { news[$0] != told[$0] })
            told = news
        }
        for change in changes {
            switch change {
            case .all: touched.formUnion(Array(planet.clusters.keys) + Array(addresses.keys))
            case .cluster(let name, let part): if part != .obstacle { touched.insert(name) }
            case .connection, .host, .machine, .volume, .app, .address, .operation: break
            }
        }
        for name in touched { isChanged = look(at: name, in: planet) || isChanged }
        return isChanged
    }

    /// - Returns: the clusters whose members are at another distance than before.
    private mutating func note(_ measurements: [PathMeasurement]) -> Set<AppName> {
        var next: [HostName: Duration] = [:]
        for path in measurements where path.isAnswering {
            guard let microseconds = path.roundTripMicroseconds else { continue }
            let present = Duration.milliseconds(microseconds / 1000)
            let before = roundTrips[path.peer] ?? present
            let isSame =
                max(present, before) - min(present, before) < max(Self.differenceMin, before / Self.differencePart)
            next[path.peer] = isSame ? before : present
        }
        let changed = Set(next.keys).union(roundTrips.keys).filter { next[$0] != roundTrips[$0] }
        roundTrips = next
        return changed.reduce(into: []) { $0.formUnion(clusters[$1] ?? []) }
    }

    private mutating func look(at name: AppName, in planet: Planet) -> Bool {
        looks += 1
        let cluster = planet.clusters[name]
        let present = Set(cluster?.placements.values.map(\.host) ?? [])
        if hosts[name] ?? [] != present {
            for host in hosts[name] ?? [] {
                clusters[host]?.remove(name)
                if clusters[host]?.isEmpty == true { clusters[host] = nil }
            }
            for host in present { clusters[host, default: []].insert(name) }
            hosts[name] = present.isEmpty ? nil : present
        }
        let next = cluster.flatMap { route(of: name, $0) }
        var isChanged = false
        if let address = addresses[name], address != next?.address {
            addresses[name] = nil
            if table.routes[address]?.app == name {
                table.routes[address] = nil
                isChanged = true
            }
        }
        guard let (address, route) = next else { return isChanged }
        addresses[name] = address
        guard table.routes[address] != route else { return isChanged }
        table.routes[address] = route
        return true
    }

    /// A text that this version cannot read stands for nobody.
    private static func networks(_ texts: [String]?) -> [IPv4Prefix]? {
        guard let texts, !texts.isEmpty else { return nil }
        return texts.compactMap { try? IPv4Prefix($0) }
    }

    private func route(of name: AppName, _ cluster: Planet.ClusterRecords) -> (
        address: IPv4Address, route: ClusterRoute
    )? {
        guard let spec = cluster.spec, !spec.isDestroying else { return nil }
        let rule = cluster.rule
        let lead = cluster.lead(told: told[name])
        let leader = lead.leader.flatMap { cluster.placements[$0] }
        let silent = silent[name] ?? SilentMembers()
        let replicas = spec.members.compactMap { member -> Replica? in
            guard member.name != lead.leader, rule?.members.contains(member.name) ?? true,
                let placement = cluster.placements[member.name],
                let report = cluster.reports[member.name]
            else { return nil }
            return Replica(
                backend: Backend(member: member.name, address: placement.address),
                roundTrip: placement.host == host ? .zero : roundTrips[placement.host],
                // That it streams was its leader's word, and how far it has shown what it received, its own.
                isStreaming: cluster.confirms(member.name) && !silent.isLeaderSilent
                    && !silent.members.contains(member.name),
                lagBytes: cluster.lagBytes(of: member.name),
                lag: .milliseconds(report.lagMilliseconds))
        }
        // Every cluster has a certificate. Where it has not been heard of, nobody is served in clear instead.
        let encryption = cluster.identity.map {
            Encryption.required(TLSIdentity(certificateChain: $0.certificateChain, privateKey: $0.privateKey))
        }
        return (
            spec.address,
            ClusterRoute(
                app: name, epoch: lead.epoch,
                leader: leader.map { Backend(member: $0.member, address: $0.address) }, isOpen: lead.isOpen,
                isRecruiting: lead.isRecruiting, replicas: replicas, encryption: encryption ?? .unusable,
                allowed: Self.networks(spec.allowedClients))
        )
    }
}
