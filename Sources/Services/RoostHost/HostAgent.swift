public import Logging
import RoostLinux
import RoostMachineLife
public import RoostMesh
public import RoostModel
public import RoostPlanet
public import RoostRuntime
import RoostTelemetry
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

    /// The ports that are closed with every launch, of the machines of each kind of owner.
    nonisolated let gatedPorts: [OwnerKind: [UInt16]]
    nonisolated let places = LaunchPlaces()

    var ledger: Ledger
    var machineRows: [MachineID: MachineRow] = [:]
    var volumeRows: [VolumeID: VolumeRecord] = [:]
    public internal(set) var generation: Generation
    var identity: MeshIdentity
    var renounced: RenouncedIDs
    /// Set when the store holds a newer generation than this ledger: the ledger is an old copy, or another host
    /// uses the same name. Nothing is carried out any more.
    public private(set) var isSuperseded = false

    /// Rows that this version cannot read. They are left as they are, and so is what they stand for.
    public private(set) var unreadableRows: [UnreadableRow]

    /// Told after every change of what the host publishes.
    public nonisolated let changes = ChangeFeed<HostChange>()
    /// Tells those who wait for a machine that its row has changed.
    nonisolated let signals = MachineSignals()
    nonisolated let ownKills = OwnKills()
    /// The bytes of configs as they are published, by the instance that has them.
    var configSizes: [MachineID: (instance: String, bytes: Int)] = [:]
    var gates = GateBook()
    let gateCalls: AsyncStream<Void>.Continuation
    private let gateCallStream: AsyncStream<Void>
    /// The newest order of each machine, counted since the agent started.
    var newestOrders: [MachineID: UInt64] = [:]
    /// Rings at a machine's keeper; none where no keeper is.
    private var calls: [MachineID: AsyncStream<UInt64>.Continuation] = [:]
    /// Machines that nobody has looked at since the agent started.
    var unseenMachines: Set<MachineID>
    /// See ``HostRecord/diskLeft``.
    var diskLeft: ByteCount?
    var rootBounds: RootBounds
    var busyRootLanes: Set<RootBounds.Lane> = []
    nonisolated let diskFree: @Sendable () async -> ByteCount?
    /// See ``HostRecord/isEdgeStopped``.
    private var isEdgeStopped = false
    /// What the edge that serves says that it can do.
    private var edgeCapabilities: Set<Capability> = []
    /// Volumes that are being made or removed, and who waits for that.
    var volumesAtWork: [VolumeID: [CheckedContinuation<Void, Never>]] = [:]
    private let newcomers: AsyncStream<Newcomer>
    private let newcomersContinuation: AsyncStream<Newcomer>.Continuation

    /// A machine that wants a keeper.
    private struct Newcomer: Sendable {
        var machine: MachineID
        var calls: AsyncStream<UInt64>
    }

    /// Rows of destroyed machines that are kept for those who ask.
    static let destroyedRowsMax = 64
    static let machinesMax = 1000

    /// - Parameter diskFree: what is free on the host's disk; nil while the disk gives no answer. Unless given, that of the
    ///   state folder's.
    public init(
        configuration: HostConfiguration, runtime: any MachineRuntime,
        volumes: any VolumeBackend, mesh: any Mesh, identity: MeshIdentity,
        gatedPorts: [OwnerKind: [UInt16]], logger: Logger, diskFree: (@Sendable () async -> ByteCount?)? = nil
    ) throws(Refusal) {
        self.configuration = configuration
        self.runtime = runtime
        volumeBackend = volumes
        self.mesh = mesh
        self.identity = identity
        self.gatedPorts = gatedPorts
        let folder = configuration.stateFolder
        self.diskFree = diskFree ?? { await Self.freeSpace(of: folder) }
        rootBounds = RootBounds(
            limits: .init(rootMax: configuration.disk.rootMax, reserve: configuration.disk.reserve))
        self.logger = logger
        do { try DurableFile.makeFolder(configuration.stateFolder, mode: 0o700) } catch {
            throw Refusal(.failed, "the host cannot make its folder", details: "\(error)")
        }
        var ledger = try Ledger(path: configuration.stateFolder + "/ledger.sqlite")
        let now = BootClock.now()
        let machines = try ledger.machines()
        for var row in machines.rows {
            row.life.resume(at: now)
            if row.hadOpenGate { row.openPorts = Set(row.record.owner.flatMap { gatedPorts[$0.kind] } ?? []) }
            machineRows[row.record.id] = row
        }
        let volumes = try ledger.volumes()
        for row in volumes.rows { volumeRows[row.id] = row }
        let unreadable = machines.unreadable + volumes.unreadable
        unreadableRows = unreadable
        unseenMachines = Set(machineRows.keys)
        generation = try ledger.generation()
        renounced = RenouncedIDs(try ledger.renounced())
        self.ledger = ledger
        (newcomers, newcomersContinuation) = AsyncStream.makeStream(of: Newcomer.self)
        (gateCallStream, gateCalls) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        for kind in MachineEvent.Kind.known { Metric.machineEvents.begin(kind.rawValue) }
        for row in unreadable {
            logger.critical(
                "a row of the ledger cannot be read by this version; it is set aside, and what it stands for is left as it is",
                metadata: ["table": "\(row.table)", "id": "\(row.id)", "reason": "\(row.reason)"])
        }
    }

    /// Runs until cancelled: takes over what runs, then keeps every machine. Keepers do not wait for each other, nor for
    /// volumes that are being made.
    public func run() async {
        await clearForeignMachines()
        await forgetOldLogs()
        let kept = machineRows.values.filter { $0.life.phase != .destroyed }
        for row in kept { announce(row.record.id) }
        logger.info(
            "took over",
            metadata: [
                "machines": "\(kept.count)", "volumes": "\(volumeRows.count)", "unreadable": "\(unreadableRows.count)",
                "generation": "\(generation)",
            ])
        await withDiscardingTaskGroup { group in
            group.addTask { await self.keepGates(self.gateCallStream) }
            group.addTask { await self.finishVolumes() }
            group.addTask { await self.watchDisk() }
            group.addTask { await self.watchRoots() }
            for await newcomer in newcomers {
                group.addTask {
                    await MachineKeeper(machine: newcomer.machine, agent: self, calls: newcomer.calls).run()
                    await self.dismiss(newcomer.machine)
                }
            }
            group.cancelAll()
        }
    }

    /// What runs on the host but is not in the ledger is not ours to keep: an order that was never confirmed, or a
    /// machine whose destruction was cut off.
    private func clearForeignMachines() async {
        let running: [MachineID]
        do { running = try await runtime.list() } catch {
            logger.error("cannot list what runs on the host", metadata: ["error": "\(error)"])
            return
        }
        for machine in running where !isKept(machine) {
            logger.warning("removing a machine that is not in the ledger", metadata: ["machine": "\(machine)"])
            do {
                try await runtime.kill(machine)
                try await runtime.remove(machine)
            } catch {
                logger.error(
                    "cannot remove a machine that is not in the ledger",
                    metadata: ["machine": "\(machine)", "error": "\(error)"])
            }
        }
        for machine in (try? await mesh.attached()) ?? [] where !isKept(machine) {
            try? await mesh.detach(machine)
        }
    }

    private func isKept(_ machine: MachineID) -> Bool {
        if unreadableRows.contains(where: { $0.id == machine.text }) { return true }
        return machineRows[machine].map { $0.life.phase != .destroyed } ?? false
    }

    /// The host as it is published.
    public func record() -> HostRecord {
        HostRecord(
            host: configuration.host, region: configuration.region, generation: generation,
            capacity: configuration.capacity, mesh: identity, isEdge: configuration.edge != nil,
            isStoreMember: configuration.store.isMember,
            capabilities: Release.capabilities.subtracting(Capability.ofEdges).union(edgeCapabilities),
            machines: machineRows.values.map(\.record).filter { $0.state != .destroyed }.sorted { $0.id < $1.id },
            volumes: volumeRows.values.filter { $0.state != .destroyed }.sorted { $0.id < $1.id }, diskLeft: diskLeft,
            unreadableRows: unreadableRows.isEmpty ? nil : unreadableRows.count, isEdgeStopped: isEdgeStopped)
    }

    /// Tells the planet whether somebody has stopped this host's edge.
    ///
    /// - Parameter read: asked in the turn of this call: of two at once the later one knows the truth.
    public func setEdgeStopped(_ read: @autoclosure @Sendable () -> Bool) {
        let isStopped = read()
        guard isStopped != isEdgeStopped else { return }
        isEdgeStopped = isStopped
        changes.send([.all])
    }

    /// Tells the planet what this host's edge can do, by its own word: it is another program than this one, perhaps an older
    /// one that still serves. Of what is no edge's it says nothing.
    public func setEdgeCapabilities(_ said: Set<Capability>) {
        let new = said.intersection(Capability.ofEdges)
        guard new != edgeCapabilities else { return }
        edgeCapabilities = new
        changes.send([.all])
    }

    /// The features of one kind that have machines here, by name.
    public func owners(of kind: OwnerKind) -> Set<AppName> {
        Set(
            machineRows.values.compactMap { row in
                guard let owner = row.record.owner, owner.kind == kind, row.record.state != .destroyed else {
                    return nil
                }
                return owner.name
            })
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
    ///
    /// - Parameter reason: for the event that tells the end.
    public nonisolated func kill(_ machine: MachineID, because reason: String) async throws(Refusal) {
        ownKills.note(machine, because: reason)
        do { try await runtime.kill(machine) } catch { throw Refusal(runtime: error) }
    }

    /// When what runs of a machine now began, by the kernel's account.
    public nonisolated func began(_ machine: MachineID) async -> MachineBeginning {
        await runtime.began(machine)
    }

    // MARK: - Rows

    func row(_ machine: MachineID) -> MachineRow? { machineRows[machine] }

    func requireRow(_ machine: MachineID) throws(Refusal) -> MachineRow {
        guard let row = machineRows[machine] else {
            throw Refusal(.notFound, "machine \(machine) not found")
        }
        return row
    }

    /// Writes rows durably, all of them or none, then makes them known.
    ///
    /// - Parameter forgotten: destroyed machines whose rows go.
    func save(
        machines: [MachineRow] = [], volumes: [VolumeRecord] = [], forgetting forgotten: [MachineID] = []
    ) throws(Refusal) {
        // As long as there is a row, it says itself that its id was used.
        let renounced = forgotten.map(\.text)
        generation = try ledger.write(
            machines: machines, volumes: volumes, removingMachines: forgotten, renouncing: renounced)
        for id in forgotten { machineRows[id] = nil }
        if !renounced.isEmpty { remember(renounced: renounced) }
        for row in machines {
            let known = machineRows[row.record.id]?.events.first?.id
            for event in row.events.prefix(while: { $0.id != known }) {
                Metric.machineEvents.add(event.type.rawValue)
            }
            machineRows[row.record.id] = row
        }
        for row in volumes { volumeRows[row.id] = row }
        changes.send(Set(machines.map { .machine($0.record.id) } + volumes.map { .volume($0.id) }))
        for id in machines.map(\.record.id) + forgotten { signals.send(id) }
    }

    /// Gives the machine a keeper, unless it has one. What is ordered from here on rings there.
    func announce(_ machine: MachineID) {
        guard calls[machine] == nil else { return }
        let (stream, continuation) = AsyncStream.makeStream(of: UInt64.self, bufferingPolicy: .bufferingNewest(1))
        calls[machine] = continuation
        newcomersContinuation.yield(Newcomer(machine: machine, calls: stream))
    }

    /// Rings at the machine's keeper: there is a newer order. Only the newest counts, since the keeper reads the row.
    func call(_ machine: MachineID) { calls[machine]?.yield(newestOrders[machine] ?? 0) }

    private func dismiss(_ machine: MachineID) {
        calls.removeValue(forKey: machine)?.finish()
        newestOrders[machine] = nil
    }

    /// The destroyed machines that are one too many to be kept for those who ask.
    var oldDestroyed: [MachineID] {
        let destroyed = machineRows.values.filter { $0.record.state == .destroyed }
        guard destroyed.count > Self.destroyedRowsMax else { return [] }
        return destroyed.sorted { $0.record.updatedAt > $1.record.updatedAt }.dropFirst(Self.destroyedRowsMax)
            .map(\.record.id)
    }
}
