import Glibc
import RoostLinux
import RoostModel
import RoostWire
import Testing

@testable import RoostClient

/// Ctrl-C in the middle of an order: what the command says of that which goes on without it.
@Suite struct InterruptionTests {
    /// Runs the command until the host is asked what begins with `line`, and presses Ctrl-C.
    private func interrupted(
        _ words: [String], once line: String, at host: ScriptedHost, behind: [String] = []
    ) async throws -> Command.Output {
        let file = "\(host.path).pid"
        defer { unlink(file) }
        // A shell that runs the tests in the background has them ignore SIGINT.
        async let outcome = Command(
            "sh",
            ["-c", "echo $$ >\(file); exec env --default-signal=INT \"$0\" \"$@\"", RoostProgram.path] + words + [
                "--api", host.path,
            ] + behind,
            environment: ["ROOST_API": "", "ROOST_TOKEN": "", "ROOST_LAB": ""], deadline: .seconds(30)
        ).outcome()
        let isAsked = try await poll(for: .seconds(20), every: .milliseconds(10)) {
            host.log.all.contains { $0.line.hasPrefix(line) } ? true : nil
        }
        try #require(isAsked == true, "\(words) asked for no \(line): \(host.log.all.map(\.line))")
        let text = String(decoding: try #require(try DurableFile.read(file)), as: UTF8.self)
        kill(try #require(pid_t(text.split(whereSeparator: \.isNewline).first ?? "")), SIGINT)
        return try await outcome
    }

    @Test(
        "An order that is interrupted before it is answered ends with 130, and says how to see what came of it",
        arguments: [
            ("apps create shop", "POST /v1/apps", ["apps show shop", "apps destroy shop"]),
            ("apps destroy shop", "DELETE /v1/apps/shop", ["apps show shop"]),
            (
                "machines create shop --image i", "POST /v1/apps/shop/machines",
                ["machines list shop", "machines destroy --force shop ID"]
            ),
            ("machines create shop --image i --name web", "POST ", ["machines destroy --force shop web"]),
            (
                "machines start shop 0123456789abcd", "POST /v1/apps/shop/machines/0123456789abcd/start",
                ["machines show shop 0123456789abcd", "machines stop shop 0123456789abcd"]
            ),
            (
                "machines stop shop 0123456789abcd", "POST /v1/apps/shop/machines/0123456789abcd/stop",
                ["machines show shop 0123456789abcd", "machines start shop 0123456789abcd"]
            ),
            ("machines restart shop 0123456789abcd", "POST ", ["machines show shop 0123456789abcd"]),
            ("machines destroy shop 0123456789abcd", "DELETE ", ["machines show shop 0123456789abcd"]),
            ("volumes create shop data", "POST ", ["volumes list shop", "volumes destroy shop ID"]),
            ("volumes destroy shop vol_0123456789abcdef", "DELETE ", ["volumes list shop"]),
            ("hosts stop-edge ams1", "POST ", ["hosts list"]),
            ("pg create shop --region ams", "POST ", ["pg status shop", "pg destroy shop"]),
            ("pg allow shop 203.0.113.0/24", "PUT ", ["pg allow shop"]),
            ("pg pause shop", "PUT ", ["pg status shop", "pg resume shop"]),
            ("pg restart shop", "POST ", ["pg status shop", "pg restart shop --cancel"]),
            ("pg restart shop --member m2", "POST ", ["pg status shop", "pg restart shop --cancel"]),
            ("pg resume shop", "DELETE ", ["pg status shop"]),
            ("pg destroy shop", "DELETE ", ["pg list"]),
        ] as [(String, String, [String])])
    func unanswered(words: String, line: String, advice: [String]) async throws {
        let cluster = try Answers.json(try Answers.cluster(.ready))
        try await ScriptedHost.run { request in
            request.line.hasPrefix("GET /v1/postgres/") ? .init(parts: [cluster]) : .init(ending: .silent)
        } _: { host in
            let outcome = try await interrupted(words.split(separator: " ").map(String.init), once: line, at: host)
            #expect(outcome.status == 130, "\(outcome)")
            #expect(outcome.standardOutput.isEmpty)
            for command in advice { #expect(outcome.standardError.contains("roost " + command), "\(outcome)") }
            // Whoever looks begins nothing by it.
            let looks = [
                "apps show ", "hosts list", "machines list ", "machines show ", "pg allow shop", "pg list",
                "pg status ",
                "volumes list ",
            ]
            for look in outcome.standardError.split(separator: "See it: roost ").dropFirst() {
                #expect(looks.contains { look.hasPrefix($0) }, "\(outcome)")
            }
        }
    }

    @Test("A machine that is made is named when the wait for its start is interrupted")
    func machineIsNamed() async throws {
        let machine = try Answers.json(Answers.machine(.created))
        try await ScriptedHost.run { request in
            request.line.hasPrefix("POST") ? .init(parts: [machine]) : .init(ending: .silent)
        } _: { host in
            let outcome = try await interrupted(
                ["machines", "create", "shop", "--image", "i"], once: "GET ", at: host)
            #expect(outcome.status == 130, "\(outcome)")
            for words in [
                "ams1 goes on starting it", "roost machines show shop 0123456789abcd",
                "roost machines destroy --force shop 0123456789abcd",
            ] {
                #expect(outcome.standardError.contains(words), "\(outcome)")
            }
        }
    }

    @Test("A command in a machine does not outlive the one that ran it; what a superuser's psql sent may")
    func commandsInMachines() async throws {
        let cluster = try Answers.json(Answers.cluster(.ready))
        try await ScriptedHost.run { request in
            request.line.hasPrefix("GET") ? .init(parts: [cluster]) : .init(ending: .silent)
        } _: { host in
            let exec = try await interrupted(
                ["machines", "exec", "shop", "0123456789abcd"], once: "POST ", at: host, behind: ["--", "sleep", "9"])
            #expect(exec.status == 130 && exec.standardError.contains("ends the command"), "\(exec)")
        }
        try await ScriptedHost.run { request in
            request.line.hasPrefix("GET") ? .init(parts: [cluster]) : .init(ending: .silent)
        } _: { host in
            let psql = try await interrupted(["pg", "superuser", "shop", "select 1"], once: "POST ", at: host)
            #expect(psql.status == 130 && psql.standardError.contains("pg_stat_activity"), "\(psql)")
        }
    }
}
