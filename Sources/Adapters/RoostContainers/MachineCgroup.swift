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

    static func hierarchies() throws(SystemError) -> [Hierarchy] { try hierarchies(in: MountTable.current()) }

    /// - Throws: when there is none: nobody could say then what runs of a machine, or end it.
    static func hierarchies(in table: MountTable) throws(SystemError) -> [Hierarchy] {
        let found = table.mounts.compactMap { mount -> Hierarchy? in
            switch mount.type {
            case "cgroup2": Hierarchy(point: mount.point, isUnified: true, controllers: [])
            case "cgroup":
                Hierarchy(
                    point: mount.point, isUnified: false,
                    controllers: Set(mount.options.split(separator: ",").map(String.init)))
            default: nil
            }
        }
        guard !found.isEmpty else { throw SystemError("find mounted", "control groups", code: ENOENT) }
        return found
    }

    /// Where it is, if it is there.
    private var folders: [String] { hierarchies.map { $0.point + path } }

    /// - Throws: when a part of it could not be looked at, and no other one is there.
    var isThere: Bool {
        get throws(SystemError) {
            var failure: SystemError?
            for folder in folders {
                do throws(SystemError) { if try DurableFile.exists(folder) { return true } } catch { failure = error }
            }
            if let failure { throw failure }
            return false
        }
    }

    /// Every process in it or below it, by this PID namespace's numbers.
    /// - Throws: when a part of it could not be seen: none is something else than none seen.
    func processes() throws(SystemError) -> Set<Int32> {
        let sight = look()
        if let failure = sight.failure { throw failure }
        return sight.processes
    }

    private static let depthMax = 8

    private struct Sight {
        var processes: Set<Int32> = []
        /// Of what could not be seen, the first.
        var failure: SystemError?
    }

    private func look() -> Sight {
        var sight = Sight()
        for hierarchy in hierarchies { Self.look(at: hierarchy.point + path, depth: 0, into: &sight) }
        return sight
    }

    private static func look(at folder: String, depth: Int, into sight: inout Sight) {
        do throws(SystemError) {
            let bytes = try DurableFile.read(folder + "/cgroup.procs") ?? []
            // Processes of other PID namespaces read as 0.
            sight.processes.formUnion(
                String(decoding: bytes, as: UTF8.self).split(separator: "\n").compactMap { Int32($0) }.filter { $0 > 0 }
            )
        } catch {
            switch error.code {
            // It was removed meanwhile.
            case ENOENT, ENODEV: return
            // A threaded group (cgroup-v2.rst): its processes are listed in the group above that is their domain.
            case EOPNOTSUPP where depth > 0: break
            default: sight.failure = sight.failure ?? error
            }
        }
        do throws(SystemError) {
            let below = try subfolders(folder)
            guard depth < depthMax || below.isEmpty else {
                throw SystemError("look into", folder, code: ENAMETOOLONG)
            }
            for child in below { look(at: child, depth: depth + 1, into: &sight) }
        } catch {
            guard error.code != ENOENT, error.code != ENODEV else { return }
            sight.failure = sight.failure ?? error
        }
    }

    private static func subfolders(_ folder: String) throws(SystemError) -> [String] {
        var found: [String] = []
        for path in try FolderListing.names(in: folder).map({ folder + "/" + $0 }) {
            var file = stat()
            guard lstat(path, &file) == 0 else {
                // It was removed meanwhile.
                guard errno == ENOENT || errno == ENODEV else { throw SystemError("look at", path) }
                continue
            }
            if file.st_mode & S_IFMT == S_IFDIR { found.append(path) }
        }
        return found
    }

    /// One round of SIGKILL to all there are.
    /// - Returns: whether there was anybody.
    /// - Throws: when a part of it could not be seen, after all others had their signal.
    func killRound() throws(SystemError) -> Bool {
        for hierarchy in hierarchies where hierarchy.isUnified {
            // One write for all of them, new ones included (cgroup v2, Linux 5.14).
            let file = open(hierarchy.point + path + "/cgroup.kill", O_WRONLY | O_CLOEXEC)
            guard file >= 0 else { continue }
            write(file, "1", 1)
            close(file)
        }
        let sight = look()
        for process in sight.processes { kill(process, SIGKILL) }
        if let failure = sight.failure { throw failure }
        return !sight.processes.isEmpty
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
            let below: [String]
            do throws(SystemError) { below = try subfolders(folder) } catch { return error }
            for child in below { if let error = removeTree(child, depth: depth + 1) { return error } }
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
