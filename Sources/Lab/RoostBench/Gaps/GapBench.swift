import RoostDemo
import RoostLab
import RoostLinux
import RoostModel

/// How long writes stand still when something breaks, over many rounds, seen by a client in the primary's first region; of
/// Roost alone, or of Roost and Patroni in turn on the same hosts.
struct GapBench: Sendable {
    private let demo: Demo
    private let part: BenchPart

    init(_ demo: Demo, part: BenchPart) {
        self.demo = demo
        self.part = part
    }

    private struct Found: Sendable {
        var gaps: [GapFault: [String: [Double]]] = [:]
        var steps: [GapFault: StepLines] = [:]
    }

    func run(_ rounds: Int) async throws -> (results: [BenchRow], rows: BenchReport.Rows) {
        let roost = RoostSubject(demo: demo)
        let url = try await roost.writeURL()
        let peer =
            part == .patroni
            ? try await Patroni.start(on: demo.planet, client: roost.rows.client, progress: demo.progress) : nil
        let peerURL = try await peer?.writeURL()
        let found = try await withThrowingTaskGroup(of: Found?.self) { group in
            group.addTask {
                try await roost.rows.write(url)
                return nil
            }
            if let peer, let peerURL {
                group.addTask {
                    try await peer.rows.write(peerURL)
                    return nil
                }
            }
            group.addTask { try await measure(rounds, roost, peer) }
            guard let found = try await group.next() ?? nil else {
                throw LabError(.failed, "a writer ended by itself", advice: "see \(roost.rows.file)")
            }
            group.cancelAll()
            return found
        }
        let rows = try await count(roost)
        var results = results(found)
        if let peer {
            let theirs = try await count(peer)
            results.append(
                BenchRow(
                    part, "confirmed rows that were lost", .count, [Double(rows.lost)],
                    against: .init(name: Patroni.Tuning.standard.rawValue, values: [Double(theirs.lost)])))
            demo.progress("Patroni: \(theirs.confirmed) rows confirmed, \(theirs.lost) lost")
        }
        return (results, rows)
    }

    private func count(_ subject: any GapSubject) async throws -> BenchReport.Rows {
        let confirmed = try subject.rows.log().confirmations.count
        _ = try await subject.whole()
        let verdict = try await subject.rows.verify(confirmed, await subject.writeURL())
        return BenchReport.Rows(confirmed: verdict.confirmed, lost: verdict.lost)
    }

    /// Every fault in every round, so that whatever drifts on this computer drifts for all of them.
    private func measure(_ rounds: Int, _ roost: RoostSubject, _ peer: Patroni?) async throws -> Found {
        let round = GapRound(
            planet: demo.planet, client: demo.planet.plan.clients[0], progress: demo.progress)
        var found = Found()
        for number in 0..<rounds {
            demo.progress("\(part.rawValue): round \(number + 1) of \(rounds)")
            for fault in GapFault.allCases {
                try await measure(fault, roost, others: peer.map { [$0] } ?? [], round, &found)
            }
            guard let peer else { continue }
            let tunings = Patroni.Tuning.allCases
            for index in Statistics.order(of: tunings.count, inRound: number) {
                let tuned = try await peer.tuned(tunings[index])
                for fault in GapFault.allCases { try await measure(fault, tuned, others: [roost], round, &found) }
            }
        }
        return found
    }

    private func measure(
        _ fault: GapFault, _ subject: any GapSubject, others: [any GapSubject], _ round: GapRound, _ found: inout Found
    ) async throws {
        let gap = try await round.measure(fault, on: subject, others: others)
        found.gaps[fault, default: [:]][subject.name, default: []].append(gap)
        guard let log = await subject.stepLog() else { return }
        found.steps[fault, default: StepLines()].take(fault.steps, in: log)
    }

    private func results(_ found: Found) -> [BenchRow] {
        GapFault.allCases.flatMap { fault in
            let gaps = found.gaps[fault] ?? [:]
            let ours = gaps[RoostSubject.name] ?? []
            let peers = Patroni.Tuning.allCases.compactMap { tuning in
                gaps[tuning.rawValue].map { BenchRow.Peer(name: tuning.rawValue, values: $0) }
            }
            guard peers.isEmpty else {
                return peers.map { BenchRow(part, "\(fault.title), gap", .milliseconds, ours, against: $0) }
            }
            let goals = fault.goals
            let whole = [
                BenchRow(
                    part, "\(fault.title), median gap", .milliseconds, ours,
                    goal: .init(.figure, .atMost, goals.median)),
                BenchRow(
                    part, "\(fault.title), worst gap", .milliseconds, ours, .worst,
                    goal: goals.worst.map { .init(.figure, .atMost, $0) }),
            ]
            let steps = found.steps[fault]?.steps ?? []
            return whole + steps.map { BenchRow(part, "\(fault.title), until \($0.name)", .milliseconds, $0.values) }
        }
    }
}
