import CLinux
import Glibc
import RoostLinux
import RoostModel
import RoostWire

/// How a guard is started: as a process, or (where a test stands in for it) on a thread.
protocol GuardStarter: Sendable {
    /// - Parameter socket: bound, for the guard to listen on; stays the caller's to close once the guard has it.
    func start(_ configuration: EdgeGuard.Configuration, socket: Int32) throws(AnycastError) -> any RunningGuard
}

protocol RunningGuard: Sendable {
    func hasEnded() -> Bool
    /// Waits for it to end by itself, then ends it.
    func end(after patience: Duration)
}

extension ChildProcess: RunningGuard {}

struct GuardProcessStarter: GuardStarter {
    let command: [String]

    func start(_ configuration: EdgeGuard.Configuration, socket: Int32) throws(AnycastError) -> any RunningGuard {
        do throws(SystemError) {
            return try ChildProcess(
                command[0], name: "roost-edge-guard",
                arguments: Array(command.dropFirst()) + configuration.arguments, input: socket)
        } catch {
            throw AnycastError(operation: "start", subject: "the edge's guard", cause: error.description)
        }
    }
}

/// A guard that was started before us, by a roostd that is no more.
struct AdoptedGuard: RunningGuard {
    let process: pid_t

    private static let interval = Duration.milliseconds(10)

    func hasEnded() -> Bool { kill(process, 0) != 0 && errno == ESRCH }

    func end(after patience: Duration) {
        let deadline = BootClock.now() + patience
        while BootClock.now() < deadline {
            if hasEnded() { return }
            usleep(useconds_t(Self.interval.milliseconds * 1000))
        }
        // A guard on a thread of this process is a test's.
        if process != getpid() { kill(process, SIGKILL) }
    }
}

/// roostd's end of the link to its guard. Orders go out from any thread; one thread listens.
final class GuardLink: Sendable {
    private let socket: PassingSocket
    let guardProcess: pid_t

    /// To the guard that listens there.
    init(path: String) throws(SystemError) {
        socket = PassingSocket(descriptor: try UnixSocket.connect(path, .packets))
        guardProcess = try socket.peer().process
    }

    /// Never waits. A guard that has stopped reading is replaced, and its successor told anew.
    /// - Returns: whether it is on its way.
    @discardableResult func tell(_ order: GuardOrder, files: [Int32] = []) -> Bool {
        do {
            try socket.send(order.bytes, files: files, waits: false)
            return true
        } catch {
            return false
        }
    }

    enum Event: Sendable {
        case status(AnnouncementStatus)
        case woken
        case silence
        case closed
    }

    func next(within time: Duration, wake: Int32?) -> Event {
        var entries = [pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0)]
        if let wake { entries.append(pollfd(fd: wake, events: Int16(POLLIN), revents: 0)) }
        guard poll(&entries, nfds_t(entries.count), Int32(clamping: time.milliseconds + 1)) > 0 else { return .silence }
        if entries.count > 1, entries[1].revents != 0 { return .woken }
        guard let reading = try? socket.receive() else { return .closed }
        switch reading {
        case .nothing: return .silence
        case .end: return .closed
        case .bytes(let bytes, let files):
            for file in files { close(file) }
            guard let status = GuardMessage.status(of: String(decoding: bytes, as: UTF8.self)) else { return .silence }
            return .status(status)
        }
    }
}
