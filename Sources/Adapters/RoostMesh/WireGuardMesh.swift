import Crypto
public import Logging
import RoostLinux
public import RoostModel
public import ServiceLifecycle
import Synchronization

/// The mesh by WireGuard, netlink and nftables.
///
/// Everything it makes outlives this process and is found again by the next one: start, attach and set again what
/// should be, and what is already so stays untouched. Call ``start()`` first; ``run()`` then probes the peers and
/// repairs the interface when the process that holds it has died.
public final class WireGuardMesh: Mesh, Service {
    private let configuration: MeshConfiguration
    private let commands: HostCommands
    private let device: WireGuardDevice
    private let rules: RuleBook
    private let namespaces: MachineNamespaces
    private let prober: Prober
    private let logger: Logger

    private let deviceTurn = Turnstile()
    private let linkTurns = Turnstiles<MachineID>()
    private let closedTurn = Turnstile()
    private let peers: Mutex<Peers>

    private struct Peers {
        /// Seeds, and the last that were set.
        var wanted: [MeshPeer]
        /// Somebody has said who the peers are. Until then those that a process before us has set go on.
        var isSet = false
        /// What the device has, as far as we set it; nil when that must be asked.
        var applied: [HostName: MeshPeer]?
        /// What was accepted last, whatever came of it.
        var accepted: [HostName: MeshPeer] = [:]
        var refusals: [PeerPlan.Refusal] = []
        /// The endpoint each public key was last given.
        var told: [String: String] = [:]
        /// For probes, by public key: to make one costs a multiplication on a curve.
        var seals: [String: ProbeSeal] = [:]
    }

    /// How often ``run()`` looks whether the interface is still there.
    public static let repairInterval = Duration.seconds(3)
    /// Every so many times it asks WireGuard too, which starts a program.
    private static let repairsPerQuestion = 10
    /// How often ``run()`` looks whether the rules are what they should be; at once, too, when the kernel says that
    /// somebody has changed any.
    public static let ruleInterval = Duration.seconds(2)
    /// Between two times that the rules are made anew.
    private static let rulePause = Duration.milliseconds(100)
    /// Header and tag of a data message (WireGuard's protocol, 5.4.6).
    private static let wireGuardOverheadBytes = 32
    /// Between two attempts when the rules cannot be watched or set.
    private static let ruleRetryInterval = Duration.seconds(1)

    public init(configuration: MeshConfiguration, logger: Logger = Logger(label: "roost.mesh")) {
        self.configuration = configuration
        self.logger = logger
        commands = HostCommands(networkNamespace: configuration.networkNamespace)
        device = WireGuardDevice(configuration: configuration, commands: commands)
        rules = RuleBook(
            rules: MeshRules(interface: configuration.interface, anycast: configuration.anycast), logger: logger)
        namespaces = MachineNamespaces(configuration: configuration, rules: rules)
        prober = Prober(
            endpoint: UnderlayEndpoint(address: configuration.endpoint.address, port: configuration.probePort),
            namespace: configuration.networkNamespace,
            datagramBytes: configuration.mtu + Self.wireGuardOverheadBytes, logger: logger)
        peers = Mutex(Peers(wanted: configuration.seeds))
    }

    public func start() async throws(MeshError) -> MeshIdentity {
        try configuration.validate()
        let key = try MeshKey.privateKey(stateDirectory: configuration.stateDirectory)
        try await deviceTurn.pass { () async throws(MeshError) in
            // Rules first: nothing is ever reachable without them, and machines that run stay reachable with them.
            try await inHost { () throws(MeshError) in
                let links = try self.namespaces.linked()
                try self.rules.load(found: links, forwardsOnlyOurs: !self.device.forwardsForOthers())
            }
            peers.withLock { $0.applied = nil }
            try await device.bringUp()
            try await applyPeers(own: key)
        }
        return MeshIdentity(
            publicKey: key.publicText,
            endpoint: configuration.endpoint.description, probePort: configuration.probePort,
            address: configuration.address)
    }

    public func setPeers(_ peers: [MeshPeer]) async throws(MeshError) {
        let named = Set(peers.map(\.host))
        let wanted = peers + configuration.seeds.filter { !named.contains($0.host) }
        let key = try MeshKey.privateKey(stateDirectory: configuration.stateDirectory)
        try await deviceTurn.pass { () async throws(MeshError) in
            self.peers.withLock { peers in
                peers.wanted = wanted
                peers.isSet = true
            }
            try await applyPeers(own: key)
        }
    }

    public func namespacePath(of machine: MachineID) -> String { configuration.namespacePath(of: machine) }

    /// The machine's address is a function of its id and network: attaching it again with another is not foreseen.
    @discardableResult
    public func attach(_ machine: MachineLink) async throws(MeshError) -> String {
        try await linkTurns.pass(machine.machine) { () async throws(MeshError) in
            try await inHost { () throws(MeshError) in try self.namespaces.attach(machine) }
        }
    }

    public func detach(_ machine: MachineID) async throws(MeshError) {
        try await linkTurns.pass(machine) { () async throws(MeshError) in
            try await inHost { () throws(MeshError) in try self.namespaces.detach(machine) }
        }
    }

    public func attached() async throws(MeshError) -> [MachineID] {
        try namespaces.attached()
    }

