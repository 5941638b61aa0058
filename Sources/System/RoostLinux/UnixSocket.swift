import CLinux
import Glibc
import RoostModel

/// UNIX sockets by path (unix(7)), streams where nothing else is said. Descriptors are the caller's to close, and closed
/// on exec.
public enum UnixSocket {
    /// What is between two writes.
    public enum Kind: Sendable {
        /// Nothing.
        case stream
        /// Each write is read by itself.
        case packets
    }

    /// The kernel's bound is 108 with the zero byte at the end.
    static let pathBytesMax = 107

    /// Makes the socket, readable and writable for its owner alone; what was there under that name is gone.
    public static func listen(_ path: String, backlog: Int32 = 16) throws(SystemError) -> Int32 {
        let file = try bind(path)
        guard Glibc.listen(file, backlog) == 0 else {
            let failure = SystemError("listen on", path)
            close(file)
            throw failure
        }
        return file
    }

    /// Makes the socket as ``listen(_:backlog:)`` does and leaves the listening to the process it is given to: whoever
    /// connects is shown as its peer who called listen(2), not who made it.
    public static func bind(_ path: String, _ kind: Kind = .stream) throws(SystemError) -> Int32 {
        var address = try address(path)
        unlink(path)
        let file = socket(AF_UNIX, number(of: kind), 0)
        guard file >= 0 else { throw SystemError("make a socket for", path) }
        let bound = withAddress(&address) { Glibc.bind(file, $0, $1) }
        // Nobody can connect between the two: it does not listen yet.
        guard bound == 0, chmod(path, 0o600) == 0 else {
            let failure = SystemError("listen on", path)
            close(file)
            throw failure
        }
        return file
    }

    /// Two sockets that are each other's other end.
    public static func pair(_ kind: Kind = .stream) throws(SystemError) -> (Int32, Int32) {
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, number(of: kind), 0, &ends) == 0 else {
            throw SystemError("make", "a pair of sockets")
        }
        return (ends[0], ends[1])
    }

    /// Connects, never waiting: a listener whose queue is full is an error (EAGAIN). The descriptor does not block.
    public static func connect(_ path: String, _ kind: Kind = .stream) throws(SystemError) -> Int32 {
        var address = try address(path)
        let file = socket(AF_UNIX, number(of: kind) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard file >= 0 else { throw SystemError("make a socket for", path) }
        guard withAddress(&address, { Glibc.connect(file, $0, $1) }) == 0 else {
            let failure = SystemError("connect to", path)
            close(file)
            throw failure
        }
        return file
    }

    /// Connects. The descriptor blocks, at most so long on each read and write; so does this call.
    public static func connect(_ path: String, within time: Duration) throws(SystemError) -> Int32 {
        var address = try address(path)
        let file = socket(AF_UNIX, number(of: .stream), 0)
        guard file >= 0 else { throw SystemError("make a socket for", path) }
        var limit = timeval(
            tv_sec: Int(time.milliseconds / 1000), tv_usec: Int(time.milliseconds % 1000) * 1000)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(file, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        guard withAddress(&address, { Glibc.connect(file, $0, $1) }) == 0 else {
            let failure = SystemError("connect to", path)
            close(file)
            throw failure
        }
        return file
    }

    private static func number(of kind: Kind) -> Int32 {
        switch kind {
        case .stream: Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        case .packets: Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        }
    }

    private static func address(_ path: String) throws(SystemError) -> sockaddr_un {
        guard path.utf8.count <= pathBytesMax else { throw SystemError("use socket", path, code: ENAMETOOLONG) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return address
    }

    private static func withAddress(
        _ address: inout sockaddr_un, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
