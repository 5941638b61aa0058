import RoostModel
import RoostSimulation
import Testing

@testable import RoostFailover

/// Members that come and go, seen from one core.
@Suite struct MembersDialogueTests {
    private func step(_ kind: MemberChange.Step.Kind, _ name: String) throws -> MemberChange.Step {
        .init(kind, try MemberName(name))
    }

    /// `m1` leads, is open, and everybody streams up to 1000.
    private func open(members: Int, _ steps: [MemberChange.Step]) throws -> Dialogue {
        var dialogue = try Dialogue.leader(members: members)
        try stream(&dialogue, members)
        try stream(&dialogue, members)
        #expect(dialogue.member.gateIsOpen)
        _ = dialogue.tell(.gateAnswered(isOpen: true, failure: nil))
        dialogue.change { $0.change = MemberChange(id: "wish", steps: steps) }
        return dialogue
    }

    @discardableResult private func stream(
        _ dialogue: inout Dialogue, _ members: Int, end: UInt64 = 1000, behind: [String: UInt64] = [:]
    ) throws -> [FailoverAction] {
        guard members > 1 else { return dialogue.observed(try dialogue.primary(end)) }
        let ends = Dictionary(uniqueKeysWithValues: (2...members).map { ("m\($0)", behind["m\($0)"] ?? end) })
        return dialogue.observed(try dialogue.primary(end, ends))
    }

    private func rule(_ actions: [FailoverAction]) -> ClusterRule? {
        for case .changeRule(let rule, _, _) in actions { return rule }
        return nil
    }

    private func operation(_ actions: [FailoverAction]) -> PostgresOperation? {
        for case .postgres(let operation, _) in actions { return operation }
        return nil
    }

    /// The store takes what the leader asks for.
    private func applied(_ dialogue: inout Dialogue, _ rule: ClusterRule?) throws -> [FailoverAction] {
        let rule = try #require(rule)
        dialogue.change { $0 = rule }
        return dialogue.tell(.ruleAnswered(dialogue.ruleChange, .applied(revision: dialogue.ruleRevision)))
    }

    @Test func aFourthMemberIsNamedAfterPostgresAsksForTwo() throws {
        let names = try ["m2", "m3", "m4"].map { try MemberName($0) }
        var dialogue = try open(members: 3, [try step(.add, "m4")])
        // First it gets a slot, and counts for nothing.
        let slots = operation(dialogue.watch())
        #expect(slots == .confirmBy(epoch: .first, confirmations: 1, standbys: Array(names[..<2]), guests: [names[2]]))
        _ = dialogue.ended()
        #expect(rule(try stream(&dialogue, 3)) == nil)
        let prepared = rule(try stream(&dialogue, 4) + stream(&dialogue, 4))
        #expect(prepared?.change?.isPrepared == true && prepared?.members.count == 3)
        let stricter = operation(try applied(&dialogue, prepared))
        #expect(stricter == .confirmBy(epoch: .first, confirmations: 2, standbys: names, guests: []))
        _ = dialogue.ended()
        // What was confirmed before may be on one standby alone, until two have all of it.
        #expect(rule(try stream(&dialogue, 4, end: 1100, behind: ["m3": 1000, "m4": 1000])) == nil)
        let named = rule(try stream(&dialogue, 4, end: 1200, behind: ["m2": 1100, "m3": 1000, "m4": 1100]))
        #expect(named?.members.map(\.text) == ["m1", "m2", "m3", "m4"])
        #expect(named?.confirmations == 2 && named?.changes == 1 && named?.change?.hasEnded == true)
        // Postgres does so already.
        #expect(operation(try applied(&dialogue, named)) == nil)
        #expect(dialogue.member.state.membership?.changes == 1)
    }

    @Test func aThirdMemberIsNamedBeforePostgresAsksForIt() throws {
        var dialogue = try open(members: 2, [try step(.add, "m3")])
        _ = dialogue.watch()
        _ = dialogue.ended()
        let named = rule(try stream(&dialogue, 3) + stream(&dialogue, 3))
        #expect(named?.members.count == 3 && named?.confirmations == 1)
        let asked = operation(try applied(&dialogue, named))
        let names = try ["m2", "m3"].map { try MemberName($0) }
        #expect(asked == .confirmBy(epoch: .first, confirmations: 1, standbys: names, guests: []))
    }

