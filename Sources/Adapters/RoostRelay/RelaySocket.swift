import Glibc
import RoostLinux
import RoostModel

/// TCP between members' relays, at their own addresses in the cluster's network.
enum RelaySocket {
    private static let backlog: Int32 = 64

    /// A way that is dead is noticed within so long, by what waits to be acknowledged, or by the kernel's own probes.
    static let silenceMax = Duration.seconds(5)
    private static let probeIdle: Int32 = 2  // s
    private static let probeInterval: Int32 = 1  // s
    private static let probesMax: Int32 = 3

    static func listen(at address: IPv6Address, port: UInt16) throws(SystemError) -> Int32 {
        let file = try make()
        var one: Int32 = 1
        setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        guard address.withSocketAddress(port: port, { bind(file, $0, $1) }) == 0, Glibc.listen(file, backlog) == 0
        else {
            let failure = SystemError("listen on", "[\(address)]:\(port)")
            close(file)
            throw failure
        }
        return file
    }

    /// Begins to connect, from the own address: by it the other knows whom to expect.
    static func connect(to address: IPv6Address, from own: IPv6Address, port: UInt16) throws(SystemError) -> Int32 {
        let file = try make()
        tend(file)
        let isBegun =
            own.withSocketAddress(port: 0) { bind(file, $0, $1) } == 0
            && (address.withSocketAddress(port: port) { Glibc.connect(file, $0, $1) } == 0 || errno == EINPROGRESS)
        guard isBegun else {
            let failure = SystemError("connect to", "[\(address)]:\(port)")
            close(file)
            throw failure
        }
        return file
    }

    /// The next that waits, and where it is from; nil: none.
    static func accept(_ listener: Int32) -> (file: Int32, from: IPv6Address)? {
        var form = sockaddr_in6()
        var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let file = withUnsafeMutablePointer(to: &form) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.accept(listener, $0, &length) }
        }
        guard file >= 0 else { return nil }
        _ = fcntl(file, F_SETFD, FD_CLOEXEC)
        tend(file)
        return (file, IPv6Address(form))
    }

    /// Why a connection did not come about; 0: it did.
    static func failure(of file: Int32) -> Int32 {
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(file, SOL_SOCKET, SO_ERROR, &code, &length) == 0 ? code : errno
    }

    private static func make() throws(SystemError) -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let file = socket(AF_INET6, type, 0)
        guard file >= 0 else { throw SystemError("open", "a socket for the relay") }
        return file
    }

    private static func tend(_ file: Int32) {
        let tcp = Int32(IPPROTO_TCP)
        for (level, name, value) in [
            (SOL_SOCKET, SO_KEEPALIVE, 1), (tcp, TCP_KEEPIDLE, probeIdle), (tcp, TCP_KEEPINTVL, probeInterval),
            (tcp, TCP_KEEPCNT, probesMax), (tcp, TCP_USER_TIMEOUT, Int32(silenceMax.milliseconds)),
            (tcp, TCP_NODELAY, 1),
        ] {
            var value = value
            setsockopt(file, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
        }
    }
}
