import Glibc
import RoostLinux

/// A process of Postgres, as /proc shows it.
struct PostgresProcess: Hashable, Sendable {
    var pid: pid_t
    /// Its title, for example `postgres: shop-m1: walreceiver streaming 0/3000148`.
    var title: String
}

/// Finds the processes of one Postgres by what every user may read, their command lines: processes outlive the
/// postmaster that started them, and belong to nobody's children then.
struct PostgresProcesses: Sendable {
    /// The cluster name in the processes' titles.
    let name: String
    /// The data folder, which is on the postmaster's command line (and a child's, until it has a title).
    let data: String

    func all() -> [PostgresProcess] { Self.find(isOurs) }

    /// Programs that copy into this volume, and their children.
    static func copies(into layout: PostgresLayout) -> [PostgresProcess] {
        find { title in
            let words = title.split(separator: " ")
            let name = words.first.flatMap { $0.split(separator: "/").last } ?? ""
            let targets = ["--pgdata=\(layout.unfinished)", "--target-pgdata=\(layout.data)"]
            let isCopy = ["pg_basebackup", "pg_rewind", "initdb"].contains { $0 == name }
            let isSingle = name == "postgres" && words.contains("--single")
            return (isCopy && words.contains { targets.contains(String($0)) })
                || (isSingle && words.contains { $0 == layout.unfinished || $0 == layout.data })
        }
    }

    private static func find(_ isWanted: (String) -> Bool) -> [PostgresProcess] {
        guard let folder = opendir("/proc") else { return [] }
        defer { closedir(folder) }
        var found: [PostgresProcess] = []
        while let entry = readdir(folder) {
            let text = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let pid = pid_t(text), let title = title(of: pid), isWanted(title) else { continue }
            found.append(PostgresProcess(pid: pid, title: title))
        }
        return found
    }

    /// Processes of a kind, `walreceiver` or `startup`.
    func all(_ kind: String) -> [PostgresProcess] {
        all().filter { $0.title.hasPrefix("postgres: \(name): \(kind)") }
    }

    private func isOurs(_ title: String) -> Bool {
        if title.hasPrefix("postgres: \(name): ") { return true }
        let words = title.split(separator: " ")
        return words.first.map { $0.hasSuffix("/postgres") } == true && words.contains { $0 == data }
    }

    /// The command line, its parts joined by blanks; nil when there is none (gone, or dead and not yet reaped).
    private static func title(of pid: pid_t) -> String? {
        let file = open("/proc/\(pid)/cmdline", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 1024)
        let count = read(file, &bytes, bytes.count)
        guard count > 0 else { return nil }
        let text = bytes[..<count].split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        return text.joined(separator: " ")
    }
}
