import CLinux
import Glibc

/// What is in a folder.
public enum FolderListing {
    /// Names in a folder, sorted; none if there is no such folder.
    /// - Parameter mustExist: a folder that is not there is an error (ENOENT).
    public static func names(in folder: String, mustExist: Bool = false) throws(SystemError) -> [String] {
        guard let stream = opendir(folder) else {
            if errno == ENOENT, !mustExist { return [] }
            throw SystemError("list", folder)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            // readdir(3): the end and a failure look alike but for this.
            errno = 0
            guard let entry = readdir(stream) else {
                guard errno == 0 else { throw SystemError("list", folder) }
                break
            }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }
}
