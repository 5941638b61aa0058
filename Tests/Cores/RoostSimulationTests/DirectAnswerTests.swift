import RoostModel
import Testing

@testable import RoostFailover

/// What is made of an answer that comes straight from a member, which may say anything.
@Suite struct DirectAnswerTests {
    private let member: MemberName
    private let history: [Reign]

    init() throws {
        let names = try (1...3).map { try MemberName("m\($0)") }
        member = names[2]
        history = [
            Reign(epoch: .first, leader: names[0], begin: .zero),
            Reign(epoch: Epoch(2), leader: names[1], begin: LSN(1000)),
        ]
    }

    private func report(_ change: (inout DirectAnswer) -> Void = { _ in }) -> MemberReport? {
        var answer = DirectAnswer(
            epoch: Epoch(3), reigns: 2, digest: history.digest, end: LSN(1500), replayed: LSN(1400), timeline: 2,
            cannotLead: false)
        change(&answer)
        return answer.report(of: member, by: history)
    }

    @Test func whatCanBeIsAReport() {
        let said = report()
        #expect(said?.position == Position(epoch: Epoch(2), end: LSN(1500)) && said?.replayed == LSN(1400))
        #expect(said?.chain == history && said?.promised == Epoch(3) && said?.cannotLead == nil)
        let most = report {
            $0.end = LSN(LSN.limit.offset - 1)
            $0.replayed = $0.end
            $0.timeline = ClusterRule.timelineMax - 1
        }
        #expect(most != nil)
    }

    /// A host would not take it as a report, and no rule that hosts take could be made of it.
    @Test func whatCannotBeIsNone() {
        #expect(report { $0.reigns = 3 } == nil && report { $0.reigns = 0 } == nil && report { $0.reigns = -1 } == nil)
        #expect(report { $0.digest ^= 1 } == nil)
        #expect(report { $0.end = .limit } == nil)
        #expect(report { $0.replayed = LSN(1501) } == nil)
        #expect(report { $0.timeline = ClusterRule.timelineMax } == nil)
        // It has nothing of the last reign that it names.
        #expect(report { ($0.end, $0.replayed) = (LSN(1000), LSN(1000)) } == nil)
    }
}
