public import Logging
public import RoostAPI
public import RoostHost
import RoostLinux
public import RoostMesh
import RoostModel
public import RoostPlanet
public import RoostStore
import RoostWire
public import ServiceLifecycle
import Synchronization

/// One socket for each member machine of this host. The machine sees it as `/.roost/api`; by the socket the host
/// knows who asks.
public struct MemberSockets: Service {
    let agent: HostAgent
    let watcher: PlanetWatcher
    let store: any Store
    let warden: LeaseWarden
    let telling: LeaderTelling
    let bounds: CallBounds
    let mesh: any MeshPaths
    let logger: Logger
    private let near = NearRegions()

    /// Between two looks at how far regions are, which change by weeks.
    static let distanceInterval = Duration.seconds(30)
    static let retryPause = Duration.milliseconds(200)

    public init(
        agent: HostAgent, watcher: PlanetWatcher, store: any Store, warden: LeaseWarden, telling: LeaderTelling,
        bounds: CallBounds, mesh: any MeshPaths, logger: Logger
    ) {
        self.agent = agent
        self.watcher = watcher
        self.store = store
        self.warden = warden
        self.telling = telling
        self.bounds = bounds
        self.mesh = mesh
        self.logger = logger
    }

    public func run() async throws {
        let changes = agent.changes.subscribe { $0.concernsMachines }
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask { await measure() }
                var served: [MachineID: AsyncStream<Void>.Continuation] = [:]
                var iterator = changes.makeAsyncIterator()
                repeat {
                    let wanted = await members()
                    for (machine, caller) in wanted where served[machine] == nil {
                        let (stop, continuation) = AsyncStream.makeStream(of: Void.self)
                        served[machine] = continuation
                        group.addTask { await serve(caller, until: stop) }
                    }
                    for machine in served.keys where wanted[machine] == nil {
                        served.removeValue(forKey: machine)?.finish()
                    }
                } while await iterator.next() != nil
                group.cancelAll()
            }
        }
    }

    private func measure() async {
        repeat {
            let paths = await mesh.measurements()
            near.note(paths, watcher.read { $0.hosts.mapValues(\.region) })
        } while (try? await Task.sleep(for: Self.distanceInterval)) != nil
    }

    private func members() async -> [MachineID: MemberRoutes.Caller] {
        var members: [MachineID: MemberRoutes.Caller] = [:]
        for machine in await agent.record().machines {
            guard let owner = machine.owner, owner.kind == .postgres else { continue }
            members[machine.id] = MemberRoutes.Caller(machine: machine.id, cluster: owner.name, member: owner.role)
        }
        return members
    }

    private func serve(_ caller: MemberRoutes.Caller, until stop: AsyncStream<Void>) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await keepServing(caller) }
            group.addTask { for await _ in stop {} }
            await group.next()
            group.cancelAll()
        }
    }

    private func keepServing(_ caller: MemberRoutes.Caller) async {
        let folder = agent.configuration.machineFolder(caller.machine)
        while !Task.isCancelled {
            do {
                try DurableFile.makeFolder(folder)
                break
            } catch {
                logger.warning(
                    "a member's socket has no folder, trying again",
                    metadata: ["member": "\(caller.member)", "error": "\(error)"])
            }
            try? await Task.sleep(for: Self.retryPause)
        }
        let routes = MemberRoutes(
            caller: caller, watcher: watcher, store: MemberStore(caller: caller, watcher: watcher, store: store),
            warden: warden, tell: { [telling] in telling.note($0, of: caller.cluster, isStored: $1) },
            nearRegions: { [near] in near.regions }
        ) { [agent] wish throws(Refusal) in
            try await agent.setGate(
                caller.machine, port: ClusterPorts.write, isOpen: wish.isOpen, sequence: wish.sequence)
        }
        let door = APIDoor(.socket(path: folder + "/api"), for: .member(caller.machine), limits: .member)
        await APIServer(door, [routes], bounds: bounds, logger: logger).keepServing()
    }
}

/// Regions, the nearest first, as this host's paths to the others were last measured.
final class NearRegions: Sendable {
    private let state = Mutex<[RegionCode]?>(nil)

    var regions: [RegionCode]? { state.withLock { $0 } }

    func note(_ paths: [PathMeasurement], _ hosts: [HostName: RegionCode]) {
        var nearest: [RegionCode: Int64] = [:]
        for path in paths where path.isAnswering {
            guard let region = hosts[path.peer], let roundTrip = path.roundTripMicroseconds else { continue }
            nearest[region] = min(nearest[region] ?? roundTrip, roundTrip)
        }
        let order = nearest.sorted { ($0.value, $0.key) < ($1.value, $1.key) }.map(\.key)
        state.withLock { $0 = order.isEmpty ? nil : order }
    }
}
