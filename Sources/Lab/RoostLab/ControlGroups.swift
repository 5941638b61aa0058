import Glibc
import RoostLinux

/// The cgroups of a lab: where all its processes are found, and what freezes a host.
struct ControlGroups: Sendable {
    enum Version: Sendable {
        /// The freezer hierarchy of version 1, also beside a version 2 (hybrid).
        case freezer
        /// Version 2 alone. Processes are kept in a leaf: an inner group with processes cannot hand on controllers.
        case unified
    }

    static let root = "/sys/fs/cgroup"
    private static let leaf = "host"

    let version: Version

    static func detect() throws(LabError) -> ControlGroups {
        if access(root + "/freezer/cgroup.procs", F_OK) == 0 { return ControlGroups(version: .freezer) }
        if access(root + "/cgroup.procs", F_OK) == 0 { return ControlGroups(version: .unified) }
        throw LabError(.failed, "this computer has no cgroups at \(root)", advice: "mount them, or use another kernel")
    }

    func folder(of group: String) -> String {
        switch version {
        case .freezer: Self.root + "/freezer" + group
        case .unified: Self.root + group
        }
    }

    func processFile(of group: String) -> String {
        switch version {
        case .freezer: folder(of: group) + "/cgroup.procs"
        case .unified: folder(of: group) + "/" + Self.leaf + "/cgroup.procs"
        }
    }

    func make(_ group: String) throws(SystemError) {
        switch version {
        case .freezer: try DurableFile.makeFolder(folder(of: group))
        case .unified: try DurableFile.makeFolder(folder(of: group) + "/" + Self.leaf)
        }
    }

    // MARK: - Processes

    /// Every process of the group and the groups below it.
    func processes(in group: String) -> [pid_t] { Self.processes(under: folder(of: group)) }

    private static func processes(under folder: String) -> [pid_t] {
        var found = Text.lines(of: folder + "/cgroup.procs").compactMap { pid_t($0) }.filter { $0 > 0 }
        for child in Folder.names(in: folder) where Folder.isFolder(folder + "/" + child) {
            found += processes(under: folder + "/" + child)
        }
        return found
    }

    // MARK: - Freezing

    /// Whether the group, and with it every group below, is wholly frozen.
    func isFrozen(_ group: String) -> Bool {
        switch version {
        case .freezer:
            Text.lines(of: folder(of: group) + "/freezer.state").first == "FROZEN"
        case .unified:
            Text.lines(of: folder(of: group) + "/cgroup.events").contains("frozen 1")
        }
    }

    func setFrozen(_ frozen: Bool, _ group: String) throws(SystemError) {
        switch version {
        case .freezer: try Text.write(frozen ? "FROZEN" : "THAWED", to: folder(of: group) + "/freezer.state")
        case .unified: try Text.write(frozen ? "1" : "0", to: folder(of: group) + "/cgroup.freeze")
        }
    }

    // MARK: - Removal

    /// Removes the group in every hierarchy, with what is below it.
    ///
    /// - Returns: false when a process is still in it, perhaps one that has ended and that nobody has asked for yet.
    static func remove(_ group: String) -> Bool {
        for hierarchy in hierarchies where Folder.isFolder(hierarchy + group) { removeTree(hierarchy + group) }
        return !hierarchies.contains { Folder.isFolder($0 + group) }
    }

    static func removeIfEmpty(_ group: String) {
        for hierarchy in hierarchies { rmdir(hierarchy + group) }
    }

    private static var hierarchies: [String] { [root] + Folder.names(in: root).map { root + "/" + $0 } }

    private static func removeTree(_ folder: String) {
        for child in Folder.names(in: folder) where Folder.isFolder(folder + "/" + child) {
            removeTree(folder + "/" + child)
        }
        rmdir(folder)
    }
}
