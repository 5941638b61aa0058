import Glibc
import RoostModel

/// An exclusive lock between processes (and between callers of one process) on a path. The kernel lets go of it when
/// its holder dies.
public final class FileLock: Sendable {
    private let file: Int32

    /// Between two tries; a lock is held for milliseconds, or for as long as an image takes to unpack.
    public static let retryInterval = Duration.milliseconds(20)

    private init(file: Int32) { self.file = file }

    deinit { close(file) }

    /// Takes the lock, waiting for its present holder at most so long; `ETIMEDOUT` after that.
    public static func acquire(_ path: String, within patience: Duration) async throws(SystemError) -> FileLock {
        let end = BootClock.now() + patience
        while true {
            if let lock = try attempt(path) { return lock }
            guard BootClock.now() < end else { throw SystemError("lock", path, code: ETIMEDOUT) }
            do { try await Task.sleep(for: retryInterval) } catch {
                throw SystemError("lock", path, code: ECANCELED)
            }
        }
    }

    /// Takes the lock if nobody has it.
    public static func attempt(_ path: String) throws(SystemError) -> FileLock? {
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw SystemError("open", path) }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            close(file)
            guard code == EWOULDBLOCK || code == EINTR else { throw SystemError("lock", path, code: code) }
            return nil
        }
        // The holder before us may have removed the file: then this lock keeps nobody out.
        var held = stat()
        var named = stat()
        guard fstat(file, &held) == 0, stat(path, &named) == 0, held.st_ino == named.st_ino,
            held.st_dev == named.st_dev
        else {
            close(file)
            return nil
        }
        return FileLock(file: file)
    }

    /// Lets go, at once and for sure. Use `defer { lock.release() }`: without a use at the end of the scope the
    /// compiler may free the lock as soon as nothing reads it.
    public func release() { flock(file, LOCK_UN) }
}
