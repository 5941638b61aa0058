import CLinux
import Glibc
import RoostLinux
import RoostModel
import RoostRuntime

/// A volume that nobody has written to yet looks to its machine as the image's own folder at that place would.
enum FirstUse {
    /// A new filesystem's.
    private static let fresh = ForeignFile.Ownership(user: 0, group: 0, mode: 0o755)

    /// Gives an empty volume the owner and the mode of the image's folder; where the image has none, it belongs to
    /// the image's user. What is not empty, or belongs to somebody already, is left alone: so this can be repeated.
    static func prepare(_ disk: MachineDisk, image: UnpackedImage, user: ImageUser) throws(SystemError) {
        let folder: String
        switch disk.attachment {
        case .folder(let path): folder = path
        }
        guard !disk.isReadOnly, try ForeignFile.folder("/", in: folder) == fresh,
            try FolderListing.isEmpty(folder)
        else { return }
        let wanted =
            try ForeignFile.folder(disk.target, in: image.rootPath)
            ?? ForeignFile.Ownership(user: user.uid, group: user.gid, mode: 0o755)
        guard wanted != fresh else { return }
        guard chown(folder, wanted.user, wanted.group) == 0 else { throw SystemError("give", folder) }
        guard chmod(folder, wanted.mode) == 0 else { throw SystemError("change the mode of", folder) }
    }
}
