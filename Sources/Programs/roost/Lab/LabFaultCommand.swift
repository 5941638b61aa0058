import ArgumentParser
import RoostLab
import RoostWire

struct LabFaultCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fault", abstract: "Break things, and heal them.",
        subcommands: [
            KillHost.self, StartHost.self, FreezeHost.self, ThawHost.self, Cut.self, Loss.self, Delay.self,
            Heal.self, StopEdge.self, StartEdge.self, FreezeProcess.self, ThawProcess.self, KillProcess.self,
            List.self,
        ])

    struct HostArguments: ParsableArguments {
        @Argument(help: "The host, for example ams1.")
        var host: String

        @OptionGroup var lab: LabOptions
    }

    struct KillHost: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Cut a host's power: nothing says good-bye, only its disk is left.")
        @OptionGroup var target: HostArguments

        func run() async throws { try await inLab { try await target.lab.planet().killHost(target.host) } }
    }

    struct StartHost: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Start a host that was killed, with its disk.")
        @OptionGroup var target: HostArguments

        func run() async throws { try await inLab { try await target.lab.planet().startHost(target.host) } }
    }

    struct FreezeHost: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stop all processes of a host where they are, its machines' too.")
        @OptionGroup var target: HostArguments

        func run() async throws { try await inLab { try await target.lab.planet().freezeHost(target.host) } }
    }

    struct ThawHost: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Let a frozen host go on.")
        @OptionGroup var target: HostArguments

        func run() async throws { try await inLab { try await target.lab.planet().thawHost(target.host) } }
    }

    struct StopEdge: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Ask a host to withdraw the anycast addresses and stop its edge.")
        @OptionGroup var target: HostArguments

        func run() async throws {
            try await inLab { try await target.lab.planet().setEdge(of: target.host, to: .stopped) }
        }
    }

    struct StartEdge: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Start a host's edge again.")
        @OptionGroup var target: HostArguments

        func run() async throws {
            try await inLab { try await target.lab.planet().setEdge(of: target.host, to: .started) }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the faults there are now.")
        @OptionGroup var lab: LabOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await inLab {
                let planet = try lab.planet()
                let stopped = await planet.stoppedEdges().map { "the edge of \($0) is stopped" }
                let faults = try await planet.faults().map(\.description) + stopped
                try output.showList(faults, nothing: "There are no faults.") { faults in
                    var table = Table("FAULT")
                    for fault in faults { table.add(Cell(fault)) }
                    return table
                }
            }
        }
    }
}
