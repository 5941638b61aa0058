public import Logging
import RoostControl
public import RoostHost
import RoostLinux
public import RoostModel
import RoostPlacement
public import RoostPlanet
public import RoostPlans
import RoostRecords
public import RoostStore

/// Makes the members that clusters lack and takes apart the clusters that shall go: ``ClusterPlan`` decides, this
/// carries the steps out. Ids are in the store before anything is made, so that whoever repeats a step repeats the same
/// orders; every change of the store compares what the plan rested on and carries the duty's fence, so that a host
/// whose view is old changes nothing.
public struct ClusterReconciler: Reconciler {
    let store: any Store
    let dispatch: any HostDispatch
    let clusters: ClusterDirectory
    /// Nil: lost members are not replaced.
    let replacing: ReplacementDesk?
    /// Who of a cluster is known to have said nothing for too long, as this host hears it.
    let silent: @Sendable (AppName) -> Set<MemberName>
    /// From a region to the others, as far as somebody measures it.
    let distances: @Sendable (RegionCode) async -> [RegionCode: Duration]
    let logger: Logger

    public init(
        store: any Store, dispatch: any HostDispatch, clusters: ClusterDirectory, replacing: ReplacementDesk? = nil,
        silent: @escaping @Sendable (AppName) -> Set<MemberName> = { _ in [] },
        distances: @escaping @Sendable (RegionCode) async -> [RegionCode: Duration] = { _ in [:] }, logger: Logger
    ) {
        self.silent = silent
        self.distances = distances
        self.replacing = replacing
        self.store = store
        self.dispatch = dispatch
        self.clusters = clusters
        self.logger = logger
    }

    public static var name: String { "cluster" }

    public static func name(of step: ClusterPlan.Step) -> String {
        switch step {
        case .place: "place"
        case .make: "make"
        case .retire: "retire"
        case .remove: "remove"
        case .forget: "forget"
        case .replace: "replace"
        case .replaceReader: "replace_reader"
        case .takeBack: "take_back"
        case .lead: "lead"
        case .letGoHome: "let_go_home"
        }
    }

    public static let stepNames = [
        "place", "make", "retire", "remove", "forget", "replace", "replace_reader", "take_back", "lead", "let_go_home",
    ]

    public static func words(for step: ClusterPlan.Step) -> String {
        switch step {
        case .place(let member, let host): "placed \(member) on \(host)"
        case .make(let placement): "made \(placement.member) on \(placement.host)"
        // It may have been coming, and never have been a member.
        case .retire(let member): "took \(member) off the list"
        case .remove(let placement): "removed \(placement.member) from \(placement.host)"
        case .forget: "removed the records"
        case .replace(let member, _): "asked for a member that comes for \(member)"
        case .replaceReader(let reader, _): "asked for a reader that comes for \(reader)"
        case .lead(let member): "asked for \(member) to lead"
        case .letGoHome: "noted that the switchover has come to nothing"
        case .takeBack(_, let why, _, _): "took it back: \(why)"
        }
    }

    public func operation(on cluster: AppName, in planet: Planet) -> PlanetOperationID? {
        guard let spec = planet.clusters[cluster]?.spec else { return nil }
        let kinds: [OperationRecord.Kind] = spec.isDestroying ? [.destroyCluster] : [.createCluster, .changeMembers]
        let running = planet.operations.values.filter {
            $0.object == cluster && $0.objectMadeAt == spec.createdAt && kinds.contains($0.kind) && $0.state == .running
        }.map(\.id).max()
        guard running == nil, !spec.isDestroying else { return running }
        // What is asked for can be here before the record of the operation that began with it.
        let change = planet.clusters[cluster]?.rule?.change
        return change.flatMap { try? PlanetOperationID($0.id) }.flatMap { planet.operations[$0] == nil ? $0 : nil }
    }

    public func things(in planet: Planet) -> [AppName] {
        planet.clusters.filter { $0.value.spec != nil }.map(\.key)
    }

    /// What members write all the time (heartbeat, reports) is no part of a plan. Room on hosts is one only of those
    /// that have no place yet, which are looked at again anyway.
    public static func heeds(_ change: PlanetChange) -> Bool {
        switch change {
        case .all, .connection, .host, .machine, .app: true
        case .cluster(_, let part):
            switch part {
            // It says who is a member.
            case .spec, .obstacle, .placement, .rule: true
            case .heartbeat, .secrets, .report: false
            }
        case .volume, .address, .operation: false
        }
    }

