import CLinux
import Glibc
import RoostLinux
import RoostModel
import RoostRuntime

/// A volume that nobody has written to yet looks to its machine as the image's own folder at that place would.
enum FirstUse {
    /// A new filesystem's.
    private static let fresh = ForeignFile.Ownership(user: 0, group: 0, mode: 0o755)

    /// It is empty and nobody's. What is not is left alone: so this can be repeated.
    static func isFresh(_ disk: MachineDisk) throws(SystemError) -> Bool {
        let folder = folder(of: disk)
        guard !disk.isReadOnly, try ForeignFile.folder("/", in: folder) == fresh else { return false }
        return try FolderListing.isEmpty(folder)
    }

    /// What the image's folder at the volume's place is; where the image has none, it belongs to the image's user.
    static func ownership(
        of disk: MachineDisk, image: UnpackedImage, user: ImageUser
    ) throws(SystemError) -> ForeignFile.Ownership {
        try ForeignFile.folder(disk.target, in: image.rootPath)
            ?? ForeignFile.Ownership(user: user.uid, group: user.gid, mode: 0o755)
    }

    static func give(_ disk: MachineDisk, _ wanted: ForeignFile.Ownership) throws(SystemError) {
        guard wanted != fresh else { return }
        let folder = folder(of: disk)
        guard chown(folder, wanted.user, wanted.group) == 0 else { throw SystemError("give", folder) }
        guard chmod(folder, wanted.mode) == 0 else { throw SystemError("change the mode of", folder) }
    }

    private static func folder(of disk: MachineDisk) -> String {
        switch disk.attachment {
        case .folder(let path): path
        }
    }
}
