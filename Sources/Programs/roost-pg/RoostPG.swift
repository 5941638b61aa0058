import ArgumentParser
import Glibc
import RoostPostgres

/// Process 1 must be itself before any other thread is made: its signals are taken by the one thread it has.
@main
enum MemberProgram {
    static func main() async {
        let arguments = CommandLine.arguments
        if InitProcess.isNeeded, arguments.dropFirst().first == "run",
            let command = try? RunMemberCommand.parse(Array(arguments.dropFirst(2)))
        {
            do { try InitProcess.run(arguments, runFolder: command.runFolder) } catch {
                Output.errorLine("roost-pg: \(error)")
                exit(1)
            }
        }
        await RoostPG.main()
    }
}

struct RoostPG: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roost-pg",
        abstract: "Process 1 of a Postgres cluster's member, and a client to try a cluster with.",
        subcommands: [RunMemberCommand.self, WriterCommand.self, VerifyCommand.self, HistoryCommand.self])
}
