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
        _ seed: UInt64, of members: Int, left: Int, namesAny: Bool = false, faults: [ClusterScenario.Fault] = []
    ) -> ClusterScenario {
        ClusterScenario(
            seed: seed, members: members, faults: faults, chaosSeconds: 100,
            olderMembers: 0, forcing: .init(atSeconds: 12, left: left, namesAny: namesAny))
    }

    @Test(
        "All but a few are gone: the named one leads, the cluster is written to, and whoever was given up takes no part",
        arguments: [(2, 1), (3, 1), (5, 1), (5, 2), (4, 1), (4, 2)])
    func forced(members: Int, left: Int) {
        var (decided, written, lossy) = (0, 0, 0)
        let seeds: UInt64 = 25
        for seed in 1...seeds {
            let run = run(Self.scenario(seed, of: members, left: left))
            if run.violation != nil { return }
            decided += run.secondsToForce == nil ? 0 : 1
            written += run.secondsToWrite == nil ? 0 : 1
            lossy += run.hasLost ? 1 : 0
        }
        // A machine that is back soon makes a safe election possible, and nothing is forced then.
        #expect(decided > Int(seeds) / 2 && written == decided, "\(decided) decided, \(written) written")
        // Half of an even number has all that was confirmed.
        #expect(lossy > 0 || left * 2 == members, "some had nothing to lose in every run")
        #expect(lossy == 0 || left * 2 != members, "what the half of them had is lost")
    }

    @Test("Other things go wrong at the same time", arguments: [(3, 1), (5, 2)])
    func forcedAmongFaults(members: Int, left: Int) {
        var written = 0
        for seed in 1...40 {
            let run = run(Self.scenario(UInt64(seed), of: members, left: left, namesAny: true, faults: Self.faults))
            if run.violation != nil { return }
            written += run.secondsToWrite == nil ? 0 : 1
        }
        #expect(written > 8)
    }

    @Test(
        "Members that decide past what was decided are noticed, and those that keep a lease for who was given up with them",
        arguments: [
            (Breakage.electsPastForce, ["a person has decided that", "still follows", "is given up, and"]),
            (.vouchesAside, ["was chosen for a newer one"]),
        ])
    func wrongWaysAreNoticed(breakage: Breakage, signs: [String]) {
        let isNoticed = (1...600).contains { seed in
            let scenario = Self.scenario(
                UInt64(seed), of: 5, left: seed.isMultiple(of: 2) || breakage == .vouchesAside ? 2 : 1, namesAny: true)
            guard let violation = ClusterSimulation(scenario, breakage: breakage).run().violation else { return false }
            return signs.contains { violation.what.contains($0) }
        }
        #expect(isNoticed, "\(breakage)")
    }
}
