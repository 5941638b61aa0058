import ArgumentParser
import RoostClient
import RoostModel
import RoostWire

/// What the orders to an edge have in common: the host, and whom to ask.
struct EdgeArguments: ParsableArguments {
    @Argument(help: "A host that is an edge.", transform: { try HostName($0) })
    var host: HostName

    @OptionGroup var global: GlobalOptions

    /// - Parameter outcome: what is said of "the edge of HOST" when it is done.
    func order(_ state: EdgeRequest.State, force: Bool = false, outcome: String) async throws {
        let planet = try Roostds.find(global)
        try await interruptible(advice: "Its edge may be \(state.rawValue) all the same. See it: roost hosts list") {
            try await planet.ask { try await $0.setEdge(of: host, to: state, force: force) }
        }
        Terminal.result("The edge of \(host) \(outcome)")
    }
}

extension HostsCommand {
    struct StopEdge: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take an edge off the air: it announces nothing and takes no new clients, until it is started.",
            discussion: """
                Clients go to the next edge. Sessions that are there are not ended, but their packets go to the next edge \
                too, which cuts what it does not know: clients connect again. The edge stays stopped when its host or \
                roostd starts again. Stopping one that is stopped changes nothing.
                """)

        @OptionGroup var edge: EdgeArguments
        @Flag(help: "Stop it although it is the last one: then no client reaches the planet.") var force = false

        func run() async throws {
            try await edge.order(
                .stopped, force: force,
                outcome: "is stopped. To start it: roost hosts start-edge \(edge.host)")
        }
    }

    struct StartEdge: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let an edge that was stopped announce and serve again. One that is not stopped goes on.")

        @OptionGroup var edge: EdgeArguments

        func run() async throws {
            try await edge.order(.started, outcome: "is started: it announces as soon as it is well.")
        }
    }

    struct ReplaceEdge: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let another process of the installed roost-edge take over. No connection is cut.")

        @OptionGroup var edge: EdgeArguments

        func run() async throws { try await edge.order(.replaced, outcome: "is being replaced.") }
    }
}
