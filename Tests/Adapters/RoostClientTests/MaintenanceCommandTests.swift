import FoundationEssentials
import RoostModel
import RoostWire
import Synchronization
import Testing

@testable import RoostClient

/// `roost pg` for whoever works on a cluster that runs, against a host that answers by a script.
@Suite struct MaintenanceCommandTests {
    @Test(
        "What goes on after the command has given up is named",
        arguments: [
            ["switchover", "shop"], ["member", "add", "shop", "--region", "ams"], ["restart", "shop"],
            ["create", "shop", "--region", "ams"], ["destroy", "shop", "--yes"],
        ])
    func whatGoesOnIsNamed(command: [String]) async throws {
        let body = try Answers.json(Answers.cluster(.creating, detail: "it takes its time"))
        let id = "0123456789ABCDEFGHJKMNPQ01"
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            if !request.line.hasPrefix("GET") {
                let asked = command.first == "create" ? body : #"{"ok":true,"id":"\#(id)"}"#
                return .init(status: 202, headers: [("roost-operation", id)], parts: [asked])
            }
            let isOperation = request.line == "GET /v1/operations/\(id)"
            return .init(parts: [isOperation ? Answers.operation(id, command[0], "running") : body])
        }
        try await ScriptedHost.run(answering: answer) { host in
            let outcome = try await RoostProgram.run(["pg"] + command + ["--timeout", "1s", "--api", host.path])
            #expect(outcome.status == 1 && outcome.errors.contains("no sign after"), "\(outcome)")
            #expect(outcome.errors.contains("roost pg status shop"), "\(outcome)")
            #expect(outcome.errors.contains("roost operations show \(id)"), "\(outcome)")
        }
    }

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
        "The end of a pause says what was found and what was done",
        arguments: [
            (ResumedState(wasPaused: true, endsAt: "2026-01-01T01:00:00Z"), nil, ["01:00:00Z, is ended"]),
            (ResumedState(wasPaused: false, endsAt: "2026-01-01T01:00:00Z"), nil, ["over by itself at 2026-01-01T01"]),
            (ResumedState(wasPaused: false, endsAt: nil), nil, ["was not paused", "nothing is changed"]),
            (ResumedState(wasPaused: true, endsAt: nil), "2026-01-02", ["is ended", "It is paused until 2026-01-02"]),
            (nil, nil, ["is not paused"]), (nil, "2026-01-02", ["It is paused until 2026-01-02"]),
        ] as [(ResumedState?, String?, [String])])
    func resume(found: ResumedState?, anew: String?, words: [String]) async throws {
        var body = try Answers.cluster(.ready)
        body.resumed = found
        body.pause = anew.map { PauseState(endsAt: $0) }
        let told = try Answers.json(body)
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { _ in .init(parts: [told]) }
        try await ScriptedHost.run(answering: answer) { host in
            let outcome = try await RoostProgram.run(["pg", "resume", "shop", "--api", host.path])
            #expect(outcome.status == 0, "\(outcome)")
            for word in words { #expect(outcome.output.contains(word), "\(outcome)") }
            #expect(outcome.output.contains("It is paused") == (anew != nil), "\(outcome)")
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
        // The member's own report comes after the rule says that it is done.
        over.members[0].detail = "its Postgres is being started anew"
        let last = try Answers.json(over)
        over.members[0].detail = nil
        over.members[0].state = "running"
        let (going, ended) = (try Answers.json(under), try Answers.json(over))
        let polls = Mutex(0)
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            if request.line.hasPrefix("POST") { return .init(status: 202, parts: [#"{"ok":true,"id":"\#(id)"}"#]) }
            if request.line.contains("operations") { return .init(status: 404, parts: ["{}"]) }
            let count = polls.withLock { polls in
                polls += 1
                return polls
            }
            return .init(parts: [count < 3 ? going : count < 5 ? last : ended])
        }
        try await ScriptedHost.run(answering: answer) { host in
            let outcome = try await RoostProgram.run([
                "pg", "restart", "shop", "--member", "m2", "--no-switchover", "--timeout", "1m", "--json", "--api",
                host.path,
            ])
            #expect(outcome.status == (refusal == nil ? 0 : 1), "\(outcome)")
            if let refusal { #expect(outcome.errors.contains(refusal), "\(outcome)") }
            #expect(!outcome.output.contains("being started anew"), "\(outcome)")
            let sent = try #require(host.log.all.first { $0.line.hasPrefix("POST") })
            #expect(sent.line == "POST /v1/postgres/shop/restart")
            #expect(sent.body == #"{"hand_over":false,"member":"m2","seconds":60}"#)
        }
    }

    @Test("What a member says all the time is not waited for when it is started anew")
    func restartOfOneWithADetail() async throws {
        let id = "0123456789ABCDEFGHJKMNPQ01"
        var over = try Answers.cluster(.ready)
        over.restart = RestartState(id: id, left: [], done: over.members.prefix(1).map(\.name), refusal: nil)
        for index in over.members.indices { over.members[index].state = "running" }
        over.members[0].detail = "no slot is left for another standby"
        let told = try Answers.json(over)
        try await ScriptedHost.run { request in
            if request.line.hasPrefix("POST") { return .init(status: 202, parts: [#"{"ok":true,"id":"\#(id)"}"#]) }
            return request.line.contains("operations") ? .init(status: 404, parts: ["{}"]) : .init(parts: [told])
        } _: { host in
            let outcome = try await RoostProgram.run(["pg", "restart", "shop", "--json", "--api", host.path])
            #expect(outcome.status == 0, "\(outcome)")
            // One look, and one before it was asked for: it says nothing that it did not say then.
            #expect(host.log.all.count { $0.line == "GET /v1/postgres/shop" } == 2, "\(host.log.all)")
        }
    }

    @Test("What a member says of the restart itself is not what it says all the time", arguments: [true, false])
    func restartWithADetailOfIts(isSaidAgain: Bool) async throws {
        let id = "0123456789ABCDEFGHJKMNPQ01"
        var before = try Answers.cluster(.ready)
        var over = before
        over.restart = RestartState(id: id, left: [], done: over.members.prefix(1).map(\.name), refusal: nil)
        for index in over.members.indices { over.members[index].state = "running" }
        let ended = try Answers.json(over)
        over.members[0].detail = "its Postgres is being started anew"
        let early = try Answers.json(over)
        if isSaidAgain {
            before.restart = RestartState(id: id, left: over.members.prefix(1).map(\.name), done: [], refusal: nil)
            before.members[0].detail = over.members[0].detail
        }
        let first = try Answers.json(before)
        let polls = Mutex(0)
        try await ScriptedHost.run { request in
            if request.line.hasPrefix("POST") { return .init(status: 202, parts: [#"{"ok":true,"id":"\#(id)"}"#]) }
            if request.line.contains("operations") { return .init(status: 404, parts: ["{}"]) }
            let count = polls.withLock { polls in
                polls += 1
                return polls
            }
            return .init(parts: [count == 1 ? first : count < 4 ? early : ended])
        } _: { host in
            let outcome = try await RoostProgram.run(["pg", "restart", "shop", "--json", "--api", host.path])
            #expect(outcome.status == 0 && !outcome.output.contains("started anew"), "\(outcome)")
            #expect(host.log.all.count { $0.line == "GET /v1/postgres/shop" } == 4, "\(host.log.all)")
        }
    }

    @Test("A leader that was to stay in office and did not is named, and so is the last step, which comes with the end")
    func restartOfALeader() async throws {
        let id = "0123456789ABCDEFGHJKMNPQ01"
        let step = "m1's Postgres was started anew"
        var under = try Answers.cluster(.ready)
        under.restart = RestartState(id: id, left: [try MemberName("m1")], done: [], refusal: nil)
        var over = try Answers.cluster(.ready, epoch: 2, leader: "m2")
        over.restart = RestartState(id: id, left: [], done: [try MemberName("m1")], refusal: nil)
        for index in over.members.indices { over.members[index].state = "running" }
        let (going, ended) = (try Answers.json(under), try Answers.json(over))
        let polls = Mutex(0)
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            if request.line.hasPrefix("POST") { return .init(status: 202, parts: [#"{"ok":true,"id":"\#(id)"}"#]) }
            // Longer than what is told nobody.
            if request.line.contains("operations") {
                let isOver = polls.withLock { $0 } > 8
                return .init(parts: [
                    Answers.operation(id, "restart", isOver ? "succeeded" : "running", steps: isOver ? [step] : [])
                ])
            }
            let count = polls.withLock { polls in
                polls += 1
                return polls
            }
            return .init(parts: [count > 8 ? ended : going])
        }
        try await ScriptedHost.run(answering: answer) { host in
            let outcome = try await RoostProgram.run([
                "pg", "restart", "shop", "--member", "m1", "--no-switchover", "--api", host.path,
            ])
            #expect(outcome.status == 0, "\(outcome)")
            #expect(outcome.errors.contains(step), "\(outcome)")
            #expect(outcome.errors.contains("m2 leads now: m1 did not stay in office"), "\(outcome)")
        }
    }

    @Test(
        "Who takes back what is not under way, or asks for what is so, is told that nothing is changed",
        arguments: [true, false, nil])
    func nothingToTakeBack(wasUnderWay: Bool?) async throws {
        let told = try Answers.json(Answers.cluster(.ready))
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            if request.line.hasPrefix("DELETE") {
                // A host of a version before does not say.
                return .init(parts: [#"{"ok":true"# + (wasUnderWay.map { #","was_under_way":\#($0)"# } ?? "") + "}"])
            }
            return .init(parts: [request.line.hasPrefix("PUT") ? #"{"ok":true}"# : told])
        }
        try await ScriptedHost.run(answering: answer) { host in
            for words in [["restart", "shop", "--cancel"], ["scale", "shop", "--cancel"]] {
                let outcome = try await RoostProgram.run(["pg"] + words + ["--api", host.path])
                #expect(outcome.status == 0, "\(outcome)")
                #expect(outcome.errors.contains("nothing is changed") == (wasUnderWay == false), "\(outcome)")
            }
            let same = try await RoostProgram.run([
                "pg", "scale", "shop", "--region", "ams=1", "--yes", "--api", host.path,
            ])
            #expect(same.status == 0 && same.errors.contains("nothing is changed"), "\(same)")
        }
    }

    @Test("Members have come when the cluster confirms by them, and not while it would refuse the next change")
    func membersThatConfirm() async throws {
        let id = "0123456789ABCDEFGHJKMNPQ02"
        func body(_ status: ClusterBody.Status) throws -> String {
            var body = try Answers.cluster(status)
            body.change = ChangeState(MemberChange(id: id, steps: []))
            return try Answers.json(body)
        }
        let (waiting, ready) = (try body(.unavailable), try body(.ready))
        let polls = Mutex(0)
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            if request.line.contains("operations") { return .init(status: 404, parts: ["{}"]) }
            guard request.line.hasPrefix("GET") else {
                return .init(status: 202, parts: [#"{"ok":true,"id":"\#(id)"}"#])
            }
            let count = polls.withLock { polls in
                polls += 1
                return polls
            }
            return .init(parts: [count < 4 ? waiting : ready])
        }
        try await ScriptedHost.run(answering: answer) { host in
            let outcome = try await RoostProgram.run([
                "pg", "member", "add", "shop", "--region", "sin", "--json", "--api", host.path,
            ])
            #expect(outcome.status == 0, "\(outcome)")
            #expect(try RoostJSON.decode(ClusterBody.self, from: .init(outcome.output.utf8)).status == .ready)
        }
    }

    @Test("What is left over of a cluster is named with what has it, and with how it is removed")
    func leftovers() async throws {
        var cluster = try Answers.cluster(.ready)
        let (machine, volume) = (try MachineID("b490dda596026c"), try VolumeID("vol_0123456789abcdef"))
        cluster.leftovers = [
            LeftoverBody(name: "m3", machine: machine, volume: volume, host: try HostName("sin1")),
            LeftoverBody(name: nil, machine: nil, volume: volume, host: nil),
            LeftoverBody(
                name: "m4", machine: machine, volume: volume, host: nil,
                lastCopy: "m4 says that the store has gone back"),
        ]
        let body = try Answers.json(cluster)
        try await ScriptedHost.run(answering: { _ in .init(parts: [body]) }) { host in
            let outcome = try await RoostProgram.run(["pg", "status", "shop", "--api", host.path])
            for words in [
                "machine \(machine) (m3) with volume \(volume) on sin1",
                "roost machines destroy shop \(machine) --force; roost volumes destroy shop \(volume)",
                "remove it: roost volumes destroy shop \(volume)",
                "but m4 says that the store has gone back. Take a dump of it; then remove it: "
                    + "roost machines destroy shop \(machine) --force --last-copy; "
                    + "roost volumes destroy shop \(volume) --force",
            ] { #expect(outcome.output.contains(words), "\(outcome)") }
            let json = try await RoostProgram.run(["pg", "status", "shop", "--json", "--api", host.path])
            #expect(
                try RoostJSON.decode(ClusterBody.self, from: .init(json.output.utf8)).leftovers == cluster.leftovers)
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
        for words in [
            ["member", "add", "shop"], ["member", "move", "shop", "shop-3"], ["scale", "shop"],
            ["scale", "shop", "--region", "iad"], ["replace-after", "shop", "5s"],
            ["create", "shop", "--survive", "host"], ["create", "shop", "--survive", "zone", "--home", "ams"],
            ["create", "shop", "--survive", "host", "--home", "ams", "--region", "ams"], ["create", "shop"],
        ] {
            let outcome = try await RoostProgram.run(["pg"] + words + ["--api", "unix:///nowhere"])
            #expect(outcome.status == 2, "\(outcome)")
        }
    }

    @Test("A member is moved by another one that comes, and one that is there stays")
    func move() async throws {
        let id = "0123456789ABCDEFGHJKMNPQ02"
        var body = try Answers.cluster(.ready)
        body.change = ChangeState(MemberChange(id: id, steps: []))
        let told = try Answers.json(body)
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            if request.line.contains("operations") { return .init(status: 404, parts: ["{}"]) }
            if request.line.hasPrefix("GET") { return .init(parts: [told]) }
            return .init(status: 202, parts: [#"{"ok":true,"id":"\#(id)"}"#])
        }
        try await ScriptedHost.run(answering: answer) { host in
            let there = try await RoostProgram.run(
                ["pg", "member", "move", "shop", "m2", "--region", "iad", "--host", "iad1", "--api", host.path])
            #expect(there.status == 0 && there.output.contains("m2 is there already"), "\(there)")
            #expect(host.log.all.allSatisfy { $0.line.hasPrefix("GET") })
            let outcome = try await RoostProgram.run(
                ["pg", "member", "move", "shop", "m2", "--host", "iad2", "--yes", "--json", "--api", host.path])
            #expect(outcome.status == 0, "\(outcome)")
            let sent = try #require(host.log.all.first { $0.line.hasPrefix("POST") })
            #expect(sent.line == "POST /v1/postgres/shop/members/m2/replace" && sent.body == #"{"host":"iad2"}"#)
        }
    }

    @Test("Of a member that is being removed it is not said that it is there: what can be done is the host's to say")
    func moveOfOneThatGoes() async throws {
        let words = "another change of members is under way, operation 0123456789ABCDEFGHJKMNPQ02"
        let steps = [
            MemberChange.Step(.add, try MemberName("m3")), MemberChange.Step(.remove, try MemberName("m2")),
        ]
        var going = try Answers.cluster(.ready)
        going.change = ChangeState(MemberChange(id: "0123456789ABCDEFGHJKMNPQ02", steps: steps))
        var leaving = try Answers.cluster(.ready)
        leaving.members[1].state = "leaving"
        // What is left of a change that was given up goes on with nobody.
        var refused = going
        refused.change?.refusal = "it was taken back"
        for (body, isThere) in [(going, false), (leaving, false), (refused, true)] {
            let told = try Answers.json(body)
            let refusal = #"{"error":"\#(words)","code":"failed_precondition","status":"unknown"}"#
            try await ScriptedHost.run { request in
                request.line.hasPrefix("GET") ? .init(parts: [told]) : .init(status: 412, parts: [refusal])
            } _: { host in
                let outcome = try await RoostProgram.run(
                    ["pg", "member", "move", "shop", "m2", "--host", "iad1", "--yes", "--api", host.path])
                #expect(outcome.status == (isThere ? 0 : 1), "\(outcome)")
                #expect(outcome.output.contains("m2 is there already") == isThere, "\(outcome)")
                #expect(outcome.errors.contains(words) == !isThere, "\(outcome)")
            }
        }
    }

    @Test("A lost member's time is said and shown, and a cluster is made by what it is to survive")
    func survival() async throws {
        var body = try Answers.cluster(.ready)
        body.replaceAfter = .after(.seconds(1800))
        body.survival = SurvivalBody(
            wanted: .region, home: try RegionCode("ams"), now: [.host], hosts: nil, regions: [try RegionCode("ams")],
            store: "the store does not survive the loss of region ams: it has 2 of its 3 members there")
        let told = try Answers.json(body)
        try await ScriptedHost.run { request in
            .init(status: request.line.hasPrefix("POST") ? 201 : 200, parts: [told])
        } _: { host in
            let set = try await RoostProgram.run(["pg", "replace-after", "shop", "30m", "--api", host.path])
            #expect(set.status == 0 && set.output.contains("stays lost for 30m"), "\(set)")
            let sent = try #require(host.log.all.first)
            #expect(sent.line == "PUT /v1/postgres/shop/replace-after" && sent.body == #"{"after":"30m"}"#)
            let shown = try await RoostProgram.run(["pg", "status", "shop", "--api", host.path])
            #expect(shown.output.contains("members that are lost for 30m"), "\(shown)")
            #expect(
                shown.output.contains(
                    "the loss of any one host; not of region ams; the store does not survive the loss of region ams: it has "
                        + "2 of its 3 members there; it is to survive that of any one region"), "\(shown)")
            let made = try await RoostProgram.run([
                "pg", "create", "shop", "--survive", "region", "--home", "ams", "--replace-after", "never", "--json",
                "--api", host.path,
            ])
            #expect(made.status == 0, "\(made)")
            let request = try #require(host.log.all.first { $0.line.hasPrefix("POST") })
            #expect(request.body == #"{"home":"ams","name":"shop","replace_after":"never","survive":"region"}"#)
        }
    }
}
