import FoundationEssentials
import RoostModel
import RoostWire
import Synchronization
import Testing

@testable import RoostClient

@Suite struct PostgresCommandTests {
    @Test func createWaitsAndPrintsOneObject() async throws {
        let creating = try Answers.json(Answers.cluster(.creating, detail: "initialising m1"))
        let ready = try Answers.json(Answers.cluster(.ready))
        let polls = Mutex(0)
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            guard request.line.hasPrefix("GET") else { return .init(status: 201, parts: [creating]) }
            let count = polls.withLock { polls in
                polls += 1
                return polls
            }
            // A host may be away for a moment in between.
            return count == 2 ? .init(status: 503, parts: ["{}"]) : .init(parts: [count < 4 ? creating : ready])
        }
        try await ScriptedHost.run(answering: answer) { host in
            let outcome = try await RoostProgram.run([
                "pg", "create", "shop", "--region", "ams", "--replica-region", "iad", "--replica-region", "sin",
                "--volume-size", "2", "--json", "--api", host.path,
            ])
            #expect(outcome.status == 0, "\(outcome)")
            #expect(try RoostJSON.decode(ClusterBody.self, from: .init(outcome.output.utf8)).status == .ready)
            #expect(host.log.all.first?.line == "POST /v1/postgres")
            #expect(
                host.log.all.first?.body
                    == #"{"name":"shop","region":"ams","replica_regions":["iad","sin"],"volume_size_gb":2}"#)
        }
    }

    @Test("What is done while a command waits is told, each step once")
    func createTellsSteps() async throws {
        let (creating, ready) = (
            try Answers.json(Answers.cluster(.creating)), try Answers.json(Answers.cluster(.ready))
        )
        let id = "0123456789ABCDEFGHJKMNPQ01"
        let steps = ["placed m1 on ams1", "made m1 on ams1", "m1 initialised the cluster"]
        let polls = Mutex(0)
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            if request.line.hasPrefix("POST") {
                return .init(status: 201, headers: [("roost-operation", id)], parts: [creating])
            }
            if request.line == "GET /v1/operations/\(id)" {
                let count = polls.withLock { $0 }
                return .init(parts: [
                    Answers.operation(
                        id, "create_cluster", count < 7 ? "running" : "succeeded", steps: Array(steps.prefix(count)))
                ])
            }
            let count = polls.withLock { polls in
                polls += 1
                return polls
            }
            // Longer than what is told nobody.
            return .init(parts: [count < 7 ? creating : ready])
        }
        try await ScriptedHost.run(answering: answer) { host in
            let outcome = try await RoostProgram.run(["pg", "create", "shop", "--region", "ams", "--api", host.path])
            #expect(outcome.status == 0, "\(outcome)")
            for step in steps {
                #expect(outcome.errors.components(separatedBy: step + "\n").count == 2, "\(outcome.errors)")
            }
        }
    }

    @Test(
        "The last steps, which are written down when the cluster is ready or gone, are told too",
        arguments: [true, false])
    func lastSteps(isCreated: Bool) async throws {
        let (creating, ready) = (
            try Answers.json(Answers.cluster(.creating)), try Answers.json(Answers.cluster(.ready))
        )
        let id = "0123456789ABCDEFGHJKMNPQ01"
        let looks = Mutex((cluster: 0, after: 0))
        let isOver: @Sendable (Int) -> Bool = { $0 > 6 }
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            if !request.line.hasPrefix("GET") {
                return .init(status: isCreated ? 201 : 202, headers: [("roost-operation", id)], parts: [creating])
            }
            if request.line == "GET /v1/operations/\(id)" {
                let after = looks.withLock { looks in
                    if isOver(looks.cluster) { looks.after += 1 }
                    return looks.after
                }
                let names = ["began"] + (after > 1 ? ["let clients in"] : []) + (after > 2 ? ["was over"] : [])
                let steps = names.map { #"{"name":"\#($0)","at":"2026-01-01T00:00:00Z"}"# }.joined(separator: ",")
                return .init(parts: [
                    #"{"id":"\#(id)","kind":"create_cluster","object":"shop","#
                        + #""state":"\#(after > 2 ? "succeeded" : "running")","#
                        + #""started_at":"2026-01-01T00:00:00Z","steps":[\#(steps)]}"#
                ])
            }
            let count = looks.withLock { looks in
                looks.cluster += 1
                return looks.cluster
            }
            guard isOver(count) else { return .init(parts: [creating]) }
            return isCreated
                ? .init(parts: [ready])
                : .init(status: 404, parts: [#"{"error":"no cluster 'shop'","status":"unknown"}"#])
        }
        try await ScriptedHost.run(answering: answer) { host in
            let command = isCreated ? ["create", "shop", "--region", "ams"] : ["destroy", "shop"]
            let outcome = try await RoostProgram.run(["pg"] + command + ["--api", host.path])
            #expect(outcome.status == 0, "\(outcome)")
            for step in ["began", "let clients in", "was over"] {
                #expect(outcome.errors.components(separatedBy: step).count == 2, "\(step): \(outcome.errors)")
            }
            #expect(looks.withLock { $0.after } == 3, "it has ended, and nobody asks any more")
        }
    }

    @Test func createTellsWhyItIsNotReadyInTime() async throws {
        let creating = try Answers.json(Answers.cluster(.creating, detail: "no host in sin has room"))
        try await ScriptedHost.run { _ in
            .init(parts: [creating])
        } _: { host in
            let outcome = try await RoostProgram.run([
                "pg", "create", "shop", "--region", "ams", "--timeout", "600ms", "--api", host.path,
            ])
            #expect(outcome.status == 1)
            #expect(outcome.errors.contains("no host in sin has room"))
            #expect(outcome.errors.contains("roost pg status shop"))
            #expect(outcome.errors.contains("roost pg destroy shop"))
        }
    }

    @Test func takenNameIsExplained() async throws {
        let answer = ScriptedHost.Answer(status: 422, parts: [#"{"error":"taken","status":"name_taken"}"#])
        try await ScriptedHost.run { _ in
            answer
        } _: { host in
            let outcome = try await RoostProgram.run(["pg", "create", "shop", "--region", "ams", "--api", host.path])
            #expect(outcome.status == 1)
            #expect(outcome.errors.contains("roost pg status shop"))
        }
    }

    @Test func statusShowsEveryMember() async throws {
        let body = try Answers.json(Answers.cluster(.degraded, detail: "m2 is away"))
        try await ScriptedHost.run { _ in
            .init(parts: [body])
        } _: { host in
            let outcome = try await RoostProgram.run(["pg", "status", "shop", "--api", host.path])
            #expect(outcome.status == 0)
            for word in [
                "degraded: m2 is away", "ANY 1 of 1", "@203.0.113.1:5433", "ams1", "iad1", "primary", "standby",
                "8 KiB", "0.3 s",
            ] {
                #expect(outcome.output.contains(word), "\(word) in \(outcome.output)")
            }
            #expect(!outcome.output.contains("\u{1b}"), "no colour without a terminal")
        }
    }

    @Test func statusSaysWhichMembersShareAHostAndWhatItsLossMeans() async throws {
        var cluster = try Answers.cluster(.ready)
        let loss = "its loss can lose commits that were confirmed"
        cluster.sharedHosts = [
            SharedHostBody(host: try HostName("ams1"), members: cluster.members.map(\.name), loss: loss)
        ]
        let body = try Answers.json(cluster)
        try await ScriptedHost.run(answering: { _ in .init(parts: [body]) }) { host in
            let created = ["create", "shop", "--region", "ams", "--replica-region", "ams"]
            for command in [["status", "shop"], created] {
                let outcome = try await RoostProgram.run(["pg"] + command + ["--api", host.path])
                #expect(outcome.status == 0 && outcome.output.contains("m1, m2 are on ams1: \(loss)"), "\(outcome)")
                let json = try await RoostProgram.run(["pg"] + command + ["--json", "--api", host.path])
                let read = try RoostJSON.decode(ClusterBody.self, from: .init(json.output.utf8))
                #expect(read.sharedHosts == cluster.sharedHosts)
            }
        }
    }

    @Test func theSuperuserIsReachedThroughThePrimarysMachine() async throws {
        let cluster = try Answers.json(Answers.cluster(.ready, leader: "m2"))
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            .init(
                parts: [
                    request.line.hasPrefix("POST")
                        ? #"{"exit_code":3,"exit_signal":0,"stderr":"ERROR:  no\n","stdout":""}"# : cluster
                ])
        }
        try await ScriptedHost.run(answering: answer) { host in
            let outcome = try await RoostProgram.run([
                "pg", "superuser", "shop", "select 1", "-d", "host=books", "--timeout", "7s", "--api", host.path,
            ])
            #expect(outcome.status == 3 && outcome.errors.contains("ERROR:  no"), "\(outcome)")
            let post = try #require(host.log.all.first { $0.line.hasPrefix("POST") })
            #expect(post.line == "POST /v1/apps/shop/machines/0123456789abcd/exec")
            let sent = try RoostJSON.decode(ExecBody.self, from: .init(post.body.utf8))
            #expect(sent.stdin == "select 1")
            #expect(sent.timeout == 7)
            // The name of a database, whatever is in it, and no schema that users could have put something into.
            #expect(sent.command?.prefix(3) == ["/usr/bin/env", "PGDATABASE=host=books", "PGOPTIONS=-c search_path="])
            #expect(sent.command?.suffix(4) == ["-U", "roost", "-f", "-"])
            // Of a member that there is not, and of a cluster without a primary, nothing is asked.
            let posts = { host.log.all.filter { $0.line.hasPrefix("POST") }.count }
            let nobody = try await RoostProgram.run([
                "pg", "superuser", "shop", "select 1", "--member", "m9", "--api", host.path,
            ])
            #expect(nobody.status == 1 && nobody.errors.contains("no member m9"), "\(nobody)")
            #expect(posts() == 1)
            let piped = try await RoostProgram.run(
                ["pg", "superuser", "shop", "--member", "m1", "--api", host.path], input: "select 2;")
            #expect(piped.status == 3 && posts() == 2, "\(piped)")
            let last = try #require(host.log.all.last)
            #expect(try RoostJSON.decode(ExecBody.self, from: .init(last.body.utf8)).stdin == "select 2;")
        }
    }

    @Test("SQL that takes too long is spoken of as SQL, with what may become of it")
    func theSuperusersSQLTakesTooLong() async throws {
        let cluster = try Answers.json(Answers.cluster(.ready))
        let words = "machine 0123456789abcd: execute: '/usr/bin/env' did not end within 2.0 seconds"
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            request.line.hasPrefix("POST")
                ? .init(status: 408, parts: [#"{"error":"\#(words)","code":"deadline_exceeded","status":"unknown"}"#])
                : .init(parts: [cluster])
        }
        try await ScriptedHost.run(answering: answer) { host in
            let outcome = try await RoostProgram.run([
                "pg", "superuser", "shop", "select pg_sleep(10)", "--timeout", "2", "--api", host.path,
            ])
            #expect(outcome.status == 124, "\(outcome)")
            #expect(outcome.errors.contains("the SQL did not end within 2 s"), "\(outcome)")
            #expect(outcome.errors.contains("Postgres may carry out to its end"), "\(outcome)")
            #expect(!outcome.errors.contains("/usr/bin/env"), "\(outcome)")
        }
    }

    @Test func withoutAPrimaryNothingIsRunAsTheSuperuser() async throws {
        let cluster = try Answers.json(Answers.cluster(.creating, leader: nil))
        try await ScriptedHost.run(answering: { _ in .init(parts: [cluster]) }) { host in
            let outcome = try await RoostProgram.run(["pg", "superuser", "shop", "select 1", "--api", host.path])
            #expect(outcome.status == 1 && outcome.errors.contains("no primary yet"), "\(outcome)")
            #expect(host.log.all.allSatisfy { $0.line.hasPrefix("GET") })
        }
    }

    @Test("A list of networks is sent whole and shown as it was taken; without networks nothing is changed")
    func allow() async throws {
        let networks = ["203.0.113.0/24", "198.51.100.7/32"]
        var cluster = try Answers.cluster(.ready)
        cluster.allow = networks
        let (listed, open) = (try Answers.json(cluster), try Answers.json(Answers.cluster(.ready)))
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            .init(parts: [request.body.contains("[]") ? open : listed])
        }
        try await ScriptedHost.run(answering: answer) { host in
            let set = try await RoostProgram.run(["pg", "allow", "shop"] + networks + ["--api", host.path])
            #expect(set.status == 0 && set.output == networks.joined(separator: "\n") + "\n", "\(set)")
            let sent = try #require(host.log.all.first)
            #expect(sent.line == "PUT /v1/postgres/shop/allow" && host.log.all.count == 1)
            #expect(try RoostJSON.decode(AllowBody.self, from: .init(sent.body.utf8)).allow == networks)
            let cleared = try await RoostProgram.run(["pg", "allow", "shop", "--everywhere", "--api", host.path])
            #expect(cleared.status == 0 && cleared.output.contains("from everywhere"), "\(cleared)")
            let shown = try await RoostProgram.run(["pg", "allow", "shop", "--api", host.path])
            #expect(shown.status == 0 && shown.output.contains("198.51.100.7/32"), "\(shown)")
            #expect(host.log.all.last?.line == "GET /v1/postgres/shop")
            let list = try await RoostProgram.run(["pg", "allow", "shop", "--json", "--api", host.path])
            #expect(try RoostJSON.decode(AllowBody.self, from: .init(list.output.utf8)).allow == networks)
            let status = try await RoostProgram.run(["pg", "status", "shop", "--api", host.path])
            #expect(status.output.contains("from 203.0.113.0/24, 198.51.100.7/32"), "\(status)")
        }
    }

    @Test("An address alone is a network of 32 bits; everybody is let in by --everywhere, not by a network of no bits")
    func allowOneAddress() async throws {
        let open = try Answers.json(Answers.cluster(.ready))
        try await ScriptedHost.run(answering: { _ in .init(parts: [open]) }) { host in
            _ = try await RoostProgram.run(["pg", "allow", "shop", "198.51.100.7", "--api", host.path])
            let sent = try #require(host.log.all.first)
            #expect(try RoostJSON.decode(AllowBody.self, from: .init(sent.body.utf8)).allow == ["198.51.100.7/32"])
            for (network, words) in [
                ("0.0.0.0/0", "--everywhere"), ("198.18.1.7/24", "198.18.1.0/24"), ("1.2.3.4/032", "1.2.3.4/032"),
            ] {
                let refused = try await RoostProgram.run(["pg", "allow", "shop", network, "--api", host.path])
                #expect(refused.status == 2 && refused.errors.contains(words), "\(refused)")
            }
            #expect(host.log.all.count == 1)
        }
    }

    @Test func switchoverWaitsForALaterEpoch() async throws {
        let before = try Answers.json(Answers.cluster(.ready))
        let after = try Answers.json(Answers.cluster(.ready, epoch: 2, leader: "m2"))
        let isAsked = Mutex(false)
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            if request.line.hasPrefix("POST") {
                isAsked.withLock { $0 = true }
                return .init(status: 202, parts: [#"{"ok":true,"id":"01"}"#])
            }
            return .init(parts: [isAsked.withLock { $0 } ? after : before])
        }
        try await ScriptedHost.run(answering: answer) { host in
            let outcome = try await RoostProgram.run([
                "pg", "switchover", "shop", "--to", "m2", "--json", "--api", host.path,
            ])
            #expect(outcome.status == 0, "\(outcome)")
            #expect(try RoostJSON.decode(ClusterBody.self, from: .init(outcome.output.utf8)).epoch == Epoch(2))
            let posts = host.log.all.filter { $0.line.hasPrefix("POST") }
            #expect(posts.map(\.line) == ["POST /v1/postgres/shop/switchover"])
            #expect(posts.map(\.body) == [#"{"to":"m2"}"#])
        }
    }

    @Test("A command that waits for a cluster ends when its operation has ended, and as it did")
    func waitsEndWithTheirOperations() async throws {
        let before = try Answers.json(Answers.cluster(.ready))
        let after = try Answers.json(Answers.cluster(.ready, epoch: 2, leader: "m2"))
        let id = "0123456789ABCDEFGHJKMNPQ01"
        let failure = "m1 leads epoch 2 still"
        for (command, state, status) in [
            (["switchover", "shop"], "succeeded", 0), (["switchover", "shop"], "failed", 1),
            (["destroy", "shop", "--yes"], "succeeded", 0),
        ] as [([String], String, Int32)] {
            let isAsked = Mutex(false)
            let looks = Mutex(0)
            let isDestroyed = command.first == "destroy"
            let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
                if !request.line.hasPrefix("GET") {
                    isAsked.withLock { $0 = true }
                    return .init(
                        status: 202, headers: [("roost-operation", id)], parts: [#"{"ok":true,"id":"\#(id)"}"#])
                }
                if request.line == "GET /v1/operations/\(id)" {
                    let look = looks.withLock { looks in
                        looks += 1
                        return looks
                    }
                    // A host that is away for a moment says nothing of it.
                    if look == 2 { return .init(status: 503, parts: ["{}"]) }
                    let isOver = look > 3
                    return .init(parts: [
                        Answers.operation(
                            id, command[0], isOver ? state : "running", result: isOver ? failure : nil)
                    ])
                }
                guard isAsked.withLock({ $0 }) else { return .init(parts: [before]) }
                return isDestroyed
                    ? .init(status: 404, parts: [#"{"error":"no cluster 'shop'","status":"unknown"}"#])
                    : .init(parts: [after])
            }
            try await ScriptedHost.run(answering: answer) { host in
                let outcome = try await RoostProgram.run(["pg"] + command + ["--api", host.path])
                #expect(outcome.status == status, "\(command) \(outcome)")
                #expect(looks.withLock { $0 } == 4, "\(command) \(outcome)")
                let words = "shop was not switched over: \(failure)"
                #expect(outcome.errors.contains(words) == (status == 1), "\(outcome)")
            }
        }
    }

    @Test("A cluster that was made anew under the name of one that is destroyed holds up nobody")
    func destroyedAndMadeAnew() async throws {
        let ready = try Answers.json(Answers.cluster(.ready))
        let id = "0123456789ABCDEFGHJKMNPQ01"
        let looks = Mutex(0)
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            if !request.line.hasPrefix("GET") {
                return .init(status: 202, headers: [("roost-operation", id)], parts: ["{}"])
            }
            // At no look there is none of that name.
            guard request.line == "GET /v1/operations/\(id)" else { return .init(parts: [ready]) }
            let look = looks.withLock { looks in
                looks += 1
                return looks
            }
            return .init(parts: [Answers.operation(id, "destroy_cluster", look > 2 ? "succeeded" : "running")])
        }
        try await ScriptedHost.run(answering: answer) { host in
            let outcome = try await RoostProgram.run([
                "pg", "destroy", "shop", "--yes", "--timeout", "20s", "--api", host.path,
            ])
            #expect(outcome.status == 0, "\(outcome)")
            #expect(looks.withLock { $0 } == 3)
        }
    }

    @Test("A cluster that is as wanted is said to be so, also when its operation does not end in time")
    func operationIsLate() async throws {
        let before = try Answers.json(Answers.cluster(.ready))
        let after = try Answers.json(Answers.cluster(.ready, epoch: 2, leader: "m2"))
        let id = "0123456789ABCDEFGHJKMNPQ01"
        for (command, words) in [
            (["create", "shop", "--region", "ams"], "shop is ready, but after"),
            (["switchover", "shop"], "shop has a new primary, but after"),
            (["destroy", "shop", "--yes"], "cluster shop is gone, but after"),
        ] {
            let isAsked = Mutex(false)
            let isDestroyed = command.first == "destroy"
            let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
                if !request.line.hasPrefix("GET") {
                    isAsked.withLock { $0 = true }
                    let body = command.first == "create" ? before : #"{"ok":true,"id":"\#(id)"}"#
                    return .init(status: 202, headers: [("roost-operation", id)], parts: [body])
                }
                if request.line == "GET /v1/operations/\(id)" {
                    return .init(parts: [Answers.operation(id, command[0], "running")])
                }
                guard isAsked.withLock({ $0 }) else { return .init(parts: [before]) }
                return isDestroyed
                    ? .init(status: 404, parts: [#"{"error":"no cluster 'shop'","status":"unknown"}"#])
                    : .init(parts: [after])
            }
            try await ScriptedHost.run(answering: answer) { host in
                let outcome = try await RoostProgram.run(
                    ["pg"] + command + ["--timeout", "700ms", "--api", host.path])
                #expect(outcome.status == 1, "\(command) \(outcome)")
                #expect(outcome.errors.contains(words), "\(command) \(outcome)")
                #expect(!outcome.errors.contains("no sign"), "\(command) \(outcome)")
                #expect(outcome.errors.contains("roost operations list --object shop"), "\(command) \(outcome)")
            }
        }
    }

    @Test func switchoverToTheLeaderChangesNothing() async throws {
        let body = try Answers.json(Answers.cluster(.ready))
        try await ScriptedHost.run { _ in
            .init(parts: [body])
        } _: { host in
            let outcome = try await RoostProgram.run(["pg", "switchover", "shop", "--to", "m1", "--api", host.path])
            #expect(outcome.status == 0)
            #expect(host.log.all.allSatisfy { $0.line.hasPrefix("GET") })
        }
    }

    @Test("A cluster whose leader is the wished one and lets nobody in is no success")
    func switchoverToALeaderThatServesNobody() async throws {
        let body = try Answers.json(Answers.cluster(.unavailable, detail: "commits wait for 1 more standby"))
        try await ScriptedHost.run { _ in
            .init(parts: [body])
        } _: { host in
            let outcome = try await RoostProgram.run(["pg", "switchover", "shop", "--to", "m1", "--api", host.path])
            #expect(outcome.status == 1, "\(outcome)")
            #expect(outcome.errors.contains("m1 leads already"))
            #expect(outcome.errors.contains("shop is unavailable: commits wait for 1 more standby"))
            #expect(host.log.all.allSatisfy { $0.line.hasPrefix("GET") })
        }
    }

    @Test func destroyWaitsUntilItIsGone() async throws {
        var cluster = try Answers.cluster(.destroying)
        cluster.authorityCertificate = "PEM"
        let body = try Answers.json(cluster)
        let home = "/tmp/roost-client-test-\(ProcessInfo.processInfo.processIdentifier)-destroy"
        defer { try? FileManager.default.removeItem(atPath: home) }
        let folder = home + "/roost/authorities"
        _ = try AuthorityFile.trusting(cluster, in: folder)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 1)
        let polls = Mutex(0)
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            if request.line.hasPrefix("DELETE") { return .init(status: 202, parts: ["{}"]) }
            let isGone = polls.withLock { polls in
                polls += 1
                return polls > 2
            }
            return isGone
                ? .init(status: 404, parts: [#"{"error":"no cluster 'shop'","status":"unknown"}"#])
                : .init(parts: [body])
        }
        try await ScriptedHost.run(answering: answer) { host in
            let outcome = try await RoostProgram.run(
                ["pg", "destroy", "shop", "--api", host.path], environment: ["XDG_CONFIG_HOME": home])
            #expect(outcome.status == 0, "\(outcome)")
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
        }
    }

    @Test func destroyingNothingFailsUnlessAllowed() async throws {
        let answer = ScriptedHost.Answer(status: 404, parts: [#"{"error":"no cluster 'shop'","status":"unknown"}"#])
        try await ScriptedHost.run { _ in
            answer
        } _: { host in
            let strict = try await RoostProgram.run(["pg", "destroy", "shop", "--api", host.path])
            #expect(strict.status == 1)
            #expect(strict.errors.contains("no cluster 'shop'"))
            let lax = try await RoostProgram.run(["pg", "destroy", "shop", "--if-exists", "--api", host.path])
            #expect(lax.status == 0)
        }
    }
}
