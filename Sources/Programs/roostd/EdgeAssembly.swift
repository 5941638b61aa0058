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
import RoostTelemetry
import RoostWire
import ServiceLifecycle
import Synchronization

/// The edge of a host: the program that serves, its routes, and the announcement that depends on its health. The program
/// and the announcement outlive roostd.
final class EdgeAssembly: Sendable {
    private let keeper: EdgeKeeper
    private let announcer: BirdAnnouncer
    private let routing: EdgeRouting
    /// What is to be announced while the proxy is well.
    private let wanted: Mutex<EdgeHealth>
    /// What is written down and what is wanted change together.
    private let turns = Turnstile()
    private let file: String

    /// From "take another edge if there is one" to withdrawing: the neighbours have chosen the next edge, and told
    /// theirs, while what was on its way here still arrives (RFC 8326).
    private static let drainTime = Duration.seconds(1)

    init(
        _ configuration: HostConfiguration, _ settings: HostConfiguration.EdgeSettings, watcher: PlanetWatcher,
        mesh: WireGuardMesh, logLevel: Logger.Level, logFormat: LogFormat
    ) throws {
        Self.reusePorts(Logger(label: "roost.edge"))
        // A stopped edge stays stopped over a restart: whoever stopped it said so.
        file = configuration.stateFolder + "/edge-stopped"
        let isStopped = (try? DurableFile.read(file)) != nil
        let wanted = isStopped ? EdgeHealth.down : .healthy
        self.wanted = Mutex(wanted)
        let announcer = try BirdAnnouncer(
            configuration: AnycastConfiguration(
                prefixes: configuration.anycastPrefixes, localAS: settings.localAS, routerID: settings.routerID,
                uplinks: settings.uplinks, importsRoutes: settings.importsRoutes,
                sourceAddress: settings.importsRoutes ? settings.routerID : nil,
                directory: Self.anycastFolder(configuration)),
            wanted: wanted, logger: Logger(label: "roost.anycast"))
        self.announcer = announcer
        let keeper = try EdgeKeeper(
            EdgeProgram(
                cgroupParent: configuration.cgroupParent, memory: configuration.capacity.memory,
                logLevel: logLevel.rawValue, logFormat: logFormat),
            folder: Self.edgeFolder(configuration), isAccepting: !isStopped
        ) { announcer.watch($0) }
        self.keeper = keeper
        routing = EdgeRouting(watcher: watcher, mesh: mesh, host: configuration.host) {
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
    var isStopped: Bool { wanted.withLock { $0 != .healthy } }

    var services: [any Service] { [announcer, keeper, routing] }

    /// Stopping drains, withdraws and then closes the door, in this order. One that is stopped already stays so.
    ///
    /// Nothing changes where it could not be written down: an edge that was stopped must not come back by itself.
    func set(_ state: EdgeRequest.State) async throws(Refusal) {
        switch state {
        case .stopped:
            let isStopped = try await turns.pass { () async throws(Refusal) in
                try await note { [file] () throws(SystemError) in try DurableFile.write("stopped\n", to: file) }
                let isDown = wanted.withLock { wanted in
                    if wanted == .healthy { wanted = .draining }
                    return wanted == .down
                }
                if !isDown { announcer.want(.draining) }
                return isDown
            }
            if isStopped { return }
            try? await Task.sleep(for: Self.drainTime)
            // Somebody may have started it again meanwhile.
            await turns.pass {
                let isOver = wanted.withLock { wanted in
                    if wanted == .draining { wanted = .down }
                    return wanted == .down
                }
                guard isOver else { return }
                announcer.want(.down)
                keeper.setAccepting(false)
            }
        case .started:
            try await turns.pass { () async throws(Refusal) in
                try await note { [file] () throws(SystemError) in try DurableFile.remove(file) }
                wanted.withLock { $0 = .healthy }
                keeper.setAccepting(true)
                announcer.want(.healthy)
            }
        case .replaced: keeper.replace()
        }
    }

    private func note(_ write: @escaping @Sendable () throws(SystemError) -> Void) async throws(Refusal) {
        do throws(SystemError) {
            try await BlockingCall.run(write)
        } catch {
            throw Refusal(.failed, "the state of the edge could not be kept", details: "\(error)")
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
