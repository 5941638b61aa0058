import FoundationEssentials
import RoostModel
import RoostWire
import Testing

@testable import RoostClient

/// `roost pg recover`, against a host that answers by a script.
@Suite struct RecoverCommandTests {
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
        let present = KnowledgeBody(
            name: right, isHeard: true, hasProof: false, promised: Epoch(3), opened: nil, last: nil, position: nil,
            detail: nil)
        recovery.members = [present, mute, present]
        let needless = try Answers.json(recovery)
        func run(_ words: [String], _ said: String) async throws -> (RoostProgram.Outcome, [ScriptedHost.Request]) {
            try await Self.recover(words, said, then: ended)
        }
        // A host of a version before has the number alone.
        var former = recovery
        former.members = [mute, known]
        former.members[1].logEnd = nil
        let (asBefore, _) = try await run([], try Answers.json(former))
        #expect(asBefore.output.contains("0/4B0 of epoch 7"), "\(asBefore)")
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
        let (well, _) = try await run([], needless)
        #expect(well.status == 0 && well.output.contains("nothing: no member says"), "\(well)")
        #expect(well.output.contains("shop-1: what they know") && !well.output.contains("Not now"), "\(well)")
        #expect(shown.output.contains("COUNTS") && !well.output.contains("COUNTS"), "\(well)")
        #expect(!(quiet + still).contains { $0.line.hasPrefix("POST") })
    }

    @Test("Where too few members are heard nobody says that nothing is missing")
    func recoverUnheard() async throws {
        func member(_ number: Int, isHeard: Bool) throws -> KnowledgeBody {
            KnowledgeBody(
                name: try MemberName("shop-\(number)"), isHeard: isHeard, hasProof: false, promised: nil, opened: nil,
                last: nil, position: nil, detail: nil)
        }
        // A host of a version before does not say how many are needed: more than half.
        for (heard, needed) in [(0, 2), (1, 2), (2, 3), (0, nil), (1, nil)] as [(Int, Int?)] {
            var recovery = RecoveryBody(
                revision: 41, epoch: Epoch(3), leader: try MemberName("shop-1"),
                members: try (1...3).map { try member($0, isHeard: $0 <= heard) }, proposal: nil,
                obstacle: "no member that is heard says that the store has gone back")
            recovery.needed = needed
            let said = try Answers.json(recovery)
            let (shown, _) = try await Self.recover([], said, then: said)
            #expect(shown.status == 0 && !shown.output.contains("nothing: no member says"), "\(shown)")
            #expect(shown.output.contains("Not now") && shown.output.contains("\(heard) of 3"), "\(shown)")
            #expect(shown.output.contains("shop-3: what they know"), "\(shown)")
            let (refused, requests) = try await Self.recover(["--apply"], said, then: said)
            #expect(refused.status == 1 && refused.errors.contains("is not changed: \(heard) of 3"), "\(refused)")
            #expect(!requests.contains { $0.line.hasPrefix("POST") })
        }
    }

    /// - Parameters:
    ///   - said: of what members know.
    ///   - ended: to whatever else is asked.
    private static func recover(
        _ words: [String], _ said: String, then ended: String
    ) async throws -> (RoostProgram.Outcome, [ScriptedHost.Request]) {
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
}
