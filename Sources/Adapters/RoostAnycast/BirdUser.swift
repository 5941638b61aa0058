import Glibc
import RoostLinux

/// The user that BIRD's package makes for it.
struct BirdUser: Sendable {
    static let name = "bird"

    let user: uid_t
    let group: gid_t

    /// Nil where there is no such user, or this process could not become it.
    static func find() -> BirdUser? {
        guard geteuid() == 0, let entry = getpwnam(name) else { return nil }
        return BirdUser(user: entry.pointee.pw_uid, group: entry.pointee.pw_gid)
    }

    /// Makes a folder its own.
    func give(_ folder: String, mode: mode_t) throws(SystemError) {
        guard chown(folder, user, group) == 0 else { throw SystemError("give to \(Self.name)", folder) }
        guard chmod(folder, mode) == 0 else { throw SystemError("change the mode of", folder) }
    }
}
