import CLinux
import Glibc
import RoostModel
import Subprocess
import SystemPackage

/// One run of a program of the host (`nft`, `mkfs.ext4`, `runc` …): arguments as a list, never through a shell,
/// with a deadline and a bound on what it may print.
public struct Command: Sendable {
    /// A name, looked for in PATH, or a path.
    public var program: String
    /// Without the program's own name. They can be seen by every user of the host (`/proc/PID/cmdline`): no secrets.
    public var arguments: [String]
    /// Added to the few variables of this process that go along, and stronger than they are.
    public var environment: [String: String]
    /// What it reads from its standard input; empty is /dev/null.
    public var input: String
    /// For all of it. A program that has not ended by then is told to end, and killed a second later.
    public var deadline: Duration
    /// See ``bound(to:)``.
    private var bond: Bond?

    /// Whether it dies with this process (``bound(to:)``).
    public var isBound: Bool { bond != nil }

    private struct Bond: Sendable {
        var lock: FileLock?
    }

    /// What programs of the host may need from the environment of this one; all else, a secret perhaps, stays here.
    static let variablesKept = [
        "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "XDG_RUNTIME_DIR", "REGISTRY_AUTH_FILE", "http_proxy",
        "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
    ]

    /// Long for what the host's programs do at once, short for whoever waits for one that hangs.
    public static let deadlineDefault = Duration.seconds(30)
    /// For each of the two outputs.
    public static let outputBytesMax = 4 << 20

    /// Nothing runs before ``run()`` or ``outcome()``.
    public init(
        _ program: String, _ arguments: [String], environment: [String: String] = [:], input: String = "",
        deadline: Duration = Command.deadlineDefault
    ) {
        self.program = program
        self.arguments = arguments
        self.environment = environment
        self.input = input
        self.deadline = deadline
    }

    /// The same command, for a program that writes what others may begin anew: it dies with this process, and does not
    /// go on beside whoever comes after.
    ///
    /// The kernel kills it when the thread that started it ends. That is one thread for all commands, which ends with the
    /// process (Subprocess 1.0.2, Thread.swift).
    /// - Parameter lock: of what it writes. It is the program's too, as its standard input, which is empty: so nobody gets
    ///   the lock before the program is gone, whatever became of this process. ``FileLock/release()`` lets go for both.
    public func bound(to lock: FileLock? = nil) -> Command {
        precondition(input.isEmpty, "the lock takes the place of the input")
        var command = self
        command.bond = Bond(lock: lock)
        return command
    }

    /// What a program that has ended leaves.
    public struct Output: Sendable {
        /// 0 to 255; 128 and the signal where one ended it.
        public var status: Int32
        /// At most ``outputBytesMax``; what is no UTF-8 becomes U+FFFD.
        public var standardOutput: String
        /// As ``standardOutput``.
        public var standardError: String
    }

    /// What the program finds in its environment: of this process's only what ``variablesKept`` names, and what it
    /// says in the plain language that this program can read.
    private var variables: [String: String] {
        var values = ["LC_ALL": "C.UTF-8", "PATH": SearchPath.standard]
        for name in Self.variablesKept { if let value = getenv(name) { values[name] = String(cString: value) } }
        return values.merging(environment) { _, new in new }
    }

    /// Runs to the end. A non-zero status is an error that carries what the program said.
    @discardableResult
    public func run() async throws(CommandError) -> Output {
        let output = try await outcome()
        guard output.status == 0 else {
            throw CommandError(
                command: line, cause: .exited(output.status, output.standardError + output.standardOutput))
        }
        return output
    }

    /// Runs to the end and hands back whatever status came.
    public func outcome() async throws(CommandError) -> Output {
        let line = line
        do {
            return try await withThrowingTaskGroup(of: Output?.self) { group in
                group.addTask { try await execute() }
                group.addTask {
                    try await Task.sleep(for: deadline)
                    return nil
                }
                defer { group.cancelAll() }
                guard let first = try await group.next(), let output = first else {
                    throw CommandError(command: line, cause: .deadlineExceeded(deadline))
                }
                return output
            }
        } catch let error as CommandError {
            throw error
        } catch is CancellationError {
            throw CommandError(command: line, cause: .cancelled)
        } catch {
            throw CommandError(command: line, cause: .notStarted("\(error)"))
        }
    }

