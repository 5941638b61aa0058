import Glibc
import RoostLinux
import RoostModel
import RoostWire

/// Why the host did not answer as asked.
public struct HostSocketError: Error, CustomStringConvertible {
    public enum Cause: Hashable, Sendable {
        /// No connection, or it broke before the request was sent whole: nothing was carried out.
        case unreachable(String)
        /// The request went out and no whole answer came back: nobody knows whether it was carried out.
        case unclear(String)
        /// The host answered, with another status than 200.
        case status(Int, String)
    }

    public let request: String
    public let cause: Cause

    public var description: String {
        switch cause {
        case .unreachable(let why): "\(request): the host cannot be reached: \(why)"
        case .unclear(let why): "\(request): no clear answer: \(why)"
        case .status(let code, let body): "\(request): the host answered \(code): \(body.prefix(200))"
        }
    }
}

/// A small HTTP/1.1 client for the machine's socket. It blocks, with a deadline for each request as a whole, and is
/// used on threads of its own: a lease must be renewed also while the cooperative pool has other things to do.
public struct HostSocket: Sendable {
    public let path: String

    public static let pathDefault = "/.roost/api"
    static let answerBytesMax = 4 << 20
    static let headBytesMax = 64 << 10

    public init(_ path: String = pathDefault) { self.path = path }

    /// - Returns: the body of an answer with status 200.
    public func request(
        _ method: String, _ target: String, body: [UInt8] = [], within deadline: Duration
    ) throws(HostSocketError) -> [UInt8] {
        let connection = try HostConnection(
            path, request: "\(method) \(target)", until: BootClock.now() + deadline)
        defer { connection.close() }
        try connection.send(method, target, body)
        let answer = try connection.readAnswer()
        guard answer.status == 200 else {
            throw connection.failure(.status(answer.status, String(decoding: answer.body, as: UTF8.self)))
        }
        return answer.body
    }

    /// Reads lines of an answer that does not end, until `receive` says no or the connection breaks. Blank lines keep
    /// it alive; silence for `silenceMax` is an error.
    public func stream(
        _ target: String, silenceMax: Duration, receive: (ArraySlice<UInt8>) -> Bool
    ) throws(HostSocketError) {
        let connection = try HostConnection(path, request: "GET \(target)", until: BootClock.now() + silenceMax)
        defer { connection.close() }
        try connection.send("GET", target, [])
        try connection.readLines(silenceMax: silenceMax, receive)
    }
}

/// One connection, one request.
private final class HostConnection {
    private let socket: Int32
    private let request: String
    private var end: Moment
    private var buffer: [UInt8] = []

    init(_ path: String, request: String, until end: Moment) throws(HostSocketError) {
        self.request = request
        self.end = end
        // A host that is frozen fills its queue of connections: that must be an error, not a wait.
        do throws(SystemError) { socket = try UnixSocket.connect(path) } catch {
            throw HostSocketError(request: request, cause: .unreachable(error.description))
        }
    }

    func close() { Glibc.close(socket) }

    func failure(_ cause: HostSocketError.Cause) -> HostSocketError { HostSocketError(request: request, cause: cause) }

