import Foundation
import Glibc
import RoostLinux
import RoostModel

/// A connection to a socket file on which a test says what no HTTP client would.
enum RawConnection {
    struct Outcome {
        var answer: String
        /// The other side closed the connection before the time was up.
        var isClosed: Bool
    }

    /// Sends the bytes, keeps the connection open, and listens until the other side closes it or the time is up.
    static func send(_ bytes: String, to path: String, listening limit: Duration) async throws -> Outcome {
        try await BlockingCall.run { () throws(any Error) in try talk(bytes, path, limit) }
    }

    private static func talk(_ bytes: String, _ path: String, _ limit: Duration) throws -> Outcome {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw SystemError("socket", path) }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(room - 1)) }
        let connected = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        let sent = Array(bytes.utf8)
        guard connected == 0, Glibc.send(descriptor, sent, sent.count, Int32(MSG_NOSIGNAL)) == sent.count else {
            throw SystemError("connect and send", path)
        }
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        let end = BootClock.now() + limit
        while true {
            var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let left = (end - BootClock.now()).milliseconds
            guard left > 0, Glibc.poll(&waiting, 1, Int32(clamping: left)) > 0 else {
                return Outcome(answer: String(decoding: answer, as: UTF8.self), isClosed: false)
            }
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return Outcome(answer: String(decoding: answer, as: UTF8.self), isClosed: true) }
            answer += buffer[..<count]
        }
    }
}
