import RoostLab
import RoostLinux
import RoostModel

/// A way for pgbench to reach a database.
struct Pgbench: Sendable {
    var site: BenchSite
    var address: String
    var port: UInt16
    var login: DatabaseLogin
    var usesTLS = false

    /// Rows of 100,000 accounts: all in memory.
    private static let scale = 1
    private static let length = Duration.seconds(3)
    private static let patience = Duration.seconds(60)
    private static let threadsMax = 2

    private var target: String {
        "host=\(address) port=\(port) user=\(login.user) dbname=\(login.database) "
            + "sslmode=\(usesTLS ? "require" : "disable") connect_timeout=10"
    }

    private func run(_ arguments: [String]) async throws -> String {
        try await site.run(
            arguments + [target], environment: ["PGPASSWORD": login.password], deadline: Self.patience)
    }

    func fill() async throws {
        _ = try await run(["pgbench", "--initialize", "--quiet", "--scale", "\(Self.scale)"])
    }

    func empty() async throws {
        let tables = ["accounts", "branches", "history", "tellers"].map { "pgbench_\($0)" }
        _ = try await run(["psql", "-Xq", "-c", "DROP TABLE IF EXISTS \(tables.joined(separator: ", "))"])
    }

    /// Without the time it takes to connect.
    func transactionsPerSecond(clients: Int) async throws -> Double {
        let output = try await run([
            "pgbench", "--select-only", "--no-vacuum", "--client", "\(clients)", "--jobs",
            "\(min(clients, Self.threadsMax))", "--time", "\(Self.length.components.seconds)",
        ])
        guard let found = Self.transactionsPerSecond(in: output), found > 0 else {
            throw LabError(.failed, "pgbench said nothing of its speed: \(output.suffix(300))")
        }
        return found
    }

    static func transactionsPerSecond(in output: String) -> Double? {
        let line = output.split(separator: "\n").first { $0.hasPrefix("tps = ") }
        return line?.split(separator: " ").dropFirst(2).first.flatMap { Double($0) }
    }
}

/// Who one is to a database, as its URL has it.
struct DatabaseLogin: Sendable, Hashable {
    var user: String
    var password: String
    var address: String
    var port: UInt16
    var database: String

    /// `postgres://user:password@address:port/database?…`, without escapes.
    init?(url: String) {
        guard let start = url.firstRange(of: "://")?.upperBound else { return nil }
        let rest = url[start...].prefix { $0 != "?" }
        let halves = rest.split(separator: "@", omittingEmptySubsequences: false)
        guard halves.count == 2, !rest.contains("%") else { return nil }
        let names = halves[0].split(separator: ":")
        let parts = halves[1].split(separator: "/")
        let place = parts.first?.split(separator: ":") ?? []
        guard names.count == 2, parts.count == 2, place.count == 2, let port = UInt16(place[1]) else { return nil }
        user = String(names[0])
        password = String(names[1])
        address = String(place[0])
        self.port = port
        database = String(parts[1])
    }
}
