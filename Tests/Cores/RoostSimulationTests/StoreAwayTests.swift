import RoostFailover
import RoostSimulation
import Testing

/// Clusters whose store is away for long. (An outage lasts as long as it says, or 3 s, by the seed.)
@Suite struct StoreAwayTests {
    private static func scenario(
        seed: UInt64, members: Int, faults: [ClusterScenario.Fault] = [], _ script: [ClusterScenario.Scripted],
        outageSeconds: Int = 60, chaosSeconds: Int = 80
    ) -> ClusterScenario {
        ClusterScenario(
            seed: seed, members: members, faults: faults,
            script: [.init(.storeOutage, atSeconds: 12, forSeconds: outageSeconds)] + script,
            chaosSeconds: chaosSeconds, olderMembers: faults.isEmpty ? 0 : nil)
    }

    /// For three minutes.
    @Test(arguments: [1, 2, 3, 4, 5])
    func membersThatHearEachOtherGoOn(members: Int) {
        for seed in 1...20 as ClosedRange<UInt64> {
            let run = run(
                Self.scenario(seed: seed, members: members, [], outageSeconds: 180, chaosSeconds: 200))
            #expect(run.violation == nil && run.epochs == 1, "seed \(seed)")
            // What late packets make of a commit that needs two; a leader that stops does so for minutes.
            #expect(run.longestGapSeconds < 10, "seed \(seed): \(run.longestGapSeconds) s")
        }
    }

    /// Whatever else happens, and however the outage ends.
    @Test(
        arguments: SeedRange.ranges(members: 3, count: 120, each: 60) + SeedRange.ranges(members: 5, count: 40)
            + SeedRange.ranges(members: 2, count: 20))
    func staysSafeAndRecovers(_ range: SeedRange) {
        for seed in range.seeds {
            let run = run(
                Self.scenario(seed: seed, members: range.members, faults: Self.faults, [], chaosSeconds: 60))
            if run.violation != nil { return }
        }
    }

    private static let faults: [ClusterScenario.Fault] = [
        .crashMember, .crashPostgres, .freezeSupervisor, .freezeMember, .cutOneWay, .cutBothWays, .isolate, .loseBeats,
        .slowMember, .clockJump, .restartMember, .crashBetweenActions, .storeOutage, .storeUnclear, .staleWatch,
        .addMember, .removeMember, .stallAtChange, .switchover,
    ]

    /// Of two members each commit needs both: twice the other one's machine starts anew, and confirms again.
    @Test func aStandbyThatStartsMeanwhileComesBack() {
        for seed in 1...30 as ClosedRange<UInt64> {
            let run = run(
                Self.scenario(
                    seed: seed, members: 2,
                    [
                        .init(.crashMember, atSeconds: 20, forSeconds: 2, isOnStandby: true),
                        .init(.crashMember, atSeconds: 40, forSeconds: 2, isOnStandby: true),
                    ]))
            #expect(run.violation == nil && run.epochs == 1, "seed \(seed)")
            #expect(run.longestGapSeconds < 12, "seed \(seed): \(run.longestGapSeconds) s")
        }
    }

    /// By the word of the others it leads on in its epoch; where the store is back already, another may lead.
    @Test(arguments: [1, 2, 3, 5])
    func aLeaderThatStartsMeanwhileLeadsOn(members: Int) {
        for seed in 1...20 as ClosedRange<UInt64> {
            let run = run(
                Self.scenario(seed: seed, members: members, [.init(.crashMember, atSeconds: 20, forSeconds: 2)]))
            #expect(run.violation == nil, "seed \(seed)")
            #expect(run.longestGapSeconds < 14, "seed \(seed): \(run.longestGapSeconds) s")
        }
    }

    /// For two seconds nobody hears its beats: nobody may leave it, as nobody could be chosen.
    @Test func aGapInTheBeatsBindsNobodyWhileTheStoreIsAway() {
        var broken = 0.0
        for seed in 1...30 as ClosedRange<UInt64> {
            let scenario = Self.scenario(
                seed: seed, members: 3, [.init(.loseBeats, atSeconds: 30, forSeconds: 2)])
            let run = run(scenario)
            #expect(run.violation == nil && run.longestGapSeconds < 5, "seed \(seed): \(run.longestGapSeconds) s")
            broken = max(broken, ClusterSimulation(scenario, breakage: .callsWithoutStore).run().longestGapSeconds)
        }
        #expect(broken > 20, "\(Breakage.callsWithoutStore)")
    }

    /// A leader that is replaced, and whose lease goes on by what does not show that it was not.
    @Test(arguments: [
        (Breakage.heedsOldWords, 3), (.heedsOneTooFew, 3), (.heedsOneTooFew, 5), (.heedsThePromised, 3),
    ])
    func wordsThatDoNotCountAreNoticed(_ breakage: Breakage, members: Int) {
        let faults: [ClusterScenario.Fault] = [.isolate, .cutBothWays, .cutOneWay, .loseBeats, .crashMember]
        let isNoticed = (1...2000 as ClosedRange<UInt64>).contains { seed in
            let scenario = ClusterScenario(
                seed: seed, members: members, faults: faults, chaosSeconds: 60, checksReports: false, olderMembers: 0)
            let violation = ClusterSimulation(scenario, breakage: breakage).run().violation
            return violation?.what.contains("was chosen for a newer one") == true
        }
        #expect(isNoticed, "\(breakage)")
    }
}
