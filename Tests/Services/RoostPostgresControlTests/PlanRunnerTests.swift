import Foundation
import Logging
import RoostHost
import RoostLinux
import RoostModel
import RoostPlanet
import RoostPlans
import RoostStore
import Synchronization
import Testing

@testable import RoostControl
@testable import RoostPostgresControl

@Suite("Running plans") struct PlanRunnerTests {
    @Test("A host that does not answer holds up its own cluster only")
    func slowHost() async throws {
        let world = try await ClusterWorld(hosts: 2)
        defer { world.remove() }
        for name in world.names {
            let record = HostRecord(
                host: name, region: world.hosts.region, generation: Generation(1),
                capacity: HostCapacity(
                    cpus: 8, memory: .gibibytes(name == world.names[0] ? 1 : 8), disk: .gibibytes(9)),
                mesh: MeshIdentity(
                    publicKey: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", endpoint: "198.18.0.1:1", probePort: 1,
                    address: MeshAddress.host(name)),
                isEdge: false, isStoreMember: false)
            _ = try await world.store.commit(
                Transaction(then: [
                    .put(key: StoreKeys.host(name), value: Array(try JSONEncoder().encode(record)), lease: nil)
                ]))
        }
        let fence = try await world.takeDuty()
        let watcher = PlanetWatcher(
            store: world.store, stateFolder: world.folder, following: [.clusters], logger: Logger(label: "test"))
        let runner = PlanRunner(
            world.reconciler, watcher: watcher, operations: OperationDirectory(store: world.store),
            fence: { fence }, reachable: { Set(world.names) },
            logger: Logger(label: "test"))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await watcher.run() }
            group.addTask { try await runner.run() }
            try await world.create(members: 1)
            // The first cluster is placed; its host falls silent before it is asked.
            world.hosts.silent.withLock { $0 = Set(world.names) }
            let silent = try #require(
                try await poll(for: .seconds(10)) {
                    watcher.planet.clusters[world.cluster]?.placements.values.first?.host
                })
            world.hosts.silent.withLock { $0 = [silent] }
            let other = try AppName("other")
            _ = try await world.directory.create(
                ClusterDirectory.Order(
                    name: other, regions: [world.hosts.region, world.hosts.region], volumeSize: .gibibytes(1),
                    guest: MachineGuest(cpuKind: .shared, cpus: 1, memoryMebibytes: 512),
                    image: "docker.example/postgres:17"))
            let made: Bool? = try await poll(for: .seconds(10)) {
                world.machines.contains { $0.order.app == other && $0.host != silent } ? true : nil
            }
            #expect(made == true)
            #expect(!world.machines.contains { $0.order.app == world.cluster })
            world.hosts.silent.withLock { $0 = [] }
            let late: Bool? = try await poll(for: .seconds(10)) {
                world.machines.contains { $0.order.app == world.cluster } ? true : nil
            }
            #expect(late == true)
            // What was done is noted on the operation that began with the cluster.
            let noted: Bool? = try await poll(for: .seconds(10)) {
                let operation = watcher.planet.operations.values.first { $0.object == other }
                return operation?.steps.contains { $0.name.hasPrefix("made other-") } == true ? true : nil
            }
            #expect(noted == true)
            group.cancelAll()
        }
    }

    @Test("Why a step failed is in the log of who carries it out, and what is for the log alone is nowhere else")
    func causes() async throws {
        let world = try await ClusterWorld(hosts: 1)
        defer { world.remove() }
        let fence = try await world.takeDuty()
        try await world.create(members: 1)
        _ = try await world.round(under: fence)
        let cause = "mkfs.ext4: no such device"
        world.hosts.fault.withLock { $0 = Refusal(.failed, "the volume cannot be made", details: cause) }
        let lines = LinesOfALog()
        let runner = PlanRunner(
            world.reconciler,
            watcher: PlanetWatcher(
                store: world.store, stateFolder: world.folder, following: [.clusters], logger: Logger(label: "test")),
            fence: { fence }, reachable: { Set(world.names) }, logger: Logger(label: "test") { _ in lines })
        let planet = try await world.look()
        let plan = try #require(
            world.reconciler.plan(for: world.cluster, in: planet, reachable: Set(world.names)))
        await runner.work(.init(thing: world.cluster, plan: plan, planet: planet))
        #expect(lines.all.contains { $0.contains(cause) })
        let obstacle = try #require(try await world.look().clusters[world.cluster]?.obstacle?.reason)
        #expect(obstacle.contains("the volume cannot be made") && !obstacle.contains(cause))
    }

    @Test("A step that is carried out again and again, since what it did shows late, is noted once")
    func lateShow() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        try await world.create()
        _ = try await world.round(under: fence)
        let runner = PlanRunner(
            world.reconciler,
            watcher: PlanetWatcher(
                store: world.store, stateFolder: world.folder, following: [.clusters], logger: Logger(label: "test")),
            operations: OperationDirectory(store: world.store), fence: { fence }, reachable: { Set(world.names) },
            logger: Logger(label: "test"))
        // Before any host has published what it made.
        let planet = try await world.look()
        let plan = try #require(
            world.reconciler.plan(for: world.cluster, in: planet, reachable: Set(world.names)))
        #expect(plan.steps.count == 3)
        func made() async throws -> Int {
            let steps = try await world.look().operations.values.first?.steps ?? []
            return steps.count { $0.name.hasPrefix("made db-") }
        }
        for _ in 0..<3 {
            await runner.work(.init(thing: world.cluster, plan: plan, planet: planet))
            #expect(try await made() == 3)
        }
        // What a host publishes arrives by and by: a plan may be without a step for a moment, and then have it again.
        await runner.work(.init(thing: world.cluster, plan: Plan(), planet: planet))
        await runner.work(.init(thing: world.cluster, plan: plan, planet: planet))
        #expect(try await made() == 3)
    }

    @Test("A step whose note was not answered, or that is tried by whoever has the duty next, is noted once")
    func unknownNote() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        try await world.create()
        _ = try await world.round(under: fence)
        let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        func runner(over store: any Store) -> PlanRunner<ClusterReconciler> {
            PlanRunner(
                world.reconciler,
                watcher: PlanetWatcher(
                    store: world.store, stateFolder: world.folder, following: [.clusters], logger: quiet),
                operations: OperationDirectory(store: store), fence: { fence }, reachable: { Set(world.names) },
                logger: quiet)
        }
        let planet = try await world.look()
        let plan = try #require(
            world.reconciler.plan(for: world.cluster, in: planet, reachable: Set(world.names)))
        func made() async throws -> Int {
            let steps = try await world.look().operations.values.first?.steps ?? []
            return steps.count { $0.name.hasPrefix("made db-") }
        }
        // The record is read and written; of the latter the store says nothing.
        let cuts = Cuts(.after(2))
        let first = runner(over: CutStore(base: world.store, cuts: cuts))
        await first.work(.init(thing: world.cluster, plan: plan, planet: planet))
        #expect(try await made() == 3 && cuts.calls == 2)
        await first.work(.init(thing: world.cluster, plan: plan, planet: planet))
        #expect(try await made() == 3 && cuts.calls > 2)
        // Another host, which does not know what was noted.
        await runner(over: world.store).work(.init(thing: world.cluster, plan: plan, planet: planet))
        #expect(try await made() == 3)
    }

    @Test("Of a step that was not done, since what its plan rested on is not so any more, nobody is told that it was")
    func notDone() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        try await world.create()
        #expect(try await world.settle(under: fence))
        try await world.becomeReady()
        let planet = try await world.look()
        let records = try #require(planet.clusters[world.cluster])
        let rule = try #require(records.rule)
        let (second, third) = (try MemberName("db-2"), try MemberName("db-3"))
        let placement = try #require(records.placements[third])
        // Others have all turns, and the rule is another one since.
        for number in 1...Replacement.underWayMax {
            #expect(world.reconciler.replacing?.begin(.members(try AppName("other-\(number)"))) == true)
        }
        _ = try await world.store.commit(
            Transaction(then: [try .put(rule, at: StoreKeys.clusterRule(world.cluster))]))
        let steps: [ClusterPlan.Step] = [
            .place(third, on: world.names[0]), .retire(third), .remove(placement),
            .replace(third, in: [world.hosts.region]), .lead(second),
            .takeBack("01J", because: "nothing comes of it", avoiding: nil),
        ]
        for step in steps {
            #expect(
                try await !world.reconciler.carryOut(step, for: world.cluster, in: planet, fence: fence), "\(step)")
        }
        // The duty is somebody else's.
        let old = Transaction.Compare.modified(key: ClusterWorld.duty, equals: .absent)
        #expect(try await !world.reconciler.carryOut(.forget, for: world.cluster, in: planet, fence: old))
        let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let runner = PlanRunner(
            world.reconciler,
            watcher: PlanetWatcher(
                store: world.store, stateFolder: world.folder, following: [.clusters], logger: quiet),
            operations: OperationDirectory(store: world.store), fence: { fence }, reachable: { Set(world.names) },
            logger: quiet)
        let before = try #require(try await world.look().operations.values.first)
        #expect(before.state == .running)
        await runner.work(.init(thing: world.cluster, plan: Plan(steps: steps), planet: planet))
        #expect(try await world.look().operations[before.id] == before)
        #expect(world.machines.count == 3 && world.volumes.count == 3)
        // And of one that was, somebody is.
        let present = try await world.look()
        await runner.work(.init(thing: world.cluster, plan: Plan(steps: [.lead(second)]), planet: present))
        let told = try await world.look().operations[before.id]?.steps.map(\.name) ?? []
        #expect(told == before.steps.map(\.name) + ["asked for db-2 to lead"])
    }

    @Test("What is noted by one who has lost the duty is not held for written")
    func lostDuty() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        try await world.create()
        let operations = OperationDirectory(store: world.store)
        let id = try #require(try await world.look().operations.keys.first)
        let gone = Transaction.Compare.modified(key: StoreKeys.operation(id), equals: .absent)
        #expect(try await !operations.note(["made"], obstacle: nil, on: id, under: gone))
        #expect(try await operations.note(["made"], obstacle: nil, on: id, under: fence))
        #expect(try await operations.find(id)?.steps.map(\.name) == ["made"])
    }

    @Test("While others have the duty nobody asks whom a change concerns, and all is looked at when it comes")
    func othersDuty() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        let isOurs = Mutex(false)
        let kind = CountedReconciler(base: world.reconciler)
        let runner = PlanRunner(
            kind,
            watcher: PlanetWatcher(
                store: world.store, stateFolder: world.folder, following: [.clusters], logger: Logger(label: "test")),
            fence: { isOurs.withLock { $0 } ? fence : nil }, reachable: { Set(world.names) },
            logger: Logger(label: "test"))
        _ = await runner.look()
        #expect(kind.wholes == 1)
        let changes: Set<PlanetChange> = [.host(world.names[0]), .app(world.cluster)]
        runner.note(changes)
        #expect(kind.concerns == 0)
        isOurs.withLock { $0 = true }
        _ = await runner.look()
        #expect(kind.wholes == 2)
        runner.note(changes)
        _ = await runner.look()
        #expect(kind.concerns == changes.count && kind.wholes == 2)
    }

    @Test("What nothing has changed of is not looked at again, and what has is looked at at once")
    func looks() async throws {
        let world = try await ClusterWorld(hosts: 3)
        defer { world.remove() }
        let fence = try await world.takeDuty()
        try await world.create()
        #expect(try await world.settle(under: fence))
        for host in try await world.look().hosts.values {
            let value = Array(try JSONEncoder().encode(host))
            _ = try await world.store.commit(
                Transaction(then: [.put(key: StoreKeys.host(host.host), value: value, lease: nil)]))
        }
        let watcher = PlanetWatcher(
            store: world.store, stateFolder: world.folder, following: [.clusters], logger: Logger(label: "test"))
        let kind = CountedReconciler(base: world.reconciler)
        let runner = PlanRunner(
            kind, watcher: watcher, fence: { fence }, reachable: { Set(world.names) }, logger: Logger(label: "test"))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await watcher.run() }
            group.addTask { try await runner.run() }
            // One that has no place is looked at again and again: by it the others' looks are measured.
            let crowded = try AppName("crowded")
            _ = try await world.directory.create(
                ClusterDirectory.Order(
                    name: crowded, regions: [world.hosts.region], volumeSize: .gibibytes(400),
                    guest: MachineGuest(cpuKind: .shared, cpus: 1, memoryMebibytes: 512),
                    image: "docker.example/postgres:17"))
            func waitForLooks(at thing: AppName, more: Int) async throws {
                let before = kind.plans(for: thing)
                let came = try await poll(for: .seconds(20)) { kind.plans(for: thing) >= before + more ? true : nil }
                #expect(came == true)
            }
            try await waitForLooks(at: crowded, more: 4)
            let before = (plans: kind.plans(for: world.cluster), wholes: kind.wholes)
            #expect(before.plans > 0 && before.wholes > 0)
            for _ in 0..<4 {
                // Rule, heartbeat and reports.
                try await world.becomeReady()
                try await waitForLooks(at: crowded, more: 1)
            }
            #expect(kind.plans(for: world.cluster) == before.plans)
            #expect(kind.wholes == before.wholes)
            try await world.directory.allow(try ClientList(["203.0.113.0/24"]), to: world.cluster)
            let isSeen = try await poll(for: .seconds(10)) {
                kind.plans(for: world.cluster) > before.plans ? true : nil
            }
            #expect(isSeen == true)
            // A machine that its host does not have any more is its cluster's.
            let placement = try #require(watcher.planet.clusters[world.cluster]?.placements.values.first)
            for change in [PlanetChange.machine(placement.machine, on: placement.host), .host(placement.host)] {
                #expect(kind.concern(of: change, in: watcher.planet) == .things([world.cluster]))
            }
            var without = watcher.planet
            _ = without.apply(.changes([.delete(key: StoreKeys.host(placement.host))], revision: Revision(9999)))
            #expect(
                kind.concern(of: .machine(placement.machine, on: placement.host), in: without)
                    == .things([world.cluster]))
            group.cancelAll()
        }
    }
}

