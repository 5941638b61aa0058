import CLinux
import Glibc
import RoostLinux

/// The processes of this computer as /proc shows them at one moment.
struct ProcessTable: Sendable {
    struct Entry: Sendable {
        var id: pid_t
        var parent: pid_t
        /// As the kernel has it, at most 15 bytes.
        var name: String
        /// `T` when it was stopped by a signal, `Z` when it is dead and nobody has asked.
        var state: Character
    }

    let entries: [Entry]

    init() {
        entries = Folder.names(in: "/proc").compactMap { pid_t($0) }.compactMap(Self.entry)
    }

    /// `pid (name) state ppid …`; the name may hold anything.
    private static func entry(_ id: pid_t) -> Entry? {
        guard let line = Text.lines(of: "/proc/\(id)/stat").first, let open = line.firstIndex(of: "("),
            let close = line.lastIndex(of: ")")
        else { return nil }
        let rest = line[line.index(after: close)...].split(separator: " ")
        guard rest.count > 1, let state = rest[0].first, let parent = pid_t(rest[1]) else { return nil }
        return Entry(id: id, parent: parent, name: String(line[line.index(after: open)..<close]), state: state)
    }

    func children(of parent: pid_t) -> [Entry] { entries.filter { $0.parent == parent } }

    /// The process and all that came from it.
    func family(of root: pid_t) -> [Entry] {
        let byParent = Dictionary(grouping: entries, by: \.parent)
        var found = entries.filter { $0.id == root }
        var next = 0
        while next < found.count {
            found += byParent[found[next].id, default: []].filter { $0.id != found[next].id }
            next += 1
        }
        return found
    }

    /// Everything in one of the network namespaces.
    func inside(_ namespaces: Set<ino_t>) -> [pid_t] {
        entries.map(\.id).filter { id in
            guard let inode = Self.inode("/proc/\(id)/ns/net") else { return false }
            return namespaces.contains(inode)
        }
    }

    static func inode(_ path: String) -> ino_t? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_ino : nil
    }

    /// The numbers a process has, one for each PID namespace it is in, from the outermost.
    static func namespacedIDs(of id: pid_t) -> [Int] {
        // As bytes: it is asked for every process of every host that boots, again and again.
        let bytes = (try? DurableFile.read("/proc/\(id)/status")) ?? nil
        let lines = bytes?.split(separator: UInt8(ascii: "\n")) ?? []
        guard let line = lines.first(where: { $0.starts(with: "NSpid:".utf8) }) else { return [] }
        return line.dropFirst("NSpid:".utf8.count).split(separator: UInt8(ascii: "\t")).compactMap {
            Int(String(decoding: $0, as: UTF8.self))
        }
    }
}
