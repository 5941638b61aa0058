import Glibc
import Logging
import RoostAnycast
import RoostEdgeProcess
import RoostHost
import RoostLinux
import RoostMesh
import RoostModel
import RoostPlanet
import RoostPostgresControl
import RoostRoutes
import RoostTelemetry
import RoostWire
import ServiceLifecycle

/// The edge of a host: the program that serves, its routes, and the announcement that depends on its health. The program
/// and the announcement outlive roostd.
final class EdgeAssembly: Sendable {
    private let keeper: EdgeKeeper
    private let announcer: BirdAnnouncer
    private let routing: EdgeRouting
    private let toggle: EdgeSwitch
    private let capabilities: EdgeCapabilities

    init(
        _ configuration: HostConfiguration, _ settings: HostConfiguration.EdgeSettings, watcher: PlanetWatcher,
        hearing: ClusterHearing, news: LeaderNews, mesh: WireGuardMesh, agent: HostAgent, logLevel: Logger.Level,
        logFormat: LogFormat
    ) throws {
        Self.reusePorts(Logger(label: "roost.edge"))
        let note = StoppedNote(path: configuration.stateFolder + "/edge-stopped")
        let isStopped = note.isThere(Logger(label: "roost.edge"))
        let announcer = try BirdAnnouncer(
            configuration: AnycastConfiguration(
                prefixes: configuration.anycastPrefixes, localAS: settings.localAS, routerID: settings.routerID,
                uplinks: settings.uplinks, importsRoutes: settings.importsRoutes,
                sourceAddress: settings.importsRoutes ? settings.routerID : nil,
                directory: Self.anycastFolder(configuration)),
            wanted: isStopped ? .down : .healthy, logger: Logger(label: "roost.anycast"))
        self.announcer = announcer
        let keeper = try EdgeKeeper(
            EdgeProgram(
                cgroupParent: configuration.cgroupParent, memory: configuration.capacity.memory,
                logLevel: logLevel.rawValue, logFormat: logFormat),
            folder: Self.edgeFolder(configuration), isAccepting: !isStopped
        ) { announcer.watch($0) }
        self.keeper = keeper
        capabilities = EdgeCapabilities(keeper: keeper, agent: agent)
        toggle = EdgeSwitch(note, isStopped: isStopped) {
            announcer.want($0)
        } accept: {
            keeper.setAccepting($0)
        }
        routing = EdgeRouting(watcher: watcher, hearing: hearing, news: news, mesh: mesh, host: configuration.host) {
            keeper.route($0, isLive: $1)
        }
    }

    private static func anycastFolder(_ configuration: HostConfiguration) -> String {
        configuration.runFolder + "/anycast"
    }

    private static func edgeFolder(_ configuration: HostConfiguration) -> String { configuration.runFolder + "/edge" }

    /// On a host that is no edge, or no more: what an edge has left behind ends.
    static func end(_ configuration: HostConfiguration) async {
        await BirdAnnouncer.end(directory: anycastFolder(configuration), prefixes: configuration.anycastPrefixes)
        EdgeKeeper.end(folder: edgeFolder(configuration))
    }

    /// What the edge has done since it started, as numbers, by its last report.
    func samples() -> [MetricSample] {
        let counted = keeper.counters()
        func count(_ name: String) -> Double { Double(counted[name] ?? 0) }
        return [
            MetricSample(.edgeSessions, count("relaying"), "relaying"),
            MetricSample(.edgeSessions, count("held"), "held"),
            MetricSample(.edgeSessions, max(0, count("sessions") - count("relaying") - count("held")), "other"),
            MetricSample(.edgeAccepted, count("accepted")),
            MetricSample(.edgeEstablished, count("established")),
            MetricSample(.edgeRefused, count("refused")), MetricSample(.edgeCut, count("cut")),
            MetricSample(.edgeAttemptsFailed, count("attempts_failed")),
            MetricSample(.edgeShortages, count("shortages")),
            MetricSample(.edgeListenersMissing, max(0, count("listeners_wanted") - count("listeners_open"))),
        ]
    }

    /// Somebody stopped it, and nobody has started it since.
    var isStopped: Bool { toggle.isStopped }

    /// Clients come to it, and have for a while.
    var isReliedOn: Bool { announcer.hasLed(for: EdgeOrders.steadyMin) }

    var services: [any Service] { [announcer, keeper, routing, capabilities] }

    func set(_ state: EdgeRequest.State) async throws(Refusal) {
        switch state {
        case .stopped: try await toggle.stop()
        case .started: try await toggle.start()
        case .replaced: keeper.replace()
        }
    }

    /// Connections to members that are over keep their local port for a minute, on the side that closed first; with
    /// this the kernel gives such a port to a new connection where timestamps tell the two apart (ip-sysctl,
    /// `tcp_tw_reuse`). Without it 28,232 ports are 470 logins a second to one member.
    private static func reusePorts(_ logger: Logger) {
        let path = "/proc/sys/net/ipv4/tcp_tw_reuse"
        let file = open(path, O_WRONLY | O_CLOEXEC)
        let isWritten = file >= 0 && write(file, "1", 1) == 1
        if !isWritten {
            logger.warning("local ports are not used again early", metadata: ["error": "\(SystemError("write", path))"])
        }
        if file >= 0 { close(file) }
    }
}

/// The planet hears what the edge says that it can do.
private struct EdgeCapabilities: Service {
    let keeper: EdgeKeeper
    let agent: HostAgent

    func run() async throws {
        await cancelWhenGracefulShutdown {
            for await can in keeper.capabilities { await agent.setEdgeCapabilities(can) }
        }
    }
}
