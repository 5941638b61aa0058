import RoostDemo
import RoostLab
import RoostLinux
import RoostModel

/// One fault on one cluster: from the last row confirmed before it to the first one after it.
struct GapRound: Sendable {
    let planet: LabPlanet
    /// Where rows are written.
    let client: LabClient
    let progress: LabPlanet.Progress

    /// Patroni waits for its `ttl` and a loop, and longer when its etcd moves at the same time.
    private static let overMax = Duration.seconds(180)
    /// What a crash does may come a moment later.
    private static let watchMin = Duration.seconds(3)
    private static let rowsAfter = 50
    private static let movesMax = 3

    /// - Parameter others: clusters on the same hosts, which lose them too.
    func measure(_ fault: GapFault, on subject: any GapSubject, others: [any GapSubject]) async throws -> Double {
        for other in others { _ = try await other.whole() }
        let host = try await primary(for: fault, of: subject)
        let begin = WallClock.milliseconds()
        let moment = BootClock.now()
        try await fault.inject(planet, primary: host, of: subject)
        let milliseconds: Int64
        do {
            milliseconds = try await gap(after: fault, on: subject, from: host, since: begin, moment)
        } catch {
            try await heal(fault, host, [subject] + others)
            throw error
        }
        try await heal(fault, host, [subject] + others)
        progress("  \(subject.name): \(fault.title) (\(host.name)): \(milliseconds) ms")
        return Double(milliseconds)
    }

    /// Whole again, and at a place where the fault leaves the client outside.
    private func primary(for fault: GapFault, of subject: any GapSubject) async throws -> LabHost {
        var host = try await subject.whole()
        for _ in 0..<Self.movesMax where fault == .cut && host.region == client.region {
            try await subject.switchOver()
            let before = host.name
            let moved: LabHost? = try await poll(for: Self.overMax, every: .milliseconds(500)) {
                let now = try await subject.whole()
                return now.name == before ? nil : now
            }
            host = moved ?? host
        }
        guard fault != .cut || host.region != client.region else {
            throw LabError(.failed, "\(subject.name) did not move its primary out of \(client.region)")
        }
        return host
    }

    private func gap(
        after fault: GapFault, on subject: any GapSubject, from host: LabHost, since begin: Int64, _ moment: Moment
    ) async throws -> Int64 {
        let isOver: Bool? = try await poll(for: Self.overMax, every: .milliseconds(200)) {
            guard BootClock.now() - moment >= Self.watchMin else { return nil }
            let outside = fault == .cut ? host.region.text : ""
            guard let now = try await subject.primary(seenFromOutside: outside) else { return nil }
            return !fault.movesPrimary || now.name != host.name ? true : nil
        }
        guard isOver != nil else {
            throw LabError(.failed, "\(subject.name) has no other primary after '\(fault.title)' on \(host.name)")
        }
        let settled = WallClock.milliseconds()
        let flows: Bool? = try await poll(for: Self.overMax, every: .milliseconds(200)) {
            try subject.rows.log().countSent(after: settled) >= Self.rowsAfter ? true : nil
        }
        guard flows != nil else {
            throw LabError(.failed, "\(subject.name): no rows get through after '\(fault.title)' on \(host.name)")
        }
        return try subject.rows.log().longestGap(from: begin, to: WallClock.milliseconds())
    }

    private func heal(_ fault: GapFault, _ host: LabHost, _ subjects: [any GapSubject]) async throws {
        try await fault.heal(planet, host)
        guard fault == .loss else { return }
        for subject in subjects { try await subject.hostIsBack(host) }
    }
}
