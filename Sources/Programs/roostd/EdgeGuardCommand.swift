import ArgumentParser
import Glibc
import RoostAnycast

/// What roostd starts beside itself on an edge: see `EdgeGuard`. Not for people.
struct EdgeGuardCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "edge-guard", shouldDisplay: false)

    @Argument(parsing: .allUnrecognized) var arguments: [String] = []

    func run() throws {
        // A terminal that ends roostd has nothing to say to the guard.
        setsid()
        try EdgeGuard.run(configuration: .init(arguments: arguments))
    }
}
