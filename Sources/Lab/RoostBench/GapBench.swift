import Glibc
import RoostDemo
import RoostLab
import RoostLinux
import RoostModel
import RoostWire

/// How long writes stand still when something breaks, over many rounds: the time between the last row confirmed before
/// and the first confirmed after, seen by a client in the primary's first region.
enum GapBench {
    private static let crashGoal = 2000.0
    private static let lossGoal = 4000.0

    private struct Gaps {
        var crash: [Double] = []
        var loss: [Double] = []
    }

    static func run(
        _ demo: Demo, _ body: ClusterBody, rounds: Int
    ) async throws -> (results: [BenchRow], rows: BenchReport.Rows) {
        let client = demo.planet.plan.clients[0].name
        let gaps = try await withThrowingTaskGroup(of: Gaps?.self) { group in
            group.addTask {
                try await demo.write(body.writeURL, from: client)
                return nil
            }
            group.addTask { try await self.rounds(rounds, demo) }
            guard let gaps = try await group.next() ?? nil else {
                throw LabError(.failed, "the writer ended by itself", advice: "see \(demo.rowsFile)")
            }
            group.cancelAll()
            return gaps
        }
        let rows = try demo.log().confirmations.count
        let healthy = try await demo.wait(for: Demo.recoverMax, "is whole again") { $0.status == .ready }
        let (confirmed, lost) = try await demo.verify(rows, healthy)
        return (results(gaps), BenchReport.Rows(confirmed: confirmed, lost: lost))
    }

    /// Both faults in every round, so that whatever drifts on this computer drifts for both.
    private static func rounds(_ rounds: Int, _ demo: Demo) async throws -> Gaps {
        var gaps = Gaps()
        let begin = WallClock.milliseconds()
        for round in 1...rounds {
            demo.progress("gaps: round \(round) of \(rounds)")
            let first = try await demo.wait(for: Demo.recoverMax, "is whole") { $0.status == .ready }
            let crashed = try demo.host(ofLeader: first)
            let crash = try await demo.event("Postgres killed on \(crashed)", since: begin) {
                try demo.planet.signal(SIGKILL, process: "postgres", on: crashed)
            } until: {
                $0.status == .ready
            }
            gaps.crash.append(Double(crash.gapMilliseconds))

            let second = try await demo.wait(for: Demo.recoverMax, "is whole") { $0.status == .ready }
            let lost = try demo.host(ofLeader: second)
            let loss = try await demo.event("host \(lost) of the primary killed", since: begin) {
                try await demo.planet.killHost(lost)
            } until: {
                $0.epoch > second.epoch && $0.isServing
            }
            gaps.loss.append(Double(loss.gapMilliseconds))
            try await demo.planet.startHost(lost)
        }
        return gaps
    }

    private static func results(_ gaps: Gaps) -> [BenchRow] {
        [("Postgres killed", gaps.crash, crashGoal), ("primary's host killed", gaps.loss, lossGoal)].flatMap {
            title, gaps, goal in
            [BenchRow.Summary.median, .worst].map { summary in
                BenchRow(
                    .gaps, "\(title), \(summary.rawValue) gap", .milliseconds, gaps, summary,
                    goal: .init(.figure, .atMost, goal))
            }
        }
    }
}
