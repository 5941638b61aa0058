import Foundation
import Glibc
import Logging
import RoostAPI
import RoostAnycast
import RoostCertificates
import RoostContainers
import RoostControl
import RoostHost
import RoostImages
import RoostLinux
import RoostMesh
import RoostModel
import RoostPeers
import RoostPlanet
import RoostPostgresControl
import RoostRoutes
import RoostSettings
import RoostStore
import RoostTelemetry
import RoostVolumes
import RoostWire
import ServiceLifecycle
import UnixSignals

/// Puts the rooms together on one host.
///
/// The mesh comes first, since the store is reached over it; then the agent takes over what runs, also while the
/// store is away; then everything that feeds on the store.
struct HostAssembly {
    let configuration: HostConfiguration
    let registry: MetricsRegistry
    /// For the edge, which speaks to the same standard error.
    let logLevel: Logger.Level
    let logFormat: LogFormat

    static let shutdownMax = Duration.seconds(20)

    func run() async throws {
        OpenFiles.raiseLimit()
        try makeFolders()
        let logger = Logger(label: "roost")
        sayWhatStarts(logger)
        let token = try PlanetToken.read(from: configuration.api.tokenFile)
        let mesh = try makeMesh()
        let identity = try await mesh.start()
        let lag = WatchLag()
        let opened = try makeStore()
        let store = MeasuredStore(opened, lag: lag)
        let (agent, imageKeeper) = try await makeAgent(mesh: mesh, identity: identity)
        let watcher = PlanetWatcher(
            store: store, stateFolder: configuration.stateFolder,
            following: configuration.edge == nil ? [] : ClusterInterest.ofEdges, logger: Logger(label: "roost.planet"),
            lag: lag)
        let (hearing, news) = (ClusterHearing(watcher: watcher), LeaderNews())
        let edge = try await makeEdge(watcher: watcher, hearing: hearing, news: news, mesh: mesh, agent: agent)
        await agent.setEdgeStopped(edge?.isStopped ?? false)
        let host = configuration.host
        let peers = PeerClient(port: configuration.api.tcpPort, credential: token.credential(of: host))
        let dispatch = PlanetDispatch(agent: agent, peers: peers)
        let apps = AppDirectory(store: store) { watcher.networks(of: $0) }
        let view = PlanetView(
            agent: agent, watcher: watcher, peers: peers,
            reachability: Reachability(mesh: mesh, host: host, region: configuration.region), apps: apps)
        let clusters = clusterDirectory(store: store, watcher: watcher).hearing(hearing, in: view)
        let names = MachineNames(store: store, agent: agent, peers: peers) { name, app in
            watcher.read { $0.machines(named: name, of: app) }
        }
        let bounds = CallBounds()
        let warden = LeaseWarden(
            file: configuration.stateFolder + "/leases.json", logger: Logger(label: "roost.lease"),
            began: { await agent.began($0) }, kill: { try await agent.kill($0, because: "its lease ran out") })
        let telling = LeaderTelling(
            watcher: watcher, peers: peers, host: host, news: news, logger: Logger(label: "roost.leader"))
        let duty = DutyHolder("clusters", for: host, in: store, logger: Logger(label: "roost.duty"))
        var services: [any Service] = [
            mesh, AgentService(agent: agent), imageKeeper, watcher,
            Publisher(agent: agent, store: store, watcher: watcher, logger: Logger(label: "roost.publisher")),
            MeshKeeper(
                host: host, seeds: configuration.mesh.seeds, watcher: watcher, mesh: mesh,
                logger: Logger(label: "roost.mesh")),
            warden, hearing, telling,
            MemberSockets(
                agent: agent, watcher: watcher, store: store, warden: warden, telling: telling, bounds: bounds,
                logger: Logger(label: "roost.member")),
            ClusterInterest(agent: agent, watcher: watcher, isEdge: configuration.edge != nil) { duty.isHeld },
            MachineNameRelease(names: names, agent: agent, logger: Logger(label: "roost.names")),
        ]
        services += work(
            on: clusters, in: store, by: dispatch, watcher: watcher, hearing: hearing, duty: duty,
            distances: { await view.distances(from: $0) }, reachable: { await mesh.reachableHosts(from: host) })
        let orders = Self.orders(to: edge, of: agent, view)
        let remains = ClusterLeftovers(view: view, clusters: clusters, hearing: hearing)
        services += doors(
            for: Self.routes(to: clusters, hearing: hearing, news: news, view) + [
                AppRoutes(view: view, apps: apps),
                MachineRoutes(view: view, dispatch: dispatch, names: names, remains: remains),
                MachineQuestionRoutes(view: view), VolumeRoutes(view: view, dispatch: dispatch, remains: remains),
                PlatformRoutes(view: view, edge: orders), HostRoutes(view: view, edge: orders),
                OperationRoutes(view: view, operations: OperationDirectory(store: store)),
                metrics(view, edge: edge, duty: duty),
            ], token: token, bounds: bounds)
        if let edge { services += edge.services }
        try await Self.live(by: services, logger)
        (opened as? SQLiteStore)?.foldLog()
        logger.info("ends; machines go on", metadata: ["host": "\(host)"])
    }

