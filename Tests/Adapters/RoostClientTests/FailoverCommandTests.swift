import FoundationEssentials
import RoostModel
import RoostWire
import Testing

@testable import RoostClient

/// `roost pg failover`, against a host that answers by a script.
@Suite struct FailoverCommandTests {
    private static func shown(isDecidable: Bool) throws -> FailoverBody {
        let names = try (1...3).map { try MemberName("shop-\($0)") }
        func end(_ offset: UInt64) -> PositionBody { PositionBody(Position(epoch: Epoch(4), end: LSN(offset))) }
        let members = [
            FailoverMemberBody(
                name: names[1], host: try HostName("iad1"), isHeard: true, silentMilliseconds: 900, logEnd: end(4096),
                lastCommit: "2026-01-02T03:04:05Z", obstacle: nil),
            FailoverMemberBody(
                name: names[0], host: try HostName("ams1"), isHeard: false, silentMilliseconds: 95_000,
                logEnd: end(5096), lastCommit: nil, obstacle: "it is not heard now"),
            FailoverMemberBody(
                name: names[2], host: nil, isHeard: false, silentMilliseconds: nil, logEnd: nil, lastCommit: nil,
                obstacle: "it is not heard now"),
        ]
        let proposal = FailoverProposal(
            member: names[1], logEnd: end(4096), calls: Epoch(7), keeps: [names[1]], givesUp: [names[0], names[2]],
            confirmations: 0, furthest: FailoverLoss(member: names[0], logEnd: end(5096), bytes: 1000))
        return FailoverBody(
            revision: 41, epoch: Epoch(4), leader: names[0], leaderSilentMilliseconds: 95_000, members: members,
            proposal: isDecidable ? proposal : nil,
            obstacle: isDecidable
                ? nil : "shop-2, shop-3 are heard, can decide who leads epoch 5, and lose nothing by it")
    }

    @Test("What may be lost is shown and nothing is changed; it is decided when somebody says so twice")
    func failover() async throws {
        let told = try Answers.json(try Self.shown(isDecidable: true))
        let (shown, looks) = try await Self.run([], told)
        #expect(shown.status == 0 && looks.count == 1, "\(shown)")
        for words in [
            "shop-1 on ams1 (not for 95 s)", "0/1000 of epoch 4", "2026-01-02T03:04:05Z", "at least 1000 bytes",
            "shop-1, shop-3: no members any more", "in epoch 7", "--accept-data-loss", "no standby",
        ] {
            #expect(shown.output.contains(words), "\(words): \(shown)")
        }
        let (json, _) = try await Self.run(["--json"], told)
        #expect(try RoostJSON.decode(FailoverBody.self, from: .init(json.output.utf8)).revision == 41)
        // Nobody is there to type the name.
        let (silent, asked) = try await Self.run(["--accept-data-loss"], told)
        #expect(silent.status == 1 && silent.errors.contains("Add --yes"), "\(silent)")
        #expect(!asked.contains { $0.line.hasPrefix("POST") })
        let (done, calls) = try await Self.run(["--to", "shop-2", "--accept-data-loss", "--yes"], told)
        #expect(done.status == 0 && done.errors.contains("at least 1000 bytes"), "\(done)")
        #expect(calls.first?.line == "GET /v1/postgres/shop/failover?to=shop-2")
        let sent = try #require(calls.first { $0.line.hasPrefix("POST") })
        #expect(sent.line == "POST /v1/postgres/shop/failover")
        let wish = try RoostJSON.decode(FailoverWish.self, from: .init(sent.body.utf8))
        #expect(wish.acceptsDataLoss && wish.revision == 41)
        #expect(wish.proposal == (try Self.shown(isDecidable: true)).proposal)
        #expect(wish.by?.isEmpty == false)
    }

    @Test("Where nothing need be lost it says what to do, and decides nothing")
    func refused() async throws {
        let told = try Answers.json(try Self.shown(isDecidable: false))
        let (shown, _) = try await Self.run([], told)
        #expect(shown.status == 0 && shown.output.contains("lose nothing by it"), "\(shown)")
        #expect(!shown.output.contains("--accept-data-loss"), "\(shown)")
        let (refused, calls) = try await Self.run(["--accept-data-loss", "--yes"], told)
        #expect(refused.status == 1 && refused.errors.contains("lose nothing by it"), "\(refused)")
        #expect(!calls.contains { $0.line.hasPrefix("POST") })
    }

    @Test("That nothing is lost is said of the leader that is left alone, and of nobody else")
    func losesNothing() async throws {
        var body = try Self.shown(isDecidable: true)
        body.proposal?.furthest = nil
        // All are heard, and two have lost their disks: nobody knows what they had.
        body.proposal?.givesUp = []
        let (unknown, _) = try await Self.run([], try Answers.json(body))
        #expect(unknown.status == 0 && unknown.output.contains("lost its data, may have had more"), "\(unknown)")
        #expect(!unknown.output.contains("nothing"), "\(unknown)")
        body.proposal?.losesNothing = true
        let (known, _) = try await Self.run([], try Answers.json(body))
        #expect(known.output.contains("nothing: it leads now, and has all that was confirmed"), "\(known)")
    }

    private static func run(
        _ words: [String], _ said: String
    ) async throws -> (RoostProgram.Outcome, [ScriptedHost.Request]) {
        var after = try Answers.cluster(.ready)
        after.epoch = Epoch(7)
        let ended = try Answers.json(after)
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            if request.line.hasPrefix("GET /v1/postgres/shop/failover") { return .init(parts: [said]) }
            // No operation's id: nothing is watched.
            if request.line.hasPrefix("POST") { return .init(parts: [#"{"ok": true, "id": "none"}"#]) }
            return .init(parts: [ended])
        }
        var outcome: RoostProgram.Outcome?
        var log: [ScriptedHost.Request] = []
        try await ScriptedHost.run(answering: answer) { host in
            outcome = try await RoostProgram.run(["pg", "failover", "shop"] + words + ["--api", host.path])
            log = host.log.all
        }
        return (try #require(outcome), log)
    }
}
