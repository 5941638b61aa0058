import Foundation
import Logging
import RoostMesh
import RoostModel
import RoostPeers
import RoostRuntime
import RoostVolumes
import Synchronization

@testable import RoostHost

/// A runtime whose machines live in memory: they survive the agent, as real ones do.
final class FakeRuntime: MachineRuntime {
    struct Machine {
        var attempt: String
        var exit: MachineExit?
        var signals: [String] = []
    }

    let machines = Mutex<[MachineID: Machine]>([:])
    let launches = Mutex<[MachineID]>([])
    let refusal = Mutex<RuntimeError?>(nil)
    /// Launches of these wait, as for an image that comes slowly, until they are let go or cancelled.
    let held = Mutex<Set<MachineID>>([])
    /// These do not end by a signal.
    let stubborn = Mutex<Set<MachineID>>([])
    /// How many launches were worked on at once, at most.
    let launching = Mutex((now: 0, most: 0))
    let launchTime = Mutex(Duration.zero)
    let roots = Mutex<[MachineID: RootUse]>([:])
    let slowRoots = Mutex<Set<MachineID>>([])
    /// At each time when old ones were to go.
    let logsKept = Mutex<[Set<MachineID>]>([])
    /// Then an end by SIGKILL is told by its exit code alone.
    let isUnsureOfSignals = Mutex(false)

    func check(_ image: ImageReference) async throws(RuntimeError) {}

    func launch(
        _ launch: MachineLaunch, attach: @escaping @Sendable () async throws(RuntimeError) -> Void
    ) async throws(RuntimeError) -> RunningMachine {
        try await attach()
        launching.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
        defer { launching.withLock { $0.now -= 1 } }
        let time = launchTime.withLock { $0 }
        if time > .zero { try? await Task.sleep(for: time) }
        while held.withLock({ $0.contains(launch.id) }) {
            if (try? await Task.sleep(for: .milliseconds(2))) == nil {
                throw RuntimeError(code: .failed, operation: "fetch", subject: "an image", cause: "cancelled")
            }
        }
        launches.withLock { $0.append(launch.id) }
        if let refusal = refusal.withLock({ $0 }) { throw refusal }
        machines.withLock { $0[launch.id] = Machine(attempt: launch.attempt) }
        return RunningMachine(pid: 1, attempt: launch.attempt)
    }

    func inspect(_ machine: MachineID) async throws(RuntimeError) -> MachineObservation {
        machines.withLock { machines in
            guard let present = machines[machine] else { return .absent }
            if let exit = present.exit { return .exited(exit, attempt: present.attempt) }
            return .running(RunningMachine(pid: 1, attempt: present.attempt))
        }
    }

    func list() async throws(RuntimeError) -> [MachineID] { machines.withLock { Array($0.keys) } }

    func waitForExit(of machine: MachineID) async throws(RuntimeError) -> MachineExit {
        while !Task.isCancelled {
            if let exit = machines.withLock({ $0[machine]?.exit }) { return exit }
            try? await Task.sleep(for: .milliseconds(5))
        }
        throw RuntimeError(code: .failed, operation: "wait", subject: machine.text, cause: "cancelled")
    }

    func signal(_ machine: MachineID, _ signal: String) async throws(RuntimeError) {
        machines.withLock { $0[machine]?.signals.append(signal) }
        guard !stubborn.withLock({ $0.contains(machine) }) else { return }
        if signal == "SIGTERM" || signal == "SIGINT" { end(machine, code: 0) }
    }

    func began(_ machine: MachineID) async -> MachineBeginning { .unknown }

    func rootUse(of machine: MachineID, within walk: RootWalk) async throws(RuntimeError) -> RootUse? {
        if slowRoots.withLock({ $0.contains(machine) }) { try? await Task.sleep(for: walk.time) }
        return roots.withLock { $0[machine] }
    }

    func imagesInUse() async throws(RuntimeError) -> Set<String> { [] }

    func kill(_ machine: MachineID) async throws(RuntimeError) {
        end(machine, code: 137, signal: isUnsureOfSignals.withLock { $0 } ? nil : 9)
    }

    func execute(_ machine: MachineID, _ request: ExecRequest) async throws(RuntimeError) -> ExecResult {
        ExecResult(exitCode: 0, signal: nil, standardOutput: request.input, standardError: "")
    }

    func remove(_ machine: MachineID) async throws(RuntimeError) {
        machines.withLock { machines in
            if machines[machine]?.exit != nil { machines[machine] = nil }
        }
    }

    func forgetLogs(keeping known: Set<MachineID>) async { logsKept.withLock { $0.append(known) } }

    func logTail(_ machine: MachineID, bytesMax: Int) async throws(RuntimeError) -> String { "" }

    func end(_ machine: MachineID, code: Int32, signal: Int32? = nil) {
        machines.withLock { machines in
            guard machines[machine] != nil, machines[machine]?.exit == nil else { return }
            machines[machine]?.exit = MachineExit(code: code, signal: signal, oomKilled: false)
        }
    }
}

final class FakeDisk: Sendable {
    /// Nil: it gives no answer.
    let free = Mutex<ByteCount?>(nil)
}

