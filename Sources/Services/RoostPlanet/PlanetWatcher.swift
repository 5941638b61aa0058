public import Logging
import RoostLinux
public import RoostModel
public import RoostStore
public import ServiceLifecycle
import Synchronization

/// Keeps this host's copy of the planet: fed by watches of the parts of the store that it follows, kept on disk as last
/// known good, so that a host that starts while the store is away still knows its peers, its routes and its clusters.
public final class PlanetWatcher: Service, Sendable {
    private let store: any Store
    private let disk: PlanetCopy?
    private let rule: CopyRule
    private let formerFile: String
    private let logger: Logger
    private let lag: WatchLag?
    private let state: Mutex<State>
    private let unsaved = Mutex(PlanetCopy.Changes())
    private let saves = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    private let turns = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

    private struct State {
        var planet: Planet
        var following: FollowedParts
        /// Of all networks that were ever heard of the one with the highest number. A store that went back knows fewer until
        /// hosts have told it of their machines again, and a number is never used again.
        var lastNetwork: NetworkNumber
        /// How often this part was listed, or was not heard any more; of parts with records of clusters.
        var listings: [PlanetPart: UInt64] = [:]

        /// Another one whenever the records of this cluster were listed.
        func listing(of cluster: AppName) -> UInt64 {
            listings[.clusters, default: 0] + listings[.cluster(cluster), default: 0]
        }
    }

    /// Told after every change, and when the connection to the store is lost or back.
    public let changes = PlanetFeed()

    /// The copy on disk is written at most this often…
    static let savePause = Duration.seconds(2)
    /// …and what members report of themselves at most this often.
    static let reportPause = Duration.seconds(60)

    /// - Parameters:
    ///   - parts: what is followed from the first moment beside what every host follows. A host that follows what
    ///     edges show to clients serves them also while the store is away, and keeps it.
    ///   - lag: told of all that the watch of hosts brings.
    public init(
        store: any Store, stateFolder: String, following parts: Set<PlanetPart> = [], logger: Logger,
        lag: WatchLag? = nil
    ) {
        self.store = store
        self.lag = lag
        self.logger = logger
        rule = CopyRule(keepsIdentities: parts.contains(.identities))
        formerFile = stateFolder + "/planet.json"
        var planet = Planet()
        var lastNetwork = NetworkNumber.hosts
        var opened: PlanetCopy?
        do {
            let disk = try PlanetCopy(path: stateFolder + "/planet.sqlite", rule: rule)
            var entries = try disk.entries()
            if entries.isEmpty { entries = FormerCopy.entries(in: formerFile).compactMap(rule.kept) }
            planet.apply(.listing(Listing(entries: entries, revision: .absent)))
            lastNetwork = max(try disk.lastNetwork(), planet.highestNetwork(in: [.all]))
            opened = disk
        } catch {
            logger.error("there is no copy of the planet on disk", metadata: ["error": "\(error)"])
        }
        disk = opened
        state = Mutex(
            State(
                planet: planet, following: FollowedParts(parts.union(PlanetPart.common)), lastNetwork: lastNetwork))
        turns.continuation.yield()
    }

    /// The whole, as of now. Those who follow changes look with ``read(_:)``, which copies nothing.
    public var planet: Planet { state.withLock { $0.planet } }

    /// Looks at the planet without taking it away: what is looked up comes out, and the next change waits for it.
    public func read<Value: Sendable>(_ body: (Planet) -> Value) -> Value { state.withLock { body($0.planet) } }

    /// What is known of the machines that there are, for a new app of this name.
    public func networks(of app: AppName) -> MachineNetworks {
        state.withLock {
            MachineNetworks(highest: $0.lastNetwork, ofApp: $0.planet.network(ofMachinesOf: app))
        }
    }

    /// All parts that are followed have been heard in this process and were not lost since.
    public var isLive: Bool { state.withLock { $0.following.isLive } }

