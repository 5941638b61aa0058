import Glibc
import RoostLinux
public import RoostModel

/// The program that serves, and the bounds it runs in.
public struct EdgeProgram: Hashable, Sendable {
    /// The file that is started.
    public var path: String
    public var account: EdgeAccount
    public var writePort: UInt16 = 5432
    public var readPort: UInt16 = 5433
    /// Where its control groups are made.
    public var cgroupParent: String
    public var memoryMax: ByteCount
    public var logLevel: String
    public var logFormat: LogFormat

    /// Beside this program.
    public static let name = "roost-edge"
    /// Twenty thousand sessions have two each; the rest is for listeners and for those who are refused.
    static let openFilesMax = 65_536
    /// Its threads: one for each core, and a few.
    static let processesMax = 512
    /// What it may use where the host's memory would allow more.
    static let memoryMost = ByteCount.gibibytes(4)
    static let memoryLeast = ByteCount.mebibytes(256)

    /// - Parameter memory: the host's; an edge gets a quarter of it, within bounds.
    public init(
        path: String = EdgeProgram.ownPath, account: EdgeAccount = .find(), cgroupParent: String, memory: ByteCount,
        logLevel: String, logFormat: LogFormat
    ) {
        self.path = path
        self.account = account
        self.cgroupParent = cgroupParent
        memoryMax = max(min(ByteCount(bytes: memory.bytes / 4), Self.memoryMost), Self.memoryLeast)
        self.logLevel = logLevel
        self.logFormat = logFormat
    }

    /// `roost-edge` in the folder of the program that runs.
    public static var ownPath: String { RunningProgram.folder + "/" + name }

    /// One socket for each event loop: the edge has a loop for each core.
    var socketsPerPort: Int { min(max(Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))), 1), 64) }
    var ports: [UInt16] { [writePort, readPort] }

    /// Starts it, in this process's network namespace.
    /// - Parameter socket: bound, for it to listen on.
    func start(socket: Int32) throws(SystemError) -> ChildProcess {
        try ChildProcess(
            path, name: Self.name,
            arguments: [
                "--user", "\(account.user)", "--group", "\(account.group)", "--open-files", "\(Self.openFilesMax)",
                "--write-port", "\(writePort)", "--read-port", "\(readPort)", "--log-level", logLevel,
                "--log-format", logFormat.rawValue,
            ], input: socket)
    }

    /// Whether a process runs another file than the one that would be started now. By the file itself: what it is called
    /// and what release it says it is may be the same.
    func isOutdated(_ process: pid_t) -> Bool {
        var (running, present) = (stat(), stat())
        guard stat("/proc/\(process)/exe", &running) == 0, stat(path, &present) == 0 else { return false }
        return (running.st_dev, running.st_ino) != (present.st_dev, present.st_ino)
    }
}

/// Whom an edge runs as.
public struct EdgeAccount: Hashable, Sendable {
    /// The system user of a host whose operator has made one.
    public static let userName = "roost-edge"
    /// Where there is none: of the numbers 60578 to 61183, which systemd's "Users, Groups, UIDs and GIDs" leaves unused,
    /// as do Debian's own.
    public static let numberOtherwise: uid_t = 61_054

    public var user: uid_t
    public var group: gid_t

    public init(user: uid_t, group: gid_t) {
        self.user = user
        self.group = group
    }

    public static func find() -> EdgeAccount {
        guard let entry = getpwnam(userName), entry.pointee.pw_uid != 0, entry.pointee.pw_gid != 0 else {
            return EdgeAccount(user: numberOtherwise, group: numberOtherwise)
        }
        return EdgeAccount(user: entry.pointee.pw_uid, group: entry.pointee.pw_gid)
    }
}
