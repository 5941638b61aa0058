import CLinux
import Glibc
import RoostLinux
import Synchronization

/// Files that a launch can make anew at any time: written, not flushed.
enum PlainFile {
    static func write(_ bytes: [UInt8], to path: String, mode: mode_t = 0o644) throws(SystemError) {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard file >= 0 else { throw SystemError("create", path) }
        defer { close(file) }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.write(file, buffer.baseAddress?.advanced(by: written), bytes.count - written)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError("write", path)
            }
            written += count
        }
    }

    /// All of it or nothing, whoever is killed meanwhile; a power loss may leave anything.
    static func replace(_ bytes: [UInt8], at path: String) throws(SystemError) {
        // A name of its own for each writer: two of them must not mix.
        let fresh = "\(path).\(getpid())-\(writes.wrappingAdd(1, ordering: .relaxed).newValue).new"
        try write(bytes, to: fresh, mode: 0o600)
        guard rename(fresh, path) == 0 else {
            let error = SystemError("rename to", path)
            unlink(fresh)
            throw error
        }
    }

    private static let writes = Atomic<UInt64>(0)

    static func write(_ text: String, to path: String) throws(SystemError) { try write(Array(text.utf8), to: path) }
}
