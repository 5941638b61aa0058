import Foundation
import Logging
import RoostAPI
import RoostClient
import RoostControl
import RoostHost
import RoostLinux
import RoostMesh
import RoostModel
import RoostPlanet
import RoostPostgresControl
import RoostStore
import RoostTelemetry
import Synchronization

@testable import RoostRoutes

/// Hosts in one process over one store, each with its API on a socket: real agents and routes, machines in memory.
struct PlanetUnderTest: Sendable {
    let hosts: [HostName: HostUnderTest]
    let store: any Store
    /// By this the store goes away and comes back.
    let leave: LeavingStore.Leave
    private let hearing = Hearing()
    static let token = "0123456789abcdef-planet"

    subscript(_ name: String) -> HostUnderTest {
        get throws {
            guard let host = hosts[try HostName(name)] else { throw InvalidValue(kind: "host", value: name, rule: "") }
            return host
        }
    }

    /// Runs the hosts for the time of the body.
    ///
    /// - Parameters:
    ///   - deaf: hosts that hear of the others when they start, and of nothing that happens later.
    ///   - apps: are there before any host starts.
    ///   - edges: hosts that have one.
    static func run(
        _ names: [String] = ["ams1"], deaf: [String] = [], apps: [String] = [], edges: [String] = [],
        registry: MetricsRegistry = MetricsRegistry(),
        _ body: @Sendable (PlanetUnderTest) async throws -> Void
    ) async throws {
        // Nothing here is about what a disk has flushed.
        let memory = "/dev/shm/"
        let place = access(memory, W_OK | X_OK) == 0 ? memory : NSTemporaryDirectory()
        let folder = place + "roost-routes-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let lag = WatchLag()
        let leave = LeavingStore.Leave()
        let base = LeavingStore(base: try SQLiteStore(path: folder + "/store.sqlite", logger: quiet), leave: leave)
        let store = MeasuredStore(base, lag: lag)
        let names = try names.map { try HostName($0) }
        for app in apps { _ = try await AppDirectory(store: store).create(try AppName(app), network: nil) }
        let deaf = Set(try deaf.map { try HostName($0) })
        var hosts: [HostName: HostUnderTest] = [:]
        for name in names {
            hosts[name] = try HostUnderTest(
                name, among: names, in: folder, store: store, lag: lag, registry: registry,
                edge: edges.contains(name.text) ? FakeEdge() : nil, logger: quiet)
        }
        let planet = PlanetUnderTest(hosts: hosts, store: store, leave: leave)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for host in hosts.values {
                group.addTask { await host.agent.run() }
                group.addTask {
                    try await Publisher(agent: host.agent, store: store, watcher: host.watcher, logger: quiet).run()
                }
                group.addTask { await host.server(quiet).keepServing() }
                group.addTask {
                    try await MachineNameRelease(names: host.names, agent: host.agent, logger: quiet).run()
                }
                if !deaf.contains(host.name) { planet.hearing.begin(host) }
            }
            defer {
                group.cancelAll()
                planet.hearing.endAll()
            }
            for host in hosts.values where deaf.contains(host.name) {
                try await withThrowingTaskGroup(of: Void.self) { hearing in
                    hearing.addTask { try await host.watcher.run() }
                    _ = try await poll(for: .seconds(10)) {
                        host.watcher.isLive && host.watcher.planet.hosts.count == names.count ? true : nil
                    }
                    hearing.cancelAll()
                }
            }
            for host in hosts.values {
                _ = try await poll(for: .seconds(10)) {
                    access(host.socket, F_OK) == 0 && host.watcher.planet.hosts.count == names.count ? true : nil
                }
            }
            try await body(planet)
        }
    }
}

extension PlanetUnderTest {
    /// From now on the host hears of nothing that happens elsewhere.
    func deafen(_ name: String) async throws { await hearing.end(try HostName(name)) }