    private func execute() async throws -> Output {
        let values = Dictionary(
            uniqueKeysWithValues: variables.map { (Environment.Key(stringLiteral: $0.key), $0.value) })
        var options = PlatformOptions()
        options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: .seconds(1))]
        let (executable, arguments) = try start()
        let standardInput = try inputFile()
        defer { try? standardInput.close() }
        let collector = try OutputCollector(bytesMax: Self.outputBytesMax)
        async let collected = BlockingCall.run { collector.collect() }
        let result: ExecutionResult<Void, FileDescriptorOutput, FileDescriptorOutput>
        do {
            result = try await Subprocess.run(
                executable, arguments: Arguments(arguments), environment: .custom(values), platformOptions: options,
                input: .fileDescriptor(standardInput, closeAfterSpawningProcess: false),
                output: .fileDescriptor(FileDescriptor(rawValue: collector.output), closeAfterSpawningProcess: false),
                error: .fileDescriptor(FileDescriptor(rawValue: collector.error), closeAfterSpawningProcess: false))
        } catch {
            collector.programHasEnded()
            _ = await collected
            throw error
        }
        collector.programHasEnded()
        let (output, complaint) = await collected
        guard !output.isTruncated, !complaint.isTruncated else {
            throw CommandError(command: line, cause: .outputTooLong(bytesMax: Self.outputBytesMax))
        }
        let status: Int32
        switch result.terminationStatus {
        case .exited(let code): status = code
        case .signaled(let signal): status = 128 + signal
        }
        return Output(status: status, standardOutput: output.text, standardError: complaint.text)
    }

    /// What is started. A bond is the business of `setpriv`, which becomes a shell that becomes the program: a signal for the
    /// end of a parent that has ended before it was asked for never comes (PR_SET_PDEATHSIG(2const)), so whoever has another
    /// parent then does not begin.
    private func start() throws(SystemError) -> (Executable, [String]) {
        guard bond != nil else { return (path.map { .path(FilePath($0)) } ?? .name(program), arguments) }
        // setpriv would end with a status of its own for what is not there.
        guard let path else { throw SystemError("find", program, code: ENOENT) }
        guard let binder = SearchPath.find("setpriv") else { throw SystemError("find", "setpriv", code: ENOENT) }
        return (
            .path(FilePath(binder)),
            ["--pdeathsig", "KILL", "--", "/bin/sh", "-c", Self.orphanCheck, "sh", "\(getpid())", path] + arguments
        )
    }

    /// Its first word is the parent, the rest the program. 137: as if the signal had come.
    static let orphanCheck = #"[ "$PPID" = "$1" ] || exit 137; shift; exec "$@""#

    /// What the program reads, as a file in memory. Subprocess ends this process when it cannot write an input to its
    /// end, because the program does not read it or the command is cancelled (1.0.2); a file needs nobody who writes.
    private func inputFile() throws -> FileDescriptor {
        if let lock = bond?.lock { return FileDescriptor(rawValue: try lock.duplicate()) }
        guard !input.isEmpty else { return try FileDescriptor.open("/dev/null", .readOnly, options: .closeOnExec) }
        let number = roost_memory_file("input of \(program)")
        guard number >= 0 else { throw Errno(rawValue: -number) }
        let file = FileDescriptor(rawValue: number)
        do {
            try file.writeAll(input.utf8)
            try file.seek(offset: 0, from: .start)
        } catch {
            try? file.close()
            throw error
        }
        return file
    }

    /// Where the program is. Given a name only, Subprocess would start a process for every folder of the search path
    /// that does not have it.
    private var path: String? { SearchPath.find(program, in: environment["PATH"] ?? SearchPath.own) }

    /// The command as one would type it, for errors and logs.
    public var line: String {
        ([program] + arguments).map { $0.contains(" ") || $0.isEmpty ? "'\($0)'" : $0 }.joined(separator: " ")
    }
}

/// A command that did not do what it was run for.
public struct CommandError: Error, CustomStringConvertible {
    /// How far it came.
    public enum Cause: Sendable {
        /// There is no such program, or the system has no process for it. The text is for the log.
        case notStarted(String)
        /// Its status was not 0. The text is what it said, complaints first: it may show the host's insides.
        case exited(Int32, String)
        /// It did not end in its time, and was killed: what it was to do may be half done.
        case deadlineExceeded(Duration)
        /// It ran to its end, but said more than anybody would read.
        case outputTooLong(bytesMax: Int)
        /// The task that waited for it was cancelled, and it was killed: as with a deadline.
        case cancelled
    }

    /// As one would type it (``Command/line``).
    public let command: String
    /// What became of it.
    public let cause: Cause

    /// For those who run programs by other means too and report them in one way.
    public init(command: String, cause: Cause) {
        self.command = command
        self.cause = cause
    }

    /// The program's name, without its folder and its arguments.
    private var program: String {
        var words = command.split(separator: " ")[...]
        // Who is started as another user is started by this one, which is nobody's concern.
        if words.first?.split(separator: "/").last == "setpriv", let end = words.firstIndex(of: "--"),
            end + 1 < words.endIndex
        {
            words = words[(end + 1)...]
        }
        let path = words.first ?? command[...]
        return String(path.split(separator: "/").last ?? path)
    }

    /// What happened and what the program said, without how it was called and without the places that it names
    /// (``Swift/StringProtocol/withoutPlaces``): for those who need the reason, and may not see what either says of the inside.
    public var outcome: String {
        switch cause {
        case .notStarted(let why): "\(program) could not be started: \(why.withoutPlaces)"
        case .exited(let status, let text):
            // Not cut in the middle of what is left out.
            "\(program) failed with status \(status): \(text.suffix(4096).withoutPlaces.suffix(600))"
        case .deadlineExceeded(let deadline): "\(program) did not end within \(deadline.words)"
        case .outputTooLong(let bytesMax): "\(program) wrote more than \(bytesMax) bytes"
        case .cancelled: "\(program) was cancelled"
        }
    }

    /// What happened, without the command's arguments and words: for those who may not see the host's insides.
    public var summary: String {
        switch cause {
        case .notStarted: return "\(program) could not be started on the host"
        case .exited(let status, _): return "\(program) failed on the host with status \(status)"
        case .deadlineExceeded(let deadline): return "\(program) did not end within \(deadline.words)"
        case .outputTooLong(let bytesMax): return "\(program) wrote more than \(bytesMax) bytes"
        case .cancelled: return "\(program) was cancelled"
        }
    }

    /// For the host's own log.
    public var description: String {
        switch cause {
        case .notStarted(let why): "could not start '\(command)': \(why)"
        case .exited(let status, let text): "'\(command)' failed with status \(status): \(text.suffix(600))"
        case .deadlineExceeded(let deadline): "'\(command)' did not end within \(deadline.words)"
        case .outputTooLong(let bytesMax): "'\(command)' wrote more than \(bytesMax) bytes"
        case .cancelled: "'\(command)' was cancelled"
        }
    }
}
