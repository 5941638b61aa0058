import CLinux
import Glibc
import RoostModel

/// A process we started and are the only one to wait for, in the network namespace of the thread that starts it. For
/// programs that must live as long as we do, and for threads that may block: everything else is for ``Command``.
public struct ChildProcess: Sendable {
    /// Ours until it was waited for.
    public let pid: pid_t

    /// The environment that goes along.
    private static let inherited = ["PATH", "LD_LIBRARY_PATH", "LANG", "JOURNAL_STREAM"]
    /// Between two looks at a process that is to end.
    private static let interval = Duration.milliseconds(10)
    /// What a program may say.
    private static let outputBytesMax = 64 << 10

    /// Starts a program, found by PATH.
    /// - Parameters:
    ///   - name: what the process sees as its own name; nil is `program`.
    ///   - input: becomes its standard input; nil is /dev/null. Nothing else that we have open goes with it.
    ///   - output: becomes its standard output and standard error; nil leaves it ours.
    public init(
        _ program: String, name: String? = nil, arguments: [String], input: Int32? = nil, output: Int32? = nil
    ) throws(SystemError) {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        if let output {
            posix_spawn_file_actions_adddup2(&actions, output, 1)
            posix_spawn_file_actions_adddup2(&actions, output, 2)
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
        guard failure == 0 else { throw SystemError("run", program, code: failure) }
        pid = started
    }

    /// Also collects what is left of it.
    public func hasEnded() -> Bool {
        var status: Int32 = 0
        return waitpid(pid, &status, WNOHANG) != 0
    }

    /// Waits for it to end by itself, then ends it, and does not return before it is gone.
    public func end(after patience: Duration = .zero) {
        let deadline = BootClock.now() + patience
        while BootClock.now() < deadline {
            if hasEnded() { return }
            usleep(useconds_t(Self.interval.milliseconds * 1000))
        }
        if hasEnded() { return }
        kill(pid, SIGKILL)
        _ = collect()
    }

    /// Ends it without a wait: ``hasEnded()`` shows when it is gone, which takes as long as the system call that it is in.
    public func sendKill() {
        if !hasEnded() { _ = kill(pid, SIGKILL) }
    }

    /// Its exit status; that of a shell when a signal ended it.
    private func collect() -> Int32 {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        let signal = status & 0x7f
        return signal == 0 ? (status >> 8) & 0xff : 128 + signal
    }

    /// Runs a program to its end and blocks the calling thread meanwhile, at most so long: then it is killed.
    /// - Parameter input: what it reads, as a file in memory: nothing waits for it to be read.
    /// - Returns: its exit status and all that it said.
    public static func run(
        _ program: String, _ arguments: [String], input: String, within time: Duration
    ) throws(SystemError) -> (status: Int32, output: String) {
        let files = [roost_memory_file("input"), roost_memory_file("output")]
        defer { for file in files where file >= 0 { close(file) } }
        if let failure = files.first(where: { $0 < 0 }) {
            throw SystemError("make", "a file in memory", code: -failure)
        }
        let bytes = Array(input.utf8)
        guard write(files[0], bytes, bytes.count) == bytes.count, lseek(files[0], 0, SEEK_SET) == 0 else {
            throw SystemError("write", "a file in memory")
        }
        let child = try ChildProcess(program, arguments: arguments, input: files[0], output: files[1])
        let ending = roost_pidfd_open(child.pid)
        defer { if ending >= 0 { close(ending) } }
        var entry = pollfd(fd: ending, events: Int16(POLLIN), revents: 0)
        if ending < 0 || poll(&entry, 1, Int32(clamping: time.milliseconds)) <= 0 {
            child.end()
            throw SystemError("run", program, code: ETIMEDOUT)
        }
        let status = child.collect()
        var said = [UInt8](repeating: 0, count: outputBytesMax)
        let count = pread(files[1], &said, said.count, 0)
        return (status, String(decoding: said[..<max(count, 0)], as: UTF8.self))
    }
}
