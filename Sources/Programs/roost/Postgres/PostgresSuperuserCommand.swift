import ArgumentParser
import RoostClient
import RoostModel
import RoostWire

struct PostgresSuperuserCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "superuser", abstract: "Run SQL as a cluster's superuser, in a member's machine.",
        discussion: """
            The URLs of a cluster are of a role that owns what users make and is no superuser. What takes more (extensions \
            that are not trusted, settings for everybody) goes through psql at the local socket in the primary's machine, \
            for whoever may run commands there: roost pg superuser orders "create extension pgstattuple schema public". \
            Names without a schema are Postgres's own (search_path is empty): what users have put into their schemas must \
            not be run in place of it. Views, triggers and functions of theirs that it touches run with all rights. Without SQL it is read from standard input; a request carries 1 MiB.
            """)

    @Argument(help: "The cluster's name.", transform: { try PostgresNames.cluster($0) })
    var name: AppName

    @Argument(help: "What to run; else standard input.")
    var sql: String?

    @Option(name: .shortAndLong, help: .init("The database.", valueName: "name"))
    var database = "postgres"

    @Option(
        help: .init("The member to run it at (else the primary).", valueName: "member"),
        transform: { try MemberName($0) })
    var member: MemberName?

    @OptionGroup var limit: CommandTimeOptions

    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    mutating func validate() throws {
        guard (1...Self.databaseBytesMax).contains(database.utf8.count), !database.utf8.contains(0) else {
            throw ValidationError("a database's name has 1 to \(Self.databaseBytesMax) bytes")
        }
    }

    func run() async throws {
        let text = try sql ?? String(decoding: StandardInput.readAll(), as: UTF8.self)
        let planet = try Roostds.find(global)
        let cluster = try await planet.cluster(name)
        let request = ExecBody(command: Self.command(database: database), stdin: text, timeout: limit.seconds)
        let machine = try Self.machine(of: member, in: cluster)
        let advice = """
            psql is ended, but Postgres may carry out to its end what it was told last. See it: \
            roost pg superuser \(name) 'select pid, query from pg_stat_activity'
            """
        do {
            let answer = try await interruptible(advice: advice) {
                try await planet.ask { try await $0.exec(request, on: machine, of: name) }
            }
            try answer.passOn(by: output)
        } catch let error as APIError where error.status == 408 {
            throw CommandFailure(
                "the SQL did not end within \(limit.seconds) s", advice: advice, status: ExitStatus.timedOut)
        }
    }

    /// NAMEDATALEN - 1 (PostgreSQL documentation, "Identifiers and Key Words").
    static let databaseBytesMax = 63

    /// The superuser is let in at the socket, and only as who is root in the machine. As pg_dump does since CVE-2018-1058,
    /// it looks for names in no schema of users', whatever they have set for the database: a function of theirs would run
    /// with all rights. psql takes a name with `=` or `://` after -d for a whole connection, in PGDATABASE not (libpq).
    static func command(database: String) -> [String] {
        [
            "/usr/bin/env", "PGDATABASE=\(database)", "PGOPTIONS=-c search_path=", "/usr/lib/postgresql/17/bin/psql",
            "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "/run/roost-pg", "-U", "roost", "-f", "-",
        ]
    }

    private static func machine(of member: MemberName?, in cluster: ClusterBody) throws -> MachineID {
        guard let member = member ?? cluster.leader else {
            throw CommandFailure(
                "cluster \(cluster.name) has no primary yet",
                advice: "Wait for it: roost pg status \(cluster.name) --watch")
        }
        guard let machine = cluster.members.first(where: { $0.name == member })?.machine else {
            throw CommandFailure(
                "cluster \(cluster.name) has no member \(member) with a machine",
                advice: "See them: roost pg status \(cluster.name)")
        }
        return machine
    }
}
