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
import RoostSettings
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
            RunHostCommand.self, CheckConfigCommand.self, MeshKeyCommand.self, ScrapeTokenCommand.self,
            EdgeGuardCommand.self, MeasureFeedCommand.self,
        ],
        defaultSubcommand: RunHostCommand.self)
}

struct ConfigurationOptions: ParsableArguments {
    @Option(help: "The host's configuration file (JSON).")
    var config = "/etc/roost/roostd.json"

    @Argument(
        parsing: .allUnrecognized,
        help:
            "Single settings, over environment and file: --log-format json, --mesh-listen-port 51900 … (docs/configuration.md)"
    )
    var settings: [String] = []

    /// What is in force; what is wrong is told, and ends the program.
    func inForce() throws -> SettingsInForce {
        try RoostDaemon.telling { try SettingsInForce(path: config, flags: settings) }
    }
}

struct RunHostCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run until SIGTERM. Machines keep running when roostd ends.")

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let settings = try options.inForce().settings
        let format = settings.log.format
        let level = Logger.Level(rawValue: settings.log.level) ?? .info
        // A client that goes away while it is written to is an error of that connection, not the end of the host.
        signal(SIGPIPE, SIG_IGN)
        guard getuid() == 0 else {
            throw ValidationError("roostd makes namespaces, mounts and routes; run it as root")
        }
        LoggingSystem.bootstrap(
            { LineLogHandler($0, level: level, format: format, provider: $1) },
            // Whatever a part logs while it works for a call says for which.
            metadataProvider: .init { PresentCall.requestID.map { ["request": "\($0)"] } ?? [:] })
        let registry = MetricsRegistry()
        MetricsSystem.bootstrap(registry.factory)
        do {
            try await HostAssembly(
                configuration: try HostConfiguration(settings), registry: registry, logLevel: level, logFormat: format
            ).run()
        } catch {
            throw RoostDaemon.told(error)
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
        let folder = try options.inForce().settings.stateFolder
        try RoostDaemon.telling { print(try MeshKey.ensure(stateDirectory: folder)) }
    }
}

struct ScrapeTokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scrape-token",
        abstract: "Print the token by which a program may read /metrics of every host, and nothing else.",
        discussion: "It follows from the planet's token, which cannot be found from it.")

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let path = try options.inForce().settings.api.tokenFile
        try RoostDaemon.telling { print(try PlanetToken.read(from: path).scrapeCredential) }
    }
}

extension RoostDaemon {
    /// Does it; an error is told on standard error and ends the program with 1.
    static func telling<Value>(_ body: () throws -> Value) throws -> Value {
        do { return try body() } catch { throw told(error) }
    }

    static func told(_ error: any Error) -> ExitCode {
        // Not `write(_:)`, which ends the process by a trap where standard error is closed or its disk is full.
        try? FileHandle.standardError.write(contentsOf: Data("roostd: \(error)\n".utf8))
        return ExitCode(1)
    }
}
