import RoostModel
import Testing

@testable import RoostFailover

/// For how long a leader has to be heard before its silence means something.
@Suite struct HearingTests {
    private let timings = FailoverTimings()
    private let leader: MemberName
    private let own: MemberName

    init() throws {
        leader = try MemberName("m1")
        own = try MemberName("m2")
    }

    /// The leader is heard for a second, then not for so long, then again.
    private func hear(after silence: Duration, _ hearing: inout Hearing, _ now: inout Moment) {
        let beat = MemberBeat(member: leader, epoch: .first, isOpen: true, missesLeader: false, hears: [own])
        for _ in 0..<10 {
            now = now + timings.beatInterval
            hearing.heard(beat, after: nil, by: own, now, timings)
        }
        now = now + silence
        hearing.heard(beat, after: nil, by: own, now, timings)
    }

    @Test func whoWasLeftTooSoonCountsForTwoMinutes() {
        var (hearing, now) = (Hearing(), Moment(sinceBoot: .seconds(1000)))
        for hastes in 1...6 {
            hear(after: timings.patience / 2, &hearing, &now)
            hearing.turned(leaving: leader, now, timings)
            #expect(hearing.calm(now, timings) == min(timings.calmMin * (1 << hastes), timings.calmMax))
        }
        let end = now + timings.unrestWindow
        #expect(hearing.calm(end + .milliseconds(-1), timings) == timings.calmMax)
        #expect(hearing.calm(end, timings) == timings.calmMin)
        // And then it begins anew.
        now = end
        hear(after: timings.patience / 2, &hearing, &now)
        hearing.turned(leaving: leader, now, timings)
        #expect(hearing.calm(now, timings) == timings.calmMin * 2)
    }

    @Test func aGapThatWasLongBeforeDoesNotCount() {
        var (hearing, now) = (Hearing(), Moment(sinceBoot: .seconds(1000)))
        hear(after: timings.patience / 2, &hearing, &now)
        now = now + timings.callMax
        hear(after: timings.beatInterval, &hearing, &now)
        hearing.turned(leaving: leader, now, timings)
        #expect(hearing.calm(now, timings) == timings.calmMin)
    }

    /// It is heard when another one is left already.
    @Test func twoThatWereLeftAreBothJudged() throws {
        var (hearing, now) = (Hearing(), Moment(sinceBoot: .seconds(1000)))
        hear(after: timings.beatInterval, &hearing, &now)
        now = now + timings.patience / 2
        hearing.turned(leaving: leader, now, timings)
        hearing.turned(leaving: try MemberName("m3"), now, timings)
        #expect(hearing.calm(now, timings) == timings.calmMin)
        now = now + timings.beatInterval
        let beat = MemberBeat(member: leader, epoch: .first, isOpen: false, missesLeader: false, hears: [own])
        hearing.heard(beat, after: nil, by: own, now, timings)
        #expect(hearing.calm(now, timings) == timings.calmMin * 2)
    }

    /// After how much of a second the leader's silence means something, when it is heard without a gap from now on.
    private func wait(for leader: MemberName, _ hearing: inout Hearing, _ now: inout Moment) -> Duration {
        let beat = MemberBeat(member: leader, epoch: .first, isOpen: true, missesLeader: false, hears: [own])
        let begin = now
        while now - begin <= timings.calmMax {
            hearing.heard(beat, after: nil, by: own, now, timings)
            if hearing.last(of: leader, leading: .first, now, timings) != nil { break }
            now = now + timings.beatInterval
        }
        return now - begin
    }

    @Test func aGapIsWaitedForAndABeginningIsNot() {
        var (hearing, now) = (Hearing(), Moment(sinceBoot: .seconds(1000)))
        #expect(wait(for: leader, &hearing, &now) == timings.heardOpenMin)
        now = now + timings.patience / 2
        #expect(wait(for: leader, &hearing, &now) == timings.calmMin)
    }

    /// It may be what it does as a leader that makes one fall silent, and the next one too.
    @Test func afterOneThatWasLeftTooSoonTheNextHasToLeadForLonger() throws {
        var (hearing, now) = (Hearing(), Moment(sinceBoot: .seconds(1000)))
        hear(after: timings.patience / 2, &hearing, &now)
        hearing.turned(leaving: leader, now, timings)
        #expect(wait(for: try MemberName("m3"), &hearing, &now) == timings.calmMin * 2)
    }
}
