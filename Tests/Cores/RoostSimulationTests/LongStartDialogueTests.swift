import RoostModel
import Testing

@testable import RoostFailover

/// A Postgres that takes long to come up, as its shell tells it.
@Suite struct LongStartDialogueTests {
    /// - Returns: the operation that was begun, if it is the next one.
    private func next(_ outcome: OperationOutcome, _ dialogue: inout Dialogue) -> PostgresOperation? {
        let before = dialogue.operation
        let actions = dialogue.ended(outcome)
        for case .postgres(let operation, let id) in actions where id > before { return operation }
        return nil
    }

    /// Its lease is kept meanwhile.
    private func renew(_ dialogue: inout Dialogue) {
        dialogue.wait(.milliseconds(300))
        for case .heartbeat(let beat, _) in dialogue.all(.tick) {
            _ = dialogue.tell(.heartbeatAnswered(sequence: beat.sequence, .applied(revision: dialogue.revision)))
        }
    }

    /// To end it would be to begin from nothing, and of two nobody else can lead. What ends or hangs is counted as before.
    @Test func aLeadersRecoveryIsNeverGivenUpAsLongAsItIsAtWork() throws {
        var dialogue = try Dialogue.leader(members: 2)
        _ = dialogue.tell(.postgresExited(after: dialogue.operation))
        #expect(dialogue.member.status.phase == .restarting)
        for _ in 1...20 {
            renew(&dialogue)
            guard case .startPrimary? = next(.recovering("not done within 2 minutes"), &dialogue) else {
                Issue.record("\(dialogue.member.status)")
                return
            }
            #expect(dialogue.member.status.detail?.contains("not done") == true)
        }
        // It crashed once before.
        var failures = 0
        while dialogue.member.status.phase == .restarting, failures < 10 {
            failures += 1
            _ = dialogue.ended(.failed("it has done nothing for 90 s"))
            for _ in 1...60 where dialogue.member.status.phase == .restarting { renew(&dialogue) }
        }
        #expect(failures == dialogue.member.timings.restartsMax)
        #expect(dialogue.member.status.phase == .resigning)
    }

    /// It is neither copied nor left alone for a while.
    @Test func aStandbysRecoveryIsNeverGivenUpAsLongAsItIsAtWork() throws {
        var dialogue = try Dialogue.follower("m2")
        _ = dialogue.tell(.postgresExited(after: dialogue.operation))
        #expect(dialogue.member.status.phase == .severing)
        dialogue.wait(.seconds(20))
        _ = dialogue.tell(.tick)
        _ = dialogue.ended()
        #expect(dialogue.member.status.phase == .reading)
        var sequence: UInt64 = 10
        for _ in 1...20 {
            sequence += 1
            dialogue.beat(sequence)
            _ = dialogue.watch()
            #expect(next(.recovering("not done within 2 minutes"), &dialogue) == .readEnd)
        }
        var failures = 0
        while dialogue.member.status.phase == .reading, failures < 10 {
            failures += 1
            _ = dialogue.ended(.failed("it has done nothing for 90 s"))
            for _ in 1...20 where dialogue.member.status.phase == .reading {
                dialogue.wait(.seconds(1))
                sequence += 1
                dialogue.beat(sequence)
                _ = dialogue.watch()
                _ = dialogue.tell(.tick)
            }
        }
        #expect(failures <= dialogue.member.timings.followFailuresMax)
        #expect(dialogue.member.status.phase == .cloning)
    }
}
