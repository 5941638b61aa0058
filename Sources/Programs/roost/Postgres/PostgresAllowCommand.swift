import ArgumentParser
import RoostClient
import RoostModel
import RoostWire

struct PostgresAllowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "allow", abstract: "Say from which networks clients may log in to a cluster.",
        discussion: """
            Edges refuse all others before the password is asked for: roost pg allow orders 203.0.113.0/24 198.51.100.7/32. \
            The list is replaced whole. Sessions that there are go on. Without networks the list is shown.
            """)

    @Argument(help: "The cluster's name.", transform: { try AppName($0) })
    var name: AppName

    @Argument(
        help: .init("IPv4 networks, such as 203.0.113.0/24.", valueName: "network"), transform: { try IPv4Prefix($0) })
    var networks: [IPv4Prefix] = []

    @Flag(help: "Let clients in from everywhere, as it is in a new cluster.")
    var everywhere = false

    @OptionGroup var global: GlobalOptions

    mutating func validate() throws {
        if everywhere, !networks.isEmpty { throw ValidationError("name networks, or say --everywhere") }
    }

    func run() async throws {
        let planet = try Roostds.find(global)
        let cluster =
            if everywhere || !networks.isEmpty {
                try await planet.ask { try await $0.allow(networks.map(\.description), to: name) }
            } else {
                try await planet.ask { try await $0.cluster(name) }
            }
        let list = cluster.allow ?? []
        Terminal.result(list.isEmpty ? "Clients may log in to \(name) from everywhere." : list.joined(separator: "\n"))
    }
}