    /// What is known of these parts is what the store says now.
    public func isLive(_ parts: Set<PlanetPart>) -> Bool { state.withLock { $0.following.isLive(parts) } }

    /// What every host follows has been heard in this process.
    public var hasHeard: Bool { state.withLock { $0.following.hasHeard } }

    /// What is known of this cluster is what the store says now.
    public func hears(_ cluster: AppName) -> Bool { state.withLock { $0.following.hears(cluster) } }

    /// The clusters of which what is known is what the store says now, and of each the number of the listing it goes on from:
    /// what differs between two looks with the same number was written between them.
    public func heardClusters() -> (clusters: [AppName: Planet.ClusterRecords], listings: [AppName: UInt64]) {
        state.withLock { state in
            let clusters = state.planet.clusters.filter { state.following.hears($0.key) }
            return (clusters, .init(uniqueKeysWithValues: clusters.keys.map { ($0, state.listing(of: $0)) }))
        }
    }

    /// The planet, where this cluster is heard, and the number as of ``heardClusters()``.
    public func planet(hearing cluster: AppName) -> (planet: Planet, listing: UInt64)? {
        state.withLock { $0.following.hears(cluster) ? ($0.planet, $0.listing(of: cluster)) : nil }
    }

    /// As of ``heardClusters()``, also of a cluster that is not heard.
    public func listing(of cluster: AppName) -> UInt64 { state.withLock { $0.listing(of: cluster) } }

    /// What the store says now of a cluster; nil where it is not heard.
    public func heard(_ cluster: AppName) -> Planet.ClusterRecords? {
        state.withLock { $0.following.hears(cluster) ? $0.planet.clusters[cluster] : nil }
    }

    /// Every other host says that it can do this. False until the store was heard.
    public func others(than host: HostName, allHave capability: Capability) -> Bool {
        state.withLock { state in
            state.following.hasHeard
                && Capability.all(state.planet.hosts.values.lazy.filter { $0.host != host }, have: capability)
        }
    }

    /// From now on these parts are followed beside what every host follows, and no others. Where a wider part takes the
    /// place of narrower ones, these go on until it has been heard.
    public func follow(_ parts: Set<PlanetPart>) {
        let wanted = parts.union(PlanetPart.common)
        let isChanged = state.withLock { state in
            var gone: [PlanetPart] = []
            if wanted != state.following.wanted { gone = state.following.want(wanted) }
            // The copy on disk may have more: of another time, when this host served other clusters.
            if !wanted.contains(.clusters) {
                gone += state.planet.clusters.keys.map(PlanetPart.cluster)
                    .filter { !wanted.contains($0) && !state.following.isFed($0) }
            }
            for part in gone { forget(part, &state) }
            return !gone.isEmpty || state.following.isNew
        }
        guard isChanged else { return }
        turns.continuation.yield()
        changes.send([.all, .connection])
        saves.continuation.yield()
    }

    private func forget(_ part: PlanetPart, _ state: inout State) {
        state.planet.forget(part, but: state.following.wanted)
        unsaved.withLock { $0.forget(part, but: state.following.wanted) }
    }

