import RoostFailover
import RoostLinux
import RoostModel
import Synchronization

// The fence of readers. Each streams from a slot of its own and of one epoch, which only a standby of that epoch has: when that is
// promoted its slots go before it lets anybody in, and with them the streams, so that no reader ever shows what a leader has
// written and nobody has confirmed.
extension PostgresInstance {
    /// Lets these readers in, of a standby that follows, and keeps all others out.
    func admit(fed: [IPv6Address], readers: [IPv6Address]) async throws(PostgresError) {
        do {
            try await BlockingCall.run { () throws(SystemError) in
                try self.written.withLock { written throws(SystemError) in
                    guard var settings = written.settings, (settings.fed, settings.readers) != (fed, readers) else {
                        return
                    }
                    let feeds = settings.fed.isEmpty
                    (settings.fed, settings.readers) = (fed, readers)
                    written.isOpen = nil
                    try self.layout.write(settings.accessRules, to: self.layout.accessFile)
                    // How much log is kept for them.
                    if feeds != fed.isEmpty {
                        try self.layout.keep(settings.configuration(self.layout), in: self.layout.configFile)
                    }
                    // These are other than those of the last configuration, which may come again.
                    written.texts = []
                    written.settings = settings
                    written.isOpen = settings.isOpen
                    written.isUntold = true
                }
            }
            if isRunning { try reloadIfChanged() }
        } catch {
            throw PostgresError("let readers in", error)
        }
    }

    /// Those from which somebody reads now.
    func activeSlots() async throws(DatabaseError) -> Set<String> {
        let rows = try await control.query(
            "SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'physical' AND active",
            within: Self.controlDeadline)
        return Set(rows.compactMap { $0[0] })
    }

    /// Of a standby: has these slots, and no other of the cluster's. One that nobody reads from keeps the log for ten minutes at
    /// most, and a share of the volume (`max_slot_wal_keep_size`): as long as it takes to begin with a copy. One that has been
    /// promoted meanwhile keeps its slots, which are of its new reign, and gets none.
    func keepReaderSlots(_ wanted: [String], among members: [MemberName]) async throws {
        let slots = ClusterSlots(members: members)
        let seconds = SlotAbsence.absenceMax.components.seconds
        let rows = try await control.query(
            """
            SELECT slot_name, active OR restart_lsn IS NULL OR inactive_since > now() - interval '\(seconds) s', wal_status
            FROM pg_replication_slots WHERE slot_type = 'physical' AND pg_is_in_recovery()
            """, within: Self.controlDeadline)
        var there: Set<String> = []
        for row in rows {
            guard let name = row[0], slots.contains(name) else { continue }
            if wanted.contains(name), row[1] == "t", row[2] != "lost" {
                there.insert(name)
                continue
            }
            try Task.checkCancellation()
            try await drop(slot: name)
        }
        for name in wanted where !there.contains(name) {
            try Task.checkCancellation()
            _ = try await control.query(
                "SELECT pg_create_physical_replication_slot(\(ClusterRoles.literal(name)), false) WHERE pg_is_in_recovery()",
                within: Self.controlDeadline)
        }
    }

    /// Drops all other slots of the cluster's, and proves that they are gone.
    func endSlots(
        except wanted: [String], among members: [MemberName], within deadline: Duration
    ) async throws(PostgresError) {
        let slots = ClusterSlots(members: members)
        let isProven: Bool?
        do {
            isProven = try await poll(for: deadline, every: .milliseconds(50)) { () -> Bool? in
                guard isRunning else { throw PostgresError("end streams of readers", exit ?? "Postgres does not run") }
                let rows = try? await control.query(
                    "SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'physical'",
                    within: Self.probeDeadline)
                guard let rows else { return nil }
                let others = rows.compactMap { $0[0] }.filter { slots.contains($0) && !wanted.contains($0) }
                for name in others { try? await drop(slot: name) }
                return others.isEmpty ? true : nil
            }
        } catch { throw PostgresError("end streams of readers", error) }
        guard isProven == true else { throw PostgresError("end streams of readers", "they do not end") }
    }
}
