import Glibc
import RoostLinux

/// The control group above all machines of a host, and its share of the processors and the disk beside the host's own
/// work: `roostd`, etcd, sshd. Where both want everything, the host gets two thirds: an fsync of etcd does not wait for
/// what machines write, and leases are renewed whatever they compute. Where the host wants nothing, machines get all.
struct MachineSlice: Sendable {
    /// One group of a kernel with nothing set has 100 (cgroup v2), or what is the same in version 1.
    private static let share = 50

    /// A file of the group, and what is written to it.
    struct Weight: Hashable, Sendable {
        var file: String
        var text: String
    }

    /// cgroup-v2.rst: `cpu.weight` 1 to 10000, `io.weight` likewise (where iocost or BFQ works), both 100 by default.
    /// cgroup-v1: `cpu.shares` 1024; `blkio.weight` 500 (CFQ, gone since Linux 5.0) or `blkio.bfq.weight` 100.
    static func weights(isUnified: Bool, controllers: Set<String>) -> [Weight] {
        if isUnified {
            return [
                Weight(file: "cpu.weight", text: "\(share)"), Weight(file: "io.weight", text: "default \(share)"),
                Weight(file: "io.bfq.weight", text: "\(share)"),
            ]
        }
        var weights: [Weight] = []
        if controllers.contains("cpu") { weights.append(Weight(file: "cpu.shares", text: "\(1024 * share / 100)")) }
        if controllers.contains("blkio") {
            weights.append(Weight(file: "blkio.bfq.weight", text: "\(share)"))
            weights.append(Weight(file: "blkio.weight", text: "\(500 * share / 100)"))
        }
        return weights
    }

    /// Makes the group where it is not there, and gives it its share. A kernel need not know every file, and the group
    /// above may hold a controller back.
    ///
    /// - Returns: the files that took their weight.
    static func prepare(_ parent: String, in hierarchies: [MachineCgroup.Hierarchy]) throws(SystemError) -> [String] {
        var taken: [String] = []
        for hierarchy in hierarchies {
            let weights = weights(isUnified: hierarchy.isUnified, controllers: hierarchy.controllers)
            guard !weights.isEmpty else { continue }
            let folder = hierarchy.point + parent
            let shared = hierarchy.isUnified ? sharedOut(at: hierarchy.point) : []
            // A version 2 without controllers (beside version 1) shares nothing out.
            if hierarchy.isUnified, shared.isEmpty { continue }
            // All of the way down, before a group on it can hand anything on.
            try DurableFile.makeFolder(folder)
            handOn(shared, from: hierarchy.point, to: parent)
            for weight in weights where write(weight.text, to: "\(folder)/\(weight.file)") { taken.append(weight.file) }
        }
        return taken
    }

    private static func sharedOut(at point: String) -> [String] {
        guard let bytes = try? DurableFile.read(point + "/cgroup.controllers") else { return [] }
        let there = Set(String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace))
        return ["cpu", "io"].filter { there.contains(Substring($0)) }
    }

    /// Version 2 shares out in a group what the groups above it hand on.
    private static func handOn(_ controllers: [String], from point: String, to parent: String) {
        var folder = point
        for part in [""] + parent.split(separator: "/").dropLast().map(String.init) {
            if !part.isEmpty { folder += "/" + part }
            for controller in controllers { _ = write("+\(controller)", to: folder + "/cgroup.subtree_control") }
        }
    }

    private static func write(_ text: String, to path: String) -> Bool {
        let file = open(path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        return Glibc.write(file, text, text.utf8.count) == text.utf8.count
    }
}
