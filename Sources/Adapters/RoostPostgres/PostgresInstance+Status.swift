public import RoostFailover
import RoostLinux
public import RoostModel
import Synchronization

extension PostgresInstance {
    /// What Postgres says of itself now, in one or two quick questions, which have ``observationDeadline`` together. By this
    /// it is known to live, so that they ask for what is in its memory alone: at the end of a checkpoint `pg_control` cannot be
    /// read before it is flushed (xlog.c, UpdateControlFile), however long that takes.
    ///
    /// - Parameter epoch: for a primary: streams of other epochs do not count and are not listed.
    public func observe(epoch: Epoch) async throws(DatabaseError) -> PostgresObservation {
        let end = BootClock.now() + Self.observationDeadline
        let row = try await row(Self.observationStatement, count: 10, by: observer, within: Self.observationDeadline)
        let position = { (index: Int) in row[index].flatMap { LSN(text: $0) } ?? .zero }
        let timeline = row[7].flatMap { UInt32($0) } ?? 0
        let inserted = row[8].flatMap { LSN(text: $0) }
        flushes.withLock { $0.note(flushed: position(1), inserted: inserted, BootClock.now()) }
        guard row[0] == "t" else {
            let (standbys, flushed) = try await account(of: epoch, until: end)
            return .primary(
                PrimaryObservation(
                    timeline: timeline, flushed: max(position(1), flushed), standbys: standbys,
                    system: system.withLock { $0 }))
        }
        let milliseconds = { (index: Int) in row[index].flatMap { Int64($0) }.map { Duration.milliseconds($0) } }
        return .standby(
            StandbyObservation(
                timeline: timeline, received: max(position(2), position(3)), replayed: position(3),
                isStreaming: row[4] == "t", silence: milliseconds(5), lag: milliseconds(6) ?? .zero,
                committedAt: row[9].flatMap { Int64($0) }))
    }

    /// The rows of this primary's `pg_stat_replication` that are streams of `epoch`. Copies in progress carry other
    /// names.
    func streams(
        of epoch: Epoch, until end: Moment = BootClock.now() + observationDeadline
    ) async throws(DatabaseError) -> [StreamObservation] { try await account(of: epoch, until: end).standbys }

    /// And how far its own log went after that was read: a standby that has more has more than its leader. The function
    /// that lists senders lists them all before the first row is made of them.
    private func account(
        of epoch: Epoch, until end: Moment
    ) async throws(DatabaseError) -> (standbys: [StreamObservation], flushed: LSN) {
        let rows = try await observer.query(
            "SELECT application_name, state, flush_lsn, pg_current_wal_flush_lsn() FROM pg_stat_replication "
                + "WHERE usename = '\(PostgresSettings.replicator)' ORDER BY 1",
            within: max(end - BootClock.now(), .milliseconds(1)))
        let standbys = rows.compactMap { row -> StreamObservation? in
            guard let name = row[0].flatMap({ StreamName($0, epoch: epoch) }) else { return nil }
            return StreamObservation(
                member: name.member, isStreaming: row[1] == "streaming",
                flushed: row[2].flatMap { LSN(text: $0) } ?? .zero)
        }
        return (standbys, rows.compactMap { $0[3].flatMap { LSN(text: $0) } }.max() ?? .zero)
    }

    /// How far recovery is.
    struct Recovery: Hashable, Sendable {
        var isInRecovery: Bool
        var received: LSN
        var replayed: LSN
        /// What the startup process waits for.
        var wait: String
        /// There is a receiver, of which more may come.
        var hasReceiver: Bool

        /// The startup process says that it has looked at the log on disk and found nothing more, in the pause before it
        /// looks again (xlogrecovery.c, WaitForWALToBecomeAvailable). What it waits for with a receiver says nothing: it
        /// is the same before it has seen what that has just written.
        var isRetrying: Bool { wait == "RecoveryRetrieveRetryInterval" && !hasReceiver }

        /// All that there is was replayed.
        var isComplete: Bool { isRetrying && replayed >= received }
    }

    func recovery(within deadline: Duration = probeDeadline) async throws(DatabaseError) -> Recovery {
        let row = try await row(
            """
            SELECT pg_is_in_recovery(), pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn(),
              (SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'startup'),
              EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'walreceiver'), current_setting('is_superuser')
            """, count: 6, by: probe, within: deadline)
        try Self.requireSight(row[5], of: probe)
        return Recovery(
            isInRecovery: row[0] == "t", received: row[1].flatMap { LSN(text: $0) } ?? .zero,
            replayed: row[2].flatMap { LSN(text: $0) } ?? .zero, wait: row[3] ?? "", hasReceiver: row[4] != "f")
    }

    /// Who is no superuser sees that there are processes and not which (pg_stat_get_activity): what is not seen then is no
    /// proof that it is not there.
    static func requireSight(_ isSuperuser: String?, of database: Database) throws(DatabaseError) {
        guard isSuperuser != "on" else { return }
        throw DatabaseError(
            database: database.name, statement: "",
            cause: .refused(code: "42501", message: "the supervisor's session is no superuser's: it sees a part only"))
    }

    func row(
        _ statement: String, count: Int, by database: Database, within deadline: Duration
    ) async throws(DatabaseError) -> Database.Row {
        let rows = try await database.query(statement, within: deadline)
        guard let row = rows.first, row.count == count else {
            throw DatabaseError(database: database.name, statement: statement, cause: .connection("unexpected answer"))
        }
        return row
    }

    /// A receiver streams once a message has come: one that is refused right after it began, or to which nothing comes
    /// through, says `streaming` all the same. It begins with both times alike (walreceiver.c, WalReceiverMain). What streams
    /// is on the timeline that it receives; only a standby without a stream is asked what its `pg_control` says.
    private static let observationStatement = """
        SELECT r, CASE WHEN r THEN NULL ELSE pg_current_wal_flush_lsn() END, pg_last_wal_receive_lsn(),
          pg_last_wal_replay_lsn(),
          s, (extract(epoch FROM clock_timestamp() - w.last_msg_receipt_time) * 1000)::bigint,
          CASE WHEN NOT r OR coalesce(w.latest_end_lsn <= pg_last_wal_replay_lsn(), true) THEN 0
            ELSE greatest(0, extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::bigint
            END,
          CASE WHEN r AND s THEN w.received_tli
            WHEN r THEN greatest(w.received_tli, (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
              (SELECT timeline_id FROM pg_control_checkpoint()))
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END,
          CASE WHEN r THEN NULL ELSE pg_current_wal_insert_lsn() END,
          CASE WHEN r THEN (extract(epoch FROM pg_last_xact_replay_timestamp()) * 1000)::bigint END
        FROM pg_is_in_recovery() r LEFT JOIN pg_stat_wal_receiver w ON true CROSS JOIN LATERAL
          (SELECT w.status = 'streaming' AND w.last_msg_send_time IS DISTINCT FROM w.last_msg_receipt_time AS s) streams
        """

    /// Writes a checkpoint: until a new primary has done so, `pg_rewind` takes it for what it was.
    public func checkpoint(within deadline: Duration) async throws(DatabaseError) {
        try await lengthy.query("CHECKPOINT", within: deadline)
    }
}
