import RoostLinux
public import RoostModel
import RoostPlanet
public import RoostRuntime

extension HostAgent {
    /// Makes a machine, or says that it is already there.
    public func createMachine(_ order: MachineOrder) throws(Refusal) -> MachineRecord {
        try requireCurrent()
        if let present = machineRows[order.id] {
            guard present.record.app == order.app, present.record.config == order.config else {
                throw Refusal(.alreadyExists, "machine \(order.id) exists and is another one")
            }
            return present.record
        }
        try refuseIfRenounced(order)
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
        var row = MachineRow(record: record, goal: order.startsAtOnce ? .started : .stopped)
        row.add(.make(.launch, status: .created, source: .user))
        var volumes: [VolumeRecord] = []
        if var volume {
            volume.attachedMachine = order.id
            volumes = [volume]
        }
        try save(machines: [row], volumes: volumes)
        try forgetOldDestroyed()
        announce(order.id)
        return record
    }

    /// Strict locality: the volume is on this host, belongs to the same app and to no other machine.
    private func volumeToAttach(_ order: MachineOrder) throws(Refusal) -> VolumeRecord? {
        guard let mount = order.config.mounts.first else { return nil }
        guard let volume = volumeRows[mount.volume], volume.app == order.app else {
            throw Refusal(
                .notFound,
                "volume \(mount.volume) of app \(order.app) is not on host \(configuration.host); a machine runs where its volume is"
            )
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
            $0.record.app == order.app && $0.record.name == order.name && $0.record.state != .destroyed
        }) {
            throw Refusal(.nameTaken, "app \(order.app) has a machine named \(order.name) already")
        }
    }

    // MARK: - Orders

    public func start(_ id: MachineID) throws(Refusal) -> MachineRecord {
        try requireCurrent()
        let row = try update(id) { row throws(Refusal) in
            guard row.goal != .destroyed else {
                throw Refusal(
                    .failedPrecondition, "unable to start machine from current state: '\(row.record.state.rawValue)'")
            }
            guard row.goal != .started || row.record.state == .failed || row.record.state == .stopped else { return }
            row.goal = .started
            row.restarts = RestartHistory()
            row.stopSignal = nil
            row.stopTimeoutMilliseconds = nil
            row.record.state = .starting
            row.add(.make(.start, status: .starting, source: .user))
        }
        orders.send(id)
        return row.record
    }

    public func stop(_ id: MachineID, signal: String?, timeout: Duration?) throws(Refusal) -> MachineRecord {
        try requireCurrent()
        try Self.validate(StopConfig(signal: signal, timeout: timeout.map { DurationText($0) }))
        let row = try update(id) { row throws(Refusal) in
            guard row.goal == .started else { return }
            row.goal = .stopped
            row.stopSignal = signal
            row.stopTimeoutMilliseconds = timeout?.milliseconds
            if row.record.state != .stopped && row.record.state != .failed { row.record.state = .stopping }
            row.add(.make(.stop, status: row.record.state, source: .user))
        }
        orders.send(id)
        return row.record
    }

    public func restart(_ id: MachineID, signal: String?, timeout: Duration?) throws(Refusal) -> MachineRecord {
        try requireCurrent()
        try Self.validate(StopConfig(signal: signal, timeout: timeout.map { DurationText($0) }))
        let row = try update(id) { row throws(Refusal) in
            guard row.goal == .started, row.record.state == .started, let attempt = row.attempt else {
                throw Refusal(
                    .failedPrecondition, "unable to restart machine from current state: '\(row.record.state.rawValue)'")
            }
            row.restartAttempt = attempt
            row.stopSignal = signal
            row.stopTimeoutMilliseconds = timeout?.milliseconds
            row.record.state = .restarting
            row.add(.make(.restart, status: .restarting, source: .user))
        }
        orders.send(id)
        return row.record
    }

    /// Without `force` a running machine is refused, as Fly.io does.
    public func destroy(_ id: MachineID, force: Bool) throws(Refusal) -> MachineRecord {
        try requireCurrent()
        let row = try update(id) { row throws(Refusal) in
            guard row.goal != .destroyed else { return }
            let isAtRest = [.stopped, .failed, .created].contains(row.record.state)
            guard force || isAtRest else {
                throw Refusal(
                    .failedPrecondition,
                    "unable to destroy machine, not currently in a destroyable state ('\(row.record.state.rawValue)'): stop it first or use force"
                )
            }
            row.goal = .destroyed
            row.record.state = .destroying
            row.add(.make(.destroy, status: .destroying, source: .user))
        }
        orders.send(id)
        return row.record
    }

    // MARK: - Questions

    public func machine(_ id: MachineID) -> MachineRow? { machineRows[id] }

    public func machines(of app: AppName) -> [MachineRow] {
        machineRows.values.filter { $0.record.app == app }.sorted { $0.record.id < $1.record.id }
    }

    public static let waitMax = Duration.seconds(60)

    /// Returns when the machine is in the state, or when it can no longer come to it.
    public nonisolated func wait(for id: MachineID, state: MachineState, timeout: Duration) async throws(Refusal)
        -> MachineRecord
    {
        let changes = changes.subscribe()
        let outcome = await withTaskGroup(of: Result<MachineRecord, Refusal>?.self) { group in
            group.addTask {
                if let verdict = await self.verdict(on: id, waitingFor: state) { return verdict }
                for await _ in changes {
                    if let verdict = await self.verdict(on: id, waitingFor: state) { return verdict }
                }
                return nil
            }
            group.addTask {
                try? await Task.sleep(for: min(timeout, Self.waitMax))
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
        if let outcome { return try outcome.get() }
        let present = await machine(id)?.record.state.rawValue ?? "unknown"
        throw Refusal(
            .deadlineExceeded,
            "deadline_exceeded: machine failed to reach desired state, \(state.rawValue), currently \(present)")
    }

    private func verdict(on id: MachineID, waitingFor state: MachineState) -> Result<MachineRecord, Refusal>? {
        guard let row = machineRows[id] else {
            return .failure(Refusal(.notFound, "machine \(id) not found"))
        }
        if row.record.state == state { return .success(row.record) }
        if row.record.state == .destroyed || (row.record.state == .failed && state == .started) {
            return .failure(
                Refusal(
                    .failedPrecondition,
                    "machine \(id) is \(row.record.state.rawValue) and will not be \(state.rawValue)"
                ))
        }
        return nil
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
}

extension MachineEvent {
    static func make(
        _ type: Kind, status: MachineState, source: Source, exit: Exit? = nil, message: String? = nil
    ) -> MachineEvent {
        let detail = exit == nil && message == nil ? nil : Detail(exitEvent: exit, message: message)
        return MachineEvent(
            id: InstanceID.make(), type: type, status: status, source: source,
            timestamp: WallClock.milliseconds(), request: detail)
    }
}
