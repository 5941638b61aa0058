import RoostLinux
import RoostRuntime

/// Looks for a machine's program before its init does: an init could say that it is missing in the machine's log only,
/// and the machine would be started again and again.
enum ProgramCheck {
    /// Whether there is no such program for sure. What may be on a volume is not looked for.
    /// - Parameter environment: `NAME=value`, as the program's `PATH` is among it.
    static func isMissing(
        _ program: String, environment: [String], workingDirectory: String, root: String, disks: [MachineDisk]
    ) throws(SystemError) -> Bool {
        for place in places(program, environment, workingDirectory) {
            let mayBeOnVolume = disks.contains { place == $0.target || place.hasPrefix($0.target + "/") }
            if mayBeOnVolume { return false }
            if try ForeignFile.exists(place, in: root) { return false }
        }
        return true
    }

    /// As execvp(3) looks for it.
    private static func places(_ program: String, _ environment: [String], _ directory: String) -> [String] {
        if program.hasPrefix("/") { return [program] }
        if program.contains("/") { return [directory + "/" + program] }
        let path = environment.last { $0.hasPrefix("PATH=") }?.dropFirst(5) ?? Substring(SearchPath.standard)
        return path.split(separator: ":").map { "\($0)/\(program)" }
    }
}
