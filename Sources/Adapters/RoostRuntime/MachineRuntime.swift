public import RoostModel

/// Runs machines on this host. The machine, once launched, does not depend on this process: its watcher (`conmon`)
/// and its record on disk outlive it. Every call is idempotent.
public protocol MachineRuntime: Sendable {
    /// Refuses an image that this host would never run, before anything is promised. Whether it can be had is not
    /// looked at.
    func check(_ image: ImageReference) async throws(RuntimeError)

    /// Prepares root, namespaces and watcher and starts process 1. If this launch already runs, says so.
    ///
    /// - Parameter attach: makes the launch's network. Called at most once, and beside everything that does not need
    ///   the network; not called when the machine already runs.
    func launch(
        _ launch: MachineLaunch, attach: @escaping @Sendable () async throws(RuntimeError) -> Void
    ) async throws(RuntimeError) -> RunningMachine

    /// What really is there: running machines, and machines whose process has ended with how it ended.
    func inspect(_ machine: MachineID) async throws(RuntimeError) -> MachineObservation
    func list() async throws(RuntimeError) -> [MachineID]
    /// What the machine's root takes of the host's disk above its image; nil: it has none.
    func rootUse(of machine: MachineID, within walk: RootWalk) async throws(RuntimeError) -> RootUse?
    /// The digests of the images that launches use which are there, however far they have come.
    func imagesInUse() async throws(RuntimeError) -> Set<String>
    /// When what runs of the machine now began. It waits neither for the disk nor for what else is done with the machine.
    func began(_ machine: MachineID) async -> MachineBeginning

    /// Returns when process 1 of the machine has ended. Survives nothing: ask again after a restart.
    func waitForExit(of machine: MachineID) async throws(RuntimeError) -> MachineExit

    func signal(_ machine: MachineID, _ signal: String) async throws(RuntimeError)
    /// Kills every process of the machine at once.
    func kill(_ machine: MachineID) async throws(RuntimeError)

    func execute(_ machine: MachineID, _ request: ExecRequest) async throws(RuntimeError) -> ExecResult

    /// Takes apart what a launch made: root, watcher, namespaces, cgroup. Volumes are not touched.
    func remove(_ machine: MachineID) async throws(RuntimeError)

    /// Removes the logs of machines that are gone, but for those of the newest.
    /// - Parameter known: not gone, whatever is there of them: one that is stopped has nothing but its log.
    func forgetLogs(keeping known: Set<MachineID>) async

    /// The last bytes of the machine's log.
    func logTail(_ machine: MachineID, bytesMax: Int) async throws(RuntimeError) -> String
}

/// What a machine has written outside of its volumes.
public struct RootUse: Hashable, Sendable {
    /// In blocks.
    public var size: ByteCount
    /// False: it has more names than were looked at, or folders nested too deep.
    public var isWhole: Bool
    /// Its processes have more files open or mapped than were looked at.
    public var hasTooManyOpen = false
    /// False: the time was over before all was seen, or the disk did not show all; there is at least so much.
    public var isDone: Bool

    public init(size: ByteCount, isWhole: Bool = true, isDone: Bool = true) {
        self.size = size
        self.isWhole = isWhole
        self.isDone = isDone
    }
}

/// How far a root is looked at.
public struct RootWalk: Hashable, Sendable {
    /// The files and folders that are looked at, at most.
    public var namesMax: Int
    /// The files that its processes have open or mapped, at most.
    public var openMax: Int
    /// Then it ends with what it has seen. One question to a disk that hangs may take longer.
    public var time: Duration
    /// It takes of processors and disks what nobody else wants.
    public var isIdle: Bool

    public init(namesMax: Int, openMax: Int, time: Duration, isIdle: Bool) {
        self.namesMax = namesMax
        self.openMax = openMax
        self.time = time
        self.isIdle = isIdle
    }
}

/// What the kernel knows of a machine, whoever started it.
public enum MachineBeginning: Hashable, Sendable {
    /// Its process 1 began then.
    case running(since: Moment)
    /// It has no process.
    case nothing
    /// Something of it runs that nobody has written down, or it could not be seen whether anything does.
    case unknown
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
    /// Its volumes.
    public var disks: [MachineDisk]
    /// How it speaks to its host; nil: not at all.
    public var hostLink: HostLink?
    public var network: MachineNetwork

