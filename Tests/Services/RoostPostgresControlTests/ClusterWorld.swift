import Foundation
import Logging
import RoostControl
import RoostHost
import RoostLinux
import RoostModel
import RoostPlacement
import RoostPlanet
import RoostPlans
import RoostStore
import RoostWire
import Synchronization
import Testing

@testable import RoostControl
@testable import RoostPostgresControl

/// What a test cuts off: the n-th call of the outside world, before it has an effect or after.
final class Cuts: Sendable {
    enum Cut: Hashable, Sendable { case before(Int), after(Int) }

    private let state: Mutex<(count: Int, cut: Cut?)>

    init(_ cut: Cut?) { state = Mutex((0, cut)) }

    var calls: Int { state.withLock { $0.count } }

    /// Counts from here on, for another cut.
    func begin(_ cut: Cut) { state.withLock { $0 = (0, cut) } }

    /// Counts a call; throws where it is to be cut off.
    func call<Result: Sendable>(_ effect: () async throws(Refusal) -> Result) async throws(Refusal) -> Result {
        let (number, cut) = state.withLock { state in
            state.count += 1
            return (state.count, state.cut)
        }
        if cut == .before(number) { throw Refusal(.unavailable, "cut off before call \(number)") }
        let result = try await effect()
        if cut == .after(number) { throw Refusal(.outcomeUnknown, "cut off after call \(number)") }
        return result
    }
}

/// A store whose commits and reads are counted and cut off.
struct CutStore: Store {
    let base: SQLiteStore
    let cuts: Cuts

    private func cut<Result: Sendable>(_ effect: () async throws(StoreError) -> Result) async throws(StoreError)
        -> Result
    {
        do throws(Refusal) {
            return try await cuts.call { () throws(Refusal) in
                do throws(StoreError) { return try await effect() } catch { throw Refusal(store: error) }
            }
        } catch {
            throw StoreError(
                code: error.code == .outcomeUnknown ? .outcomeUnknown : .unavailable, operation: "test",
                cause: error.message)
        }
    }

    func read(_ range: KeyRange, at revision: Revision?) async throws(StoreError) -> Listing {
        try await cut { () throws(StoreError) in try await base.read(range, at: revision) }
    }
    func commit(_ transaction: Transaction) async throws(StoreError) -> TransactionOutcome {
        try await cut { () throws(StoreError) in try await base.commit(transaction) }
    }
    func watch(_ range: KeyRange, from revision: Revision?) -> AsyncStream<WatchEvent> {
        base.watch(range, from: revision)
    }
    func grantLease(timeToLive: Duration) async throws(StoreError) -> LeaseID {
        try await base.grantLease(timeToLive: timeToLive)
    }
    func keepAlive(_ lease: LeaseID) async throws(StoreError) -> Bool { try await base.keepAlive(lease) }
    func revoke(_ lease: LeaseID) async throws(StoreError) { try await base.revoke(lease) }
}

/// Hosts that remember what they were ordered to make, and that a destroyed thing is not made again.
final class OrderedHosts: HostDispatch {
    struct Contents {
        var machines: [MachineID: MachineOrder] = [:]
        var volumes: [VolumeID: VolumeOrder] = [:]
        var destroyed: Set<MachineID> = []
        var destroyedVolumes: Set<VolumeID> = []
    }

    let cuts: Cuts
    let contents = Mutex<[HostName: Contents]>([:])
    /// Hosts that refuse every volume for want of room.
    let full = Mutex<Set<HostName>>([])
    /// What every host says to an order for a volume.
    let fault = Mutex<Refusal?>(nil)
    /// Hosts that cannot be reached.
    let away = Mutex<Set<HostName>>([])
    /// Machines that cannot be started.
    let failed = Mutex<Set<MachineID>>([])
    /// Hosts that do not answer until they are taken out.
    let silent = Mutex<Set<HostName>>([])

    init(cuts: Cuts) throws {
        self.cuts = cuts
        region = try RegionCode("ams")
    }

    private func order<Result: Sendable>(_ host: HostName, _ effect: () throws(Refusal) -> Result)
        async throws(Refusal) -> Result
    {
        while silent.withLock({ $0.contains(host) }) {
            if Task.isCancelled { throw Refusal(.unavailable, "cancelled") }
            try? await Task.sleep(for: .milliseconds(2))
        }
        return try await cuts.call { () throws(Refusal) in
            guard !away.withLock({ $0.contains(host) }) else {
                throw Refusal(.unavailable, "host \(host) does not answer")
            }
            return try effect()
        }
    }

    func createVolume(_ order: VolumeOrder, on host: HostName) async throws(Refusal) -> VolumeRecord {
        try await self.order(host) { () throws(Refusal) in
            if let refusal = fault.withLock({ $0 }) { throw refusal }
            guard !full.withLock({ $0.contains(host) }) else {
                throw Refusal(.insufficientCapacity, "host \(host) is full")
            }
            let isGone = contents.withLock { contents in
                if contents[host, default: .init()].destroyedVolumes.contains(order.id) { return true }
                contents[host, default: .init()].volumes[order.id] = order
                return false
            }
            if isGone { throw Refusal(.failedPrecondition, "volume \(order.id) was destroyed") }
            return record(order)
        }
    }

