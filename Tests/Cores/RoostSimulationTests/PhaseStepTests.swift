import Foundation
import RoostFailover
import RoostSimulation
import Testing

/// What a member's phase may become, against what it does become.
@Suite struct PhaseStepTests {
    /// The simulation fails at the first step that is not in the table. Here the table has no other steps than it takes, and
    /// those that few runs take, or none: faults begin seconds after the first start, and few clusters have a full volume.
    @Test func everyStepIsTaken() {
        var taken: Set<PhaseStep> = []
        // A switchover that is given up takes two faults of the same run.
        let switchovers: [ClusterScenario.Fault] = [
            .switchover, .operationFails, .storeOutage, .restartMember, .isolate,
        ]
        let wanted = PhaseStep.legal.filter { Self.rare[$0.from]?.contains($0.to) != true }
        // A change of the core gives every seed another course: how many it takes until the last step was taken is luck.
        for seed in 1...3000 as ClosedRange<UInt64> where !taken.isSuperset(of: wanted) {
            var scenarios = [ClusterScenario(seed: seed, members: 3)]
            if seed % 5 == 0 { scenarios.append(ClusterScenario(seed: seed, members: 3, faults: switchovers)) }
            for scenario in scenarios {
                let run = run(scenario)
                taken.formUnion(run.steps)
                if run.violation != nil { return }
            }
        }
        let missing = wanted.filter { !taken.contains($0) }
        #expect(missing.isEmpty, "\(missing)")
    }

    private static let rare: [FailoverStatus.Phase: [FailoverStatus.Phase]] = [
        .starting: [.founding],
        .empty: [.initializing, .discarding, .quarantined],
        .initializing: [.empty, .leaving],
        .founding: [.reading, .quarantined, .leaving],
        .reading: [.severing],
        .waiting: [.severing, .discarding],
        .discarding: [.empty, .severing, .leaving],
        .rewinding: [.leaving],
        .claiming: [.resigning],
        .promoting: [.severing],
        .draining: [.restarting, .leading, .suspended, .resigning, .leaving],
        .resigning: [.leaving],
    ]

    @Test func nothingFollowsTheEnd() {
        for phase in FailoverStatus.Phase.allCases {
            #expect(!PhaseStep(from: .leaving, to: phase).isLegal)
            #expect(!PhaseStep(from: phase, to: .starting).isLegal)
            #expect(phase == .leaving || PhaseStep(from: phase, to: .leaving).isLegal)
        }
    }

    /// The room's page has the same table.
    @Test func page() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../../..")
        let page = try String(
            contentsOf: root.appending(path: "Sources/Cores/RoostFailover/README.md"), encoding: .utf8)
        let rows = page.split(separator: "\n").map(String.init).filter { $0.hasPrefix("| `") }
        let wanted = FailoverStatus.Phase.allCases.map { phase in
            let next = phase.successors.map { "`\($0.rawValue)`" }.joined(separator: ", ")
            return "| `\(phase.rawValue)` | \(next.isEmpty ? "–" : next) |"
        }
        #expect(rows == wanted, "the rows are to be:\n\(wanted.joined(separator: "\n"))")
    }
}
