import ArgumentParser
import Glibc
import RoostClient
import RoostLinux
import RoostModel
import RoostWire

struct PostgresConnectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connect", abstract: "Open psql on a cluster.",
        discussion: """
            In a lab psql runs where one of its clients is, because only those reach the lab's addresses. What \
            follows -- goes to psql: roost pg connect db -- -c 'select 1'. Database and user may be chosen there as \
            always (-d, -U, a name, PGDATABASE, PGUSER): the connection is to this cluster whatever they are.
            """)

    @Argument(help: "The cluster's name.", transform: { try PostgresNames.cluster($0) })
    var name: AppName

    @Flag(help: "Connect to the nearest replica instead of the primary.")
    var read = false

    @Option(help: .init("In a lab: the client to run psql at, for example client-iad.", valueName: "client"))
    var from: String?

    @Argument(parsing: .postTerminator, help: "Arguments for psql, after --.")
    var arguments: [String] = []

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let planet = try Roostds.find(global)
        if from != nil, planet.lab == nil {
            throw UsageMistake("--from needs a lab: name one with --lab, and leave --api and ROOST_API away")
        }
        let cluster = try await planet.login(to: name)
        let trusting = try AuthorityFile.trusting(try known(cluster))
        guard let target = ConnectTarget(url: read ? trusting.readURL : trusting.writeURL) else {
            throw CommandFailure(
                "cluster \(name) has no address yet: it is \(cluster.status.rawValue)",
                advice: "Wait for it: roost pg status \(name) --watch")
        }
        var words = ["psql"] + arguments
        if let lab = planet.lab {
            var client = from
            if client == nil { client = "client-\(try await firstRegion(of: planet))" }
            words = [try RunningProgram.path(), "lab", "exec", "--name", lab.text, client ?? "", "--"] + words
        }
        let chosen = target.environment(for: arguments, beside: { environment($0) })
        guard target.password != nil || !target.givesPassword(for: arguments, beside: { environment($0) }) else {
            throw CommandFailure(
                "cannot log in to \(name): \(cluster.missingWords ?? "its URL has no password")",
                advice: "Try again in a few seconds, ask another host (--api), or set PGPASSWORD.")
        }
        // By what the caller chose, not by what is set next.
        let service = try AuthorityFile.keep(
            target.service(beside: { environment($0) }), of: trusting, as: "service")
        for (name, value) in chosen { setenv(name, value, 1) }
        setenv("PGSERVICEFILE", service, 1)
        setenv("PGSERVICE", ConnectTarget.serviceName, 1)
        unsetenv("PGHOSTADDR")
        let failure = OwnProgram.become(words)
        throw CommandFailure(
            "\(failure)", advice: failure.code == ENOENT ? "Install psql: apt-get install -y postgresql-client" : nil)
    }

    /// With its authority. Where nobody can say that now, what this command line has kept of it does as well: were it that of
    /// another planet's cluster, psql would refuse what the server shows. Without any, psql would tell its user to trust
    /// everybody.
    private func known(_ cluster: ClusterBody) throws -> ClusterBody {
        let isChosen = environment("PGSSLROOTCERT") != nil
        let trustsAll = environment("PGSSLMODE").map { !$0.hasPrefix("verify-") } ?? false
        guard cluster.authorityCertificate.isEmpty, !cluster.writeURL.isEmpty, !isChosen, !trustsAll else {
            return cluster
        }
        let kept = try AuthorityFile.kept(of: cluster.name)
        guard kept.count == 1 else {
            let found = kept.isEmpty ? "none is kept here" : "\(kept.count) are kept here"
            throw CommandFailure(
                "cannot know whether a server is cluster \(cluster.name): "
                    + "\(cluster.missingWords ?? "its authority was not said"), and \(found)",
                advice: "Try again in a few seconds, ask another host (--api), or set PGSSLROOTCERT to its authority.")
        }
        var known = cluster
        known.authorityCertificate = kept[0]
        return known
    }

    private func firstRegion(of planet: Roostds) async throws -> RegionCode {
        let regions = try await planet.ask { try await $0.regions().regions }
        guard let first = regions.map(\.code).first else { throw CommandFailure("the lab has no region") }
        return first
    }
}

