import Glibc
import RoostFailover
import RoostLinux
import RoostModel
import RoostWire

// How a copy takes the place of the data, and whether there is room for both.
extension PostgresInstance {
    /// Removes what earlier copies left: unfinished ones, and data that one has taken the place of.
    func removeCopies() async throws {
        try await endCopies()
        for folder in [layout.unfinished, layout.aside] where try layout.exists(folder) {
            try await Command("rm", ["-rf", layout.outside(folder)], deadline: Self.removalDeadline).run()
        }
    }

    /// The whole copy becomes the data. The process may die between any two of these steps: which folders are there
    /// tells the next attempt how far this one came, as the copy's name goes only when it has become the data.
    public func exchange() async throws(PostgresError) {
        do {
            await stop(.fast, within: .seconds(5))
            if try layout.exists(layout.unfinished) {
                if try layout.exists(layout.data) {
                    try await Command("rm", ["-rf", layout.outside(layout.aside)], deadline: Self.removalDeadline).run()
                    try await layout.move(layout.data, to: layout.aside)
                }
                try await layout.move(layout.unfinished, to: layout.data)
            }
            guard try hasData else { throw PostgresError("find the data", "there is neither a copy nor data") }
            try await removeCopies()
        } catch {
            throw PostgresError("put the copy in the place of the data", error)
        }
    }

    /// Stops Postgres and removes its data for good.
    public func discard() async throws(PostgresError) {
        do { try await destroyData() } catch { throw PostgresError("remove the data", error) }
    }

    /// What a copy of a leader takes, and whether it could be one.
    struct Source: Hashable, Sendable {
        var size: ByteCount
        /// Tablespaces outside the leader's volume, which no copy would have on its own.
        var elsewhere: String?

        /// One line of psql: bytes, then names.
        init?(row: String) {
            let fields = row.split(separator: "\n").first?.split(separator: "|", omittingEmptySubsequences: false) ?? []
            guard fields.count == 2, let bytes = Int64(fields[0]) else { return nil }
            size = ByteCount(bytes: bytes)
            elsewhere = fields[1].isEmpty ? nil : String(fields[1])
        }

        static let statement = """
            SELECT pg_tablespace_size('pg_default'),
              (SELECT string_agg(quote_ident(spcname), ', ') FROM pg_tablespace WHERE spcname !~ '^pg_')
            """
    }

    /// Asks a leader what would have to be copied.
    func measure(
        _ upstream: PostgresSettings.Upstream, _ settings: PostgresSettings, _ secrets: MemberSecrets
    ) async throws(PostgresError) -> Source {
        do {
            let connection = settings.connection(to: upstream, layout, application: "roost_look")
            var answer = ""
            try await withPassword(secrets) {
                answer = try await self.layout.command(
                    "psql",
                    [
                        "-XAtq", "--no-password", "--dbname=\(connection) dbname=postgres",
                        "--command=\(Source.statement)",
                    ], deadline: Self.leaderDeadline
                ).run().standardOutput
            }
            guard let source = Source(row: answer) else { throw PostgresError("read the answer", answer) }
            return source
        } catch {
            throw PostgresError("measure \(upstream.leader)", error)
        }
    }

    /// Why the volume cannot take a copy beside what is on it; nil when it can.
    func lackOfRoom(for source: Source) throws(SystemError) -> String? {
        let space = try layout.space()
        let reserve = PostgresSettings.reserve(of: space.size)
        let (needed, free) = (source.size.bytes + reserve.bytes, space.size.bytes - space.used.bytes)
        guard free < needed else { return nil }
        return "no room for a copy beside the data: needs \(ByteCount(bytes: needed)), has "
            + "\(ByteCount(bytes: max(free, 0)))"
    }

    /// Proof that the data folder is no database any more; nil without proof, whatever keeps Postgres from starting.
    func damage() async -> String? {
        func isGone(_ path: String) -> Bool { access(layout.outside(path), F_OK) != 0 && errno == ENOENT }
        // A volume that is not there proves nothing.
        guard (try? layout.exists(layout.volume)) == true else { return nil }
        for file in ["PG_VERSION", "global/pg_control"] where isGone("\(layout.data)/\(file)") {
            return "\(layout.data)/\(file) is gone"
        }
        let look = try? await layout.command("pg_controldata", ["-D", layout.data], deadline: .seconds(10)).outcome()
        guard let look, (look.standardOutput + look.standardError).contains("CRC checksum does not match") else {
            return nil
        }
        return "\(layout.data)/global/pg_control is damaged"
    }
}
