import Glibc
import RoostLinux
import Synchronization

/// A postmaster, a child of this process. A thread waits for its end, so that a crash is known at once.
final class Postmaster: Sendable {
    enum Exit: Hashable, Sendable, CustomStringConvertible {
        case code(Int32)
        case signal(Int32)

        var description: String {
            switch self {
            case .code(let code): "ended with status \(code)"
            case .signal(let signal): "was ended by signal \(signal)"
            }
        }
    }

    let pid: pid_t

    /// Every child gives itself this score, above the postmaster's own (PostgreSQL manual, 18.4.4; fork_process.c): what the
    /// kernel takes for want of memory is a session rather than the postmaster, which then ends the rest in order and
    /// says why.
    static let childOutOfMemoryScore = 900
    private static let outOfMemoryEnvironment = [
        "PG_OOM_ADJUST_FILE=/proc/self/oom_score_adj", "PG_OOM_ADJUST_VALUE=\(childOutOfMemoryScore)",
    ]

    private struct State {
        var exit: Exit?
        var isWanted = false
        var waiting: [CheckedContinuation<Exit, Never>] = []
    }
    private let state = Mutex(State())

    /// - Parameters:
    ///   - log: the file descriptor it writes to.
    ///   - ended: called once, from another thread, when it has ended.
    init(_ line: [String], log: Int32, ended: @escaping @Sendable (Postmaster) -> Void) throws(SystemError) {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // A reload asked for before Postgres has its handlers would end it. Blocked, it waits until Postgres unblocks
        // what it handles.
        var reload = sigset_t()
        sigemptyset(&reload)
        sigaddset(&reload, SIGHUP)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &reload)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP
        posix_spawnattr_setflags(&attributes, Int16(flags))
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, log, 1)
        posix_spawn_file_actions_adddup2(&actions, log, 2)
        var variables = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        variables += PostgresLayout.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        variables += Self.outOfMemoryEnvironment
        let arguments = line.map { strdup($0) } + [nil]
        let environment = variables.map { strdup($0) } + [nil]
        defer {
            arguments.forEach { free($0) }
            environment.forEach { free($0) }
        }
        var child: pid_t = 0
        let code = posix_spawnp(&child, line[0], &actions, &attributes, arguments, environment)
        guard code == 0 else { throw SystemError("start", line.joined(separator: " "), code: code) }
        pid = child
        do {
            try OwnThread.start("postmaster \(child)") { self.waitForEnd(ended) }
        } catch {
            Glibc.kill(child, SIGKILL)
            throw error
        }
    }

    /// Its end was asked for.
    var isWanted: Bool { state.withLock { $0.isWanted } }
    func expectEnd() { state.withLock { $0.isWanted = true } }

    /// Nil while it runs.
    var exit: Exit? { state.withLock { $0.exit } }

    /// Returns when it has ended.
    func waitForExit() async -> Exit {
        await withCheckedContinuation { continuation in
            let exit = state.withLock { state in
                if state.exit == nil { state.waiting.append(continuation) }
                return state.exit
            }
            if let exit { continuation.resume(returning: exit) }
        }
    }

    /// Does nothing once it has ended: the number may belong to another process then.
    func signal(_ signal: Int32) {
        state.withLock { state in
            if state.exit == nil { Glibc.kill(pid, signal) }
        }
    }

    private func waitForEnd(_ ended: @Sendable (Postmaster) -> Void) {
        // The zombie is left until the state says so: until then the number cannot be given to anyone else.
        var facts = siginfo_t()
        while waitid(P_PID, id_t(pid), &facts, WEXITED | WNOWAIT) != 0, errno == EINTR {}
        let waiting = state.withLock { state in
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0, errno == EINTR {}
            let number = status & 0x7f
            state.exit = number == 0 ? .code(status >> 8 & 0xff) : .signal(number)
            defer { state.waiting = [] }
            return state.waiting
        }
        guard let exit else { return }
        for continuation in waiting { continuation.resume(returning: exit) }
        ended(self)
    }
}
