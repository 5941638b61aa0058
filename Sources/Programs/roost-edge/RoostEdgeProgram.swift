import ArgumentParser
import CLinux
import Glibc
import Logging
import RoostEdge
import RoostLinux
import RoostModel
import RoostTelemetry
import UnixSignals

/// The edge of a host. roostd starts it, with a bound UNIX socket as its standard input, and outlives it or not.
@main
struct RoostEdgeProgram: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roost-edge", abstract: "Serve the clients of a host's anycast addresses. Started by roostd.",
        version: Release.version)

    @Option(help: "The number of the user to become.")
    var user: UInt32

    @Option(help: "The number of the group to become.")
    var group: UInt32

    @Option(help: "How many files it may have open.")
    var openFiles: UInt64 = 65_536

    @Option(help: "The port of the primaries.")
    var writePort = EdgeConfiguration().writePort

    @Option(help: "The port of the replicas.")
    var readPort = EdgeConfiguration().readPort

    @Option(help: "trace, debug, info, notice, warning or error.")
    var logLevel = "notice"

    @Option(help: "text or json.")
    var logFormat = "text"

    /// On the process's first and, until its rights are gone, only thread.
    func run() throws {
        guard let level = Logger.Level(rawValue: logLevel) else {
            throw ValidationError("'\(logLevel)' is not a log level")
        }
        guard let format = LogFormat(rawValue: logFormat) else {
            throw ValidationError("'\(logFormat)' is not a log format")
        }
        signal(SIGPIPE, SIG_IGN)
        // A terminal that ends roostd has nothing to say to the edge.
        setsid()
        try giveUpRights()
        LoggingSystem.bootstrap { LineLogHandler($0, level: level, format: format) }
        var configuration = EdgeConfiguration()
        configuration.writePort = writePort
        configuration.readPort = readPort
        Task.detached { [configuration] in
            do {
                try await Self.serve(configuration)
                Glibc.exit(0)
            } catch {
                Logger(label: "roost.edge").error("the edge ends", metadata: ["error": "\(error)"])
                Glibc.exit(1)
            }
        }
        while true { pause() }
    }

    private func giveUpRights() throws {
        guard user > 0, group > 0 else { throw ValidationError("an edge does not run as root") }
        let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var files = rlimit(rlim_cur: rlim_t(openFiles), rlim_max: rlim_t(openFiles))
        if setrlimit(kind, &files) != 0, getrlimit(kind, &files) == 0 {
            // Where root itself may not raise it, what there is.
            let most = min(files.rlim_max, rlim_t(openFiles))
            files = rlimit(rlim_cur: most, rlim_max: most)
            setrlimit(kind, &files)
        }
        guard try Self.threadCount() == 1 else { throw SystemError("become", "user \(user)", code: EBUSY) }
        let status = roost_become(user, group)
        guard status == 0 else { throw SystemError("become", "user \(user)", code: -status) }
    }

    /// Some rights are a thread's own: there must be no other that keeps them.
    private static func threadCount() throws -> Int {
        try FolderListing.names(in: "/proc/self/task", mustExist: true).count
    }

    private static func serve(_ configuration: EdgeConfiguration) async throws {
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        try await EdgeLife.run(configuration, listener: STDIN_FILENO, release: Release.version, endings: signals)
    }
}
