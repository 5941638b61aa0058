import Glibc
import RoostLinux
public import RoostModel
public import RoostRuntime

extension OCIRuntime {
    public static let execTimeoutMax = Duration.seconds(3600)
    /// What a shell answers for a program that is not there.
    static let codeNotFound: Int32 = 127

    public func execute(_ machine: MachineID, _ request: ExecRequest) async throws(RuntimeError) -> ExecResult {
        guard let program = request.command.first, !program.isEmpty, !program.hasPrefix("-"),
            request.timeout > .zero, request.timeout <= Self.execTimeoutMax
        else {
            throw RuntimeError(
                code: .invalid, operation: "execute", subject: "machine \(machine)",
                cause: "give a command, and a timeout of at most \(Self.execTimeoutMax)")
        }
        _ = try await running(machine, "execute")
        var generator = SystemRandomNumberGenerator()
        let files =
            "\(folders(machine).run)/exec-\(String(UInt64.random(in: .min ... .max, using: &generator), radix: 36))"
        let pidFile = files + ".pid"
        let log = files + ".log"
        defer {
            unlink(pidFile)
            unlink(log)
        }
        var command = runtime(
            ["--log", log, "--log-format", "json", "exec", "--pid-file", pidFile, machine.text] + request.command,
            deadline: request.timeout)
        command.input = request.input
        let output: Command.Output
        do { output = try await command.outcome() } catch {
            killSession(pidFile)
            switch error.cause {
            case .deadlineExceeded:
                throw RuntimeError(
                    code: .deadlineExceeded, operation: "execute", subject: "machine \(machine)",
                    cause: "'\(program)' did not end within \(request.timeout) and was killed")
            case .cancelled: throw cancelled(machine, "execute")
            case .notStarted, .exited:
                throw RuntimeError(
                    code: .failed, operation: "execute", subject: "machine \(machine)", cause: error.description)
            }
        }
        if access(pidFile, F_OK) != 0, output.status != 0 {
            // The runtime never got as far as the program.
            guard try await isRunning(machine) else { throw notRunning(machine, "execute") }
            return ExecResult(
                exitCode: Self.codeNotFound, signal: nil, standardOutput: "",
                standardError: output.standardError)
        }
        let signal = output.status - 128
        return ExecResult(
            exitCode: output.status, signal: (1...Signal.numberMax).contains(signal) ? signal : nil,
            standardOutput: output.standardOutput, standardError: output.standardError)
    }

    private func isRunning(_ machine: MachineID) async throws(RuntimeError) -> Bool {
        do throws(RuntimeError) {
            _ = try await running(machine, "execute")
            return true
        } catch {
            guard error.code == .notRunning else { throw error }
            return false
        }
    }

    /// The runtime puts the command into a session, and so a process group, of its own.
    private func killSession(_ pidFile: String) {
        guard let process = ProcessIdentity(file: pidFile) else { return }
        Glibc.kill(-process.pid, SIGKILL)
        _ = try? process.signal(SIGKILL)
    }
}
