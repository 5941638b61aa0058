import RoostModel
import Testing

@testable import RoostFailover

/// A failover that a person decides, seen from one core.
@Suite struct ForcedDialogueTests {
    private func force(_ dialogue: inout Dialogue, to member: Int, keeping kept: [Int]) throws {
        let names = dialogue.names
        let position = Position(epoch: .first, end: LSN(1000))
        let forced = ForcedFailover(
            id: "op", member: names[member - 1], epoch: Epoch(4), at: 0, by: nil, formerLeader: names[0],
            formerEpoch: .first, position: position, furthest: nil,
            givenUp: names.enumerated().filter { !kept.contains($0.offset + 1) }.map(\.element), lost: [])
        dialogue.change { rule in
            rule.members = kept.map { names[$0 - 1] }
            rule.confirmations = kept.count / 2
            rule.changes = 1
            rule.forced = forced
            rule.recruitment = Recruitment(
                epoch: Epoch(4), proposer: names[member - 1], reason: .forced, target: names[member - 1])
        }
    }

    private func rule(_ actions: [FailoverAction]) -> ClusterRule? {
        for case .changeRule(let rule, _, _) in actions { return rule }
        return nil
    }

    private func operation(_ actions: [FailoverAction]) -> PostgresOperation? {
        for case .postgres(let operation, _) in actions { return operation }
        return nil
    }

    @Test("The named one leaves its leader, promises, answers, and names itself")
    func named() throws {
        var dialogue = try Dialogue.follower("m2")
        try force(&dialogue, to: 2, keeping: [2])
        #expect(operation(dialogue.watch()) == .sever)
        let promised = dialogue.ended()
        #expect(dialogue.member.state.promised == Epoch(4))
        #expect(operation(promised) == .readEnd)
        let decided = try #require(rule(dialogue.ended(.end(LSN(1000), timeline: 1))))
        #expect(decided.leader == dialogue.names[1] && decided.epoch == Epoch(4) && decided.confirmations == 0)
        #expect(decided.forced == dialogue.rule?.forced)
        dialogue.change { $0 = decided }
        let office = dialogue.tell(.ruleAnswered(dialogue.ruleChange, .applied(revision: dialogue.ruleRevision)))
        #expect(operation(office) == .promote(epoch: Epoch(4), confirmations: 0, standbys: [], guests: []))
    }

    @Test("One that is kept promises, and decides nothing before the named one has answered")
    func kept() throws {
        var dialogue = try Dialogue.follower("m3", members: 5)
        try force(&dialogue, to: 2, keeping: [2, 3])
        _ = dialogue.watch()
        _ = dialogue.ended()
        #expect(rule(dialogue.ended(.end(LSN(1000), timeline: 1))) == nil)
        dialogue.wait(.seconds(30))
        #expect(rule(dialogue.read()) == nil && dialogue.member.state.promised == Epoch(4))
    }

    @Test("One that was given up stands aside with all that it has, whatever it was", arguments: ["m1", "m3"])
    func givenUp(_ name: String) throws {
        var dialogue = name == "m1" ? try Dialogue.leader() : try Dialogue.follower(name)
        try force(&dialogue, to: 2, keeping: [2])
        #expect(operation(dialogue.watch()) == .sever)
        _ = dialogue.ended()
        let state = dialogue.member.state
        #expect(dialogue.member.status.phase == .quarantined && !dialogue.member.gateIsOpen)
        #expect(state.promised == .first && state.data == .usable)
        // It says nothing to others that were given up: their leader would go on by that.
        for _ in 0..<20 {
            dialogue.wait(.milliseconds(100))
            #expect(!dialogue.all(.tick).contains { if case .beat = $0 { true } else { false } })
        }
        // Nor does it come back when the other leads, or when its machine starts anew.
        let named = dialogue.names[1]
        dialogue.change { rule in
            rule = rule.succeeded(by: named, in: Epoch(4), with: rule.history, upTo: LSN(1000), timeline: 1)
        }
        for _ in 0..<5 {
            dialogue.wait(.seconds(10))
            #expect(rule(dialogue.read()) == nil)
        }
        #expect(dialogue.member.status.phase == .quarantined && dialogue.member.state == state)
        #expect(dialogue.stored?.detail?.contains("a person has decided a failover to m2 without it") == true)
        #expect(dialogue.stored?.knowledge == nil, "it is no proof that the store went back")
        var again = try Dialogue(name, state: state)
        again.rule = dialogue.rule
        again.ruleRevision = dialogue.ruleRevision
        again.tell(.tick)
        let actions = again.read()
        #expect(operation(actions) == nil && rule(actions) == nil && !again.member.gateIsOpen)
        #expect(again.member.state == state)
    }

    @Test("A member that knows the lost leader to have been open follows the named one all the same")
    func knowsWhatIsLost() throws {
        let dialogue = try Dialogue.follower("m3", members: 5)
        let reign = Reign(epoch: Epoch(2), leader: dialogue.names[0], begin: LSN(1000))
        var state = dialogue.member.state
        state.opened = reign
        state.promised = Epoch(2)
        let named = dialogue.names[1]
        var again = try Dialogue("m3", members: 5, state: state)
        again.rule = dialogue.rule
        try force(&again, to: 2, keeping: [2, 3])
        again.change { rule in
            rule.forced?.lost = [reign]
            rule = rule.succeeded(by: named, in: Epoch(4), with: rule.history, upTo: LSN(1000), timeline: 1)
        }
        again.tell(.tick)
        _ = again.read()
        _ = again.ended(.end(LSN(1000), timeline: 1))
        #expect(again.member.status.phase == .following && again.member.state.promised == Epoch(4))
        // Where nobody has written that down, the store has gone back.
        var other = try Dialogue("m3", members: 5, state: state)
        other.rule = again.rule
        other.change { $0.forced?.lost = [] }
        other.tell(.tick)
        _ = other.read()
        #expect(other.member.status.phase == .quarantined || other.member.status.phase == .severing)
    }

    @Test("When the last commit was made that it has is said of a standby")
    func lastCommit() throws {
        var dialogue = try Dialogue.follower("m2")
        _ = dialogue.observed(
            .standby(
                StandbyObservation(
                    timeline: 1, received: LSN(1000), replayed: LSN(1000), isStreaming: true, silence: .zero,
                    lag: .zero,
                    committedAt: 1234)))
        dialogue.wait(.seconds(5))
        dialogue.tell(.tick)
        #expect(dialogue.stored?.committedAt == 1234)
    }
}
