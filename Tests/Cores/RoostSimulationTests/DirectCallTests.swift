import RoostFailover
import RoostSimulation
import Testing

/// Clusters whose members call each other directly again and again, and whatever can come between.
@Suite struct DirectCallTests {
    static let faults: [ClusterScenario.Fault] = [
        .crashMember, .freezeMember, .isolate, .crashWhenCalled, .crashWhenCalled, .loseCalls, .loseCalls, .loseBeats,
        .cutOneWay, .cutBothWays, .storeUnclear, .staleWatch, .clockJump, .switchover, .pause, .resume, .addMember,
        .removeMember, .restartAll,
    ]

    @Test(arguments: SeedRange.ranges(members: 3, count: 500, each: 250) + SeedRange.ranges(members: 5, count: 100))
    func staysSafeAndRecovers(_ range: SeedRange) {
        for seed in range.seeds {
            let run = run(
                ClusterScenario(seed: seed, members: range.members, faults: Self.faults, chaosSeconds: 40))
            if run.violation != nil { return }
        }
    }

    /// One write to the store is waited for, and a way there and back between members.
    @Test(arguments: [ClusterScenario.Fault.crashMember, .freezeMember, .isolate])
    func aLostLeaderIsReplacedSoon(fault: ClusterScenario.Fault) {
        let gaps = (1...50 as ClosedRange<UInt64>).map { seed in
            run(
                ClusterScenario(
                    seed: seed, members: 3, faults: [], script: [.init(fault, atSeconds: 12, forSeconds: 20)],
                    chaosSeconds: 30)
            ).longestGapSeconds
        }.sorted()
        #expect(gaps[gaps.count / 2] <= 2.0, "\(fault): \(gaps)")
    }
}
