import Glibc
import RoostLinux
import RoostModel
import Synchronization

/// The leader's own guard against a second primary: when the lease has run out, Postgres is killed, whatever else this
/// process is doing. A thread that does nothing else; process 1 looks after it through a file both have mapped
/// (``InitProcess``), should all of this process be frozen.
final class LeaseWatch: Sendable {
    /// The core stops Postgres itself at the end of the lease; this comes after it.
    static let slack = Duration.milliseconds(200)
    private static let interval = Duration.milliseconds(50)

    private struct State {
        var until: Moment?
    }
    private let state = Mutex(State())
    private let mark: LeaseMark?
    private let kill: @Sendable () -> Void

    init(mark: LeaseMark?, kill: @escaping @Sendable () -> Void) throws(SystemError) {
        self.mark = mark
        self.kill = kill
        try OwnThread.start("lease") { self.watch() }
    }

    /// - Parameter until: nil: there is no lease to watch.
    func set(_ until: Moment?) {
        let isChanged = state.withLock { state in
            defer { state.until = until }
            return state.until != until
        }
        if isChanged { mark?.set(until) }
    }

    private func watch() {
        while true {
            usleep(UInt32(Self.interval.milliseconds * 1000))
            let isOver = state.withLock { $0.until.map { BootClock.now() > $0 + Self.slack } ?? false }
            // Again and again, until the core says that there is no lease: a kill that missed a process hits later.
            if isOver { kill() }
        }
    }
}

/// The end of the lease as a number in a small file that two processes have mapped.
final class LeaseMark: Sendable {
    private let address: UInt
    private static let size = 4096

    init(_ path: String) throws(SystemError) {
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw SystemError("open", path) }
        defer { close(file) }
        guard ftruncate(file, off_t(Self.size)) == 0 else { throw SystemError("resize", path) }
        guard let memory = mmap(nil, Self.size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), memory != MAP_FAILED
        else {
            throw SystemError("map", path)
        }
        address = UInt(bitPattern: memory)
    }

    /// Nanoseconds since boot; 0: none. Eight aligned bytes are written and read at once.
    func set(_ until: Moment?) {
        let parts = until?.sinceBoot.components
        let value = parts.map { $0.seconds * 1_000_000_000 + $0.attoseconds / 1_000_000_000 } ?? 0
        UnsafeMutablePointer<Int64>(bitPattern: address)?.pointee = value
    }

    var until: Moment? {
        guard let value = UnsafeMutablePointer<Int64>(bitPattern: address)?.pointee, value != 0 else { return nil }
        return Moment(sinceBoot: .nanoseconds(value))
    }
}
