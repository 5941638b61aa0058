import RoostFailover
import RoostSimulation
import Testing

/// The simulation is only worth what it notices: every rule that is broken on purpose must make it fail.
@Suite struct BreakageTests {
    private static let seedsMax: UInt64 = 3000

    private func firstViolation(
        members: Int, faults: [ClusterScenario.Fault] = ClusterScenario.Fault.allCases, breakage: Breakage? = nil,
        breach: ClusterScenario.Breach? = nil
    ) -> Violation? {
        for seed in 1...Self.seedsMax {
            // Not by the check of the reports themselves: by what they lead to.
            let scenario = ClusterScenario(
                seed: seed, members: members, faults: faults, breach: breach, checksReports: false)
            let run = ClusterSimulation(scenario, breakage: breakage).run()
            if let violation = run.violation { return violation }
        }
        return nil
    }

    @Test(arguments: Breakage.allCases, [3, 5])
    func isNoticed(_ breakage: Breakage, members: Int) throws {
        let violation = try #require(firstViolation(members: members, breakage: breakage), "\(breakage)")
        switch breakage {
        case .promotesLeastAdvanced, .recruitsOneTooFew, .reportsPromisedEpoch, .opensUnconfirmed, .answersBeforeFence:
            #expect(
                violation.what.contains("confirmed") || violation.what.contains("opens without"), "\(violation)")
        case .adoptsUnseen:
            #expect(violation.what.contains("joins the stream"), "\(violation)")
        }
    }

    /// A standby whose supervisor is frozen connects again by itself, to whoever leads there now.
    @Test func streamsWithoutEpochsAreNoticed() throws {
        let violation = firstViolation(
            members: 3, faults: [.freezeSupervisor, .switchover, .crashMember], breach: .ignoresStreamNames)
        #expect(try #require(violation).what.contains("confirmed"))
    }
}
