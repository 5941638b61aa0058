import ArgumentParser
import RoostClient
import RoostModel
import RoostWire

struct PostgresAllowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "allow", abstract: "Say from which networks clients may log in to a cluster.",
        discussion: """
            Edges refuse all others before the password is asked for: roost pg allow orders 203.0.113.0/24 198.51.100.7. \
            The list is replaced whole. Sessions that there are go on, and an edge that cannot be reached goes by its old \
            list until it hears of the new one. Without networks the list is shown.
            """)

    @Argument(help: "The cluster's name.", transform: { try PostgresNames.cluster($0) })
    var name: AppName

    @Argument(
        help: .init(
            "IPv4 networks, such as 203.0.113.0/24; an address alone is the network of 32 bits.", valueName: "network"),
        transform: { try Self.network($0) })
    var networks: [IPv4Prefix] = []

    @Flag(help: "Let clients in from everywhere, as it is in a new cluster.")
    var everywhere = false

    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    mutating func validate() throws {
        if everywhere, !networks.isEmpty { throw ValidationError("name networks, or say --everywhere") }
    }

    func run() async throws {
        let planet = try Roostds.find(global)
        let cluster =
            if everywhere || !networks.isEmpty {
                try await replaceList(on: planet)
            } else {
                try await planet.cluster(name)
            }
        try output.show(AllowBody(allow: cluster.allow ?? [])) { body in
            body.allow.isEmpty
                ? "Clients may log in to \(name) from everywhere." : body.allow.joined(separator: "\n")
        }
    }

    private func replaceList(on planet: Roostds) async throws -> ClusterBody {
        let networks = networks.map(\.description)
        let advice = "The list may be replaced all the same. See it: roost pg allow \(name)"
        return try await interruptible(advice: advice) {
            try await planet.ask { try await $0.allow(networks, to: name) }
        }
    }

    /// A network, or one address. All addresses are no network: whoever means them says so in words.
    static func network(_ text: String) throws -> IPv4Prefix {
        if let address = try? IPv4Address(text) { return IPv4Prefix(of: address) }
        guard text != "0.0.0.0/0" else { throw ValidationError("to let clients in from everywhere, say --everywhere") }
        return try IPv4Prefix(text)
    }
}
