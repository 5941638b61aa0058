import Glibc
import NIOCore
import RoostLinux
import Synchronization

/// A listening socket in this process's own hands: the event loop gets a copy, so that its end is not the socket's.
///
/// It listens at every address of the host. Which service a connection came for is seen by its local address: a socket
/// for each address would be thousands, and one has to be opened for each new cluster.
final class ListeningSocket: Sendable {
    let descriptor: Int32

    /// Opens one and listens.
    convenience init(port: Int) throws {
        guard let number = UInt16(exactly: port) else { throw IOError(errnoCode: EINVAL, reason: "port \(port)") }
        try self.init(taking: try BoundSocket.tcp(port: number))
        try listen()
    }

    /// - Parameter bound: has its port already; becomes this object's own.
    init(taking bound: Int32) throws {
        do {
            try Self.set(SocketOptions.peer, on: bound)
        } catch {
            close(bound)
            throw error
        }
        descriptor = bound
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

    deinit { close(descriptor) }

    /// Again after the event loop has its copy: NIO sets a short backlog of its own.
    func listen() throws {
        guard Glibc.listen(descriptor, EdgeConfiguration.listenBacklog) == 0 else {
            throw IOError(errnoCode: errno, reason: "listen")
        }
    }

    func copy() throws -> Int32 {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw IOError(errnoCode: errno, reason: "dup") }
        return copy
    }
}

/// Where an edge's listening sockets come from.
struct SocketSource: Sendable {
    /// How many there are for a port, on so many event loops.
    let count: @Sendable (_ port: Int, _ loops: Int) -> Int
    let socket: @Sendable (_ port: Int, _ index: Int) throws -> ListeningSocket

    /// One for each loop.
    static func opened(by make: @escaping @Sendable (Int) throws -> ListeningSocket) -> SocketSource {
        SocketSource(count: { _, loops in loops }, socket: { port, _ in try make(port) })
    }
}

/// Sockets that were handed over by whoever may bind them and keeps them beyond this process's life.
final class PassedSockets: Sendable {
    private let sockets = Mutex<[Int: [Int32]]>([:])

    deinit { replace([]) }

    /// The descriptors become this object's own; those that were there are closed.
    func replace(_ passed: [(port: UInt16, descriptor: Int32)]) {
        let old = sockets.withLock { sockets in
            let old = sockets
            sockets = Dictionary(grouping: passed, by: { Int($0.port) }).mapValues { $0.map(\.descriptor) }
            return old
        }
        for descriptor in old.values.joined() { close(descriptor) }
    }

    func copies() -> [(port: UInt16, descriptor: Int32)] {
        sockets.withLock { sockets in
            sockets.sorted { $0.key < $1.key }.flatMap { port, descriptors in
                descriptors.compactMap { descriptor in
                    let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
                    return copy >= 0 ? (UInt16(port), copy) : nil
                }
            }
        }
    }

    /// At least one of each port is wanted: an edge that was given none is not whole.
    var source: SocketSource {
        SocketSource(
            count: { port, _ in max(self.sockets.withLock { $0[port]?.count ?? 0 }, 1) },
            socket: { port, index in
                let copy = try self.sockets.withLock { sockets in
                    guard let descriptors = sockets[port], index < descriptors.count else {
                        throw IOError(errnoCode: EBADF, reason: "no socket was handed over for port \(port)")
                    }
                    return fcntl(descriptors[index], F_DUPFD_CLOEXEC, 0)
                }
                guard copy >= 0 else { throw IOError(errnoCode: errno, reason: "dup") }
                return try ListeningSocket(taking: copy)
            })
    }
}
