import RoostFailover
import RoostModel
import Testing

/// What a member says of itself and of others is true now.
@Suite struct TruthDialogueTests {
    /// The newest heartbeat after a while, each of them answered.
    private static func beat(_ dialogue: inout Dialogue, after wait: Duration = .milliseconds(400)) -> Heartbeat? {
        dialogue.wait(wait)
        var last: Heartbeat?
        for case .heartbeat(let beat, _) in dialogue.all(.tick) { last = beat }
        if let last {
            dialogue.tell(.heartbeatAnswered(sequence: last.sequence, .applied(revision: dialogue.revision)))
        }
        return last
    }

    @Test func aGateThatCannotBeOpenedIsNotOpenAndIsSaid() throws {
        var dialogue = try Dialogue.leader()
        #expect(dialogue.observed(try dialogue.primary(500, ["m2": 500])).last == .setGate(isOpen: true))
        _ = dialogue.tell(.gateAnswered(isOpen: true, failure: "no space left"))
        #expect(Self.beat(&dialogue, after: .seconds(2))?.isOpen == false)
        #expect(dialogue.stored?.detail == "clients are not let in: no space left")
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
        // The shell goes on trying.
        _ = dialogue.tell(.gateAnswered(isOpen: true, failure: nil))
        #expect(Self.beat(&dialogue, after: .seconds(2))?.isOpen == true)
        #expect(dialogue.stored?.detail == nil)
    }

    /// A late word about an earlier order does not count.
    @Test func aWordAboutAnEarlierOrderIsNotBelieved() throws {
        var dialogue = try Dialogue.leader()
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
        _ = dialogue.tell(.gateAnswered(isOpen: false, failure: nil))
        #expect(Self.beat(&dialogue)?.isOpen == false)
    }

    @Test func aStandbyWhosePositionStandsStillConfirmsNothing() throws {
        var dialogue = try Dialogue.leader()
        let (m2, m3) = (dialogue.names[1], dialogue.names[2])
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500, "m3": 500]))
        #expect(Self.beat(&dialogue)?.standbys?.allSatisfy(\.isConfirming) == true)
        // The stream of m3 says `streaming` on, and nothing gets through it.
        for round in 1...15 as ClosedRange<UInt64> {
            _ = dialogue.observed(try dialogue.primary(500 + round * 10, ["m2": 500 + round * 10, "m3": 500]))
            _ = Self.beat(&dialogue)
        }
        let beat = try #require(Self.beat(&dialogue))
        #expect(
            beat.standbys == [
                StandbyView(member: m2, isConfirming: true, behindBytes: 0),
                StandbyView(member: m3, isConfirming: false, behindBytes: 150),
            ])
        _ = dialogue.observed(try dialogue.primary(660, ["m2": 650, "m3": 660]))
        #expect(Self.beat(&dialogue)?.standbys?.map(\.isConfirming) == [true, true])
        // The stream is gone.
        _ = dialogue.observed(try dialogue.primary(660, ["m2": 660]))
        #expect(Self.beat(&dialogue)?.standbys?.last == StandbyView(member: m3, isConfirming: false, behindBytes: nil))
    }

    /// Of a stream that has just begun Postgres shows no position.
    @Test func whatAStandbyHasNotSaidYetIsNotCounted() throws {
        var dialogue = try Dialogue.leader()
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500, "m3": 0]))
        let m3 = StandbyView(member: dialogue.names[2], isConfirming: false, behindBytes: nil)
        #expect(Self.beat(&dialogue)?.standbys?.last == m3)
    }

    /// What a standby without a stream shows is the timeline of its last checkpoint.
    @Test func aTimelineDoesNotGoBackWithTheStream() throws {
        var dialogue = try Dialogue.follower("m2")
        let samples: [(UInt32, Bool, UInt32)] = [(3, true, 3), (1, false, 3), (0, false, 3)]
        for (shown, isStreaming, told) in samples {
            dialogue.wait(.seconds(3))
            _ = dialogue.observed(
                .standby(
                    StandbyObservation(
                        timeline: shown, received: LSN(1000), replayed: LSN(1000), isStreaming: isStreaming,
                        silence: nil, lag: .zero)))
            #expect(dialogue.stored?.timeline == told)
        }
    }

    @Test func aLeaderWhosePostgresIsSilentVouchesForNobody() throws {
        var dialogue = try Dialogue.leader()
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500, "m3": 500]))
        var confirming = 2
        for _ in 0..<9 { confirming = Self.beat(&dialogue)?.standbys?.filter(\.isConfirming).count ?? confirming }
        #expect(confirming == 0)
    }

    @Test func aReportMovesAlthoughNothingChanges() throws {
        var dialogue = try Dialogue.follower("m2")
        _ = dialogue.observed(dialogue.standby(1000))
        let first = try #require(dialogue.stored?.sequence)
        for _ in 0..<4 {
            dialogue.wait(.seconds(1))
            _ = dialogue.observed(dialogue.standby(1000))
        }
        #expect(try #require(dialogue.stored?.sequence) > first)
    }

    @Test func aStandbyWhosePostgresDoesNotAnswerDoesNotStream() throws {
        var dialogue = try Dialogue.follower("m2")
        _ = dialogue.observed(dialogue.standby(1000))
        #expect(dialogue.stored?.isStreaming == true)
        dialogue.wait(.milliseconds(3100))
        _ = dialogue.all(.tick)
        #expect(dialogue.stored?.isStreaming == false)
        #expect(dialogue.stored?.detail == "Postgres does not answer")
        _ = dialogue.observed(dialogue.standby(1000))
        #expect(dialogue.stored?.isStreaming == true)
    }

    /// Its host guards it until it has stopped.
    @Test func aPrimaryThatIsBeingStoppedIsNotStoppedYet() throws {
        var dialogue = try Dialogue.leader()
        _ = dialogue.observed(try dialogue.primary(500, ["m2": 500]))
        let recruitment = Recruitment(epoch: Epoch(2), proposer: dialogue.names[1], reason: .leaderSilent)
        dialogue.change { $0.recruitment = recruitment }
        let severing = dialogue.watch()
        #expect(severing.contains(.postgres(.sever, dialogue.operation)))
        #expect(dialogue.stored?.role == .primary)
        dialogue.wait(.seconds(1))
        _ = dialogue.ended(.failed("it does not end"))
        #expect(dialogue.stored?.role == .primary)
        dialogue.wait(.seconds(1))
        _ = dialogue.tell(.tick)
        _ = dialogue.ended()
        #expect(dialogue.stored?.role == .standby)
    }
}
