import CLinux
import Glibc
import RoostLinux
import RoostModel

/// A client of BIRD's control socket: a line of text in, lines with four-digit codes out
/// (BIRD's doc/reply_codes: 0xxx done, 1xxx and 2xxx listings, 8xxx run-time errors, 9xxx wrong commands).
/// It blocks, never longer than its deadline: for use on threads that may.
struct BirdControl: ~Copyable {
    struct Reply: Hashable, Sendable {
        var code: Int
        var lines: [String]
    }

    private let socket: Int32
    private let deadline: Moment
    private var pending: [UInt8] = []

    /// A listing of all protocols is far below.
    private static let replyBytesMax = 256 << 10

    /// Connects and waits for the greeting.
    init(path: String, within patience: Duration) throws(AnycastError) {
        deadline = BootClock.now() + patience
        let connection = Self.connect(path)
        socket = connection.descriptor
        if let failure = connection.failure { throw failure }
        let greeting = try reply(to: "greeting")
        guard greeting.code == 1 else { throw Self.error("reach", "BIRD", "unexpected greeting \(greeting.lines)") }
    }

    deinit { close(socket) }

    /// - Throws: also when BIRD refuses the command.
    mutating func run(_ command: String) throws(AnycastError) -> Reply {
        let line = Array((command + "\n").utf8)
        // A command is far shorter than a socket's buffer: all of it goes or the peer is stuck.
        guard send(socket, line, line.count, Int32(MSG_NOSIGNAL)) == line.count else {
            throw Self.error("send to BIRD", command, SystemError("send", "control socket").description)
        }
        let reply = try reply(to: command)
        guard reply.code < 8000 else {
            throw Self.error("BIRD refused", command, reply.lines.joined(separator: "; "))
        }
        return reply
    }

    private mutating func reply(to command: String) throws(AnycastError) -> Reply {
        var lines: [String] = []
        var size = 0
        while true {
            let line = try line(of: command)
            size += line.utf8.count
            guard size <= Self.replyBytesMax else { throw Self.error("read from BIRD", command, "too long a reply") }
            // " text" goes on with the code before it; "+text" is a notice nobody asked for.
            if line.hasPrefix("+") { continue }
            if line.hasPrefix(" ") {
                lines.append(String(line.dropFirst()))
                continue
            }
            guard let code = Int(line.prefix(4)), line.utf8.count >= 4 else {
                throw Self.error("read from BIRD", command, "unexpected line '\(line)'")
            }
            lines.append(String(line.dropFirst(5)))
            if !line.dropFirst(4).hasPrefix("-") { return Reply(code: code, lines: lines) }
        }
    }

    private mutating func line(of command: String) throws(AnycastError) -> String {
        while true {
            if let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: pending[..<end], as: UTF8.self)
                pending.removeSubrange(...end)
                return line
            }
            let left = deadline - BootClock.now()
            var entry = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
            guard left > .zero, poll(&entry, 1, Int32(clamping: left.milliseconds + 1)) > 0 else {
                throw Self.error("wait for BIRD", command, "no answer in time; it is frozen or overloaded")
            }
            var chunk = [UInt8](repeating: 0, count: 8192)
            let count = recv(socket, &chunk, chunk.count, 0)
            if count < 0, errno == EAGAIN || errno == EINTR { continue }
            guard count > 0 else { throw Self.error("read from BIRD", command, "it closed the control socket") }
            pending += chunk[..<count]
        }
    }

    /// No descriptor with a failure: a value that closes something at its end is whole before anything is thrown.
    private static func connect(_ path: String) -> (descriptor: Int32, failure: AnycastError?) {
        do throws(SystemError) { return (try UnixSocket.connect(path), nil) } catch {
            return (-1, Self.error("reach", "BIRD", error.description))
        }
    }

    private static func error(_ operation: String, _ subject: String, _ cause: String) -> AnycastError {
        AnycastError(operation: operation, subject: subject, cause: cause)
    }
}
