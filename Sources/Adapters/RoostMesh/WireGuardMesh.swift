public import Logging
import RoostCrypto
import RoostLinux
public import RoostModel
public import RoostPeers
public import ServiceLifecycle
import Synchronization

/// The mesh by WireGuard, netlink and nftables.
///
/// Everything it makes outlives this process and is found again by the next one: start, attach and set again what
/// should be, and what is already so stays untouched. Call ``start()`` first; ``run()`` then probes the peers and
/// repairs the interface when the process that holds it has died.
public final class WireGuardMesh: Mesh, Service {
    private let configuration: MeshConfiguration
    private let device: any PeerDevice
    private let rules: RuleBook
    private let namespaces: MachineNamespaces
    private let prober: Prober
    private let logger: Logger

    private let deviceTurn = Turnstile()
    private let linkTurns = Turnstiles<MachineID>()
    private let closedTurn = Turnstile()
    private let peers: Mutex<Peers>

    private struct Peers {
        /// The interface and its rules are there as far as we made them: ``start()`` came so far, and nothing has been
        /// found gone since.
        var isUp = false
        /// Whom the planet names, and who of them can be had. Nil until this host's key is there.
        var plan: PeerPlan?
        /// Somebody has said who the peers are. Until then those that a process before us has set go on.
        var isSet = false
        /// The device has what the plan says, as far as we set it; else it must be asked.
        var isCarriedOut = false
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
    /// Every so many times (five minutes) it puts right what somebody else has done to the device's peers.
    private static let repairsPerReconciliation = 100
    /// How often ``run()`` looks whether the rules are what they should be; at once, too, when the kernel says that
    /// somebody has changed any.
    public static let ruleInterval = Duration.seconds(2)
    /// Between two times that the rules are made anew.
    private static let rulePause = Duration.milliseconds(100)
    /// Header and tag of a data message (WireGuard's protocol, 5.4.6).
    private static let wireGuardOverheadBytes = 32
    /// Between two attempts when the rules cannot be watched or set, or no probe can be sent.
    private static let retryInterval = Duration.seconds(1)

    public convenience init(configuration: MeshConfiguration, logger: Logger = Logger(label: "roost.mesh")) {
        self.init(configuration: configuration, device: WireGuardDevice(configuration: configuration), logger: logger)
    }

    init(configuration: MeshConfiguration, device: any PeerDevice, logger: Logger = Logger(label: "roost.mesh")) {
        self.configuration = configuration
        self.logger = logger
        self.device = device
        rules = RuleBook(
            rules: MeshRules(interface: configuration.interface, anycast: configuration.anycast), logger: logger)
        namespaces = MachineNamespaces(configuration: configuration, rules: rules)
        prober = Prober(
            endpoint: UnderlayEndpoint(address: configuration.endpoint.address, port: configuration.probePort),
            namespace: configuration.networkNamespace,
            datagramBytes: configuration.mtu + Self.wireGuardOverheadBytes, logger: logger)
        peers = Mutex(Peers())
    }

    public func start() async throws(MeshError) -> MeshIdentity {
        try configuration.validate()
        let key = try MeshKey.privateKey(stateDirectory: configuration.stateDirectory)
        try await deviceTurn.pass { () async throws(MeshError) in
            peers.withLock {
                $0.isUp = false
                $0.isCarriedOut = false
            }
            // Rules first: nothing is ever reachable without them, and machines that run stay reachable with them.
            try await inHost { () throws(MeshError) in
                let links = try self.namespaces.linked()
                try self.rules.load(found: links, forwardsOnlyOurs: !self.device.forwardsForOthers())
            }
            try await device.bringUp()
            peers.withLock { $0.isUp = true }
            try await change(own: key) { _ in PeerSteps() }
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
                // The device may have what a process before us has set.
                if !peers.isSet { peers.isCarriedOut = false }
                peers.isSet = true
            }
            try await change(own: key) { $0.replace(with: wanted) }
        }
    }

    public func changePeers(_ changes: [PeerChange]) async throws(MeshError) {
        let changes = changes.map(orSeed)
        let key = try MeshKey.privateKey(stateDirectory: configuration.stateDirectory)
        try await deviceTurn.pass { () async throws(MeshError) in
            try await change(own: key) { $0.take(changes) }
        }
    }

    /// A seed that nobody names any more is a peer as before it was named.
    private func orSeed(_ change: PeerChange) -> PeerChange {
        switch change {
        case .host(let host, nil):
            .host(host, configuration.seeds.first { $0.host == host }?.identity)
        case .host, .address: change
        }
    }

    public func attachment(of machine: MachineID) -> NetworkAttachment {
        .namespace(path: configuration.namespacePath(of: machine))
    }

