import RoostFailover
import RoostModel
import Testing

/// A switchover that takes longer than it may: the leader goes on leading, and nobody else begins to.
@Suite struct SwitchoverDialogueTests {
    /// `m1` runs the checkpoint before a switchover to whoever is up to date.
    private func draining() throws -> Dialogue {
        var dialogue = try Dialogue.leader()
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500, "m3": 500]))
        dialogue.change { $0.switchover = SwitchoverRequest(id: "a", target: nil) }
        #expect(dialogue.watch() == [.postgres(.checkpoint, dialogue.operation)])
        return dialogue
    }

    /// The store answers each heartbeat.
    private func wait(_ milliseconds: Int, _ dialogue: inout Dialogue) {
        for _ in 0..<milliseconds / 100 {
            dialogue.wait(.milliseconds(100))
            for case .heartbeat(let beat, _) in dialogue.all(.tick) {
                dialogue.tell(.heartbeatAnswered(sequence: beat.sequence, .applied(revision: dialogue.revision)))
            }
        }
    }

    private func refusal(_ actions: [FailoverAction]) -> String? {
        for case .changeRule(let rule, _, _) in actions { return rule.switchover?.refusal }
        return nil
    }

    @Test func aCheckpointThatLeavesNoTimeIsAllThereWas() throws {
        var dialogue = try draining()
        wait(8100, &dialogue)
        let actions = dialogue.ended()
        #expect(refusal(actions) == "the checkpoint took too long")
        #expect(actions.count == 1 && dialogue.member.status.phase == .leading && dialogue.member.status.isOpen)
        dialogue = try draining()
        wait(8000, &dialogue)
        #expect(dialogue.ended() == [.setGate(isOpen: false), .postgres(.stop(.fast), dialogue.operation)])
    }

    /// It was not asked anything meanwhile: that it said nothing means nothing.
    @Test func aCheckpointThatFailsAtTheLimitEndsNoPostgres() throws {
        var dialogue = try draining()
        wait(10_000, &dialogue)
        let actions = dialogue.ended(.failed("not done within 10 s"))
        #expect(refusal(actions) == "not done within 10 s")
        #expect(actions.count == 1 && dialogue.member.status.phase == .leading && dialogue.member.status.isOpen)
    }

    /// Others have begun something else, which the rule does not forbid them any more.
    @Test func whatIsNotAskedForAnyMoreCutsNobodyOff() throws {
        for next in [nil, SwitchoverRequest(id: "b", target: nil)] {
            var dialogue = try draining()
            dialogue.change { $0.switchover = next }
            _ = dialogue.watch()
            let actions = dialogue.ended()
            #expect(!actions.contains(.setGate(isOpen: false)), "\(actions)")
            #expect(dialogue.member.status.isOpen)
            #expect(dialogue.member.status.detail == nil, "it leads as before, and has nothing to say of that")
        }
    }

    @Test func aStopThatTakesTooLongCallsNobody() throws {
        var dialogue = try draining()
        wait(7000, &dialogue)
        _ = dialogue.ended()
        wait(3000, &dialogue)
        let actions = dialogue.ended()
        #expect(!actions.contains { if case .changeRule = $0 { true } else { false } })
        #expect(dialogue.member.status.phase == .restarting)
    }

    /// Its Postgres has stopped: at the end of the lease there is nothing to be ended, and a machine to be lost.
    @Test func whoHasStoppedAndCallsForAnotherIsWatchedNoMore() throws {
        var dialogue = try draining()
        wait(7000, &dialogue)
        _ = dialogue.ended()
        #expect(dialogue.member.status.leaseUntil != nil, "it stops")
        let call = dialogue.ended()
        #expect(call.contains { if case .changeRule = $0 { true } else { false } })
        #expect(dialogue.member.status.phase == .draining && dialogue.member.status.leaseUntil == nil)
    }

    /// The store may have taken it.
    @Test func aCallThatIsOnItsWayIsWaitedFor() throws {
        var dialogue = try draining()
        wait(7000, &dialogue)
        _ = dialogue.ended()
        wait(2900, &dialogue)
        let call = dialogue.ended()
        guard case .changeRule(let rule, _, _)? = call.first, call.count == 1 else {
            Issue.record("\(call)")
            return
        }
        #expect(rule.recruitment?.reason == .switchover)
        wait(1000, &dialogue)
        #expect(dialogue.member.status.phase == .draining)
        var lost = dialogue
        dialogue.change { $0.recruitment = rule.recruitment }
        #expect(
            dialogue.tell(.ruleAnswered(dialogue.ruleChange, .applied(revision: dialogue.revision))) == [
                .postgres(.sever, dialogue.operation)
            ])
        let started = lost.tell(.ruleAnswered(lost.ruleChange, .refused))
        #expect(
            started.last
                == .postgres(
                    .startPrimary(epoch: .first, confirmations: 1, standbys: Array(lost.names.dropFirst())),
                    lost.operation))
    }

    /// It has neither closed for it, nor could it do it: whoever asked hears that, and not that it goes on.
    @Test(
        "A leader that has been closed for long refuses what it could not do; one that has just come up is waited for")
    func aLeaderThatIsNotOpenRefuses() throws {
        for (standbys, words) in [
            ([:], "too few standbys are up to date"), (["m2": 499], "too few standbys are up to date"),
        ] as [([String: UInt64], String)] {
            var dialogue = try Dialogue.leader()
            dialogue.change { $0.switchover = SwitchoverRequest(id: "a", target: nil) }
            _ = dialogue.watch()
            let sample = try dialogue.primary(500, standbys)
            var refused: String?
            for second in 1...12 {
                var actions = dialogue.all(.observed(sample, after: dialogue.operation))
                for _ in 0..<10 {
                    dialogue.wait(.milliseconds(100))
                    let ticked = dialogue.all(.tick)
                    for case .heartbeat(let beat, _) in ticked {
                        dialogue.tell(
                            .heartbeatAnswered(sequence: beat.sequence, .applied(revision: dialogue.revision)))
                    }
                    actions += ticked
                }
                refused = refused ?? refusal(actions)
                if second < 10 { #expect(refused == nil, "\(second) s") }
            }
            #expect(refused == words)
            #expect(dialogue.member.status.phase == .leading && !dialogue.member.status.isOpen)
        }
    }
}
