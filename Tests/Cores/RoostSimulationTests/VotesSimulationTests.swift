import RoostFailover
import RoostSimulation
import Testing

/// Clusters whose members decide by votes, with a store that is away for long.
@Suite struct VotesSimulationTests {
    private static func scenario(
        seed: UInt64, members: Int, faults: [ClusterScenario.Fault] = [], _ script: [ClusterScenario.Scripted] = [],
        chaosSeconds: Int = 200
    ) -> ClusterScenario {
        ClusterScenario(
            seed: seed, members: members, faults: faults,
            script: [.init(.storeOutage, atSeconds: 12, forSeconds: chaosSeconds - 20)] + script,
            chaosSeconds: chaosSeconds, olderMembers: 0, knowsMajority: true)
    }

    /// It is lost in the thirtieth second, with the store away for minutes.
    @Test(arguments: [(ClusterScenario.Fault.crashMember, 3), (.crashMember, 5), (.isolate, 3), (.freezeMember, 5)])
    func aLeaderThatIsLostWithTheStoreIsReplaced(fault: ClusterScenario.Fault, members: Int) {
        var gaps: [Double] = []
        for seed in 1...40 as ClosedRange<UInt64> {
            let run = run(
                Self.scenario(seed: seed, members: members, [.init(fault, atSeconds: 30, forSeconds: 160)]))
            #expect(run.violation == nil && run.epochs >= 2, "seed \(seed)")
            gaps.append(run.longestGapSeconds)
        }
        #expect(gaps.allSatisfy { $0 < 30 }, "\(gaps)")
        #expect(gaps.sorted()[gaps.count / 2] < 5, "\(gaps)")
    }

    @Test func twoLeadersOfFiveAreLostOneAfterTheOther() {
        for seed in 1...40 as ClosedRange<UInt64> {
            let run = run(
                Self.scenario(
                    seed: seed, members: 5,
                    [
                        .init(.crashMember, atSeconds: 30, forSeconds: 160),
                        .init(.crashMember, atSeconds: 70, forSeconds: 120),
                    ]))
            #expect(run.violation == nil && run.longestGapSeconds < 30, "seed \(seed): \(run.longestGapSeconds)")
        }
    }

    private static let faults: [ClusterScenario.Fault] = [
        .crashMember, .crashPostgres, .freezeSupervisor, .freezeMember, .cutOneWay, .cutBothWays, .isolate, .loseBeats,
        .slowMember, .clockJump, .restartMember, .crashBetweenActions, .crashWhenCalled, .storeOutage, .storeOutage,
        .storeUnclear, .staleWatch, .addMember, .removeMember, .stallAtChange, .switchover, .loseDisk,
    ]

    @Test(
        arguments: SeedRange.ranges(members: 3, count: 200, each: 100) + SeedRange.ranges(members: 5, count: 60)
            + SeedRange.ranges(members: 4, count: 60) + SeedRange.ranges(members: 2, count: 20))
    func staysSafeAndRecovers(_ range: SeedRange) {
        for seed in range.seeds {
            let run = run(
                Self.scenario(seed: seed, members: range.members, faults: Self.faults, chaosSeconds: 60))
            if run.violation != nil { return }
        }
    }

    @Test(arguments: [3, 5])
    func aStoreThatGoesBackIsNotFollowed(members: Int) {
        for seed in 1...80 as ClosedRange<UInt64> {
            let run = run(
                Self.scenario(
                    seed: seed, members: members, faults: Self.faults + [.storeGoesBack, .storeGoesBack],
                    chaosSeconds: 60))
            if run.violation != nil { return }
        }
    }

    @Test(arguments: [
        (Breakage.votesTwice, ["and has voted for"]), (.countsTooFewVotes, ["by the votes of"]),
    ])
    func wrongVotesAreNoticed(_ breakage: Breakage, signs: [String]) {
        let isNoticed = (1...1500 as ClosedRange<UInt64>).contains { seed in
            let scenario = Self.scenario(seed: seed, members: 3, faults: Self.faults, chaosSeconds: 60)
            guard let violation = ClusterSimulation(scenario, breakage: breakage).run().violation else { return false }
            return signs.contains { violation.what.contains($0) }
        }
        #expect(isNoticed, "\(breakage)")
    }
}