    public func setClosedPorts(_ closed: [ClosedPort]) async throws(MeshError) {
        try await closedTurn.pass { () async throws(MeshError) in
            try await inHost { () throws(MeshError) in try self.rules.close(Set(closed)) }
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
                group.addTask { await self.keepRules() }
            }
        }
    }

    /// Takes away all that this host has of the mesh: machines' links and namespaces, the interface, the rules.
    public func remove() async throws(MeshError) {
        for machine in try namespaces.attached() { try await detach(machine) }
        try await deviceTurn.pass { () async throws(MeshError) in
            try await device.remove()
            try await inHost { () throws(MeshError) in try self.rules.remove() }
        }
    }

    /// Runs `body` on a thread of its own, in the network namespace that the mesh lives in.
    private func inHost<Value: Sendable>(
        _ body: @escaping @Sendable () throws(MeshError) -> Value
    ) async throws(MeshError) -> Value {
        try await NetworkNamespace.run(
            in: configuration.networkNamespace,
            failing: { MeshError(operation: "enter", subject: "the mesh's namespace", cause: $0.description) }, body)
    }

    /// Whoever changes the rules (`nft flush ruleset`, a firewall that is loaded again) opens nothing for long: the
    /// kernel tells of every change, and ours are looked at then, and every ``ruleInterval`` in any case.
    private func keepRules() async {
        let wake: Bell
        do throws(SystemError) { wake = try Bell() } catch {
            logger.error("the rules are not watched", metadata: ["why": "\(error)"])
            return
        }
        await withTaskCancellationHandler {
            while !Task.isCancelled {
                do throws(MeshError) {
                    try await inHost { () throws(MeshError) in try self.watchRules(wake) }
                } catch {
                    logger.error("the mesh's rules could not be set", metadata: ["why": "\(error)"])
                    try? await Task.sleep(for: Self.ruleRetryInterval)
                }
            }
        } onCancel: {
            wake.ring()
        }
    }

    /// Until the bell rings.
    private func watchRules(_ wake: Bell) throws(MeshError) {
        let changes: RuleSocket
        do throws(NetlinkError) { changes = try RuleSocket(hearsChanges: true) } catch {
            throw MeshError(operation: "watch rules", subject: MeshRules.table, cause: error.description)
        }
        while true {
            if let fault = try rules.verify() {
                logger.warning("the mesh's rules were made anew", metadata: ["why": "\(fault)"])
                // Two that undo each other's work without end would be busy with nothing else.
                if wake.wait(within: Self.rulePause) { return }
            }
            _ = changes.waitForChange(within: Self.ruleInterval, wake: wake.descriptor)
            if wake.wait(within: .zero) { return }
        }
    }

    private func keepUp() async {
        var round = 0
        while !Task.isCancelled {
            do { try await Task.sleep(for: Self.repairInterval) } catch { return }
            round += 1
            do throws(MeshError) {
                // With the process that holds it the interface goes, too.
                let isGone =
                    round.isMultiple(of: Self.repairsPerQuestion)
                    ? try await device.state() == nil
                    : try await inHost { () throws(MeshError) in !self.device.isThere() }
                guard isGone, !Task.isCancelled else { continue }
                logger.warning("the mesh interface is gone and is made anew")
                _ = try await start()
            } catch {
                if !Task.isCancelled { logger.error("the mesh could not be repaired", metadata: ["why": "\(error)"]) }
            }
        }
    }

    /// To be called in turn.
    private func applyPeers(own key: Curve25519.KeyAgreement.PrivateKey) async throws(MeshError) {
        let (plan, before) = peers.withLock { peers in
            let plan = PeerPlan(
                peers.wanted, for: configuration.host,
                key: key.publicText, before: peers.accepted)
            if plan.refusals != peers.refusals { report(plan.refusals) }
            let before = peers
            peers.accepted = plan.accepted
            peers.refusals = plan.refusals
            // What comes of it is known when it has come.
            peers.applied = nil
            return (plan, before)
        }
        let wanted = plan.accepted.values.sorted { $0.host < $1.host }
        if plan.accepted != before.accepted || before.applied == nil {
            prober.setTargets(wanted.compactMap { target($0, own: key) })
        }
        let changes: PeerChanges
        if before.isSet, let applied = before.applied {
            changes = PeerChanges(from: applied, to: plan.accepted)
        } else {
            guard let state = try await device.state() else {
                throw MeshError(
                    operation: "set peers", subject: configuration.interface,
                    cause: "the interface is gone; it is made anew within \(Self.repairInterval)")
            }
            changes =
                before.isSet
                ? PeerChanges(from: state, to: wanted, told: before.told) : PeerChanges(adding: wanted, to: state)
        }
        try await device.apply(changes)
        let now = Dictionary(
            wanted.map { ($0.identity.publicKey, $0.identity.endpoint) }, uniquingKeysWith: { _, last in last })
        peers.withLock { peers in
            peers.told = now
            peers.seals = peers.seals.filter { now[$0.key] != nil }
            if peers.isSet { peers.applied = plan.accepted }
        }
    }

    private func report(_ refusals: [PeerPlan.Refusal]) {
        for refusal in refusals {
            logger.error(
                "a peer is not taken as its record says",
                metadata: ["host": "\(refusal.host)", "why": "\(refusal.why)"])
        }
    }

    private func target(_ peer: MeshPeer, own key: Curve25519.KeyAgreement.PrivateKey) -> ProbeTarget? {
        let publicKey = peer.identity.publicKey
        let known = peers.withLock { $0.seals[publicKey] }
        guard let endpoint = try? UnderlayEndpoint(peer.identity.endpoint),
            let seal = known ?? ProbeSeal(own: key, peer: publicKey)
        else { return nil }
        peers.withLock { $0.seals[publicKey] = seal }
        return ProbeTarget(
            host: peer.host, endpoint: UnderlayEndpoint(address: endpoint.address, port: peer.identity.probePort),
            publicKey: publicKey, seal: seal)
    }
}
