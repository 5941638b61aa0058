import ArgumentParser
import Foundation
import Glibc
import Logging
import RoostAnycast
import RoostHost
import RoostMesh
import RoostModel
import RoostPlanet
import RoostPostgresControl

/// The agent of one host. `run` is meant for the host's init (systemd, runit); the other subcommands set a host up.
@main
struct RoostDaemon: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roostd",
        abstract: "Runs one host of a Roost planet: its machines, volumes, mesh, API and edge.",
        version: Release.version, subcommands: [RunHostCommand.self, MeshKeyCommand.self, EdgeGuardCommand.self],
        defaultSubcommand: RunHostCommand.self)
}

struct ConfigurationOptions: ParsableArguments {
    @Option(help: "The host's configuration file (JSON).")
    var config = "/etc/roost/roostd.json"

    @Argument(
        parsing: .allUnrecognized,
        help: "Single settings, over environment and file: --mesh-listen-port 51900, --api-tcp-port 4281 …")
    var settings: [String] = []
}

struct RunHostCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run until SIGTERM. Machines keep running when roostd ends.")

    @OptionGroup var options: ConfigurationOptions

    @Option(help: "trace, debug, info, notice, warning or error.")
    var logLevel = "notice"

    func run() async throws {
        guard let level = Logger.Level(rawValue: logLevel) else {
            throw ValidationError("'\(logLevel)' is not a log level")
        }
        // A client that goes away while it is written to is an error of that connection, not the end of the host.
        signal(SIGPIPE, SIG_IGN)
        guard getuid() == 0 else {
            throw ValidationError("roostd makes namespaces, mounts and routes; run it as root")
        }
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
        do {
            let file = try await ConfigurationFile(path: options.config, overrides: options.settings)
            try await HostAssembly(configuration: try file.hostConfiguration()).run()
        } catch {
            FileHandle.standardError.write(Data("roostd: \(error)\n".utf8))
            throw ExitCode(1)
        }
    }
}

struct MeshKeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mesh-key",
        abstract: "Print this host's WireGuard public key, making the key if there is none.",
        discussion: "Other hosts name it in their seeds before this host has ever started.")

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        do {
            let file = try await ConfigurationFile(path: options.config, overrides: options.settings)
            print(try MeshKey.ensure(stateDirectory: try file.hostConfiguration().stateFolder))
        } catch {
            FileHandle.standardError.write(Data("roostd: \(error)\n".utf8))
            throw ExitCode(1)
        }
    }
}
