import CLinux
import Glibc
import RoostModel

/// A UNIX socket over which open files go along with bytes (SCM_RIGHTS, unix(7)). Closed with the object.
public final class PassingSocket: Sendable {
    /// For poll(2).
    public let descriptor: Int32

    /// How many files may come along with bytes.
    public static let filesMax = Int(ROOST_FILES_MAX)
    /// What one reading takes, at most.
    private static let chunkBytesMax = 64 << 10

    /// - Parameter descriptor: becomes this object's own.
    public init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Who is at the other end, as the kernel has it: who connected, or who called listen(2).
    public struct Peer: Hashable, Sendable {
        /// By this process's PID namespace.
        public var process: pid_t
        /// Effective, at that moment.
        public var user: uid_t
    }

    /// The kernel's word; nothing that the other side says.
    public func peer() throws(SystemError) -> Peer {
        var peer = Peer(process: 0, user: 0)
        let status = roost_peer(descriptor, &peer.process, &peer.user)
        guard status == 0 else { throw SystemError("ask for", "the other end of a socket", code: -status) }
        return peer
    }

    /// How long a write may wait for the other side to read.
    public func setSendTime(_ time: Duration) {
        var limit = timeval(
            tv_sec: Int(time.milliseconds / 1000), tv_usec: Int(time.milliseconds % 1000) * 1000)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    /// Sends all of it, and the files with its first byte. After an error nobody knows how much has gone: close.
    /// - Parameter waits: false: a socket whose buffer is full is an error (EAGAIN).
    public func send(_ bytes: [UInt8], files: [Int32] = [], waits: Bool = true) throws(SystemError) {
        var start = 0
        repeat {
            let passed = start == 0 ? files : []
            let sent = bytes.withUnsafeBytes { buffer in
                roost_send_files(
                    descriptor, buffer.baseAddress.map { $0 + start }, bytes.count - start, passed,
                    Int32(passed.count), waits ? 0 : Int32(MSG_DONTWAIT))
            }
            if sent == -Int(EINTR) { continue }
            guard sent > 0 else { throw SystemError("send over", "a socket", code: Int32(-sent)) }
            start += sent
        } while start < bytes.count
    }

    /// What one look has found.
    public enum Reading: Sendable {
        /// The files are the receiver's to close.
        case bytes([UInt8], files: [Int32])
        /// Not now.
        case nothing
        /// The other side has closed; nothing will come.
        case end
    }

    /// What there is. Never waits.
    public func receive() throws(SystemError) -> Reading {
        var bytes = [UInt8](repeating: 0, count: Self.chunkBytesMax)
        var files = [Int32](repeating: -1, count: Self.filesMax)
        var count: Int32 = 0
        let received = roost_receive_files(
            descriptor, &bytes, bytes.count, &files, &count, Int32(MSG_DONTWAIT))
        if received == -Int(EAGAIN) || received == -Int(EINTR) { return .nothing }
        guard received >= 0 else { throw SystemError("receive over", "a socket", code: Int32(-received)) }
        guard received > 0 else {
            for file in files.prefix(Int(count)) { close(file) }
            return .end
        }
        return .bytes(Array(bytes.prefix(received)), files: Array(files.prefix(Int(count))))
    }
}
