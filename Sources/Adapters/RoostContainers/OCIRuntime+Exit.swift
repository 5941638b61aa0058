import CLinux
import Glibc
import Logging
import RoostLinux
public import RoostModel
public import RoostRuntime

extension OCIRuntime {
    public func waitForExit(of machine: MachineID) async throws(RuntimeError) -> MachineExit {
        let process: ProcessIdentity
        switch try await inspect(machine) {
        case .exited(let exit, _): return exit
        case .absent, .remains:
            throw RuntimeError(
                code: .notFound, operation: "wait for", subject: "machine \(machine)", cause: "it does not run here")
        case .running(let running):
            let seen = try report("wait for", machine) { () throws(SystemError) in try ProcessIdentity(pid: running.pid)
            }
            // It has ended since.
            guard let identity = seen else { return try await exit(of: machine) }
            process = identity
        }
        let hasEnded: Bool
        do { hasEnded = try await awaitEnd(of: process, machine) } catch {
            throw RuntimeError(
                code: .failed, operation: "wait for", subject: "machine \(machine)", cause: error.description)
        }
        guard hasEnded else { throw cancelled(machine, "wait for") }
        return try await exit(of: machine)
    }

    /// How it ended, once the process is gone: conmon writes it down a moment later.
    private func exit(of machine: MachineID) async throws(RuntimeError) -> MachineExit {
        let found: MachineExit?
        do {
            found =
                try await poll(for: Self.exitFilePatience, every: .milliseconds(3)) { () -> MachineExit?? in
                    if let exit = try readExit(machine) { return .some(exit) }
                    // Without a watcher nobody will write it, unless it did so this moment.
                    return try findWatcher(machine) == nil ? .some(try readExit(machine)) : nil
                } ?? nil
        } catch let error as RuntimeError { throw error } catch { throw cancelled(machine, "wait for") }
        guard let found else {
            throw RuntimeError(
                code: .failed, operation: "wait for", subject: "machine \(machine)",
                cause: "it has ended, but its watcher is gone and nobody knows how")
        }
        return found
    }

    // MARK: - What is there

    /// Called under the machine's lock.
    func observe(_ machine: MachineID) async throws(RuntimeError) -> MachineObservation {
        let folders = folders(machine)
        let noted = try report("inspect", machine) { () throws(SystemError) in
            try Self.readNote(LaunchRecord.self, from: folders.record)
        }
        guard let record = noted else {
            let group = cgroup(machine)
            let isSomethingThere = try report("inspect", machine) { () throws(SystemError) in
                for path in [folders.state, folders.run, folders.runtimeState] where try DurableFile.exists(path) {
                    return true
                }
                return try group.isThere
            }
            return isSomethingThere ? .remains : .absent
        }
        if let exit = try readExit(machine) { return .exited(exit, attempt: record.attempt) }
        if let process = try await findProcess(machine), try isAlive(process, machine) {
            return .running(RunningMachine(pid: process.pid, attempt: record.attempt))
        }
        // It may have ended this moment, with its watcher about to say how.
        let last: MachineExit?
        do {
            last =
                try await poll(for: Self.exitFilePatience, every: .milliseconds(3)) { () -> MachineExit?? in
                    if let exit = try readExit(machine) { return .some(exit) }
                    let isSeen = try findWatcher(machine) == nil || ProcessIdentity(file: folders.pidFile) != nil
                    return isSeen ? .some(nil) : nil
                } ?? nil
        } catch let error as RuntimeError { throw error } catch { throw cancelled(machine, "inspect") }
        return last.map { .exited($0, attempt: record.attempt) } ?? .remains
    }

    func readProcess(_ machine: MachineID) throws(SystemError) -> ProcessIdentity? {
        try Self.readNote(ProcessIdentity.self, from: folders(machine).processFile)
    }

    /// What a launch has written down; nil where it was cut off before it was through with that. A file that is there
    /// and cannot be read is an error: who took it for none would take a machine that runs for one that does not.
    private static func readNote<Value: Decodable>(_ type: Value.Type, from path: String) throws(SystemError) -> Value?
    {
        guard let bytes = try DurableFile.read(path, bytesMax: JSONFile.bytesMaxDefault) else { return nil }
        return try? JSONFile.decode(type, from: bytes)
    }

    private func isAlive(_ process: ProcessIdentity, _ machine: MachineID) throws(RuntimeError) -> Bool {
        try report("look at the process of", machine) { () throws(SystemError) in try process.isAlive }
    }

    public func began(_ machine: MachineID) async -> MachineBeginning {
        let group = cgroup(machine)
        return await BlockingCall.run {
            do throws(SystemError) {
                if let process = try readProcess(machine), try process.isAlive,
                    let moment = try ProcessStart.moment(of: process.pid)
                {
                    return .running(since: moment)
                }
                return try group.processes().isEmpty ? .nothing : .unknown
            } catch {
                logger.error(
                    "cannot see what runs of a machine", metadata: ["machine": "\(machine)", "error": "\(error)"])
                return .unknown
            }
        }
    }

