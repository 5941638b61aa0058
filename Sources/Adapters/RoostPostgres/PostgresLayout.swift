import Glibc
public import RoostLinux
public import RoostModel

/// Where everything of one member is: in a machine, or below `root` when Postgres's programs come from an unpacked
/// image (chroot).
public struct PostgresLayout: Hashable, Sendable {
    /// Empty in a machine.
    public var root: String
    /// The volume: all that must survive is here.
    public var volume: String
    /// Sockets, configuration and other things of one run: not on the volume, which may be full.
    public var runFolder: String
    public var binaries: String
    public var user: String
    /// What a program of Postgres is started through; empty in a machine. For example `nsenter --net=…`.
    public var enter: [String]

    public init(
        root: String = "", volume: String = "/data", runFolder: String = "/run/roost-pg",
        binaries: String = "/usr/lib/postgresql/17/bin", user: String = "postgres", enter: [String] = []
    ) {
        self.enter = enter
        self.root = root
        self.volume = volume
        self.runFolder = runFolder
        self.binaries = binaries
        self.user = user
    }

    // As Postgres sees them.
    public var data: String { volume + "/postgres" }
    /// A data folder that is not complete; never started from.
    var unfinished: String { volume + "/postgres.new" }
    /// Data that a copy has taken the place of, on its way out.
    var aside: String { volume + "/postgres.old" }
    var config: String { runFolder + "/config" }
    var configFile: String { config + "/postgresql.conf" }
    var accessFile: String { config + "/pg_hba.conf" }
    var identFile: String { config + "/pg_ident.conf" }
    /// What programs of earlier versions have left.
    var formerFiles: [String] { [config + "/server.crt", config + "/server.key"] }
    /// The password a standby shows its leader. Removed before anything else when it is to follow no more.
    var passwordFile: String { config + "/follow.pass" }
    /// Where the relay has its socket: a folder that Postgres's user alone can enter.
    var relayFolder: String { runFolder + "/relay" }
    public var memberFile: String { volume + "/roost-member.json" }
    /// Room that is kept for Postgres: see ``Ballast``.
    var ballastFile: String { volume + "/roost-ballast" }
    /// The library that each Postgres loads where its image has it (`Guard/roost_guard.c`): images made before have not.
    var guardLibrary: String? {
        (try? exists(binaries + "/../lib/roost_guard.so")) == true ? "roost_guard" : nil
    }

    /// A path as this process sees it.
    public func outside(_ path: String) -> String { root + path }

    /// A program of Postgres, run as its user.
    func program(_ name: String, _ arguments: [String]) -> [String] { asOwner(["\(binaries)/\(name)"] + arguments) }

    /// Any program, run as Postgres's user.
    func asOwner(_ line: [String]) -> [String] {
        let enter = enter + (root.isEmpty ? [] : ["chroot", root])
        return enter + ["setpriv", "--reuid=\(user)", "--regid=\(user)", "--init-groups", "--"] + line
    }

    func command(
        _ name: String, _ arguments: [String], input: String = "", deadline: Duration
    ) -> Command {
        let line = program(name, arguments)
        return Command(
            line[0], Array(line.dropFirst()), environment: Self.environment, input: input, deadline: deadline)
    }

    /// Messages are read by this program: always in English.
    static let environment = ["LC_ALL": "C", "LC_MESSAGES": "C", "HOME": "/tmp"]

    /// - Throws: when it cannot be told. What a disk cannot read is not absent.
    func exists(_ path: String) throws(SystemError) -> Bool {
        if access(outside(path), F_OK) == 0 { return true }
        guard errno == ENOENT || errno == ENOTDIR else { throw SystemError("look for", outside(path)) }
        return false
    }

    func remove(_ path: String) throws(SystemError) {
        if unlink(outside(path)) != 0, errno != ENOENT { throw SystemError("remove", outside(path)) }
    }

