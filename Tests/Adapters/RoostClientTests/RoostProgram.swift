import Glibc
import RoostLinux

/// The `roost` program as users run it.
enum RoostProgram {
    struct Outcome: Sendable {
        var status: Int32
        var output: String
        var errors: String
    }

    /// `ROOST_BIN` names a folder with the programs; otherwise they are beside the tests.
    static var path: String {
        if let folder = getenv("ROOST_BIN") { return String(cString: folder) + "/roost" }
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        let own = String(decoding: buffer[..<max(0, count)].map(UInt8.init(bitPattern:)), as: UTF8.self)
        return own.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/") + "/roost"
    }

    /// Without a terminal, and with none of this process's settings.
    static func run(
        _ arguments: [String], environment: [String: String] = [:], input: String = ""
    ) async throws -> Outcome {
        var variables = ["ROOST_API": "", "ROOST_TOKEN": "", "ROOST_LAB": ""]
        variables.merge(environment) { $1 }
        let output = try await Command(path, arguments, environment: variables, input: input).outcome()
        return Outcome(status: output.status, output: output.standardOutput, errors: output.standardError)
    }
}
