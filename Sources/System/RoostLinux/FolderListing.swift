import CLinux
public import Glibc

/// What is in a folder.
public enum FolderListing {
    /// readdir(3), or what a test puts in its place.
    public typealias Read = (OpaquePointer) -> UnsafeMutablePointer<dirent>?

    /// Names in a folder, sorted; none if there is no such folder. Takes as long, and as much memory, as there are names:
    /// for a folder that somebody else fills there are ``each(in:read:_:)`` and ``isEmpty(_:)``.
    /// - Parameter mustExist: a folder that is not there is an error (ENOENT).
    public static func names(in folder: String, mustExist: Bool = false) throws(SystemError) -> [String] {
        var names: [String] = []
        do throws(SystemError) {
            try each(in: folder) { name, _ in
                names.append(String(cString: name))
                return true
            }
        } catch {
            guard error.code == ENOENT, !mustExist else { throw error }
            return []
        }
        return names.sorted()
    }

    /// Whether there is no name in a folder, by the first one that comes.
    /// - Throws: also when there is no such folder (ENOENT).
    public static func isEmpty(_ folder: String) throws(SystemError) -> Bool {
        var isEmpty = true
        try each(in: folder) { _, _ in
            isEmpty = false
            return false
        }
        return isEmpty
    }

    /// Each name in a folder as the kernel gives it, in no order, until `goesOn` says that it was enough: however much is
    /// in there, nothing is gathered first.
    /// - Parameters:
    ///   - read: for the next one.
    ///   - goesOn: gets a name and the open folder that it can be looked up in.
    /// - Throws: when the folder cannot be opened (ENOENT: there is none) or not be read to its end.
    public static func each(
        in folder: String, read: Read = readdir, _ goesOn: (_ name: UnsafePointer<CChar>, _ folder: Int32) -> Bool
    ) throws(SystemError) {
        guard let stream = opendir(folder) else { throw SystemError("list", folder) }
        defer { closedir(stream) }
        while true {
            // readdir(3): the end and a failure look alike but for this.
            errno = 0
            guard let entry = read(stream) else {
                guard errno == 0 else { throw SystemError("list", folder) }
                return
            }
            let isEnough = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                guard let name = bytes.baseAddress?.assumingMemoryBound(to: CChar.self) else { return false }
                return strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !goesOn(name, dirfd(stream))
            }
            if isEnough { return }
        }
    }
}
