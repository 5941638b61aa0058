import Glibc
import RoostClient
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

    /// Of a machine's output, to find its last lines in.
    private static let logBytesMax = 128 << 10

    private struct Gaps {
        var crash: [Double] = []
        var loss: [Double] = []
        var crashSteps = StepLines()
        var lossSteps = StepLines()
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
            if let log = await log(ofLeader: crash, demo) { gaps.crashSteps.take(.restart, in: log) }

            let second = try await demo.wait(for: Demo.recoverMax, "is whole") { $0.status == .ready }
            let lost = try demo.host(ofLeader: second)
            let loss = try await demo.event("host \(lost) of the primary killed", since: begin) {
                try await demo.planet.killHost(lost)
            } until: {
                $0.epoch > second.epoch && $0.isServing
            }
            gaps.loss.append(Double(loss.gapMilliseconds))
            if let log = await log(ofLeader: loss, demo) { gaps.lossSteps.take(.failover, in: log) }
            try await demo.planet.startHost(lost)
        }
        return gaps
    }

    /// What the machine of the member that leads after an event has written. Nil where nobody can say: the gap counts all
    /// the same.
    private static func log(ofLeader event: DemoReport.Event, _ demo: Demo) async -> String? {
        guard let body = try? await demo.ask({ try await $0.cluster(demo.cluster) }),
            let machine = body.members.first(where: { $0.name == event.leader })?.machine
        else { return nil }
        return try? await demo.ask { try await $0.logs(of: machine, in: demo.cluster, bytes: logBytesMax) }
    }

    private static func results(_ gaps: Gaps) -> [BenchRow] {
        let kinds = [
            ("Postgres killed", gaps.crash, crashGoal, gaps.crashSteps),
            ("primary's host killed", gaps.loss, lossGoal, gaps.lossSteps),
        ]
        return kinds.flatMap { title, gaps, goal, steps in
            let whole = [BenchRow.Summary.median, .worst].map { summary in
                BenchRow(
                    .gaps, "\(title), \(summary.rawValue) gap", .milliseconds, gaps, summary,
                    goal: .init(.figure, .atMost, goal))
            }
            let parts = steps.steps.map { BenchRow(.gaps, "\(title), until \($0.name)", .milliseconds, $0.values) }
            return whole + parts
        }
    }
}
