import Foundation
import Logging
import RoostLinux
import RoostModel
import RoostRecords
import RoostStore
import Testing

@testable import RoostPlanet

@Suite("Which parts of the store a host follows") struct FollowedPartsTests {
    let shop: AppName

    init() throws { shop = try AppName("shop") }

    private func feed(_ part: PlanetPart, of parts: FollowedParts) throws -> FollowedParts.Feed {
        try #require(parts.feeds.first { $0.part == part })
    }

    @Test("A wider part takes over when it has been heard, and not before") func wider() throws {
        var parts = FollowedParts(PlanetPart.common.union([.cluster(shop)]))
        #expect(!parts.hasHeard && !parts.isLive)
        for feed in parts.feeds { _ = parts.note(feed, isHeard: true) }
        #expect(parts.hasHeard && parts.isLive && parts.hears(shop))
        let narrow = try feed(.cluster(shop), of: parts)
        let outcome1 = parts.want(PlanetPart.common.union([.clusters]))
        #expect(outcome1.isEmpty)
        #expect(parts.has(narrow) && parts.hears(shop) && !parts.isLive)
        let wide = try feed(.clusters, of: parts)
        let outcome2 = parts.note(wide, isHeard: true)
        #expect(outcome2.isOther && outcome2.replaced)
        #expect(!parts.has(narrow) && parts.hears(shop) && parts.isLive)
        // Back again: nothing is known of it as of now until it has been listed.
        let outcome3 = parts.want(PlanetPart.common.union([.cluster(shop)]))
        #expect(outcome3 == [.clusters])
        #expect(!parts.hears(shop) && !parts.has(wide))
        #expect(try feed(.cluster(shop), of: parts) != narrow)
    }

    @Test("An operation that is heard before what it is about is not judged yet") func abreast() throws {
        let id = try PlanetOperationID(String(repeating: "0", count: 25) + "1")
        let record = OperationRecord(
            id: id, kind: .createCluster, object: shop, objectMadeAt: 1, startedAt: 1, requestID: nil)
        let entry = Entry(
            key: StoreKeys.operation(id), value: try RecordCodec.write(record), created: Revision(7),
            modified: Revision(9))
        var planet = Planet()
        planet.apply(.changes([.put(entry)], revision: Revision(9)), of: .operations)
        #expect(planet.operations[id] != nil && !planet.isAbreast(of: id))
        planet.apply(.listing(Listing(entries: [], revision: Revision(6))), of: .clusters)
        #expect(!planet.isAbreast(of: id))
        planet.apply(.changes([], revision: Revision(7)), of: .clusters)
        #expect(planet.isAbreast(of: id))
        planet.forget(.clusters, but: [])
        #expect(!planet.isAbreast(of: id))
    }

    @Test("What was lost is not live, and says so once") func lost() throws {
        var parts = FollowedParts(PlanetPart.common)
        for feed in parts.feeds { _ = parts.note(feed, isHeard: true) }
        let hosts = try feed(.hosts, of: parts)
        let outcome4 = parts.note(hosts, isHeard: false)
        #expect(outcome4.isOther && !outcome4.replaced)
        let outcome5 = parts.note(hosts, isHeard: false)
        #expect(!outcome5.isOther && !outcome5.replaced)
        #expect(!parts.isLive && parts.hasHeard)
        let outcome6 = parts.note(hosts, isHeard: true)
        #expect(outcome6.isOther && !outcome6.replaced)
        #expect(parts.isLive)
    }
}

@Suite("What goes to hosts that do not need it") struct SparedHostsTests {
    let folder: TestFolder
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let shop: AppName
    let secrets: ClusterSecrets

    init() throws {
        folder = try TestFolder()
        shop = try AppName("shop")
        secrets = ClusterSecrets(
            ownerPassword: "super-word", replicationPassword: "follow-word", authorityCertificate: "authority-pem",
            serverCertificate: "server-pem", serverKey: "server-key")
    }

    private func put(_ store: SQLiteStore, _ key: String, _ record: some Encodable) async throws {
        _ = try await store.commit(
            Transaction(then: [.put(key: key, value: try RecordCodec.write(record), lease: nil)]))
    }

