import RoostMesh
import RoostModel
import RoostPeers
import RoostRuntime
import RoostVolumes
import RoostWire
import Synchronization

/// A runtime whose machines live in memory. The command `hold` runs until it is ended.
final class FakeRuntime: MachineRuntime {
    struct Machine {
        var attempt: String
        var exit: MachineExit?
        var signals: [String] = []
    }

    /// What was sent to any machine, also to one that is gone.
    let signalled = Mutex<[String]>([])
    let machines = Mutex<[MachineID: Machine]>([:])
    /// Commands that are running.
    let commands = Mutex(0)

    /// An image that is looked at until it is taken out.
    let heldImage = Mutex<String?>(nil)

    func check(_ image: ImageReference) async throws(RuntimeError) {
        while heldImage.withLock({ $0 == image.description }) { try? await Task.sleep(for: .milliseconds(2)) }
    }

    func launch(
        _ launch: MachineLaunch, attach: @escaping @Sendable () async throws(RuntimeError) -> Void
    ) async throws(RuntimeError) -> RunningMachine {
        try await attach()
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
        signalled.withLock { $0.append(signal) }
        if signal == "SIGTERM" || signal == "SIGINT" { end(machine, code: 0) }
    }

    func began(_ machine: MachineID) async -> MachineBeginning { .unknown }

    func rootUse(of machine: MachineID, within walk: RootWalk) async throws(RuntimeError) -> RootUse? { nil }

    func imagesInUse() async throws(RuntimeError) -> Set<String> { [] }

    func kill(_ machine: MachineID) async throws(RuntimeError) {
        machines.withLock { $0[machine]?.signals.append("SIGKILL") }
        signalled.withLock { $0.append("SIGKILL") }
        end(machine, code: 137)
    }

    func execute(_ machine: MachineID, _ request: ExecRequest) async throws(RuntimeError) -> ExecResult {
        if request.command == ["hold"] {
            commands.withLock { $0 += 1 }
            defer { commands.withLock { $0 -= 1 } }
            try? await Task.sleep(for: request.timeout)
        }
        return ExecResult(
            exitCode: 7, signal: nil, standardOutput: request.command.joined(separator: " "),
            standardError: request.input)
    }

    func remove(_ machine: MachineID) async throws(RuntimeError) {
        machines.withLock { machines in if machines[machine]?.exit != nil { machines[machine] = nil } }
    }

    func forgetLogs(keeping known: Set<MachineID>) async {}

    func logTail(_ machine: MachineID, bytesMax: Int) async throws(RuntimeError) -> String { "" }

    func end(_ machine: MachineID, code: Int32) {
        machines.withLock { machines in
            guard machines[machine] != nil, machines[machine]?.exit == nil else { return }
            machines[machine]?.exit = MachineExit(code: code, signal: nil, oomKilled: false)
        }
    }
}

final class FakeVolumes: VolumeBackend {
    let present = Mutex<Set<VolumeID>>([])

    func create(_ volume: VolumeID, size: ByteCount) async throws(VolumeError) {
        present.withLock { _ = $0.insert(volume) }
    }

    func mount(_ volume: VolumeID) async throws(VolumeError) -> DiskAttachment {
        .folder(path: "/volumes/\(volume)")
    }
    func unmount(_ volume: VolumeID) async throws(VolumeError) {}
    func destroy(_ volume: VolumeID) async throws(VolumeError) { present.withLock { _ = $0.remove(volume) } }
    func list() async throws(VolumeError) -> [VolumeID] { present.withLock { Array($0) } }
    func usage(of volume: VolumeID) async throws(VolumeError) -> VolumeUsage? { nil }
    func freeSpace() async throws(VolumeError) -> ByteCount { .gibibytes(100) }
}

/// A mesh in which every other host answers, but for those that are away.
final class FakeMesh: Mesh {
    let identity: MeshIdentity
    let others: [HostName]
    let links = Mutex<Set<MachineID>>([])
    let away = Mutex<Set<HostName>>([])

    init(identity: MeshIdentity, others: [HostName]) {
        self.identity = identity
        self.others = others
    }

    func start() async throws(MeshError) -> MeshIdentity { identity }
    func setPeers(_ peers: [MeshPeer]) async throws(MeshError) {}
    func changePeers(_ changes: [PeerChange]) async throws(MeshError) {}

    func attachment(of machine: MachineID) -> NetworkAttachment { .namespace(path: "/run/netns/\(machine)") }

    func attach(_ machine: MachineLink) async throws(MeshError) {
        links.withLock { _ = $0.insert(machine.machine) }
    }

    func detach(_ machine: MachineID) async throws(MeshError) { links.withLock { _ = $0.remove(machine) } }
    func attached() async throws(MeshError) -> [MachineID] { links.withLock { Array($0) } }
    func setClosedPorts(_ ports: [ClosedPort]) async throws(MeshError) {}

    func measurements() async -> [PathMeasurement] {
        let away = away.withLock { $0 }
        return others.map {
            PathMeasurement(
                peer: $0, roundTripMicroseconds: 1000, jitterMicroseconds: 1, isAnswering: !away.contains($0),
                lossPercent: 0, probesSent: 100, probesAnswered: 1)
        }
    }
}

/// An edge that takes some time to drain, as real ones do.
final class FakeEdge: Sendable {
    private let state = Mutex((isServing: true, isDraining: false, isHeld: false, isReliedOn: true))

    var isServing: Bool { state.withLock { $0.isServing } }
    /// Clients come to it.
    var isReliedOn: Bool { state.withLock { $0.isReliedOn } }

    /// It hangs, ends again and again, or nobody hears that it is there; or all that is over.
    func fail(_ fails: Bool) { state.withLock { $0.isReliedOn = !fails } }

    /// It was told to stop, and has not stopped yet.
    var isDraining: Bool { state.withLock { $0.isDraining } }

    /// Whoever is told to stop from now on waits, on the way off the air, until this is taken back.
    func hold(_ isHeld: Bool) { state.withLock { $0.isHeld = isHeld } }

    func set(_ wanted: EdgeRequest.State) async {
        switch wanted {
        case .started: state.withLock { $0.isServing = true }
        case .replaced: break
        case .stopped:
            state.withLock { $0.isDraining = true }
            while state.withLock({ $0.isHeld }) { try? await Task.sleep(for: .milliseconds(2)) }
            state.withLock { ($0.isServing, $0.isDraining) = (false, false) }
        }
    }
}
