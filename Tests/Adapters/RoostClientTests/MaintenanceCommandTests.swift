import FoundationEssentials
import RoostModel
import RoostWire
import Synchronization
import Testing

@testable import RoostClient

/// `roost pg` for whoever works on a cluster that runs, against a host that answers by a script.
@Suite struct MaintenanceCommandTests {
    @Test("A pause is said in seconds, and shown with its end")
    func pause() async throws {
        var paused = try Answers.cluster(.ready)
        paused.pause = PauseState(endsAt: "2026-01-01T01:00:00Z")
        let (told, over) = (try Answers.json(paused), try Answers.json(Answers.cluster(.ready)))
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            .init(parts: [request.line.hasPrefix("DELETE") ? over : told])
        }
        try await ScriptedHost.run(answering: answer) { host in
            for (words, seconds) in [([], 3600), (["--for", "90m"], 5400)] as [([String], Int64)] {
                let outcome = try await RoostProgram.run(["pg", "pause", "shop"] + words + ["--api", host.path])
                #expect(outcome.status == 0 && outcome.output.contains("until 2026-01-01T01:00:00Z"), "\(outcome)")
                let sent = try #require(host.log.all.last)
                #expect(sent.line == "PUT /v1/postgres/shop/pause")
                #expect(try RoostJSON.decode(PauseBody.self, from: .init(sent.body.utf8)).seconds == seconds)
            }
            let status = try await RoostProgram.run(["pg", "status", "shop", "--api", host.path])
            #expect(status.output.contains("until 2026-01-01T01:00:00Z"), "\(status)")
            let resumed = try await RoostProgram.run(["pg", "resume", "shop", "--json", "--api", host.path])
            #expect(try RoostJSON.decode(ClusterBody.self, from: .init(resumed.output.utf8)).pause == nil)
            #expect(host.log.all.last?.line == "DELETE /v1/postgres/shop/pause")
        }
    }

    @Test(
        "A restart is watched until nobody is left, or until it is said why not", arguments: [nil, "it was taken back"])
    func restart(refusal: String?) async throws {
        let id = "0123456789ABCDEFGHJKMNPQ01"
        var under = try Answers.cluster(.ready)
        let names = under.members.map(\.name)
        under.restart = RestartState(id: id, left: Array(names.suffix(1)), done: [], refusal: nil)
        var over = under
        over.restart = RestartState(
            id: id, left: refusal == nil ? [] : Array(names.suffix(1)), done: Array(names.prefix(1)), refusal: refusal)
        let (going, ended) = (try Answers.json(under), try Answers.json(over))
        let polls = Mutex(0)
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            if request.line.hasPrefix("POST") { return .init(status: 202, parts: [#"{"ok":true,"id":"\#(id)"}"#]) }
            if request.line.contains("operations") { return .init(status: 404, parts: ["{}"]) }
            let count = polls.withLock { polls in
                polls += 1
                return polls
            }
            return .init(parts: [count < 3 ? going : ended])
        }
        try await ScriptedHost.run(answering: answer) { host in
            let outcome = try await RoostProgram.run([
                "pg", "restart", "shop", "--member", "m2", "--no-switchover", "--timeout", "1m", "--json", "--api",
                host.path,
            ])
            #expect(outcome.status == (refusal == nil ? 0 : 1), "\(outcome)")
            if let refusal { #expect(outcome.errors.contains(refusal), "\(outcome)") }
            let sent = try #require(host.log.all.first)
            #expect(sent.line == "POST /v1/postgres/shop/restart")
            #expect(sent.body == #"{"hand_over":false,"member":"m2","seconds":60}"#)
        }
    }
}
