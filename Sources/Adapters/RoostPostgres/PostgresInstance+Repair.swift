import Glibc
import Logging
import RoostFailover
import RoostLinux
import RoostModel
import RoostWire
import Synchronization

// The supervisor's own way in, which a superuser can close: by mistake, or in a cluster whose clients are superusers still.
extension PostgresInstance {
    /// How a Postgres that serves receives its supervisor.
    enum Reception: Hashable, Sendable {
        case answers
        /// It takes connections and lets the supervisor not in, whatever it waits for; in Postgres's words.
        case refusesLogin(String)
    }

    /// As often in a row must it be refused: nobody passes through such a state by himself, but a role may be renamed and
    /// named back.
    private static let refusalsMax = 5
    /// Between two repairs. Whoever closes the way again and again must be seen, not hidden by restarts.
    static let repairInterval = Duration.seconds(600)
    private static let repairDeadline = Duration.seconds(60)
    /// For so long must a standby be missing before it may be the password that keeps it out. A leader that was replaced
    /// has stopped by then (its lease is 6 s), and adds nothing to a log that has to be taken back; one that nobody can
    /// follow has not resigned yet (10 s).
    static let passwordPatience = Duration.seconds(7)

    /// Waits until Postgres answers or says that it will not, or until it has ended.
    func reception(within deadline: Duration) async throws(PostgresError) -> Reception {
        var last: DatabaseError?
        var refusals = 0
        var patience = AnswerPatience(for: deadline)
        let found: Reception?
        do {
            found = try await poll(for: deadline, every: .milliseconds(20)) { () -> Reception? in
                guard isRunning else {
                    throw PostgresError("wait for Postgres", await exitInWords() ?? "it does not run")
                }
                do throws(DatabaseError) {
                    try await probe.query("SELECT 1", within: patience.limit())
                    return .answers
                } catch {
                    last = error
                    patience.note(error)
                    refusals = error.isLockedOut ? refusals + 1 : 0
                    return refusals >= Self.refusalsMax ? .refusesLogin("\(error)") : nil
                }
            }
        } catch {
            throw PostgresError("wait for Postgres", error)
        }
        if let found {
            comingUp.withLock { $0 = nil }
            return found
        }
        throw PostgresError(
            "wait for Postgres",
            "no answer within \(deadline.words): \(last.map { "\($0)" } ?? "no question was asked")")
    }

    /// Opens the supervisor's and the members' way in again, and leaves Postgres stopped. For a leader alone: what it
    /// writes is log like any other, which its standbys must have before clients come in.
    ///
    /// A server in single-user mode asks for no role, for no right to log in and for no leave of the database (postinit.c,
    /// InitPostgres and CheckMyDatabase), and refuses to work on a standby's data (xlogrecovery.c).
    ///
    /// - Parameter why: it is needed, for people.
    func repair(_ secrets: MemberSecrets, because why: String) async throws(PostgresError) {
        guard isLeader else { throw PostgresError("let the supervisor in again", "it does not lead: \(why)") }
        let now = BootClock.now()
        let isAllowed = repairedAt.withLock { last in
            if let last, now - last < Self.repairInterval { return false }
            last = now
            return true
        }
        guard isAllowed else {
            throw PostgresError(
                "let the supervisor in again", "\(why); it was done less than \(Self.repairInterval.words) ago")
        }
        do {
            await stop(.fast, within: .seconds(5))
            try await endCopies()
            try await removeRemains()
            // The roles and databases of all, from a database that is always there; then what is in its own.
            try await single(ClusterRoles.repairs(secrets), in: "template1")
            try await single(ClusterRoles.repairsWithin, in: "postgres")
        } catch {
            throw PostgresError("let the supervisor in again", "\(why); \(error)")
        }
    }

    /// A statement that fails does not keep the next from being carried out.
    private func single(_ statements: String, in database: String) async throws {
        try await layout.command(
            "postgres",
            [
                "--single", "-j", "-D", layout.data, "-c", "config_file=\(layout.configFile)",
                // It waits for standbys like any other session (as tried with 17.12), and none can stream from it.
                "-c", "synchronous_commit=local",
                // Passwords are in the statements, and some of these are meant to fail.
                "-c", "log_min_error_statement=panic", "-c", "log_min_messages=error", database,
            ], input: statements, deadline: Self.repairDeadline
        ).run()
    }

    /// Of a leader, every second or so: gives back at once what the supervisor and the members need to log in, through a
    /// session that is there already. So the next start finds its way in, and a standby that comes back too.
    ///
    /// - Parameter standbys: that should stream.
    func tendRoles(
        _ secrets: MemberSecrets, standbys: Int, at now: Moment = BootClock.now()
    ) async throws(DatabaseError) {
        do {
            try await tendRoles(secrets, standbys, now, by: control)
        } catch {
            guard error.isLockedOut else { throw error }
            try await tendRoles(secrets, standbys, now, by: observer)
        }
    }

