import CLinux
import Glibc
import RoostModel
import Subprocess
import SystemPackage

/// One run of a program of the host (`nft`, `mkfs.ext4`, `runc` …): arguments as a list, never through a shell,
/// with a deadline and a bound on what it may print.
public struct Command: Sendable {
    public var program: String
    public var arguments: [String]
    public var environment: [String: String]
    public var input: String
    public var deadline: Duration

    public static let deadlineDefault = Duration.seconds(30)
    public static let outputBytesMax = 4 << 20

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

    public struct Output: Sendable {
        public var status: Int32
        public var standardOutput: String
        public var standardError: String
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
        var values: [Environment.Key: String?] = [:]
        for (name, value) in environment {
            values[Environment.Key(stringLiteral: name)] = value
        }
        var options = PlatformOptions()
        options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: .seconds(1))]
        let executable: Executable = path.map { .path(FilePath($0)) } ?? .name(program)
        let standardInput = try inputFile()
        defer { try? standardInput.close() }
        let result = try await Subprocess.run(
            executable, arguments: Arguments(arguments), environment: .inherit.updating(values),
            platformOptions: options,
            input: .fileDescriptor(standardInput, closeAfterSpawningProcess: false),
            output: .string(limit: Self.outputBytesMax), error: .string(limit: Self.outputBytesMax))
        let status: Int32
        switch result.terminationStatus {
        case .exited(let code): status = code
        case .signaled(let signal): status = 128 + signal
        }
        return Output(
            status: status, standardOutput: result.standardOutput, standardError: result.standardError)
    }

    /// What the program reads, as a file in memory. Subprocess ends this process when it cannot write an input to its
    /// end, because the program does not read it or the command is cancelled (1.0.2); a file needs nobody who writes.
    private func inputFile() throws -> FileDescriptor {
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
    private var path: String? {
        guard !program.contains("/") else { return program }
        let folders = environment["PATH"] ?? getenv("PATH").map { String(cString: $0) } ?? ""
        return folders.split(separator: ":").lazy.map { "\($0)/\(program)" }.first { access($0, X_OK) == 0 }
    }

    /// The command as one would type it, for errors and logs.
    public var line: String {
        ([program] + arguments).map { $0.contains(" ") || $0.isEmpty ? "'\($0)'" : $0 }.joined(separator: " ")
    }
}

public struct CommandError: Error, CustomStringConvertible {
    public enum Cause: Sendable {
        case notStarted(String)
        case exited(Int32, String)
        case deadlineExceeded(Duration)
        case cancelled
    }

    public let command: String
    public let cause: Cause

    public init(command: String, cause: Cause) {
        self.command = command
        self.cause = cause
    }

    public var description: String {
        switch cause {
        case .notStarted(let why): "could not start '\(command)': \(why)"
        case .exited(let status, let text): "'\(command)' failed with status \(status): \(text.suffix(600))"
        case .deadlineExceeded(let deadline): "'\(command)' did not end within \(deadline)"
        case .cancelled: "'\(command)' was cancelled"
        }
    }
}
