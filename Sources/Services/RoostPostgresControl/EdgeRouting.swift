public import RoostBalancing
public import RoostMesh
public import RoostModel
public import RoostPlanet
public import ServiceLifecycle

/// Turns the planet into the table an edge routes by, and hands it over at every change.
public struct EdgeRouting: Service {
    let watcher: PlanetWatcher
    let mesh: any Mesh
    let host: HostName
    let update: @Sendable (RouteTable) async -> Void

    public init(
        watcher: PlanetWatcher, mesh: any Mesh, host: HostName, update: @escaping @Sendable (RouteTable) async -> Void
    ) {
        self.watcher = watcher
        self.mesh = mesh
        self.host = host
        self.update = update
    }

    public func run() async throws {
        let changes = watcher.changes.subscribe()
        await cancelWhenGracefulShutdown {
            var current: RouteTable?
            var iterator = changes.makeAsyncIterator()
            repeat {
                let table = Self.table(of: watcher.planet, from: host, measurements: await mesh.measurements())
                if table != current {
                    current = table
                    await update(table)
                }
            } while await iterator.next() != nil
        }
    }

    static func table(
        of planet: Planet, from host: HostName, measurements: [PathMeasurement]
    ) -> RouteTable {
        let roundTrips = Dictionary(measurements.map { ($0.peer, $0) }, uniquingKeysWith: { first, _ in first })
        func roundTrip(to other: HostName) -> Duration? {
            if other == host { return .zero }
            guard let path = roundTrips[other], path.lossPercent < 100, let microseconds = path.roundTripMicroseconds
            else { return nil }
            // Whole milliseconds: finer differences would only make a new table at every probe.
            return .milliseconds(microseconds / 1000)
        }
        var routes: [IPv4Address: ClusterRoute] = [:]
        for (name, cluster) in planet.clusters {
            guard let spec = cluster.spec, !spec.isDestroying else { continue }
            let rule = cluster.rule
            let leader = rule.flatMap { cluster.placements[$0.leader] }
            let isOpen =
                rule != nil && rule?.recruitment == nil && cluster.heartbeat?.epoch == rule?.epoch
                && cluster.heartbeat?.isOpen == true
            let replicas = spec.members.compactMap { member -> Replica? in
                guard member.name != rule?.leader, let placement = cluster.placements[member.name],
                    let report = cluster.reports[member.name]
                else { return nil }
                return Replica(
                    backend: Backend(member: member.name, address: placement.address),
                    roundTrip: roundTrip(to: placement.host), isStreaming: cluster.confirms(member.name),
                    lagBytes: cluster.lagBytes(of: member.name), lag: .milliseconds(report.lagMilliseconds))
            }
            let tls = cluster.secrets.map {
                TLSIdentity(certificateChain: $0.serverCertificate, privateKey: $0.serverKey)
            }
            routes[spec.address] = ClusterRoute(
                app: name, epoch: rule?.epoch ?? .none,
                leader: leader.map { Backend(member: $0.member, address: $0.address) }, isOpen: isOpen,
                isRecruiting: rule?.recruitment != nil, replicas: replicas, tls: tls)
        }
        return RouteTable(routes)
    }
}
