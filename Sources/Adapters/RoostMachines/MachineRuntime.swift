public import RoostModel

/// Runs machines on this host. The machine, once launched, does not depend on this process: its watcher (`conmon`)
/// and its record on disk outlive it. Every call is idempotent.
public protocol MachineRuntime: Sendable {
    /// Prepares root, namespaces and watcher and starts process 1. If this launch already runs, says so.
    func launch(_ launch: MachineLaunch) async throws(RuntimeError) -> RunningMachine

    /// What really is there: running machines, and machines whose process has ended with how it ended.
    func inspect(_ machine: MachineID) async throws(RuntimeError) -> MachineObservation
    func list() async throws(RuntimeError) -> [MachineID]

    /// Returns when process 1 of the machine has ended. Survives nothing: ask again after a restart.
    func waitForExit(of machine: MachineID) async throws(RuntimeError) -> MachineExit

    func signal(_ machine: MachineID, _ signal: String) async throws(RuntimeError)
    /// Kills every process of the machine at once.
    func kill(_ machine: MachineID) async throws(RuntimeError)

    func execute(_ machine: MachineID, _ request: ExecRequest) async throws(RuntimeError) -> ExecResult

    /// Takes apart what a launch made: root, watcher, namespaces, cgroup. Volumes are not touched.
    func remove(_ machine: MachineID) async throws(RuntimeError)

    /// The last bytes of the machine's log.
    func logTail(_ machine: MachineID, bytesMax: Int) async throws(RuntimeError) -> String
}

/// Everything a launch needs; a function of the machine's record and its host.
public struct MachineLaunch: Hashable, Sendable {
    public var id: MachineID
    /// Distinguishes this launch from an earlier one of the same machine.
    public var attempt: String
    public var hostname: String
    public var image: ImageReference
    public var config: MachineConfig
    public var environment: [String: String]
    /// Folders of the host and where they appear in the machine; the volume's among them.
    public var binds: [Bind]
    public var network: MachineNetwork

    public struct Bind: Hashable, Sendable {
        public var source: String
        public var target: String
        public var isReadOnly: Bool

        public init(source: String, target: String, isReadOnly: Bool) {
            self.source = source
            self.target = target
            self.isReadOnly = isReadOnly
        }
    }

    public init(
        id: MachineID, attempt: String, hostname: String, image: ImageReference, config: MachineConfig,
        environment: [String: String], binds: [Bind], network: MachineNetwork
    ) {
        self.id = id
        self.attempt = attempt
        self.hostname = hostname
        self.image = image
        self.config = config
        self.environment = environment
        self.binds = binds
        self.network = network
    }
}

/// A network namespace that already exists, with the machine's link and address inside.
public struct MachineNetwork: Hashable, Sendable {
    /// Path of the namespace, `/run/roost/netns/<machine>`.
    public var namespacePath: String
    public var address: IPv6Address

    public init(namespacePath: String, address: IPv6Address) {
        self.namespacePath = namespacePath
        self.address = address
    }
}

public struct RunningMachine: Hashable, Sendable {
    public var pid: Int32
    public var attempt: String

    public init(pid: Int32, attempt: String) {
        self.pid = pid
        self.attempt = attempt
    }
}

public enum MachineObservation: Hashable, Sendable {
    /// Nothing of it is on this host.
    case absent
    /// Files of a launch that never became a process, or whose process is gone without a trace.
    case remains
    case running(RunningMachine)
    case exited(MachineExit, attempt: String)
}

public struct MachineExit: Hashable, Sendable {
    public var code: Int32
    public var signal: Int32?
    public var oomKilled: Bool

    public init(code: Int32, signal: Int32?, oomKilled: Bool) {
        self.code = code
        self.signal = signal
        self.oomKilled = oomKilled
    }
}

public struct ExecRequest: Hashable, Sendable {
    public var command: [String]
    public var input: String
    public var timeout: Duration

    public init(command: [String], input: String = "", timeout: Duration = .seconds(30)) {
        self.command = command
        self.input = input
        self.timeout = timeout
    }
}

public struct ExecResult: Hashable, Sendable {
    public var exitCode: Int32
    public var signal: Int32?
    public var standardOutput: String
    public var standardError: String

    public init(exitCode: Int32, signal: Int32?, standardOutput: String, standardError: String) {
        self.exitCode = exitCode
        self.signal = signal
        self.standardOutput = standardOutput
        self.standardError = standardError
    }
}

public struct RuntimeError: Error, Sendable, CustomStringConvertible {
    public enum Code: String, Hashable, Sendable {
        case notFound, notRunning, imageNotFound, imageInvalid, noSpace, deadlineExceeded, invalid, failed
    }

    public let code: Code
    public let operation: String
    public let subject: String
    public let cause: String

    public init(code: Code, operation: String, subject: String, cause: String) {
        self.code = code
        self.operation = operation
        self.subject = subject
        self.cause = cause
    }

    public var description: String { "\(subject): \(operation): \(cause)" }
}