/// As the clusters' own, counting how often it is asked.
private struct CountedReconciler: Reconciler {
    final class Counts: Sendable {
        let plans = Mutex<[AppName: Int]>([:])
        let wholes = Mutex(0)
        let concerns = Mutex(0)
    }

    let base: ClusterReconciler
    private let counts = Counts()

    init(base: ClusterReconciler) { self.base = base }

    var wholes: Int { counts.wholes.withLock { $0 } }
    /// How often it was asked whom a change concerns.
    var concerns: Int { counts.concerns.withLock { $0 } }
    func plans(for cluster: AppName) -> Int { counts.plans.withLock { $0[cluster] ?? 0 } }

    static var name: String { ClusterReconciler.name }
    static var stepNames: [String] { ClusterReconciler.stepNames }
    static func name(of step: ClusterPlan.Step) -> String { ClusterReconciler.name(of: step) }
    static func words(for step: ClusterPlan.Step) -> String { ClusterReconciler.words(for: step) }
    static func heeds(_ change: PlanetChange) -> Bool { ClusterReconciler.heeds(change) }

    func operation(on thing: AppName, in planet: Planet) -> PlanetOperationID? { base.operation(on: thing, in: planet) }
    func concern(of change: PlanetChange, in planet: Planet) -> Concern<AppName> {
        counts.concerns.withLock { $0 += 1 }
        return base.concern(of: change, in: planet)
    }

