public import RoostMesh
public import RoostModel
public import RoostPlanet
public import RoostPostgresWire
public import RoostRouting
public import ServiceLifecycle

/// Turns the planet into the table an edge routes by, and hands it over at every change: of the planet, or of the
/// distances, which change also while the store is away, and when it becomes what the planet says now. Nothing is handed over before the planet was heard of, in this
/// process or (as the copy on disk says) before.
public struct EdgeRouting: Service {
    let watcher: PlanetWatcher
    let mesh: any Mesh
    let host: HostName
    let update: @Sendable (_ table: ClusterTable, _ isLive: Bool) async -> Void

    public init(
        watcher: PlanetWatcher, mesh: any Mesh, host: HostName,
        update: @escaping @Sendable (_ table: RouteTable<ClusterRoute>, _ isLive: Bool) async -> Void
    ) {
        self.watcher = watcher
        self.mesh = mesh
        self.host = host
        self.update = update
    }

    public func run() async throws {
        let changes = watcher.changes.subscribe()
        let (reasons, due) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        due.yield()
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask { for await _ in changes { due.yield() } }
                group.addTask {
                    while (try? await Task.sleep(for: Self.measureInterval)) != nil { due.yield() }
                }
                var current: ClusterTable?
                var wasLive = false
                for await _ in reasons {
                    let planet = watcher.planet
                    let isLive = watcher.isLive
                    guard isLive || planet != Planet() else { continue }
                    let table = Self.table(of: planet, from: host, measurements: await mesh.measurements())
                    if table != current || isLive != wasLive {
                        current = table
                        wasLive = isLive
                        await update(table, isLive)
                    }
                }
                group.cancelAll()
            }
        }
    }

    /// How old a distance may be that a reader's replica is chosen by.
    private static let measureInterval = Duration.seconds(5)

    static func table(
        of planet: Planet, from host: HostName, measurements: [PathMeasurement]
    ) -> ClusterTable {
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
            // Every cluster has a certificate. Where it has not been heard of, nobody is served in clear instead.
            let encryption = cluster.secrets.map {
                Encryption.required(TLSIdentity(certificateChain: $0.serverCertificate, privateKey: $0.serverKey))
            }
            routes[spec.address] = ClusterRoute(
                app: name, epoch: rule?.epoch ?? .none,
                leader: leader.map { Backend(member: $0.member, address: $0.address) }, isOpen: isOpen,
                isRecruiting: rule?.recruitment != nil, replicas: replicas,
                encryption: encryption ?? .unusable)
        }
        return ClusterTable(routes)
    }
}
