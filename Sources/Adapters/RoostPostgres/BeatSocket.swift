import Glibc
import RoostLinux
import RoostModel

/// A member's UDP socket at its own address in the cluster's network, where nobody can take another's (decision 0009).
final class BeatSocket: Sendable {
    /// Beside Postgres's 5432, and the 5433 of edges.
    static let port: UInt16 = 5434
    /// A beat that waited longer than a few others is of no use.
    private static let receiveBufferBytes: Int32 = 64 << 10

    private let descriptor: Int32

    /// - Throws: also while the machine has not this address yet.
    init(at address: IPv6Address, port: UInt16 = BeatSocket.port) throws(SystemError) {
        let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let opened = socket(AF_INET6, type, 0)
        guard opened >= 0 else { throw SystemError("open", "a socket for beats") }
        var size = Self.receiveBufferBytes
        _ = setsockopt(opened, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        guard address.withSocketAddress(port: port, { bind(opened, $0, $1) }) == 0 else {
            let failure = SystemError("bind", "[\(address)]:\(port)")
            close(opened)
            throw failure
        }
        descriptor = opened
    }

    deinit { close(descriptor) }

    /// One that cannot be sent is one that is lost.
    func send(_ bytes: [UInt8], to address: IPv6Address, port: UInt16 = BeatSocket.port) {
        _ = address.withSocketAddress(port: port) {
            sendto(descriptor, bytes, bytes.count, Int32(MSG_DONTWAIT), $0, $1)
        }
    }

    /// Waits until something is there.
    func wait(within time: Duration) {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        _ = poll(&entry, 1, Int32(clamping: time.milliseconds))
    }

    /// Hands over the next datagram that waits, and where it is from. One that is longer than the buffer is cut.
    ///
    /// - Returns: nil when there is none.
    func receive<Value>(
        into buffer: UnsafeMutableRawBufferPointer, _ body: (UnsafeRawBufferPointer, IPv6Address) -> Value
    ) -> Value? {
        var form = sockaddr_in6()
        var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let count = withUnsafeMutablePointer(to: &form) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                recvfrom(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT), $0, &length)
            }
        }
        guard count >= 0 else { return nil }
        return body(UnsafeRawBufferPointer(rebasing: buffer[..<count]), IPv6Address(form))
    }
}
