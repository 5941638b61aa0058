import ArgumentParser
import Glibc
import Logging
import RoostLinux
import RoostModel
import RoostPostgres
import RoostTelemetry
import Synchronization

struct RunMemberCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Be this machine's member of its Postgres cluster.",
        discussion: "As process 1 it starts itself as a child, and reaps whatever ends.")

    @Option(help: "The machine's socket to its host.")
    var api = HostSocket.pathDefault

    @Option(help: "The folder of the volume.")
    var volume = "/data"

    @Option(help: "The folder of sockets and other things of one run.")
    var runFolder = "/run/roost-pg"

    @Option(help: "The folder of Postgres's programs.")
    var binaries = "/usr/lib/postgresql/17/bin"

    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel = Logger.Level.info

    @Option(help: "text or json, one object on each line.")
    var logFormat = LogFormat.text

    func run() async throws {
        StopSignals.install()
        let logger = Logger(label: "roost-pg") { [logLevel, logFormat] in
            LineLogHandler($0, level: logLevel, format: logFormat)
        }
        let options = Member.Options(
            socket: api, layout: PostgresLayout(volume: volume, runFolder: runFolder, binaries: binaries))
        let joined = Joined()
        await withTaskGroup(of: Void.self) { [logger] group in
            group.addTask {
                await StopSignals.wait()
                guard let member = joined.member.withLock({ $0 }) else { MemberProgram.leave(0) }
                member.terminate()
            }
            do {
                let member = try await Member.join(options, logger: logger)
                joined.member.withLock { $0 = member }
                try await member.run()
                MemberProgram.leave(0)
            } catch {
                Self.fail(error, logger)
            }
        }
    }

    private static func fail(_ error: any Error, _ logger: Logger) -> Never {
        logger.critical("cannot go on", metadata: ["why": "\(error)"])
        MemberProgram.leave(1)
    }
}

/// The member, once there is one.
private final class Joined: Sendable {
    let member = Mutex<Member?>(nil)
}

extension Logger.Level: @retroactive ExpressibleByArgument {}

extension LogFormat: ExpressibleByArgument {}
