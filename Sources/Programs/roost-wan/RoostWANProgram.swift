import ArgumentParser
import RoostModel
import RoostWAN

/// The user-space Internet of a lab, for kernels without netem.
@main
struct RoostWANProgram: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roost-wan",
        abstract: "Carry packets between network namespaces with the delays of real distances.",
        version: Release.version)

    @Option(help: "JSON file with the links.")
    var config: String

    @Option(help: "Path of the UNIX socket to listen on for changes.")
    var control: String

    func run() throws {
        try WideAreaNetwork.run(configurationPath: config, controlPath: control)
    }
}