    func createMachine(_ order: MachineOrder, on host: HostName) async throws(Refusal) -> MachineRecord {
        try await self.order(host) { () throws(Refusal) in
            let isGone = contents.withLock { contents in
                if contents[host, default: .init()].destroyed.contains(order.id) { return true }
                contents[host, default: .init()].machines[order.id] = order
                return false
            }
            if isGone { throw Refusal(.failedPrecondition, "machine \(order.id) was destroyed") }
            return record(order)
        }
    }

    /// The one region of these tests.
    let region: RegionCode

    func record(_ order: MachineOrder) -> MachineRecord {
        MachineRecord(
            id: order.id, name: order.name, app: order.app, region: region,
            state: failed.withLock { $0.contains(order.id) } ? .failed : .started, instance: "01",
            config: order.config, network: order.network, owner: order.owner, createdAt: 0, updatedAt: 0)
    }

    func record(_ order: VolumeOrder) -> VolumeRecord {
        VolumeRecord(
            id: order.id, name: order.name, app: order.app, region: region, state: .created, size: order.size,
            reserved: order.reserved, createdAt: 0)
    }

    func destroyMachine(_ machine: MachineID, of app: AppName, on host: HostName) async throws(Refusal) {
        try await order(host) { () throws(Refusal) in
            contents.withLock {
                $0[host, default: .init()].machines[machine] = nil
                $0[host, default: .init()].destroyed.insert(machine)
            }
        }
    }

    func destroyVolume(_ volume: VolumeID, of app: AppName, on host: HostName) async throws(Refusal) {
        try await order(host) { () throws(Refusal) in
            contents.withLock {
                $0[host, default: .init()].volumes[volume] = nil
                $0[host, default: .init()].destroyedVolumes.insert(volume)
            }
        }
    }
}

/// Who is heard, and what time it is, for the host that replaces lost members.
final class Ear: Sendable {
    /// Nil: the cluster is not heard.
    let voices = Mutex<ClusterVoices?>(nil)
    /// Who is known to have said nothing for too long.
    let silent = Mutex<Set<MemberName>>([])
    let now = Mutex(Moment(sinceBoot: .seconds(1000)))
}

/// A store, hosts and a cluster that is wanted; driven by plans as the runner drives it, one look after the other.
struct ClusterWorld {
    let folder: String
    let store: SQLiteStore
    let cuts: Cuts
    let hosts: OrderedHosts
    let names: [HostName]
    let reconciler: ClusterReconciler
    /// What the host with the duty hears of the cluster, and its clock.
    let ear: Ear
    let directory: ClusterDirectory
    /// Cut off, too.
    let operations: OperationDirectory
    /// The one that is looked at; a copy can look at another one on the same planet.
    var cluster: AppName
    /// Of each host.
    var memory = ByteCount.gibibytes(8)
    static let duty = "/roost/duties/clusters"

    init(cut: Cuts.Cut? = nil, hosts count: Int = 4) async throws {
        // A world is made for each place at which its plan can be cut off, and no power is lost here: a disk that flushes
        // each of their records would be most of what these tests wait for.
        let memory = "/dev/shm/"
        let place = access(memory, W_OK | X_OK) == 0 ? memory : NSTemporaryDirectory()
        folder = place + "roost-clusters-\(UUID().uuidString)"
        try DurableFile.makeFolder(folder)
        store = try SQLiteStore(path: folder + "/store.sqlite", logger: Logger(label: "test"))
        cuts = Cuts(cut)
        let ear = Ear()
        self.ear = ear
        hosts = try OrderedHosts(cuts: cuts)
        names = try (1...count).map { try HostName("ams\($0)") }
        cluster = try AppName("db")
        let cutStore = CutStore(base: store, cuts: cuts)
        directory = try Self.directory(over: store, ear)
        operations = OperationDirectory(store: cutStore)
        reconciler = ClusterReconciler(
            store: cutStore, dispatch: hosts, clusters: try Self.directory(over: cutStore, ear),
            replacing: ReplacementDesk(
                voices: { _ in ear.voices.withLock { $0 } }, clock: { ear.now.withLock { $0 } }),
            silent: { _ in ear.silent.withLock { $0 } }, logger: Logger(label: "test"))
    }

    private static func directory(over store: any Store, _ ear: Ear) throws -> ClusterDirectory {
        let prefixes = [try IPv4Prefix("203.0.113.0/24")]
        var directory = ClusterDirectory(store: store, prefixes: prefixes, keepsSecretsApart: { true }) { _, _ in
            ClusterSecrets(
                ownerPassword: "a", replicationPassword: "b", authorityCertificate: "c", serverCertificate: "d",
                serverKey: "e")
        }
        directory.silent = { _ in ear.silent.withLock { $0 } }
        return directory
    }

