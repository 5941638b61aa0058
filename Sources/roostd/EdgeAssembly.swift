import Logging
import RoostAgent
import RoostAnycast
import RoostBalancing
import RoostEdge
import RoostLinux
import RoostMesh
import RoostModel
import RoostWire
import ServiceLifecycle
import Synchronization

/// The edge of a host: the proxy, its routes, and the announcement that depends on the proxy's health.
final class EdgeAssembly: Sendable {
    private let edge: EdgeService
    private let announcer: BirdAnnouncer
    private let routing: EdgeRouting
    private let wanted = Mutex(EdgeRequest.State.started)
    private let file: String

    init(
        _ configuration: HostConfiguration, _ settings: HostConfiguration.EdgeSettings, watcher: PlanetWatcher,
        mesh: WireGuardMesh
    ) throws {
        let edge = EdgeService(logger: Logger(label: "roost.edge"))
        self.edge = edge
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
            wanted.withLock { $0 = .stopped }
            edge.setAccepting(false)
        }
    }

    var services: [any Service] {
        [edge, routing, announcer, EdgeHealthLoop(edge: edge, announcer: announcer) { self.wanted.withLock { $0 } }]
    }

    /// Stopping withdraws first and then closes the door: what was on its way here still finds it open.
    func set(_ state: EdgeRequest.State) async {
        wanted.withLock { $0 = state }
        switch state {
        case .stopped:
            try? DurableFile.write("stopped\n", to: file)
            await announcer.report(.down)
            edge.setAccepting(false)
        case .started:
            try? DurableFile.remove(file)
            edge.setAccepting(true)
        }
    }
}

/// Tells the announcer ten times a second how the proxy is, by local facts only: that it accepts, and that its loops
/// turn. What the store says is no reason to withdraw.
struct EdgeHealthLoop: Service {
    let edge: EdgeService
    let announcer: BirdAnnouncer
    let wanted: @Sendable () -> EdgeRequest.State

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                let isHealthy = wanted() == .started ? await edge.health() : false
                await announcer.report(isHealthy ? .healthy : .down)
                try? await Task.sleep(for: BirdAnnouncer.heartbeatInterval)
            }
        }
    }
}