/// A connection URL taken apart into libpq's environment, so that the password need not stand on a command line and
/// psql's own arguments choose database and user on this cluster and nowhere else.
struct ConnectTarget: Equatable {
    var host: String
    var port: String
    var user: String
    var password: String?
    var database: String
    /// Parameters behind the question mark, by their names in the URL.
    var parameters: [String: String]

    /// - Returns: nil where the URL is empty or is none of Postgres.
    init?(url: String) {
        // postgres://user:password@host:port/database?name=value&…
        guard let scheme = url.firstRange(of: "://"), let at = url[scheme.upperBound...].firstIndex(of: "@"),
            let slash = url[at...].firstIndex(of: "/")
        else { return nil }
        let login = url[scheme.upperBound..<at].split(separator: ":", maxSplits: 1)
        let place = url[url.index(after: at)..<slash].split(separator: ":", maxSplits: 1)
        let path = url[url.index(after: slash)...].split(
            separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        guard let user = login.first, let host = place.first else { return nil }
        self.user = Self.decoded(user)
        password = login.count == 2 ? Self.decoded(login[1]) : nil
        self.host = String(host)
        port = place.count == 2 ? String(place[1]) : "5432"
        database = Self.decoded(path[0])
        parameters = [:]
        for pair in path.count == 2 ? path[1].split(separator: "&") : [] {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { parameters[String(parts[0])] = Self.decoded(parts[1]) }
        }
    }

    /// libpq's own names for the parameters that have one in the environment
    /// (https://www.postgresql.org/docs/17/libpq-envars.html).
    private static let variables = [
        "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "connect_timeout": "PGCONNECT_TIMEOUT",
    ]

    static let serviceName = "roost"

    /// The connection as a service file, which counts more than the environment and may say what no variable can: when
    /// a dead edge is noticed (https://www.postgresql.org/docs/17/libpq-pgservice.html).
    func service(beside present: (String) -> String?) -> String {
        var lines = ["[\(Self.serviceName)]", "host=\(host)", "port=\(port)"]
        for (name, value) in parameters.sorted(by: { $0.key < $1.key }) {
            // Where the caller chose, his choice stands.
            if let variable = Self.variables[name], present(variable) != nil { continue }
            lines.append("\(name)=\(value)")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// What to set for psql. Where the caller chose, his choice stands; the password is that of the URL's user,
    /// and goes nowhere but to that user.
    func environment(for arguments: [String], beside present: (String) -> String?) -> [String: String] {
        var result = ["PGHOST": host, "PGPORT": port]
        for (name, variable) in Self.variables {
            if let value = parameters[name], present(variable) == nil { result[variable] = value }
        }
        if present("PGDATABASE") == nil { result["PGDATABASE"] = database }
        if present("PGUSER") == nil { result["PGUSER"] = user }
        if let password, givesPassword(for: arguments, beside: present) { result["PGPASSWORD"] = password }
        return result
    }

    /// Whether the login is with the URL's password: as the URL's user, who has brought none.
    func givesPassword(for arguments: [String], beside present: (String) -> String?) -> Bool {
        let isOwnUser = (present("PGUSER") ?? user) == user && !Self.choosesUser(arguments)
        return isOwnUser && present("PGPASSWORD") == nil
    }

    /// psql takes a user by -U, by --username, by a second name, and inside a connection string.
    private static func choosesUser(_ arguments: [String]) -> Bool {
        if arguments.contains(where: { $0.contains("user=") || $0.contains("://") }) { return true }
        var names = 0
        var rest = arguments[...]
        while let word = rest.popFirst() {
            if word.hasPrefix("--username") { return true }
            if word.hasPrefix("--") { continue }
            if word.hasPrefix("-"),
                let letter = word.dropFirst().first(where: { Self.valued.contains($0) || $0 == "U" })
            {
                if letter == "U" { return true }
                // The value is the next word unless it is glued on.
                if word.last == letter { rest = rest.dropFirst() }
            } else if !word.hasPrefix("-") {
                names += 1
            }
        }
        return names > 1
    }

    /// psql's short options that take a value (psql --help of 15 to 17), but -U.
    private static let valued = Set("cdfvLoFPRThp")

    /// Undoes percent-encoding.
    private static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
