import ArgumentParser
import Glibc
import RoostModel
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
        do {
            var command = try RoostPG.parseAsRoot()
            if var patient = command as? any AsyncParsableCommand { try await patient.run() } else { try command.run() }
            leave(0)
        } catch {
            let code = RoostPG.exitCode(for: error)
            let words = RoostPG.fullMessage(for: error)
            // What was asked for, as the help, is no error.
            if !words.isEmpty { code.isSuccess ? Output.line(words) : Output.errorLine(words) }
            leave(code.rawValue)
        }
    }

    /// Ends the process as it is. exit() would take OpenSSL's memory away (OPENSSL_cleanup, by atexit) from threads that
    /// close their connections at the same moment.
    static func leave(_ status: Int32) -> Never {
        fflush(nil)
        _exit(status)
    }
}

struct RoostPG: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roost-pg",
        abstract: "Process 1 of a Postgres cluster's member, and a client to try a cluster with.",
        version: Release.version,
        subcommands: [
            RunMemberCommand.self, RelayCommand.self, WriterCommand.self, VerifyCommand.self, HistoryCommand.self,
        ])
}
