import RoostFailover
import RoostSimulation
import Testing

/// Too few members are left, and a person decides who leads: what must hold then, at every event.
@Suite("A failover that a person decides, simulated") struct ForcedFailoverSimulationTests {
    /// What may befall those that are left, and those that are not.
    private static let faults: [ClusterScenario.Fault] = [
        .crashPostgres, .staleWatch, .storeUnclear, .loseBeats, .operationFails, .clockJump, .slowMember, .crashMember,
        .crashBetweenActions, .storeOutage,
    ]

    private static func scenario(
        _ seed: UInt64, of members: Int, left: Int, namesAny: Bool = false, faults: [ClusterScenario.Fault] = [],
        majority: Bool = false
    ) -> ClusterScenario {
        ClusterScenario(
            seed: seed, members: members, faults: faults, chaosSeconds: 100,
            olderMembers: 0, forcing: .init(atSeconds: 12, left: left, namesAny: namesAny), knowsMajority: majority)
    }

    @Test(
        "All but a few are gone: the named one leads, the cluster is written to, and whoever was given up takes no part",
        arguments: [
            (2, 1, false), (3, 1, false), (5, 1, false), (5, 2, false), (4, 1, false), (4, 2, false), (3, 1, true),
            (5, 1, true), (5, 2, true), (7, 3, true),
        ])
    func forced(members: Int, left: Int, majority: Bool) {
        var (decided, written, lossy) = (0, 0, 0)
        // Of those that vote, more than half go on by themselves.
        let seeds: UInt64 = majority ? 75 : 25
        for seed in 1...seeds {
            let run = run(Self.scenario(seed, of: members, left: left, majority: majority))
            if run.violation != nil { return }
            decided += run.secondsToForce == nil ? 0 : 1
            written += run.secondsToWrite == nil ? 0 : 1
            lossy += run.hasLost ? 1 : 0
        }
        // A machine that is back soon makes a safe election possible, and nothing is forced then.
        #expect(
            decided > Int(seeds) / (majority ? 3 : 2) && written == decided, "\(decided) decided, \(written) written")
        // Half of an even number has all that was confirmed.
        #expect(lossy > 0 || left * 2 == members, "some had nothing to lose in every run")
        #expect(lossy == 0 || left * 2 != members, "what the half of them had is lost")
    }

    @Test(
        "Other things go wrong at the same time", arguments: [(3, 1, false), (5, 2, false), (3, 1, true), (5, 2, true)])
    func forcedAmongFaults(members: Int, left: Int, majority: Bool) {
        var written = 0
        for seed in 1...150 {
            let run = run(
                Self.scenario(
                    UInt64(seed), of: members, left: left, namesAny: true, faults: Self.faults, majority: majority))
            if run.violation != nil { return }
            written += run.secondsToWrite == nil ? 0 : 1
        }
        #expect(written > 30)
    }

    @Test(
        "Members that decide past what was decided are noticed, and those that keep a lease for who was given up with them",
        arguments: [
            (Breakage.electsPastForce, ["a person has decided that", "still follows", "is given up, and"]),
            (.vouchesAside, ["was chosen for a newer one"]),
            (.forgetsForced, ["which was confirmed or shown"]),
            (.heedsLaterMembers, ["two leaders in one epoch", "was given up, and"]),
        ])
    func wrongWaysAreNoticed(breakage: Breakage, signs: [String]) {
        let isNoticed = (1...600).contains { seed in
            let scenario = Self.scenario(
                UInt64(seed), of: 5, left: seed.isMultiple(of: 2) || breakage == .vouchesAside ? 2 : 1, namesAny: true,
                faults: breakage == .forgetsForced ? Self.faults : [], majority: breakage == .heedsLaterMembers)
            guard let violation = ClusterSimulation(scenario, breakage: breakage).run().violation else { return false }
            return signs.contains { violation.what.contains($0) }
        }
        #expect(isNoticed, "\(breakage)")
    }
}
