import Glibc
public import RoostLinux
import RoostModel

/// Process 1 of a machine: starts the member as its child, reaps whatever ends, hands signals on, and ends the machine
/// when the member has ended or its lease is long over. It does little, so that it can hardly fail.
public enum InitProcess {
    /// After the member's own guard had its chance.
    static let slack = Duration.milliseconds(600)
    private static let interval = 100_000_000  // ns
    static let markName = "lease"
    /// Of a machine that was ended because its member's lease is over: EX_TEMPFAIL of sysexits(3). Its own, so that nobody takes
    /// it for a kill from elsewhere.
    static let leaseExitCode: Int32 = 75

    /// Why the machine ends.
    enum Ending: Hashable {
        case exited(Int32)
        case signalled(Int32)
        case leaseOver

        /// As a shell says it.
        var exitCode: Int32 {
            switch self {
            case .exited(let code): code
            case .signalled(let signal): 128 + signal
            case .leaseOver: leaseExitCode
            }
        }

        /// Nil where the member has said it itself.
        var words: String? {
            switch self {
            case .exited: nil
            case .signalled(let signal): "roost-pg: the machine ends: its member was ended by signal \(signal)\n"
            case .leaseOver:
                "roost-pg: the machine ends with exit code \(leaseExitCode): its member's lease is over, and it has not "
                    + "said that its Postgres has stopped\n"
            }
        }
    }

    public static var isNeeded: Bool { getpid() == 1 }

    /// This process is the member that process 1 started.
    static var isParent: Bool { getppid() == 1 && getenv(variable) != nil }
    private static let variable = "ROOST_PG_SUPERVISED"

    /// Does not return.
    ///
    /// - Parameters:
    ///   - arguments: of this program, for the child.
    ///   - runFolder: where the lease's file is.
    public static func run(_ arguments: [String], runFolder: String) throws(SystemError) -> Never {
        var all = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, nil)
        try DurableFile.makeFolder(runFolder)
        let mark = try LeaseMark("\(runFolder)/\(markName)")
        mark.set(nil)
        let child = try spawn(arguments)
        while true {
            var facts = siginfo_t()
            var wait = timespec(tv_sec: 0, tv_nsec: interval)
            let signal = sigtimedwait(&all, &facts, &wait)
            switch signal {
            case SIGTERM, SIGINT, SIGQUIT, SIGHUP: Glibc.kill(child, SIGTERM)
            default: break
            }
            if let ending = reap(child) { end(ending) }
            if let until = mark.until, BootClock.now() > until + slack { end(.leaseOver) }
        }
    }

    /// Reaps all that has ended; how the child has once it is among them.
    private static func reap(_ child: pid_t) -> Ending? {
        var found: Ending?
        while true {
            var status: Int32 = 0
            let pid = waitpid(-1, &status, WNOHANG)
            guard pid > 0 else { return found }
            if pid == child {
                let signal = status & 0x7f
                found = signal == 0 ? .exited(status >> 8 & 0xff) : .signalled(signal)
            }
        }
    }

    /// All other processes of the machine go with process 1.
    private static func end(_ ending: Ending) -> Never {
        precondition(getpid() == 1, "only process 1 of a machine may kill everything")
        Glibc.kill(-1, SIGKILL)
        if let words = ending.words { say(words) }
        exit(ending.exitCode)
    }

    /// To the machine's log, if that takes it at once: nobody is waited for.
    private static func say(_ words: String) {
        var entry = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
        guard poll(&entry, 1, 0) == 1, Int32(entry.revents) & POLLOUT != 0 else { return }
        _ = words.utf8.withContiguousStorageIfAvailable { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    private static func spawn(_ arguments: [String]) throws(SystemError) -> pid_t {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        setenv(variable, "1", 1)
        let texts = arguments.map { strdup($0) } + [nil]
        defer { texts.forEach { free($0) } }
        var child: pid_t = 0
        // By its own path, so that the child bears its name in lists of processes.
        let code = posix_spawn(&child, try RunningProgram.path(), nil, &attributes, texts, environ)
        guard code == 0 else { throw SystemError("start", "the member", code: code) }
        return child
    }
}