    public func concern(of change: PlanetChange, in planet: Planet) -> Concern<AppName> {
        switch change {
        case .all, .connection: .all
        // Only by that a member has left is there something to do.
        case .cluster(let name, .rule): .things(planet.clusters[name]?.departed.isEmpty == false ? [name] : [])
        case .app(let name), .cluster(let name, _): .things(planet.clusters[name] == nil ? [] : [name])
        // It may have come or gone, with all that it has.
        case .host(let host): .things(planet.clusters(placedOn: host))
        case .machine(let id, _): .things(owners(of: id, in: planet))
        case .volume, .address, .operation: .things([])
        }
    }

    /// The cluster whose member the machine is, also when it is gone.
    private func owners(of machine: MachineID, in planet: Planet) -> Set<AppName> {
        if let app = planet.machine(machine)?.app { return planet.clusters[app]?.spec == nil ? [] : [app] }
        return planet.clusters(placedIn: machine)
    }

    public func watch(in planet: Planet, reachable: Set<HostName>) -> Set<AppName> {
        replacing?.look(at: planet, reachable: reachable) ?? []
    }

    public func forgetWatch() { replacing?.forget() }

    public func plan(for cluster: AppName, in planet: Planet, reachable: Set<HostName>) -> Plan<ClusterPlan.Step>? {
        guard var plan = planForShape(of: cluster, in: planet, reachable: reachable) else { return nil }
        if let more = replacing?.plan(for: cluster, in: planet) {
            plan.steps += more.steps
            plan.obstacles += more.obstacles
        }
        return plan
    }

    private func planForShape(of cluster: AppName, in planet: Planet, reachable: Set<HostName>)
        -> Plan<ClusterPlan.Step>?
    {
        guard let records = planet.clusters[cluster], let spec = records.spec else { return nil }
        // What was kept of them may be of long before, beside placements of today.
        let keys = [StoreKeys.clusterSpec(cluster), StoreKeys.clusterRule(cluster)]
        guard planet.unreadable.isDisjoint(with: keys) else { return nil }
        let made = records.placements.filter { Self.exists($0.value, in: planet) }
        let departed = records.departed
        if !spec.isDestroying, departed.isEmpty, spec.everybody.allSatisfy({ made[$0.name] != nil }),
            records.placements.count == spec.everybody.count
        {
            return Plan()
        }
        var plan = ClusterPlan.next(
            ClusterPlan.World(
                spec: spec, network: planet.apps[cluster]?.network, placements: records.placements,
                made: Set(made.keys),
                hosts: planet.placementHosts(reachable: reachable), departed: departed))
        if !spec.isDestroying { holdBack(&plan, of: cluster, records) }
        return plan
    }

    /// A store that has gone back does not know who is a member.
    private func holdBack(_ plan: inout Plan<ClusterPlan.Step>, of cluster: AppName, _ records: Planet.ClusterRecords) {
        let leavers = plan.steps.compactMap(\.leaver)
        guard !leavers.isEmpty else { return }
        let silent = silent(cluster)
        for member in leavers {
            guard let why = records.keeping(member, silent: silent, of: cluster) else { continue }
            plan.steps.removeAll { $0.leaver == member }
            plan.obstacles.append(why)
        }
    }

    private static func exists(_ placement: MemberPlacement, in planet: Planet) -> Bool {
        planet.has(placement.machine, on: placement.host)
    }

    public func noted(on cluster: AppName, in planet: Planet) -> String? {
        planet.clusters[cluster]?.obstacle?.reason
    }

    public func note(
        _ obstacle: String?, failed: [ClusterPlan.Step], on cluster: AppName, in planet: Planet,
        fence: Transaction.Compare
    ) async throws(Refusal) {
        guard let basis = Self.basis(of: cluster, in: planet) else { return }
        let remaining = Set(failed.compactMap(\.leaver)).sorted()
        try await clusters.note(
            obstacle.map { ClusterObstacle(reason: $0, remaining: remaining) }, of: cluster, under: [basis, fence])
    }

    // MARK: - Steps

