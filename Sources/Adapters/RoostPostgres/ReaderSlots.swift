import Glibc
import RoostFailover
import RoostLinux
import RoostModel
import Synchronization

// The fence of readers. Each streams from a slot of its own and of one epoch, which only a standby of that epoch has: when that is
// promoted its slots go before it lets anybody in, and with them the streams, so that no reader ever shows what a leader has
// written and nobody has confirmed. Who is root in a reader's machine can stream without a slot, by any name: so every session of
// the members' role goes that is from elsewhere than members.
extension PostgresInstance {
    /// Lets these readers in, of a standby that follows, or these members, of a leader, and keeps all others out.
    func admit(fed: [IPv6Address], members: [IPv6Address]) async throws(PostgresError) {
        do {
            try await BlockingCall.run { () throws(SystemError) in
                try self.written.withLock { written throws(SystemError) in
                    guard var settings = written.settings, (settings.fed, settings.members) != (fed, members) else {
                        return
                    }
                    let fedNobody = settings.fed.isEmpty
                    (settings.fed, settings.members) = (fed, members)
                    written.isOpen = nil
                    try self.layout.write(settings.accessRules, to: self.layout.accessFile)
                    // How much log is kept for them.
                    if fedNobody != fed.isEmpty {
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
    func keepReaderSlots(
        _ wanted: [String], among members: [MemberName], absenceMax: Duration = SlotAbsence.absenceMax
    ) async throws {
        let slots = ClusterSlots(members: members)
        let seconds = absenceMax.components.seconds
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

    /// Of one reader: one that follows or copies has two, and asks by a third now and then.
    static let readersSessionsMax = 4

    /// Ends the sessions of the members' role from all other addresses.
    ///
    /// - Parameter fed: addresses too, of which the oldest sessions end that are too many: there are
    ///   ``PostgresSettings/sendersMax`` for all.
    func endSessions(butOf members: [IPv6Address], fed: [IPv6Address] = []) async throws {
        _ = try await control.query(
            """
            SELECT pg_terminate_backend(pid) FROM (SELECT pid, client_addr,
              row_number() OVER (PARTITION BY client_addr ORDER BY backend_start DESC) AS number
              FROM pg_stat_activity WHERE usename = '\(PostgresSettings.replicator)' AND client_addr IS NOT NULL) sessions
            WHERE \(Self.isNone(of: members)) AND (\(Self.isNone(of: fed)) OR number > \(Self.readersSessionsMax))
            """, within: Self.controlDeadline)
    }

    private static func isNone(of addresses: [IPv6Address]) -> String {
        "NOT client_addr = ANY ('{\(addresses.map { "\($0)" }.joined(separator: ","))}'::inet[])"
    }

    /// Drops all other slots of the cluster's, ends what the members' role has from other addresses, and proves that both are
    /// gone. Who was logging in by the access rules of before is in no list of Postgres's yet, and is ended too; members are left
    /// alone, who come back at this moment.
    func endStreams(
        butBySlots wanted: [String], among members: [MemberName], butFrom addresses: [IPv6Address],
        within deadline: Duration
    ) async throws(PostgresError) {
        let slots = ClusterSlots(members: members)
        var logins: Set<pid_t>?
        let isProven: Bool?
        do {
            isProven = try await poll(for: deadline, every: .milliseconds(50)) { () -> Bool? in
                guard isRunning else { throw PostgresError("end streams of readers", exit ?? "Postgres does not run") }
                let present = processes.logins(of: PostgresSettings.replicator, butFrom: addresses)
                let rows = try? await control.query(Self.holders(but: addresses), within: Self.probeDeadline)
                guard let rows else { return nil }
                let others = rows.compactMap { $0[0] }.filter { slots.contains($0) && !wanted.contains($0) }
                for name in others { try? await drop(slot: name) }
                let sessions = Set(rows.compactMap { $0[1].flatMap { pid_t($0) } })
                let left = present.subtracting(sessions)
                let waiting = logins?.intersection(left) ?? left
                logins = waiting
                for pid in waiting { Glibc.kill(pid, SIGTERM) }
                return others.isEmpty && waiting.isEmpty && !rows.contains { $0[2] != nil } ? true : nil
            }
        } catch { throw PostgresError("end streams of readers", error) }
        guard isProven == true else { throw PostgresError("end streams of readers", "they do not end") }
    }

    /// Slots; and sessions, with what became of the order to end those that are not from one of these addresses.
    private static func holders(but addresses: [IPv6Address]) -> String {
        """
        SELECT slot_name, NULL, NULL FROM pg_replication_slots WHERE slot_type = 'physical'
        UNION ALL SELECT NULL, pid::text, CASE WHEN usename = '\(PostgresSettings.replicator)' AND \(isNone(of: addresses))
          THEN CASE WHEN pg_terminate_backend(pid) THEN 'ends' ELSE 'ended' END END FROM pg_stat_activity
        """
    }
}
