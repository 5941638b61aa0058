import CLinux
import Glibc

/// Files of a folder that somebody else has filled: an image's root, a layout. Links are followed inside the folder
/// only, and nothing but a regular file is ever opened: to open a pipe may wait for ever, and to open a device is an
/// order to its driver.
public enum ForeignFile {
    /// Whose a file or folder is, and who may do what with it.
    public struct Ownership: Hashable, Sendable {
        /// User id.
        public var user: uid_t
        /// Group id.
        public var group: gid_t
        /// The twelve bits that chmod(2) takes.
        public var mode: mode_t

        /// All three are the file's own.
        public init(user: uid_t, group: gid_t, mode: mode_t) {
            self.user = user
            self.group = group
            self.mode = mode
        }
    }

    /// Whether whoever filled the folder made it so that this fails, and it fails the same way whenever it is tried. All
    /// else is the host's: descriptors, memory, the disk.
    public static func isDoomed(_ error: SystemError) -> Bool {
        switch error.code {
        // No regular file, too large, links in a circle or out of the folder, a path that is too long.
        case EINVAL, EFBIG, ELOOP, ENAMETOOLONG: true
        default: false
        }
    }

    /// The whole file, or nil if there is none at this path of the folder.
    public static func read(_ path: String, in root: String, bytesMax: Int) throws(SystemError) -> [UInt8]? {
        guard let found = try find(path, in: root) else { return nil }
        defer { close(found) }
        var file = stat()
        guard fstat(found, &file) == 0 else { throw SystemError("look at", path) }
        guard file.st_mode & S_IFMT == S_IFREG else {
            throw SystemError("read (it is not a regular file)", path, code: EINVAL)
        }
        // The very file that was looked at, by its descriptor.
        return try DurableFile.read("/proc/self/fd/\(found)", bytesMax: bytesMax)
    }

    /// Whether there is anything at this path of the folder.
    public static func exists(_ path: String, in root: String) throws(SystemError) -> Bool {
        guard let found = try find(path, in: root) else { return false }
        close(found)
        return true
    }

    /// Whose the folder at this path of the root is; nil if there is none.
    public static func folder(_ path: String, in root: String) throws(SystemError) -> Ownership? {
        guard let found = try find(path, in: root) else { return nil }
        defer { close(found) }
        var file = stat()
        guard fstat(found, &file) == 0 else { throw SystemError("look at", path) }
        guard file.st_mode & S_IFMT == S_IFDIR else { return nil }
        return Ownership(user: file.st_uid, group: file.st_gid, mode: file.st_mode & 0o7777)
    }

    private static func find(_ path: String, in root: String) throws(SystemError) -> Int32? {
        let folder = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else {
            if errno == ENOENT { return nil }
            throw SystemError("open folder", root)
        }
        defer { close(folder) }
        let found = roost_find_in_root(folder, path)
        if found >= 0 { return found }
        guard found == -ENOENT || found == -ENOTDIR else { throw SystemError("find", path, code: -found) }
        return nil
    }
}
