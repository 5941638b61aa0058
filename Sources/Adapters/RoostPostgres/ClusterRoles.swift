import RoostWire

/// The roles of a new cluster, as statements for a server in single-user mode.
///
/// Whoever has an application's URL is the owner, not a superuser: a superuser runs commands as Postgres's user
/// (`COPY … TO PROGRAM`), reads the members' own files, and can lock the supervisor out.
enum ClusterRoles {
    static func statements(_ secrets: MemberSecrets) -> String {
        (owner(secrets) + replicator(secrets)).map { $0 + ";\n\n" }.joined()
    }

    /// May make databases, roles, schemas and trusted extensions, and sees what everybody does. The database `postgres`
    /// stays the supervisor's, which logs in to it: nobody else may drop, rename or close it.
    private static func owner(_ secrets: MemberSecrets) -> [String] {
        let owner = PostgresSettings.owner
        return [
            "CREATE ROLE \(owner) LOGIN CREATEDB CREATEROLE PASSWORD \(literal(secrets.ownerPassword))",
            // Whom it makes it can be, so that it can end their sessions and drop what is theirs.
            "ALTER ROLE \(owner) SET createrole_self_grant = 'set, inherit'",
            "GRANT pg_monitor TO \(owner) WITH ADMIN OPTION",
            "GRANT ALL ON DATABASE postgres TO \(owner) WITH GRANT OPTION",
            "ALTER SCHEMA public OWNER TO \(owner)",
        ]
    }

    /// Gives the supervisor and the members back what they need to log in, whatever of it is missing: each statement may
    /// fail by itself, because the thing is there. For a server in single-user mode.
    static func repairs(_ secrets: MemberSecrets) -> String {
        let (supervisor, members) = (PostgresSettings.supervisor, PostgresSettings.replicator)
        let statements = [
            "CREATE ROLE \(supervisor) SUPERUSER",
            "ALTER ROLE \(supervisor) SUPERUSER REPLICATION LOGIN",
            "ALTER ROLE \(supervisor) RESET ALL",
            "CREATE ROLE \(members)",
            "ALTER ROLE \(members) REPLICATION LOGIN CONNECTION LIMIT -1 VALID UNTIL 'infinity' PASSWORD "
                + literal(secrets.replicationPassword),
            "ALTER ROLE \(members) RESET ALL",
            // An empty one: what was dropped is gone.
            "CREATE DATABASE postgres TEMPLATE template0",
            "ALTER DATABASE postgres ALLOW_CONNECTIONS true",
            "ALTER ROLE \(supervisor) IN DATABASE postgres RESET ALL",
            "GRANT ALL ON DATABASE postgres TO \(PostgresSettings.owner) WITH GRANT OPTION",
        ]
        return statements.map { $0 + ";\n\n" }.joined()
    }

    /// The same, for what is in the database `postgres`.
    static var repairsWithin: String { "\(rights);\n\n" }

    /// What pg_rewind reads.
    private static let rights =
        "GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean), "
        + "pg_catalog.pg_stat_file(text, boolean), pg_catalog.pg_read_binary_file(text), "
        + "pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) TO \(PostgresSettings.replicator)"

    private static func replicator(_ secrets: MemberSecrets) -> [String] {
        let replicator = PostgresSettings.replicator
        return [
            "CREATE ROLE \(replicator) REPLICATION LOGIN PASSWORD \(literal(secrets.replicationPassword))",
            rights,
        ]
    }

    static func literal(_ text: String) -> String {
        "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''") + "'"
    }
}
