import Foundation
import Logging
import RoostAPI
import RoostAnycast
import RoostCertificates
import RoostContainers
import RoostControl
import RoostEdge
import RoostHost
import RoostImages
import RoostLinux
import RoostMesh
import RoostModel
import RoostPlanet
import RoostPostgresControl
import RoostStore
import RoostVolumes
import ServiceLifecycle
import UnixSignals

/// Puts the rooms together on one host.
///
/// The mesh comes first, since the store is reached over it; then the agent takes over what runs, also while the
/// store is away; then everything that feeds on the store.
struct HostAssembly {
    let configuration: HostConfiguration

    static let shutdownMax = Duration.seconds(20)

    func run() async throws {
        try DurableFile.makeFolder(configuration.stateFolder, mode: 0o700)
        try DurableFile.makeFolder(configuration.runFolder)
        let token = try readToken()
        let mesh = try makeMesh()
        let identity = try await mesh.start()
        let store = try makeStore()
        let agent = try await makeAgent(mesh: mesh, identity: identity)
        let watcher = PlanetWatcher(
            store: store, stateFolder: configuration.stateFolder, logger: Logger(label: "roost.planet"))
        let clusters = ClusterDirectory(store: store, prefixes: configuration.anycastPrefixes) {
            try await Self.makeSecrets(cluster: $0, address: $1)
        }
        let edge = try configuration.edge.map { try EdgeAssembly(configuration, $0, watcher: watcher, mesh: mesh) }
        let host = configuration.host
        let api = PlanetAPI(
            agent: agent, watcher: watcher, store: store, mesh: mesh, clusters: clusters, token: token
        ) { state throws(Refusal) in
            guard let edge else { throw Refusal(.failedPrecondition, "host \(host) is not an edge") }
            await edge.set(state)
        }
        let warden = LeaseWarden(agent: agent, logger: Logger(label: "roost.lease"))
        let duty = DutyHolder("clusters", for: host, in: store, logger: Logger(label: "roost.duty"))
        let members = MemberAPI(agent: agent, watcher: watcher, store: store, warden: warden)
        var services: [any Service] = [
            mesh, AgentService(agent: agent), watcher,
            Publisher(agent: agent, store: store, watcher: watcher, logger: Logger(label: "roost.publisher")),
            MeshKeeper(
                host: host, seeds: configuration.mesh.seeds, watcher: watcher, mesh: mesh,
                logger: Logger(label: "roost.mesh")),
            warden, MemberSockets(agent: agent, api: members, logger: Logger(label: "roost.member")),
            DutyService(duty: duty),
            PlanRunner(
                ClusterReconciler(
                    store: store, dispatch: api.dispatch, clusters: clusters, logger: Logger(label: "roost.clusters")),
                watcher: watcher, fence: { duty.fence }, reachable: { await mesh.reachableHosts(from: host) },
                logger: Logger(label: "roost.clusters")),
            APIServer(api: api, token: token, logger: Logger(label: "roost.api")),
        ]
        if let edge { services += edge.services }
        var group = ServiceGroupConfiguration(
            services: services.map { .init(service: $0) }, gracefulShutdownSignals: [.sigterm, .sigint],
            logger: Logger(label: "roost"))
        group.maximumGracefulShutdownDuration = Self.shutdownMax
        try await ServiceGroup(configuration: group).run()
    }

    private func readToken() throws -> String {
        let path = configuration.api.tokenFile
        let bytes = try DurableFile.read(path) ?? []
        let token = String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        guard token.utf8.count >= 16 else {
            throw ConfigurationError(
                path: path,
                what: "must hold the planet's token, at least 16 characters; make one with 'openssl rand -hex 32'")
        }
        return token
    }

    private func makeMesh() throws -> WireGuardMesh {
        let settings = configuration.mesh
        return WireGuardMesh(
            configuration: MeshConfiguration(
                host: configuration.host, interface: settings.interface, listenPort: settings.listenPort,
                endpoint: try UnderlayEndpoint(settings.endpoint), probePort: settings.probePort, mtu: settings.mtu,
                stateDirectory: configuration.stateFolder, runDirectory: configuration.runFolder,
                seeds: settings.seeds.filter { $0.host != configuration.host }
                    .map { MeshPeer(host: $0.host, identity: $0.identity, machines: []) }))
    }

    private func makeStore() throws -> any Store {
        switch configuration.store {
        case .sqlite:
            try SQLiteStore(path: configuration.stateFolder + "/store.sqlite", logger: Logger(label: "roost.store"))
        case .etcd(let endpoints, _):
            EtcdStore(endpoints: endpoints, logger: Logger(label: "roost.store"))
        }
    }

    private func makeAgent(mesh: WireGuardMesh, identity: MeshIdentity) async throws -> HostAgent {
        let images = OCIImageStore(directory: configuration.imageFolder)
        let runFolder = configuration.runFolder + "/runtime"
        let runtime = try OCIRuntime(
            configuration: .init(
                stateFolder: configuration.stateFolder + "/machines", runFolder: runFolder,
                cgroupParent: configuration.cgroupParent, runtimeProgram: try await runtimeProgram(in: runFolder)),
            images: images)
        let volumes = LoopVolumes(
            pool: configuration.stateFolder + "/volumes", mountRoot: configuration.runFolder + "/volumes")
        return try HostAgent(
            configuration: configuration, runtime: runtime, volumes: volumes, mesh: mesh,
            identity: identity, gatedPorts: [.postgres: [ClusterPorts.write]],
            logger: Logger(label: "roost.agent"))
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
            superuserPassword: password(), replicationPassword: password(),
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
