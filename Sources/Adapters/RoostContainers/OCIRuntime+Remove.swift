import CLinux
import Glibc
import Logging
import RoostLinux
public import RoostModel
public import RoostRuntime

extension OCIRuntime {
    public func remove(_ machine: MachineID) async throws(RuntimeError) {
        try await holdingLock(of: machine, "remove") { (lock) throws(RuntimeError) in
            try await takeApart(machine, lock)
            unlink(folders(machine).lock)
        }
    }

    /// Every step looks first and can be repeated; the launch's record goes last, so that a removal that was cut off
    /// is seen and taken up again. What this process has begun is over then: a removal that went on could take a new
    /// launch's files.
    func takeApart(_ machine: MachineID, _ lock: FileLock) async throws(RuntimeError) {
        let folders = folders(machine)
        try await kill(machine)
        try await endWatchers(machine)
        if try exists(folders.runtimeState, "remove", machine) {
            // It refuses where its own state is half made; the folder goes all the same.
            let outcome = try? await runtime(["delete", machine.text]).bound(to: lock).outcome()
            if outcome?.status != 0 {
                _ = try? await runtime(["delete", "--force", machine.text]).bound(to: lock).outcome()
            }
        }
        let group = cgroup(machine)
        do { try await group.remove() } catch {
            logger.error("a control group stays", metadata: ["machine": "\(machine)", "error": "\(error)"])
            throw RuntimeError(
                code: .failed, operation: "remove", subject: "machine \(machine)",
                cause: "its control group: \(String(cString: strerror(error.code)))")
        }
        try await unmountRoot(machine)
        // In this order: the record is in the last of them.
        var places: [String] = []
        for place in [folders.runtimeState, folders.run, folders.upper, folders.work, folders.state] {
            if try exists(place, "remove", machine) { places.append(place) }
        }
        guard !places.isEmpty else { return }
        try await command("remove", machine, Command("rm", ["-rf", "--one-file-system"] + places).bound(to: lock))
    }

    private func exists(_ path: String, _ operation: String, _ machine: MachineID) throws(RuntimeError) -> Bool {
        try report(operation, machine) { () throws(SystemError) in try DurableFile.exists(path) }
    }

    /// With the runtime that it may still wait for: both are in a process group of the watcher's own.
    private func endWatchers(_ machine: MachineID) async throws(RuntimeError) {
        let watchers = try await onDisk("end the watcher of", machine) { () throws(SystemError) in
            try self.watchers(machine)
        }
        guard !watchers.isEmpty else { return }
        // With the machine gone it ends by itself, after it has written the last of the log.
        let patience = Duration.seconds(2)
        let ended = try? await poll(for: patience, every: .milliseconds(3)) {
            try watchers.contains { try $0.isAlive } ? nil : true
        }
        if ended != true {
            for watcher in watchers {
                _ = try report("end the watcher of", machine) { () throws(SystemError) in
                    if try watcher.isAlive, getpgid(watcher.pid) == watcher.pid {
                        _ = Glibc.kill(-watcher.pid, SIGKILL)
                    }
                    return try watcher.signal(SIGKILL)
                }
            }
            _ = try? await poll(for: patience, every: .milliseconds(10)) {
                try watchers.contains { try $0.isAlive } ? nil : true
            }
        }
        // What the runtime has begun meanwhile.
        try await kill(machine)
    }

    /// Asks no table of mounts, which has some of every machine: the kernel says when nothing is left (umount(2)).
    private func unmountRoot(_ machine: MachineID) async throws(RuntimeError) {
        let point = folders(machine).root
        for _ in 0..<Self.rootMountsMax {
            let code = await BlockingCall.run { umount2(point, Int32(MNT_DETACH)) == 0 ? 0 : errno }
            // EINVAL: nothing is mounted there.
            if code == EINVAL || code == ENOENT { return }
            guard code == 0 else {
                throw RuntimeError(
                    code: .failed, operation: "remove", subject: "machine \(machine)",
                    cause: "its root cannot be unmounted: \(String(cString: strerror(code)))")
            }
        }
    }

    /// Launches that were cut off may have mounted one above the other.
    private static let rootMountsMax = 8
}