    /// Who follows the store.
    private final class Hearing: Sendable {
        private let tasks = Mutex<[HostName: Task<Void, Never>]>([:])

        func begin(_ host: HostUnderTest) {
            let task = Task { await Self.follow(host) }
            tasks.withLock { $0[host.name] = task }
        }

        func end(_ name: HostName) async {
            guard let task = tasks.withLock({ $0.removeValue(forKey: name) }) else { return }
            task.cancel()
            await task.value
        }

        func endAll() { for task in tasks.withLock({ Array($0.values) }) { task.cancel() } }

        private static func follow(_ host: HostUnderTest) async { try? await host.watcher.run() }
    }
}

struct HostUnderTest: Sendable {
    let name: HostName
    let runtime = FakeRuntime()
    let mesh: FakeMesh
    let agent: HostAgent
    let watcher: PlanetWatcher
    let view: PlanetView
    let names: MachineNames
    let socket: String
    let edge: FakeEdge?
    let clusters: ClusterDirectory
    let groups: [any RouteGroup]

    init(
        _ name: HostName, among all: [HostName], in folder: String, store: any Store, lag: WatchLag,
        registry: MetricsRegistry, edge: FakeEdge? = nil, logger: Logger
    ) throws {
        self.name = name
        self.edge = edge
        let own = folder + "/" + name.text
        socket = own + ".sock"
        try FileManager.default.createDirectory(atPath: own, withIntermediateDirectories: true)
        let configuration = HostConfiguration(
            host: name, region: try RegionCode(String(name.text.prefix(3))), stateFolder: own, runFolder: own + "/run",
            capacity: HostCapacity(cpus: 4, memory: .mebibytes(2048), disk: .gibibytes(10)), cgroupParent: "/test",
            imageFolder: own, ownerImages: [.postgres: "oci:/nowhere:17"], store: .sqlite,
            mesh: .init(
                interface: "roost0", listenPort: 1, endpoint: "198.18.0.1:51820", probePort: 1, mtu: 1420, seeds: []),
            api: .init(tcpPort: 4280, tokenFile: own + "/token"), anycastPrefixes: [],
            edge: try edge.map { _ in
                .init(localAS: 64512, routerID: try IPv4Address("198.18.0.1"), uplinks: [], importsRoutes: false)
            })
        let identity = MeshIdentity(
            publicKey: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", endpoint: "198.18.0.1:51820", probePort: 51821,
            address: MeshAddress.host(name))
        mesh = FakeMesh(identity: identity, others: all.filter { $0 != name })
        agent = try HostAgent(
            configuration: configuration, runtime: runtime, volumes: FakeVolumes(), mesh: mesh, identity: identity,
            gatedPorts: [.postgres: [5432]], logger: logger)
        watcher = PlanetWatcher(store: store, stateFolder: own, logger: logger, lag: lag)
        let apps = AppDirectory(store: store)
        let peers = SocketPeers(folder: folder, credential: PlanetToken(PlanetUnderTest.token).credential(of: name))
        view = PlanetView(
            agent: agent, watcher: watcher, peers: peers,
            reachability: Reachability(mesh: mesh, host: name, region: configuration.region), apps: apps)
        let dispatch = PlanetDispatch(agent: agent, peers: peers)
        names = MachineNames(store: store, agent: agent, peers: peers) { [watcher] name, app in
            watcher.read { $0.machines(named: name, of: app) }
        }
        clusters = ClusterDirectory(
            store: store, prefixes: [try IPv4Prefix("203.0.113.0/24")], keepsSecretsApart: { true }
        ) { _, _ in
            ClusterSecrets(
                ownerPassword: "o", replicationPassword: "r", authorityCertificate: "a", serverCertificate: "c",
                serverKey: "k")
        }
        let orders = Self.orders(to: edge, of: agent, view)
        let hearing = ClusterHearing(watcher: watcher)
        let remains = ClusterLeftovers(view: view, clusters: clusters, hearing: hearing)
        groups = [
            AppRoutes(view: view, apps: apps),
            MachineRoutes(view: view, dispatch: dispatch, names: names, remains: remains),
            MachineQuestionRoutes(view: view), VolumeRoutes(view: view, dispatch: dispatch, remains: remains),
            PlatformRoutes(view: view, edge: orders), HostRoutes(view: view, edge: orders),
            OperationRoutes(view: view, operations: OperationDirectory(store: store)),
            ClusterRoutes(view: view, clusters: clusters, hearing: hearing),
            ClusterPeerRoutes(view: view, clusters: clusters, hearing: hearing, news: LeaderNews()),
            MembersRoutes(view: view, clusters: clusters),
            MetricsRoutes(
                registry: registry,
                sources: [
                    { [agent] in await agent.samples() },
                    { [watcher] in [MetricSample(.storeLive, watcher.isLive ? 1 : 0)] },
                ]),
        ]
    }

