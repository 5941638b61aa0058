import CLinux
import Glibc

/// Where programs are found by name.
public enum SearchPath {
    /// Of a process that has none.
    public static let standard = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// This process's own.
    public static var own: String { getenv("PATH").map { String(cString: $0) } ?? standard }

    /// The program's full path; a name with a slash in it is one already. Nil when no folder has it.
    public static func find(_ program: String, in folders: String = own) -> String? {
        guard !program.contains("/") else { return program }
        return folders.split(separator: ":").lazy.map { "\($0)/\(program)" }.first { access($0, X_OK) == 0 }
    }
}