    public func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.followAll() }
                group.addTask { await self.save() }
                await group.waitForAll()
            }
        }
    }

    // MARK: - Following

    /// A watch for each part that is followed.
    private func followAll() async {
        await withDiscardingTaskGroup { group in
            var running: [FollowedParts.Feed: AsyncStream<Void>.Continuation] = [:]
            for await _ in turns.stream {
                let feeds = state.withLock { $0.following.feeds }
                for feed in feeds where running[feed] == nil {
                    let (stop, continuation) = AsyncStream.makeStream(of: Void.self)
                    running[feed] = continuation
                    group.addTask { await self.follow(feed, until: stop) }
                }
                for feed in running.keys where !feeds.contains(feed) { running.removeValue(forKey: feed)?.finish() }
            }
            group.cancelAll()
        }
    }

    private func follow(_ feed: FollowedParts.Feed, until stop: AsyncStream<Void>) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                let events = self.store.watch(feed.part.range, from: nil, noticing: feed.part.notice)
                for await event in events { self.take(event, of: feed) }
            }
            group.addTask { for await _ in stop {} }
            await group.next()
            group.cancelAll()
        }
    }

    private func take(_ event: WatchEvent, of feed: FollowedParts.Feed) {
        if feed.part == .hosts { lag?.heard(event, at: BootClock.now()) }
        let taken: (update: PlanetUpdate, isTurn: Bool, wasLive: Bool, isLive: Bool)? = state.withLock { state in
            guard state.following.has(feed) else { return nil }
            let wasLive = state.following.isLive
            switch (feed.part, event) {
            case (.clusters, .listing), (.cluster, .listing), (.clusters, .interrupted), (.cluster, .interrupted):
                state.listings[feed.part, default: 0] += 1
            default: break
            }
            var update = state.planet.apply(event, of: feed.part)
            state.lastNetwork = max(state.lastNetwork, state.planet.highestNetwork(in: update.changes))
            let (isOther, replaced) = state.following.note(feed, isHeard: event != .interrupted)
            if isOther { update.changes.insert(.connection) } else { update.changes.remove(.connection) }
            // In the order of the planet's own changes.
            unsaved.withLock { $0.add(event, of: feed.part, unreadable: Set(update.unreadable.keys), rule) }
            return (update, replaced, wasLive, state.following.isLive)
        }
        guard let (update, isTurn, wasLive, isLive) = taken else { return }
        if wasLive != isLive { noteConnection(isLost: wasLive) }
        if isTurn { turns.continuation.yield() }
        for (key, why) in update.unreadable {
            logger.error(
                "a record of the store cannot be taken; what was known before stays",
                metadata: ["key": "\(key)", "why": "\(why)"])
        }
        changes.send(update.changes)
        saves.continuation.yield()
    }

    private func noteConnection(isLost: Bool) {
        let known: Logger.Metadata = read { ["hosts": "\($0.hosts.count)", "clusters": "\($0.clusters.count)"] }
        if isLost {
            logger.warning("store lost; this host goes on with its copy", metadata: known)
        } else {
            logger.info("store reached", metadata: known)
        }
    }

    // MARK: - The copy on disk

    private func save() async {
        guard let disk else { return }
        var desk = SavingDesk()
        for await _ in saves.stream {
            // What was listed is let go of in there.
            if await save(to: disk, &desk) { await BlockingCall.run { HeapMemory.trim() } }
            try? await Task.sleep(for: Self.savePause)
        }
    }

    private struct SavingDesk {
        var reports: [String: Entry?] = [:]
        var reportsDue = BootClock.now()
        var hasFormer = true
    }

    /// - Returns: whether a part was listed anew: many times what is kept of it was in memory.
    private func save(to disk: PlanetCopy, _ desk: inout SavingDesk) async -> Bool {
        var changes = unsaved.withLock { unsaved in
            defer { unsaved = PlanetCopy.Changes() }
            return unsaved
        }
        changes.put(back: desk.reports)
        desk.reports = [:]
        let now = BootClock.now()
        if now >= desk.reportsDue {
            desk.reportsDue = now + Self.reportPause
        } else {
            desk.reports = changes.takeReports()
        }
        let removesFormer = desk.hasFormer && hasHeard
        guard !changes.isEmpty || removesFormer else { return false }
        do {
            let lastNetwork = state.withLock { $0.lastNetwork }
            try await BlockingCall.run { [formerFile, changes] () throws(any Error) in
                try disk.write(changes, lastNetwork: lastNetwork)
                // It has the secrets of the whole planet in it.
                if removesFormer { try DurableFile.remove(formerFile) }
            }
            if removesFormer { desk.hasFormer = false }
        } catch {
            logger.error("cannot keep the planet on disk", metadata: ["error": "\(error)"])
            // What was not written is written with what comes next.
            unsaved.withLock { $0 = changes.followed(by: $0) }
        }
        return !changes.listings.isEmpty
    }
}
