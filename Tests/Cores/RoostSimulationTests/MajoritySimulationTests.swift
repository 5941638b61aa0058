import RoostFailover
import RoostSimulation
import Testing

/// Clusters whose members know how more than half of them decide, and come to it while they run.
@Suite struct MajoritySimulationTests {
    @Test(arguments: 1...5)
    func theRuleSaysSoSoon(members: Int) {
        for seed in 1...10 as ClosedRange<UInt64> {
            for knows in [true, false] {
                let run = run(
                    ClusterScenario(seed: seed, members: members, faults: [], olderMembers: 0, knowsMajority: knows))
                // Of an even number half and the store do without the others, and one alone has nobody to ask.
                let isMarked = knows && [3, 5].contains(members)
                #expect(run.violation == nil && run.epochs == 1 && run.isMarked == isMarked, "seed \(seed)")
            }
        }
    }

    @Test(
        arguments: SeedRange.ranges(members: 3, count: 300, each: 150) + SeedRange.ranges(members: 5, count: 100))
    func staysSafeAndRecovers(_ range: SeedRange) {
        for seed in range.seeds {
            let run = run(ClusterScenario(seed: seed, members: range.members, chaosSeconds: 40, knowsMajority: true))
            if run.violation != nil { return }
        }
    }

    /// Programs of before among them, which are made newer one after the other as their machines start anew.
    @Test func programsOfBeforeAreMadeNewerOneAfterTheOther() {
        var marked = 0
        for seed in 1...60 as ClosedRange<UInt64> {
            let run = run(
                ClusterScenario(
                    seed: seed, members: 3,
                    faults: [.restartMember, .crashMember, .isolate, .storeUnclear, .replaceMember], chaosSeconds: 60,
                    olderMembers: 1 + Int(seed % 3), knowsMajority: true))
            if run.violation != nil { return }
            marked += run.isMarked ? 1 : 0
        }
        #expect((20...59).contains(marked), "\(marked)")
    }

    /// A member that comes and one that goes, one after the other, while others see neither.
    @Test func stepsThatTooFewKnowOfAreNoticed() {
        let faults: [ClusterScenario.Fault] = [.replaceMember, .addMember, .removeMember, .staleWatch, .staleWatch]
        let isNoticed = (1...1000 as ClosedRange<UInt64>).contains { seed in
            let scenario = ClusterScenario(
                seed: seed, members: 3, faults: faults, chaosSeconds: 60, olderMembers: 0, knowsMajority: true)
            let violation = ClusterSimulation(scenario, breakage: .stepsUnwritten).run().violation
            return violation?.what.contains("have written down the step before") == true
        }
        #expect(isNoticed)
    }

    @Test(arguments: [3, 5])
    func membersComeAndGo(members: Int) {
        var changes: UInt64 = 0
        for seed in 1...60 as ClosedRange<UInt64> {
            let faults: [ClusterScenario.Fault] = [
                .replaceMember, .addMember, .removeMember, .staleWatch, .crashMember, .isolate, .stallAtChange,
            ]
            let run = run(
                ClusterScenario(
                    seed: seed, members: members, faults: faults, chaosSeconds: 60, olderMembers: 0, knowsMajority: true
                ))
            if run.violation != nil { return }
            changes += run.changes
        }
        #expect(changes > 60)
    }

    /// It has the store, and nobody else.
    @Test(arguments: [3, 5])
    func aLeaseOfTheStoreAloneIsNoticed(members: Int) {
        let faults: [ClusterScenario.Fault] = [.crashMember, .isolate, .cutBothWays, .loseBeats]
        let isNoticed = (1...1000 as ClosedRange<UInt64>).contains { seed in
            let scenario = ClusterScenario(
                seed: seed, members: members, faults: faults, chaosSeconds: 40, olderMembers: 0, knowsMajority: true)
            let violation = ClusterSimulation(scenario, breakage: .heedsTheStoreAlone).run().violation
            return violation?.what.contains("others for") == true
        }
        #expect(isNoticed)
    }
}
