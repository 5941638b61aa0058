import RoostFailover
import RoostLinux
import RoostModel
import Testing

@testable import RoostPostgres

/// A superuser closes the supervisor's own way in, on the real Postgres, and it comes in again.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct RepairTests {
    private static func isLockedOut(_ member: TestMember) async throws -> Bool {
        switch try await member.instance.reception(within: .seconds(30)) {
        case .answers: false
        case .refusesLogin: true
        }
    }

    /// A superuser's session in another database than the supervisor's.
    private static func elsewhere(_ member: TestMember, _ statement: String) async throws {
        let layout = member.instance.layout
        let database = try Database(
            "superuser",
            parameters: [
                ("host", layout.outside(layout.runFolder)), ("port", "5432"), ("user", "roost"),
                ("dbname", "template1"), ("sslmode", "disable"), ("gssencmode", "disable"),
                ("options", "-c synchronous_commit=local -c roost.allow_unsafe=on"),
            ], connectDeadline: .seconds(5))
        try await database.query(statement, within: .seconds(10))
        await database.disconnect()
    }

    @Test(
        "A leader whose supervisor may not log in any more lets it in again",
        arguments: [
            ("nologin", "ALTER ROLE roost NOLOGIN"),
            ("closed", "ALTER DATABASE postgres ALLOW_CONNECTIONS false"),
            ("dropped", "DROP DATABASE postgres WITH (FORCE)"),
            ("moved", "ALTER DATABASE postgres RENAME TO mine"),
        ])
    func leader(label: String, statement: String) async throws {
        try await TestGround.with(label) { ground in
            let m1 = try ground.member(1)
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            // No standby confirms anything, and the repair does not wait for one.
            let nobody = [try ground.member(2)]
            try await m1.lead(.first, standbys: nobody, confirmations: 1)
            try await Self.elsewhere(m1, "CREATE DATABASE shop")
            let all = [m1.instance.probe, m1.instance.control, m1.instance.observer, m1.instance.lengthy]
            for database in all { await database.disconnect() }
            try await Self.elsewhere(m1, statement)
            await m1.instance.stop(.fast, within: .seconds(10))
            try await m1.instance.start()
            #expect(try await Self.isLockedOut(m1))
            try await m1.instance.repair(ground.secrets, because: "a test")
            try await m1.lead(.first, standbys: nobody, confirmations: 1)
            #expect(try await m1.query("SELECT count(*) FROM pg_database WHERE datname = 'shop'") == [["1"]])
            let rights = "SELECT has_function_privilege('roost_replicator', 'pg_read_binary_file(text)', 'execute')"
            #expect(try await m1.query(rights) == [["t"]])
            // Not again and again.
            let error = await #expect(throws: PostgresError.self) {
                try await m1.instance.repair(ground.secrets, because: "once more")
            }
            #expect(error?.cause.contains("once more") == true)
            #expect(m1.instance.isRunning)
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }

    @Test func aStandbyThatDoesNotLetItsSupervisorInIsReadPromotedAndRepaired() async throws {
        try await TestGround.with("unheard") { ground in
            let (m1, m2) = (try ground.member(1), try ground.member(2))
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            try await m1.lead(.first, standbys: [m2])
            try await m2.clone(m1, .first)
            try await m2.follow(m1, .first)
            try await m2.waitUntilStreaming()
            // A session that is there stays.
            _ = try await m2.query("SELECT 1")
            _ = try await m1.query("CREATE TABLE t (i int); INSERT INTO t VALUES (1); ALTER ROLE roost NOLOGIN")
            let target = try #require(try await m1.query("SELECT pg_current_wal_flush_lsn()").first?[0])
            let isThere = try await poll(for: .seconds(10)) {
                try await m2.query("SELECT pg_last_wal_replay_lsn() >= '\(target)'") == [["t"]] ? true : nil
            }
            #expect(isThere == true)
            await m1.instance.stop(.immediate, within: .seconds(5))
            await m2.instance.stop(.fast, within: .seconds(10))
            try m2.configure(.standby(upstream: nil))
            try await m2.instance.start()
            #expect(try await Self.isLockedOut(m2))
            // A standby is repaired by what it replays, and by nothing else.
            await #expect(throws: PostgresError.self) {
                try await m2.instance.repair(ground.secrets, because: "a test")
            }
            #expect(m2.instance.isRunning)
            await m2.instance.stop(.fast, within: .seconds(10))
            let end = try await m2.instance.endOfStoppedLog(within: .seconds(30))
            #expect(try end.end >= #require(LSN(text: target)))
            try await m2.instance.start()
            #expect(try await Self.isLockedOut(m2))
            try m2.configure(.leader(epoch: Epoch(2), standbys: [m1.name], confirmations: 0))
            try await m2.instance.promoteUnheard(within: .seconds(20))
            try await m2.instance.repair(ground.secrets, because: "a test")
            try await m2.instance.start()
            let point = try await m2.instance.promote(within: .seconds(20))
            #expect(point.timeline == 2 && point.parent == 1 && point.begin == end.end)
            #expect(try await m2.query("SELECT i FROM t") == [["1"]])
            await m2.instance.stop(.immediate, within: .seconds(5))
        }
    }

    /// At once, before the leader's own session has seen it.
    @Test func aClusterOfWhichNoSupervisorMayLogInComesBackByItself() async throws {
        try await ClusterTests.with("lockout") { cluster in
            for number in TestCluster.numbers { try cluster.start(number) }
            let first = try await cluster.waitUntilReady(standbys: 2, within: .seconds(120))
            _ = try await cluster.query(first, "CREATE TABLE rows (row int); INSERT INTO rows VALUES (1)")
            _ = try await cluster.superuser(first, "SET roost.allow_unsafe = on; ALTER ROLE roost NOLOGIN")
            for number in TestCluster.numbers { cluster.kill(number) }
            cluster.store.forgetReports()
            for number in TestCluster.numbers { try cluster.start(number) }
            let leader = try await cluster.waitUntilReady(standbys: 2, within: .seconds(120))
            #expect(try await cluster.query(leader, "SELECT row FROM rows") == "1\n")
            for number in TestCluster.numbers {
                let isIn = try await poll(for: .seconds(10)) { () -> Bool? in
                    (try? await cluster.superuser(number, "SELECT 1")) == "1\n" ? true : nil
                }
                #expect(isIn == true, "m\(number)")
            }
        }
    }

    @Test func aRunningLeaderGivesRolesBackWhatTheyNeedAndShowsNobodyThePassword() async throws {
        try await TestGround.with("tended") { ground in
            let (m1, m2) = (try ground.member(1), try ground.member(2))
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            try await m1.lead(.first, standbys: [m2])
            try await m2.clone(m1, .first)
            func verifier() async throws -> String? {
                try await m1.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'roost_replicator'").first?[0]
            }
            let first = try await verifier()
            try await m1.instance.tendRoles(ground.secrets, standbys: 0)
            #expect(try await verifier() == first, "with nobody away there is nothing to do")
            // It observes by a session of its own, which stays.
            _ = try await m1.instance.observe(epoch: .first)
            _ = try await m1.query(
                """
                ALTER ROLE roost NOLOGIN; ALTER ROLE roost_replicator NOLOGIN PASSWORD 'theirs' VALID UNTIL '2001-01-01'
                """)
            await m1.instance.control.disconnect()
            let now = BootClock.now()
            let theirs = try await m1.instance.observer.query(
                "SELECT rolpassword FROM pg_authid WHERE rolname = 'roost_replicator'", within: .seconds(5))
            try await m1.instance.tendRoles(ground.secrets, standbys: 1, at: now)
            #expect(try await [[verifier()]] == theirs, "a standby may be away for a moment")
            try await m1.instance.tendRoles(ground.secrets, standbys: 1, at: now + PostgresInstance.passwordPatience)
            #expect(try await [[verifier()]] != theirs)
            #expect(try await m1.query("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'roost'") == [["t"]])
            let seen = try await m1.query(
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%another: %' AND pid <> pg_backend_pid()")
            #expect(seen == [["0"]])
            try await m2.follow(m1, .first)
            try await m2.waitUntilStreaming()
            // Known now: another one is noticed although nobody is away.
            let second = try await verifier()
            try await m1.instance.tendRoles(ground.secrets, standbys: 1)
            #expect(try await verifier() == second)
            _ = try await m1.query("ALTER ROLE roost_replicator PASSWORD 'theirs'")
            try await m1.instance.tendRoles(ground.secrets, standbys: 1)
            await m2.instance.stop(.fast, within: .seconds(10))
            try await m2.follow(m1, .first)
            try await m2.waitUntilStreaming()
            for member in [m1, m2] { await member.instance.stop(.immediate, within: .seconds(5)) }
        }
    }
}

