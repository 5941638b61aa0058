import Glibc
import RoostLinux
import RoostModel

/// The files of an unpacked image.
enum ImageTree {
    struct Census: Hashable {
        var files = 0
        var bytes: Int64 = 0
        /// Device nodes, pipes and sockets that were taken out.
        var removed = 0
    }

    enum Failure: Error {
        case system(SystemError)
        case tooManyFiles
        case tooLarge
    }

    /// Deeper than any honest image, and few enough for a thread's stack.
    static let depthMax = 512

    /// Takes out what is neither file, folder nor link: a device node of an image is an order to the host's kernel, and
    /// whoever opens a pipe waits. A machine makes what it needs of these by itself. On a thread that may wait.
    static func clean(_ root: String, filesMax: Int, bytesMax: Int64) throws(Failure) -> Census {
        var census = Census()
        try clean(root, depth: 0, filesMax: filesMax, bytesMax: bytesMax, &census)
        return census
    }

    private static func clean(_ folder: String, depth: Int, filesMax: Int, bytesMax: Int64, _ census: inout Census)
        throws(Failure)
    {
        guard depth < depthMax else { throw .system(SystemError("look at", folder, code: ENAMETOOLONG)) }
        let names: [String]
        do { names = try FolderListing.names(in: folder) } catch { throw .system(error) }
        for name in names {
            let path = folder + "/" + name
            var file = stat()
            guard lstat(path, &file) == 0 else { throw .system(SystemError("look at", path)) }
            census.files += 1
            guard census.files <= filesMax else { throw .tooManyFiles }
            switch file.st_mode & S_IFMT {
            case S_IFDIR: try clean(path, depth: depth + 1, filesMax: filesMax, bytesMax: bytesMax, &census)
            case S_IFREG:
                census.bytes += Int64(file.st_blocks) * 512
                guard census.bytes <= bytesMax else { throw .tooLarge }
            case S_IFLNK: break
            default:
                guard unlink(path) == 0 else { throw .system(SystemError("remove", path)) }
                census.removed += 1
            }
        }
    }
}
