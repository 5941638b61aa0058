import CLinux
import Glibc
import RoostLinux

/// A machine's control group, in every hierarchy of this computer (cgroup v1, v2, or both side by side). No systemd
/// is asked: the groups are folders of our own below the configured parent.
struct MachineCgroup: Sendable {
    /// `/parent/<machine>`, the same in all hierarchies.
    let path: String
    let hierarchies: [Hierarchy]

    struct Hierarchy: Hashable, Sendable {
        var point: String
        var isUnified: Bool
        /// v1: `memory`, `cpu` …
        var controllers: Set<String>
    }

    /// A group with new processes faster than they can be killed is beyond us.
    static let killRoundsMax = 50
    static let removeTriesMax = 100

    static func hierarchies() throws(SystemError) -> [Hierarchy] {
        try MountTable.current().mounts.compactMap { mount in
            switch mount.type {
            case "cgroup2": Hierarchy(point: mount.point, isUnified: true, controllers: [])
            case "cgroup":
                Hierarchy(
                    point: mount.point, isUnified: false,
                    controllers: Set(mount.options.split(separator: ",").map(String.init)))
            default: nil
            }
        }
    }

    var folders: [String] { hierarchies.map { $0.point + path }.filter { access($0, F_OK) == 0 } }

    /// Every process in it or below it, by this PID namespace's numbers.
    func processes() -> Set<Int32> {
        var all: Set<Int32> = []
        for folder in folders { Self.collect(folder, depth: 0, into: &all) }
        return all
    }

    private static let depthMax = 8

    private static func collect(_ folder: String, depth: Int, into all: inout Set<Int32>) {
        if let bytes = try? DurableFile.read(folder + "/cgroup.procs") {
            // Processes of other PID namespaces read as 0.
            all.formUnion(
                String(decoding: bytes, as: UTF8.self).split(separator: "\n").compactMap { Int32($0) }.filter { $0 > 0 }
            )
        }
        guard depth < depthMax else { return }
        for child in subfolders(folder) { collect(child, depth: depth + 1, into: &all) }
    }

    private static func subfolders(_ folder: String) -> [String] {
        ((try? FolderListing.names(in: folder)) ?? []).map { folder + "/" + $0 }.filter { path in
            var file = stat()
            return lstat(path, &file) == 0 && file.st_mode & S_IFMT == S_IFDIR
        }
    }

    /// One round of SIGKILL to all there are.
    /// - Returns: whether there was anybody.
    func killRound() -> Bool {
        for hierarchy in hierarchies where hierarchy.isUnified {
            // One write for all of them, new ones included (cgroup v2, Linux 5.14).
            let file = open(hierarchy.point + path + "/cgroup.kill", O_WRONLY | O_CLOEXEC)
            guard file >= 0 else { continue }
            write(file, "1", 1)
            close(file)
        }
        let processes = processes()
        for process in processes { kill(process, SIGKILL) }
        return !processes.isEmpty
    }

    /// Removes the group and what is below it; fails while processes are in it.
    func remove() async throws(SystemError) {
        for _ in 0..<Self.removeTriesMax {
            let failed = await BlockingCall.run { () -> SystemError? in
                var failed: SystemError?
                for folder in folders { if let error = Self.removeTree(folder, depth: 0) { failed = error } }
                return failed
            }
            guard let failed else { return }
            guard failed.code == EBUSY else { throw failed }
            do { try await Task.sleep(for: .milliseconds(20)) } catch { throw failed }
        }
        throw SystemError("remove the control group", path, code: EBUSY)
    }

    private static func removeTree(_ folder: String, depth: Int) -> SystemError? {
        if depth < depthMax {
            for child in subfolders(folder) { if let error = removeTree(child, depth: depth + 1) { return error } }
        }
        return rmdir(folder) == 0 || errno == ENOENT ? nil : SystemError("remove the control group", folder)
    }

    /// How many processes it has, and how many it may have; nil where the kernel does not limit them.
    func processCount() -> (count: Int, limit: Int)? {
        for hierarchy in hierarchies where hierarchy.isUnified || hierarchy.controllers.contains("pids") {
            let numbers = ["pids.current", "pids.max"].map { name -> Int? in
                guard let bytes = try? DurableFile.read(hierarchy.point + path + "/" + name) else { return nil }
                return Int(String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace })
            }
            if let count = numbers[0], let limit = numbers[1] { return (count, limit) }
        }
        return nil
    }

    /// How many of its processes the kernel has killed for want of memory.
    func outOfMemoryKills() -> Int {
        for hierarchy in hierarchies {
            let name = hierarchy.isUnified ? "memory.events" : "memory.oom_control"
            guard hierarchy.isUnified || hierarchy.controllers.contains("memory"),
                let bytes = try? DurableFile.read(hierarchy.point + path + "/" + name)
            else { continue }
            for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
                let words = line.split(separator: " ")
                if words.count == 2, words[0] == "oom_kill", let count = Int(words[1]) { return count }
            }
        }
        return 0
    }

    /// Whether swap can be limited: always in v2, in v1 only with swap accounting.
    static func limitsSwap(_ hierarchies: [Hierarchy]) -> Bool {
        guard let memory = hierarchies.first(where: { $0.controllers.contains("memory") }) else {
            guard let unified = hierarchies.first(where: \.isUnified),
                let bytes = try? DurableFile.read(unified.point + "/cgroup.controllers")
            else { return false }
            return String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace).contains("memory")
        }
        return access(memory.point + "/memory.memsw.limit_in_bytes", F_OK) == 0
    }
}
