import ArgumentParser
import CoreMetrics
import Foundation
import Glibc
import Logging
import RoostAPI
import RoostAnycast
import RoostHost
import RoostMesh
import RoostModel
import RoostPlanet
import RoostPostgresControl
import RoostTelemetry
import RoostWire

/// The agent of one host. `run` is meant for the host's init (systemd, runit); the other subcommands set a host up.
@main
struct RoostDaemon: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roostd",
        abstract: "Runs one host of a Roost planet: its machines, volumes, mesh, API and edge.",
        version: Release.version,
        subcommands: [
            RunHostCommand.self, MeshKeyCommand.self, ScrapeTokenCommand.self, EdgeGuardCommand.self,
        ],
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
    var logLevel = "info"

    @Option(help: "text or json, one object on each line.")
    var logFormat = LogFormat.text

    func run() async throws {
        guard let level = Logger.Level(rawValue: logLevel) else {
            throw ValidationError("'\(logLevel)' is not a log level")
        }
        // A client that goes away while it is written to is an error of that connection, not the end of the host.
        signal(SIGPIPE, SIG_IGN)
        guard getuid() == 0 else {
            throw ValidationError("roostd makes namespaces, mounts and routes; run it as root")
        }
        LoggingSystem.bootstrap(
            { [logFormat] in LineLogHandler($0, level: level, format: logFormat, provider: $1) },
            // Whatever a part logs while it works for a call says for which.
            metadataProvider: .init { PresentCall.requestID.map { ["request": "\($0)"] } ?? [:] })
        let registry = MetricsRegistry()
        MetricsSystem.bootstrap(registry.factory)
        do {
            let file = try await ConfigurationFile(path: options.config, overrides: options.settings)
            try await HostAssembly(configuration: try file.hostConfiguration(), registry: registry).run()
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

struct ScrapeTokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scrape-token",
        abstract: "Print the token by which a program may read /metrics of every host, and nothing else.",
        discussion: "It follows from the planet's token, which cannot be found from it.")

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        do {
            let file = try await ConfigurationFile(path: options.config, overrides: options.settings)
            print(try HostAssembly.readToken(try file.hostConfiguration().api.tokenFile).scrapeCredential)
        } catch {
            FileHandle.standardError.write(Data("roostd: \(error)\n".utf8))
            throw ExitCode(1)
        }
    }
}

extension LogFormat: ExpressibleByArgument {}
