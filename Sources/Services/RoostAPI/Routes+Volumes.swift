import Hummingbird
import RoostControl
import RoostHost
import RoostMesh
import RoostModel
import RoostPlacement
import RoostPlanet
import RoostPostgresControl
import RoostVolumes
import RoostWire

extension PlanetAPI {
    func addVolumes(to group: RouterGroup<BasicRequestContext>) {
        let volumes = group.group("apps/:app/volumes")
        volumes.get { _, context in
            let app = try await requireApp(context).name
            let reachable = await mesh.reachableHosts(from: host)
            var bodies: [VolumeBody] = []
            for record in await hostRecords() {
                for volume in record.volumes where volume.app == app {
                    bodies.append(await body(of: volume, on: record.host, isReachable: reachable.contains(record.host)))
                }
            }
            return try Answer.json(bodies.sorted { $0.id < $1.id })
        }
        volumes.post { request, context in
            try Answer.json(try await createVolume(request, context))
        }
        volumes.get(":volume") { request, context in
            try await onVolumeOwner(request, context) { volume in
                try Answer.json(await body(of: volume, on: host, isReachable: true))
            }
        }
        volumes.delete(":volume") { request, context in
            try await onVolumeOwner(request, context) { volume in
                try refuseIfOwned(volume.app)
                let gone = try await agent.destroyVolume(volume.id)
                return try Answer.json(await body(of: gone, on: host, isReachable: true))
            }
        }
    }

    private func createVolume(_ request: Request, _ context: BasicRequestContext) async throws(Refusal) -> VolumeBody {
        let app = try await requireApp(context)
        let wish = try await RequestReader.wish(CreateVolumeRequest.self, from: request)
        try refuseIfOwned(app.name)
        let gigabytes = wish.sizeGigabytes ?? 1
        guard (1...HostAgent.volumeSizeMax.wholeGibibytes).contains(gigabytes) else {
            throw Refusal(.invalid, "size_gb must be 1 to \(HostAgent.volumeSizeMax.wholeGibibytes)")
        }
        let name = try volumeName(wish.name)
        if let guest = wish.compute { try HostAgent.validate(guest, as: "compute") }
        let region = try wish.region.map { text throws(Refusal) in try requireRegion(text) }
        // Fly's default: volumes of one name on hosts of their own, as long as there are any.
        let siblings = await hostRecords().filter { record in
            record.volumes.contains { $0.app == app.name && $0.name == name }
        }
        let occupied = wish.requireUniqueZone == false ? [] : Set(siblings.map(\.host))
        var random = SystemRandomNumberGenerator()
        let order = VolumeOrder(
            id: .random(using: &random), name: name, app: app.name, size: .gibibytes(gigabytes),
            reserved: wish.compute)
        let placement = PlacementRequest(
            region: region ?? configuration.region, guest: wish.compute ?? MachineGuest(memoryMebibytes: 0),
            disk: order.size, app: app.name, occupied: occupied)
        return try await place(placement) { candidate throws(Refusal) in
            let record = try await dispatch.createVolume(order, on: candidate)
            await settle(on: candidate) { $0.volumes.contains { $0.id == order.id } }
            return await body(of: record, on: candidate, isReachable: true)
        }
    }

    /// Fly's rule: lower-case letters, digits and underscores, at most 30.
    private func volumeName(_ text: String) throws(Refusal) -> String {
        let isValid =
            (1...30).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                byte == UInt8(ascii: "_") || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            }
        guard isValid else {
            throw Refusal(
                .invalid, "'\(text)' is not a valid volume name: use 1 to 30 lower-case letters, digits and '_'")
        }
        return text
    }

    private func onVolumeOwner(
        _ request: Request, _ context: BasicRequestContext, _ answer: (VolumeRecord) async throws -> Response
    ) async throws -> Response {
        let app: AppName = try RequestReader.id("app", context)
        let id: VolumeID = try RequestReader.id("volume", context)
        guard let owner = await owner(of: id) else { throw Refusal(.notFound, "volume \(id) not found") }
        guard owner == host else { return try await forward(request, to: owner) }
        guard let volume = await agent.volume(id), volume.app == app else {
            throw Refusal(.notFound, "volume \(id) not found")
        }
        return try await answer(volume)
    }

    private func body(of record: VolumeRecord, on owner: HostName, isReachable: Bool) async -> VolumeBody {
        let usage = owner == host ? await agent.usage(of: record.id) : nil
        return VolumeBody(
            id: record.id, name: record.name, state: record.state, region: record.region,
            sizeGigabytes: record.size.wholeGibibytes, attachedMachineID: record.attachedMachine,
            blockSize: usage?.blockSize ?? 4096, blocks: usage?.blocks ?? 0, blocksFree: usage?.blocksFree ?? 0,
            blocksAvailable: usage?.blocksAvailable ?? 0, inodes: usage?.inodes, inodesFree: usage?.inodesFree,
            readOnly: usage.flatMap { $0.isReadOnly ? true : nil }, fstype: "ext4", encrypted: false,
            createdAt: Self.timeText(record.createdAt), hostStatus: isReachable ? "ok" : "unreachable", zone: owner.text
        )
    }
}
