import RoostModel
import Testing

@testable import RoostFailover

@Suite struct DivergenceTests {
    private let chain: [Reign]

    init() throws {
        let leader = try MemberName("m1")
        chain = [(1, 0), (2, 100), (5, 300)].map {
            Reign(epoch: Epoch($0.0), leader: leader, begin: LSN($0.1))
        }
    }

    private func fork(_ timeline: UInt32, _ begin: UInt64) -> TimelineFork {
        TimelineFork(timeline: timeline, begin: LSN(begin))
    }

    @Test func aLogOfItsReignsAgrees() {
        #expect(Divergence(end: LSN(400), forks: [fork(2, 100), fork(3, 300)], chain: chain, last: 3) == nil)
        // Not there yet.
        #expect(Divergence(end: LSN(300), forks: [fork(2, 100)], chain: chain, last: 3) == nil)
        #expect(Divergence(end: LSN(80), forks: [], chain: chain, last: 3) == nil)
        // Older reigns are not known any more.
        let known = Array(chain.dropFirst())
        #expect(Divergence(end: LSN(400), forks: [fork(2, 100), fork(3, 300)], chain: known, last: 3) == nil)
    }

    @Test func aLogLeavesWhereItsTimelinesDo() throws {
        let cases: [(end: UInt64, forks: [TimelineFork], agreed: UInt64, timeline: UInt32)] = [
            // Promoted by hand at the end of what it had, or in the middle.
            (400, [fork(2, 100), fork(3, 300), fork(4, 350)], 350, 4),
            (400, [fork(2, 100), fork(3, 250)], 250, 3),
            // The same number as the next reign's, at another place.
            (400, [fork(2, 100), fork(3, 320)], 300, 3),
            // Went on with the timeline that the leader left.
            (400, [fork(2, 100)], 300, 2),
            (150, [fork(2, 90)], 90, 2),
        ]
        for each in cases {
            let found = try #require(
                Divergence(end: LSN(each.end), forks: each.forks, chain: chain, last: 3), "\(each)")
            #expect(found.agreed == LSN(each.agreed) && found.timeline == each.timeline, "\(each): \(found)")
        }
    }
}
