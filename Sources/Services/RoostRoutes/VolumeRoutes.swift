public import RoostAPI
public import RoostControl
public import RoostHost
import RoostModel
import RoostPlacement
import RoostWire

/// Volumes: file systems on one host's disk.
public struct VolumeRoutes: RouteGroup {
    let view: PlanetView
    let dispatch: any HostDispatch
    let remains: (any OwnedRemains)?

    /// - Parameter remains: what is left over of features; nil: nobody knows.
    public init(view: PlanetView, dispatch: any HostDispatch, remains: (any OwnedRemains)? = nil) {
        self.view = view
        self.dispatch = dispatch
        self.remains = remains
    }

    public var callers: Principal.Kind { .user }

    static let volumes = "/v1/apps/:app/volumes"

    public var routes: [APIRoute] {
        [
            APIRoute(.get, Self.volumes, query: ["summary"]) { try await list($0) },
            APIRoute(.post, Self.volumes) { try await create($0) },
            APIRoute(.get, Self.volumes + "/:volume") { try await show($0) },
            APIRoute(.delete, Self.volumes + "/:volume", query: ["force"]) { call in
                let force = try call.query.flag("force")
                return try await view.onOwnerOfVolume(call) { volume in
                    try await view.refuseIfOwned(
                        .volume(volume.id), of: volume.app, by: nil, unless: remains, evenLastCopy: force)
                    let gone = try await view.agent.destroyVolume(volume.id)
                    return try Answer.json(await body(of: gone, on: view.host, isReachable: true))
                }
            },
        ]
    }

    /// Of a host that does not answer, what the list has of it.
    private func show(_ call: APICall) async throws -> Answer {
        do {
            return try await view.onOwnerOfVolume(call) { volume in
                try Answer.json(await body(of: volume, on: view.host, isReachable: true))
            }
        } catch let error as Refusal where error.isOfAnotherHost && call.forwardedBy == nil {
            let (app, id): (AppName, VolumeID) = (try call.id("app"), try call.id("volume"))
            guard let held = await view.volumes(of: app).first(where: { $0.record.id == id }), held.host != view.host
            else { throw error }
            return try Answer.json(await body(of: held.record, on: held.host, isReachable: false))
        }
    }

    /// A summary has no sizes of file systems; Roost's list has those of this host only, so it is one anyway.
    private func list(_ call: APICall) async throws(Refusal) -> Answer {
        let app = try await view.app(try call.id("app")).name
        _ = try call.query.flag("summary")
        let reachable = await view.reachability.hosts()
        var bodies: [VolumeBody] = []
        for held in await view.volumes(of: app) {
            bodies.append(await body(of: held.record, on: held.host, isReachable: reachable.contains(held.host)))
        }
        return try Answer.json(bodies)
    }

    private func create(_ call: APICall) async throws(Refusal) -> Answer {
        let app = try await view.openApp(try call.id("app"))
        let wish = try call.wish(CreateVolumeRequest.self)
        let gigabytes = wish.sizeGigabytes ?? 1
        guard (1...HostAgent.volumeSizeMax.wholeGibibytes).contains(gigabytes) else {
            throw Refusal(.invalid, "size_gb must be 1 to \(HostAgent.volumeSizeMax.wholeGibibytes)")
        }
        let name = try Self.volumeName(wish.name)
        if let guest = wish.compute { try HostAgent.validate(guest, as: "compute") }
        if let filesystem = wish.fstype.flatMap(\.ifNotEmpty), filesystem != Self.filesystem {
            throw Refusal(.invalid, "fstype is \(Self.filesystem), not '\(filesystem.prefix(80))'")
        }
        let region = try wish.region.flatMap(\.ifNotEmpty).map { text throws(Refusal) in try view.region(text) }
        // Fly's default: volumes of one name on hosts of their own, as long as there are any.
        let siblings = await view.volumes(of: app.name).filter { $0.record.name == name }
        let occupied = wish.requireUniqueZone == false ? [] : Set(siblings.map(\.host))
        var random = SystemRandomNumberGenerator()
        let order = VolumeOrder(
            id: .random(using: &random), name: name, app: app.name, size: .gibibytes(gigabytes),
            reserved: wish.compute)
        let placement = PlacementRequest(
            region: region ?? view.agent.configuration.region,
            guest: wish.compute ?? MachineGuest(memoryMebibytes: 0), disk: order.size, app: app.name,
            occupied: occupied)
        let (record, chosen) = try await view.place(placement) { candidate throws(Refusal) in
            (try await dispatch.createVolume(order, on: candidate), candidate)
        }
        try await view.confirm(app) { () throws(Refusal) in
            try await dispatch.destroyVolume(order.id, of: app.name, on: chosen)
        }
        await view.settle(on: chosen) { $0.volumes.contains { $0.id == order.id && $0.state == .created } }
        return try Answer.json(await body(of: record, on: chosen, isReachable: true))
    }

    static let filesystem = "ext4"

    /// Fly's rule: lower-case letters, digits and underscores, at most 30.
    private static func volumeName(_ text: String) throws(Refusal) -> String {
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

    private func body(of record: VolumeRecord, on owner: HostName, isReachable: Bool) async -> VolumeBody {
        let space = owner == view.host ? await view.agent.space(of: record.id) : nil
        return VolumeBody(
            id: record.id, name: record.name, state: record.state, region: record.region,
            sizeGigabytes: record.size.wholeGibibytes, attachedMachineID: record.attachedMachine,
            blockSize: space?.blockSize ?? 4096, blocks: space?.blocks ?? 0, blocksFree: space?.blocksFree ?? 0,
            blocksAvailable: space?.blocksAvailable ?? 0, inodes: space?.inodes, inodesFree: space?.inodesFree,
            readOnly: space.flatMap { $0.isReadOnly ? true : nil }, fstype: Self.filesystem, encrypted: false,
            createdAt: TimeText.of(record.createdAt), hostStatus: isReachable ? "ok" : "unreachable",
            zone: owner.text, app: record.app)
    }
}
