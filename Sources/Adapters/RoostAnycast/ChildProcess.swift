import CLinux
import Glibc
import RoostLinux
import RoostModel

/// A process we started and are the only one to wait for. For programs that must live as long as we do, which is
/// nothing ``Command`` is for.
struct ChildProcess: Sendable {
    let pid: pid_t

    /// The environment that goes along.
    private static let inherited = ["PATH", "LD_LIBRARY_PATH", "LANG", "JOURNAL_STREAM"]
    /// Between two looks at a process that is to end.
    private static let interval = Duration.milliseconds(10)

    /// - Parameters:
    ///   - name: what the process sees as its own name; nil is `program`.
    ///   - input: becomes its standard input; nil is /dev/null. Nothing else that we have open goes with it.
    init(_ program: String, name: String? = nil, arguments: [String], input: Int32? = nil) throws(AnycastError) {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        // Not everybody opens with close-on-exec: SwiftNIO's listeners would live on in the child and go on being
        // handed connections that nobody accepts.
        roost_spawn_close_from(&actions, 3)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // We may ignore or block signals; the child starts with a clean slate.
        var all = sigset_t()
        var none = sigset_t()
        sigfillset(&all)
        sigemptyset(&none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
        var words: [UnsafeMutablePointer<CChar>?] = ([name ?? program] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var environment: [UnsafeMutablePointer<CChar>?] =
            Self.inherited.compactMap { name in
                getenv(name).map { strdup(name + "=" + String(cString: $0)) }
            } + [nil]
        defer { for word in environment { free(word) } }
        var started: pid_t = 0
        let failure = posix_spawnp(&started, program, &actions, &attributes, &words, &environment)
        guard failure == 0 else {
            throw AnycastError(
                operation: "start", subject: program, cause: SystemError("run", program, code: failure).description)
        }
        pid = started
    }

    /// Also collects what is left of it.
    func hasEnded() -> Bool {
        var status: Int32 = 0
        return waitpid(pid, &status, WNOHANG) != 0
    }

    /// Waits for it to end by itself, then ends it, and does not return before it is gone.
    func end(after patience: Duration = .zero) {
        let deadline = BootClock.now() + patience
        while BootClock.now() < deadline {
            if hasEnded() { return }
            usleep(useconds_t(Self.interval.milliseconds * 1000))
        }
        if hasEnded() { return }
        kill(pid, SIGKILL)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    }
}
