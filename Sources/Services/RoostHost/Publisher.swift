import Foundation
public import Logging
import RoostLinux
import RoostModel
import RoostPlanet
public import RoostStore
public import ServiceLifecycle

/// Publishes the host's record whole at each change, and only over a record with a lower generation.
public struct Publisher: Service {
    let agent: HostAgent
    let store: any Store
    let logger: Logger

    static let pauseFirst = Duration.milliseconds(100)
    static let pauseMax = Duration.seconds(2)

    public init(agent: HostAgent, store: any Store, logger: Logger) {
        self.agent = agent
        self.store = store
        self.logger = logger
    }

    public func run() async throws {
        let changes = agent.changes.subscribe()
        await cancelWhenGracefulShutdown {
            var pause = Self.pauseFirst
            var known = Revision.absent
            var iterator = changes.makeAsyncIterator()
            while !Task.isCancelled {
                let record = await agent.record()
                do {
                    known = try await publish(record, over: known)
                    pause = Self.pauseFirst
                } catch {
                    logger.warning("cannot publish the host's record", metadata: ["error": "\(error)"])
                    try? await Task.sleep(for: pause)
                    pause = min(pause * 2, Self.pauseMax)
                    continue
                }
                guard await agent.generation == record.generation else { continue }
                guard await iterator.next() != nil else { return }
            }
        }
    }

    /// - Returns: the revision of the published record.
    private func publish(_ record: HostRecord, over known: Revision) async throws -> Revision {
        let key = StoreKeys.host(record.host)
        var known = known
        while true {
            let outcome = try await store.commit(
                Transaction(
                    compares: [.modified(key: key, equals: known)],
                    then: [.put(key: key, value: Array(try JSONEncoder().encode(record)), lease: nil)],
                    otherwise: [.read(.key(key))]))
            if outcome.succeeded { return outcome.revision }
            guard let entry = outcome.listings.first?.entries.first else {
                known = .absent
                continue
            }
            // Of a record that this version cannot read the generation still counts.
            struct Guarded: Decodable { var generation: Generation }
            let decoder = JSONDecoder()
            if let published = try? decoder.decode(Guarded.self, from: Data(entry.value)),
                published.generation > record.generation
            {
                await agent.supersede(by: published.generation)
                return entry.modified
            }
            if let published = try? decoder.decode(HostRecord.self, from: Data(entry.value)), published == record {
                return entry.modified
            }
            known = entry.modified
        }
    }
}
