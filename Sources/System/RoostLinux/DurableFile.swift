import CLinux
import Glibc

/// An operating-system error with what was attempted on what.
public struct SystemError: Error, CustomStringConvertible {
    /// A verb or more, for example `open folder`.
    public let operation: String
    /// What it was done to, mostly a path.
    public let subject: String
    /// Of errno(3).
    public let code: Int32

    /// The default is what the call just made has left in errno; give `code` where another call lies between.
    public init(_ operation: String, _ subject: String, code: Int32 = errno) {
        self.operation = operation
        self.subject = subject
        self.code = code
    }

    public var description: String { "\(operation) \(subject): \(String(cString: strerror(code)))" }
}

/// Files that are either wholly the old or wholly the new text, also after a power loss.
public enum DurableFile {
    /// Whose a file is.
    public struct Owner: Hashable, Sendable {
        /// User id.
        public var user: uid_t
        /// Group id.
        public var group: gid_t

        /// Both are set together (fchown(2)).
        public init(user: uid_t, group: gid_t) {
            self.user = user
            self.group = group
        }
    }

    /// Writes beside the target, flushes, renames, flushes the folder. Mode and owner are right from the first moment
    /// at which the file can be seen under its name. Writers of one path take turns: each finds the file beside it
    /// to itself, and the last one's text stays.
    public static func write(
        _ bytes: some Collection<UInt8>, to path: String, mode: mode_t = 0o600, owner: Owner? = nil
    ) throws(SystemError) {
        let temporary = path + ".new"
        let file = try FileLock.claim(temporary, mode: mode)
        var failure: SystemError?
        // A writer that was killed may have left something.
        if ftruncate(file, 0) != 0 { failure = SystemError("write", temporary) }
        if failure == nil, let owner, fchown(file, owner.user, owner.group) != 0 {
            failure = SystemError("give", temporary)
        }
        if failure == nil, fchmod(file, mode) != 0 { failure = SystemError("change the mode of", temporary) }
        let all = Array(bytes)
        var written = 0
        while written < all.count, failure == nil {
            let count = all.withUnsafeBytes { buffer in
                Glibc.write(file, buffer.baseAddress?.advanced(by: written), all.count - written)
            }
            if count < 0 {
                if errno != EINTR { failure = SystemError("write", temporary) }
            } else {
                written += count
            }
        }
        if failure == nil, fsync(file) != 0 { failure = SystemError("flush", temporary) }
        if failure == nil, rename(temporary, path) != 0 { failure = SystemError("rename to", path) }
        if failure != nil { unlink(temporary) }
        close(file)
        if let failure { throw failure }
        try flushFolder(of: path)
    }

    /// The text's UTF-8, as the other does it with bytes.
    public static func write(
        _ text: String, to path: String, mode: mode_t = 0o600, owner: Owner? = nil
    ) throws(SystemError) {
        try write(Array(text.utf8), to: path, mode: mode, owner: owner)
    }

    /// Whether something is at the path. What could not be looked at is an error: it may be there.
    public static func exists(_ path: String) throws(SystemError) -> Bool {
        if access(path, F_OK) == 0 { return true }
        guard errno == ENOENT || errno == ENOTDIR else { throw SystemError("look at", path) }
        return false
    }

    /// The whole file, or nil if there is none.
    public static func read(_ path: String, bytesMax: Int = 64 << 20) throws(SystemError) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw SystemError("open", path)
        }
        defer { close(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = chunk.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress, $0.count) }
            if count == 0 { return bytes }
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError("read", path)
            }
            bytes += chunk[..<count]
            guard bytes.count <= bytesMax else { throw SystemError("read", path, code: EFBIG) }
        }
    }

    /// Removes the file and flushes its folder; a no-op when there is none.
    public static func remove(_ path: String) throws(SystemError) {
        guard unlink(path) == 0 else {
            if errno == ENOENT { return }
            throw SystemError("remove", path)
        }
        try flushFolder(of: path)
    }

    /// As `mkdir -p`.
    public static func makeFolder(_ path: String, mode: mode_t = 0o755) throws(SystemError) {
        var built = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/") {
            built += "/" + part
            if mkdir(built, mode) != 0, errno != EEXIST { throw SystemError("make folder", built) }
        }
    }

    /// As ``makeFolder(_:mode:)``, and the folder has this mode even if it was there before, made by somebody who
    /// meant no harm.
    public static func makePrivateFolder(_ path: String, mode: mode_t) throws(SystemError) {
        try makeFolder(path, mode: mode)
        guard chmod(path, mode) == 0 else { throw SystemError("change the mode of", path) }
    }

    private static func flushFolder(of path: String) throws(SystemError) {
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        try flushFolder(folder.isEmpty ? "/" : folder)
    }

    /// What was made, renamed and removed in the folder is on the disk when this returns.
    public static func flushFolder(_ folder: String) throws(SystemError) {
        let file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard file >= 0 else { throw SystemError("open folder", folder) }
        defer { close(file) }
        guard fsync(file) == 0 else { throw SystemError("flush folder", folder) }
    }
}
