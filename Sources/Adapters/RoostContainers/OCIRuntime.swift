import CLinux
import Glibc
public import Logging
import RoostLinux
public import RoostModel
public import RoostRuntime

/// Machines by an OCI runtime (`runc`, or `crun` where it works), each watched by a `conmon` of its own.
///
/// All that is known of a machine is on disk and in the kernel; a second instance over the same folders, in this
/// process or a later one, sees the same machines. Nothing here needs systemd, and it works inside a PID, mount and
/// network namespace as long as /proc is that namespace's own.
public struct OCIRuntime: MachineRuntime {
    public struct Configuration: Sendable {
        /// On disk: launch records, the machines' roots, logs.
        public var stateFolder: String
        /// In memory where possible (/run): bundles, process ids, exit codes.
        public var runFolder: String
        /// Parent of the machines' control groups in every hierarchy, `/roost`.
        public var cgroupParent: String
        /// `runc` or `crun`: see ``RuntimeProbe``.
        public var runtimeProgram: String
        public var watcherProgram: String
        /// Of a launch's log, in two halves: when the newer one is full, the older one goes. The log of the launch
        /// before is kept.
        public var logSizeMax: ByteCount
        public var nameservers: [String]
        /// Process 1 of machines: a static program that reaps and hands on signals.
        public var initProgram: String

        public init(
            stateFolder: String, runFolder: String, cgroupParent: String, runtimeProgram: String = "runc",
            watcherProgram: String = "conmon", logSizeMax: ByteCount = .mebibytes(8), nameservers: [String] = [],
            initProgram: String = "/usr/bin/tini-static"
        ) {
            self.stateFolder = stateFolder
            self.runFolder = runFolder
            self.cgroupParent = cgroupParent
            self.runtimeProgram = runtimeProgram
            self.watcherProgram = watcherProgram
            self.logSizeMax = logSizeMax
            self.nameservers = nameservers
            self.initProgram = initProgram
        }

        var runtimeRoot: String { runFolder + "/runtime" }
        var attachFolder: String { runFolder + "/attach" }
        var logFolder: String { stateFolder + "/logs" }
        var lockFolder: String { runFolder + "/locks" }
    }

    public let configuration: Configuration
    let images: any ImageStore
    let ends: ProcessEnds
    /// As they are when the program starts: a host mounts them when it boots. To look for them costs a reading of all
    /// mounts, of which every machine has some.
    private let hierarchies: [MachineCgroup.Hierarchy]
    /// Alive for as long as the runtime is.
    private let logHalves: LogHalves
    let logger: Logger
    var killTimes = MemoryKills.Times()

    static let lockPatience = Duration.seconds(120)
    /// conmon writes the exit file within milliseconds of the end, unless the computer is very busy.
    static let exitFilePatience = Duration.seconds(10)
    static let killPatience = Duration.seconds(10)
    /// Machines that are gone and whose logs are kept; the newest.
    static let logsKeptMax = 64

    /// - Throws: when the folders cannot be made or the process watch cannot be started.
    public init(
        configuration: Configuration, images: any ImageStore, logger: Logger = Logger(label: "roost.machines")
    ) throws(RuntimeError) {
        self.configuration = configuration
        self.images = images
        self.logger = logger
        do throws(SystemError) {
            // Machines' files are in there, with the modes that machines gave them: nobody else gets in.
            for folder in [configuration.stateFolder, configuration.runFolder] {
                try DurableFile.makePrivateFolder(folder, mode: 0o700)
            }
            for folder in [
                configuration.runtimeRoot, configuration.attachFolder, configuration.logFolder,
                configuration.lockFolder,
            ] { try DurableFile.makeFolder(folder, mode: 0o700) }
            guard access(configuration.initProgram, X_OK) == 0 else {
                throw SystemError("find (install the package tini)", configuration.initProgram)
            }
            let parent = Self.cgroupParent(configuration)
            hierarchies = try MachineCgroup.hierarchies()
            let weights = try MachineSlice.prepare(parent, in: hierarchies)
            logger.info(
                "machines have their share of the host",
                metadata: ["group": "\(parent)", "weights": "\(weights.joined(separator: " "))"])
            ends = try ProcessEnds()
            logHalves = try LogHalves(folder: configuration.logFolder)
        } catch {
            throw RuntimeError(
                code: .failed, operation: "prepare", subject: configuration.stateFolder, cause: error.description)
        }
    }

