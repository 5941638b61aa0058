import RoostFailover
import RoostLinux
import RoostModel
import RoostWire
import Synchronization
import Testing

@testable import RoostPostgres

/// What whoever has a cluster's URL may do, and what he may not, on the real Postgres.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct RolesTests {
    private static func owner(_ member: TestMember, database: String = "postgres") throws -> Database {
        let layout = member.instance.layout
        return try Database(
            "owner",
            parameters: [
                ("host", layout.outside(layout.runFolder)), ("port", "5432"), ("user", "postgres"),
                ("password", member.ground.secrets.ownerPassword), ("dbname", database), ("sslmode", "disable"),
                ("gssencmode", "disable"),
            ], connectDeadline: .seconds(5))
    }

    private static func refusal(_ client: Database, _ statement: String) async throws -> String? {
        do { try await client.query(statement, within: .seconds(10)) } catch {
            if case .refused(let code, _) = error.cause { return code }
            throw error
        }
        return nil
    }

    private static func with(_ label: String, _ body: (TestMember, Database) async throws -> Void) async throws {
        try await TestGround.with(label) { ground in
            let m1 = try ground.member(1)
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            try await m1.lead(.first)
            try m1.admit(true)
            let client = try owner(m1)
            let isIn = try await poll(for: .seconds(5)) { () -> Bool? in
                (try? await client.query("SELECT 1", within: .seconds(5))) == nil ? nil : true
            }
            #expect(isIn == true)
            try await body(m1, client)
            await client.disconnect()
            await m1.instance.stop(.fast, within: .seconds(10))
        }
    }

    @Test func theUserOfTheURLIsNoSuperuser() async throws {
        try await Self.with("roles") { m1, client in
            let layout = m1.instance.layout
            let refused = [
                "COPY (SELECT 1) TO PROGRAM 'cat'",
                "CREATE TABLE taken (line text); COPY taken FROM '\(layout.config)/follow.pass'",
                "COPY (SELECT 1) TO '\(layout.data)/new'",
                "SELECT pg_read_file('\(layout.configFile)')",
                "SELECT pg_read_binary_file('\(layout.config)/follow.pass')",
                "SELECT pg_ls_dir('\(layout.config)')",
                "SELECT lo_import('\(layout.configFile)')",
                "SELECT rolpassword FROM pg_authid",
                "ALTER ROLE roost NOLOGIN",
                "ALTER ROLE roost_replicator PASSWORD 'mine'",
                "DROP ROLE roost_replicator",
                "GRANT roost TO postgres",
                "GRANT roost_replicator TO postgres",
                "GRANT pg_execute_server_program TO postgres",
                "SET ROLE roost",
                "CREATE ROLE another SUPERUSER",
                "CREATE ROLE another REPLICATION",
                "ALTER ROLE postgres SUPERUSER",
                "ALTER ROLE ALL SET statement_timeout = 1",
                "ALTER DATABASE postgres ALLOW_CONNECTIONS false",
                "ALTER DATABASE postgres SET default_transaction_read_only = on",
                "ALTER SYSTEM SET fsync = off",
                "SET synchronous_commit = local",
                "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'libc', 'getpid'",
                "CREATE EXTENSION file_fdw",
                "LOAD 'auto_explain'",
                "SELECT pg_promote(false)",
                "SELECT pg_switch_wal()",
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'roost'",
            ]
            for statement in refused {
                let code = try await Self.refusal(client, statement)
                #expect(["42501", "0A000", "22023", "55000"].contains(code), "\(statement): \(code ?? "carried out")")
            }
            // And what there was to steal is not there.
            for path in layout.formerFiles { #expect(try !layout.exists(path), "\(path)") }
            #expect(try await m1.query("SHOW ssl") == [["off"]])
        }
    }

    @Test func theUserOfTheURLOwnsTheDatabase() async throws {
        try await Self.with("owner") { m1, client in
            for statement in [
                "CREATE TABLE t (i int); INSERT INTO t SELECT generate_series(1, 10)", "VACUUM t",
                "CREATE EXTENSION citext", "CREATE EXTENSION pg_trgm", "CREATE SCHEMA s",
                "CREATE ROLE app LOGIN PASSWORD 'x'", "GRANT CONNECT ON DATABASE postgres TO app",
                "GRANT pg_monitor TO app", "GRANT ALL ON SCHEMA public TO app", "ALTER ROLE app SET work_mem = '8MB'",
                "CREATE TABLE theirs (i int); ALTER TABLE theirs OWNER TO app; DROP TABLE theirs",
                "SET synchronous_commit = remote_apply", "ALTER ROLE postgres SET statement_timeout = '10min'",
            ] {
                let code = try await Self.refusal(client, statement)
                #expect(code == nil, "\(statement): \(code ?? "")")
            }
            #expect(try await Self.refusal(client, "CREATE DATABASE shop") == nil)
            let shop = try Self.owner(m1, database: "shop")
            #expect(try await Self.refusal(shop, "CREATE TABLE u (i int); CREATE EXTENSION hstore") == nil)
            await shop.disconnect()
            // It sees what everybody does, with the statements.
            let seen = try await client.query(
                "SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'roost' AND query <> '<insufficient privilege>'",
                within: .seconds(5))
            #expect(seen == [["t"]])
            #expect(try await Self.refusal(client, "SELECT * FROM pg_stat_replication, pg_stat_wal") == nil)
            // The supervisor goes on whatever its role sets for itself.
            #expect(try await m1.query("SHOW statement_timeout") == [["0"]])
        }
    }

    @Test func aRoleThatItMadeIsItsOwn() async throws {
        try await Self.with("made") { m1, client in
            #expect(try await Self.refusal(client, "CREATE ROLE walker LOGIN PASSWORD 'x'") == nil)
            let layout = m1.instance.layout
            let walker = try Database(
                "walker",
                parameters: [
                    ("host", layout.outside(layout.runFolder)), ("user", "walker"), ("password", "x"),
                    ("dbname", "postgres"), ("sslmode", "disable"), ("gssencmode", "disable"),
                ], connectDeadline: .seconds(5))
            try await walker.query("SELECT 1", within: .seconds(5))
            let ended = try await client.query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'walker'", within: .seconds(5))
            #expect(ended == [["t"]])
            await walker.disconnect()
            // Of what was made by a role that it made, too.
            #expect(try await Self.refusal(client, "DROP ROLE walker") == nil)
        }
    }
}
