import RoostFailover
import RoostModel
import Testing

/// A leader that leads nobody: its Postgres does not come up, or not for long.
@Suite struct UselessLeaderTests {
    /// `m1`'s Postgres has crashed and recovers; the others report, and the lease is renewed.
    private func recovering(seconds: Int64, others: Int = 2) throws -> Dialogue {
        var dialogue = try Dialogue.leader()
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
        _ = dialogue.tell(.postgresExited(after: dialogue.operation))
        for second in 1...seconds {
            dialogue.wait(.seconds(1))
            dialogue.reports = dialogue.names.dropFirst().prefix(others).map {
                MemberReport(
                    member: $0, role: .standby, state: .running, promised: .first,
                    position: Position(epoch: .first, end: LSN(500)), timeline: 1, replayed: LSN(500),
                    isStreaming: false, lagBytes: 0, lagMilliseconds: second * 1000)
            }
            dialogue.revision += 1
            renew(&dialogue)
        }
        return dialogue
    }

    private func renew(_ dialogue: inout Dialogue) {
        for case .heartbeat(let beat, _) in dialogue.all(.viewed(dialogue.view, by: .watch)) {
            _ = dialogue.tell(.heartbeatAnswered(sequence: beat.sequence, .applied(revision: dialogue.revision)))
        }
    }

    private func offer(_ dialogue: Dialogue) -> ClusterRule? {
        var offer = dialogue.rule
        offer?.recruitment = Recruitment(epoch: Epoch(2), proposer: dialogue.names[0], reason: .leaderResigned)
        return offer
    }

    @Test func aRecoveryThatTakesLongIsOfferedToOthersAndGoesOn() throws {
        var dialogue = try recovering(seconds: 9)
        dialogue.wait(.milliseconds(900))
        #expect(dialogue.tell(.tick).isEmpty)
        dialogue.wait(.milliseconds(100))
        let offered = try #require(offer(dialogue))
        #expect(
            dialogue.tell(.tick) == [.changeRule(offered, expectedRevision: dialogue.ruleRevision, dialogue.ruleChange)]
        )
        dialogue.change { $0.recruitment = offered.recruitment }
        #expect(dialogue.watch().isEmpty)
        #expect(dialogue.member.status.phase == .restarting)
        // They have chosen: now there is nothing to recover for.
        dialogue.change { [names = dialogue.names] in
            $0.recruitment = nil
            $0.epoch = Epoch(2)
            $0.leader = names[1]
            $0.history.append(Reign(epoch: Epoch(2), leader: names[1], begin: LSN(500)))
        }
        #expect(dialogue.watch() == [.postgres(.sever, dialogue.operation)])
    }

    @Test func aRecoveryThatEndsAfterAllAnswersItsOwnCall() throws {
        var dialogue = try recovering(seconds: 10)
        dialogue.change { [names = dialogue.names] in
            $0.recruitment = Recruitment(epoch: Epoch(2), proposer: names[0], reason: .leaderResigned)
        }
        #expect(dialogue.watch().isEmpty)
        #expect(dialogue.ended() == [.postgres(.sever, dialogue.operation)])
        // The lease, too, is the end of it.
        dialogue = try recovering(seconds: 10)
        dialogue.change { [names = dialogue.names] in
            $0.recruitment = Recruitment(epoch: Epoch(2), proposer: names[0], reason: .leaderResigned)
        }
        dialogue.wait(.seconds(6))
        #expect(dialogue.tell(.tick).first == .postgres(.stop(.immediate), dialogue.operation))
    }

    /// Somebody else's call is answered at once, as ever.
    @Test func aCallOfOthersBreaksTheRecoveryOff() throws {
        var dialogue = try recovering(seconds: 10)
        dialogue.change { [names = dialogue.names] in
            $0.recruitment = Recruitment(epoch: Epoch(2), proposer: names[1], reason: .leaderSilent)
        }
        #expect(dialogue.watch() == [.postgres(.sever, dialogue.operation)])
    }

    @Test func withoutEnoughOthersItRecovers() throws {
        var dialogue = try recovering(seconds: 20, others: 1)
        #expect(dialogue.tell(.tick).isEmpty)
        #expect(dialogue.member.status.phase == .restarting)
    }

    /// Two minutes of answers in between say nothing: it does so all day.
    @Test func aPostgresThatCrashesEveryFewMinutesIsGivenUp() throws {
        var dialogue = try Dialogue.leader()
        var crashes = 0
        while dialogue.member.status.phase != .resigning, crashes < 10 {
            for _ in 0..<130 {
                dialogue.wait(.seconds(1))
                renew(&dialogue)
                _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
            }
            _ = dialogue.tell(.postgresExited(after: dialogue.operation))
            crashes += 1
            if dialogue.member.status.phase == .restarting {
                dialogue.wait(.seconds(3))
                renew(&dialogue)
                _ = dialogue.ended()
            }
        }
        #expect(crashes == 4)
    }

    @Test func aCrashNowAndThenIsForgotten() throws {
        var dialogue = try Dialogue.leader()
        for _ in 0..<6 {
            for _ in 0..<310 {
                dialogue.wait(.seconds(1))
                renew(&dialogue)
                _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
            }
            _ = dialogue.tell(.postgresExited(after: dialogue.operation))
            #expect(dialogue.member.status.phase == .restarting)
            dialogue.wait(.seconds(3))
            renew(&dialogue)
            _ = dialogue.ended()
        }
    }
}
