public import Logging
import RoostLinux
public import RoostModel
public import ServiceLifecycle
import Synchronization

/// The mesh by WireGuard, `ip` and nftables.
///
/// Everything it makes outlives this process and is found again by the next one: start, attach and set again what
/// should be, and what is already so stays untouched. Call ``start()`` first; ``run()`` then probes the peers and
/// repairs the interface when the process that holds it has died.
public final class WireGuardMesh: Mesh, Service {
    private let configuration: MeshConfiguration
    private let commands: HostCommands
    private let device: WireGuardDevice
    private let rules: MeshRules
    private let namespaces: MachineNamespaces
    private let prober: Prober
    private let logger: Logger

    private let deviceTurn = Turnstile()
    private let linksTurn = Turnstile()
    private let closedTurn = Turnstile()
    private let peers: Mutex<Peers>

    private struct Peers {
        /// Seeds, and the last that were set.
        var wanted: [MeshPeer]
        /// Somebody has said who the peers are. Until then those that a process before us has set go on.
        var isSet = false
        /// The endpoint each public key was last given.
        var told: [String: String] = [:]
    }

    /// How often ``run()`` looks whether the interface is still there.
    public static let repairInterval = Duration.seconds(3)

    public init(configuration: MeshConfiguration, logger: Logger = Logger(label: "roost.mesh")) {
        self.configuration = configuration
        self.logger = logger
        commands = HostCommands(networkNamespace: configuration.networkNamespace)
        device = WireGuardDevice(configuration: configuration, commands: commands)
        rules = MeshRules(interface: configuration.interface)
        namespaces = MachineNamespaces(configuration: configuration, commands: commands, rules: rules)
        prober = Prober(
            endpoint: UnderlayEndpoint(address: configuration.endpoint.address, port: configuration.probePort),
            namespace: configuration.networkNamespace, logger: logger)
        peers = Mutex(Peers(wanted: configuration.seeds))
    }

    public func start() async throws(MeshError) -> MeshIdentity {
        try configuration.validate()
        let publicKey = try MeshKey.ensure(stateDirectory: configuration.stateDirectory)
        try await deviceTurn.pass { () async throws(MeshError) in
            // Rules first: nothing is ever reachable without them.
            try await commands.nft("load rules", of: MeshRules.table, rules.base)
            try await device.bringUp()
            try await applyPeers()
        }
        return MeshIdentity(
            publicKey: publicKey, endpoint: configuration.endpoint.description, probePort: configuration.probePort,
            address: configuration.address)
    }

    public func setPeers(_ peers: [MeshPeer]) async throws(MeshError) {
        let named = Set(peers.map(\.host))
        let wanted = peers + configuration.seeds.filter { !named.contains($0.host) }
        for peer in wanted { try Self.validate(peer) }
        try await deviceTurn.pass { () async throws(MeshError) in
            self.peers.withLock { peers in
                peers.wanted = wanted.filter { $0.host != configuration.host }
                peers.isSet = true
            }
            try await applyPeers()
        }
    }

    /// The machine's address is a function of its id and network: attaching it again with another is not foreseen.
    public func attach(_ machine: MachineLink) async throws(MeshError) -> String {
        try await linksTurn.pass { () async throws(MeshError) in try await namespaces.attach(machine) }
    }

    public func detach(_ machine: MachineID) async throws(MeshError) {
        try await linksTurn.pass { () async throws(MeshError) in try await namespaces.detach(machine) }
    }

    public func attached() async throws(MeshError) -> [MachineID] {
        try namespaces.attached()
    }

    public func setClosedPorts(_ closed: [ClosedPort]) async throws(MeshError) {
        try await closedTurn.pass { () async throws(MeshError) in
            try await commands.nft("close ports", of: "\(closed.count) services", rules.close(closed))
        }
    }

    public func measurements() async -> [PathMeasurement] {
        prober.measurements()
    }

    /// Probes and repairs until the service is shut down. What is up stays up.
    public func run() async throws {
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask {
                    do throws(SystemError) { try await self.prober.run() } catch {
                        self.logger.error("no probes are sent", metadata: ["why": "\(error)"])
                    }
                }
                group.addTask { await self.keepUp() }
            }
        }
    }

    /// Takes away all that this host has of the mesh: machines' links and namespaces, the interface, the rules.
    public func remove() async throws(MeshError) {
        for machine in try namespaces.attached() { try await detach(machine) }
        try await deviceTurn.pass { () async throws(MeshError) in
            try await device.remove()
            // Declared first, so that deleting is no error when it is not there.
            try await commands.nft(
                "remove rules", of: MeshRules.table, "table \(MeshRules.table)\ndelete table \(MeshRules.table)\n")
        }
    }

    private func keepUp() async {
        while !Task.isCancelled {
            do { try await Task.sleep(for: Self.repairInterval) } catch { return }
            do throws(MeshError) {
                guard try await device.state() == nil, !Task.isCancelled else { continue }
                logger.warning("the mesh interface is gone and is made anew")
                _ = try await start()
            } catch {
                if !Task.isCancelled { logger.error("the mesh could not be repaired", metadata: ["why": "\(error)"]) }
            }
        }
    }

    /// To be called in turn. Without an interface there is nothing to do: ``start()`` comes back to it.
    private func applyPeers() async throws(MeshError) {
        let (wanted, told, isSet) = peers.withLock { ($0.wanted, $0.told, $0.isSet) }
        prober.setTargets(wanted.compactMap(Self.target))
        guard let state = try await device.state() else { return }
        try await device.apply(
            isSet ? PeerChanges(from: state, to: wanted, told: told) : PeerChanges(adding: wanted, to: state))
        let now = Dictionary(
            wanted.map { ($0.identity.publicKey, $0.identity.endpoint) }, uniquingKeysWith: { _, last in last })
        peers.withLock { $0.told = now }
    }

    private static func target(_ peer: MeshPeer) -> (host: HostName, endpoint: UnderlayEndpoint)? {
        guard let endpoint = try? UnderlayEndpoint(peer.identity.endpoint) else { return nil }
        return (peer.host, UnderlayEndpoint(address: endpoint.address, port: peer.identity.probePort))
    }

    private static func validate(_ peer: MeshPeer) throws(MeshError) {
        do throws(InvalidValue) { _ = try UnderlayEndpoint(peer.identity.endpoint) } catch {
            throw MeshError(operation: "set peer", subject: peer.host.text, cause: error.description)
        }
    }
}
