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
            if hearing.last(of: leader, leading: .first, streamedAt: now, now, timings) != nil { break }
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

    /// A host that was started anew and then leads has been silent, and its path was well.
    @Test(arguments: [false, true])
    func aSilenceOfBeforeItLedIsNoGap(led: Bool) {
        var (hearing, now) = (Hearing(), Moment(sinceBoot: .seconds(1000)))
        let beat = MemberBeat(member: leader, epoch: .first, isOpen: led, missesLeader: false, hears: [own])
        for _ in 0..<40 {
            now = now + timings.beatInterval
            hearing.heard(beat, after: nil, by: own, now, timings)
        }
        now = now + timings.patience / 2
        hearing.heard(beat, after: nil, by: own, now, timings)
        now = now + timings.beatInterval
        #expect(
            wait(for: leader, &hearing, &now) == (led ? timings.calmMin - timings.beatInterval : timings.heardOpenMin))
    }

    /// It becomes a good one with each beat that comes in time.
    @Test func aPathThatIsNotKnownYetIsTakenForABadOne() throws {
        var (hearing, now) = (Hearing(), Moment(sinceBoot: .seconds(1000)))
        let beat = MemberBeat(member: leader, epoch: .first, isOpen: true, missesLeader: false, hears: [own])
        var limits: [Duration] = []
        for _ in 0..<30 {
            hearing.heard(beat, after: nil, by: own, now, timings)
            limits.append(try #require(hearing.voice(of: leader)).limit(timings))
            now = now + timings.beatInterval
        }
        #expect(limits.first == timings.suspicionMin * 2)
        #expect(limits.last == timings.suspicionMin)
        #expect(zip(limits, limits.dropFirst()).allSatisfy { $0 >= $1 })
    }

    @Test func aDoubtHasItsReason() {
        var (hearing, now) = (Hearing(), Moment(sinceBoot: .seconds(1000)))
        func doubt() -> SilenceDoubt? { hearing.doubt(of: leader, leading: .first, streamedAt: now, now, timings) }
        #expect(doubt() == .neverOpen)
        hear(after: .zero, &hearing, &now)
        #expect(hearing.doubt(of: leader, leading: .first.next, streamedAt: now, now, timings) == .neverOpen)
        #expect(doubt() == nil)
        hear(after: timings.patience / 2, &hearing, &now)
        #expect(doubt() == .heardBriefly(.zero))
        hear(after: .zero, &hearing, &now)
        #expect(doubt() == .gapBefore(timings.beatInterval * 10))
        hear(after: timings.patience / 2, &hearing, &now)
        hearing.turned(leaving: leader, now, timings)
        #expect(doubt() == .leadersLeftTooSoon(calm: timings.calmMin * 2, heard: .zero))
    }

    /// It may be what it does as a leader that makes one fall silent, and the next one too.
    @Test func afterOneThatWasLeftTooSoonTheNextHasToLeadForLonger() throws {
        var (hearing, now) = (Hearing(), Moment(sinceBoot: .seconds(1000)))
        hear(after: timings.patience / 2, &hearing, &now)
        hearing.turned(leaving: leader, now, timings)
        #expect(wait(for: try MemberName("m3"), &hearing, &now) == timings.calmMin * 2)
    }
}
