import ArgumentParser
import Glibc
import RoostLab
import RoostModel

extension LabFaultCommand {
    struct ProcessArguments: ParsableArguments {
        @Argument(help: "The host, for example ams1.")
        var host: String

        @Argument(help: "The program's name, for example roostd, roost-pg, postgres, bird or etcd.")
        var program: String

        @OptionGroup var lab: LabOptions

        func signal(_ number: Int32, _ done: String) async throws {
            try await inLab {
                let count = try lab.planet().signal(number, process: program, on: host)
                Terminal.say("\(done) \(counted(count, "process", plural: "processes")) '\(program)' on \(host).")
            }
        }
    }

    struct FreezeProcess: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stop all processes of one name on a host, in its machines too.")
        @OptionGroup var target: ProcessArguments

        func run() async throws { try await target.signal(SIGSTOP, "Froze") }
    }

    struct ThawProcess: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Let frozen processes go on.")
        @OptionGroup var target: ProcessArguments

        func run() async throws { try await target.signal(SIGCONT, "Thawed") }
    }

    struct KillProcess: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Kill all processes of one name on a host (SIGKILL), in its machines too.")
        @OptionGroup var target: ProcessArguments

        func run() async throws { try await target.signal(SIGKILL, "Killed") }
    }
}