    /// Until it is told to end.
    private static func live(by services: [any Service], _ logger: Logger) async throws {
        var group = ServiceGroupConfiguration(
            services: services.map { .init(service: $0) }, gracefulShutdownSignals: [.sigterm, .sigint],
            logger: logger)
        group.maximumGracefulShutdownDuration = shutdownMax
        try await ServiceGroup(configuration: group).run()
    }

    private static func routes(
        to clusters: ClusterDirectory, hearing: ClusterHearing, news: LeaderNews, _ view: PlanetView
    ) -> [any RouteGroup] {
        [
            ClusterRoutes(view: view, clusters: clusters, hearing: hearing),
            MembersRoutes(view: view, clusters: clusters),
            ClusterPeerRoutes(view: view, clusters: clusters, hearing: hearing, news: news),
        ]
    }

    /// Whoever made them before us may have left them open to everybody.
    private func makeFolders() throws(SystemError) {
        try DurableFile.makePrivateFolder(configuration.stateFolder, mode: 0o700)
        try DurableFile.makePrivateFolder(configuration.runFolder, mode: 0o711)
    }

    private static func orders(to edge: EdgeAssembly?, of agent: HostAgent, _ view: PlanetView) -> EdgeOrders {
        EdgeOrders(view: view) {
            edge.map { !$0.isStopped } ?? false
        } isReliedOn: {
            edge?.isReliedOn ?? false
        } set: { state throws(Refusal) in
            try await set(edge, to: state, of: agent)
        }
    }

    private static func set(_ edge: EdgeAssembly?, to state: EdgeRequest.State, of agent: HostAgent)
        async throws(Refusal)
    {
        guard let edge else {
            throw Refusal(.failedPrecondition, "host \(agent.configuration.host) is not an edge")
        }
        try await edge.set(state)
        await agent.setEdgeStopped(edge.isStopped)
    }

    private func sayWhatStarts(_ logger: Logger) {
        logger.info(
            "starts",
            metadata: [
                "version": "\(Release.version)", "host": "\(configuration.host)", "region": "\(configuration.region)",
            ])
    }

    /// What one host of the planet does at a time.
    private func work(
        on clusters: ClusterDirectory, in store: any Store, by dispatch: PlanetDispatch, watcher: PlanetWatcher,
        hearing: ClusterHearing, duty: DutyHolder,
        distances: @escaping @Sendable (RegionCode) async -> [RegionCode: Duration],
        reachable: @escaping @Sendable () async -> Set<HostName>
    ) -> [any Service] {
        let operations = OperationDirectory(store: store)
        let services: [any Service] = [
            DutyService(duty: duty),
            OperationKeeper(
                operations: operations, judges: [ClusterOperations(hearing: hearing)], watcher: watcher,
                fence: { duty.fence }, logger: Logger(label: "roost.operations")),
            PlanRunner(
                ClusterReconciler(
                    store: store, dispatch: dispatch, clusters: clusters,
                    replacing: ReplacementDesk(voices: { hearing.voices(of: $0) }),
                    silent: { hearing.silentMembers(of: $0) }, distances: distances,
                    logger: Logger(label: "roost.clusters")),
                watcher: watcher, operations: operations, fence: { duty.fence }, reachable: reachable,
                logger: Logger(label: "roost.clusters")),
        ]
        return services + secretsServices(store: store, watcher: watcher)
    }