    func remove() { try? FileManager.default.removeItem(atPath: folder) }

    func create(members: Int = 3, operation: PlanetOperationID = OperationDirectory.makeID()) async throws {
        _ = try await directory.create(
            ClusterDirectory.Order(
                name: cluster, regions: Array(repeating: hosts.region, count: members),
                volumeSize: .gibibytes(1), guest: MachineGuest(cpuKind: .shared, cpus: 1, memoryMebibytes: 512),
                image: "docker.example/postgres:17"), operation: operation)
    }

    /// Takes the duty, as a host that takes over does: the fence of the one before it does not hold any more.
    func takeDuty() async throws -> Transaction.Compare {
        let outcome = try await store.commit(
            Transaction(then: [.put(key: Self.duty, value: Array("host".utf8), lease: nil)]))
        return .modified(key: Self.duty, equals: outcome.revision)
    }

    /// The planet as a host sees it now.
    func look() async throws -> Planet {
        var planet = Planet()
        _ = planet.apply(.listing(try await store.read(.prefix("/roost"), at: nil)))
        for name in names {
            let contents = hosts.contents.withLock { $0[name] ?? .init() }
            planet.put(
                HostRecord(
                    host: name, region: hosts.region, generation: Generation(1),
                    capacity: HostCapacity(cpus: 8, memory: memory, disk: .gibibytes(100)),
                    mesh: MeshIdentity(
                        publicKey: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", endpoint: "198.18.0.1:1",
                        probePort: 1, address: MeshAddress.host(name)),
                    isEdge: false, isStoreMember: false, machines: contents.machines.values.map(hosts.record),
                    volumes: contents.volumes.values.map(hosts.record)))
        }
        return planet
    }

    /// One look and all its steps, each to its end.
    /// - Returns: whether there was nothing to do.
    func round(under fence: Transaction.Compare, seeing planet: Planet? = nil) async throws -> Bool {
        let planet = if let planet { planet } else { try await look() }
        let reachable = Set(names).subtracting(hosts.away.withLock { $0 })
        _ = reconciler.watch(in: planet, reachable: reachable)
        guard let plan = reconciler.plan(for: cluster, in: planet, reachable: reachable) else { return true }
        var done: [String] = []
        for step in plan.steps.sorted(by: { "\($0)" < "\($1)" }) {
            do throws(Refusal) {
                if try await reconciler.carryOut(step, for: cluster, in: planet, fence: fence) {
                    done.append(ClusterReconciler.words(for: step))
                }
            } catch {
                // Cut off or refused: the next look plans it again.
                continue
            }
        }
        if let operation = reconciler.operation(on: cluster, in: planet), !done.isEmpty {
            _ = try? await operations.note(done, obstacle: nil, on: operation, under: fence)
        }
        return plan.isDone
    }

    /// One look of who ends operations.
    func keepOperations(under fence: Transaction.Compare) async throws {
        let planet = try await look()
        await OperationKeeper.look(
            at: planet, running: Set(planet.operations.values.filter { $0.state == .running }.map(\.id)),
            operations: operations, judges: [ClusterOperations()], under: fence,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    /// As the members write it when all of them run.
    func becomeReady(leader number: Int = 1, epoch: Epoch = .first) async throws {
        let spec = try #require(try await look().clusters[cluster]?.spec)
        let members = spec.members.map(\.name)
        let leader = members[number - 1]
        let rule = ClusterRule(
            epoch: epoch, leader: leader, members: members, confirmations: 1,
            history: [Reign(epoch: epoch, leader: leader, begin: .zero)])
        let heartbeat = Heartbeat(epoch: epoch, leader: leader, sequence: 1, isOpen: true)
        var puts: [Transaction.Operation] = [
            try .put(rule, at: StoreKeys.clusterRule(cluster)),
            try .put(heartbeat, at: StoreKeys.clusterHeartbeat(cluster)),
        ]
        for member in members {
            let report = MemberReport(
                member: member, role: member == leader ? .primary : .standby, state: .running, promised: epoch,
                position: Position(epoch: epoch, end: LSN(1)), timeline: 1, replayed: LSN(1),
                isStreaming: member != leader, lagBytes: 0, lagMilliseconds: 0)
            puts.append(try .put(report, at: StoreKeys.report(cluster, member)))
        }
        _ = try await store.commit(Transaction(then: puts))
    }

    /// Looks until nothing is left to do; at most so often.
    func settle(under fence: Transaction.Compare, roundsMax: Int = 20) async throws -> Bool {
        for _ in 0..<roundsMax where try await round(under: fence) { return true }
        return false
    }

    var machines: [(host: HostName, order: MachineOrder)] {
        hosts.contents.withLock { contents in
            contents.flatMap { host, contents in contents.machines.values.map { (host, $0) } }
        }
    }
    var volumes: [(host: HostName, order: VolumeOrder)] {
        hosts.contents.withLock { contents in
            contents.flatMap { host, contents in contents.volumes.values.map { (host, $0) } }
        }
    }
}
