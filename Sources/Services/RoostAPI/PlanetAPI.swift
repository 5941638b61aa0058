import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import RoostControl
public import RoostHost
import RoostLinux
public import RoostMesh
import RoostModel
public import RoostPlanet
public import RoostPostgresControl
public import RoostStore
import RoostWire

/// What the API stands on. Every host's API answers everything: reads from this host's copy of the planet, orders by
/// passing them to the host that owns the thing.
public struct PlanetAPI: Sendable {
    let agent: HostAgent
    let watcher: PlanetWatcher
    let store: any Store
    let mesh: any Mesh
    let apps: AppDirectory
    let clusters: ClusterDirectory
    let hearing: ClusterHearing
    let peers: PeerClient
    /// Starts or stops this host's edge; throws on a host that is none.
    let setEdge: @Sendable (EdgeRequest.State) async throws(Refusal) -> Void

    var configuration: HostConfiguration { agent.configuration }
    var host: HostName { agent.configuration.host }

    public init(
        agent: HostAgent, watcher: PlanetWatcher, store: any Store, mesh: any Mesh, clusters: ClusterDirectory,
        hearing: ClusterHearing, token: String,
        setEdge: @escaping @Sendable (EdgeRequest.State) async throws(Refusal) -> Void
    ) {
        self.agent = agent
        self.watcher = watcher
        self.store = store
        self.mesh = mesh
        self.clusters = clusters
        self.hearing = hearing
        self.setEdge = setEdge
        apps = AppDirectory(store: store)
        peers = PeerClient(
            port: agent.configuration.api.tcpPort, token: token, host: agent.configuration.host)
    }

    /// Carries orders to any host; the reconciler uses it too.
    public var dispatch: any HostDispatch { PlanetDispatch(agent: agent, peers: peers) }

    func router(token: String?) -> Router<BasicRequestContext> {
        let router = Router()
        router.add(middleware: ErrorBodies())
        if let token { router.add(middleware: BearerToken(token: token)) }
        let version = router.group("v1")
        addApps(to: version)
        addMachines(to: version)
        addVolumes(to: version)
        addPlatform(to: version)
        addPostgres(to: version)
        addInternal(to: version)
        return router
    }

    /// Passes a request on to the host that owns its thing, unchanged, unless it was passed on already.
    func forward(
        _ request: Request, body: Data? = nil, to owner: HostName, timeout: Duration = PeerClient.timeoutDefault
    )
        async throws(Refusal) -> Response
    {
        if let name = HTTPField.Name(PeerClient.forwardedHeader), let from = request.headers[name] {
            throw Refusal(
                .unavailable, "host \(from) believes that this is on host \(host), which does not have it; try again")
        }
        let query = request.uri.query.map { "?\($0)" } ?? ""
        let reply = try await peers.send(
            request.method.rawValue, request.uri.path + query, body: body, to: owner, timeout: timeout)
        var headers = HTTPFields()
        headers[.contentType] = reply.contentType
        return Response(
            status: .init(code: reply.status), headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: reply.body)))
    }

    /// The host that has the machine: this one's ledger first, then what others have published.
    func owner(of machine: MachineID) async -> HostName? {
        if await agent.machine(machine) != nil { return host }
        return watcher.planet.hosts.values.first { $0.host != host && $0.machines.contains { $0.id == machine } }?.host
    }

    func owner(of volume: VolumeID) async -> HostName? {
        if await agent.volume(volume) != nil { return host }
        return watcher.planet.hosts.values.first { $0.host != host && $0.volumes.contains { $0.id == volume } }?.host
    }

    /// How long a creation waits until this host's own copy of the planet shows what was made elsewhere.
    static let settleMax = Duration.seconds(5)

    /// Who made something here can ask for it here: the answer waits until the owner's new record has arrived. When
    /// it does not in time, the thing exists all the same.
    func settle(on owner: HostName, _ isThere: @escaping @Sendable (HostRecord) -> Bool) async {
        guard owner != host else { return }
        let changes = watcher.changes.subscribe()
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                func isSettled() -> Bool { watcher.planet.hosts[owner].map(isThere) ?? false }
                if isSettled() { return }
                for await _ in changes where isSettled() { return }
            }
            group.addTask { try? await Task.sleep(for: Self.settleMax) }
            await group.next()
            group.cancelAll()
        }
    }

    /// The app of the path. One that was made a moment ago may not have reached this host's copy yet: the store knows.
    func requireApp(_ context: some RequestContext) async throws(Refusal) -> AppRecord {
        let name: AppName = try RequestReader.id("app", context)
        if let app = watcher.planet.apps[name] { return app }
        guard let app = try await apps.find(name) else {
            throw Refusal(.notFound, "app \(name) not found")
        }
        return app
    }

    func refuseIfOwned(_ app: AppName) throws(Refusal) {
        if let owner = watcher.planet.apps[app]?.owner { throw AppDirectory.owned(app, by: owner) }
    }

    /// A region of the planet, by its name.
    func requireRegion(_ text: String) throws(Refusal) -> RegionCode {
        let region = try RequestReader.value(RegionCode.self, text)
        let known = Set(watcher.planet.hosts.values.map(\.region)).union([configuration.region])
        guard known.contains(region) else {
            throw Refusal(
                .invalid,
                "there is no region '\(region)'; there are: \(known.sorted().map(\.text).joined(separator: ", "))")
        }
        return region
    }

    /// All hosts' records, this one's fresh from its ledger.
    func hostRecords() async -> [HostRecord] {
        var hosts = watcher.planet.hosts
        hosts[host] = await agent.record()
        return hosts.values.sorted { $0.host < $1.host }
    }

    static func timeText(_ milliseconds: Int64) -> String {
        let date = Date(timeIntervalSince1970: Double(milliseconds) / 1000)
        return date.formatted(.iso8601)
    }
}

/// Fly's scheme: `Authorization: Bearer <token>`.
struct BearerToken<Context: RequestContext>: RouterMiddleware {
    let token: String

    @concurrent func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        let words = request.headers[.authorization]?.split(separator: " ", maxSplits: 1) ?? []
        guard words.count == 2, words[0].lowercased() == "bearer", Self.isEqual(String(words[1]), token) else {
            return Answer.error(.unauthorized, "a valid bearer token is needed: Authorization: Bearer TOKEN")
        }
        return try await next(request, context)
    }

    /// Takes the same time wherever the first difference is.
    private static func isEqual(_ left: String, _ right: String) -> Bool {
        let left = Array(left.utf8)
        let right = Array(right.utf8)
        var difference = left.count ^ right.count
        for index in right.indices { difference |= Int((index < left.count ? left[index] : 0) ^ right[index]) }
        return difference == 0
    }
}