    @discardableResult
    public func carryOut(
        _ step: ClusterPlan.Step, for cluster: AppName, in planet: Planet, fence: Transaction.Compare
    ) async throws(Refusal) -> Bool {
        guard let spec = planet.clusters[cluster]?.spec, let basis = Self.basis(of: cluster, in: planet) else {
            return false
        }
        let conditions = [basis, fence]
        switch step {
        case .place(let member, let host):
            guard let network = planet.apps[cluster]?.network else { return false }
            return try await place(member, of: spec, on: host, in: network, under: conditions)
        case .make(let placement):
            guard let network = planet.apps[cluster]?.network else { return false }
            do throws(Refusal) {
                try await make(placement, of: spec, in: network, under: conditions)
                return true
            } catch {
                throw Self.saying("\(placement.member) cannot be made", error)
            }
        case .retire(let member):
            return try await clusters.retire(
                member, of: cluster, in: planet, silent: silent(cluster), under: conditions)
        case .remove(let placement):
            do throws(Refusal) {
                guard try await isToGo(placement, of: spec, under: conditions) else { return false }
                try await dispatch.destroyMachine(placement.machine, of: spec.name, on: placement.host)
                try await dispatch.destroyVolume(placement.volume, of: spec.name, on: placement.host)
                try await forget(placement, of: spec, under: conditions)
                return true
            } catch {
                throw Self.saying("\(placement.member) cannot be removed", error)
            }
        case .replace(let member, let regions):
            guard let region = await nearest(of: regions, to: spec.home) else { return false }
            return try await replace(member, of: cluster, in: region, seen: planet, under: conditions)
        case .replaceReader(let reader, let regions):
            let own = spec.readers?.first { $0.name == reader }?.region
            guard let region = await nearest(of: regions, to: own) else { return false }
            return try await replaceReader(reader, of: cluster, in: region, under: conditions)
        case .lead(let member):
            return try await clusters.lead(member, of: cluster, seen: planet, under: conditions)
        case .letGoHome(let epoch):
            return try await clusters.letGoHome(cluster, since: epoch, seen: planet, under: conditions)
        case .takeBack(let change, let why, let host, let wasNeedless):
            return try await clusters.takeBack(
                change, of: cluster, because: why, avoiding: host, wasNeedless: wasNeedless, under: conditions)
        case .forget:
            do throws(Refusal) { return try await clusters.remove(spec, under: conditions) } catch {
                throw Self.saying("the records cannot be removed", error)
            }
        }
    }

    /// Only who asks has a turn, and only while it asks or when it was written.
    private func replace(
        _ member: MemberName, of cluster: AppName, in region: RegionCode, seen planet: Planet,
        under conditions: [Transaction.Compare]
    ) async throws(Refusal) -> Bool {
        try await inTurn(.members(cluster), "\(member), which is lost, cannot be replaced") { () throws(Refusal) in
            try await clusters.replace(lost: member, of: cluster, in: region, seen: planet, under: conditions)
        }
    }

    private func replaceReader(
        _ reader: MemberName, of cluster: AppName, in region: RegionCode, under conditions: [Transaction.Compare]
    ) async throws(Refusal) -> Bool {
        try await inTurn(.readers(cluster), "\(reader), which is lost, cannot be replaced") { () throws(Refusal) in
            try await clusters.replaceReader(lost: reader, of: cluster, in: region, under: conditions)
        }
    }

    private func inTurn(
        _ turn: ReplacementTurns.Turn, _ failure: String, _ ask: () async throws(Refusal) -> Bool
    ) async throws(Refusal) -> Bool {
        guard let replacing, replacing.begin(turn) else { return false }
        do throws(Refusal) {
            let isWritten = try await ask()
            if isWritten { replacing.began(turn) } else { replacing.gaveUp(turn, because: nil) }
            return isWritten
        } catch {
            // It may be written all the same, and shows then.
            replacing.gaveUp(turn, because: error.obstacle)
            throw Self.saying(failure, error)
        }
    }

    private func nearest(of regions: [RegionCode], to home: RegionCode?) async -> RegionCode? {
        guard regions.count > 1, let home else { return regions.first }
        return SurvivalShape.nearest(regions, await distances(home)).first
    }

    /// As the store has it at this moment: what is destroyed does not come back, and a plan may be of before.
    private func isToGo(
        _ placement: MemberPlacement, of spec: ClusterSpec, under conditions: [Transaction.Compare]
    ) async throws(Refusal) -> Bool {
        let cluster = try await store.carryOut(
            Transaction(compares: conditions, then: [.read(.prefix(StoreKeys.cluster(spec.name)))]))
        guard cluster.succeeded, let listing = cluster.listings.first else { return false }
        var planet = Planet()
        planet.apply(.listing(listing))
        guard let records = planet.clusters[spec.name], let present = records.spec,
            records.placements[placement.member] == placement
        else { return false }
        guard !present.isDestroying else { return true }
        let ruleKey = StoreKeys.clusterRule(spec.name)
        guard !planet.unreadable.contains(ruleKey), !present.everybody.contains(where: { $0.name == placement.member })
        else { return false }
        return records.rule?.members.contains(placement.member) != true
            && records.objectors(toRemovalOf: placement.member, silent: silent(spec.name)).isEmpty
    }

