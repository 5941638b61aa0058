import ArgumentParser
import RoostLab

struct LabCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lab", abstract: "A planet on this computer: regions, providers, hosts, clients, faults.",
        discussion: """
            Hosts run the same roostd as anywhere else, each in namespaces of its own; links have the delays of the \
            real distances. Needs root.
            """,
        subcommands: [
            LabUpCommand.self, LabDownCommand.self, LabStatusCommand.self, LabListCommand.self, LabExecCommand.self,
            LabFaultCommand.self, LabDemoCommand.self, LabBenchCommand.self, LabCheckCommand.self,
            LabSimulateCommand.self,
        ])
}

/// Which lab a command is about.
struct LabOptions: ParsableArguments {
    @Option(
        name: [.long, .customLong("lab")],
        help: .init("The lab's name (else ROOST_LAB, else 'planet').", valueName: "name"))
    var name = LabOptions.nameDefault

    private static var nameDefault: String { environment("ROOST_LAB") ?? LabShape.nameDefault }

    func planet() throws -> LabPlanet {
        try LabPrograms.requireRoot()
        return try LabPlanet.named(name)
    }
}

/// Gives the lab's errors the exit status and the look of the other commands'.
func inLab<Value>(_ work: () async throws -> Value) async throws -> Value {
    do {
        return try await work()
    } catch let error as LabError {
        switch error.kind {
        case .usage: throw UsageMistake(error.description)
        case .failed: throw CommandFailure(error.message, advice: error.advice)
        }
    }
}
