import Glibc
import NIOCore

/// A listening socket in this process's own hands: the event loop gets a copy, so that its end is not the socket's.
///
/// It listens at every address of the host. Which service a connection came for is seen by its local address: a socket
/// for each address would be thousands, and one has to be opened for each new cluster.
final class ListeningSocket: Sendable {
    let descriptor: Int32

    init(port: Int) throws {
        let opened = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard opened >= 0 else { throw IOError(errnoCode: errno, reason: "socket") }
        do {
            try Self.set(SocketOptions.listener, on: opened)
            try Self.bind(opened, to: port)
            try Self.listen(opened)
        } catch {
            close(opened)
            throw error
        }
        descriptor = opened
    }

    private static func set(_ options: [SocketOptions.Setting], on socket: Int32) throws {
        for (option, value) in options {
            var value = Int32(value)
            let status = setsockopt(
                socket, option.optionLevel.rawValue, option.optionName.rawValue, &value,
                socklen_t(MemoryLayout<Int32>.size))
            guard status == 0 else { throw IOError(errnoCode: errno, reason: "setsockopt \(option)") }
        }
    }

    private static func bind(_ socket: Int32, to port: Int) throws {
        let address = try SocketAddress(ipAddress: "0.0.0.0", port: port)
        let status = address.withSockAddr { Glibc.bind(socket, $0, socklen_t($1)) }
        guard status == 0 else { throw IOError(errnoCode: errno, reason: "bind") }
    }

    deinit { close(descriptor) }

    /// Again after the event loop has its copy: NIO sets a short backlog of its own.
    func listen() throws { try Self.listen(descriptor) }

    private static func listen(_ socket: Int32) throws {
        guard Glibc.listen(socket, EdgeConfiguration.listenBacklog) == 0 else {
            throw IOError(errnoCode: errno, reason: "listen")
        }
    }

    func copy() throws -> Int32 {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw IOError(errnoCode: errno, reason: "dup") }
        return copy
    }
}
