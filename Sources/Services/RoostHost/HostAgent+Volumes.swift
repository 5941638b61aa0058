import Logging
import RoostLinux
import RoostMachineLife
public import RoostModel
import RoostPlanet
import RoostRuntime
public import RoostVolumes

extension HostAgent {
    public static let volumeSizeMax = ByteCount.gibibytes(VolumeRecord.gibibytes.upperBound)

    /// Makes a volume, or says that it is already there. The host has the last word on its capacity.
    public func createVolume(_ order: VolumeOrder) async throws(Refusal) -> VolumeRecord {
        try requireCurrent()
        // Whoever asks while it is being made or removed waits, and then sees what has come of it.
        while await isAtWork(order.id) {}
        if let present = volumeRows[order.id] {
            guard present.app == order.app, present.size == order.size, present.state != .pendingDestroy else {
                throw Refusal(.alreadyExists, "volume \(order.id) exists and is another one")
            }
            if present.state == .created { return present }
            guard present.state == .creating else { throw unknownState(of: present) }
        } else {
            try requireReadable(order.id.text)
            try refuseIfRenounced(order.id.text, "volume")
            try admit(order)
            let record = VolumeRecord(
                id: order.id, name: order.name, app: order.app, region: configuration.region, state: .creating,
                size: order.size, reserved: order.reserved, createdAt: WallClock.milliseconds())
            try save(volumes: [record])
        }
        return try await finishCreating(order.id)
    }

    /// Another version's word: nothing is done to the volume until somebody who knows it is back.
    private func unknownState(of record: VolumeRecord) -> Refusal {
        Refusal(
            .failedPrecondition,
            "volume \(record.id) is '\(record.state)', which this host's version does not know; use a newer one")
    }

    /// Waits while somebody makes or removes the volume.
    /// - Returns: whether somebody did. Then look again.
    func isAtWork(_ id: VolumeID) async -> Bool {
        guard volumesAtWork[id] != nil else { return false }
        await withCheckedContinuation { volumesAtWork[id, default: []].append($0) }
        return true
    }

    /// One at a time works on a volume; the others wait in ``isAtWork(_:)``.
    private func beginWork(on id: VolumeID) { volumesAtWork[id] = [] }

    private func endWork(on id: VolumeID) {
        for waiter in volumesAtWork.removeValue(forKey: id) ?? [] { waiter.resume() }
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

    /// Makes what the row of a volume that is being made promises.
    private func finishCreating(_ id: VolumeID) async throws(Refusal) -> VolumeRecord {
        guard let record = volumeRows[id] else { throw Refusal(.notFound, "volume \(id) not found") }
        beginWork(on: id)
        defer { endWork(on: id) }
        do throws(VolumeError) { try await volumeBackend.create(id, size: record.size) } catch {
            logger.error("cannot make a volume", metadata: ["volume": "\(id)", "error": "\(error)"])
            // Nobody was told that it exists. Whoever ordered it may order it again.
            try forget(id, isFinal: false)
            throw Refusal(volume: error)
        }
        var present = record
        present.state = .created
        try save(volumes: [present])
        logger.info("volume created", metadata: ["volume": "\(id)", "app": "\(record.app)"])
        return present
    }

    /// - Parameter isFinal: it is never made again.
    private func forget(_ id: VolumeID, isFinal: Bool) throws(Refusal) {
        let renounced = isFinal ? [id.text] : []
        generation = try ledger.write(removingVolumes: [id], renouncing: renounced)
        volumeRows[id] = nil
        remember(renounced: renounced)
        changes.send([.volume(id)])
    }

    /// Takes up what was cut off when the agent ended. Volumes that are not in the ledger are only named, never removed:
    /// data is not thrown away on a doubt.
    func finishVolumes() async {
        for volume in (try? await volumeBackend.list()) ?? []
        where volumeRows[volume] == nil && !unreadableRows.contains(where: { $0.id == volume.text }) {
            logger.error("a volume on disk is not in the ledger; it is left alone", metadata: ["volume": "\(volume)"])
        }
        for volume in volumeRows.values where volume.state == .pendingDestroy {
            do { _ = try await destroyVolume(volume.id) } catch {
                logger.error(
                    "cannot finish removing a volume", metadata: ["volume": "\(volume.id)", "error": "\(error)"])
            }
        }
        for volume in volumeRows.values where volume.state == .creating && volumesAtWork[volume.id] == nil {
            do { _ = try await finishCreating(volume.id) } catch {
                logger.error(
                    "cannot finish making a volume", metadata: ["volume": "\(volume.id)", "error": "\(error)"])
            }
        }
    }

    public func volume(_ id: VolumeID) -> VolumeRecord? { volumeRows[id] }

    public func usage(of id: VolumeID) async -> VolumeUsage? {
        try? await volumeBackend.usage(of: id)
    }

    /// Refused while a machine has it.
    public func destroyVolume(_ id: VolumeID) async throws(Refusal) -> VolumeRecord {
        try requireCurrent()
        while await isAtWork(id) {}
        guard var record = volumeRows[id] else { throw Refusal(.notFound, "volume \(id) not found") }
        if let machine = record.attachedMachine {
            throw Refusal(
                .failedPrecondition,
                "volume is currently bound to machine: \(machine). Destroy the machine first.")
        }
        guard [.creating, .created, .pendingDestroy].contains(record.state) else { throw unknownState(of: record) }
        record.state = .pendingDestroy
        try save(volumes: [record])
        beginWork(on: id)
        defer { endWork(on: id) }
        do throws(VolumeError) { try await volumeBackend.destroy(id) } catch { throw Refusal(volume: error) }
        try forget(id, isFinal: true)
        logger.info("volume destroyed", metadata: ["volume": "\(id)", "app": "\(record.app)"])
        record.state = .destroyed
        return record
    }
}

/// What this host has promised: the same arithmetic that placement does from outside.
struct PlacementUse {
    let memory: ByteCount
    let disk: ByteCount

    init(agent: isolated HostAgent) {
        let machines = agent.machineRows.values.filter { $0.life.phase != .destroyed }
        let volumes = agent.volumeRows.values.filter { $0.state != .destroyed }
        let waiting = volumes.filter { $0.attachedMachine == nil }.compactMap(\.reserved)
        let unreadable = agent.unreadableRows.compactMap { $0.glimpse?.guest }
        let guests = machines.map(\.record.config.guest) + waiting + unreadable
        memory = .mebibytes(guests.reduce(0) { $0 + $1.memoryMebibytes })
        disk = volumes.reduce(.zero) { $0 + $1.size }
    }
}
