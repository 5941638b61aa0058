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
            if let status = reap(child) { end(status) }
            if let until = mark.until, BootClock.now() > until + slack { end(128 + SIGKILL) }
        }
    }

    /// Reaps all that has ended; the child's exit status once it is among them.
    private static func reap(_ child: pid_t) -> Int32? {
        var found: Int32?
        while true {
            var status: Int32 = 0
            let pid = waitpid(-1, &status, WNOHANG)
            guard pid > 0 else { return found }
            if pid == child {
                let signal = status & 0x7f
                found = signal == 0 ? status >> 8 & 0xff : 128 + signal
            }
        }
    }

    /// All other processes of the machine go with process 1.
    private static func end(_ status: Int32) -> Never {
        precondition(getpid() == 1, "only process 1 of a machine may kill everything")
        Glibc.kill(-1, SIGKILL)
        exit(status)
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
