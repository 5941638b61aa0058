public import Logging
import RoostLinux
public import RoostMesh
public import RoostModel
import RoostPlanet
public import RoostRuntime
public import RoostVolumes

/// A host's work: it owns the ledger, accepts orders, and keeps what really runs equal to what shall run.
///
/// The order is durable before it is confirmed; carrying it out is a keeper's business (``MachineKeeper``), one for
/// each machine. The agent runs on a queue of its own: a slow disk under the ledger stalls nobody else.
public actor HostAgent {
    nonisolated let executor = ThreadExecutor(name: "agent")
    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    public nonisolated let configuration: HostConfiguration
    nonisolated let runtime: any MachineRuntime
    nonisolated let volumeBackend: any VolumeBackend
    nonisolated let mesh: any Mesh
    nonisolated let logger: Logger

    let ledger: Ledger
    var machineRows: [MachineID: MachineRow] = [:]
    var volumeRows: [VolumeID: VolumeRecord] = [:]
    public internal(set) var generation: Generation
    var identity: MeshIdentity
    var renounced = RenouncedMachines()
    /// Set when the store holds a newer generation than this ledger: the ledger is an old copy, or another host
    /// uses the same name. Nothing is carried out any more.
    public private(set) var isSuperseded = false

    /// Told after every change of what the host publishes.
    public nonisolated let changes = Broadcast<Void>()
    /// Tells the keeper of one machine to look again.
    nonisolated let orders = Broadcast<MachineID>()
    private let newcomers: AsyncStream<MachineID>
    private let newcomersContinuation: AsyncStream<MachineID>.Continuation

    /// Rows of destroyed machines that are kept for those who ask.
    static let destroyedRowsMax = 64
    static let machinesMax = 1000

    public init(
        configuration: HostConfiguration, runtime: any MachineRuntime,
        volumes: any VolumeBackend, mesh: any Mesh, identity: MeshIdentity, logger: Logger
    ) throws(Refusal) {
        self.configuration = configuration
        self.runtime = runtime
        volumeBackend = volumes
        self.mesh = mesh
        self.identity = identity
        self.logger = logger
        do { try DurableFile.makeFolder(configuration.stateFolder, mode: 0o700) } catch {
            throw Refusal(.failed, "\(error)")
        }
        ledger = try Ledger(path: configuration.stateFolder + "/ledger.sqlite")
        for row in try ledger.machines() { machineRows[row.record.id] = row }
        for row in try ledger.volumes() { volumeRows[row.id] = row }
        generation = try ledger.generation()
        (newcomers, newcomersContinuation) = AsyncStream.makeStream(of: MachineID.self)
    }

    /// Runs until cancelled: takes over what runs, then keeps every machine.
    public func run() async {
        await clearRemains()
        for row in machineRows.values where row.record.state != .destroyed {
            newcomersContinuation.yield(row.record.id)
        }
        await closeGates()
        await withDiscardingTaskGroup { group in
            // A machine that was ordered while the agent was starting is announced twice.
            var kept: Set<MachineID> = []
            for await machine in newcomers where kept.insert(machine).inserted {
                let keeper = MachineKeeper(machine: machine, agent: self)
                group.addTask { await keeper.run() }
            }
            group.cancelAll()
        }
    }

    /// What is on the host but not in the ledger is not ours to keep: an order that was never confirmed, or a machine
    /// whose destruction was cut off. Volumes are only named, never removed: data is not thrown away on a doubt.
    private func clearRemains() async {
        for machine in (try? await runtime.list()) ?? [] where !isKept(machine) {
            logger.warning("removing a machine that is not in the ledger", metadata: ["machine": "\(machine)"])
            try? await runtime.kill(machine)
            try? await runtime.remove(machine)
        }
        for machine in (try? await mesh.attached()) ?? [] where !isKept(machine) {
            try? await mesh.detach(machine)
        }
        for volume in (try? await volumeBackend.list()) ?? [] where volumeRows[volume] == nil {
            logger.error("a volume on disk is not in the ledger; it is left alone", metadata: ["volume": "\(volume)"])
        }
        for volume in volumeRows.values where volume.state == .pendingDestroy {
            try? await finishDestroying(volume)
        }
        for volume in volumeRows.values where volume.state == .creating {
            try? await finishCreating(volume)
        }
    }

    private func isKept(_ machine: MachineID) -> Bool {
        machineRows[machine].map { $0.record.state != .destroyed } ?? false
    }

    /// The host as it is published.
    public func record() -> HostRecord {
        HostRecord(
            host: configuration.host, region: configuration.region, generation: generation,
            capacity: configuration.capacity, mesh: identity, isEdge: configuration.edge != nil,
            isStoreMember: configuration.store.isMember,
            machines: machineRows.values.map(\.record).filter { $0.state != .destroyed }.sorted { $0.id < $1.id },
            volumes: volumeRows.values.filter { $0.state != .destroyed }.sorted { $0.id < $1.id })
    }

    /// The publisher found a newer generation under this host's name.
    public func supersede(by other: Generation) {
        guard !isSuperseded else { return }
        isSuperseded = true
        logger.critical(
            "the store has a newer record of this host than its ledger; refusing to act. Is another host running under this name, or was the ledger restored from a copy?",
            metadata: ["published": "\(other)", "ledger": "\(generation)"])
    }

    func requireCurrent() throws(Refusal) {
        if isSuperseded {
            throw Refusal(
                .failedPrecondition,
                "host \(configuration.host) has an outdated ledger and does not act; see its log")
        }
    }

    /// Ends a machine at once, whatever it is doing; its keeper then decides what follows by the restart policy.
    public nonisolated func kill(_ machine: MachineID) async throws(Refusal) {
        do { try await runtime.kill(machine) } catch { throw Refusal(runtime: error) }
    }

    // MARK: - Rows

    func row(_ machine: MachineID) -> MachineRow? { machineRows[machine] }

    func requireRow(_ machine: MachineID) throws(Refusal) -> MachineRow {
        guard let row = machineRows[machine] else {
            throw Refusal(.notFound, "machine \(machine) not found")
        }
        return row
    }

    /// Writes rows durably, then makes them known.
    func save(machines: [MachineRow] = [], volumes: [VolumeRecord] = []) throws(Refusal) {
        generation = try ledger.write(machines: machines, volumes: volumes)
        for row in machines { machineRows[row.record.id] = row }
        for row in volumes { volumeRows[row.id] = row }
        changes.send(())
    }

    /// Changes one row by a closure; nothing is written when the closure changes nothing.
    @discardableResult
    func update(_ machine: MachineID, _ change: (inout MachineRow) throws(Refusal) -> Void) throws(Refusal)
        -> MachineRow
    {
        let old = try requireRow(machine)
        var row = old
        try change(&row)
        if row != old {
            row.record.updatedAt = WallClock.milliseconds()
            try save(machines: [row])
        }
        return row
    }

    func announce(_ machine: MachineID) { newcomersContinuation.yield(machine) }

    func forgetOldDestroyed() throws(Refusal) {
        let destroyed = machineRows.values.filter { $0.record.state == .destroyed }
            .sorted { $0.record.updatedAt > $1.record.updatedAt }
        let old = destroyed.dropFirst(Self.destroyedRowsMax).map(\.record.id)
        guard !old.isEmpty else { return }
        generation = try ledger.write(removingMachines: old)
        for id in old { machineRows[id] = nil }
    }
}
