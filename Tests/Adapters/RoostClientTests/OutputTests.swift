import FoundationEssentials
import RoostLinux
import RoostModel
import RoostWire
import Testing

@testable import RoostClient

/// Results that nobody reads, or that cannot be written.
@Suite struct OutputTests {
    /// The program in a line of the shell, where it is `$0`.
    private func shell(_ line: String, at host: ScriptedHost) async throws -> Command.Output {
        try await Command(
            "sh", ["-c", line, RoostProgram.path],
            environment: ["ROOST_API": "unix://\(host.path)", "ROOST_TOKEN": "", "ROOST_LAB": ""],
            deadline: .seconds(30)
        ).outcome()
    }

    @Test(
        "A result that cannot be written is a failure, whatever the command",
        arguments: [
            "pg list --json", "machines list shop --json", "pg status shop", "machines logs shop 0123456789abcd",
            "--help",
            "--version",
        ], [">/dev/full", ">&-"])
    func unwritten(command: String, place: String) async throws {
        let cluster = try Answers.json(Answers.cluster(.ready))
        try await ScriptedHost.run { request in
            if request.line.contains("/logs") { return .init(parts: ["text\n"]) }
            return .init(parts: [
                request.line.hasSuffix("postgres/shop")
                    ? cluster : request.line.hasSuffix("postgres") ? #"{"clusters":[]}"# : "[]"
            ])
        } _: { host in
            let outcome = try await shell("\"$0\" \(command) \(place)", at: host)
            #expect(outcome.status == 1, "\(outcome)")
            #expect(outcome.standardError.contains("could not write the output"), "\(outcome)")
        }
    }

    @Test("A watch whose reader has gone ends as SIGPIPE would end it, also when it has nothing new to say")
    func watchIsNotRead() async throws {
        let cluster = try Answers.json(Answers.cluster(.ready))
        try await ScriptedHost.run { _ in
            .init(parts: [cluster])
        } _: { host in
            let outcome = try await shell(
                "(\"$0\" pg status shop --watch --json; echo ended with $? >&2) | head -n 1", at: host)
            #expect(outcome.status == 0)
            #expect(outcome.standardOutput.split(separator: "\n").count == 1)
            #expect(outcome.standardError == "ended with 141\n")
        }
    }
}
