public import RoostHost
public import RoostModel
public import RoostPlanet

/// The planet as one host answers for it: its own work fresh from the ledger, everything else from its copy, and where
/// the copy says no, whoever would know.
public struct PlanetView: Sendable {
    public let agent: HostAgent
    public let watcher: PlanetWatcher
    public let peers: any Peers
    public let reachability: Reachability
    let apps: AppDirectory

    public init(
        agent: HostAgent, watcher: PlanetWatcher, peers: any Peers, reachability: Reachability, apps: AppDirectory
    ) {
        self.agent = agent
        self.watcher = watcher
        self.peers = peers
        self.reachability = reachability
        self.apps = apps
    }

    public var host: HostName { agent.configuration.host }

    /// All hosts' records, this one's fresh from its ledger.
    public func hosts() async -> [HostRecord] {
        var hosts = watcher.planet.hosts
        hosts[host] = await agent.record()
        return hosts.values.sorted { $0.host < $1.host }
    }

    /// The app. One that was made a moment ago may not have reached this host's copy yet: the store knows.
    public func app(_ name: AppName) async throws(Refusal) -> AppRecord {
        if let app = watcher.planet.apps[name] { return app }
        guard let app = try await apps.find(name) else { throw Refusal(.notFound, "app \(name) not found") }
        return app
    }

    /// The app that a user wants to make something for: none that a feature keeps, and none that is being deleted.
    public func openApp(_ name: AppName) async throws(Refusal) -> AppRecord {
        let app = try await app(name)
        try refuseIfOwned(app)
        // The copy may be of a moment ago.
        return app.deletionBegan == nil ? app : try await apps.reopened(name)
    }

    /// Refuses what users may not do to the machines and volumes of a feature.
    public func refuseIfOwned(_ app: AppRecord) throws(Refusal) {
        if let owner = app.owner { throw AppDirectory.owned(app.name, by: owner) }
    }

    /// A region of the planet, by its name.
    public func region(_ text: String) throws(Refusal) -> RegionCode {
        let region: RegionCode
        do { region = try RegionCode(text) } catch { throw Refusal(.invalid, error.description) }
        let known = Set(watcher.planet.hosts.values.map(\.region)).union([agent.configuration.region])
        guard known.contains(region) else {
            throw Refusal(
                .invalid,
                "there is no region '\(region)'; there are: \(known.sorted().map(\.text).joined(separator: ", "))")
        }
        return region
    }

    /// How long a creation waits until this host's own copy of the planet shows what was made elsewhere.
    static let settleMax = Duration.seconds(5)

    /// Who made something here can list it here: the answer waits until the owner's new record has arrived. When it
    /// does not in time, the thing exists all the same.
    public func settle(on owner: HostName, _ isThere: @escaping @Sendable (HostRecord) -> Bool) async {
        guard owner != host else { return }
        await settle(by: { $0.concerns(owner) }, until: { $0.hosts[owner].map(isThere) ?? false })
    }

    /// As ``settle(on:_:)``, of anything: what this host answers next agrees with what it has just said.
    public func settle(
        by isConcerned: @escaping @Sendable (PlanetChange) -> Bool,
        until isSettled: @escaping @Sendable (Planet) -> Bool
    ) async {
        let changes = watcher.changes.subscribe(to: isConcerned)
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                if watcher.read(isSettled) { return }
                for await _ in changes where watcher.read(isSettled) { return }
            }
            group.addTask { try? await Task.sleep(for: Self.settleMax) }
            await group.next()
            group.cancelAll()
        }
    }
}