    /// The ids of Postgres's user, from the image's own list of users.
    func owner() throws(SystemError) -> DurableFile.Owner {
        let path = outside("/etc/passwd")
        let text = String(decoding: try DurableFile.read(path) ?? [], as: UTF8.self)
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            if fields.count > 3, fields[0] == user, let user = uid_t(fields[2]), let group = gid_t(fields[3]) {
                return DurableFile.Owner(user: user, group: group)
            }
        }
        throw SystemError("find user \(user) in", path, code: ENOENT)
    }

    func give(_ path: String, mode: mode_t) throws(SystemError) {
        let owner = try owner()
        guard chown(outside(path), owner.user, owner.group) == 0 else { throw SystemError("chown", outside(path)) }
        guard chmod(outside(path), mode) == 0 else { throw SystemError("chmod", outside(path)) }
    }

    /// Writes a file that belongs to Postgres's user, and flushes it.
    @available(*, noasync, message: "it waits for the disk; use onDisk")
    func write(_ text: String, to path: String, mode: mode_t = 0o600) throws(SystemError) {
        try DurableFile.write(text, to: outside(path), mode: mode, owner: try owner())
    }

    /// As ``write(_:to:mode:)``, but a file that is as it should be is left alone: clients wait for what a failover flushes.
    /// By what is on disk now, since others can write there. Only for files that need not outlive a power loss: nobody
    /// knows whether one that is found was flushed.
    @available(*, noasync, message: "it waits for the disk; use onDisk")
    func keep(_ text: String, in path: String, mode: mode_t = 0o600) throws(SystemError) {
        let owner = try owner()
        var facts = stat()
        if lstat(outside(path), &facts) == 0, facts.st_mode == S_IFREG | mode, facts.st_uid == owner.user,
            facts.st_gid == owner.group, facts.st_size == text.utf8.count,
            try DurableFile.read(outside(path)) == Array(text.utf8)
        {
            return
        }
        try DurableFile.write(text, to: outside(path), mode: mode, owner: owner)
    }

    public func prepare() throws(SystemError) {
        try DurableFile.makeFolder(outside(volume))
        try DurableFile.makeFolder(outside(runFolder))
        try DurableFile.makeFolder(outside(config))
        try DurableFile.makeFolder(outside(relayFolder))
        try give(config, mode: 0o700)
        try give(relayFolder, mode: 0o700)
        try give(runFolder, mode: 0o700)
    }

    /// Makes what was renamed or removed in the volume's folder durable.
    @available(*, noasync, message: "it waits for the disk; use onDisk")
    func flushVolume() throws(SystemError) {
        let folder = open(outside(volume), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw SystemError("open", volume) }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw SystemError("flush", volume) }
    }

    func move(_ path: String, to target: String) throws(SystemError) {
        guard rename(outside(path), outside(target)) == 0 else { throw SystemError("rename \(path) to", target) }
        try flushVolume()
    }

    /// What flushes waits for the disk, and tasks do not: in their code the compiler takes this one.
    func move(_ path: String, to target: String) async throws(SystemError) {
        try await onDisk { layout throws(SystemError) in try layout.move(path, to: target) }
    }

    /// Runs what flushes on a thread of its own.
    func onDisk<Value: Sendable>(
        _ work: @escaping @Sendable (PostgresLayout) throws(SystemError) -> Value
    ) async throws(SystemError) -> Value {
        let layout = self
        return try await BlockingCall.run { () throws(SystemError) in try work(layout) }
    }

    /// What of the volume is used up, in words; nil when there is room, or it cannot be told.
    public func shortage() -> String? {
        var facts = statvfs()
        guard statvfs(outside(volume), &facts) == 0, facts.f_blocks > 0 else { return nil }
        let isFull = facts.f_bavail < facts.f_blocks / Self.fullPart
        // Some file systems have no fixed number of files.
        let isOutOfFiles = facts.f_files > 0 && facts.f_favail < facts.f_files / Self.fullPart
        if isFull {
            let left = ByteCount(bytes: Int64(clamping: facts.f_bavail) * Int64(clamping: facts.f_frsize))
            return "the volume is full: \(left) left"
        }
        return isOutOfFiles ? "the volume is full: \(facts.f_favail) more files fit" : nil
    }

    /// A volume with less than one part in this many left is called full.
    private static let fullPart: UInt = 50

    /// How large the volume is, and how much of it is used.
    public func space() throws(SystemError) -> (size: ByteCount, used: ByteCount) {
        var facts = statvfs()
        guard statvfs(outside(volume), &facts) == 0 else { throw SystemError("statvfs", outside(volume)) }
        let block = Int64(facts.f_frsize)
        let size = Int64(facts.f_blocks) * block
        return (ByteCount(bytes: size), ByteCount(bytes: size - Int64(facts.f_bavail) * block))
    }
}
