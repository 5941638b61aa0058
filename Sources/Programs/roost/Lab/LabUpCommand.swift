import ArgumentParser
import RoostLab
import RoostLinux
import RoostModel

struct LabUpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up", abstract: "Build a lab and wait until all of it answers.",
        discussion: """
            In each region the first host is for workloads, the last one is an edge, and in the first three regions \
            a member of the store. One host alone keeps its store in SQLite.
            """)

    @Option(help: .init("Regions by airport code, separated by commas.", valueName: "codes"))
    var regions = "ams,iad,sin"

    @Option(help: .init("Hosts in each region.", valueName: "count"))
    var hostsPerRegion = 2

    @Flag(help: .init("Leave roostd and the store away: the network alone.", visibility: .hidden))
    var networkOnly = false

    @OptionGroup var lab: LabOptions

    func run() async throws {
        try await inLab {
            let codes = regions.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            let shape = try LabShape(
                name: lab.name, regions: codes, hostsPerRegion: hostsPerRegion, isNetworkOnly: networkOnly)
            let begin = BootClock.now()
            let planet = try await interruptible(advice: "Interrupted. What had been built was removed again.") {
                try await LabPlanet.up(shape) { step in
                    Terminal.say(
                        "\(Terminal.paint(Figure.seconds(BootClock.now() - begin), .faint, on: .error)) \(step)")
                }
            }
            Terminal.say("The lab '\(planet.plan.shape.name)' is up after \(Figure.seconds(BootClock.now() - begin)).")
            let option = lab.name == LabShape.nameDefault ? "" : " --name \(lab.name)"
            Terminal.say("See it with 'roost lab status\(option)', remove it with 'roost lab down\(option)'.")
        }
    }
}

struct LabDownCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "down", abstract: "Remove a lab with everything in it, also after a crash.")

    @OptionGroup var lab: LabOptions

    func run() async throws {
        try await inLab {
            let advice = "What can be removed was removed all the same. Make sure: roost lab down --name \(lab.name)"
            let wasThere = try await interruptible(advice: advice) { try await LabPlanet.down(lab.name) }
            Terminal.say(wasThere ? "The lab '\(lab.name)' is gone." : "There is no lab '\(lab.name)'.")
        }
    }
}

struct LabExecCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec", abstract: "Run a command at a host, a client or a provider's router.",
        usage: "roost lab exec [--name <name>] <site> -- <command> ...")

    @Argument(help: "For example ams1, client-iad or aurora-sin.")
    var site: String

    @Argument(parsing: .postTerminator, help: "The command and its arguments, after --.")
    var command: [String] = []

    @OptionGroup var lab: LabOptions

    /// Becomes the command: input, terminal, signals and exit status are the command's own.
    func run() async throws {
        try await inLab {
            let words = try lab.planet().commandLine(in: site, command)
            throw CommandFailure("\(OwnProgram.become(words))", advice: nil)
        }
    }
}
