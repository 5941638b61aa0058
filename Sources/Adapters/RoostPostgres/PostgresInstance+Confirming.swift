import RoostFailover
import RoostLinux
import RoostModel
import Synchronization

/// What stands between two ways to confirm commits.
struct ConfirmationBarrier: Hashable, Sendable {
    /// Of all who confirmed before or will afterwards.
    var streams: [StreamName]
    /// Until now no commit waits for anybody.
    var wasAlone: Bool
}

// Who confirms commits is changed while clients write. Each sender of Postgres goes by what it has read last, and sends what
// waits on its way by that: one that reads late would confirm by the old names. So nobody confirms in between, until each
// shows that it has read so.
extension PostgresInstance {
    private static let proofInterval = Duration.milliseconds(20)
    /// A sender that has not read anything for so long is ended: its standby connects again.
    private static let senderPatience = Duration.seconds(2)
    private static let barrierMax = Duration.seconds(6)

    /// Nil when who confirms does not change.
    func barrier(to next: PostgresSettings.Role) -> ConfirmationBarrier? {
        guard case .leader(let epoch, let standbys, let confirmations, _) = next else { return nil }
        let settings = written.withLock { $0.settings }
        guard case .leader(_, let former, let needed, _)? = settings?.role else { return nil }
        // One that was broken off may stand yet.
        if former == standbys, needed == confirmations, settings?.barrier.isEmpty == true { return nil }
        let all = (former + standbys.filter { !former.contains($0) }).map { StreamName(member: $0, epoch: epoch) }
        let streams = all + (settings?.barrier.filter { !all.contains($0) } ?? [])
        return ConfirmationBarrier(streams: streams, wasAlone: needed == 0)
    }

    /// Has Postgres read the barrier, and returns when no process of it can confirm a commit by what counted before.
    func prove(_ barrier: ConfirmationBarrier) async throws {
        try reload()
        let end = BootClock.now() + Self.barrierMax
        // Postgres reads it first, and tells its processes before it lets anybody in: a new session that shows it is proof
        // that all were told.
        let told = try await poll(for: end - BootClock.now(), every: Self.proofInterval) { () -> String? in
            await probe.disconnect()
            let rows = try? await probe.query(
                "SELECT current_setting('synchronous_standby_names'), clock_timestamp()", within: Self.probeDeadline)
            guard let row = rows?.first, row.count == 2, row[0]?.hasPrefix("FIRST ") == true else { return nil }
            return row[1]
        }
        guard let told else {
            throw PostgresError("keep commits from being confirmed", "Postgres does not read its configuration")
        }
        // Whether a commit waits at all is told to sessions by the checkpointer, which looks whenever it begins one.
        if barrier.wasAlone { try await checkpoint(within: max(end - BootClock.now(), .milliseconds(1))) }
        let names = barrier.streams.map { ClusterRoles.literal("\($0)") }.joined(separator: ", ")
        // A sender that began afterwards began with it. One whose standby has not said what it has shows no priority.
        let unread =
            "application_name IN (\(names)) AND (sync_priority < 2 OR flush_lsn IS NULL)"
            + " AND backend_start <= \(ClusterRoles.literal(told))::timestamptz"
        let began = BootClock.now()
        let isRead = try await poll(for: end - BootClock.now(), every: Self.proofInterval) { () -> Bool? in
            let rows = try await control.query(
                "SELECT count(*) FROM pg_stat_replication WHERE \(unread)", within: Self.controlDeadline)
            if rows.first?[0] == "0" { return true }
            if BootClock.now() - began >= Self.senderPatience {
                try await control.query(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_replication WHERE \(unread)",
                    within: Self.controlDeadline)
            }
            return nil
        }
        guard isRead == true else {
            throw PostgresError("keep commits from being confirmed", "a sender goes by what counted before")
        }
    }
}
