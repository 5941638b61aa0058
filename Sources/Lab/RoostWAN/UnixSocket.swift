import CLinux
import Glibc

/// UNIX stream sockets by path.
enum UnixSocket {
    static let pathBytesMax = 107

    static func listen(_ path: String) throws -> Int32 {
        var address = try address(path)
        unlink(path)
        let file = socket(AF_UNIX, streamType, 0)
        guard file >= 0 else { throw failure("make a socket for", path) }
        let old = umask(0o177)
        let bound = withAddress(&address) { bind(file, $0, $1) }
        umask(old)
        guard bound == 0, Glibc.listen(file, 16) == 0 else {
            let error = failure("listen on", path)
            close(file)
            throw error
        }
        return file
    }

    /// Blocking, with a time limit on each read and write.
    static func connect(_ path: String, seconds: Int) throws -> Int32 {
        var address = try address(path)
        let file = socket(AF_UNIX, streamType, 0)
        guard file >= 0 else { throw failure("make a socket for", path) }
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(file, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        guard withAddress(&address, { Glibc.connect(file, $0, $1) }) == 0 else {
            let error = failure("connect to", path)
            close(file)
            throw error
        }
        return file
    }

    private static var streamType: Int32 { Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue) }

    private static func failure(_ operation: String, _ path: String) -> WANError {
        WANError("cannot \(operation) \(path): \(String(cString: strerror(errno)))")
    }

    private static func address(_ path: String) throws(WANError) -> sockaddr_un {
        guard path.utf8.count <= pathBytesMax else { throw WANError("the socket path \(path) is too long") }
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
