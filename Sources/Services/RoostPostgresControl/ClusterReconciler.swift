public import Logging
public import RoostHost
import RoostLinux
public import RoostMesh
public import RoostModel
import RoostPlacement
public import RoostPlanet
public import RoostStore
public import ServiceLifecycle

/// Makes the members that clusters lack and takes apart the clusters that shall go. One host at a time has this
/// duty; since ids are written to the store before anything is made, a second one would only repeat the same orders.
public struct ClusterReconciler: Service {
    let store: any Store
    let watcher: PlanetWatcher
    let dispatch: any HostDispatch
    let mesh: any Mesh
    let host: HostName
    let clusters: ClusterDirectory
    let holdsDuty: @Sendable () -> Bool
    let logger: Logger

    static let interval = Duration.milliseconds(500)

    public init(
        store: any Store, watcher: PlanetWatcher, dispatch: any HostDispatch, mesh: any Mesh, host: HostName,
        clusters: ClusterDirectory, holdsDuty: @escaping @Sendable () -> Bool, logger: Logger
    ) {
        self.store = store
        self.watcher = watcher
        self.dispatch = dispatch
        self.mesh = mesh
        self.host = host
        self.clusters = clusters
        self.holdsDuty = holdsDuty
        self.logger = logger
    }

    public func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                if holdsDuty(), watcher.isLive { await reconcile(watcher.planet) }
                try? await Task.sleep(for: Self.interval)
            }
        }
    }

    private func reconcile(_ planet: Planet) async {
        await withDiscardingTaskGroup { group in
            for records in planet.clusters.values {
                guard let spec = records.spec else { continue }
                group.addTask {
                    let obstacles =
                        spec.isDestroying
                        ? await takeApart(spec, records) : await complete(spec, records, planet)
                    await note(obstacles, of: spec, known: records.obstacle)
                }
            }
        }
    }

    /// The host that works on a cluster knows best why it does not get on: that its hosts have no room, refuse or do
    /// not answer. People ask any host, so it is written to the store, when it changes.
    private func note(_ obstacles: [String], of spec: ClusterSpec, known: ClusterObstacle?) async {
        let obstacle =
            obstacles.isEmpty ? nil : ClusterObstacle(reason: obstacles.sorted().joined(separator: "; "))
        guard obstacle != known else { return }
        if let obstacle {
            logger.warning(
                "cluster not reconciled, trying again",
                metadata: ["cluster": "\(spec.name)", "why": "\(obstacle.reason)"])
        } else {
            logger.notice("nothing is in the way of the cluster any more", metadata: ["cluster": "\(spec.name)"])
        }
        do { try await clusters.note(obstacle, of: spec.name) } catch {
            logger.warning(
                "cannot write down what is in the way of a cluster, trying again",
                metadata: ["cluster": "\(spec.name)", "error": "\(error)"])
        }
    }

    // MARK: - Completing

    /// Members that have a place are made, whatever keeps others from one.
    /// - Returns: what is in the way, for each member that it concerns.
    private func complete(
        _ spec: ClusterSpec, _ records: Planet.ClusterRecords, _ planet: Planet
    ) async -> [String] {
        guard let app = planet.apps[spec.name] else { return [] }
        var obstacles: [String] = []
        var placements = records.placements
        for member in spec.members where placements[member.name] == nil {
            do throws(Refusal) {
                placements[member.name] = try await place(member, of: spec, app: app, beside: placements, planet)
            } catch {
                obstacles.append("\(member.name) has no place: \(error.message)")
            }
        }
        await withTaskGroup(of: String?.self) { group in
            for placement in placements.values where !exists(placement, in: planet) {
                group.addTask {
                    do throws(Refusal) {
                        try await make(placement, of: spec, app: app)
                        return nil
                    } catch {
                        return "\(placement.member) cannot be made: \(error.message)"
                    }
                }
            }
            for await obstacle in group { if let obstacle { obstacles.append(obstacle) } }
        }
        return obstacles
    }

    private func exists(_ placement: MemberPlacement, in planet: Planet) -> Bool {
        planet.hosts[placement.host]?.machines.contains { $0.id == placement.machine } ?? false
    }

    /// Chooses a host and writes the choice, with ids, before anything is made.
    private func place(
        _ member: ClusterSpec.MemberSpec, of spec: ClusterSpec, app: AppRecord,
        beside others: [MemberName: MemberPlacement], _ planet: Planet
    ) async throws(Refusal) -> MemberPlacement {
        let request = PlacementRequest(
            region: member.region, guest: spec.guest, disk: spec.volumeSize, app: spec.name,
            occupied: Set(others.values.map(\.host)), avoidsStoreMembers: true)
        let reachable = await mesh.reachableHosts(from: host)
        let decision = Placement.decide(
            request,
            over: planet.hosts.values.map { PlacementHost(record: $0, isReachable: reachable.contains($0.host)) })
        guard let chosen = decision.candidates.first else {
            throw Refusal(.insufficientCapacity, decision.explanation(for: request))
        }
        var random = SystemRandomNumberGenerator()
        let machine = MachineID.random(using: &random)
        let placement = MemberPlacement(
            member: member.name, host: chosen, region: member.region, machine: machine,
            volume: VolumeID.random(using: &random), address: MeshAddress.machine(machine, in: app.network))
        let key = StoreKeys.placement(spec.name, member.name)
        let outcome = try await store.carryOut(
            Transaction(
                compares: [.modified(key: key, equals: .absent)], then: [try .put(placement, at: key)]))
        guard outcome.succeeded else {
            throw Refusal(.unavailable, "member \(member.name) was placed by another host at the same time")
        }
        logger.notice("member placed", metadata: ["member": "\(member.name)", "host": "\(chosen)"])
        return placement
    }

    private func make(_ placement: MemberPlacement, of spec: ClusterSpec, app: AppRecord) async throws(Refusal) {
        do {
            try await order(placement, of: spec, app: app)
        } catch {
            guard error.code == .insufficientCapacity else { throw error }
            // The host has the last word. Forget the choice, ask the next one.
            try await dispatch.destroyVolume(placement.volume, of: spec.name, on: placement.host)
            let key = StoreKeys.placement(spec.name, placement.member)
            _ = try await store.carryOut(Transaction(then: [.delete(.key(key))]))
            throw error
        }
    }

    private func order(_ placement: MemberPlacement, of spec: ClusterSpec, app: AppRecord) async throws(Refusal) {
        let volume = VolumeOrder(
            id: placement.volume, name: "pg_data", app: spec.name, size: spec.volumeSize, reserved: spec.guest)
        _ = try await dispatch.createVolume(volume, on: placement.host)
        let machine = MachineOrder(
            id: placement.machine, name: placement.member.text, app: spec.name, network: app.network,
            config: Self.config(of: spec, volume: placement.volume),
            owner: MachineOwner(kind: .postgres, name: spec.name, role: placement.member), startsAtOnce: true)
        _ = try await dispatch.createMachine(machine, on: placement.host)
    }

    static func config(of spec: ClusterSpec, volume: VolumeID) -> MachineConfig {
        MachineConfig(
            image: spec.image, guest: spec.guest, metadata: ["roost_role": "postgres"],
            mounts: [MachineMount(volume: volume, path: "/data")], restart: MachineRestart(policy: .always),
            stop: StopConfig(signal: "SIGTERM", timeout: DurationText(.seconds(20))))
    }

    // MARK: - Taking apart

    /// Machines and volumes first; the records go when every host has said that nothing is left. A host that does
    /// not answer keeps the cluster in `destroying` until it is back.
    private func takeApart(_ spec: ClusterSpec, _ records: Planet.ClusterRecords) async -> [String] {
        var obstacles = await withTaskGroup(of: String?.self) { group in
            for placement in records.placements.values {
                group.addTask {
                    do throws(Refusal) {
                        try await dispatch.destroyMachine(placement.machine, of: spec.name, on: placement.host)
                        try await dispatch.destroyVolume(placement.volume, of: spec.name, on: placement.host)
                        return nil
                    } catch {
                        return "\(placement.member) cannot be removed: \(error.message)"
                    }
                }
            }
            return await group.reduce(into: [String]()) { if let obstacle = $1 { $0.append(obstacle) } }
        }
        guard obstacles.isEmpty else { return obstacles }
        do throws(Refusal) {
            try await clusters.remove(spec)
            logger.notice("cluster destroyed", metadata: ["cluster": "\(spec.name)"])
        } catch {
            obstacles.append("the records cannot be removed: \(error.message)")
        }
        return obstacles
    }
}