    public init(
        id: MachineID, attempt: String, hostname: String, image: ImageReference, config: MachineConfig,
        environment: [String: String], disks: [MachineDisk], hostLink: HostLink? = nil, network: MachineNetwork
    ) {
        self.id = id
        self.attempt = attempt
        self.hostname = hostname
        self.image = image
        self.config = config
        self.environment = environment
        self.disks = disks
        self.hostLink = hostLink
        self.network = network
    }
}

/// A volume and its place in the machine.
public struct MachineDisk: Hashable, Sendable {
    public var attachment: DiskAttachment
    /// Absolute path in the machine.
    public var target: String
    public var isReadOnly: Bool

    public init(_ attachment: DiskAttachment, at target: String, isReadOnly: Bool = false) {
        self.attachment = attachment
        self.target = target
        self.isReadOnly = isReadOnly
    }
}

/// How a machine asks its host for something. The machine sees it at ``HostLink/place``.
public enum HostLink: Hashable, Sendable {
    /// A folder of the host with a Unix socket in it; the machine can write nothing there.
    case unix(folder: String)

    public static let place = "/.roost"
}

/// How a machine is joined to its network.
public struct MachineNetwork: Hashable, Sendable {
    /// There once the launch's `attach` has returned.
    public var attachment: NetworkAttachment
    public var address: IPv6Address

    public init(_ attachment: NetworkAttachment, address: IPv6Address) {
        self.attachment = attachment
        self.address = address
    }
}

public struct ExecRequest: Hashable, Sendable {
    public var command: [String]
    public var input: String
    public var timeout: Duration

    /// Of each of its two outputs. As JSON a byte becomes six at worst, and the answer is to stay below 16 MiB.
    public static let outputBytesMax = 1 << 20

    public init(command: [String], input: String = "", timeout: Duration = .seconds(30)) {
        self.command = command
        self.input = input
        self.timeout = timeout
    }
}

public struct ExecResult: Hashable, Sendable {
    /// As a shell would give it: 127 for a program that is not there, 128 and the signal for one that was ended by it.
    public var exitCode: Int32
    /// The signal that ended it, where it is known for sure.
    public var signal: Int32?
    public var standardOutput: String
    public var standardError: String
    /// The program wrote more than ``ExecRequest/outputBytesMax``; what came after is not here.
    public var isOutputTruncated: Bool
    public var isErrorTruncated: Bool

    public init(
        exitCode: Int32, signal: Int32?, standardOutput: String, standardError: String,
        isOutputTruncated: Bool = false, isErrorTruncated: Bool = false
    ) {
        self.exitCode = exitCode
        self.signal = signal
        self.standardOutput = standardOutput
        self.standardError = standardError
        self.isOutputTruncated = isOutputTruncated
        self.isErrorTruncated = isErrorTruncated
    }
}

public struct RuntimeError: Error, Sendable, CustomStringConvertible {
    public enum Code: String, Hashable, Sendable {
        case notFound, notRunning
        /// The image cannot be had: it may be another time.
        case imageNotFound
        /// The image is broken, or not for this platform.
        case imageInvalid
        /// This host's operator has not allowed images from there.
        case imageNotAllowed
        case noSpace, deadlineExceeded
        /// The order itself cannot be carried out.
        case invalid
        case failed
    }

    /// The same order would fail the same way however often it is tried.
    public var isPermanent: Bool {
        switch code {
        case .imageInvalid, .imageNotAllowed, .invalid: true
        case .notFound, .notRunning, .imageNotFound, .noSpace, .deadlineExceeded, .failed: false
        }
    }

    public let code: Code
    public let operation: String
    public let subject: String
    /// For whoever gave the order: no command lines, no paths of the host.
    public let cause: String

    public init(code: Code, operation: String, subject: String, cause: String) {
        self.code = code
        self.operation = operation
        self.subject = subject
        self.cause = cause
    }

    public var description: String { "\(subject): \(operation): \(cause)" }
}
