import Glibc
import RoostLinux
import RoostModel

/// Finds the processes of one Postgres by what the kernel says of them, which no client can write: whose child a process
/// is, whose user it runs as, what program it is, where it stands. Titles are no evidence: Postgres cuts them, and a
/// session's title begins with the name of its user.
///
/// Postgres's processes are children of the postmaster. When that has died they are children of process 1, or of the
/// nearest ancestor that adopts (Linux, prctl(2), PR_SET_CHILD_SUBREAPER), and still the same program.
struct PostgresProcesses: Sendable {
    /// Postgres's user.
    let owner: uid_t
    /// The data folder as this process sees it. Every process of Postgres stands in it (miscinit.c, ChangeToDataDir).
    let data: String
    /// The postmaster that runs now, a child of this process.
    let postmaster: pid_t?

    /// The first 15 bytes of the name of the file that runs (proc_pid_comm(5)); a fork keeps it.
    private static let program = "postgres"

    /// - Throws: when one could not be seen: where nobody is left, something that must have ended has.
    func all() throws(SystemError) -> [pid_t] {
        let sight = look()
        if let failure = sight.failure { throw failure }
        return sight.processes
    }

    /// Those that can be seen.
    func seen() -> [pid_t] { look().processes }

    private struct Sight {
        var processes: [pid_t] = []
        /// Of what could not be seen, the first.
        var failure: SystemError?
    }

    private func look() -> Sight {
        var sight = Sight()
        let adopters: Set<pid_t>
        let numbers: [pid_t]
        do throws(SystemError) {
            adopters = try Self.adopters()
            numbers = try Self.numbers()
        } catch {
            sight.failure = error
            return sight
        }
        let folder = realPath(data)
        for pid in numbers {
            do throws(SystemError) {
                guard let process = try ProcessFacts(pid), !process.isDead else { continue }
                if isOurs(pid, process, adopters, folder) { sight.processes.append(pid) }
            } catch {
                sight.failure = sight.failure ?? error
            }
        }
        return sight
    }

    private func isOurs(_ pid: pid_t, _ process: ProcessFacts, _ adopters: Set<pid_t>, _ folder: String) -> Bool {
        if let postmaster, pid == postmaster || process.parent == postmaster { return true }
        guard process.program == Self.program, adopters.contains(process.parent), process.owner == owner else {
            return false
        }
        // May be hidden from this process; then the rest must do, as in a machine, where there is one Postgres.
        guard let place = Self.place(of: pid) else { return true }
        return place == folder || place == folder + " (deleted)"
    }

    /// The running Postgres on its way up. By their titles, of which a session's begins with the name of its user, as clients
    /// choose it: of those that look alike the one that began first.
    func start() -> StartLook? {
        guard let postmaster, let effort = try? ProcessEffort(postmaster), let numbers = try? Self.numbers() else {
            return nil
        }
        var look = StartLook(postmaster: .init(pid: postmaster, effort: effort))
        for pid in numbers {
            guard let facts = try? ProcessFacts(pid), facts.parent == postmaster, !facts.isDead,
                let words = try? Self.commandLine(of: pid), words.first == "postgres:"
            else { continue }
            // `postgres: m1: startup recovering …`, with the name of the cluster (ps_status.c, init_ps_display).
            let title = words.drop { $0.hasSuffix(":") }
            guard let kind = title.first, StartLook.kinds.contains(kind), let effort = try? ProcessEffort(pid) else {
                continue
            }
            look.see(kind, .init(pid: pid, effort: effort), at: title.dropFirst().joined(separator: " "))
        }
        return look
    }

    /// Children that may be of somebody who logs in as `role`, or has done so, from elsewhere than these addresses and the local
    /// socket.
    func logins(of role: String, butFrom addresses: [IPv6Address]) -> Set<pid_t> {
        guard let postmaster else { return [] }
        return Set(
            seen().filter { pid in
                guard pid != postmaster, let words = try? Self.commandLine(of: pid) else { return false }
                return Self.isLogin(words, of: role, butFrom: addresses)
            })
    }

