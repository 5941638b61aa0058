public import Logging
import RoostLinux
public import RoostModel
public import RoostPlanet
import RoostPlans
public import RoostStore
public import ServiceLifecycle
import Synchronization

/// How an operation ended.
public struct OperationVerdict: Hashable, Sendable {
    public let state: OperationRecord.State
    /// For people.
    public let words: String

    public static func succeeded(_ words: String) -> Self { Self(state: .succeeded, words: words) }
    public static func failed(_ words: String) -> Self { Self(state: .failed, words: words) }
}

/// Says of one kind of thing's operations whether the planet shows that they have ended. A pure function: it needs no
/// memory of who began the work or did it.
public protocol OperationJudge: Sendable {
    /// Nil while it goes on, and for operations of others.
    func verdict(on operation: OperationRecord, in planet: Planet) -> OperationVerdict?

    /// What the planet shows to have happened of it that nobody's plan has as a step, in the order in which it comes. In
    /// the same words at every look: each is written down when it is seen first. Fewer than half of
    /// ``OperationRecord/stepsMax``.
    func steps(of operation: OperationRecord, in planet: Planet) -> [String]
}

/// Writes down how operations get on and how they end, and removes those that are old, while this host has the duty.
public struct OperationKeeper: Service {
    let operations: OperationDirectory
    let judges: [any OperationJudge]
    let watcher: PlanetWatcher
    let fence: @Sendable () -> Transaction.Compare?
    let logger: Logger
    private let desk = Desk()

    private final class Desk: Sendable {
        let list = Mutex(LookList<PlanetOperationID>())
    }

    /// So often it is seen whether something is due: operations that run, others by what changed, all now and then.
    static let tick = Duration.milliseconds(500)
    /// Operations that have ended are kept for so long…
    public static let ageMax = Duration.seconds(7 * 24 * 3600)
    /// …and so many of them, the newest.
    public static let endedMax = 500

    /// - Parameter fence: a compare that holds only while this host has the duty; nil while it has not.
    public init(
        operations: OperationDirectory, judges: [any OperationJudge], watcher: PlanetWatcher,
        fence: @escaping @Sendable () -> Transaction.Compare?, logger: Logger
    ) {
        self.operations = operations
        self.judges = judges
        self.watcher = watcher
        self.fence = fence
        self.logger = logger
    }

    public func run() async throws {
        let changes = watcher.changes.subscribe(to: Self.heeds)
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { for await _ in changes { self.desk.list.withLock { $0.note(.all) } } }
                group.addTask { await self.lookByTicks() }
                await group.next()
                group.cancelAll()
            }
        }
    }

    /// What becomes of those that run is seen by looking again; that one has begun or ended is a change.
    private static func heeds(_ change: PlanetChange) -> Bool {
        switch change {
        case .all, .connection, .operation: true
        case .host, .machine, .volume, .app, .address, .cluster: false
        }
    }

    private func lookByTicks() async {
        while !Task.isCancelled {
            if let fence = fence() {
                if watcher.isLive, let range = desk.list.withLock({ $0.take(at: BootClock.now()) }) {
                    await look(at: range, under: fence)
                }
            } else {
                desk.list.withLock { $0.note(.all) }
            }
            try? await Task.sleep(for: Self.tick)
        }
    }

    private func look(at range: LookList<PlanetOperationID>.Range, under fence: Transaction.Compare) async {
        let planet = watcher.planet
        let running =
            switch range {
            case .everything: Set(planet.operations.values.lazy.filter { $0.state == .running }.map(\.id))
            case .things(let ids): ids.filter { planet.operations[$0]?.state == .running }
            }
        desk.list.withLock { $0.saw(range, unfinished: running) }
        await Self.look(
            at: planet, running: running, operations: operations, judges: judges, under: fence, logger: logger)
        if range == .everything { await removeOld(planet, under: fence) }
    }

    private func removeOld(_ planet: Planet, under fence: Transaction.Compare) async {
        let old = Self.old(of: planet, at: WallClock.milliseconds())
        guard !old.isEmpty else { return }
        do throws(Refusal) { try await operations.remove(old, under: fence) } catch {
            logger.warning("cannot remove old operations, trying again", metadata: ["error": "\(error)"])
        }
    }

    /// One look: writes down what the planet shows to have happened, and ends what it shows as ended. What cannot be
    /// written now is found again at the next look, and holds up no other operation.
    static func look(
        at planet: Planet, running: Set<PlanetOperationID>, operations: OperationDirectory,
        judges: [any OperationJudge], under fence: Transaction.Compare, logger: Logger
    ) async {
        for operation in running.sorted().compactMap({ planet.operations[$0] })
        where planet.isAbreast(of: operation.id) {
            do throws(Refusal) {
                try await look(
                    at: operation, in: planet, operations: operations, judges: judges, under: fence, logger: logger)
            } catch {
                logger.warning(
                    "cannot write down how an operation gets on, trying again",
                    metadata: ["operation": "\(operation.id)", "error": "\(error)"])
                // It is the store that does not answer, and would not of the others.
                if error.code == .unavailable || error.code == .outcomeUnknown { return }
            }
        }
    }

    private static func look(
        at operation: OperationRecord, in planet: Planet, operations: OperationDirectory,
        judges: [any OperationJudge], under fence: Transaction.Compare, logger: Logger
    ) async throws(Refusal) {
        let seen = judges.flatMap { $0.steps(of: operation, in: planet) }
        guard let verdict = judges.lazy.compactMap({ $0.verdict(on: operation, in: planet) }).first else {
            let new = OperationDirectory.new(seen, on: operation)
            if !new.isEmpty { try await operations.see(new, on: operation.id, under: fence) }
            return
        }
        try await operations.end(operation.id, verdict, seeing: seen, under: fence)
        logger.info(
            "operation ended",
            metadata: [
                "operation": "\(operation.id)", "kind": "\(operation.kind)", "object": "\(operation.object)",
                "state": "\(verdict.state)", "result": "\(verdict.words)",
                "request": "\(operation.requestID ?? "-")",
            ])
    }

    /// Those that have ended and are old, or too many. One of a newer version, in a state that is not known, is left.
    static func old(of planet: Planet, at now: Int64) -> [PlanetOperationID] {
        let ended = planet.operations.values.filter { $0.state == .succeeded || $0.state == .failed }
            .sorted { ($0.endedAt ?? 0, $0.id) > ($1.endedAt ?? 0, $1.id) }
        return ended.enumerated().filter { index, operation in
            index >= endedMax || now - (operation.endedAt ?? 0) > ageMax.milliseconds
        }.map(\.element.id)
    }
}
