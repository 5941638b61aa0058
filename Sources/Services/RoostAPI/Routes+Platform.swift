import Foundation
import Hummingbird
import RoostControl
import RoostHost
import RoostMesh
import RoostModel
import RoostPlacement
import RoostPlanet
import RoostPostgresControl
import RoostWire

extension PlanetAPI {
    static let meshRowTimeout = Duration.seconds(2)
    /// What counts as one machine in a region's free capacity: Fly's smallest.
    static let unitMachine = ByteCount.mebibytes(256)

    func addPlatform(to group: RouterGroup<BasicRequestContext>) {
        let platform = group.group("platform")
        platform.get("regions") { _, _ in try Answer.json(await regions()) }
        platform.get("hosts") { _, _ in
            let reachable = await mesh.reachableHosts(from: host)
            let hosts = await hostRecords().map { body(of: $0, isReachable: reachable.contains($0.host)) }
            return try Answer.json(ListHostsBody(hosts: hosts))
        }
        platform.get("ips") { _, _ in
            let records = watcher.planet.addresses.values.sorted { $0.address < $1.address }
            return try Answer.json(
                ListIPsBody(
                    ips: records.map {
                        .init(
                            address: $0.address, app: $0.app, ports: [5432, 5433],
                            createdAt: Self.timeText($0.createdAt))
                    }))
        }
        platform.get("mesh") { _, _ in try Answer.json(await meshMatrix()) }
        platform.post("hosts/:host/edge") { request, context in
            let name: HostName = try RequestReader.id("host", context)
            guard name == host || watcher.planet.hosts[name] != nil else {
                throw Refusal(.notFound, "host \(name) not found")
            }
            let body = try await RequestReader.body(of: request)
            let wish = try RequestReader.wish(EdgeRequest.self, from: body)
            guard name == host else { return try await forward(request, body: body, to: name) }
            try await setEdge(wish.state)
            return try Answer.json(OKBody())
        }
    }

    private func regions() async -> RegionsBody {
        let reachable = await mesh.reachableHosts(from: host)
        let byRegion = Dictionary(grouping: await hostRecords(), by: \.region)
        let regions = byRegion.sorted { $0.key < $1.key }.map { code, hosts in
            let free = hosts.filter { reachable.contains($0.host) }
                .map { PlacementHost(record: $0, isReachable: true).freeMemory }
            return RegionsBody.Region(
                code: code, name: code.text, hosts: hosts.count,
                capacity: free.reduce(0) { $0 + max(0, Int($1.bytes / Self.unitMachine.bytes)) })
        }
        return RegionsBody(regions: regions, nearest: configuration.region)
    }

    private func body(of record: HostRecord, isReachable: Bool) -> ListHostsBody.Host {
        let host = PlacementHost(record: record, isReachable: isReachable)
        return .init(
            name: record.host, region: record.region, isReachable: isReachable, isEdge: record.isEdge,
            isStoreMember: record.isStoreMember, address: record.mesh.address, machines: record.machines.count,
            volumes: record.volumes.count, capacity: record.capacity,
            free: HostCapacity(
                cpus: record.capacity.cpus, memory: max(host.freeMemory, .zero), disk: max(host.freeDisk, .zero)))
    }

    /// Every host knows its own row; the others are asked, each for a bounded time.
    private func meshMatrix() async -> MeshMatrixBody {
        var rows: [MeshMatrixBody.Row] = []
        var silent: [HostName] = []
        await withTaskGroup(of: (HostName, MeshMatrixBody.Row?).self) { group in
            for record in await hostRecords() {
                group.addTask {
                    guard record.host != host else { return (record.host, await meshRow()) }
                    let row = try? await peers.value(
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

    func meshRow() async -> MeshMatrixBody.Row {
        let paths = await mesh.measurements().map {
            MeshMatrixBody.Path(
                peer: $0.peer, roundTripMicroseconds: $0.roundTripMicroseconds,
                jitterMicroseconds: $0.jitterMicroseconds, lossPercent: $0.lossPercent)
        }
        return MeshMatrixBody.Row(host: host, region: configuration.region, paths: paths.sorted { $0.peer < $1.peer })
    }

    // MARK: - Between hosts

    /// What only other hosts of the planet ask, with the planet's token.
    func addInternal(to group: RouterGroup<BasicRequestContext>) {
        let inside = group.group("internal")
        inside.get("mesh") { _, _ in try Answer.json(await meshRow()) }
        inside.put("volumes/:volume") { request, context in
            let id: VolumeID = try RequestReader.id("volume", context)
            let order = try RequestReader.decode(VolumeOrder.self, from: try await RequestReader.body(of: request))
            guard order.id == id else { throw Refusal(.invalid, "the order is for volume \(order.id)") }
            return try Answer.json(try await agent.createVolume(order))
        }
        inside.delete("volumes/:volume") { _, context in
            let id: VolumeID = try RequestReader.id("volume", context)
            return try Answer.json(try await agent.destroyVolume(id))
        }
        inside.put("machines/:machine") { request, context in
            let id: MachineID = try RequestReader.id("machine", context)
            let order = try RequestReader.decode(MachineOrder.self, from: try await RequestReader.body(of: request))
            guard order.id == id else { throw Refusal(.invalid, "the order is for machine \(order.id)") }
            return try Answer.json(try await agent.createMachine(order))
        }
        inside.delete("machines/:machine") { _, context in
            let id: MachineID = try RequestReader.id("machine", context)
            _ = try await agent.destroy(id, force: true)
            return try Answer.json(
                try await agent.wait(for: id, states: [.destroyed], timeout: PlanetDispatch.destroyTimeout))
        }
    }
}