    /// Postgres is not asked meanwhile, and would seem to have no standby: an outage at the end of each change that went well.
    @Test func whoConfirmedIsShownWhilePostgresChangesByWhomItConfirms() throws {
        var dialogue = try open(members: 2, [try step(.add, "m3")])
        _ = dialogue.watch()
        _ = dialogue.ended()
        let named = rule(try stream(&dialogue, 3) + stream(&dialogue, 3))
        _ = try applied(&dialogue, named)
        func confirming(after pause: Duration) -> [String]? {
            dialogue.wait(pause)
            for case .heartbeat(let beat, _) in dialogue.all(.tick) {
                _ = dialogue.tell(.heartbeatAnswered(sequence: beat.sequence, .applied(revision: 20)))
                return beat.standbys?.filter(\.isConfirming).map(\.member.text).sorted()
            }
            return nil
        }
        // For as long as it takes, and until it is asked again.
        for _ in 0..<12 { #expect(confirming(after: .milliseconds(500)) == ["m2", "m3"]) }
        _ = dialogue.ended()
        #expect(confirming(after: .milliseconds(500)) == ["m2", "m3"])
        // One that does not answer then shows nobody.
        dialogue.wait(dialogue.member.timings.sampleAgeMax)
        #expect(confirming(after: .milliseconds(500)) == [])
    }

    @Test func aPreparationThatComesToNothingIsTakenBack() throws {
        var dialogue = try open(members: 3, [try step(.remove, "m3")])
        let prepared = rule(dialogue.watch() + (try stream(&dialogue, 3)))
        #expect(prepared?.change?.isPrepared == true)
        _ = try applied(&dialogue, prepared)
        _ = dialogue.ended()
        // Only m2 is left to confirm, and it lags.
        #expect(rule(try stream(&dialogue, 3, end: 2000, behind: ["m2": 1000])) == nil)
        // Longer than the sample before counts.
        dialogue.wait(dialogue.member.timings.preparationPatience + .milliseconds(1))
        _ = dialogue.tell(.heartbeatAnswered(sequence: 1, .applied(revision: 12)))
        let back = rule(try stream(&dialogue, 3, end: 2100, behind: ["m2": 1000]))
        #expect(back?.change?.isPrepared == nil && back?.members.count == 3 && back?.change?.hasEnded == false)
        let names = try ["m2", "m3"].map { try MemberName($0) }
        #expect(
            operation(try applied(&dialogue, back))
                == .confirmBy(epoch: .first, confirmations: 1, standbys: names, guests: []))
    }

    /// Ticks, with a lease; nothing is heard of Postgres.
    private func live(_ dialogue: inout Dialogue, for duration: Duration) -> [FailoverAction] {
        var actions: [FailoverAction] = []
        for _ in 0..<Int(duration / .milliseconds(300)) {
            dialogue.wait(.milliseconds(300))
            for action in dialogue.all(.tick) {
                actions.append(action)
                guard case .heartbeat(let beat, _) = action else { continue }
                actions += dialogue.tell(
                    .heartbeatAnswered(sequence: beat.sequence, .applied(revision: dialogue.revision)))
            }
        }
        return actions
    }