    private func tendRoles(
        _ secrets: MemberSecrets, _ standbys: Int, _ now: Moment, by database: Database
    ) async throws(DatabaseError) {
        let (supervisor, members) = (PostgresSettings.supervisor, PostgresSettings.replicator)
        let rows = try await database.query(
            """
            SELECT (SELECT rolcanlogin FROM pg_authid WHERE rolname = '\(supervisor)'),
              (SELECT datallowconn FROM pg_database WHERE datname = 'postgres'),
              rolcanlogin AND rolreplication AND rolconnlimit = -1
                AND coalesce(rolvaliduntil > clock_timestamp() + '1 day', true),
              rolpassword, (SELECT count(*) FROM pg_stat_replication WHERE usename = '\(members)') < \(standbys)
            FROM pg_authid WHERE rolname = '\(members)'
            """, within: Self.controlDeadline)
        // Without the role nobody follows; a server of its own makes it, at the next start.
        guard let row = rows.first, row.count == 5 else { return }
        var repairs: [String] = []
        if row[0] == "f" { repairs.append("ALTER ROLE \(supervisor) LOGIN") }
        if row[1] == "f" { repairs.append("ALTER DATABASE postgres ALLOW_CONNECTIONS true") }
        if row[2] != "t" {
            repairs.append("ALTER ROLE \(members) LOGIN REPLICATION CONNECTION LIMIT -1 VALID UNTIL 'infinity'")
        }
        for statement in repairs {
            logger.warning("a way in is opened again", metadata: ["by": "\(statement)"])
            try await database.query(statement, within: Self.controlDeadline)
        }
        let known = verifier.withLock { $0 }
        // Nobody can see whether it is the right one that the catalogs have, only whether it is the one that was set here.
        let isMissed = isMissed(row[4] == "t", now)
        guard known.map({ $0 != row[3] }) ?? isMissed, !secrets.replicationPassword.isEmpty else { return }
        try await setPassword(secrets)
    }

    /// Whether a standby has been missing in this reign for ``passwordPatience``.
    private func isMissed(_ isMissing: Bool, _ now: Moment) -> Bool {
        guard case .leader(let epoch, _, _, _)? = written.withLock({ $0.settings?.role }), isMissing else {
            missing.withLock { $0 = nil }
            return false
        }
        return missing.withLock { missing in
            if missing?.epoch != epoch { missing = MissingStandby(epoch: epoch, since: now) }
            return missing.map { now - $0.since >= Self.passwordPatience } ?? false
        }
    }

    /// As an argument: whoever may see statements (`pg_monitor`) would read it in a text.
    private func setPassword(_ secrets: MemberSecrets) async throws(DatabaseError) {
        let members = PostgresSettings.replicator
        do throws(DatabaseError) {
            try await ordinary.query(
                "SELECT set_config('roostpg.password', $1, false)", [secrets.replicationPassword],
                within: Self.controlDeadline)
            try await ordinary.query(
                "DO $$BEGIN EXECUTE format('ALTER ROLE \(members) PASSWORD %L', "
                    + "current_setting('roostpg.password')); END$$", within: Self.controlDeadline)
            let rows = try await ordinary.query(
                "SELECT rolpassword FROM pg_authid WHERE rolname = '\(members)'", within: Self.controlDeadline)
            verifier.withLock { $0 = rows.first?.first ?? nil }
        } catch {
            await ordinary.disconnect()
            throw error
        }
        await ordinary.disconnect()
        logger.notice("the members' password was set")
    }

    /// Ends recovery without a word of SQL, as `pg_ctl promote` does (pg_ctl.c, do_promote). For a standby that does not
    /// let its supervisor in: it can be repaired when it leads.
    func promoteUnheard(within deadline: Duration) async throws(PostgresError) {
        do {
            try await layout.onDisk { layout throws(SystemError) in
                try layout.write("", to: layout.data + "/promote")
            }
            try reload()
            postmaster.withLock { $0 }?.signal(SIGUSR1)
            let isPromoted = try await poll(for: deadline, every: .milliseconds(100)) { () -> Bool? in
                guard isRunning else { throw PostgresError("promote", exit ?? "Postgres does not run") }
                let look = try await layout.command("pg_controldata", ["-D", layout.data], deadline: deadline).run()
                return ControlData(text: look.standardOutput).isInProduction ? true : nil
            }
            guard isPromoted != nil else { throw PostgresError("promote", "still in recovery after \(deadline.words)") }
        } catch {
            throw PostgresError("promote without a login", error)
        }
    }
}

/// Since when fewer stream in a reign than should.
struct MissingStandby: Hashable, Sendable {
    var epoch: Epoch
    var since: Moment
}

extension DatabaseError {
    /// Postgres takes connections, and this login it refuses for what is in its catalogs: who may log in, and which
    /// database may be connected to (errcodes.txt).
    var isLockedOut: Bool {
        switch cause {
        case .loginRefused(let code, _):
            [
                "28000",  // invalid_authorization_specification: no such role, or it may not log in
                "28P01",  // invalid_password
                "3D000",  // invalid_catalog_name: no such database
                "55000",  // object_not_in_prerequisite_state: the database accepts no connections
            ].contains(code)
        case .connection, .deadlineExceeded, .refused: false
        }
    }
}
