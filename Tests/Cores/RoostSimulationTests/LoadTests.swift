import RoostFailover
import RoostSimulation
import Testing

/// What is slow, or stands still, and fails nothing.
@Suite struct LoadTests {
    private func runs(
        members: Int, faults: [ClusterScenario.Fault] = [], script: [ClusterScenario.Scripted] = [],
        chaosSeconds: Int,
        breakage: Breakage? = nil, seeds: ClosedRange<UInt64> = 1...25, majority: Bool = false
    ) -> [ClusterRun] {
        seeds.map { seed in
            let scenario = ClusterScenario(
                seed: seed, members: members, faults: faults, script: script, chaosSeconds: chaosSeconds,
                olderMembers: 0, knowsMajority: majority)
            return ClusterSimulation(scenario, breakage: breakage).run()
        }
    }

    /// For five minutes all members are slow in all that they do, and in the beginning all start anew: standbys come to stream
    /// late, and their streams break off, whoever leads.
    private static let load: [ClusterScenario.Scripted] = [
        .init(.load, atSeconds: 12, forSeconds: 300), .init(.powerLoss, atSeconds: 20, forSeconds: 1),
    ]

    /// Where members decide, epochs count in which nobody was chosen.
    @Test(arguments: [3, 5], [false, true])
    func leadersDoNotTakeTurnsUnderLoad(members: Int, majority: Bool) {
        for run in runs(members: members, script: Self.load, chaosSeconds: 312, majority: majority) {
            #expect(run.violation == nil && run.epochs <= (majority ? 10 : 6), "\(run.scenario): \(run.epochs) epochs")
            #expect(run.secondsToPrimary ?? .infinity <= 30, "\(run.scenario)")
        }
    }

    /// By the rule of before: ten seconds without enough standbys. It needs two of four here, and makes way before there are.
    @Test func leadersThatMakeWayForNobodyBetterTakeTurns() {
        let wrong = runs(members: 5, script: Self.load, chaosSeconds: 312, breakage: .resignsWhenAlone)
        let right = runs(members: 5, script: Self.load, chaosSeconds: 312)
        #expect(wrong.contains { $0.epochs > 10 })
        #expect(wrong.reduce(0) { $0 + $1.epochs } > right.reduce(0) { $0 + $1.epochs } * 3 / 2)
        // And meanwhile less is confirmed.
        #expect(wrong.reduce(0) { $0 + $1.confirmed } * 3 / 2 < right.reduce(0) { $0 + $1.confirmed })
    }

    /// No commit can end on it, and nothing shows that but a small write: 15 s at most, the election among them.
    @Test(arguments: [3, 5], [false, true])
    func aLeaderWhoseDiskHangsIsReplacedSoon(members: Int, majority: Bool) {
        let script = [ClusterScenario.Scripted(.volumeHangs, atSeconds: 12, forSeconds: 60)]
        for run in runs(members: members, script: script, chaosSeconds: 80, majority: majority) {
            #expect(
                run.violation == nil && run.epochs <= (majority ? 3 : 2) && run.longestGapSeconds <= 15,
                "\(run.scenario)")
        }
        for run in runs(
            members: members, script: script, chaosSeconds: 80, breakage: .keepsOfficeWhileHung, majority: majority)
        {
            #expect(run.longestGapSeconds > 55, "\(run.scenario)")
        }
    }

    /// Whoever's it is: it comes back by itself, or rather, by its supervisor.
    @Test(arguments: [2, 3, 5])
    func aPostgresThatHangsIsStartedAgain(members: Int) {
        let right = runs(members: members, faults: [.hangPostgres], chaosSeconds: 40)
        #expect(
            right.allSatisfy { $0.violation == nil },
            "\(right.first { $0.violation != nil }.map { "\($0)" } ?? "")")
        let wrong = runs(
            members: members, faults: [.hangPostgres], chaosSeconds: 40, breakage: .leavesSilentStandby)
        #expect(wrong.contains { $0.violation?.what.contains("not whole") == true })
    }
}
