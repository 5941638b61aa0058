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

    @Test("Members that come and go are asked for where they are to be, watched, and said to be refused")
    func members() async throws {
        let id = "0123456789ABCDEFGHJKMNPQ02"
        let member = try MemberName("shop-3")
        func cluster(refusal: String?) throws -> String {
            var body = try Answers.cluster(.ready)
            var change = MemberChange(id: id, steps: refusal == nil ? [] : [.init(.remove, member)])
            change.refusal = refusal
            body.change = ChangeState(change)
            return try Answers.json(body)
        }
        let calls: [([String], String, String)] = [
            (["member", "add", "shop", "--region", "sin"], "POST /v1/postgres/shop/members", #"{"region":"sin"}"#),
            (["member", "remove", "shop", "shop-3", "--yes"], "DELETE /v1/postgres/shop/members/shop-3", ""),
            (
                ["member", "replace", "shop", "shop-3", "--host", "sin1", "--yes"],
                "POST /v1/postgres/shop/members/shop-3/replace", #"{"host":"sin1"}"#
            ),
            (
                ["scale", "shop", "--region", "iad=2", "--region", "sin=1", "--yes"], "PUT /v1/postgres/shop/scale",
                #"{"regions":{"iad":2,"sin":1}}"#
            ),
        ]
        for refusal in [nil, "shop-3 leads: switch over to another first"] {
            let told = try cluster(refusal: refusal)
            let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
                if request.line.contains("operations") { return .init(status: 404, parts: ["{}"]) }
                if request.line.hasPrefix("GET") { return .init(parts: [told]) }
                return .init(status: 202, parts: [#"{"ok":true,"id":"\#(id)"}"#])
            }
            try await ScriptedHost.run(answering: answer) { host in
                for (words, line, body) in calls {
                    let before = host.log.all.count
                    let outcome = try await RoostProgram.run(["pg"] + words + ["--json", "--api", host.path])
                    #expect(outcome.status == (refusal == nil ? 0 : 1), "\(outcome)")
                    if let refusal { #expect(outcome.errors.contains(refusal), "\(outcome)") }
                    let sent = try #require(host.log.all.dropFirst(before).first)
                    #expect(sent.line == line && sent.body == body, "\(sent)")
                }
            }
        }
        for words in [["member", "add", "shop"], ["scale", "shop"], ["scale", "shop", "--region", "iad"]] {
            let outcome = try await RoostProgram.run(["pg"] + words + ["--api", "unix:///nowhere"])
            #expect(outcome.status == 2, "\(outcome)")
        }
    }

    @Test("What members know is shown, and the rule becomes what was shown when somebody says so")
    func recover() async throws {
        var after = try Answers.cluster(.ready)
        after.epoch = Epoch(9)
        let (left, right) = (try MemberName("shop-1"), try MemberName("shop-2"))
        let last = ReignBody(Reign(epoch: Epoch(7), leader: right, begin: LSN(1000)))
        let known = KnowledgeBody(
            name: right, isHeard: true, hasProof: true, promised: Epoch(8), opened: last, last: last,
            position: Position(epoch: Epoch(7), end: LSN(1200)), detail: "the store has gone back: proof")
        let mute = KnowledgeBody(
            name: left, isHeard: false, hasProof: false, promised: nil, opened: nil, last: nil, position: nil,
            detail: nil, mute: "not heard")
        var recovery = RecoveryBody(
            revision: 41, epoch: Epoch(3), leader: left, members: [mute, known],
            proposal: RecoveryProposal(last: last, source: right, calls: Epoch(9), strangers: [left]), obstacle: nil)
        let (told, ended) = (try Answers.json(recovery), try Answers.json(after))
        recovery.proposal = nil
        recovery.obstacle = "1 more member must say what it knows, of: shop-1"
        let refused = try Answers.json(recovery)
        recovery.members = [mute]
        let needless = try Answers.json(recovery)
        func run(_ words: [String], _ said: String) async throws -> (RoostProgram.Outcome, [ScriptedHost.Request]) {
            let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
                .init(parts: [request.line == "GET /v1/postgres/shop/recovery" ? said : ended])
            }
            var outcome: RoostProgram.Outcome?
            var log: [ScriptedHost.Request] = []
            try await ScriptedHost.run(answering: answer) { host in
                outcome = try await RoostProgram.run(["pg", "recover", "shop"] + words + ["--api", host.path])
                log = host.log.all
            }
            return (try #require(outcome), log)
        }
        let (shown, looks) = try await run([], told)
        #expect(shown.status == 0 && looks.count == 1, "\(shown)")
        for words in [
            "shop-2 in epoch 7, from 0/3E8", "0/4B0 of epoch 7", "called to epoch 9", "gone back: proof",
            // It may be one member's word.
            "as shop-2 alone knows", "shop-1 does not count: not heard",
        ] {
            #expect(shown.output.contains(words), "\(shown)")
        }
        let (json, _) = try await run(["--json"], refused)
        let read = try RoostJSON.decode(RecoveryBody.self, from: .init(json.output.utf8))
        #expect(json.status == 0 && read.obstacle?.contains("shop-1") == true, "\(json)")
        let (done, calls) = try await run(["--apply"], told)
        #expect(done.status == 0, "\(done)")
        let sent = try #require(calls.first { $0.line.hasPrefix("POST") })
        #expect(sent.line == "POST /v1/postgres/shop/recovery")
        // What is done is what was shown, which is said first.
        let wish = try RoostJSON.decode(RecoverBody.self, from: .init(sent.body.utf8))
        let shownRecovery = try RoostJSON.decode(RecoveryBody.self, from: .init(told.utf8))
        #expect(wish.revision == 41 && wish.proposal == shownRecovery.proposal)
        #expect(done.errors.contains("shop-2 in epoch 7, from 0/3E8") && !done.errors.contains("Do it:"), "\(done)")
        let (not, quiet) = try await run(["--apply"], refused)
        #expect(not.status == 1 && not.errors.contains("must say what it knows"), "\(not)")
        let (again, still) = try await run(["--apply"], needless)
        #expect(again.status == 0 && again.errors.contains("stays as it is"), "\(again)")
        #expect(!(quiet + still).contains { $0.line.hasPrefix("POST") })
    }
}
