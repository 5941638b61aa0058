import Glibc
import RoostFailover
import RoostLinux
import RoostModel
import RoostWire
import Testing

@testable import RoostPostgres

/// What `roost_guard` keeps Postgres from, on the real Postgres.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct GuardTests {
    /// A session of a client's, without what the supervisor sets for its own.
    private static func session(_ member: TestMember, user: String = "postgres", options: String = "") throws
        -> Database
    {
        let layout = member.instance.layout
        return try Database(
            "session",
            parameters: [
                ("host", layout.outside(layout.runFolder)), ("port", "5432"), ("user", user),
                ("password", member.ground.secrets.ownerPassword), ("dbname", "postgres"), ("sslmode", "disable"),
                ("gssencmode", "disable"), ("options", options),
            ], connectDeadline: .seconds(5))
    }

    private static func refusal(_ session: Database, _ statement: String) async throws -> String? {
        do { try await session.query(statement, within: .seconds(10)) } catch {
            if case .refused(let code, _) = error.cause { return code }
            throw error
        }
        return nil
    }

    /// The detail of what refuses the statement.
    private static func reason(_ session: Database, _ statement: String) async throws -> String {
        let block = """
            DO $block$ DECLARE reason text; BEGIN EXECUTE $statement$\(statement)$statement$;
            EXCEPTION WHEN feature_not_supported THEN GET STACKED DIAGNOSTICS reason = PG_EXCEPTION_DETAIL;
            RAISE EXCEPTION 'because: %', reason; END $block$
            """
        do { try await session.query(block, within: .seconds(10)) } catch {
            if case .refused(_, let message) = error.cause { return message }
            throw error
        }
        return "carried out"
    }

    /// A primary that lets clients in.
    private static func primary(
        _ ground: TestGround, standbys: [TestMember] = [], confirmations: Int = 0
    ) async throws -> TestMember {
        let m1 = try ground.member(1)
        try await m1.instance.initialize(ground.secrets, within: .seconds(60))
        try await m1.lead(.first, standbys: standbys, confirmations: confirmations)
        #expect(try await m1.query("SHOW shared_preload_libraries") == [["roost_guard"]])
        try m1.admit(true)
        let client = try session(m1)
        let isIn = try await poll(for: .seconds(5)) { () -> Bool? in
            (try? await client.query("SELECT 1", within: .seconds(5))) == nil ? nil : true
        }
        #expect(isIn == true)
        await client.disconnect()
        return m1
    }

    // MARK: - Waits

    /// A primary and a standby that its commits wait for.
    private static func withPair(_ label: String, _ body: (TestMember, TestMember) async throws -> Void) async throws {
        try await TestGround.with(label) { ground in
            let m2 = try ground.member(2)
            let m1 = try await primary(ground, standbys: [m2], confirmations: 1)
            try await m2.clone(m1, .first)
            try await m2.follow(m1, .first)
            try await m2.waitUntilStreaming()
            _ = try await m1.query(
                """
                CREATE TABLE public.rows (label text); GRANT ALL ON public.rows TO postgres;
                CREATE PROCEDURE public.add(label text) LANGUAGE plpgsql AS
                'BEGIN INSERT INTO public.rows VALUES (label); COMMIT; END'
                """)
            try await body(m1, m2)
            for member in [m2, m1] { await member.instance.stop(.immediate, within: .seconds(5)) }
        }
    }

    private struct Commit {
        var process: String
        var task: Task<Void, any Error>
        var session: Database
    }

    /// A commit that waits, because the standby's receiver has been frozen.
    private static func begin(_ statement: String, _ m1: TestMember) async throws -> Commit {
        let session = try session(m1)
        let process = try #require(try await session.query("SELECT pg_backend_pid()", within: .seconds(5)).first?[0])
        let task = Task { _ = try await session.query(statement, within: .seconds(30)) }
        let commit = Commit(process: process, task: task, session: session)
        let hasBegun = try await poll(for: .seconds(5)) { try await isWaiting(commit, m1) ? true : nil }
        #expect(hasBegun == true, "\(statement) does not wait")
        return commit
    }

    private static func isWaiting(_ commit: Commit, _ m1: TestMember) async throws -> Bool {
        let statement = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND pid = \(commit.process)"
        return try await !m1.query(statement).isEmpty
    }

    private static func count(_ label: String, _ m1: TestMember) async throws -> String? {
        try await m1.query("SELECT count(*) FROM rows WHERE label = '\(label)'").first?[0]
    }

    /// The statement is an error there, and ends a subtransaction only.
    @Test func aStatementOfPreparedTransactionsInsideAnotherMakesNoSessionThatNothingEnds() async throws {
        try await TestGround.with("prepared") { ground in
            let m1 = try await Self.primary(ground)
            let session = try Self.session(m1)
            try await session.query("SET statement_timeout = '300ms'; BEGIN; SAVEPOINT s", within: .seconds(5))
            #expect(try await Self.refusal(session, "COMMIT PREPARED 'x'") == "25001")
            try await session.query("ROLLBACK TO s", within: .seconds(5))
            #expect(try await Self.refusal(session, "SELECT pg_sleep(8)") == "57014")
            await session.disconnect()
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }

    private static let ends = ["pg_cancel_backend", "pg_terminate_backend"]

    @Test(arguments: ends)
    func aCommitWaitsForItsStandbyWhoeverWouldEndTheWait(by end: String) async throws {
        try await Self.withPair("wait\(Self.ends.firstIndex(of: end) ?? 0)") { m1, m2 in
            let commits = [
                "plain": "INSERT INTO rows VALUES ('plain')",
                "block": "BEGIN; INSERT INTO rows VALUES ('block'); COMMIT",
                "procedure": "CALL add('procedure')",
            ]
            for (label, statement) in commits {
                let receivers = try await m2.instance.receivers()
                for receiver in receivers { kill(receiver, SIGSTOP) }
                let commit = try await Self.begin(statement, m1)
                #expect(try await m1.query("SELECT \(end)(\(commit.process))") == [["t"]])
                let hasEnded = try await poll(for: .milliseconds(500)) {
                    try await Self.isWaiting(commit, m1) ? nil : true
                }
                #expect(hasEnded == nil, "\(label): the wait has ended")
                #expect(try await Self.count(label, m1) == "0", "\(label): others see what no standby has")
                for receiver in receivers { kill(receiver, SIGCONT) }
                // Who was terminated may not be told any more.
                let result = await commit.task.result
                if end == "pg_cancel_backend" {
                    #expect(throws: Never.self, "\(label): told of a failure") { try result.get() }
                }
                #expect(try await Self.count(label, m1) == "1", "\(label)")
                await commit.session.disconnect()
                try await m2.waitUntilStreaming()
            }
        }
    }

    /// The server's own end does not wait for standbys that are away, and tells nobody of success.
    @Test func aServerThatIsStoppedEndsTheWaits() async throws {
        try await Self.withPair("stopped") { m1, m2 in
            for receiver in try await m2.instance.receivers() { kill(receiver, SIGSTOP) }
            let commit = try await Self.begin("INSERT INTO rows VALUES ('stopped')", m1)
            let began = BootClock.now()
            async let stopped: Void = m1.instance.stop(.fast, within: .seconds(10))
            let result = await commit.task.result
            #expect(throws: DatabaseError.self, "told of a success") { try result.get() }
            #expect(BootClock.now() - began < .seconds(8), "the session ended with its postmaster only")
            await stopped
            await commit.session.disconnect()
            m2.instance.kill()
            _ = await m2.instance.waitForExit()
        }
    }

    // MARK: - Level

    @Test func whoWasNotAllowedToDoesNotLowerTheLevel() async throws {
        try await TestGround.with("level") { ground in
            let m1 = try await Self.primary(ground)
            let owner = try Self.session(m1)
            for statement in [
                "SET synchronous_commit = off", "SET synchronous_commit = local",
                "SET synchronous_commit = remote_write",
                "BEGIN; SET LOCAL synchronous_commit = off", "SELECT set_config('synchronous_commit', 'off', true)",
                "ALTER ROLE postgres SET synchronous_commit = off",
                "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET synchronous_commit = off AS 'SELECT 1'",
            ] {
                let code = try await Self.refusal(owner, statement)
                #expect(code == "42501", "\(statement): \(code ?? "carried out")")
                try await owner.query("ROLLBACK", within: .seconds(5))
            }
            #expect(try await Self.refusal(owner, "SET synchronous_commit = remote_apply") == nil)
            // Options at login.
            let other = try Self.session(m1, options: "-c synchronous_commit=off")
            await #expect(throws: DatabaseError.self) { try await other.query("SELECT 1", within: .seconds(5)) }
            // What was stored for it, as in clusters that had no guard.
            _ = try await m1.query(
                "ALTER ROLE postgres SET synchronous_commit = off; ALTER DATABASE postgres SET synchronous_commit = off"
            )
            let later = try Self.session(m1)
            #expect(try await later.query("SHOW synchronous_commit", within: .seconds(5)) == [["on"]])
            // The supervisor itself, also where it is in no database.
            #expect(try await m1.query("SHOW synchronous_commit") == [["local"]])
            #expect(try await !m1.instance.identity.query("IDENTIFY_SYSTEM", within: .seconds(5)).isEmpty)

            _ = try await m1.query("GRANT SET ON PARAMETER synchronous_commit TO postgres")
            #expect(try await Self.refusal(owner, "SET synchronous_commit = off") == nil)
            let allowed = try Self.session(m1)
            #expect(try await allowed.query("SHOW synchronous_commit", within: .seconds(5)) == [["off"]])
            for session in [owner, other, later, allowed] { await session.disconnect() }
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }

    // MARK: - Statements

    @Test func aSuperuserIsKeptFromWhatEndsStandbysOrLocksTheSupervisorOut() async throws {
        try await TestGround.with("statements") { ground in
            let m1 = try await Self.primary(ground)
            let superuser = try Self.session(m1, user: PostgresSettings.supervisor)
            let elsewhere = "CREATE TABLESPACE elsewhere LOCATION '/tmp'"
            #expect(try await Self.refusal(superuser, elsewhere) == "0A000")
            let inPlace = "SET allow_in_place_tablespaces = on; CREATE TABLESPACE inside LOCATION ''"
            #expect(try await Self.refusal(superuser, inPlace) == "0A000")
            // The reason is that of each: standbys go on with one that is in place.
            for (place, words) in [("/tmp", "no folder \"/tmp\""), ("", "where Postgres wants a link")] {
                let reason = try await Self.reason(superuser, "CREATE TABLESPACE one LOCATION '\(place)'")
                #expect(reason.contains(words), "\(reason)")
            }
            let lockouts = [
                "ALTER ROLE roost NOLOGIN", "ALTER ROLE CURRENT_USER SET role = 'postgres'",
                "ALTER ROLE roost RENAME TO other", "ALTER ROLE roost_replicator PASSWORD 'other'",
                "DROP ROLE roost_replicator", "ALTER DATABASE postgres ALLOW_CONNECTIONS false",
                "ALTER DATABASE postgres RENAME TO other",
            ]
            for statement in lockouts {
                let code = try await Self.refusal(superuser, statement)
                #expect(code == "42501", "\(statement): \(code ?? "carried out")")
            }
            for statement in [
                "CREATE ROLE app", "ALTER ROLE app LOGIN", "ALTER ROLE postgres PASSWORD 'new'", "DROP ROLE app",
            ] {
                #expect(try await Self.refusal(superuser, statement) == nil, "\(statement)")
            }
            // Whoever knows better, and the supervisor itself; but nobody's standbys are ended.
            let knowing = "SET roost.allow_unsafe = on; ALTER ROLE roost SET work_mem = '8MB'"
            #expect(try await Self.refusal(superuser, knowing) == nil)
            _ = try await m1.query("ALTER ROLE roost RESET ALL")
            for statement in [elsewhere, "CREATE TABLESPACE inside LOCATION ''"] {
                #expect(try await Self.refusal(superuser, statement) == "0A000")
            }
            await superuser.disconnect()
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }
}