final class FakeVolumes: VolumeBackend {
    let mounted = Mutex<Set<VolumeID>>([])
    let present = Mutex<Set<VolumeID>>([])
    /// How many are being made now.
    let making = Mutex(0)
    let isHeld = Mutex(false)
    let refusal = Mutex<VolumeError?>(nil)
    let free = Mutex(ByteCount.gibibytes(100))

    func create(_ volume: VolumeID, size: ByteCount) async throws(VolumeError) {
        making.withLock { $0 += 1 }
        defer { making.withLock { $0 -= 1 } }
        while isHeld.withLock({ $0 }) { try? await Task.sleep(for: .milliseconds(2)) }
        if let refusal = refusal.withLock({ $0 }) { throw refusal }
        present.withLock { _ = $0.insert(volume) }
    }

    func mount(_ volume: VolumeID) async throws(VolumeError) -> DiskAttachment {
        mounted.withLock { _ = $0.insert(volume) }
        return .folder(path: "/volumes/\(volume)")
    }

    func unmount(_ volume: VolumeID) async throws(VolumeError) { mounted.withLock { _ = $0.remove(volume) } }

    func destroy(_ volume: VolumeID) async throws(VolumeError) { present.withLock { _ = $0.remove(volume) } }

    func list() async throws(VolumeError) -> [VolumeID] { present.withLock { Array($0) } }

    func usage(of volume: VolumeID) async throws(VolumeError) -> VolumeUsage? { nil }

    func freeSpace() async throws(VolumeError) -> ByteCount { free.withLock { $0 } }
}

final class FakeMesh: Mesh {
    let links = Mutex<Set<MachineID>>([])
    let closed = Mutex<[ClosedPort]>([])
    let refusesPorts = Mutex(false)
    /// Why no machine can be attached.
    let fault = Mutex<String?>(nil)

    func start() async throws(MeshError) -> MeshIdentity { FakeHost.identity }
    func setPeers(_ peers: [MeshPeer]) async throws(MeshError) {}
    func changePeers(_ changes: [PeerChange]) async throws(MeshError) {}

    func attachment(of machine: MachineID) -> NetworkAttachment { .namespace(path: "/run/netns/\(machine)") }

    func attach(_ machine: MachineLink) async throws(MeshError) {
        if let fault = fault.withLock({ $0 }) { throw MeshError(operation: "attach", subject: "it", cause: fault) }
        links.withLock { _ = $0.insert(machine.machine) }
    }

    func detach(_ machine: MachineID) async throws(MeshError) { links.withLock { _ = $0.remove(machine) } }
    func attached() async throws(MeshError) -> [MachineID] { links.withLock { Array($0) } }
    func setClosedPorts(_ ports: [ClosedPort]) async throws(MeshError) {
        if refusesPorts.withLock({ $0 }) { throw MeshError(operation: "close", subject: "ports", cause: "no answer") }
        closed.withLock { $0 = ports }
    }
    func measurements() async -> [PathMeasurement] { [] }
}

/// One host whose agent can be ended and started again over the same ledger and the same machines.
struct FakeHost {
    static let identity = MeshIdentity(
        publicKey: "key", endpoint: "198.18.0.1:51820", probePort: 51821,
        address: IPv6Address(high: 0xfdaa << 48, low: 1))

    /// Of machines that are owned.
    static let gatedPort: UInt16 = 5432

    let folder: String
    let runtime = FakeRuntime()
    let volumes = FakeVolumes()
    let mesh = FakeMesh()
    let disk = FakeDisk()

    let memory: ByteCount

    init(memory: ByteCount = .mebibytes(2048)) throws {
        self.memory = memory
        folder = NSTemporaryDirectory() + "roost-agent-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    func remove() { try? FileManager.default.removeItem(atPath: folder) }

    func agent() throws -> HostAgent {
        let configuration = HostConfiguration(
            host: try HostName("ams1"), region: try RegionCode("ams"), stateFolder: folder, runFolder: folder + "/run",
            capacity: HostCapacity(cpus: 4, memory: memory, disk: .gibibytes(10)), cgroupParent: "/test",
            imageFolder: folder, ownerImages: [:], store: .sqlite,
            mesh: .init(
                interface: "roost0", listenPort: 1, endpoint: "198.18.0.1:51820", probePort: 1, mtu: 1420, seeds: []),
            api: .init(tcpPort: 4280, tokenFile: folder + "/token"), anycastPrefixes: [], edge: nil)
        return try HostAgent(
            configuration: configuration, runtime: runtime, volumes: volumes, mesh: mesh,
            identity: Self.identity, gatedPorts: [.postgres: [Self.gatedPort]],
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            diskFree: { [disk] in disk.free.withLock { $0 } })
    }

    /// Runs an agent for the time of the closure; leaving it is the death of `roostd`, not of its machines.
    func withAgent<Value: Sendable>(_ body: @Sendable (HostAgent) async throws -> Value) async throws -> Value {
        let agent = try agent()
        return try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask {
                await agent.run()
                return nil
            }
            defer { group.cancelAll() }
            return try await body(agent)
        }
    }
}
