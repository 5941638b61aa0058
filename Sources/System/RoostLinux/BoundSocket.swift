import Glibc

/// A TCP socket that has its place and does not listen yet: what makes a port this host's, for whoever is to serve it.
public enum BoundSocket {
    /// At every IPv4 address of the host. Many may be bound to one port; the kernel spreads the connections among those
    /// that listen (SO_REUSEPORT, socket(7)), as long as the same user binds them all.
    public static func tcp(port: UInt16) throws(SystemError) -> Int32 {
        let file = socket(
            AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard file >= 0 else { throw SystemError("make a socket for", "port \(port)") }
        var yes: Int32 = 1
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &yes, 4)
                    | setsockopt(file, SOL_SOCKET, SO_REUSEPORT, &yes, 4)
                    | bind(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else {
            let failure = SystemError("bind", "port \(port)")
            close(file)
            throw failure
        }
        return file
    }

    /// The port it is bound to.
    public static func port(of file: Int32) -> UInt16? {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(file, $0, &length) }
        }
        return status == 0 && address.sin_family == sa_family_t(AF_INET) ? UInt16(bigEndian: address.sin_port) : nil
    }
}
