import Glibc
import RoostLinux
import RoostModel

/// Runs the host's network programs in the namespace the mesh lives in.
struct HostCommands: Sendable {
    let networkNamespace: String?

    /// Long enough for a busy host, short enough that a frozen wireguard-go is an error and not a wait.
    static let deadline = Duration.seconds(10)

    private func command(_ program: String, _ arguments: [String], input: String) -> Command {
        guard let networkNamespace else {
            return Command(program, arguments, input: input, deadline: Self.deadline)
        }
        return Command(
            "nsenter", ["--net=" + networkNamespace, "--", program] + arguments, input: input, deadline: Self.deadline)
    }

    /// The output of a program that must succeed.
    @discardableResult
    func run(
        _ operation: String, of subject: String, _ program: String, _ arguments: [String], input: String = ""
    ) async throws(MeshError) -> String {
        do {
            return try await command(program, arguments, input: input).run().standardOutput
        } catch {
            throw MeshError(operation: operation, subject: subject, cause: "\(error)")
        }
    }

    /// The output of a program whose failure is an answer too.
    func ask(
        _ operation: String, of subject: String, _ program: String, _ arguments: [String], input: String = ""
    ) async throws(MeshError) -> (succeeded: Bool, output: String) {
        do {
            let output = try await command(program, arguments, input: input).outcome()
            return (output.status == 0, output.standardOutput)
        } catch {
            throw MeshError(operation: operation, subject: subject, cause: "\(error)")
        }
    }

    /// One `ip` command a line; what they list is of IPv6.
    @discardableResult
    func ip(
        _ operation: String, of subject: String, _ lines: [String]
    ) async throws(MeshError) -> String {
        try await run(
            operation, of: subject, "ip", ["-6", "-batch", "-"], input: lines.joined(separator: "\n") + "\n")
    }
}