    /// `postgres: m1: walsender roost_replicator postgres fdaa::9(41234) authentication`: the title is there before a password is
    /// asked for, and until then it is the postmaster's (backend_startup.c, BackendInitialize). What the client chooses, its
    /// user and its database, comes before where it is from.
    static func isLogin(_ words: [Substring], of role: String, butFrom addresses: [IPv6Address]) -> Bool {
        guard words.first == "postgres:" else { return true }
        guard words.contains(where: { $0 == role }) else { return false }
        guard let origin = words.last(where: { $0 == "[local]" || $0.hasSuffix(")") && $0.contains("(") }) else {
            return true
        }
        if origin == "[local]" { return false }
        guard let address = try? IPv6Address(String(origin.prefix { $0 != "(" })) else { return true }
        return !addresses.contains(address)
    }

    /// Programs that copy into this volume, and their children.
    static func copies(into layout: PostgresLayout) throws(SystemError) -> [pid_t] {
        var found: [pid_t] = []
        for pid in try numbers() where isCopy(try commandLine(of: pid), into: layout) { found.append(pid) }
        return found
    }

    private static func isCopy(_ words: [Substring], into layout: PostgresLayout) -> Bool {
        let name = words.first.flatMap { $0.split(separator: "/").last } ?? ""
        let targets = ["--pgdata=\(layout.unfinished)", "--target-pgdata=\(layout.data)"]
        let isCopy = ["pg_basebackup", "pg_rewind", "initdb"].contains { $0 == name }
        let isSingle = name == "postgres" && words.contains("--single")
        return (isCopy && words.contains { targets.contains(String($0)) })
            || (isSingle && words.contains { $0 == layout.unfinished || $0 == layout.data })
    }

    /// Who may have adopted the children of a postmaster that died: this process, those above it, process 1.
    private static func adopters() throws(SystemError) -> Set<pid_t> {
        var found: Set<pid_t> = [1]
        var next = getpid()
        while next > 1, found.insert(next).inserted, let facts = try ProcessFacts(next) { next = facts.parent }
        return found
    }

    private static func numbers() throws(SystemError) -> [pid_t] {
        try FolderListing.names(in: "/proc", mustExist: true).compactMap { pid_t($0) }
    }

    /// Where the process stands; nil when that is not told.
    private static func place(of pid: pid_t) -> String? {
        var path = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let count = readlink("/proc/\(pid)/cwd", &path, path.count)
        return count > 0 ? String(decoding: path[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
    }

    private static func commandLine(of pid: pid_t) throws(SystemError) -> [Substring] {
        guard let bytes = try ProcessFacts.read("/proc/\(pid)/cmdline", bytesMax: 8 << 20) else { return [] }
        return bytes.split(separator: 0).flatMap { String(decoding: $0, as: UTF8.self).split(separator: " ") }
    }

    private func realPath(_ path: String) -> String {
        guard let found = realpath(path, nil) else { return path }
        defer { free(found) }
        return String(cString: found)
    }
}

/// What /proc tells everybody of a process (proc_pid_stat(5), proc_pid_status(5)).
struct ProcessFacts: Hashable, Sendable {
    var program: String
    var state: Character
    var parent: pid_t
    var owner: uid_t

    /// Ended; only its number is left.
    var isDead: Bool { state == "Z" || state == "X" }

    /// Nil when there is no such process.
    ///
    /// - Throws: also when it cannot be made out what the kernel says of it: there is one.
    init?(_ pid: pid_t, in folder: String = "/proc") throws(SystemError) {
        let path = "\(folder)/\(pid)/status"
        guard let status = try Self.read(path, bytesMax: 1 << 16) else { return nil }
        guard let facts = Self(status: String(decoding: status, as: UTF8.self)) else {
            throw SystemError("understand", path, code: EBADMSG)
        }
        self = facts
    }

    /// Nil: the process is gone, perhaps since the file was opened (ESRCH).
    static func read(_ path: String, bytesMax: Int) throws(SystemError) -> [UInt8]? {
        do { return try DurableFile.read(path, bytesMax: bytesMax) } catch {
            guard error.code == ESRCH else { throw error }
            return nil
        }
    }

    init?(status: String) {
        var fields: [Substring: Substring] = [:]
        for line in status.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[line[..<colon]] = line[line.index(after: colon)...].drop { $0 == "\t" || $0 == " " }
        }
        guard let name = fields["Name"], let state = fields["State"]?.first,
            let parent = fields["PPid"].flatMap({ pid_t($0) }),
            let owner = fields["Uid"]?.split(separator: "\t").dropFirst().first.flatMap({ uid_t($0) })
        else { return nil }
        (program, self.state, self.parent, self.owner) = (String(name), state, parent, owner)
    }
}
