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
            follows -- goes to psql: roost pg connect db -- -c 'select 1'
            """)

    @Argument(help: "The cluster's name.", transform: { try AppName($0) })
    var name: AppName

    @Flag(help: "Connect to the nearest replica instead of the primary.")
    var read = false

    @Option(help: .init("In a lab: the client to run psql at, for example client-iad.", valueName: "client"))
    var from: String?

    @Argument(parsing: .postTerminator, help: "Arguments for psql, after --.")
    var arguments: [String] = []

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let planet = try PlanetAPI.find(global)
        if from != nil, planet.lab == nil {
            throw UsageMistake("--from needs a lab: name one with --lab, and leave --api and ROOST_API away")
        }
        let cluster = try await planet.ask { try await $0.cluster(name) }
        let target = ConnectTarget(url: read ? cluster.readURL : cluster.writeURL)
        guard !target.url.isEmpty else {
            throw CommandFailure(
                "cluster \(name) has no address yet: it is \(cluster.status.rawValue)",
                advice: "Wait for it: roost pg status \(name) --watch")
        }
        var words = ["psql", target.url] + arguments
        if let lab = planet.lab {
            var client = from
            if client == nil { client = "client-\(try await firstRegion(of: planet))" }
            words = [OwnProgram.path, "lab", "exec", "--name", lab.text, client ?? "", "--"] + words
        }
        // Not on the command line, where every user of the computer could read it.
        if let password = target.password { setenv("PGPASSWORD", password, 1) }
        if getenv("PGCONNECT_TIMEOUT") == nil { setenv("PGCONNECT_TIMEOUT", "20", 1) }
        let failure = OwnProgram.become(words)
        throw CommandFailure(
            "\(failure)", advice: failure.code == ENOENT ? "Install psql: apt-get install -y postgresql-client" : nil)
    }

    private func firstRegion(of planet: PlanetAPI) async throws -> RegionCode {
        let regions = try await planet.ask { try await $0.regions().regions }
        guard let first = regions.map(\.code).first else { throw CommandFailure("the lab has no region") }
        return first
    }
}

/// A connection URL taken apart, so that the password need not stand on a command line.
struct ConnectTarget: Equatable {
    /// Without the password.
    var url: String
    var password: String?

    init(url: String) {
        self.url = url
        // postgres://user:password@host/…
        guard let scheme = url.firstIndex(of: "/"), let at = url.firstIndex(of: "@"), scheme < at,
            let colon = url[scheme..<at].firstIndex(of: ":")
        else { return }
        password = Self.decoded(url[url.index(after: colon)..<at])
        self.url = String(url[..<colon]) + String(url[at...])
    }

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
