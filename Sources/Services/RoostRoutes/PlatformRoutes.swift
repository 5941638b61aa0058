public import RoostAPI
public import RoostControl
import RoostHost
public import RoostModel
import RoostPlacement
import RoostPlanet
public import RoostWire

/// The planet itself: regions, hosts, addresses, the mesh.
public struct PlatformRoutes: RouteGroup {
    let view: PlanetView
    /// Starts or stops this host's edge; throws on a host that is none.
    let setEdge: @Sendable (EdgeRequest.State) async throws(Refusal) -> Void

    static let meshRowTimeout = Duration.seconds(2)
    /// What counts as one machine in a region's free capacity: Fly's smallest.
    static let unitMachine = ByteCount.mebibytes(256)

    public init(view: PlanetView, setEdge: @escaping @Sendable (EdgeRequest.State) async throws(Refusal) -> Void) {
        self.view = view
        self.setEdge = setEdge
    }

    public var callers: Principal.Kind { .user }

    public var routes: [APIRoute] {
        [
            APIRoute(.get, "/v1/platform/regions") { _ in try Answer.json(await regions()) },
            APIRoute(.get, "/v1/platform/hosts") { _ in
                let reachable = await view.reachability.hosts()
                let hosts = await view.hosts().map { body(of: $0, isReachable: reachable.contains($0.host)) }
                return try Answer.json(ListHostsBody(hosts: hosts))
            },
            APIRoute(.get, "/v1/platform/ips") { _ in
                let records = view.watcher.planet.addresses.values.sorted { $0.address < $1.address }
                return try Answer.json(
                    ListIPsBody(
                        ips: records.map {
                            .init(
                                address: $0.address, app: $0.app, ports: [5432, 5433],
                                createdAt: TimeText.of($0.createdAt))
                        }))
            },
            APIRoute(.get, "/v1/platform/mesh") { _ in try Answer.json(await meshMatrix()) },
            APIRoute(.post, "/v1/platform/hosts/:host/edge") { call in
                let name: HostName = try call.id("host")
                guard name == view.host || view.watcher.planet.hosts[name] != nil else {
                    throw Refusal(.notFound, "host \(name) not found")
                }
                let wish = try call.wish(EdgeRequest.self)
                guard name == view.host else { return try await view.pass(call, on: name) }
                if wish.state == .stopped, wish.force != true { try await refuseToStopTheLastEdge() }
                try await setEdge(wish.state)
                return try Answer.ok()
            },
        ]
    }

    /// An order that was given to each edge in turn would take everything off the air, and show nowhere but at the
    /// clients.
    private func refuseToStopTheLastEdge() async throws(Refusal) {
        guard Self.isLastEdge(view.host, among: await view.hosts(), reachable: await view.reachability.hosts()) else {
            return
        }
        throw Refusal(
            .failedPrecondition,
            "the edge of \(view.host) is the last one that lets clients in: without it no client reaches this planet; "
                + "with \"force\" (--force) it is stopped all the same")
    }

    /// - Returns: false also for one that lets nobody in: stopping it changes nothing.
    static func isLastEdge(_ host: HostName, among records: [HostRecord], reachable: Set<HostName>) -> Bool {
        let open = Set(records.filter { $0.isEdge && !$0.isEdgeStopped }.map(\.host))
        return open.contains(host) && open.intersection(reachable).subtracting([host]).isEmpty
    }

    private func regions() async -> RegionsBody {
        let reachable = await view.reachability.hosts()
        let byRegion = Dictionary(grouping: await view.hosts(), by: \.region)
        let regions = byRegion.sorted { $0.key < $1.key }.map { code, hosts in
            let free = hosts.filter { reachable.contains($0.host) }
                .map { PlacementHost(record: $0, isReachable: true).freeMemory }
            return RegionsBody.Region(
                code: code, name: code.text, hosts: hosts.count,
                capacity: free.reduce(0) { $0 + max(0, Int($1.bytes / Self.unitMachine.bytes)) })
        }
        return RegionsBody(regions: regions, nearest: view.agent.configuration.region)
    }

    private func body(of record: HostRecord, isReachable: Bool) -> ListHostsBody.Host {
        let host = PlacementHost(record: record, isReachable: isReachable)
        return .init(
            name: record.host, region: record.region, isReachable: isReachable, isEdge: record.isEdge,
            isEdgeStopped: record.isEdge ? record.isEdgeStopped : nil, isStoreMember: record.isStoreMember,
            address: record.mesh.address, machines: record.machines.count,
            volumes: record.volumes.count, capacity: record.capacity,
            free: HostCapacity(
                cpus: record.capacity.cpus, memory: max(host.freeMemory, .zero), disk: max(host.freeDisk, .zero)),
            unreadableRows: record.unreadableRows)
    }

    /// Every host knows its own row; the others are asked, each for a bounded time.
    private func meshMatrix() async -> MeshMatrixBody {
        var rows: [MeshMatrixBody.Row] = []
        var silent: [HostName] = []
        await withTaskGroup(of: (HostName, MeshMatrixBody.Row?).self) { group in
            for record in await view.hosts() {
                group.addTask {
                    guard record.host != view.host else { return (record.host, await view.reachability.row()) }
                    let row = try? await view.peers.value(
                        MeshMatrixBody.Row.self, "GET", "/v1/internal/mesh", from: record.host,
                        timeout: Self.meshRowTimeout)
                    return (record.host, row)
                }
            }
            for await (name, row) in group {
                if let row { rows.append(row) } else { silent.append(name) }
            }
        }
        return MeshMatrixBody(
            rows: rows.sorted { ($0.region, $0.host) < ($1.region, $1.host) }, silent: silent.sorted())
    }
}
