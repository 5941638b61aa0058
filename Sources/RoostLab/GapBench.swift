import Glibc
import RoostLinux
import RoostModel
import RoostWire

/// How long writes stand still when something breaks, over many rounds on one lab: the time between the last row
/// confirmed before and the first confirmed after, seen by a client in the primary's first region.
public struct GapBench: Sendable {
    public struct Report: Sendable, Codable {
        public var crashMilliseconds: [Int64] = []
        public var hostLossMilliseconds: [Int64] = []
        public var rowsConfirmed = 0
        public var rowsLost = 0

        enum CodingKeys: String, CodingKey {
            case crashMilliseconds = "postgres_crash_ms"
            case hostLossMilliseconds = "host_loss_ms"
            case rowsConfirmed = "rows_confirmed"
            case rowsLost = "rows_lost"
        }

        public static func median(_ values: [Int64]) -> Int64 {
            let sorted = values.sorted()
            guard !sorted.isEmpty else { return 0 }
            return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
        }
    }

    public static let roundsMax = 100
    static let cluster = "bench"

    /// Brings a lab up, measures, and takes it down again, also when it fails.
    public static func run(
        _ shape: LabShape, rounds: Int, progress: @escaping Demo.Progress = { _ in }
    ) async throws -> Report {
        guard (1...roundsMax).contains(rounds) else {
            throw LabError(.usage, "a bench has 1 to \(roundsMax) rounds")
        }
        let planet = try await Planet.up(shape, progress: progress)
        do {
            let demo = Demo(planet: planet, cluster: try AppName(cluster), progress: progress)
            let report = try await measure(demo, rounds: rounds)
            _ = try await planet.down()
            return report
        } catch {
            _ = try await planet.down()
            throw error
        }
    }

    private static func measure(_ demo: Demo, rounds: Int) async throws -> Report {
        let body = try await demo.create()
        let client = demo.planet.plan.clients[0].name
        var report = try await withThrowingTaskGroup(of: Report?.self) { group in
            group.addTask {
                try await demo.write(body.writeURL, from: client)
                return nil
            }
            group.addTask { try await self.rounds(rounds, demo) }
            guard let report = try await group.next() ?? nil else {
                throw LabError(.failed, "the writer ended by itself", advice: "see \(demo.rowsFile)")
            }
            group.cancelAll()
            return report
        }
        let rows = try demo.log().confirmations.count
        let healthy = try await demo.wait(for: Demo.recoverMax, "is whole again") { $0.status == .ready }
        (report.rowsConfirmed, report.rowsLost) = try await demo.verify(rows, healthy)
        return report
    }

    /// Both faults in every round, so that whatever drifts on this computer drifts for both.
    private static func rounds(_ rounds: Int, _ demo: Demo) async throws -> Report {
        var report = Report()
        let begin = WallClock.milliseconds()
        for round in 1...rounds {
            demo.progress("round \(round) of \(rounds)")
            let first = try await demo.wait(for: Demo.recoverMax, "is whole") { $0.status == .ready }
            let crashed = try demo.host(ofLeader: first)
            let crash = try await demo.event("Postgres killed on \(crashed)", since: begin) {
                try demo.planet.signal(SIGKILL, process: "postgres", on: crashed)
            } until: {
                $0.status == .ready
            }
            report.crashMilliseconds.append(crash.gapMilliseconds)

            let second = try await demo.wait(for: Demo.recoverMax, "is whole") { $0.status == .ready }
            let lost = try demo.host(ofLeader: second)
            let loss = try await demo.event("host \(lost) of the primary killed", since: begin) {
                try await demo.planet.killHost(lost)
            } until: {
                $0.epoch > second.epoch && $0.status != .unavailable
            }
            report.hostLossMilliseconds.append(loss.gapMilliseconds)
            try await demo.planet.startHost(lost)
        }
        return report
    }
}
