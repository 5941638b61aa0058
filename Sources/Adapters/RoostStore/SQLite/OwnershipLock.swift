import Glibc
import RoostLinux

/// Proof that this process alone owns a file: an exclusive lock on the file beside it, which the kernel lets go of
/// when the process dies, however it dies.
final class OwnershipLock: Sendable {
    private let file: Int32

    init(of path: String) throws(StoreError) {
        let lockPath = path + ".lock"
        let operation = "own \(path)"
        file = open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw .unavailable(operation, "\(SystemError("open", lockPath))") }
        guard FileLock.hold(file) else {
            let code = errno
            let owner = Self.owner(in: file)
            close(file)
            guard code == EWOULDBLOCK else {
                throw .unavailable(operation, "\(SystemError("lock", lockPath, code: code))")
            }
            throw .unavailable(operation, "process \(owner) has it open; only one may. Stop that one first")
        }
        // For the next one's error message only: the lock itself is what counts.
        let text = Array("\(getpid())\n".utf8)
        _ = ftruncate(file, 0)
        _ = pwrite(file, text, text.count, 0)
    }

    deinit { close(file) }

    private static func owner(in file: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 20)
        let count = pread(file, &bytes, bytes.count, 0)
        let digits = bytes.prefix(max(0, count)).prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        return digits.isEmpty ? "(unknown)" : String(decoding: digits, as: UTF8.self)
    }
}
