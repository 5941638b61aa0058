import Logging
import RoostLinux
import RoostMachineLife
public import RoostModel
import RoostPlanet
public import RoostRuntime

extension HostAgent {
    /// Makes a machine, or says that it is already there.
    public func createMachine(_ order: MachineOrder) async throws(Refusal) -> MachineRecord {
        try await check(image: order.config.image)
        try requireCurrent()
        if let present = machineRows[order.id] {
            switch present.life.phase {
            case .destroying, .destroyed:
                throw Refusal(
                    .failedPrecondition,
                    "machine \(order.id) was destroyed; a machine's id is used once: order a new one")
            case .created, .due, .launching, .running, .ending, .settling, .resting: break
            }
            guard present.record.app == order.app, present.record.config == order.config else {
                throw Refusal(.alreadyExists, "machine \(order.id) exists and is another one")
            }
            return present.record
        }
        try requireReadable(order.id.text)
        if let owner = order.owner, gatedPorts[owner.kind] == nil {
            throw Refusal(
                .invalid,
                "host \(configuration.host) does not know what machines of '\(owner.kind)' need; use a newer host")
        }
        try refuseIfRenounced(order.id.text, "machine")
        try Self.validate(order.config)
        guard order.config.guest.cpus <= configuration.capacity.cpus else {
            throw Refusal(
                .invalid, "guest.cpus must be 1 to \(configuration.capacity.cpus) on host \(configuration.host)")
        }
        let volume = try volumeToAttach(order)
        try admit(order, with: volume)
        let now = WallClock.milliseconds()
        let record = MachineRecord(
            id: order.id, name: order.name, app: order.app, region: configuration.region, state: .created,
            instance: InstanceID.make(), config: order.config, network: order.network, owner: order.owner,
            createdAt: now, updatedAt: now)
        try requireRoomToPublish(record)
        var row = MachineRow(record: record, life: MachineLife(startsAtOnce: order.startsAtOnce))
        row.add(
            MachineEvent(
                id: InstanceID.make(), type: .launch, status: .created, source: order.owner == nil ? .user : .roostd,
                timestamp: now))
        var volumes: [VolumeRecord] = []
        if var volume {
            volume.attachedMachine = order.id
            volumes = [volume]
        }
        try save(machines: [row], volumes: volumes, forgetting: oldDestroyed)
        logger.info("machine created", metadata: ["machine": "\(order.id)", "app": "\(order.app)"])
        announce(order.id)
        return record
    }

    /// An id whose row cannot be read belongs to something.
    func requireReadable(_ id: String) throws(Refusal) {
        guard let row = unreadableRows.first(where: { $0.id == id }) else { return }
        throw Refusal(
            .failedPrecondition,
            "host \(configuration.host) has \(id) in its ledger but cannot read it (\(row.reason)); a newer version may"
        )
    }

    /// Strict locality: the volume is on this host, belongs to the same app and to no other machine.
    private func volumeToAttach(_ order: MachineOrder) throws(Refusal) -> VolumeRecord? {
        guard let mount = order.config.mounts.first else { return nil }
        guard let volume = volumeRows[mount.volume] else {
            throw Refusal(
                .notFound,
                "volume \(mount.volume) of app \(order.app) is not on host \(configuration.host); a machine runs where its volume is"
            )
        }
        guard volume.app == order.app else {
            throw .absence(of: "volume \(mount.volume)", from: order.app, butOf: volume.app)
        }
        guard volume.state == .created else {
            throw Refusal(.failedPrecondition, "volume \(mount.volume) is \(volume.state.rawValue)")
        }
        if let holder = volume.attachedMachine {
            throw Refusal(.failedPrecondition, "volume is currently bound to machine: \(holder)")
        }
        return volume
    }

    private func admit(_ order: MachineOrder, with volume: VolumeRecord?) throws(Refusal) {
        guard machineRows.count < Self.machinesMax else {
            throw Refusal(.insufficientCapacity, "host \(configuration.host) has \(Self.machinesMax) machines")
        }
        try requireDisk()
        let use = PlacementUse(agent: self)
        let reserved = ByteCount.mebibytes(volume?.reserved?.memoryMebibytes ?? 0)
        let free = configuration.capacity.memory - use.memory + reserved
        let needed = ByteCount.mebibytes(order.config.guest.memoryMebibytes)
        guard needed <= free else {
            throw Refusal(
                .insufficientCapacity,
                "host \(configuration.host) has \(max(free, .zero)) of memory left, \(needed) are needed")
        }
        if machineRows.values.contains(where: {
            $0.record.app == order.app && $0.record.name == order.name && $0.life.phase != .destroyed
        }) {
            throw Refusal(.nameTaken, "app \(order.app) has a machine named \(order.name) already")
        }
    }

    // MARK: - Orders

    public func start(_ id: MachineID) throws(Refusal) -> MachineRecord { try take(.start, for: id) }

    public func stop(_ id: MachineID, signal: String?, timeout: Duration?) throws(Refusal) -> MachineRecord {
        try Self.validate(StopConfig(signal: signal, timeout: timeout.map { DurationText($0) }))
        return try take(.stop(StopWish(signal: signal, timeout: timeout)), for: id)
    }

    public func restart(_ id: MachineID, signal: String?, timeout: Duration?) throws(Refusal) -> MachineRecord {
        try Self.validate(StopConfig(signal: signal, timeout: timeout.map { DurationText($0) }))
        return try take(.restart(StopWish(signal: signal, timeout: timeout)), for: id)
    }

    /// Without `force` a running machine is refused, as Fly.io does; with it the machine ends at once. The answer says
    /// `destroying`: ``wait(for:states:instance:timeout:)`` says when nothing of it is left.
    ///
    /// - Parameter source: who orders it.
    public func destroy(
        _ id: MachineID, force: Bool, by source: MachineEvent.Source = .user
    ) throws(Refusal) -> MachineRecord {
        try take(.destroy(force: force), for: id, by: source)
    }

    // MARK: - Questions

    public func machine(_ id: MachineID) -> MachineRow? { machineRows[id] }

    public func machines(of app: AppName) -> [MachineRow] {
        machineRows.values.filter { $0.record.app == app }.sorted { $0.record.id < $1.record.id }
    }

    public nonisolated func execute(_ id: MachineID, _ request: ExecRequest) async throws(Refusal) -> ExecResult {
        guard let row = await machine(id) else { throw Refusal(.notFound, "machine \(id) not found") }
        guard row.record.state == .started else {
            throw Refusal(.failedPrecondition, "machine \(id) is \(row.record.state.rawValue), not started")
        }
        do { return try await runtime.execute(id, request) } catch { throw Refusal(runtime: error) }
    }

    public nonisolated func log(of id: MachineID, bytesMax: Int) async throws(Refusal) -> String {
        guard await machine(id) != nil else { throw Refusal(.notFound, "machine \(id) not found") }
        do { return try await runtime.logTail(id, bytesMax: bytesMax) } catch { throw Refusal(runtime: error) }
    }

    /// Of machines that were destroyed. What is stopped may be asked for its log at any time, and starts anew with it.
    func forgetOldLogs() async {
        guard !isSuperseded else { return }
        var known = Set(machineRows.values.filter { $0.life.phase != .destroyed }.map(\.record.id))
        known.formUnion(unreadableRows.compactMap { try? MachineID($0.id) })
        await runtime.forgetLogs(keeping: known)
    }
}