    func folders(_ machine: MachineID) -> MachineFolders { MachineFolders(machine, configuration) }

    func cgroup(_ machine: MachineID) -> MachineCgroup {
        MachineCgroup(path: cgroupPath(machine), hierarchies: hierarchies)
    }

    func cgroupPath(_ machine: MachineID) -> String {
        Self.cgroupParent(configuration) + "/\(machine)"
    }

    private static func cgroupParent(_ configuration: Configuration) -> String {
        let parent = configuration.cgroupParent
        return parent.hasPrefix("/") ? parent : "/" + parent
    }

    public func check(_ image: ImageReference) async throws(RuntimeError) { try await images.check(image) }

    // MARK: - Looking

    public func inspect(_ machine: MachineID) async throws(RuntimeError) -> MachineObservation {
        // Without a lock of ours a launch in progress would look like the remains of one.
        try await locked(machine, "inspect") { () throws(RuntimeError) in
            let observation = try await observe(machine)
            if observation == .absent { unlink(folders(machine).lock) }
            return observation
        }
    }

    public func list() async throws(RuntimeError) -> [MachineID] {
        do throws(SystemError) {
            var names = try FolderListing.names(in: configuration.stateFolder + "/machines-oci")
            names += try FolderListing.names(in: configuration.runFolder + "/machines-oci")
            return Set(names).sorted().compactMap { try? MachineID($0) }
        } catch {
            throw RuntimeError(
                code: .failed, operation: "list", subject: configuration.stateFolder, cause: error.description)
        }
    }

    /// A launch's record is there from before its root is mounted until after that is unmounted. One that a power loss
    /// has damaged stands for nothing that runs.
    public func imagesInUse() async throws(RuntimeError) -> Set<String> {
        let records = try await list().map { folders($0).record }
        return try await BlockingCall.run { () throws(RuntimeError) in
            var digests: Set<String> = []
            for path in records {
                do throws(JSONFileError) {
                    if let record = try JSONFile.read(LaunchRecord.self, from: path) { digests.insert(record.digest) }
                } catch  where error.cause is SystemError {
                    throw RuntimeError(
                        code: .failed, operation: "list", subject: "the images in use", cause: error.description)
                } catch { continue }
            }
            return digests
        }
    }

    // MARK: - Signals

    public func signal(_ machine: MachineID, _ signal: String) async throws(RuntimeError) {
        guard let number = Signal.number(signal) else {
            throw RuntimeError(
                code: .invalid, operation: "signal", subject: "machine \(machine)",
                cause: "'\(signal.prefix(40))' is no signal: use a name such as SIGTERM, or a number")
        }
        let process = try await running(machine, "signal")
        let wasThere = try report("signal", machine) { () throws(SystemError) in try process.signal(number) }
        guard wasThere else { throw notRunning(machine, "signal") }
    }

    public func kill(_ machine: MachineID) async throws(RuntimeError) {
        let group = cgroup(machine)
        let mark = folders(machine).killedMark
        let process = Result { () throws(SystemError) in try readProcess(machine) }
        let end = BootClock.now() + Self.killPatience
        var pause = Duration.milliseconds(2)
        if let first = try? process.get(), (try? first.isAlive) == true { try? PlainFile.write("", to: mark) }
        while true {
            let hadAny = try await onDisk("kill", machine) { () throws(SystemError) in
                // Process 1 first: with it the kernel ends all of its PID namespace. Whether it was found or not, the
                // others get their signal; and whoever could not be seen is not gone.
                let first = Result { () throws(SystemError) in try process.get()?.signal(SIGKILL) ?? false }
                let hadOthers = try group.killRound()
                return try first.get() || hadOthers
            }
            guard hadAny else { return }
            guard BootClock.now() < end else {
                throw RuntimeError(
                    code: .deadlineExceeded, operation: "kill", subject: "machine \(machine)",
                    cause: "processes of it are still there after SIGKILL: they wait for a disk or are frozen")
            }
            do { try await Task.sleep(for: pause) } catch { throw cancelled(machine, "kill") }
            pause = min(pause * 2, .milliseconds(100))
        }
    }

