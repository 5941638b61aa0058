import RoostFailover
import RoostLinux
import RoostModel
import Synchronization

// The fence of readers. Each streams from a slot of its own and of one epoch, which only a standby of that epoch has: when that is
// promoted its slots go before it lets anybody in, and with them the streams, so that no reader ever shows what a leader has
// written and nobody has confirmed.
extension PostgresInstance {
    /// Of a standby that follows: lets these readers in and no others.
    func admit(readers: [IPv6Address]) async throws(PostgresError) {
        do {
            try await BlockingCall.run { () throws(SystemError) in
                try self.written.withLock { written throws(SystemError) in
                    guard var settings = written.settings, settings.readers != readers else { return }
                    settings.readers = readers
                    written.isOpen = nil
                    try self.layout.write(settings.accessRules, to: self.layout.accessFile)
                    // These rules are other than those of the last configuration, which may come again.
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

    /// Of a standby: has these slots, and no other of the cluster's. They keep no log while nobody reads from them: it is there
    /// for as long as any log is (`wal_keep_size`), and a reader that stays away for longer makes a copy. Nor do they hold dead
    /// rows then. One that has been promoted meanwhile keeps its slots, which are of its new reign, and gets none.
    func keepReaderSlots(_ wanted: [String], among members: [MemberName]) async throws {
        let slots = ClusterSlots(members: members)
        let rows = try await control.query(
            "SELECT slot_name, active OR restart_lsn IS NULL, wal_status FROM pg_replication_slots "
                + "WHERE slot_type = 'physical' AND pg_is_in_recovery()", within: Self.controlDeadline)
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
}