    /// What is looked at when somebody asks, beside what is counted along the way.
    private func metrics(_ view: PlanetView, edge: EdgeAssembly?, duty: DutyHolder) -> MetricsRoutes {
        let host = configuration.host
        let fixed = [
            MetricSample(.buildInfo, 1, Release.version, host.text, configuration.region.text),
            MetricSample(.startTime, (Date().timeIntervalSince1970 * 1000).rounded() / 1000),
        ]
        return MetricsRoutes(
            registry: registry,
            sources: [
                { fixed }, { await view.agent.samples() }, { await view.reachability.samples() },
                { [MetricSample(.storeLive, view.watcher.isLive ? 1 : 0)] },
                { [MetricSample(.dutyHeld, duty.isHeld ? 1 : 0, "clusters")] },
                { view.watcher.read { MemberSamples.of($0, on: host) } }, { edge?.samples() ?? [] },
            ])
    }

    private func clusterDirectory(store: any Store, watcher: PlanetWatcher) -> ClusterDirectory {
        ClusterDirectory(
            store: store, prefixes: configuration.anycastPrefixes,
            keepsSecretsApart: { [host = configuration.host] in SecretsMover.keepsApart(on: host, in: watcher) },
            networks: { watcher.networks(of: $0) },
            published: { app in watcher.read { $0.members(of: app) } },
            makeSecrets: { try await Self.makeSecrets(cluster: $0, address: $1) })
    }

    /// Programs that know one place of secrets only do not know this duty.
    private func secretsServices(store: any Store, watcher: PlanetWatcher) -> [any Service] {
        let host = configuration.host
        let duty = DutyHolder("secrets", for: host, in: store, logger: Logger(label: "roost.duty"))
        let mover = SecretsMover(
            host: host, store: store, watcher: watcher, fence: { duty.fence }, logger: Logger(label: "roost.secrets"))
        return [DutyService(duty: duty), mover]
    }

    /// The API for users and hosts: a Unix socket for root on this host, and TCP on the mesh address.
    private func doors(for groups: [any RouteGroup], token: PlanetToken, bounds: CallBounds) -> [any Service] {
        let logger = Logger(label: "roost.api")
        let host = configuration.host
        let address = MeshAddress.host(host).description
        let socket = APIDoor(.socket(path: configuration.apiSocket), for: .root, limits: .planet, of: host)
        let tcp = APIDoor(
            .tcp(host: address, port: Int(configuration.api.tcpPort)),
            for: .credentials(token) { MeshAddress.host($0).description }, limits: .planet, of: host)
        return [socket, tcp].map { APIServer($0, groups, bounds: bounds, logger: logger) }
    }

    /// What an edge serves to the world. The rules are there before the prefixes are this host's own.
    private var edgeAddresses: AnycastAddresses? {
        guard configuration.edge != nil, !configuration.anycastPrefixes.isEmpty else { return nil }
        return AnycastAddresses(
            prefixes: configuration.anycastPrefixes, ports: [ClusterPorts.write, ClusterPorts.read])
    }

    /// Nil on a host that is no edge; what an edge has left behind there ends.
    private func makeEdge(
        watcher: PlanetWatcher, hearing: ClusterHearing, news: LeaderNews, mesh: WireGuardMesh, agent: HostAgent
    ) async throws -> EdgeAssembly? {
        guard let settings = configuration.edge else {
            await EdgeAssembly.end(configuration)
            return nil
        }
        return try EdgeAssembly(
            configuration, settings, watcher: watcher, hearing: hearing, news: news, mesh: mesh, agent: agent,
            logLevel: logLevel, logFormat: logFormat)
    }