    // MARK: - Small parts

    func locked<Value: Sendable>(
        _ machine: MachineID, _ operation: String, _ body: () async throws(RuntimeError) -> Value
    ) async throws(RuntimeError) -> Value {
        try await holdingLock(of: machine, operation) { (_) async throws(RuntimeError) in try await body() }
    }

    /// For programs that write what the lock is for: they have it too, and die with this process (``Command/bound(to:)``).
    func holdingLock<Value: Sendable>(
        of machine: MachineID, _ operation: String, _ body: (FileLock) async throws(RuntimeError) -> Value
    ) async throws(RuntimeError) -> Value {
        let lock: FileLock
        do { lock = try await FileLock.acquire(folders(machine).lock, within: Self.lockPatience) } catch {
            throw RuntimeError(
                code: error.code == ETIMEDOUT ? .deadlineExceeded : .failed, operation: operation,
                subject: "machine \(machine)", cause: error.description)
        }
        defer { lock.release() }
        return try await body(lock)
    }

    /// What failed where goes to the host's log; whoever gave the order hears what it means.
    func report<Value>(_ operation: String, _ machine: MachineID, _ body: () throws(SystemError) -> Value)
        throws(RuntimeError) -> Value
    { do { return try body() } catch { throw failure(operation, machine, error) } }

    /// The same for what waits for a disk.
    func onDisk<Value: Sendable>(
        _ operation: String, _ machine: MachineID, _ body: @escaping @Sendable () throws(SystemError) -> Value
    ) async throws(RuntimeError) -> Value {
        do { return try await BlockingCall.run(body) } catch { throw failure(operation, machine, error) }
    }

    private func failure(_ operation: String, _ machine: MachineID, _ error: SystemError) -> RuntimeError {
        logger.error(
            "a step of a machine failed",
            metadata: ["machine": "\(machine)", "operation": "\(operation)", "error": "\(error)"])
        return RuntimeError(
            code: error.code == ENOSPC ? .noSpace : .failed, operation: operation, subject: "machine \(machine)",
            cause: String(cString: strerror(error.code)))
    }

    /// What a program of the host said of a machine, without the host's folders.
    func publicWords(_ text: String, _ machine: MachineID) -> String {
        let folders = folders(machine)
        var words = text
        for path in [
            folders.root, folders.run, folders.state, folders.runtimeState, configuration.runFolder,
            configuration.stateFolder,
        ] { words = words.replacing(path, with: "") }
        return String(words.prefix(Self.publicWordsMax)).filter { $0.isASCII && $0 >= " " && $0 != "\u{7f}" }
    }

    static let publicWordsMax = 600

    func command(_ operation: String, _ machine: MachineID, _ command: Command) async throws(RuntimeError) {
        do { try await command.run() } catch {
            logger.error(
                "a program failed",
                metadata: ["machine": "\(machine)", "operation": "\(operation)", "error": "\(error)"])
            throw RuntimeError(code: .failed, operation: operation, subject: "machine \(machine)", cause: error.summary)
        }
    }

    /// A command of the OCI runtime itself.
    func runtime(_ arguments: [String], deadline: Duration = Command.deadlineDefault) -> Command {
        Command(
            configuration.runtimeProgram, ["--root", configuration.runtimeRoot] + arguments, deadline: deadline)
    }

    func notRunning(_ machine: MachineID, _ operation: String) -> RuntimeError {
        RuntimeError(
            code: .notRunning, operation: operation, subject: "machine \(machine)",
            cause: "it is not running: start it first")
    }

    func cancelled(_ machine: MachineID, _ operation: String) -> RuntimeError {
        RuntimeError(code: .failed, operation: operation, subject: "machine \(machine)", cause: "cancelled")
    }
}
