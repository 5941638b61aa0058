import Glibc
import RoostLinux
import RoostModel

/// A control group for one process, in every hierarchy that bounds memory or processes (cgroup v1 or v2): folders of our
/// own below the configured parent.
struct ProgramCgroup: Sendable {
    private let folders: [String]

    /// Below `parent`, found or made, with its bounds; holds nobody yet.
    init(_ name: String, below parent: String, memoryMax: ByteCount, processesMax: Int) throws(SystemError) {
        var folders: [String] = []
        var isMemoryBound = false
        for mount in try MountTable.current().mounts {
            let isUnified = mount.type == "cgroup2"
            let controllers = Set(mount.options.split(separator: ","))
            let hasMemory = isUnified || controllers.contains("memory")
            let hasProcesses = isUnified || controllers.contains("pids")
            guard isUnified || mount.type == "cgroup", hasMemory || hasProcesses else { continue }
            let folder = mount.point + parent + "/" + name
            if isUnified { Self.handOn(from: mount.point, to: parent) }
            try DurableFile.makeFolder(folder)
            folders.append(folder)
            if hasProcesses { _ = Self.set("pids.max", "\(processesMax)", in: folder) }
            if hasMemory, Self.set(isUnified ? "memory.max" : "memory.limit_in_bytes", "\(memoryMax.bytes)", in: folder)
            {
                isMemoryBound = true
            }
        }
        self.folders = folders
        guard isMemoryBound else { throw SystemError("bound the memory of", name, code: ENOTSUP) }
    }

    /// Version 2 bounds in a group what the groups above it hand on.
    private static func handOn(from point: String, to parent: String) {
        var folder = point
        _ = set("cgroup.subtree_control", "+memory +pids", in: folder)
        for part in parent.split(separator: "/") {
            folder += "/" + part
            _ = set("cgroup.subtree_control", "+memory +pids", in: folder)
        }
    }

    func add(_ process: pid_t) throws(SystemError) {
        for folder in folders where !Self.set("cgroup.procs", "\(process)", in: folder) {
            throw SystemError("put process \(process) into", folder)
        }
    }

    private static func set(_ file: String, _ text: String, in folder: String) -> Bool {
        let opened = open(folder + "/" + file, O_WRONLY | O_CLOEXEC)
        guard opened >= 0 else { return false }
        defer { close(opened) }
        return write(opened, text, text.utf8.count) == text.utf8.count
    }

    /// Removes the groups of that name in which nobody is.
    static func remove(_ name: String, below parent: String) {
        for mount in (try? MountTable.current().mounts) ?? [] where mount.type.hasPrefix("cgroup") {
            rmdir(mount.point + parent + "/" + name)
        }
    }
}