    /// The machine's address is a function of its id and network: attaching it again with another is not foreseen.
    public func attach(_ machine: MachineLink) async throws(MeshError) {
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
                group.addTask { await self.probe() }
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

    private func probe() async {
        while !Task.isCancelled {
            do throws(SystemError) { try await prober.run() } catch {
                logger.error("no probes are sent", metadata: ["why": "\(error)"])
                try? await Task.sleep(for: Self.retryInterval)
            }
        }
    }

    /// Whoever changes the rules (`nft flush ruleset`, a firewall that is loaded again) opens nothing for long: the
    /// kernel tells of every change, and ours are looked at then, and every ``ruleInterval`` in any case.
    private func keepRules() async {
        while !Task.isCancelled {
            do throws(SystemError) { await keepRules(until: try Bell()) } catch {
                logger.error("the rules are not watched", metadata: ["why": "\(error)"])
                try? await Task.sleep(for: Self.retryInterval)
            }
        }
    }

    private func keepRules(until wake: Bell) async {
        await withTaskCancellationHandler {
            while !Task.isCancelled {
                do throws(MeshError) {
                    try await inHost { () throws(MeshError) in try self.watchRules(wake) }
                } catch {
                    logger.error("the mesh's rules could not be set", metadata: ["why": "\(error)"])
                    try? await Task.sleep(for: Self.retryInterval)
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
            do throws(MeshError) { try await repair(round: round) } catch {
                if !Task.isCancelled { logger.error("the mesh could not be repaired", metadata: ["why": "\(error)"]) }
            }
        }
    }

    /// Makes anew what is gone, and goes on with what an error has left half done: at every round, until it is whole.
    func repair(round: Int) async throws(MeshError) {
        // With the process that holds it the interface goes, too.
        let isGone =
            round.isMultiple(of: Self.repairsPerQuestion)
            ? try await device.state() == nil
            : try await inHost { () throws(MeshError) in !self.device.isThere() }
        let (isUp, isCarriedOut) = peers.withLock { ($0.isUp, $0.isCarriedOut) }
        guard !Task.isCancelled else { return }
        if isGone || !isUp {
            logger.warning("the mesh interface is gone or half made, and is made anew")
            _ = try await start()
        } else if !isCarriedOut || round.isMultiple(of: Self.repairsPerReconciliation) {
            try await reconcile()
        }
    }

    /// Asks the device which peers it has, and mends what differs from what it was told.
    func reconcile() async throws(MeshError) {
        try await deviceTurn.pass { () async throws(MeshError) in
            guard let whole = peers.withLock({ $0.plan?.peers }), let state = try await device.state() else { return }
            let (changes, isNews) = peers.withLock { peers in
                let changes =
                    peers.isSet
                    ? PeerChanges(from: state, to: whole, told: peers.told) : PeerChanges(adding: whole, to: state)
                let isNews = peers.isCarriedOut && !changes.arguments.isEmpty
                if isNews { peers.isCarriedOut = false }
                return (changes, isNews)
            }
            if isNews {
                logger.warning(
                    "somebody has changed the mesh's peers; they are set again",
                    metadata: ["peers": "\(changes.arguments.count)"])
            }
            try await device.apply(changes)
            note(whole)
        }
    }

    /// To be called in turn.
    ///
    /// - Parameter body: what is another in the plan.
    private func change(
        own key: AgreementKey, _ body: (inout PeerPlan) -> PeerSteps
    ) async throws(MeshError) {
        let (steps, whole, isSet, hosts) = peers.withLock { peers in
            let isKnown = peers.isSet && peers.isCarriedOut
            // Out of its place while it changes: two of it would be a copy of the whole table.
            var plan = peers.plan ?? newPlan(key)
            peers.plan = nil
            let steps = body(&plan)
            // What comes of it is known when it has come.
            if !steps.steps.isEmpty { peers.isCarriedOut = false }
            let refusals = plan.refusals
            if refusals != peers.refusals { report(refusals) }
            peers.refusals = refusals
            let whole = isKnown ? nil : plan.peers
            let hosts = steps.areHostsChanged || !isKnown ? plan.identities : nil
            peers.plan = plan
            return (steps, whole, peers.isSet, hosts)
        }
        if let hosts { prober.setTargets(hosts.compactMap { target($0, $1, own: key) }) }
        guard let whole else { return try await carryOut(steps) }
        guard let state = try await device.state() else {
            throw MeshError(
                operation: "set peers", subject: configuration.interface,
                cause: "the interface is gone; it is made anew within \(Self.repairInterval.words)")
        }
        let told = peers.withLock { $0.told }
        try await device.apply(
            isSet ? PeerChanges(from: state, to: whole, told: told) : PeerChanges(adding: whole, to: state))
        note(whole)
    }

    /// The steps of a device that has what was before them.
    private func carryOut(_ steps: PeerSteps) async throws(MeshError) {
        guard !steps.steps.isEmpty else { return }
        try await device.apply(PeerChanges(steps.steps))
        peers.withLock { peers in
            for step in steps.steps {
                switch step {
                case .remove(let key):
                    peers.told[key] = nil
                    peers.seals[key] = nil
                case .set(let key, _, let endpoint, _): if let endpoint { peers.told[key] = endpoint }
                }
            }
            peers.isCarriedOut = true
        }
    }

    /// The device has them all.
    private func note(_ whole: [MeshPeer]) {
        peers.withLock { peers in
            peers.told = Dictionary(
                whole.map { ($0.identity.publicKey, $0.identity.endpoint) }, uniquingKeysWith: { _, last in last })
            peers.seals = peers.seals.filter { peers.told[$0.key] != nil }
            peers.isCarriedOut = true
        }
    }

    /// Of the seeds, until somebody says more.
    private func newPlan(_ key: AgreementKey) -> PeerPlan {
        var plan = PeerPlan(own: configuration.host, key: key.publicText)
        _ = plan.replace(with: configuration.seeds)
        return plan
    }

    private func report(_ refusals: [PeerPlan.Refusal]) {
        for refusal in refusals {
            logger.error(
                "a peer is not taken as its record says",
                metadata: ["host": "\(refusal.host)", "why": "\(refusal.why)"])
        }
    }

    private func target(
        _ host: HostName, _ identity: MeshIdentity, own key: AgreementKey
    ) -> ProbeTarget? {
        let publicKey = identity.publicKey
        let known = peers.withLock { $0.seals[publicKey] }
        guard let endpoint = try? UnderlayEndpoint(identity.endpoint),
            let seal = known ?? ProbeSeal(own: key, peer: publicKey)
        else { return nil }
        peers.withLock { $0.seals[publicKey] = seal }
        return ProbeTarget(
            host: host, endpoint: UnderlayEndpoint(address: endpoint.address, port: identity.probePort),
            publicKey: publicKey, seal: seal)
    }
}
