import Glibc
public import RoostLab
import RoostLinux
import RoostModel
public import RoostWire

extension Demo {
    /// Breaks one thing after the other under a writer.
    /// - Returns: what each did, and how many rows were confirmed.
    func breakThings(_ body: ClusterBody) async throws -> ([DemoReport.Event], rows: Int) {
        let client = planet.plan.clients[0].name
        let begin = WallClock.milliseconds()
        progress("\(client) writes a numbered row at a time")
        let events = try await withThrowingTaskGroup(of: [DemoReport.Event]?.self) { group in
            group.addTask {
                try await rows.write(body.writeURL)
                return nil
            }
            group.addTask { try await self.events(since: begin, body) }
            guard let events = try await group.next() ?? nil else {
                throw LabError(.failed, "the writer ended by itself", advice: "see \(rows.file)")
            }
            group.cancelAll()
            return events
        }
        return (events, try rows.log().confirmations.count)
    }

    private func events(since begin: Int64, _ body: ClusterBody) async throws -> [DemoReport.Event] {
        let started: Bool? = try await poll(for: Self.recoverMax) {
            try rows.log().confirmations.count >= Self.rowsAfter ? true : nil
        }
        guard started != nil else { throw LabError(.failed, "no row was confirmed", advice: "see \(rows.file)") }
        var events: [DemoReport.Event] = []

        let first = try host(ofLeader: body)
        events.append(
            try await event("Postgres killed on \(first)", since: begin) {
                try planet.signal(SIGKILL, process: "postgres", on: first)
            } until: {
                $0.status == .ready
            })

        let present = try await wait(for: Self.recoverMax, "is whole") { $0.status == .ready }
        let lost = try host(ofLeader: present)
        events.append(
            try await event("host \(lost) of the primary killed", since: begin) {
                try await planet.killHost(lost)
            } until: {
                $0.leader != present.leader && $0.epoch > present.epoch && $0.isServing
            })

        events.append(
            try await event("host \(lost) started again", since: begin) {
                try await planet.startHost(lost)
            } until: {
                $0.status == .ready
            })

        let client = planet.plan.clients[0].name
        guard let edge = try await landing(of: client, 5432, body.writeURL, in: body)?.edge else {
            throw LabError(.failed, "\(client) reaches no edge")
        }
        events.append(
            try await event("edge \(edge) stopped", since: begin) {
                try await planet.setEdge(of: edge.text, to: .stopped)
            } until: { body in
                let next = try await landing(of: client, 5432, body.writeURL, in: body)?.edge
                return next != nil && next != edge
            })
        events.append(
            try await event("edge \(edge) started again", since: begin) {
                try await planet.setEdge(of: edge.text, to: .started)
            } until: {
                try await landing(of: client, 5432, $0.writeURL, in: $0)?.edge == edge
            })
        return events
    }

    /// Does something, waits until the cluster has come to terms with it and rows get through again.
    func event(
        _ title: String, since begin: Int64, _ action: () async throws -> Void,
        until isOver: (ClusterBody) async throws -> Bool
    ) async throws -> DemoReport.Event {
        let start = WallClock.milliseconds()
        progress(title)
        try await action()
        try await Task.sleep(for: Self.watchMin)
        let body = try await wait(for: Self.recoverMax, "has recovered from '\(title)'", until: isOver)
        let settled = WallClock.milliseconds()
        let flows: Bool? = try await poll(for: Self.recoverMax) {
            try rows.log().countSent(after: settled) >= Self.rowsAfter ? true : nil
        }
        guard flows != nil else {
            throw LabError(
                .failed, "no rows get through after '\(title)'",
                advice: "see 'roost pg status \(cluster)' and \(rows.file)")
        }
        let gap = try rows.log().longestGap(from: start, to: WallClock.milliseconds())
        progress("  write gap \(gap) ms, epoch \(body.epoch), primary \(body.leader?.text ?? "none")")
        return DemoReport.Event(
            title: title, atMilliseconds: start - begin, gapMilliseconds: gap, leader: body.leader, epoch: body.epoch,
            edge: try await landing(of: planet.plan.clients[0].name, 5432, body.writeURL, in: body)?.edge)
    }

    public func host(ofLeader body: ClusterBody) throws(LabError) -> String {
        guard let host = body.members.first(where: { $0.name == body.leader })?.host else {
            throw LabError(.failed, "'\(cluster)' has no primary", advice: "see 'roost pg status \(cluster)'")
        }
        return host.text
    }
}
