import Foundation
import GRDB
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
    private typealias Events = (stream: AsyncStream<WatchEvent>, continuation: AsyncStream<WatchEvent>.Continuation)
    private let events = Mutex<[KeyRange: Events]>([:])

    private func events(of range: KeyRange) -> Events {
        events.withLock { events in
            if let known = events[range] { return known }
            let made = AsyncStream.makeStream(of: WatchEvent.self)
            events[range] = made
            return made
        }
    }

    /// Every part hears of its own keys.
    func tell(_ event: WatchEvent, _ parts: Set<PlanetPart>) {
        for part in parts {
            let own: WatchEvent =
                switch event {
                case .listing(let listing):
                    .listing(
                        Listing(
                            entries: listing.entries.filter { part.has(StoreKey($0.key)) }, revision: listing.revision))
                case .changes, .interrupted: event
                }
            events(of: part.range).continuation.yield(own)
        }
    }

    func watch(_ range: KeyRange, from revision: Revision?) -> AsyncStream<WatchEvent> { events(of: range).stream }

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

    let rule = CopyRule(keepsIdentities: true)

    func changes(_ events: [(WatchEvent, Set<String>)]) -> PlanetCopy.Changes {
        var changes = PlanetCopy.Changes()
        for (event, unreadable) in events { changes.add(event, of: nil, unreadable: unreadable, rule) }
        return changes
    }

    @Test("What was written is read again, byte by byte, also by the next program") func kept() throws {
        let entries = try StoredRecords.store(of: "second").sorted { $0.key < $1.key }
        try PlanetCopy(path: file, rule: rule).write(changes([(StoredRecords.listing(entries), [])]))
        let kept = try PlanetCopy(path: file, rule: rule).entries()
        #expect(kept == entries.compactMap(rule.kept).map { Self.asKept($0) })
        let same = Set(entries.map(\.value)).intersection(kept.map(\.value))
        #expect(same.count == entries.count - 2, "all but the heartbeat and the passwords, as they came")
    }

    private static func asKept(_ entry: Entry) -> Entry {
        Entry(key: entry.key, value: entry.value, created: entry.modified, modified: entry.modified)
    }

    @Test("What is not followed any more goes from the disk, but for what is of another part that is")
    func forgotten() throws {
        let entries = try StoredRecords.store(of: "second")
        let clusters = Set(
            entries.compactMap { entry -> AppName? in
                guard case .cluster(let name, _) = StoreKey(entry.key) else { return nil }
                return name
            })
        let own = try #require(clusters.first)
        let copy = try PlanetCopy(path: file, rule: rule)
        try copy.write(changes([(StoredRecords.listing(entries), [])]))
        let before = try copy.entries().filter { PlanetPart.cluster(own).has(StoreKey($0.key)) }
        var left = PlanetCopy.Changes()
        left.forget(.clusters, but: PlanetPart.common.union([.cluster(own)]))
        try copy.write(left)
        let after = try copy.entries().filter { PlanetPart.clusters.has(StoreKey($0.key)) }
        #expect(!before.isEmpty && after == before)
        var all = PlanetCopy.Changes()
        all.forget(.clusters, but: PlanetPart.common)
        try copy.write(left.followed(by: all))
        #expect(try !copy.entries().contains { PlanetPart.clusters.has(StoreKey($0.key)) })
    }

    @Test("A copy without passwords is none that a member could be made with") func passwordless() throws {
        let shop = try AppName("shop")
        let secrets = ClusterSecrets(
            ownerPassword: "", replicationPassword: "", authorityCertificate: "authority-pem",
            serverCertificate: "server-pem", serverKey: "server-key")
        var planet = Planet()
        planet.apply(StoredRecords.listing([try StoredRecords.entry(StoreKeys.clusterSecrets(shop), secrets)]))
        #expect(planet.clusters[shop]?.secrets == nil)
        #expect(planet.clusters[shop]?.identity == secrets.identity)
    }

    @Test("A later listing removes what is gone, and keeps what it cannot read") func listing() throws {
        let entries = try StoredRecords.store(of: "second").sorted { $0.key < $1.key }
        let copy = try PlanetCopy(path: file, rule: rule)
        try copy.write(changes([(StoredRecords.listing(entries), [])]))
        let host = StoreKeys.host(try HostName("ams-1"))
        let rest = [StoredRecords.raw(host, Array("broken".utf8), at: 8)]
        try copy.write(changes([(StoredRecords.listing(rest), [host])]))
        #expect(try copy.entries().map(\.key) == [host])
        #expect(try copy.entries().first?.value == entries.first(where: { $0.key == host })?.value)
        try copy.write(changes([(.changes([.delete(key: host)], revision: Revision(9)), [])]))
        #expect(try copy.entries().isEmpty)
    }

    @Test("A store that was restored has given a revision twice: the record is the one of now")
    func revisionGivenTwice() throws {
        let entries = try StoredRecords.store(of: "second").sorted { $0.key < $1.key }
        let copy = try PlanetCopy(path: file, rule: rule)
        try copy.write(changes([(StoredRecords.listing(entries), [])]))
        let index = try #require(entries.firstIndex { $0.key == StoreKeys.host(try! HostName("ams-1")) })
        var anew = entries
        anew[index].value.append(UInt8(ascii: " "))
        try copy.write(changes([(StoredRecords.listing(anew), [])]))
        #expect(try copy.entries() == anew.compactMap(rule.kept).map { Self.asKept($0) })
    }

    @Test("A broken file is made anew") func broken() throws {
        try DurableFile.write("this is no database, and it is long enough to be taken for one", to: file)
        let copy = try PlanetCopy(path: file, rule: rule)
        try copy.write(changes([(StoredRecords.listing(try StoredRecords.store(of: "second")), [])]))
        #expect(try !copy.entries().isEmpty)
    }

    @Test("A file that has been cut or overwritten in its middle is made anew")
    func brokenWithin() throws {
        let entries = try StoredRecords.store(of: "second")
        let whole = changes([(StoredRecords.listing(entries), [])])
        try PlanetCopy(path: file, rule: rule).write(whole)
        var bytes = try #require(try DurableFile.read(file))
        for index in bytes.indices.dropFirst(4096) { bytes[index] = 0xff }
        try DurableFile.write(bytes, to: file)
        for suffix in ["-wal", "-shm"] { try DurableFile.remove(file + suffix) }
        let copy = try PlanetCopy(path: file, rule: rule)
        #expect(try copy.entries().isEmpty)
        try copy.write(whole)
        #expect(try !copy.entries().isEmpty)
    }

    @Test("A file that another process holds is left alone") func locked() throws {
        let entries = try StoredRecords.store(of: "second")
        try PlanetCopy(path: file, rule: rule).write(changes([(StoredRecords.listing(entries), [])]))
        let kept = try PlanetCopy(path: file, rule: rule).entries()
        var configuration = Configuration()
        // GRDB ends the process that leaves a transaction open without having said so.
        configuration.allowsUnsafeTransactions = true
        let holder = try DatabaseQueue(path: file, configuration: configuration)
        try holder.inDatabase { try $0.beginTransaction(.exclusive) }
        #expect(throws: DatabaseError.self) {
            try PlanetCopy(path: file, rule: rule, lockedMax: .milliseconds(20))
        }
        try holder.inDatabase { try $0.rollback() }
        #expect(try PlanetCopy(path: file, rule: rule).entries() == kept)
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
        let parts = PlanetPart.common.union([.clusters, .identities])
        let watcher = PlanetWatcher(store: told, stateFolder: folder.path, following: parts, logger: logger)
        #expect(watcher.planet.machines(of: shop).count == 1)
        #expect(watcher.planet.clusters[shop]?.identity != nil)
        #expect(!watcher.isLive && !watcher.hasHeard)

        let running = Task { try await watcher.run() }
        let changes = watcher.changes.subscribe()
        told.tell(StoredRecords.listing(try StoredRecords.store(of: "second")), parts)
        var iterator = changes.makeAsyncIterator()
        var heard: Set<PlanetChange> = []
        while !watcher.isLive { heard.formUnion(await iterator.next() ?? []) }
        #expect(heard.isSubset(of: [.all, .connection]))
        told.tell(.interrupted, [.apps])
        while watcher.isLive { heard = await iterator.next() ?? [] }
        #expect(heard.contains(.connection))
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

extension PlanetCopy {
    /// Bytes as they came, as the version before has kept them.
    func writeAsFormerProgram(_ entries: [Entry]) throws {
        var changes = Changes()
        for entry in entries { changes.records[entry.key] = .some(entry) }
        try write(changes)
    }
}
