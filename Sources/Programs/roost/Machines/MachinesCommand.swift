import ArgumentParser
import RoostClient
import RoostModel
import RoostWire

struct MachinesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "machines", abstract: "Machines: isolated programs with a root of their own, each on one host.",
        subcommands: [
            MachineCreateCommand.self, MachineListCommand.self, MachineShowCommand.self, MachineStartCommand.self,
            MachineStopCommand.self, MachineRestartCommand.self, MachineDestroyCommand.self, MachineWaitCommand.self,
            MachineEventsCommand.self, MachineExecCommand.self, MachineLogsCommand.self,
        ], aliases: ["machine"])
}

struct MachineListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the machines of an app, or of all apps.")

    @Argument(help: "The app's name.", transform: { try AppName($0) })
    var app: AppName?

    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let machines = try await Roostds.find(global).ask { client in
            if let app { return try await Self.machines(of: [app], by: client) }
            return try await Self.machines(of: client.apps().map(\.name).sorted(), by: client)
        }
        try output.showList(
            machines, nothing: "There is no machine. Create one: roost machines create APP --image IMAGE"
        ) {
            var table = Table("APP", "ID", "NAME", "STATE", "REGION", "HOST", "ADDRESS", "IMAGE")
            for machine in $0 {
                table.add(
                    Cell(machine.app?.text ?? "-"), Cell(machine.id.text), Cell(machine.name),
                    machine.hostStatus == "ok"
                        ? Cell(machine.state.rawValue, machine.state.style)
                        : Cell("\(machine.state.rawValue) (host \(machine.hostStatus))", .warning),
                    Cell(machine.region.text), Cell(machine.host.text), Cell(machine.privateIP.description),
                    Cell(machine.config.image))
            }
            return table
        }
    }

    private static func machines(of apps: [AppName], by client: RoostAPIClient) async throws -> [MachineBody] {
        var all: [MachineBody] = []
        for app in apps {
            for var machine in try await client.machines(of: app) {
                // A host of an older version does not say it.
                machine.app = app
                all.append(machine)
            }
        }
        return all
    }
}

struct MachineShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show a machine.")

    @OptionGroup var argument: MachineArgument
    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let planet = try Roostds.find(global)
        let id = try await argument.id(on: planet)
        let machine = try await planet.machine(id, of: argument.app)
        try output.show(machine) { $0.facts.text }
    }
}

struct MachineEventsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events", abstract: "List what happened to a machine, newest first.")

    @OptionGroup var argument: MachineArgument

    @Option(help: "How many at most.")
    var limit: Int?

    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    mutating func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit is at least 1") }
    }

    func run() async throws {
        let planet = try Roostds.find(global)
        let id = try await argument.id(on: planet)
        let events = try await planet.ask { try await $0.events(of: id, in: argument.app, limit: limit) }
        try output.showList(events, nothing: "Nothing has happened to the machine yet.") { events in
            var table = Table("TIME", "EVENT", "STATE", "BY", "DETAIL")
            for event in events {
                table.add(
                    Cell(Timestamp.text(milliseconds: event.timestamp)), Cell(event.type.rawValue),
                    Cell(event.status.rawValue, event.status.style), Cell(event.source.rawValue),
                    Cell(event.detail))
            }
            return table
        }
    }
}

struct MachineLogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs", abstract: "Print the end of what a machine wrote.")

    @OptionGroup var argument: MachineArgument

    @Option(help: "How much of it, in bytes.")
    var bytes = 65536

    @OptionGroup var global: GlobalOptions

    mutating func validate() throws {
        guard (1...(1 << 20)).contains(bytes) else { throw ValidationError("--bytes is a number from 1 to 1048576") }
    }

    func run() async throws {
        let planet = try Roostds.find(global)
        let id = try await argument.id(on: planet)
        let text = try await planet.ask { try await $0.logs(of: id, in: argument.app, bytes: bytes) }
        Terminal.putForeign(text.isEmpty || text.hasSuffix("\n") ? text : text + "\n", on: .output)
    }
}
