import Glibc
import Logging
import RoostAnycast
import RoostEdge
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

/// The edge of a host: the proxy, its routes, and the announcement that depends on the proxy's health.
final class EdgeAssembly: Sendable {
    private let edge: EdgeService
    private let announcer: BirdAnnouncer
    private let routing: EdgeRouting
    /// What is to be announced while the proxy is well.
    private let wanted = Mutex(EdgeHealth.healthy)
    private let file: String

    /// From "take another edge if there is one" to withdrawing: the neighbours have chosen the next edge, and told
    /// theirs, while what was on its way here still arrives (RFC 8326).
    private static let drainTime = Duration.seconds(1)

    init(
        _ configuration: HostConfiguration, _ settings: HostConfiguration.EdgeSettings, watcher: PlanetWatcher,
        mesh: WireGuardMesh
    ) throws {
        let edge = EdgeService(logger: Logger(label: "roost.edge"))
        self.edge = edge
        Self.reusePorts(Logger(label: "roost.edge"))
        routing = EdgeRouting(watcher: watcher, mesh: mesh, host: configuration.host) { edge.update($0) }
        announcer = try BirdAnnouncer(
            configuration: AnycastConfiguration(
                prefixes: configuration.anycastPrefixes, localAS: settings.localAS, routerID: settings.routerID,
                uplinks: settings.uplinks, importsRoutes: settings.importsRoutes,
                sourceAddress: settings.importsRoutes ? settings.routerID : nil,
                directory: configuration.runFolder + "/anycast"),
            logger: Logger(label: "roost.anycast"))
        // A stopped edge stays stopped over a restart: whoever stopped it said so.
        file = configuration.stateFolder + "/edge-stopped"
        if (try? DurableFile.read(file)) != nil {
            wanted.withLock { $0 = .down }
            edge.setAccepting(false)
        }
    }

    var services: [any Service] {
        [edge, routing, announcer, EdgeHealthLoop(edge: edge, announcer: announcer) { self.wanted.withLock { $0 } }]
    }

    /// What the proxy has done, as numbers.
    func samples() -> [MetricSample] {
        let stats = edge.stats()
        return [
            MetricSample(.edgeSessions, Double(stats.relaying), "relaying"),
            MetricSample(.edgeSessions, Double(stats.held), "held"),
            MetricSample(.edgeSessions, Double(max(0, stats.sessions - stats.relaying - stats.held)), "other"),
            MetricSample(.edgeAccepted, Double(stats.accepted)),
            MetricSample(.edgeEstablished, Double(stats.established)),
            MetricSample(.edgeRefused, Double(stats.refused)), MetricSample(.edgeCut, Double(stats.cut)),
            MetricSample(.edgeAttemptsFailed, Double(stats.attemptsFailed)),
            MetricSample(.edgeShortages, Double(stats.shortages)),
            MetricSample(.edgeListenersMissing, Double(max(0, stats.listenersWanted - stats.listenersOpen))),
        ]
    }

    /// Stopping drains, withdraws and then closes the door, in this order. One that is stopped already stays so.
    ///
    /// Nothing changes where it could not be written down: an edge that was stopped must not come back by itself.
    func set(_ state: EdgeRequest.State) async throws(Refusal) {
        switch state {
        case .stopped:
            try note { try DurableFile.write("stopped\n", to: file) }
            let isStopped = wanted.withLock { wanted in
                if wanted == .healthy { wanted = .draining }
                return wanted == .down
            }
            if isStopped { return }
            await announcer.report(.draining)
            try? await Task.sleep(for: Self.drainTime)
            // Somebody may have started it again meanwhile.
            let isOver = wanted.withLock { wanted in
                if wanted == .draining { wanted = .down }
                return wanted == .down
            }
            guard isOver else { return }
            await announcer.report(.down)
            edge.setAccepting(false)
        case .started:
            try note { try DurableFile.remove(file) }
            wanted.withLock { $0 = .healthy }
            edge.setAccepting(true)
        }
    }

    private func note(_ write: () throws -> Void) throws(Refusal) {
        do {
            try write()
        } catch {
            throw Refusal(.failed, "the state of the edge could not be kept: \(error)")
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

/// Tells the announcer ten times a second how the proxy is, by local facts only: that it accepts, and that its loops
/// turn. What the store says is no reason to withdraw.
struct EdgeHealthLoop: Service {
    let edge: EdgeService
    let announcer: BirdAnnouncer
    /// What to announce of a proxy that is well.
    let wanted: @Sendable () -> EdgeHealth

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                let wanted = wanted()
                let isWell = wanted == .down ? false : await edge.health()
                await announcer.report(isWell ? self.wanted() : .down)
                try? await Task.sleep(for: BirdAnnouncer.heartbeatInterval)
            }
        }
    }
}
