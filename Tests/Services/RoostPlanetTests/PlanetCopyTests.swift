import Foundation
import Logging
import RoostLinux
import RoostModel
import RoostRecords
import RoostStore
import Synchronization
import Testing

@testable import RoostPlanet

/// A folder that vanishes with the test.
final class TestFolder: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "roost-planet-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// A store whose watch says what the test says.
final class ToldStore: Store {
    private let events = AsyncStream.makeStream(of: WatchEvent.self)

    func tell(_ event: WatchEvent) { events.continuation.yield(event) }

    func watch(_ range: KeyRange, from revision: Revision?) -> AsyncStream<WatchEvent> { events.stream }

    private func refused() -> StoreError { StoreError(code: .unavailable, operation: "test", cause: "it only tells") }
    func read(_ range: KeyRange, at revision: Revision?) async throws(StoreError) -> Listing { throw refused() }
    func commit(_ transaction: Transaction) async throws(StoreError) -> TransactionOutcome { throw refused() }
    func grantLease(timeToLive: Duration) async throws(StoreError) -> LeaseID { throw refused() }
    func keepAlive(_ lease: LeaseID) async throws(StoreError) -> Bool { throw refused() }
    func revoke(_ lease: LeaseID) async throws(StoreError) { throw refused() }
}

@Suite struct PlanetCopyTests {
    let folder: TestFolder
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    init() throws { folder = try TestFolder() }

    var file: String { folder.path + "/planet.sqlite" }

    func changes(_ events: [(WatchEvent, Set<String>)]) -> PlanetCopy.Changes {
        var changes = PlanetCopy.Changes()
        for (event, unreadable) in events { changes.add(event, unreadable: unreadable) }
        return changes
    }

    @Test("What was written is read again, byte by byte, also by the next program") func kept() throws {
        let entries = try StoredRecords.store(of: "second").sorted { $0.key < $1.key }
        try PlanetCopy(path: file).write(changes([(StoredRecords.listing(entries), [])]))
        let kept = try PlanetCopy(path: file).entries()
        #expect(kept.map(\.value) == entries.filter { !$0.key.hasSuffix("/heartbeat") }.map(\.value))
    }

    @Test("A later listing removes what is gone, and keeps what it cannot read") func listing() throws {
        let entries = try StoredRecords.store(of: "second").sorted { $0.key < $1.key }
        let copy = try PlanetCopy(path: file)
        try copy.write(changes([(StoredRecords.listing(entries), [])]))
        let host = StoreKeys.host(try HostName("ams-1"))
        let rest = [StoredRecords.raw(host, Array("broken".utf8), at: 8)]
        try copy.write(changes([(StoredRecords.listing(rest), [host])]))
        #expect(try copy.entries().map(\.key) == [host])
        #expect(try copy.entries().first?.value == entries.first(where: { $0.key == host })?.value)
        try copy.write(changes([(.changes([.delete(key: host)], revision: Revision(9)), [])]))
        #expect(try copy.entries().isEmpty)
    }

    @Test("A broken file is made anew") func broken() throws {
        try DurableFile.write("this is no database, and it is long enough to be taken for one", to: file)
        let copy = try PlanetCopy(path: file)
        try copy.write(changes([(StoredRecords.listing(try StoredRecords.store(of: "second")), [])]))
        #expect(try !copy.entries().isEmpty)
    }

    @Test("A program that starts without the store knows the planet, also from the first version's file, which goes")
    func started() async throws {
        let store = try StoredRecords.store(of: "first")
        func tree(_ key: String) throws -> Any {
            let entry = try #require(store.first { $0.key == key })
            return try JSONSerialization.jsonObject(with: Data(entry.value))
        }
        let shop = try AppName("shop")
        let former: [String: Any] = [
            "revision": 0, "apps": ["shop": try tree(StoreKeys.app(shop))] as [String: Any],
            "addresses": [String: Any](),
            "hosts": ["ams-1": try tree(StoreKeys.host(try HostName("ams-1")))] as [String: Any],
            "clusters": [
                "shop": [
                    "spec": try tree(StoreKeys.clusterSpec(shop)), "rule": try tree(StoreKeys.clusterRule(shop)),
                    "secrets": try tree(StoreKeys.clusterSecrets(shop)), "specRevision": 3, "ruleRevision": 4,
                    "placements": ["pg1": try tree(StoreKeys.placement(shop, try MemberName("pg1")))] as [String: Any],
                    "reports": [String: Any](),
                ] as [String: Any]
            ],
        ]
        let formerFile = folder.path + "/planet.json"
        try DurableFile.write(Array(try JSONSerialization.data(withJSONObject: former)), to: formerFile)
        let told = ToldStore()
        let watcher = PlanetWatcher(store: told, stateFolder: folder.path, logger: logger)
        #expect(watcher.planet.machines(of: shop).count == 1)
        #expect(watcher.planet.clusters[shop]?.secrets != nil)
        #expect(!watcher.isLive && !watcher.hasHeard)

        let running = Task { try await watcher.run() }
        let changes = watcher.changes.subscribe()
        told.tell(StoredRecords.listing(try StoredRecords.store(of: "second")))
        var iterator = changes.makeAsyncIterator()
        let first = await iterator.next()
        #expect(first == [.all, .connection])
        #expect(watcher.isLive)
        told.tell(.interrupted)
        let second = await iterator.next()
        #expect(second == [.connection])
        #expect(!watcher.isLive && watcher.hasHeard)
        let isGone = try await poll(for: .seconds(10)) {
            FileManager.default.fileExists(atPath: formerFile) ? nil : true
        }
        #expect(isGone == true)
        running.cancel()
        _ = try? await running.value
        let next = PlanetWatcher(store: ToldStore(), stateFolder: folder.path, logger: logger)
        #expect(next.planet.machines(of: shop).count == 1)
    }
}
