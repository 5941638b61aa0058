import Foundation
import Logging
import RoostHost
import RoostLinux
import RoostModel
import RoostPlanet
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
