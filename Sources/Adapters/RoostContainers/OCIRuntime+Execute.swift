import CLinux
import Glibc
import Logging
import RoostLinux
public import RoostModel
public import RoostRuntime

extension OCIRuntime {
    public static let execTimeoutMax = Duration.seconds(3600)

    public func execute(_ machine: MachineID, _ request: ExecRequest) async throws(RuntimeError) -> ExecResult {
        guard let program = request.command.first, !program.isEmpty, !program.hasPrefix("-"),
            request.timeout > .zero, request.timeout <= Self.execTimeoutMax
        else {
            throw RuntimeError(
                code: .invalid, operation: "execute", subject: "machine \(machine)",
                cause: "give a command, and a timeout of at most \(Self.execTimeoutMax.words)")
        }
        let process = try await running(machine, "execute")
        var generator = SystemRandomNumberGenerator()
        let files =
            "\(folders(machine).run)/exec-\(String(UInt64.random(in: .min ... .max, using: &generator), radix: 36))"
        let log = files + ".log"
        let session = ExecSession(
            program: SearchPath.find(configuration.runtimeProgram) ?? configuration.runtimeProgram,
            arguments: [
                "--root", configuration.runtimeRoot, "--log", log, "--log-format", "json", "exec", "--detach",
                "--pid-file", files + ".pid", machine.text,
            ] + adopted(request.command, by: machine), input: request.input, pidFile: files + ".pid",
            timeout: request.timeout, outputBytesMax: ExecRequest.outputBytesMax)
        defer { for file in [session.pidFile, log] { unlink(file) } }
        let result: ExecSession.Result
        do { result = try await session.run() } catch {
            logger.error("cannot execute", metadata: ["machine": "\(machine)", "error": "\(error)"])
            throw RuntimeError(
                code: .failed, operation: "execute", subject: "machine \(machine)",
                cause: String(cString: strerror(error.code)))
        }
        switch result.outcome {
        case .ended(let status): return Self.result(status, result)
        case .notBegun: throw try await notBegun(machine, process, log: log, said: result.error.text)
        case .timedOut:
            throw RuntimeError(
                code: .deadlineExceeded, operation: "execute", subject: "machine \(machine)",
                cause:
                    "'\(program)' did not end within \(request.timeout.words); it and all that it had begun were killed"
            )
        case .cancelled: throw cancelled(machine, "execute")
        }
    }

    /// Below an init that adopts what the command leaves behind, so that all of it can be found and ended.
    private func adopted(_ command: [String], by machine: MachineID) -> [String] {
        let record = try? JSONFile.read(LaunchRecord.self, from: folders(machine).record)
        return record?.hasInit == true ? [MachineSpec.initPlace, "-s", "--"] + command : command
    }

    private static func result(_ status: Int32, _ result: ExecSession.Result) -> ExecResult {
        // waitpid(2): the low seven bits are the signal, the next byte of the number the exit code.
        let signal = status & 0x7f
        return ExecResult(
            exitCode: signal == 0 ? status >> 8 & 0xff : 128 + signal, signal: signal == 0 ? nil : signal,
            standardOutput: result.output.text, standardError: result.error.text,
            isOutputTruncated: result.output.isTruncated, isErrorTruncated: result.error.isTruncated)
    }

    /// - Parameter process: the machine's when the command was asked for. Its program may have ended at once, and may have been
    ///   started anew by now.
    private func notBegun(
        _ machine: MachineID, _ process: ProcessIdentity, log: String, said: String
    ) async throws(RuntimeError) -> RuntimeError {
        if try await hasEnded(machine, process) { return notRunning(machine, "execute") }
        let words = runtimeWords(in: log) ?? said
        if RuntimeWords.tellOfLostProcess(words), try await ends(machine, process) {
            return notRunning(machine, "execute")
        }
        let group = cgroup(machine)
        let cause: String
        if let (count, limit) = await BlockingCall.run({ group.processCount() }), count >= limit {
            cause = "the machine has \(count) processes, as many as it may have"
        } else {
            cause = RuntimeWords.explained(publicWords(words, machine))
        }
        logger.warning("a command was not begun", metadata: ["machine": "\(machine)", "said": "\(said.prefix(2000))"])
        return RuntimeError(code: .failed, operation: "execute", subject: "machine \(machine)", cause: cause)
    }

    /// Of all that is ended in a machine, its first process may be the last that goes: for so long it is looked whether it does.
    private static let endingMax = Duration.seconds(3)
    private static let endingInterval = Duration.milliseconds(20)

    private func ends(_ machine: MachineID, _ process: ProcessIdentity) async throws(RuntimeError) -> Bool {
        let end = BootClock.now() + Self.endingMax
        while try await !hasEnded(machine, process) {
            guard BootClock.now() < end, (try? await Task.sleep(for: Self.endingInterval)) != nil else { return false }
        }
        return true
    }

    /// Also when the machine has another first process since.
    private func hasEnded(_ machine: MachineID, _ process: ProcessIdentity) async throws(RuntimeError) -> Bool {
        do throws(RuntimeError) { return try await running(machine, "execute") != process } catch {
            guard error.code == .notRunning else { throw error }
            return true
        }
    }
}
