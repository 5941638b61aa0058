import Logging
import RoostLinux
public import RoostModel
import RoostPlanet
import RoostRuntime
public import RoostVolumes

extension HostAgent {
    public static let volumeSizeMax = ByteCount.gibibytes(500)

    /// Makes a volume, or says that it is already there. The host has the last word on its capacity.
    public func createVolume(_ order: VolumeOrder) async throws(Refusal) -> VolumeRecord {
        try requireCurrent()
        if let present = volumeRows[order.id] {
            guard present.app == order.app, present.size == order.size, present.state != .pendingDestroy else {
                throw Refusal(.alreadyExists, "volume \(order.id) exists and is another one")
            }
            if present.state == .created { return present }
        } else {
            try admit(order)
            let record = VolumeRecord(
                id: order.id, name: order.name, app: order.app, region: configuration.region, state: .creating,
                size: order.size, reserved: order.reserved, createdAt: WallClock.milliseconds())
            try save(volumes: [record])
        }
        guard let record = volumeRows[order.id] else {
            throw Refusal(.notFound, "volume \(order.id) was destroyed while it was being made")
        }
        try await finishCreating(record)
        return volumeRows[order.id] ?? record
    }

    private func admit(_ order: VolumeOrder) throws(Refusal) {
        guard order.size >= .gibibytes(1), order.size <= Self.volumeSizeMax else {
            throw Refusal(.invalid, "a volume has 1 GB to \(Self.volumeSizeMax.wholeGibibytes) GB")
        }
        if let reserved = order.reserved { try Self.validate(reserved, as: "compute") }
        let use = PlacementUse(agent: self)
        guard use.disk + order.size <= configuration.capacity.disk else {
            throw Refusal(
                .insufficientCapacity,
                "host \(configuration.host) has \(configuration.capacity.disk - use.disk) of disk left, \(order.size) are needed"
            )
        }
        let memory = ByteCount.mebibytes(order.reserved?.memoryMebibytes ?? 0)
        guard use.memory + memory <= configuration.capacity.memory else {
            throw Refusal(
                .insufficientCapacity,
                "host \(configuration.host) has \(configuration.capacity.memory - use.memory) of memory left, \(memory) are needed"
            )
        }
    }

    func finishCreating(_ record: VolumeRecord) async throws(Refusal) {
        do {
            try await volumeBackend.create(record.id, size: record.size)
        } catch {
            logger.error("cannot make a volume", metadata: ["volume": "\(record.id)", "error": "\(error)"])
            // Nobody was told that it exists.
            if volumeRows[record.id]?.state == .creating {
                generation = try ledger.write(removingVolumes: [record.id])
                volumeRows[record.id] = nil
                changes.send(())
            }
            throw Refusal(volume: error)
        }
        guard var present = volumeRows[record.id], present.state == .creating else { return }
        present.state = .created
        try save(volumes: [present])
    }

    public func volume(_ id: VolumeID) -> VolumeRecord? { volumeRows[id] }

    public func usage(of id: VolumeID) async -> VolumeUsage? {
        try? await volumeBackend.usage(of: id)
    }

    /// Refused while a machine has it.
    public func destroyVolume(_ id: VolumeID) async throws(Refusal) -> VolumeRecord {
        try requireCurrent()
        guard var record = volumeRows[id] else { throw Refusal(.notFound, "volume \(id) not found") }
        if let machine = record.attachedMachine {
            throw Refusal(
                .failedPrecondition,
                "volume is currently bound to machine: \(machine). Destroy the machine first.")
        }
        record.state = .pendingDestroy
        try save(volumes: [record])
        try await finishDestroying(record)
        record.state = .destroyed
        return record
    }

    func finishDestroying(_ record: VolumeRecord) async throws(Refusal) {
        do { try await volumeBackend.destroy(record.id) } catch { throw Refusal(volume: error) }
        generation = try ledger.write(removingVolumes: [record.id])
        volumeRows[record.id] = nil
        changes.send(())
    }
}

/// What this host has promised: the same arithmetic that placement does from outside.
struct PlacementUse {
    let memory: ByteCount
    let disk: ByteCount

    init(agent: isolated HostAgent) {
        let machines = agent.machineRows.values.filter { $0.record.state != .destroyed }
        let volumes = agent.volumeRows.values.filter { $0.state != .destroyed }
        let waiting = volumes.filter { $0.attachedMachine == nil }.compactMap(\.reserved)
        let guests = machines.map(\.record.config.guest) + waiting
        memory = .mebibytes(guests.reduce(0) { $0 + $1.memoryMebibytes })
        disk = volumes.reduce(.zero) { $0 + $1.size }
    }
}
