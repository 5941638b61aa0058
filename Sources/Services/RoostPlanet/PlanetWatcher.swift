import Foundation
public import Logging
import RoostLinux
import RoostModel
public import RoostStore
public import ServiceLifecycle
import Synchronization

/// Keeps this host's copy of the planet: fed by one watch of the store, kept on disk as last known good, so that a
/// host that starts while the store is away still knows its peers, its routes and its clusters.
public final class PlanetWatcher: Service, Sendable {
    private let store: any Store
    private let file: String
    private let logger: Logger
    private let state: Mutex<Planet>
    private let isHeard = Mutex(false)

    /// Told after every change, and when the connection to the store is lost.
    public let changes = Broadcast<Void>()

    /// The copy on disk is written at most this often.
    static let savePause = Duration.seconds(2)

    public init(store: any Store, stateFolder: String, logger: Logger) {
        self.store = store
        self.logger = logger
        file = stateFolder + "/planet.json"
        var planet = Planet()
        if let bytes = try? DurableFile.read(file),
            let saved = try? JSONDecoder().decode(Planet.self, from: Data(bytes))
        {
            planet = saved
        }
        state = Mutex(planet)
    }

    public var planet: Planet { state.withLock { $0 } }

    /// The store has been heard in this process and was not lost since.
    public var isLive: Bool { isHeard.withLock { $0 } }

    public func run() async throws {
        let saves = changes.subscribe()
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.follow() }
                group.addTask { await self.save(saves) }
                await group.waitForAll()
            }
        }
    }

    private func follow() async {
        for await event in store.watch(.prefix(StoreKeys.root), from: nil) {
            let unreadable = state.withLock { $0.apply(event) }
            for key in unreadable {
                logger.error("a record of the store cannot be read and is passed over", metadata: ["key": "\(key)"])
            }
            let isInterrupted = event == .interrupted
            isHeard.withLock { $0 = !isInterrupted }
            changes.send(())
        }
    }

    private func save(_ changes: AsyncStream<Void>) async {
        var saved: Planet?
        for await _ in changes {
            var planet = planet
            for name in planet.clusters.keys {
                // Heartbeats change several times a second and mean nothing later.
                planet.clusters[name]?.heartbeat = nil
            }
            planet.revision = 0
            guard planet != saved else { continue }
            do {
                try DurableFile.write(try JSONEncoder().encode(planet), to: file)
                saved = planet
            } catch {
                logger.error("cannot keep the planet on disk", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(for: Self.savePause)
        }
    }
}
