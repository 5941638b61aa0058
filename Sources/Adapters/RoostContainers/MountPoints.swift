import CLinux
import Glibc
import RoostLinux

/// Where the runtime mounts, and then makes files by name. `runc` looks for a place to mount at without leaving the root, but
/// puts the links of `/dev` (`fd`, `stdin`, `ptmx`, …) where the name leads: by a link in the root, into a folder of the host,
/// as root, in place of what is called so there.
enum MountPoints {
    private static let names = ["dev", "proc", "sys"]

    /// The first of them that is there and is no folder of the root itself; nil if all can be mounted at.
    static func obstacle(in root: String) throws(SystemError) -> String? {
        for name in names {
            var file = stat()
            guard lstat("\(root)/\(name)", &file) == 0 else {
                // The runtime makes it.
                if errno == ENOENT { continue }
                throw SystemError("look at", "/" + name)
            }
            if file.st_mode & S_IFMT != S_IFDIR { return "/" + name }
        }
        return nil
    }
}