    private func beat(_ number: UInt64) throws -> Heartbeat {
        Heartbeat(epoch: .first, leader: try MemberName("shop-1"), sequence: number, isOpen: true)
    }

    /// Runs a host's watcher until it hears all that it follows and has written it down; then the files.
    private func copy(
        of name: String, following parts: Set<PlanetPart>, over store: SQLiteStore,
        _ body: (PlanetWatcher) async throws -> Void = { _ in }
    ) async throws -> String {
        let own = folder.path + "/" + name
        try DurableFile.makeFolder(own)
        let watcher = PlanetWatcher(store: store, stateFolder: own, following: parts, logger: logger)
        let running = Task { try await watcher.run() }
        defer { running.cancel() }
        let isKept: Bool? = try await poll(for: .seconds(10)) {
            watcher.isLive && (try? files(own).contains("ams-9")) == true ? true : nil
        }
        #expect(isKept == true)
        try await body(watcher)
        // The next one of this folder is alone with it.
        running.cancel()
        _ = try? await running.value
        return try files(own)
    }

    private func files(_ folder: String) throws -> String {
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            .map { String(decoding: try DurableFile.read(folder + "/" + $0) ?? [], as: UTF8.self) }.joined()
    }

    @Test(
        "Secrets are on no disk but an edge's, which has no passwords; passwords are where a member is",
        arguments: [true, false])
    func disks(areApart: Bool) async throws {
        let store = try SQLiteStore(path: folder.path + "/store.sqlite", logger: logger)
        try await put(store, StoreKeys.clusterSpec(shop), try Self.spec(shop))
        if areApart {
            try await put(store, StoreKeys.secrets(shop), secrets)
            try await put(store, StoreKeys.identity(shop), secrets.identity)
        } else {
            try await put(store, StoreKeys.clusterSecrets(shop), secrets)
        }
        let host = try StoredRecords.host(named: "ams-9", machines: 0, layout: .whole)
        try await put(store, StoreKeys.host(host.host), host)
        let words = ["super-word", "follow-word", "server-key"]

        let ordinary = try await copy(of: "ordinary", following: [], over: store) { watcher in
            #expect(watcher.planet.clusters.isEmpty)
        }
        #expect(words.allSatisfy { !ordinary.contains($0) })
        let member = try await copy(of: "member", following: [.cluster(shop), .secrets(shop)], over: store) { watcher in
            #expect(watcher.heard(shop)?.secrets == secrets)
        }
        #expect(words.allSatisfy { !member.contains($0) })
        let edge = try await copy(of: "edge", following: [.clusters, .identities], over: store) { watcher in
            #expect(watcher.heard(shop)?.identity == secrets.identity)
            if areApart { #expect(watcher.heard(shop)?.secrets == nil) }
        }
        #expect(words.map { edge.contains($0) } == [false, false, true])
        // An edge that starts without the store shows the same.
        let next = PlanetWatcher(
            store: ToldStore(), stateFolder: folder.path + "/edge", following: [.clusters, .identities], logger: logger)
        #expect(next.planet.clusters[shop]?.identity == secrets.identity)
    }

    @Test("What a program before this one has kept of secrets goes from the disk") func cleaned() throws {
        let file = folder.path + "/planet.sqlite"
        let entries = [
            try StoredRecords.entry(StoreKeys.clusterSecrets(shop), secrets),
            try StoredRecords.entry(StoreKeys.clusterSpec(shop), try Self.spec(shop)),
        ]
        do {
            let copy = try PlanetCopy(path: file, rule: CopyRule(keepsIdentities: true))
            try copy.writeAsFormerProgram(entries)
        }
        #expect(try files(folder.path).contains("super-word"))
        let edge = try PlanetCopy(path: file, rule: CopyRule(keepsIdentities: true))
        #expect(try edge.entries().count == 2)
        #expect(try !files(folder.path).contains("super-word") && files(folder.path).contains("server-key"))
        let other = try PlanetCopy(path: file, rule: CopyRule(keepsIdentities: false))
        #expect(try other.entries().map(\.key) == [StoreKeys.clusterSpec(shop)])
        #expect(try !files(folder.path).contains("server-key"))
    }

    @Test("A cluster's heartbeats are no change for a host that has nothing of it") func quiet() async throws {
        let store = try SQLiteStore(path: folder.path + "/store.sqlite", logger: logger)
        let other = try AppName("other")
        for cluster in [shop, other] { try await put(store, StoreKeys.clusterSpec(cluster), try Self.spec(cluster)) }
        let watcher = PlanetWatcher(store: store, stateFolder: folder.path, logger: logger)
        watcher.follow([.cluster(shop)])
        let running = Task { try await watcher.run() }
        defer { running.cancel() }
        #expect(try await poll(for: .seconds(10)) { watcher.isLive ? true : nil } == true)
        var changes = watcher.changes.subscribe { $0 != .connection && $0 != .all }.makeAsyncIterator()
        for number in 1...5 { try await put(store, StoreKeys.clusterHeartbeat(other), try beat(UInt64(number))) }
        try await put(store, StoreKeys.clusterHeartbeat(shop), try beat(7))
        #expect(await changes.next() == [.cluster(shop, .heartbeat)])
        #expect(watcher.heard(shop)?.heartbeat?.sequence == 7)
        #expect(watcher.planet.clusters[other] == nil)
        // The cluster's member has left: what it was is forgotten.
        watcher.follow([])
        #expect(watcher.planet.clusters.isEmpty && !watcher.hears(shop))
    }

    @Test("Of networks the highest number that was ever heard of is remembered, whatever the store says later")
    func lastNetwork() async throws {
        let store = try SQLiteStore(path: folder.path + "/store.sqlite", logger: logger)
        func make(_ name: String, _ number: UInt32) async throws {
            let name = try AppName(name)
            try await put(
                store, StoreKeys.app(name),
                AppRecord(
                    name: name, network: NetworkNumber(number), networkName: try NetworkName(name.text), createdAt: 1,
                    owner: nil))
        }
        func delete(_ key: String) async throws {
            _ = try await store.commit(Transaction(then: [.delete(.key(key))]))
        }
        func knows(_ watcher: PlanetWatcher, _ number: UInt32) -> Bool {
            watcher.networks(of: shop).highest == NetworkNumber(number)
        }
        try await make("one", 1)
        var host = try StoredRecords.host(named: "ams-9", machines: 1, layout: .whole)
        let one = host.machines[0]
        host.machines[0] = MachineRecord(
            id: one.id, name: one.name, app: one.app, region: one.region, state: one.state, instance: one.instance,
            config: one.config, network: NetworkNumber(12), createdAt: 1, updatedAt: 1)
        let (machine, folder) = (host, folder.path)
        do {
            let watcher = PlanetWatcher(store: store, stateFolder: folder, logger: logger)
            let running = Task { try await watcher.run() }
            defer { running.cancel() }
            func wait(for number: UInt32) async throws {
                #expect(try await poll(for: .seconds(10)) { knows(watcher, number) ? true : nil } == true, "\(number)")
            }
            try await wait(for: 1)
            try await make("two", 7)
            try await wait(for: 7)
            try await put(store, StoreKeys.host(host.host), machine)
            try await wait(for: 12)
            // As after a store that went back: both are gone from it.
            try await delete(StoreKeys.host(host.host))
            try await delete(StoreKeys.app(try AppName("two")))
            let isGone = try await poll(for: .seconds(10)) {
                watcher.planet.hosts.isEmpty && watcher.planet.apps.count == 1 ? true : nil
            }
            #expect(isGone == true && knows(watcher, 12))
            let isKept = try await poll(for: .seconds(10)) {
                let copy = try PlanetCopy(path: folder + "/planet.sqlite", rule: CopyRule(keepsIdentities: false))
                return try copy.entries().count == 1 && copy.lastNetwork() == NetworkNumber(12) ? true : nil
            }
            #expect(isKept == true)
        }
        // Neither by a program that starts when the store has gone back.
        #expect(knows(PlanetWatcher(store: ToldStore(), stateFolder: folder, logger: logger), 12))
    }

    static func spec(_ name: AppName) throws -> ClusterSpec {
        ClusterSpec(
            name: name, address: try IPv4Address("203.0.113.7"), volumeSize: .gibibytes(1), guest: MachineGuest(),
            image: "postgres", members: [.init(name: try MemberName("\(name)-1"), region: try RegionCode("ams"))],
            createdAt: 0)
    }
}
