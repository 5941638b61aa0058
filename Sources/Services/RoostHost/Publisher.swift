public import Logging
import RoostLinux
import RoostModel
public import RoostPlanet
public import RoostStore
public import ServiceLifecycle
import Synchronization

/// Publishes what changed of the host, and only over records with a lower generation.
///
/// What it has published it looks for again whenever records of hosts are listed anew: the store may have gone back, and
/// then it has what this host was at the time of the copy, also where nothing changes on the host any more.
///
/// Machines and volumes are records of their own as soon as every other host can read them so; until then everything is
/// in the host's one record.
public struct Publisher: Service {
    let agent: HostAgent
    let store: any Store
    let watcher: PlanetWatcher
    let logger: Logger

    static let pauseFirst = Duration.milliseconds(100)
    static let pauseMax = Duration.seconds(2)
    /// After a publication more changes are collected for so long, and for longer the more was written: many machines
    /// that come and go all the time do not fill the store.
    static let collectMin = Duration.milliseconds(50)
    /// The store keeps half an hour of history: with this, 0.5 GB of its quota of 2 GB.
    static let bytesPerSecondMax = 256 << 10
    /// Attempts in a row that find another state of the store than expected.
    static let attemptsMax = 8

    public init(agent: HostAgent, store: any Store, watcher: PlanetWatcher, logger: Logger) {
        self.agent = agent
        self.store = store
        self.watcher = watcher
        self.logger = logger
    }

    public func run() async throws {
        let (wakes, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let own = agent.changes.subscribe()
        let others = watcher.changes.subscribe { $0.concernsHosts }
        let doubt = Doubt()
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { for await _ in own { wake.yield() } }
                group.addTask {
                    for await changes in others {
                        if changes.contains(.all) { doubt.raise() }
                        wake.yield()
                    }
                }
                group.addTask { await publishAll(wakes, doubt) }
                await group.next()
                group.cancelAll()
            }
        }
    }

    /// Whether the store may have something else than was published.
    private final class Doubt: Sendable {
        private let isRaised = Mutex(false)

        func raise() { isRaised.withLock { $0 = true } }

        func take() -> Bool {
            isRaised.withLock { isRaised in
                defer { isRaised = false }
                return isRaised
            }
        }
    }

    private func publishAll(_ wakes: AsyncStream<Void>, _ doubt: Doubt) async {
        var publication: HostPublication?
        /// The planet has this host as it is.
        var isKnown = false
        var pause = Self.pauseFirst
        var iterator = wakes.makeAsyncIterator()
        while !Task.isCancelled {
            guard watcher.hasHeard else {
                // Before the store was heard nobody knows what the others can read.
                guard await iterator.next() != nil else { return }
                continue
            }
            // Before the look: what is listed during it is looked at once more.
            if doubt.take() { publication = nil }
            var record = await agent.record()
            let areAllAble = watcher.others(than: record.host, allHave: .smallRecords)
            record.layout = areAllAble ? .small : .whole
            do {
                let bytes = try await publish(record, over: &publication)
                if !isKnown, await !agent.isSuperseded {
                    isKnown = true
                    logger.info(
                        "joined the planet",
                        metadata: ["generation": "\(record.generation)", "machines": "\(record.machines.count)"])
                }
                pause = Self.pauseFirst
                let collect = Duration.milliseconds(Int64(bytes) * 1000 / Int64(Self.bytesPerSecondMax))
                if bytes > 0 { try? await Task.sleep(for: max(Self.collectMin, collect)) }
            } catch {
                publication = nil
                logger.warning("cannot publish the host's records", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: pause)
                pause = min(pause * 2, Self.pauseMax)
                continue
            }
            guard await agent.generation == record.generation else { continue }
            guard await iterator.next() != nil else { return }
        }
    }

    /// - Returns: the bytes that were written.
    private func publish(_ record: HostRecord, over publication: inout HostPublication?) async throws -> Int {
        for _ in 0..<Self.attemptsMax {
            var present = if let publication { publication } else { try await look(record.host) }
            publication = nil
            if present.generation > record.generation {
                await agent.supersede(by: present.generation)
                return 0
            }
            if let bytes = try await carryOut(present.steps(to: record), on: &present) {
                present.noteDone(record)
                publication = present
                return bytes
            }
        }
        throw StoreError(
            code: .unavailable, operation: "publish",
            cause: "the host's records are changed by somebody else all the time")
    }

    /// - Returns: the bytes that were written; nil when the store has something else than was expected.
    private func carryOut(_ steps: [HostPublication.Step], on present: inout HostPublication) async throws -> Int? {
        var bytes = 0
        for step in steps {
            let outcome = try await store.commit(
                Transaction(compares: present.compares, then: step.operations))
            guard outcome.succeeded else { return nil }
            present.note(step, at: outcome.revision)
            bytes += step.bytes
        }
        return bytes
    }

    private func look(_ host: HostName) async throws -> HostPublication {
        let key = StoreKeys.host(host)
        let outcome = try await store.commit(
            Transaction(then: [.read(.key(key)), .read(.prefix(key + "/"))]))
        guard outcome.listings.count == 2 else {
            throw StoreError(code: .unavailable, operation: "publish", cause: "the store left out what was asked for")
        }
        return HostPublication(
            host, whole: outcome.listings[0].entries.first, things: outcome.listings[1].entries,
            unreadable: Set(await agent.unreadableRows.map(\.id)))
    }
}
