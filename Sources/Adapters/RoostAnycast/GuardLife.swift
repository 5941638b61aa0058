import CLinux
import Glibc
import RoostLinux
import RoostModel

/// How a guard is started: as a process, or (where a test stands in for it) on a thread.
protocol GuardStarter: Sendable {
    /// - Parameter link: the guard's end; stays the caller's to close once the guard has it.
    func start(_ configuration: EdgeGuard.Configuration, link: Int32) throws(AnycastError) -> any RunningGuard
}

protocol RunningGuard: Sendable {
    /// Waits for it to end by itself, then ends it.
    func end(after patience: Duration)
}

extension ChildProcess: RunningGuard {}

struct GuardProcessStarter: GuardStarter {
    let command: [String]

    func start(_ configuration: EdgeGuard.Configuration, link: Int32) throws(AnycastError) -> any RunningGuard {
        do throws(SystemError) {
            return try ChildProcess(
                command[0], name: "roost-edge-guard",
                arguments: Array(command.dropFirst()) + configuration.arguments, input: link)
        } catch {
            throw AnycastError(operation: "start", subject: "the edge's guard", cause: error.description)
        }
    }
}

/// roostd's end of the link to its guard. Reports go out from any thread; one thread listens.
final class GuardLink: Sendable {
    private let descriptor: Int32

    init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Never waits. What a guard that has stopped reading misses makes it withdraw when it goes on.
    func report(_ health: EdgeHealth) {
        var byte = GuardMessage.byte(of: health)
        send(descriptor, &byte, 1, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
    }

    /// Tells the guard that we are done: it withdraws and ends.
    func finish() { shutdown(descriptor, Int32(SHUT_WR)) }

    enum Event: Sendable {
        case status(AnnouncementStatus)
        case woken
        case silence
        case closed
    }

    func next(within time: Duration, wake: Int32?) -> Event {
        var entries = [pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)]
        if let wake { entries.append(pollfd(fd: wake, events: Int16(POLLIN), revents: 0)) }
        guard poll(&entries, nfds_t(entries.count), Int32(clamping: time.milliseconds + 1)) > 0 else { return .silence }
        if entries.count > 1, entries[1].revents != 0 { return .woken }
        var buffer = [UInt8](repeating: 0, count: GuardMessage.bytesMax)
        let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        if count < 0, errno == EAGAIN || errno == EINTR { return .silence }
        guard count > 0 else { return .closed }
        guard let status = GuardMessage.status(of: String(decoding: buffer[..<count], as: UTF8.self)) else {
            return .silence
        }
        return .status(status)
    }

    /// Both ends of a new pair; the second is the guard's.
    static func pair() throws(AnycastError) -> (ours: GuardLink, theirs: Int32) {
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, type, 0, &ends) == 0 else {
            throw AnycastError(
                operation: "open", subject: "the guard's link", cause: SystemError("open", "socketpair").description)
        }
        return (GuardLink(descriptor: ends[0]), ends[1])
    }
}
