public import Logging
import RoostLinux
public import RoostModel
public import RoostPlanet
import RoostRecords
public import RoostStore
public import ServiceLifecycle

/// Brings the secrets of all clusters to where they should be: apart, as soon as every host finds them there, and back
/// when one comes that does not. One host does it for all, by a duty that only programs take which know both places.
public struct SecretsMover: Service {
    let host: HostName
    let store: any Store
    let watcher: PlanetWatcher
    let fence: @Sendable () -> Transaction.Compare?
    let logger: Logger

    static let interval = Duration.seconds(2)
    /// When nothing was to do, the next look is after so long.
    static let quietInterval = Duration.seconds(60)
    /// What is new has been there for so long before the old goes: a host hears of the two by different watches.
    static let removalPause = Duration.seconds(10)
    /// Clusters that are read at once: two reads for each.
    static let batchMax = Transaction.operationsMax / 2

    public init(
        host: HostName, store: any Store, watcher: PlanetWatcher,
        fence: @escaping @Sendable () -> Transaction.Compare?, logger: Logger
    ) {
        self.host = host
        self.store = store
        self.watcher = watcher
        self.fence = fence
        self.logger = logger
    }

    /// Where secrets belong now. A host that is alone gains nothing from moving them.
    static func place(on host: HostName, in watcher: PlanetWatcher) -> SecretsPlace.Place? {
        guard watcher.hasHeard else { return nil }
        let others = watcher.read { $0.hosts.keys.contains { $0 != host } }
        return others && watcher.others(than: host, allHave: .secretsApart) ? .apart : .among
    }

    /// Whether a new cluster's secrets are to be kept apart.
    public static func keepsApart(on host: HostName, in watcher: PlanetWatcher) -> Bool {
        place(on: host, in: watcher) == .apart
    }

    public func run() async throws {
        await cancelWhenGracefulShutdown {
            var desk = MoveDesk()
            while !Task.isCancelled {
                if let fence = fence(), let place = Self.place(on: host, in: watcher) {
                    if desk.isDue(place, BootClock.now()) { await move(to: place, fence, &desk) }
                } else {
                    desk = MoveDesk()
                }
                try? await Task.sleep(for: Self.interval)
            }
        }
    }

    private func move(to place: SecretsPlace.Place, _ fence: Transaction.Compare, _ desk: inout MoveDesk) async {
        do {
            let steps = desk.steps(try await look(), to: place, BootClock.now())
            var isUnreadable = false
            for (cluster, step) in steps {
                guard var transaction = readable(cluster, step) else {
                    isUnreadable = true
                    continue
                }
                transaction.compares.append(fence)
                let outcome = try await store.commit(transaction)
                logger.info(
                    "moved secrets",
                    metadata: [
                        "cluster": "\(cluster.cluster)", "step": "\(step)", "done": "\(outcome.succeeded)",
                    ])
            }
            if isUnreadable { desk.rest(since: BootClock.now()) }
        } catch {
            desk.failed()
            logger.warning("cannot move secrets, trying again", metadata: ["error": "\(error)"])
        }
    }

    /// Nil for secrets that this program cannot read: they stay where they are, and hold up nobody else's.
    private func readable(_ cluster: SecretsPlace, _ step: SecretsPlace.Step) -> Transaction? {
        do {
            return try cluster.transaction(step)
        } catch {
            logger.error(
                "secrets cannot be read, and stay where they are",
                metadata: ["cluster": "\(cluster.cluster)", "error": "\(error)"])
            return nil
        }
    }

    /// Where everything is now.
    func look() async throws -> [SecretsPlace] {
        var places: [AppName: SecretsPlace] = [:]
        for name in watcher.read({ $0.apps.values.filter { $0.owner == .postgres }.map(\.name) }) {
            places[name] = SecretsPlace(cluster: name)
        }
        for entry in try await store.read(.prefix(StoreKeys.secretsRoot), at: nil).entries {
            switch StoreKey(entry.key) {
            case .secrets(let name): places[name, default: SecretsPlace(cluster: name)].apart = entry
            case .identity(let name): places[name, default: SecretsPlace(cluster: name)].identity = entry
            case .host, .generation, .machine, .volume, .app, .address, .cluster, .operation, .other: break
            }
        }
        let names = places.keys.sorted()
        for start in stride(from: 0, to: names.count, by: Self.batchMax) {
            let batch = names[start..<min(start + Self.batchMax, names.count)]
            let outcome = try await store.commit(
                Transaction(
                    then: batch.flatMap {
                        [.read(.key(StoreKeys.clusterSpec($0))), .read(.key(StoreKeys.clusterSecrets($0)))]
                    }))
            guard outcome.listings.count == batch.count * 2 else {
                throw StoreError(code: .unavailable, operation: "look", cause: "the store left out what was asked for")
            }
            for (index, name) in batch.enumerated() {
                places[name]?.spec = outcome.listings[index * 2].entries.first?.modified
                places[name]?.among = outcome.listings[index * 2 + 1].entries.first
            }
        }
        return places.values.sorted { $0.cluster < $1.cluster }
    }
}

/// When to look, and since when what is to go has been doubled. Pure.
struct MoveDesk: Sendable {
    private var place: SecretsPlace.Place?
    private var nextLook = Moment.zero
    private var removals: [AppName: (step: SecretsPlace.Step, since: Moment)] = [:]

    /// At once when secrets belong elsewhere than before.
    mutating func isDue(_ place: SecretsPlace.Place, _ now: Moment) -> Bool {
        if place != self.place { (self.place, nextLook, removals) = (place, now, [:]) }
        return now >= nextLook
    }

    /// The steps to carry out now.
    mutating func steps(
        _ places: [SecretsPlace], to place: SecretsPlace.Place, _ now: Moment
    ) -> [(SecretsPlace, SecretsPlace.Step)] {
        var steps: [(SecretsPlace, SecretsPlace.Step)] = []
        var waiting: [AppName: (step: SecretsPlace.Step, since: Moment)] = [:]
        for cluster in places {
            guard let step = cluster.step(to: place) else { continue }
            guard step.removes, cluster.spec != nil else {
                steps.append((cluster, step))
                continue
            }
            let known = removals[cluster.cluster].flatMap { $0.step == step ? $0.since : nil }
            if let known, now - known >= SecretsMover.removalPause {
                steps.append((cluster, step))
            } else {
                waiting[cluster.cluster] = (step, known ?? now)
            }
        }
        removals = waiting
        nextLook = steps.isEmpty && waiting.isEmpty ? now + SecretsMover.quietInterval : now
        return steps
    }

    /// There is no sense in looking again at once.
    mutating func rest(since now: Moment) { nextLook = now + SecretsMover.quietInterval }

    mutating func failed() { nextLook = .zero }
}