    /// The cause goes with it, for the log.
    private static func saying(_ what: String, _ error: Refusal) -> Refusal {
        Refusal(error.code, "\(what): \(error.message)", details: error.details)
    }

    /// What a plan for the cluster rests on: the wish for it as it was then. A cluster that was destroyed, or made anew
    /// under its name, is another one.
    private static func basis(of cluster: AppName, in planet: Planet) -> Transaction.Compare? {
        guard let records = planet.clusters[cluster], records.spec != nil else { return nil }
        return .modified(key: StoreKeys.clusterSpec(cluster), equals: Revision(records.specRevision))
    }

    /// Writes the choice, with ids, before anything is made. Somebody else's choice that came first stands.
    private func place(
        _ member: MemberName, of spec: ClusterSpec, on host: HostName, in network: NetworkNumber,
        under conditions: [Transaction.Compare]
    ) async throws(Refusal) -> Bool {
        guard let region = spec.everybody.first(where: { $0.name == member })?.region else { return false }
        var random = SystemRandomNumberGenerator()
        let machine = MachineID.random(using: &random)
        let placement = MemberPlacement(
            member: member, host: host, region: region, machine: machine, volume: VolumeID.random(using: &random),
            address: MeshAddress.machine(machine, in: network))
        let key = StoreKeys.placement(spec.name, member)
        let outcome = try await store.carryOut(
            Transaction(
                compares: conditions + [.modified(key: key, equals: .absent)], then: [try .put(placement, at: key)]))
        guard outcome.succeeded else { return false }
        logger.info("member placed", metadata: ["member": "\(member)", "host": "\(host)"])
        return true
    }

    private func make(
        _ placement: MemberPlacement, of spec: ClusterSpec, in network: NetworkNumber,
        under conditions: [Transaction.Compare]
    ) async throws(Refusal) {
        let volume = VolumeOrder(
            id: placement.volume, name: "pg_data", app: spec.name, size: spec.volumeSize, reserved: spec.guest)
        do throws(Refusal) {
            _ = try await dispatch.createVolume(volume, on: placement.host)
        } catch {
            // No room; or the host has given the id up, when a former try was cut off before it forgot the choice. A
            // volume that is there and usable is never refused.
            guard error.code == .insufficientCapacity || error.code == .failedPrecondition else { throw error }
            try await giveUp(placement, of: spec, under: conditions)
            throw error
        }
        let machine = MachineOrder(
            id: placement.machine, name: placement.member.text, app: spec.name, network: network,
            config: Self.config(of: spec, volume: placement.volume),
            owner: MachineOwner(kind: .postgres, name: spec.name, role: placement.member), startsAtOnce: true)
        do throws(Refusal) {
            _ = try await dispatch.createMachine(machine, on: placement.host)
        } catch {
            guard error.code == .insufficientCapacity else { throw error }
            try await giveUp(placement, of: spec, under: conditions)
            throw error
        }
    }

    /// The host has the last word. Forget the choice, ask the next one.
    private func giveUp(_ placement: MemberPlacement, of spec: ClusterSpec, under conditions: [Transaction.Compare])
        async throws(Refusal)
    {
        try await dispatch.destroyVolume(placement.volume, of: spec.name, on: placement.host)
        try await forget(placement, of: spec, under: conditions)
    }

    /// Forgets exactly this placement: one that has taken its key meanwhile stays.
    private func forget(_ placement: MemberPlacement, of spec: ClusterSpec, under conditions: [Transaction.Compare])
        async throws(Refusal)
    {
        let key = StoreKeys.placement(spec.name, placement.member)
        guard let present = try await store.record(MemberPlacement.self, at: key), present.record == placement else {
            return
        }
        _ = try await store.carryOut(
            Transaction(
                compares: conditions + [.modified(key: key, equals: present.revision)],
                then: [.delete(.key(key)), .delete(.key(StoreKeys.report(spec.name, placement.member)))]))
    }

    static func config(of spec: ClusterSpec, volume: VolumeID) -> MachineConfig {
        MachineConfig(
            image: spec.image, guest: spec.guest, metadata: ["roost_role": "postgres"],
            mounts: [MachineMount(volume: volume, path: "/data")], restart: MachineRestart(policy: .always),
            stop: StopConfig(signal: "SIGTERM", timeout: DurationText(.seconds(20))))
    }
}

extension ClusterPlan.Step {
    /// Of whom it takes away something.
    fileprivate var leaver: MemberName? {
        switch self {
        case .retire(let member): member
        case .remove(let placement): placement.member
        case .place, .make, .replace, .replaceReader, .takeBack, .lead, .letGoHome, .forget: nil
        }
    }
}
