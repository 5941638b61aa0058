public import Logging
import RoostLinux
public import RoostModel
public import RoostStore
public import ServiceLifecycle
import Synchronization

/// Keeps this host's copy of the planet: fed by one watch of the store, kept on disk as last known good, so that a
/// host that starts while the store is away still knows its peers, its routes and its clusters.
public final class PlanetWatcher: Service, Sendable {
    private let store: any Store
    private let disk: PlanetCopy?
    private let formerFile: String
    private let logger: Logger
    private let lag: WatchLag?
    private let state: Mutex<Planet>
    private let heard = Mutex(Hearing.never)
    private let unsaved = Mutex(PlanetCopy.Changes())
    private let saves = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

    private enum Hearing { case never, lost, live }

    /// Told after every change, and when the connection to the store is lost or back.
    public let changes = PlanetFeed()

    /// The copy on disk is written at most this often.
    static let savePause = Duration.seconds(2)

    /// - Parameter lag: told of all that the watch brings.
    public init(store: any Store, stateFolder: String, logger: Logger, lag: WatchLag? = nil) {
        self.store = store
        self.lag = lag
        self.logger = logger
        formerFile = stateFolder + "/planet.json"
        var planet = Planet()
        var opened: PlanetCopy?
        do {
            let disk = try PlanetCopy(path: stateFolder + "/planet.sqlite")
            var entries = try disk.entries()
            if entries.isEmpty { entries = FormerCopy.entries(in: formerFile) }
            planet.apply(.listing(Listing(entries: entries, revision: .absent)))
            opened = disk
        } catch {
            logger.error("there is no copy of the planet on disk", metadata: ["error": "\(error)"])
        }
        disk = opened
        state = Mutex(planet)
    }

    /// The whole, as of now. Those who follow changes look with ``read(_:)``, which copies nothing.
    public var planet: Planet { state.withLock { $0 } }

    /// Looks at the planet without taking it away: what is looked up comes out, and the next change waits for it.
    public func read<Value: Sendable>(_ body: (Planet) -> Value) -> Value { state.withLock { body($0) } }

    /// The store has been heard in this process and was not lost since.
    public var isLive: Bool { heard.withLock { $0 == .live } }

    /// The store has been heard in this process.
    public var hasHeard: Bool { heard.withLock { $0 != .never } }

    /// Every other host says that it can do this. False until the store was heard.
    public func others(than host: HostName, allHave capability: Capability) -> Bool {
        hasHeard && read { Capability.all($0.hosts.values.filter { $0.host != host }, have: capability) }
    }

    public func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.follow() }
                group.addTask { await self.save() }
                await group.waitForAll()
            }
        }
    }

    private func follow() async {
        for await event in store.watch(.prefix(StoreKeys.root), from: nil) {
            lag?.heard(event, at: BootClock.now())
            var update = state.withLock { $0.apply(event) }
            for (key, why) in update.unreadable {
                logger.error(
                    "a record of the store cannot be taken; what was known before stays",
                    metadata: ["key": "\(key)", "why": "\(why)"])
            }
            unsaved.withLock { $0.add(event, unreadable: Set(update.unreadable.keys)) }
            let isInterrupted = event == .interrupted
            let wasLive = heard.withLock { heard in
                defer { heard = isInterrupted ? (heard == .never ? .never : .lost) : .live }
                return heard == .live
            }
            if wasLive == isInterrupted {
                update.changes.insert(.connection)
                noteConnection(isLost: isInterrupted)
            }
            changes.send(update.changes)
            saves.continuation.yield()
        }
    }

    private func noteConnection(isLost: Bool) {
        let known: Logger.Metadata = read { ["revision": "\($0.revision)", "hosts": "\($0.hosts.count)"] }
        if isLost {
            logger.warning("store lost; this host goes on with its copy", metadata: known)
        } else {
            logger.info("store reached", metadata: known)
        }
    }

    private func save() async {
        guard let disk else { return }
        for await _ in saves.stream {
            let changes = unsaved.withLock { unsaved in
                defer { unsaved = PlanetCopy.Changes() }
                return unsaved
            }
            guard !changes.isEmpty else { continue }
            do {
                try await BlockingCall.run { [formerFile] () throws(any Error) in
                    try disk.write(changes)
                    // It has the secrets of the whole planet in it.
                    if changes.listing != nil { try DurableFile.remove(formerFile) }
                }
            } catch {
                logger.error("cannot keep the planet on disk", metadata: ["error": "\(error)"])
                // What was not written is written with what comes next.
                unsaved.withLock { $0 = changes.followed(by: $0) }
            }
            try? await Task.sleep(for: Self.savePause)
        }
    }
}
