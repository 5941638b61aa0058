import CLinux
import Glibc
import RoostModel

/// A lock between processes (and between callers of one process) on a path: exclusive, or shared by several holders. The
/// kernel lets go of it when its holder dies, and a program that it was lent to (``Command/bound(to:)``).
public final class FileLock: Sendable {
    private let file: Int32

    /// Between two tries; a lock is held for milliseconds, or for as long as an image takes to unpack.
    public static let retryInterval = Duration.milliseconds(20)

    private init(file: Int32) { self.file = file }

    deinit { close(file) }

    /// Takes the lock, waiting for its present holder at most so long; `ETIMEDOUT` after that.
    public static func acquire(_ path: String, within patience: Duration) async throws(SystemError) -> FileLock {
        try await take(path, LOCK_EX, within: patience)
    }

    /// The same beside others who share it; whoever wants it alone keeps them all out.
    public static func share(_ path: String, within patience: Duration) async throws(SystemError) -> FileLock {
        try await take(path, LOCK_SH, within: patience)
    }

    private static func take(
        _ path: String, _ kind: Int32, within patience: Duration
    ) async throws(SystemError) -> FileLock {
        let end = BootClock.now() + patience
        while true {
            if let lock = try attempt(path, kind) { return lock }
            guard BootClock.now() < end else { throw SystemError("lock", path, code: ETIMEDOUT) }
            do { try await Task.sleep(for: retryInterval) } catch {
                throw SystemError("lock", path, code: ECANCELED)
            }
        }
    }

    /// Takes the lock if nobody has it.
    public static func attempt(_ path: String) throws(SystemError) -> FileLock? { try attempt(path, LOCK_EX) }

    private static func attempt(_ path: String, _ kind: Int32) throws(SystemError) -> FileLock? {
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw SystemError("open", path) }
        guard flock(file, kind | LOCK_NB) == 0 else {
            let code = errno
            close(file)
            guard code == EWOULDBLOCK || code == EINTR else { throw SystemError("lock", path, code: code) }
            return nil
        }
        // The holder before us may have removed the file: then this lock keeps nobody out.
        guard isNamed(file, path) else {
            close(file)
            return nil
        }
        return FileLock(file: file)
    }

    /// Locks a file that is open already, if nobody has it locked. The lock goes with the descriptor.
    public static func hold(_ file: Int32) -> Bool { flock(file, LOCK_EX | LOCK_NB) == 0 }

    /// Opens a file for one writer at a time, waiting for the one before: on a thread that may wait. The lock goes with
    /// the descriptor.
    static func claim(_ path: String, mode: mode_t) throws(SystemError) -> Int32 {
        while true {
            let file = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, mode)
            guard file >= 0 else { throw SystemError("create", path) }
            while flock(file, LOCK_EX) != 0 {
                guard errno == EINTR else {
                    let code = errno
                    close(file)
                    throw SystemError("lock", path, code: code)
                }
            }
            // The writer before us has given the file its real name: this one is not ours.
            if isNamed(file, path) { return file }
            close(file)
        }
    }

    /// Whether the open file is the one that has this name now.
    public static func isNamed(_ file: Int32, _ path: String) -> Bool {
        var held = stat()
        var named = stat()
        return fstat(file, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino
            && held.st_dev == named.st_dev
    }

    /// Another descriptor of the same lock, to hand to a process: the lock goes with the last of them (flock(2)).
    func duplicate() throws(SystemError) -> Int32 {
        let other = fcntl(file, F_DUPFD_CLOEXEC, 0)
        guard other >= 0 else { throw SystemError("duplicate", "a lock") }
        return other
    }

    /// Lets go, at once and for sure. Use `defer { lock.release() }`: without a use at the end of the scope the
    /// compiler may free the lock as soon as nothing reads it.
    public func release() { flock(file, LOCK_UN) }
}
