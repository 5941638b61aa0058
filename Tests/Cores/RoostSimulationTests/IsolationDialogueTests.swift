import RoostModel
import Testing

@testable import RoostFailover

/// A leader from which nobody streams: when it makes way.
@Suite struct IsolationDialogueTests {
    /// Each second the others report what they are at, and say whom they hear.
    ///
    /// - Parameter hears: nil: nothing is heard of them directly.
    /// - Returns: after how many seconds the leader makes way; nil: not within so many.
    private func resigns(
        within max: Int64, _ states: [MemberReport.State], hears: [String]?, _ dialogue: inout Dialogue
    ) throws -> Int64? {
        let heard = try hears?.map { try MemberName($0) }
        for second in 1...max {
            dialogue.wait(.seconds(1))
            let epoch = dialogue.rule?.epoch ?? .none
            let others = zip(dialogue.names.dropFirst(), states)
            dialogue.reports = others.map {
                MemberReport(
                    member: $0, role: .standby, state: $1, promised: epoch,
                    position: Position(epoch: epoch, end: LSN(400)), timeline: 1, replayed: LSN(400),
                    isStreaming: false, lagBytes: 0, lagMilliseconds: second * 1000)
            }
            dialogue.revision += 1
            var actions: [FailoverAction] = []
            for (name, _) in others {
                guard let heard else { continue }
                let beat = MemberBeat(
                    member: name, epoch: epoch, isOpen: false, missesLeader: false, hears: heard.filter { $0 != name })
                actions += dialogue.all(.heard(beat))
            }
            actions += dialogue.all(.viewed(dialogue.view, by: .watch))
            for case .heartbeat(let beat, _) in actions {
                _ = dialogue.tell(.heartbeatAnswered(sequence: beat.sequence, .applied(revision: dialogue.revision)))
            }
            _ = dialogue.observed(try dialogue.primary(500))
            if dialogue.member.status.phase == .resigning { return second }
        }
        return nil
    }

    @Test func whereNothingIsHeardItMakesWayAfterTenSeconds() throws {
        var dialogue = try Dialogue.leader()
        #expect(try resigns(within: 15, [.running, .running], hears: nil, &dialogue) == 11)
    }

    /// Nothing is in the way: they are slow, and would be for the next leader.
    @Test func whoeverIsHeardHasMoreTime() throws {
        var dialogue = try Dialogue.leader()
        #expect(try resigns(within: 40, [.running, .running], hears: ["m1", "m2", "m3"], &dialogue) == 31)
    }

    /// They do not hear this leader, and not each other either: neither would be followed.
    @Test func whereNobodyCouldBeFollowedItStays() throws {
        var dialogue = try Dialogue.leader()
        #expect(try resigns(within: 60, [.running, .running], hears: [], &dialogue) == nil)
        // They hear each other, and not this leader.
        dialogue = try Dialogue.leader()
        #expect(try resigns(within: 60, [.running, .running], hears: ["m2", "m3"], &dialogue) == 11)
    }

    /// One in quarantine answers nobody, so the other could not be chosen.
    @Test func oneInQuarantineIsNoneThatCouldLead() throws {
        var dialogue = try Dialogue.leader()
        #expect(try resigns(within: 60, [.running, .failed], hears: nil, &dialogue) == nil)
    }

    /// It has what this leader gives it, and would have to be given it anew by the next.
    @Test(arguments: [MemberReport.State.cloning, .rewinding, .starting])
    func whoeverComesToStreamIsWaitedFor(_ state: MemberReport.State) throws {
        var dialogue = try Dialogue.leader(members: 5)
        let heard = ["m1", "m2", "m3", "m4", "m5"]
        #expect(try resigns(within: 200, [state, state, .running, .running], hears: heard, &dialogue) == nil)
        // It is no progress that one is on its way, where two are needed.
        dialogue = try Dialogue.leader(members: 5)
        #expect(try resigns(within: 40, [state, .running, .running, .running], hears: heard, &dialogue) == 31)
        // Nor that it tries to reach a leader that it does not hear.
        dialogue = try Dialogue.leader(members: 5)
        let cut = ["m2", "m3", "m4", "m5"]
        #expect(try resigns(within: 15, [state, .running, .running, .running], hears: cut, &dialogue) == 11)
    }

    /// Whatever keeps them from it may be here: what comes to nothing again and again is no progress.
    @Test func whoeverOnlyTriesToStreamIsWaitedForSoLong() throws {
        var dialogue = try Dialogue.leader()
        var tried: Int64 = 0
        for _ in 1...30 {
            let heard = ["m1", "m2", "m3"]
            for state in [MemberReport.State.rewinding, .running] {
                if let after = try resigns(within: 10, [state, state], hears: heard, &dialogue) {
                    #expect((300...360).contains(tried + after), "\(tried + after)")
                    return
                }
                tried += 10
            }
        }
        Issue.record("it stays")
    }

    /// Each failover that comes soon after another doubles what is waited for; a quiet time ends that.
    @Test func failoversInARowMakeTheNextComeLater() {
        let timings = FailoverTimings()
        var hearing = Hearing()
        var now = Moment(sinceBoot: .seconds(1000))
        func limit() -> Duration { hearing.escalated(timings.isolationPatience, upTo: timings.isolationMax) }
        var limits: [Duration] = []
        for _ in 0..<7 {
            hearing.turned(leaving: nil, now, timings)
            limits.append(limit())
            // As soon as it may.
            now = now + limit() + .seconds(5)
        }
        #expect(limits == [10, 20, 40, 80, 160, 160, 160].map { .seconds($0) })
        now = now + timings.isolationMax * 2
        hearing.turned(leaving: nil, now, timings)
        #expect(limit() == timings.isolationPatience)
    }
}
