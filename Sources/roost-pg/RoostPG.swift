import ArgumentParser

@main
struct RoostPG: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roost-pg",
        abstract: "Process 1 of a Postgres cluster's member, and a client to try a cluster with.",
        subcommands: [RunCommand.self, WriterCommand.self, VerifyCommand.self])
}