    /// What Postgres takes to ask for more is not the members' time. And each try has commits wait: they become rarer.
    @Test func aPreparationHasItsTimeAndItsTriesBecomeRarer() throws {
        var dialogue = try open(members: 3, [try step(.remove, "m3")])
        var prepared = rule(dialogue.watch() + (try stream(&dialogue, 3)))
        var pauses: [Int] = []
        for _ in 0..<3 {
            #expect(prepared?.change?.isPrepared == true)
            _ = try applied(&dialogue, prepared)
            #expect(rule(live(&dialogue, for: .seconds(4))) == nil)
            _ = dialogue.ended()
            #expect(
                rule(live(&dialogue, for: .seconds(4)) + (try stream(&dialogue, 3, end: 2000, behind: ["m2": 1000])))
                    == nil)
            let back = rule(
                live(&dialogue, for: .seconds(2)) + (try stream(&dialogue, 3, end: 2000, behind: ["m2": 1000])))
            #expect(back?.change?.isPrepared == nil && back?.members.count == 3)
            _ = try applied(&dialogue, back)
            _ = dialogue.ended(.failed("a checkpoint is being written"))
            _ = live(&dialogue, for: .seconds(3))
            _ = try stream(&dialogue, 3, end: 2000)
            _ = dialogue.ended()
            #expect(dialogue.member.status.detail?.contains("checkpoint") != true, "it has come about since")
            prepared = nil
            var seconds = 3
            while prepared == nil, seconds < 200 {
                seconds += 1
                prepared = rule(live(&dialogue, for: .seconds(1)) + (try stream(&dialogue, 3, end: 2000)))
            }
            pauses.append(seconds)
        }
        #expect(zip(pauses, [10, 20, 40]).allSatisfy { ($1 - 1...$1 + 5).contains($0) }, "\(pauses)")
    }

    /// Commits may wait from the moment in which it is prepared.
    @Test func aPreparationIsTakenBackAlsoWhenPostgresCannotFollow() throws {
        var dialogue = try open(members: 3, [try step(.remove, "m3")])
        _ = try applied(&dialogue, rule(dialogue.watch() + (try stream(&dialogue, 3))))
        #expect(dialogue.ended(.failed("a process goes by what counted before")).isEmpty)
        dialogue.wait(dialogue.member.timings.preparationPatience + .milliseconds(1))
        let actions = try stream(&dialogue, 3)
        #expect(
            rule(actions)?.change?.isPrepared == nil && rule(actions)?.members.count == 3 && operation(actions) == nil)
    }

    /// It was not asked anything meanwhile. Nor is it asked for another change before it has answered.
    @Test func anAttemptThatFailedIsNoSilenceOfPostgres() throws {
        var dialogue = try open(members: 3, [try step(.remove, "m3")])
        _ = try applied(&dialogue, rule(dialogue.watch() + (try stream(&dialogue, 3))))
        #expect(operation(live(&dialogue, for: .milliseconds(7800))) == nil)
        _ = dialogue.ended(.failed("not done within 8 s"))
        #expect(operation(live(&dialogue, for: .seconds(9))) == nil && dialogue.member.status.phase == .leading)
        guard case .startPrimary? = operation(live(&dialogue, for: .seconds(3))) else {
            Issue.record("a Postgres that hangs is not started anew: \(dialogue.member.status)")
            return
        }
    }

    @Test func aLeaderThatStartsAgainKeepsTheSlotOfTheOneThatComes() throws {
        var dialogue = try open(members: 2, [try step(.add, "m3")])
        _ = dialogue.watch()
        _ = dialogue.ended()
        let start = operation(dialogue.tell(.postgresExited(after: dialogue.operation)))
        let (second, third) = (try MemberName("m2"), try MemberName("m3"))
        #expect(start == .startPrimary(epoch: .first, confirmations: 1, standbys: [second], guests: [third]))
        _ = dialogue.ended()
        #expect(operation(try stream(&dialogue, 2)) == nil)
    }

    @Test func theAnswerToAChangeThatWasGivenUpIsNoneToTheNext() throws {
        var dialogue = try open(members: 3, [try step(.remove, "m3")])
        let asked = try #require(rule(dialogue.watch() + (try stream(&dialogue, 3))))
        let first = dialogue.ruleChange
        _ = live(&dialogue, for: .milliseconds(4500))
        #expect(rule(try stream(&dialogue, 3)) == asked && dialogue.ruleChange != first)
        dialogue.change { $0 = asked }
        let late = dialogue.tell(.ruleAnswered(first, .applied(revision: dialogue.ruleRevision)))
        #expect(operation(late) == nil && rule(late) == nil)
        let answered = dialogue.tell(
            .ruleAnswered(dialogue.ruleChange, .applied(revision: dialogue.ruleRevision)))
        #expect(operation(answered + (try stream(&dialogue, 3))) != nil)
    }

    @Test func whoIsNoMemberYetCallsNobody() throws {
        var dialogue = try Dialogue.follower("m3")
        let former = try #require(dialogue.rule)
        #expect(dialogue.member.mayCall(under: former, dialogue.now))
        let coming = try step(.add, "m3")
        dialogue.change {
            $0.members.removeLast()
            $0.change = MemberChange(id: "wish", steps: [coming])
        }
        _ = dialogue.watch()
        let rule = try #require(dialogue.rule)
        #expect(dialogue.member.absence(from: rule) == nil)
        #expect(!dialogue.member.mayCall(under: rule, dialogue.now))
    }

    @Test func aLeaderDoesNotLeave() throws {
        var dialogue = try open(members: 3, [try step(.remove, "m1")])
        let refused = rule(dialogue.watch() + (try stream(&dialogue, 3)))
        #expect(refused?.change?.refusal?.contains("m1 leads") == true && refused?.members.count == 3)
    }

    @Test func whoIsNoMemberAnyMoreDoesNothing() throws {
        var dialogue = try Dialogue.follower("m3")
        dialogue.change {
            $0.members.removeLast()
            $0.changes = 1
        }
        #expect(operation(dialogue.watch()) == .sever)
        #expect(dialogue.ended().isEmpty)
        #expect(dialogue.stored?.detail?.contains("is no member of the cluster") == true)
        // Nor when the others are called.
        dialogue.change {
            $0.recruitment = Recruitment(epoch: Epoch(2), proposer: $0.members[1], reason: .leaderSilent)
        }
        #expect(dialogue.read().isEmpty)
        #expect(dialogue.stored?.chain == nil && dialogue.member.state.promised == .first)
    }

    @Test func aStoreWithOlderMembersHasGoneBack() throws {
        var dialogue = try Dialogue.follower("m3", members: 4)
        dialogue.change { $0.changes = 1 }
        _ = dialogue.watch()
        #expect(dialogue.member.state.membership?.members.count == 4)
        dialogue.change {
            $0.members.removeLast()
            $0.changes = nil
        }
        #expect(operation(dialogue.read()) == .sever)
        _ = dialogue.ended()
        #expect(dialogue.stored?.knowledge?.membership?.changes == 1)
    }
}
