import FoundationEssentials
import RoostModel
import RoostWire
import Synchronization
import Testing

@testable import RoostClient

@Suite struct MachineCommandTests {
    private static func machine(_ state: MachineState) throws -> String { try Answers.json(try body(state)) }

    private static func body(
        _ state: MachineState, _ id: String = "0123456789abcd", named name: String = "web", on host: String = "ams1"
    ) throws -> MachineBody { try Answers.machine(state, id, named: name, on: host) }

    @Test("A machine is found by its name; two of one name are told apart by their ids; none is an absence")
    func names() async throws {
        let list = try Answers.json([
            try Self.body(.started), try Self.body(.started, "0123456789abce", named: "twin"),
            try Self.body(.stopped, "0123456789abcf", named: "twin", on: "iad1"),
        ])
        // Asked for all there is: a host of a version before, one that has lost the store, one that has heard of all.
        let whole = Mutex<[ScriptedHost.Answer]>([
            .init(status: 400, parts: [#"{"error":"invalid: 'whole' is no query of this","code":"invalid"}"#]),
            .init(status: 503, parts: [#"{"error":"unavailable: the list may have more","code":"unavailable"}"#]),
            .init(parts: [list]), .init(parts: [list]),
        ])
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            if request.line == "GET /v1/apps/shop/machines" { return .init(parts: [list]) }
            if request.line == "GET /v1/apps/shop/machines?whole=true" {
                return whole.withLock { $0.removeFirst() }
            }
            if request.line.hasSuffix("/logs?bytes=65536") { return .init(parts: ["so far"]) }
            return .init(parts: [#"{"ok":true,"state":"stopped","version":"1"}"#])
        }
        try await ScriptedHost.run(answering: answer) { host in
            func run(_ words: [String]) async throws -> RoostProgram.Outcome {
                try await RoostProgram.run(["machines"] + words + ["--api", host.path])
            }
            let logs = try await run(["logs", "shop", "web"])
            #expect(logs.status == 0 && logs.output == "so far\n", "\(logs)")
            let stop = try await run(["stop", "shop", "web"])
            #expect(stop.status == 0 && stop.output == "Machine web is stopped.\n", "\(stop)")
            let lines = host.log.all.map(\.line)
            #expect(lines.contains("GET /v1/apps/shop/machines/0123456789abcd/logs?bytes=65536"))
            #expect(lines.contains("POST /v1/apps/shop/machines/0123456789abcd/stop"))
            let twin = try await run(["stop", "shop", "twin"])
            #expect(twin.status == 1)
            #expect(twin.errors.contains("2 machines named twin: 0123456789abce on ams1, 0123456789abcf on iad1"))
            let former = try await run(["destroy", "shop", "nobody", "--if-exists"])
            #expect(former.status == 0 && former.errors.contains("nothing to destroy"), "\(former)")
            let unknown = try await run(["destroy", "shop", "nobody", "--if-exists"])
            #expect(unknown.status == 1 && unknown.errors.contains("may have more"), "\(unknown)")
            let none = try await run(["destroy", "shop", "nobody"])
            #expect(none.status == 1 && none.errors.contains("app shop has no machine named nobody"), "\(none)")
            let lax = try await run(["destroy", "shop", "nobody", "--if-exists"])
            #expect(lax.status == 0 && lax.errors.contains("nothing to destroy"), "\(lax)")
            #expect(!host.log.all.contains { $0.line.hasPrefix("DELETE") })
        }
    }

    @Test("A machine that does not run is stopped, whyever it does not, and what it is is said")
    func stopOfWhatDoesNotRun() async throws {
        for state in MachineState.withoutProcess {
            try await ScriptedHost.run { _ in
                .init(parts: [#"{"ok":true,"state":"\#(state.rawValue)","version":"1"}"#])
            } _: { host in
                let outcome = try await RoostProgram.run([
                    "machines", "stop", "shop", "0123456789abcd", "--api", host.path,
                ])
                #expect(outcome.status == 0 && outcome.output.contains("\(state.rawValue)."), "\(outcome)")
                #expect(outcome.output.contains("does not run") == (state != .stopped), "\(outcome)")
                let wait = try #require(host.log.all.last?.line)
                for state in MachineState.withoutProcess { #expect(wait.contains(state.rawValue), "\(wait)") }
            }
        }
    }

    @Test("Lists of several apps say whose each row is, to people and to programs")
    func apps() async throws {
        // As a host of an older version tells it.
        var machine = try Self.body(.started)
        machine.app = nil
        let volume = VolumeBody(
            id: try VolumeID("vol_0123456789abcdef"), name: "data", state: .created, region: try RegionCode("ams"),
            sizeGigabytes: 1, attachedMachineID: nil, blockSize: 4096, blocks: 0, blocksFree: 0, blocksAvailable: 0,
            fstype: "ext4", encrypted: false, createdAt: "2026-01-01T00:00:00Z", hostStatus: "ok", zone: "ams1",
            app: nil)
        let (machines, volumes) = (try Answers.json([machine]), try Answers.json([volume]))
        let apps = try Answers.json(
            ListAppsBody(
                apps: try ["blog", "shop"].map {
                    AppBody(
                        id: $0, name: try AppName($0), network: $0, status: "deployed", machineCount: 1, volumeCount: 1,
                        createdAt: 0)
                }))
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            if request.line.hasSuffix("/machines") { return .init(parts: [machines]) }
            return .init(parts: [request.line.hasSuffix("/volumes") ? volumes : apps])
        }
        try await ScriptedHost.run(answering: answer) { host in
            for kind in ["machines", "volumes"] {
                let people = try await RoostProgram.run([kind, "list", "--api", host.path])
                let lines = people.output.split(separator: "\n")
                #expect(people.status == 0 && lines.map { $0.prefix(4) } == ["APP ", "blog", "shop"], "\(people)")
                let programs = try await RoostProgram.run([kind, "list", "--json", "--api", host.path])
                for app in ["blog", "shop"] {
                    #expect(programs.output.contains("\"\(app)\""), "\(programs)")
                }
            }
        }
    }

    @Test("What is waited for is said in the help as it is taken")
    func waitStates() async throws {
        let help = try await RoostProgram.run(["machines", "wait", "--help"])
        #expect(help.status == 0)
        for state in MachineState.known { #expect(help.output.contains(state.rawValue), "\(state) in \(help.output)") }
    }

    @Test func createSendsTheWholeConfigAndWaits() async throws {
        let body = try Self.machine(.started)
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            request.line.contains("/wait")
                ? .init(parts: [#"{"ok":true,"state":"started","version":"1"}"#]) : .init(parts: [body])
        }
        try await ScriptedHost.run(answering: answer) { host in
            let outcome = try await RoostProgram.run([
                "machines", "create", "shop", "--image", "/image", "--region", "ams", "--cpus", "2", "--memory", "512",
                "--env", "A=1=2", "--volume", "vol_0123456789abcdef:/data", "--restart", "always", "--api", host.path,
                "--json", "--", "sleep", "-1",
            ])
            #expect(outcome.status == 0, "\(outcome)")
            let sent = try RoostJSON.decode(CreateMachineRequest.self, from: .init((host.log.all[0].body).utf8))
            #expect(sent.region == "ams")
            #expect(sent.config.guest == MachineGuest(cpus: 2, memoryMebibytes: 512))
            #expect(sent.config.environment == ["A": "1=2"])
            #expect(sent.config.mounts == [.init(volume: try VolumeID("vol_0123456789abcdef"), path: "/data")])
            #expect(sent.config.restart.policy == .always)
            #expect(sent.config.initial.exec == ["sleep", "-1"])
            #expect(host.log.all[1].line.hasPrefix("GET /v1/apps/shop/machines/0123456789abcd/wait?state=started"))
            #expect(try RoostJSON.decode(MachineBody.self, from: .init(outcome.output.utf8)).state == .started)
        }
    }

    /// The answer to the order says only that it was taken.
    @Test func destroyWaitsUntilItIsGone() async throws {
        let isGone = Mutex(false)
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            guard request.line.contains("/wait") else { return .init(parts: [#"{"ok":true}"#]) }
            // The first wait ends before the machine does.
            let wasGone = isGone.withLock { isGone in
                defer { isGone = true }
                return isGone
            }
            return wasGone
                ? .init(parts: [#"{"ok":true,"state":"destroyed","version":"1"}"#])
                : .init(status: 408, parts: [#"{"error":"deadline_exceeded","status":"unknown"}"#])
        }
        try await ScriptedHost.run(answering: answer) { host in
            let words = ["machines", "destroy", "shop", "0123456789abcd", "--force", "--api", host.path]
            let ordered = try await RoostProgram.run(words + ["--no-wait"])
            #expect(ordered.output.contains("is being destroyed"), "\(ordered)")
            #expect(!isGone.withLock { $0 })
            // That it runs, and that it may be the last copy, are asked apart, and said apart.
            _ = try await RoostProgram.run(words + ["--no-wait", "--last-copy"])
            let deletes = host.log.all.map(\.line).filter { $0.hasPrefix("DELETE") }
            #expect(deletes.map { $0.hasSuffix("?force=true") } == [true, false])
            #expect(deletes.last?.hasSuffix("?force=true&last_copy=true") == true, "\(deletes)")
            let outcome = try await RoostProgram.run(words)
            #expect(outcome.status == 0, "\(outcome)")
            #expect(outcome.output.contains("is destroyed"))
            let waits = host.log.all.filter { $0.line.contains("/wait?") }
            #expect(waits.count == 2 && waits.allSatisfy { $0.line.contains("state=destroyed") })
        }
    }

    @Test("Who destroys by name is told of a machine that is gone already, though the list has it still")
    func destroyByNameTwice() async throws {
        let listed = "[\(try Self.machine(.started))]"
        for (state, isThere) in [(MachineState.started, true), (.destroyed, false)] {
            let own = try Self.machine(state)
            let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
                if request.line == "GET /v1/apps/shop/machines" { return .init(parts: [listed]) }
                if request.line == "GET /v1/apps/shop/machines/0123456789abcd" { return .init(parts: [own]) }
                return .init(parts: [#"{"ok":true,"state":"destroyed","version":"1"}"#])
            }
            try await ScriptedHost.run(answering: answer) { host in
                let words = ["machines", "destroy", "shop", "web", "--force", "--api", host.path]
                let outcome = try await RoostProgram.run(words)
                #expect(outcome.status == (isThere ? 0 : 1), "\(outcome)")
                #expect(outcome.errors.contains("app shop has no machine named web") == !isThere, "\(outcome)")
                #expect(host.log.all.contains { $0.line.hasPrefix("DELETE") } == isThere)
                let lax = try await RoostProgram.run(words + ["--if-exists"])
                #expect(lax.status == 0 && lax.errors.contains("nothing to destroy") == !isThere, "\(lax)")
            }
        }
    }

    @Test func execPassesOnOutputAndFailure() async throws {
        let answer = ScriptedHost.Answer(
            parts: [#"{"exit_code":3,"exit_signal":0,"stderr":"oh\n","stdout":"so far\n"}"#])
        try await ScriptedHost.run { _ in
            answer
        } _: { host in
            let outcome = try await RoostProgram.run(
                ["machines", "exec", "shop", "0123456789abcd", "--stdin", "--api", host.path, "--", "cat"],
                input: "text")
            #expect(outcome.status == 3)
            #expect(outcome.output == "so far\n")
            #expect(outcome.errors == "oh\n")
            #expect(host.log.all.first?.body == #"{"command":["cat"],"stdin":"text","timeout":60}"#)
        }
    }

    @Test("A command that takes longer than its time does not end as a program that failed")
    func execTakesTooLong() async throws {
        let words = "machine 0123456789abcd: execute: 'sleep' did not end within 2.0 seconds"
        let answer = ScriptedHost.Answer(
            status: 408, parts: [#"{"error":"\#(words)","code":"deadline_exceeded","status":"unknown"}"#])
        try await ScriptedHost.run { _ in
            answer
        } _: { host in
            let outcome = try await RoostProgram.run([
                "machines", "exec", "shop", "0123456789abcd", "--timeout", "2", "--api", host.path, "--", "sleep", "9",
            ])
            #expect(outcome.status == 124 && outcome.output.isEmpty, "\(outcome)")
            #expect(outcome.errors.contains("did not end within 2 s"), "\(outcome)")
        }
    }

    @Test func waitGivesUpInTime() async throws {
        let answer = ScriptedHost.Answer(status: 408, parts: [#"{"error":"not started yet","status":"unknown"}"#])
        try await ScriptedHost.run { _ in
            answer
        } _: { host in
            let outcome = try await RoostProgram.run([
                "machines", "wait", "shop", "0123456789abcd", "--timeout", "1s", "--api", host.path,
            ])
            #expect(outcome.status == 1)
            #expect(outcome.errors.contains("roost machines events shop 0123456789abcd"))
        }
    }

    @Test func emptyListIsTextForPeopleAndAnArrayForPrograms() async throws {
        try await ScriptedHost.run { _ in
            .init(parts: ["[]"])
        } _: { host in
            let people = try await RoostProgram.run(["machines", "list", "shop", "--api", host.path])
            #expect(people.status == 0)
            #expect(people.output.isEmpty)
            #expect(people.errors.contains("There is no machine"))
            let programs = try await RoostProgram.run(["machines", "list", "shop", "--json", "--api", host.path])
            #expect(try RoostJSON.decode([MachineBody].self, from: .init(programs.output.utf8)).isEmpty)
        }
    }
}