@Suite struct LoginRefusalTests {
    @Test func theCodeIsReadFromWhatLibpqSays() {
        let socket = "connection to server on socket \"/run/.s.PGSQL.5432\" failed: "
        let refused = LoginRefusal.cause(
            in: socket + "FATAL:  28000: role \"roost\" is not permitted to log in; LOCATION:  F, miscinit.c:760")
        #expect(refused == .loginRefused(code: "28000", message: "role \"roost\" is not permitted to log in"))
        let other = LoginRefusal.cause(in: socket + "No such file or directory")
        #expect(other == .connection(socket + "No such file or directory"))
        #expect(LoginRefusal.cause(in: "FATAL:  sorry, too many") == .connection("FATAL:  sorry, too many"))
        func isLockedOut(_ code: String) -> Bool {
            DatabaseError(database: "m1", statement: "", cause: .loginRefused(code: code, message: "x")).isLockedOut
        }
        for code in ["28000", "28P01", "3D000", "55000"] { #expect(isLockedOut(code)) }
        // It starts; there is no place; what it refuses in a session.
        for code in ["57P03", "53300"] { #expect(!isLockedOut(code)) }
        let session = DatabaseError(database: "m1", statement: "", cause: .refused(code: "55000", message: "x"))
        #expect(!session.isLockedOut)
    }
}
