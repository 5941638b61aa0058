import Glibc
import RoostLinux
import RoostModel

/// TCP in another network namespace: sockets are opened on a thread that enters it and stay there.
enum NamespaceTCP {
    enum Attempt: Hashable, Sendable {
        case connected
        /// Answered with a reset.
        case refused
        case unreachable
        /// Nothing came back.
        case silence
    }

    static let patience = Duration.milliseconds(1500)

    static func attempt(from path: String, to address: IPv6Address, port: UInt16) async throws -> Attempt {
        try await BlockingCall.run { () throws(SystemError) in
            let (socket, attempt) = try connect(from: path, to: address, port: port, patience: patience)
            if socket >= 0 { close(socket) }
            return attempt
        }
    }

    /// Sends so many bytes and returns how many the listener says it has read.
    static func send(_ count: Int, from path: String, to address: IPv6Address, port: UInt16) async throws -> Int {
        try await BlockingCall.run { () throws(SystemError) in
            let (socket, attempt) = try connect(from: path, to: address, port: port, patience: .seconds(10))
            guard attempt == .connected else { throw SystemError("connect", "\(address)", code: ECONNREFUSED) }
            defer { close(socket) }
            let chunk = [UInt8](repeating: 7, count: 64 << 10)
            var left = count
            while left > 0 {
                let sent = Glibc.send(socket, chunk, min(left, chunk.count), Int32(MSG_NOSIGNAL))
                guard sent > 0 else { throw SystemError("send", "\(address)") }
                left -= sent
            }
            shutdown(socket, Int32(SHUT_WR))
            var reply = [UInt8](repeating: 0, count: 64)
            let length = recv(socket, &reply, reply.count, 0)
            guard length > 0 else { throw SystemError("receive", "\(address)") }
            return Int(String(decoding: reply[..<length], as: UTF8.self)) ?? -1
        }
    }

    private static func connect(
        from path: String, to address: IPv6Address, port: UInt16, patience: Duration
    ) throws(SystemError) -> (socket: Int32, attempt: Attempt) {
        try NetworkNamespace.enter(path)
        let opened = try open(patience: patience)
        var target = form(address, port)
        let result = withUnsafePointer(to: &target) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(opened, $0, socklen_t(MemoryLayout<sockaddr_in6>.size))
            }
        }
        if result == 0 { return (opened, .connected) }
        let code = errno
        close(opened)
        switch code {
        case ECONNREFUSED, ECONNRESET: return (-1, .refused)
        case EINPROGRESS, EAGAIN, ETIMEDOUT: return (-1, .silence)
        case EHOSTUNREACH, ENETUNREACH, EACCES: return (-1, .unreachable)
        default: throw SystemError("connect", "\(address)", code: code)
        }
    }

    fileprivate static func open(patience: Duration) throws(SystemError) -> Int32 {
        let opened = socket(AF_INET6, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard opened >= 0 else { throw SystemError("open", "socket") }
        var time = timeval(
            tv_sec: Int(patience.milliseconds / 1000), tv_usec: Int(patience.milliseconds % 1000) * 1000)
        for option in [SO_SNDTIMEO, SO_RCVTIMEO] {
            setsockopt(opened, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
        }
        return opened
    }

    fileprivate static func form(_ address: IPv6Address, _ port: UInt16) -> sockaddr_in6 {
        var form = sockaddr_in6()
        form.sin6_family = sa_family_t(AF_INET6)
        form.sin6_port = port.bigEndian
        withUnsafeMutableBytes(of: &form.sin6_addr) { bytes in
            bytes.storeBytes(of: address.high.bigEndian, toByteOffset: 0, as: UInt64.self)
            bytes.storeBytes(of: address.low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        return form
    }
}

/// Accepts connections one after the other, reads each to its end and answers with the number of bytes.
struct NamespaceListener: Sendable {
    private let listening: Int32

    /// Runs `body` while somebody listens on the port, on all IPv6 addresses of the namespace.
    static func with(_ path: String, port: UInt16, _ body: () async throws -> Void) async throws {
        let listener = try await BlockingCall.run { () throws(SystemError) in try NamespaceListener(path, port: port) }
        try await withThrowingTaskGroup { group in
            group.addTask { await BlockingCall.run { listener.serve() } }
            defer { shutdown(listener.listening, Int32(SHUT_RDWR)) }
            try await body()
        }
        close(listener.listening)
    }

    private init(_ path: String, port: UInt16) throws(SystemError) {
        try NetworkNamespace.enter(path)
        listening = try NamespaceTCP.open(patience: .seconds(60))
        var one: Int32 = 1
        setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, 4)
        var any = NamespaceTCP.form(IPv6Address(high: 0, low: 0), port)
        let result = withUnsafePointer(to: &any) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listening, $0, socklen_t(MemoryLayout<sockaddr_in6>.size))
            }
        }
        guard result == 0, listen(listening, 16) == 0 else { throw SystemError("listen on", "\(port)") }
    }

    private func serve() {
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let accepted = accept(listening, nil, nil)
            guard accepted >= 0 else { return }
            var total = 0
            while true {
                let count = recv(accepted, &chunk, chunk.count, 0)
                if count <= 0 { break }
                total += count
            }
            let reply = Array("\(total)".utf8)
            _ = send(accepted, reply, reply.count, Int32(MSG_NOSIGNAL))
            close(accepted)
        }
    }
}