    func things(in planet: Planet) -> [AppName] {
        counts.wholes.withLock { $0 += 1 }
        return base.things(in: planet)
    }

    func plan(for thing: AppName, in planet: Planet, reachable: Set<HostName>) -> Plan<ClusterPlan.Step>? {
        counts.plans.withLock { $0[thing, default: 0] += 1 }
        return base.plan(for: thing, in: planet, reachable: reachable)
    }

    func carryOut(_ step: ClusterPlan.Step, for thing: AppName, in planet: Planet, fence: Transaction.Compare)
        async throws(Refusal) -> Bool
    {
        try await base.carryOut(step, for: thing, in: planet, fence: fence)
    }

    func note(
        _ obstacle: String?, failed: [ClusterPlan.Step], on thing: AppName, in planet: Planet,
        fence: Transaction.Compare
    ) async throws(Refusal) {
        try await base.note(obstacle, failed: failed, on: thing, in: planet, fence: fence)
    }

    func noted(on thing: AppName, in planet: Planet) -> String? { base.noted(on: thing, in: planet) }
}

/// What was logged, with what belongs to it.
struct LinesOfALog: LogHandler {
    private final class Kept: Sendable { let lines = Mutex<[String]>([]) }

    private let kept = Kept()
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    var all: [String] { kept.lines.withLock { $0 } }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        kept.lines.withLock { $0.append("\(event.message) \(event.metadata ?? [:])") }
    }
}
