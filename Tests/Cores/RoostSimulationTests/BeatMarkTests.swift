import RoostFailover
import RoostModel
import Testing

/// How old a word is at most, by what it names.
@Suite struct BeatMarkTests {
    private func moment(_ milliseconds: Int) -> Moment { Moment(sinceBoot: .milliseconds(milliseconds)) }

    @Test func whatIsNamedShowsWhenItWasSent() {
        var times = BeatTimes(of: 7)
        #expect(times.moment(of: BeatMark(life: 7, number: 1)) == nil)
        times.note(1, through: 2, at: moment(1000))
        times.note(3, through: 4, at: moment(1100))
        times.note(5, through: 6, at: moment(1200))
        for (number, sent) in [(1, 1000), (2, 1000), (3, 1100), (4, 1100), (6, 1200)] {
            #expect(times.moment(of: BeatMark(life: 7, number: UInt64(number))) == moment(sent))
        }
        // Never sent; sent by another process; nothing named.
        #expect(times.moment(of: BeatMark(life: 7, number: 7)) == nil)
        #expect(times.moment(of: BeatMark(life: 8, number: 3)) == nil)
        #expect(times.moment(of: nil) == nil)
    }

    /// It has a bound, and what it forgets is of no use to a lease.
    @Test func whatIsOldIsForgotten() {
        var times = BeatTimes(of: 7)
        for round in 1...200 { times.note(UInt64(round), through: UInt64(round), at: moment(round * 100)) }
        #expect(times.moment(of: BeatMark(life: 7, number: 100)) == nil)
        #expect(times.moment(of: BeatMark(life: 7, number: 141)) == moment(14_100))
        for round in 201...2000 { times.note(UInt64(round), through: UInt64(round), at: moment(20_000 + round)) }
        #expect(times.moment(of: BeatMark(life: 7, number: 300)) == nil)
        #expect(times.moment(of: BeatMark(life: 7, number: 2000)) == moment(22_000))
    }

    /// What a member has heard of another's, for that one to see.
    @Test func theLastThatWasBelievedIsNamed() throws {
        let names = try (1...2).map { try MemberName("m\($0)") }
        let beat = MemberBeat(member: names[1], epoch: .first, isOpen: false, missesLeader: false, hears: [])
        var known = BeatAcquaintance(challenge: 100)
        #expect(known.heard == nil)
        func datagram(_ number: UInt64, echo: UInt64, life: UInt64 = 1) -> BeatDatagram {
            BeatDatagram(beat, to: names[0], life: life, number: number, challenge: 10, echo: echo)
        }
        _ = known.admits(datagram(1, echo: 0), next: 101)
        #expect(known.heard == nil, "it may be of any time")
        let isOfNow = known.admits(datagram(2, echo: 100), next: 101)
        #expect(isOfNow)
        #expect(known.heard == BeatMark(life: 1, number: 2))
        _ = known.admits(datagram(1, echo: 100), next: 102)
        #expect(known.heard == BeatMark(life: 1, number: 2), "what is late changes nothing")
        let isAnother = known.admits(datagram(1, echo: 101, life: 2), next: 103)
        #expect(isAnother)
        #expect(known.heard == BeatMark(life: 2, number: 1))
    }

    /// Programs of before read what they know, and pass over the rest; what they say has none of it.
    @Test func itStandsAtTheEnd() throws {
        let names = try (1...2).map { try MemberName("m\($0)") }
        let beat = MemberBeat(
            member: names[0], epoch: Epoch(4), isOpen: true, missesLeader: false, hears: [names[1]],
            call: DirectCall(epoch: Epoch(5), revision: 9))
        var datagram = BeatDatagram(
            beat, to: names[1], life: 1, number: 2, challenge: 3, echo: 4, heard: BeatMark(life: .max, number: 6))
        let bytes = datagram.bytes
        #expect(BeatDatagram(bytes) == datagram)
        datagram.heard = nil
        let before = datagram.bytes
        #expect(bytes.count == before.count + 16)
        #expect(BeatDatagram(before) == datagram)
        // All before the last 16 bytes is the same but for the one that says what follows.
        #expect(zip(bytes, before).filter { $0 != $1 }.count == 1)
        for count in bytes.count - 16..<bytes.count { #expect(BeatDatagram(bytes.prefix(count)) == nil) }
    }
}