    private func makeMesh() throws -> WireGuardMesh {
        let settings = configuration.mesh
        return WireGuardMesh(
            configuration: MeshConfiguration(
                host: configuration.host, interface: settings.interface, listenPort: settings.listenPort,
                endpoint: try UnderlayEndpoint(settings.endpoint), probePort: settings.probePort, mtu: settings.mtu,
                stateDirectory: configuration.stateFolder, runDirectory: configuration.runFolder,
                seeds: settings.seeds.filter { $0.host != configuration.host }
                    .map { MeshPeer(host: $0.host, identity: $0.identity, machines: []) },
                anycast: edgeAddresses))
    }

    private func makeStore() throws -> any Store {
        switch configuration.store {
        case .sqlite:
            try SQLiteStore(path: configuration.stateFolder + "/store.sqlite", logger: Logger(label: "roost.store"))
        case .etcd(let endpoints, _):
            EtcdStore(endpoints: endpoints, logger: Logger(label: "roost.store"))
        }
    }

    private func makeImages() -> OCIImageStore {
        OCIImageStore(
            directory: configuration.imageFolder,
            folders: ImageFolders(
                allowed: configuration.allowedImageFolders,
                own: configuration.ownerImages.values.compactMap { ImageFolders.layout(of: $0) },
                forbidden: [configuration.stateFolder, configuration.runFolder]),
            limits: ImageLimits(above: configuration.disk.reserve),
            owner: "\(configuration.host) \(configuration.stateFolder)")
    }

    private func makeAgent(mesh: WireGuardMesh, identity: MeshIdentity) async throws -> (HostAgent, ImageKeeper) {
        let images = makeImages()
        let runFolder = configuration.runFolder + "/runtime"
        let runtime = try OCIRuntime(
            configuration: .init(
                stateFolder: configuration.stateFolder + "/machines", runFolder: runFolder,
                cgroupParent: configuration.cgroupParent, runtimeProgram: try await runtimeProgram(in: runFolder)),
            images: images)
        let volumes = LoopVolumes(
            pool: configuration.stateFolder + "/volumes", mountRoot: configuration.runFolder + "/volumes",
            reserve: configuration.disk.freeWanted)
        let agent = try HostAgent(
            configuration: configuration, runtime: runtime, volumes: volumes, mesh: mesh,
            identity: identity, gatedPorts: [.postgres: [ClusterPorts.write]],
            logger: Logger(label: "roost.agent"))
        return (agent, ImageKeeper(agent: agent, images: images, logger: Logger(label: "roost.images")))
    }

    /// The OCI runtime that works here. The choice is kept beside what it is good for: until the host starts anew, its
    /// machines are known to the program that started them.
    private func runtimeProgram(in runFolder: String) async throws -> String {
        let file = runFolder + "/program"
        let former = try DurableFile.read(file).map { String(decoding: $0, as: UTF8.self) }
        let probe = await RuntimeProbe.probe()
        guard let program = probe.choice(after: former) else {
            let reasons = probe.findings.map { "\($0.program): \($0.reason)" }.joined(separator: "; ")
            throw UnusableHost(what: "no OCI runtime works here: \(reasons). 'roost doctor' says what to install")
        }
        if program != former {
            try DurableFile.makeFolder(runFolder)
            try DurableFile.write(program, to: file)
        }
        return program
    }

    private static func makeSecrets(cluster: AppName, address: IPv4Address) async throws -> ClusterSecrets {
        let certificates = try await ClusterAuthority.make(cluster: cluster, address: address)
        return ClusterSecrets(
            ownerPassword: password(), replicationPassword: password(),
            authorityCertificate: certificates.authorityCertificate,
            serverCertificate: certificates.serverCertificate, serverKey: certificates.serverKey)
    }

    /// 143 bits, in letters that need no escaping in a URL.
    private static func password() -> String {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
        var random = SystemRandomNumberGenerator()
        return String((0..<24).map { _ in letters[Int.random(in: letters.indices, using: &random)] })
    }
}

struct AgentService: Service {
    let agent: HostAgent
    func run() async throws { await cancelWhenGracefulShutdown { await agent.run() } }
}

struct DutyService: Service {
    let duty: DutyHolder
    func run() async throws { await cancelWhenGracefulShutdown { await duty.run() } }
}

/// This computer lacks something without which it cannot be a host.
struct UnusableHost: Error, CustomStringConvertible {
    let what: String
    var description: String { what }
}