    /// Process 1 of a launch that got as far as starting it. The runtime is asked where we were cut off between
    /// starting it and writing that down.
    private func findProcess(_ machine: MachineID) async throws(RuntimeError) -> ProcessIdentity? {
        let noted = try report("look for the process of", machine) { () throws(SystemError) in try readProcess(machine)
        }
        if let noted { return noted }
        let runtimeState = folders(machine).runtimeState
        let isThere = try report("look for the process of", machine) { () throws(SystemError) in
            try DurableFile.exists(runtimeState)
        }
        guard isThere else { return nil }
        struct State: Decodable {
            var status: String
            var pid: Int32
        }
        let output: Command.Output
        do { output = try await runtime(["state", machine.text]).outcome() } catch {
            // It was not heard: nobody knows.
            logger.error(
                "a program failed", metadata: ["machine": "\(machine)", "operation": "state", "error": "\(error)"])
            throw RuntimeError(
                code: .failed, operation: "look for the process of", subject: "machine \(machine)",
                cause: error.summary)
        }
        guard output.status == 0, let state = try? JSONFile.decode(State.self, from: output.standardOutput) else {
            return try noProcess(machine, output)
        }
        guard state.status == "running" else { return nil }
        let found = try report("look for the process of", machine) { () throws(SystemError) in
            try ProcessIdentity(pid: state.pid)
        }
        guard let process = found else { return nil }
        try note(process, at: folders(machine).processFile, machine)
        return process
    }

    /// The runtime does not say what runs: there may be no such container, or it was out of memory or descriptors. Its words
    /// for that are its own; whether anything runs is known by the machine's group.
    private func noProcess(_ machine: MachineID, _ output: Command.Output) throws(RuntimeError) -> ProcessIdentity? {
        let group = cgroup(machine)
        let processes = try report("look for the processes of", machine) { () throws(SystemError) in
            try group.processes()
        }
        guard !processes.isEmpty else { return nil }
        logger.error(
            "a program failed",
            metadata: [
                "machine": "\(machine)", "operation": "state", "status": "\(output.status)",
                "error": "\(output.standardError.prefix(500))",
            ])
        throw RuntimeError(
            code: .failed, operation: "look for the process of", subject: "machine \(machine)",
            cause: "it has processes, and its runtime does not say which is its first")
    }

    func running(_ machine: MachineID, _ operation: String) async throws(RuntimeError) -> ProcessIdentity {
        guard let process = try await findProcess(machine), try isAlive(process, machine) else {
            throw notRunning(machine, operation)
        }
        return process
    }

    /// The machine's conmon, if it lives.
    func watcher(_ machine: MachineID) throws(SystemError) -> ProcessIdentity? {
        guard let process = try ProcessIdentity(file: folders(machine).watcherPidFile) else { return nil }
        // The number may have been given to somebody else since.
        return try isWatcher(process.pid, of: machine) ? process : nil
    }

    private func findWatcher(_ machine: MachineID) throws(RuntimeError) -> ProcessIdentity? {
        try report("look for the watcher of", machine) { () throws(SystemError) in try watcher(machine) }
    }

    /// Every conmon of the machine. One that was cut off from us before it had written its number down is found by its
    /// arguments, among all processes: only a launch that came to nothing is looked at so.
    func watchers(_ machine: MachineID) throws(SystemError) -> [ProcessIdentity] {
        let folders = folders(machine)
        guard try DurableFile.exists(folders.run) else { return [] }
        if access(folders.watcherPidFile, F_OK) == 0 { return try watcher(machine).map { [$0] } ?? [] }
        var found: [ProcessIdentity] = []
        for name in try FolderListing.names(in: "/proc", mustExist: true) {
            guard let pid = Int32(name), try isWatcher(pid, of: machine) else { continue }
            if let process = try ProcessIdentity(pid: pid) { found.append(process) }
        }
        return found
    }

    private func isWatcher(_ pid: Int32, of machine: MachineID) throws(SystemError) -> Bool {
        guard let arguments = try Self.watcherArguments(of: pid) else { return false }
        return [machine.text, folders(machine).exits].allSatisfy { text in
            arguments.contains { $0.elementsEqual(text.utf8) }
        }
    }

    /// Far longer than a conmon's own, which are some paths.
    static let watcherArgumentsMax = 64 << 10

    /// What a process was started with. Nil: it has gone, or has more than any conmon. A process shows as its arguments
    /// what it likes of its memory, and it takes no right to do so (PR_SET_MM_MAP of prctl(2)): gigabytes of one machine
    /// are no reason to let a launch of another one lie.
    static func watcherArguments(
        of pid: Int32, in proc: String = "/proc"
    ) throws(SystemError) -> [ArraySlice<UInt8>]? {
        do {
            return try DurableFile.read("\(proc)/\(pid)/cmdline", bytesMax: watcherArgumentsMax)?.split(separator: 0)
        } catch {
            // It ended after the file was opened.
            guard error.code == ESRCH || error.code == EFBIG else { throw error }
            return nil
        }
    }

    /// conmon writes the exit code, or 128 and the signal, into a file named after the machine. By that number alone
    /// nobody can tell which of the two it is, so a signal is named only where something else says so too.
    private func readExit(_ machine: MachineID) throws(RuntimeError) -> MachineExit? {
        let folders = folders(machine)
        let bytes = try report("read the exit of", machine) { () throws(SystemError) in
            try DurableFile.read("\(folders.exits)/\(machine)")
        }
        guard let bytes, let code = Int32(String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }) else {
            return nil
        }
        let counted = cgroup(machine).outOfMemoryKills()
        let (isNoted, wasKilled) = try report("read the exit of", machine) { () throws(SystemError) in
            (try DurableFile.exists(folders.memoryMark), try DurableFile.exists(folders.killedMark))
        }
        let kills = isNoted ? max(counted, 1) : counted
        let isKilled = code == Self.codeKilled
        let oomKilled =
            isKilled && !wasKilled
            && MemoryKills.ended(
                kills: kills, outlived: Self.outlivedKills(folders.outlivedKills),
                sinceFirst: Self.timeSinceFirstKill(folders.memoryMark, exit: "\(folders.exits)/\(machine)"), killTimes)
        return MachineExit(
            code: code, signal: oomKilled || (isKilled && wasKilled) ? SIGKILL : nil, oomKilled: oomKilled,
            memoryKills: kills)
    }

    /// 128 and SIGKILL.
    static let codeKilled: Int32 = 137
}
