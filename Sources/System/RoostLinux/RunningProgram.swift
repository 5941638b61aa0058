import Glibc

/// The file of the program that runs now: Roost's other programs are beside it.
public enum RunningProgram {
    /// Its path, links followed. The kernel adds ` (deleted)` to that of a file that an upgrade has replaced.
    /// - Throws: where /proc does not say it, or it has no end within `PATH_MAX`.
    public static func path() throws(SystemError) -> String {
        var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = readlink("/proc/self/exe", &bytes, bytes.count)
        guard length > 0 else { throw SystemError("read", "/proc/self/exe") }
        guard length < bytes.count else { throw SystemError("read", "/proc/self/exe", code: ENAMETOOLONG) }
        return String(decoding: bytes[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The folder of its file; the working directory where nobody says it.
    public static var folder: String { (try? path()).map(folder(of:)) ?? "." }

    /// What stands before the last `/` of a path; the working directory where there is none.
    public static func folder(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    }
}
