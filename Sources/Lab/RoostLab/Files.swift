import Glibc
import RoostLinux

/// Small kernel files, read and written in one go.
enum Text {
    /// The lines of a file; none when it cannot be read.
    static func lines(of path: String) -> [Substring] {
        guard let bytes = try? DurableFile.read(path) else { return [] }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    }

    static func write(_ text: String, to path: String) throws(SystemError) {
        let file = open(path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { throw SystemError("open", path) }
        defer { close(file) }
        let bytes = Array(text.utf8)
        guard Glibc.write(file, bytes, bytes.count) == bytes.count else { throw SystemError("write", path) }
    }
}

enum Folder {
    /// Names in a folder, without `.` and `..`; none when it is not there.
    static func names(in path: String) -> [String] { (try? FolderListing.names(in: path)) ?? [] }

    /// A folder itself, not a link to one.
    static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// As `rm -rf --one-file-system`: never goes into what is mounted below.
    static func remove(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        remove(path, device: status.st_dev)
    }

    private static func remove(_ path: String, device: dev_t) {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_dev == device else { return }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            unlink(path)
            return
        }
        for name in names(in: path) { remove(path + "/" + name, device: device) }
        rmdir(path)
    }
}