    private static func orders(to edge: FakeEdge?, of agent: HostAgent, _ view: PlanetView) -> EdgeOrders {
        EdgeOrders(view: view) {
            edge?.isServing ?? false
        } isReliedOn: {
            edge?.isReliedOn ?? false
        } set: { state throws(Refusal) in
            guard let edge else { throw Refusal(.failedPrecondition, "no edge") }
            await edge.set(state)
            await agent.setEdgeStopped(!edge.isServing)
        }
    }

    /// Everybody calls at the same socket, with a token or a credential.
    func server(_ logger: Logger) -> APIServer {
        APIServer(
            APIDoor(
                .socket(path: socket), for: .credentials(PlanetToken(PlanetUnderTest.token)) { _ in "nowhere" },
                limits: .planet), groups, bounds: CallBounds(), logger: logger)
    }

    /// One call, as bytes, with Fly.io's kind of token.
    func call(
        _ line: String, _ body: String? = nil, headers: [(name: String, value: String)] = []
    ) async throws -> Reply {
        let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
        guard let method = APIMethod(rawValue: parts[0]) else {
            throw InvalidValue(kind: "method", value: line, rule: "")
        }
        var headers = headers
        if !headers.contains(where: { $0.name == "authorization" }) {
            headers.append((name: "authorization", value: "FlyV1 fm2_other,\(PlanetUnderTest.token)"))
        }
        let response = try await RoostAPIClient(.socket(path: socket)).execute(
            APIRequest(method, parts[1], headers: headers, body: body.map { Data($0.utf8) }, timeout: .seconds(60)))
        return Reply(response: response)
    }
}

struct Reply {
    let response: APIResponse
    var status: Int { response.status }
    var text: String { String(decoding: response.body, as: UTF8.self) }
    var object: [String: Any] { (try? JSONSerialization.jsonObject(with: response.body)) as? [String: Any] ?? [:] }
    var list: [[String: Any]] { (try? JSONSerialization.jsonObject(with: response.body)) as? [[String: Any]] ?? [] }
    func string(_ name: String) -> String { object[name] as? String ?? "" }
}

/// The other hosts, by their sockets.
struct SocketPeers: Peers {
    let folder: String
    let credential: String

    func ask(_ question: PeerQuestion, of host: HostName) async throws(Refusal) -> PeerReply {
        guard let method = APIMethod(rawValue: question.method) else { throw Refusal(.invalid, question.method) }
        var headers = [(name: "authorization", value: credential)]
        if let origin = question.onBehalfOf { headers.append((name: "roost-on-behalf-of", value: origin)) }
        do {
            let response = try await RoostAPIClient(.socket(path: folder + "/\(host).sock")).execute(
                APIRequest(
                    method, question.target, headers: headers, body: question.body, timeout: question.timeout))
            return PeerReply(
                status: response.status, contentType: response.header("content-type"), body: response.body)
        } catch {
            throw Refusal(.unavailable, "\(error)")
        }
    }
}