    func send(_ method: String, _ target: String, _ body: [UInt8]) throws(HostSocketError) {
        var head = "\(method) \(target) HTTP/1.1\r\nHost: roost\r\nConnection: close\r\n"
        head += "\(CallHeader.tlsEndsBefore): edge\r\n"
        if !body.isEmpty || method != "GET" {
            head += "Content-Type: application/json\r\nContent-Length: \(body.count)\r\n"
        }
        let bytes = Array((head + "\r\n").utf8) + body
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                sent += count
            } else if errno == EAGAIN {
                guard wait(for: POLLOUT) else { throw failure(.unreachable("the request was not taken in time")) }
            } else if errno != EINTR {
                throw failure(.unreachable(SystemError("send to", "the host").description))
            }
        }
    }

    func readAnswer() throws(HostSocketError) -> (status: Int, body: [UInt8]) {
        let head = try readHead()
        var body: [UInt8] = []
        if head.isChunked {
            while let chunk = try readChunk() {
                body += chunk
                guard body.count <= HostSocket.answerBytesMax else { throw failure(.unclear("the answer is too long")) }
            }
        } else if let length = head.length {
            guard length <= HostSocket.answerBytesMax else { throw failure(.unclear("the answer is too long")) }
            body = try take(length)
        } else {
            while try fill() {
                guard buffer.count <= HostSocket.answerBytesMax else {
                    throw failure(.unclear("the answer is too long"))
                }
            }
            body = buffer
        }
        return (head.status, body)
    }

    func readLines(silenceMax: Duration, _ receive: (ArraySlice<UInt8>) -> Bool) throws(HostSocketError) {
        let head = try readHead()
        guard head.status == 200 else {
            throw failure(.status(head.status, head.length.map { _ in "" } ?? ""))
        }
        var text: [UInt8] = []
        while true {
            end = BootClock.now() + silenceMax
            if head.isChunked {
                guard let chunk = try readChunk() else { throw failure(.unclear("the stream ended")) }
                text += chunk
            } else {
                let isMore = try buffer.isEmpty ? fill() : true
                guard isMore else { throw failure(.unclear("the stream ended")) }
                text += buffer
                buffer = []
            }
            while let newline = text.firstIndex(of: 10) {
                let line = text[..<newline]
                if !line.isEmpty, !receive(line) { return }
                text.removeFirst(newline + 1 - text.startIndex)
            }
            guard text.count <= HostSocket.answerBytesMax else { throw failure(.unclear("a line is too long")) }
        }
    }

    // MARK: - HTTP/1.1 (RFC 9112)

    private struct Head {
        var status: Int
        var length: Int?
        var isChunked = false
    }

    private func readHead() throws(HostSocketError) -> Head {
        let first = try readLine().split(separator: " ")
        guard first.count >= 2, first[0].hasPrefix("HTTP/1."), let status = Int(first[1]) else {
            throw failure(.unclear("that is no HTTP answer"))
        }
        var head = Head(status: status)
        while true {
            let line = try readLine()
            if line.isEmpty { return head }
            guard let colon = line.firstIndex(of: ":") else { throw failure(.unclear("a header without colon")) }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            switch line[..<colon].lowercased() {
            case "content-length": head.length = Int(value)
            case "transfer-encoding": head.isChunked = value.lowercased() == "chunked"
            default: break
            }
        }
    }

    /// Nil after the last chunk.
    private func readChunk() throws(HostSocketError) -> [UInt8]? {
        let line = try readLine()
        guard let size = Int(line.prefix { $0 != ";" }, radix: 16), size <= HostSocket.answerBytesMax else {
            throw failure(.unclear("a chunk of size '\(line)'"))
        }
        let chunk = try take(size)
        _ = try readLine()
        return size == 0 ? nil : chunk
    }

    private func readLine() throws(HostSocketError) -> String {
        while true {
            if let newline = buffer.firstIndex(of: 10) {
                var line = buffer[..<newline]
                if line.last == 13 { line.removeLast() }
                let text = String(decoding: line, as: UTF8.self)
                buffer.removeFirst(newline + 1)
                return text
            }
            guard buffer.count <= HostSocket.headBytesMax else { throw failure(.unclear("a line is too long")) }
            guard try fill() else { throw failure(.unclear("the connection was closed")) }
        }
    }

    private func take(_ count: Int) throws(HostSocketError) -> [UInt8] {
        while buffer.count < count {
            guard try fill() else { throw failure(.unclear("the connection was closed")) }
        }
        let taken = Array(buffer.prefix(count))
        buffer.removeFirst(count)
        return taken
    }

    /// Reads what is there; false at the end.
    private func fill() throws(HostSocketError) -> Bool {
        var chunk = [UInt8](repeating: 0, count: 32 << 10)
        while true {
            let count = recv(socket, &chunk, chunk.count, 0)
            if count > 0 {
                buffer += chunk[..<count]
                return true
            }
            if count == 0 { return false }
            if errno == EAGAIN {
                guard wait(for: POLLIN) else { throw failure(.unclear("no answer in time")) }
            } else if errno != EINTR {
                throw failure(.unclear(SystemError("read from", "the host").description))
            }
        }
    }

    private func wait(for events: Int32) -> Bool {
        while true {
            let left = (end - BootClock.now()).milliseconds
            guard left > 0 else { return false }
            var entry = pollfd(fd: socket, events: Int16(events), revents: 0)
            let count = poll(&entry, 1, Int32(clamping: left))
            if count > 0 { return true }
            if count < 0, errno != EINTR { return false }
        }
    }
}
