public import RoostAPI
public import RoostControl
import RoostHost
import RoostModel
import RoostPlacement
import RoostPlanet
import RoostWire

/// The planet itself: regions, hosts, addresses, the mesh.
public struct PlatformRoutes: RouteGroup {
    let view: PlanetView
    let edge: EdgeOrders

    static let meshRowTimeout = Duration.seconds(2)
    /// What counts as one machine in a region's free capacity: Fly's smallest.
    static let unitMachine = ByteCount.mebibytes(256)

    public init(view: PlanetView, edge: EdgeOrders) {
        self.view = view
        self.edge = edge
    }

    public var callers: Principal.Kind { .user }

    public var routes: [APIRoute] {
        [
            APIRoute(.get, "/v1/platform/regions") { _ in try Answer.json(await regions()) },
            APIRoute(.get, "/v1/platform/hosts") { _ in
                let reachable = await view.reachability.hosts()
                let hosts = await view.hosts().map { body(of: $0, isReachable: reachable.contains($0.host)) }
                return try Answer.json(ListHostsBody(hosts: hosts, asked: view.host))
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
                try await edge.carryOut(wish)
                return try Answer.ok()
            },
        ]
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
