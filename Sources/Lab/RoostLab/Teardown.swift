import CLinux
import Glibc
import RoostLinux
import RoostModel
import RoostSettings

/// Removes what belongs to a lab, found by its name and not by what anybody wrote down: so it works after a crash
/// at any moment, and twice. System calls only; runs on a thread of its own and cannot be cancelled half way.
struct Teardown: Sendable {
    let paths: LabPaths

    static let processesGoneMax = Duration.seconds(15)
    static let reapedMax = Duration.seconds(3)
    private static let pollMicroseconds: UInt32 = 20_000

    /// Everything.
    func all() throws(LabError) {
        try processes(inGroup: paths.cgroup, namespaces: Set(namespaceNames))
        unmount(below: [paths.runFolder, paths.stateFolder])
        for name in namespaceNames { Self.removeNamespace(name) }
        detachLoops(below: paths.stateFolder)
        try removeGroup(paths.cgroup)
        leaveImages(in: HostSettings.Images().directory)
        for folder in [paths.runFolder, paths.stateFolder] {
            Folder.remove(folder)
            guard access(folder, F_OK) != 0 else {
                throw LabError(
                    .failed, "\(folder) could not be removed",
                    advice: "see what is mounted there with findmnt, then run roost lab down again")
            }
        }
        // What all labs share goes with the last one.
        for folder in [LabPaths.stateRoot, LabPaths.runRoot] { rmdir(folder) }
        ControlGroups.removeIfEmpty(LabPaths.cgroupRoot)
    }

    /// One host after its process 1 was killed: all but its disk.
    func host(_ host: String) throws(LabError) {
        try processes(inGroup: paths.cgroup(host), namespaces: [paths.namespaceName(host)])
        Self.removeNamespace(paths.namespaceName(host))
        detachLoops(below: paths.hostState(host))
        try removeGroup(paths.cgroup(host))
        Folder.remove(paths.hostRun(host))
    }

    /// The lab's hosts share the images of this computer, and each says there that it uses them, with its state folder
    /// after its name (`owners`). While one says so that is gone, nobody collects any.
    func leaveImages(in folder: String) {
        for name in Folder.names(in: folder + "/owners") {
            let path = "\(folder)/owners/\(name)"
            let words = Text.lines(of: path).first?.split(separator: " ", maxSplits: 1) ?? []
            guard words.count == 2, words[1].hasPrefix(paths.stateFolder + "/") else { continue }
            unlink(path)
        }
    }

    var isAnythingLeft: Bool {
        access(paths.stateFolder, F_OK) == 0 || access(paths.runFolder, F_OK) == 0 || !namespaceNames.isEmpty
    }

    private var namespaceNames: [String] {
        Folder.names(in: LabPaths.namespaceRoot).filter { $0.hasPrefix(paths.namespacePrefix) }
    }

    // MARK: - Processes

    /// Kills until nobody is left. What is frozen dies when it is thawed.
    private func processes(inGroup group: String, namespaces: Set<String>) throws(LabError) {
        guard let cgroups = try? ControlGroups.detect() else { return }
        let inodes = Set(
            namespaces.compactMap { ProcessTable.inode("\(LabPaths.namespaceRoot)/\($0)") })
        let end = BootClock.now() + Self.processesGoneMax
        var killed: Set<pid_t> = []
        while true {
            var left = Set(cgroups.processes(in: group))
            left.formUnion(ProcessTable().inside(inodes))
            left.remove(getpid())
            left = left.filter { !Self.isDead($0) }
            if left.isEmpty { return Self.waitUntilReaped(killed) }
            for process in left { kill(process, SIGKILL) }
            killed.formUnion(left)
            thaw(group, cgroups)
            guard BootClock.now() < end else {
                throw LabError(
                    .failed, "processes of the lab do not end: \(left.sorted())",
                    advice: "see what they wait for with ps, then try again")
            }
            usleep(Self.pollMicroseconds)
        }
    }

    /// A program that was being started while the others were killed may enter the group after the last look.
    private func removeGroup(_ group: String) throws(LabError) {
        let end = BootClock.now() + Self.processesGoneMax
        while !ControlGroups.remove(group) {
            guard BootClock.now() < end else {
                throw LabError(
                    .failed, "the control group \(group) could not be removed",
                    advice: "see who is in it (cgroup.procs below /sys/fs/cgroup), then run roost lab down again")
            }
            usleep(Self.pollMicroseconds)
            try processes(inGroup: group, namespaces: [])
        }
    }

    /// Whoever lists the processes right after must not find their last traces. Bounded: it is process 1 of this
    /// computer that has to ask for them.
    private static func waitUntilReaped(_ processes: Set<pid_t>) {
        let end = BootClock.now() + reapedMax
        while processes.contains(where: { kill($0, 0) == 0 }), BootClock.now() < end { usleep(pollMicroseconds) }
    }

    /// Dead, but its parent has not asked yet: nothing left to kill.
    private static func isDead(_ process: pid_t) -> Bool {
        let line = Text.lines(of: "/proc/\(process)/stat").first
        guard let line, let close = line.lastIndex(of: ")") else { return true }
        return line[line.index(after: close)...].split(separator: " ").first == "Z"
    }

    private func thaw(_ group: String, _ cgroups: ControlGroups) {
        try? cgroups.setFrozen(false, group)
        for child in Folder.names(in: cgroups.folder(of: group))
        where Folder.isFolder(cgroups.folder(of: group + "/" + child)) {
            thaw(group + "/" + child, cgroups)
        }
    }

    // MARK: - Mounts, namespaces, loop devices

    /// Mounts that leaked into this namespace, the inner ones first.
    private func unmount(below folders: [String]) {
        let points = Text.lines(of: "/proc/self/mountinfo").compactMap { line -> String? in
            let words = line.split(separator: " ")
            return words.count > 4 ? String(words[4]) : nil
        }
        for point in points.reversed() where folders.contains(where: { point.hasPrefix($0 + "/") }) {
            umount2(point, Int32(MNT_DETACH))
        }
    }

    private static func removeNamespace(_ name: String) {
        let path = "\(LabPaths.namespaceRoot)/\(name)"
        umount2(path, Int32(MNT_DETACH))
        unlink(path)
    }

    /// A loop device outlives the mount of its image; only a power loss ends both.
    private func detachLoops(below folder: String) {
        for device in Folder.names(in: "/sys/block") where device.hasPrefix("loop") {
            guard let file = Text.lines(of: "/sys/block/\(device)/loop/backing_file").first,
                file.hasPrefix(folder + "/")
            else { continue }
            let descriptor = open("/dev/\(device)", O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            _ = ioctl(descriptor, UInt(LOOP_CLR_FD), 0)
            close(descriptor)
        }
    }
}
