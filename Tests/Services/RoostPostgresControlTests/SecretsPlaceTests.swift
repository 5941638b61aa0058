import Foundation
import Logging
import RoostLinux
import RoostModel
import RoostPlanet
import RoostRecords
import RoostStore
import Testing

@testable import RoostPostgresControl

@Suite("Where secrets are") struct SecretsPlaceTests {
    let folder = NSTemporaryDirectory() + "roost-secrets-\(UUID().uuidString)"
    let store: SQLiteStore
    let name: AppName
    let secrets: ClusterSecrets

    init() throws {
        try DurableFile.makeFolder(folder)
        store = try SQLiteStore(path: folder + "/store.sqlite", logger: Logger(label: "test"))
        name = try AppName("db")
        secrets = ClusterSecrets(
            ownerPassword: "a", replicationPassword: "b", authorityCertificate: "c", serverCertificate: "d",
            serverKey: "e")
    }

    private func set(_ key: String, _ record: (any Encodable)?) async throws {
        let change: Transaction.Operation =
            if let record { .put(key: key, value: try RecordCodec.write(record), lease: nil) } else {
                .delete(.key(key))
            }
        _ = try await store.commit(Transaction(then: [change]))
    }

    private func start() async throws {
        try await set(
            StoreKeys.clusterSpec(name),
            ClusterSpec(
                name: name, address: try IPv4Address("203.0.113.7"), volumeSize: .gibibytes(1), guest: MachineGuest(),
                image: "postgres", members: [], createdAt: 0))
    }

    private func look() async throws -> SecretsPlace {
        func entry(_ key: String) async throws -> Entry? { try await store.read(.key(key), at: nil).entries.first }
        return SecretsPlace(
            cluster: name, spec: try await entry(StoreKeys.clusterSpec(name))?.modified,
            among: try await entry(StoreKeys.clusterSecrets(name)), apart: try await entry(StoreKeys.secrets(name)),
            identity: try await entry(StoreKeys.identity(name)))
    }

    /// What hosts make of the store: one that looks everywhere, and one of the version before.
    private func seen() async throws -> (ClusterSecrets?, ClusterIdentity?, former: ClusterSecrets?) {
        let all = try await store.read(.prefix("/roost"), at: nil)
        var planet = Planet()
        planet.apply(.listing(all))
        let former = all.entries.first { $0.key == StoreKeys.clusterSecrets(name) }
        return (
            planet.clusters[name]?.secrets, planet.clusters[name]?.identity,
            try former.map { try RecordCodec.read(ClusterSecrets.self, from: $0.value) }
        )
    }

    @Test("Whatever step a move is cut off at, hosts find the secrets, and the next host ends it")
    func moves() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await start()
        try await set(StoreKeys.clusterSecrets(name), secrets)
        for (place, expected) in [
            (SecretsPlace.Place.apart, [SecretsPlace.Step.setApart, .removeAmong]),
            (.among, [.setAmong, .removeApart]), (.apart, [.setApart, .removeAmong]),
        ] {
            var steps: [SecretsPlace.Step] = []
            // Each turn is a host that knows nothing of the one before, which ended after its step.
            while let step = try await look().step(to: place) {
                let outcome = try await store.commit(try await look().transaction(step))
                #expect(outcome.succeeded)
                steps.append(step)
                let now = try await seen()
                #expect(now.0 == secrets && now.1 == secrets.identity)
                try #require(steps.count < 5)
            }
            #expect(steps == expected)
            #expect(try await seen().former == (place == .among ? secrets : nil))
        }
    }

    @Test("A step that was planned on what is no more changes nothing") func late() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await start()
        try await set(StoreKeys.clusterSecrets(name), secrets)
        let before = try await look()
        try await set(StoreKeys.clusterSpec(name), nil)
        #expect(try await !store.commit(try before.transaction(.setApart)).succeeded)
        #expect(try await look().apart == nil)
    }

    @Test("A cluster that a former program has unmade, and made again under its name, gets its own secrets")
    func orphans() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var old = secrets
        old.ownerPassword = "old"
        try await set(StoreKeys.secrets(name), old)
        try await set(StoreKeys.identity(name), old.identity)
        #expect(try await look().step(to: .apart) == .removeApart)
        try await start()
        try await set(StoreKeys.clusterSecrets(name), secrets)
        #expect(try await seen().0 == secrets)
        _ = try await store.commit(try await look().transaction(.setApart))
        #expect(try await seen().0 == secrets)
        #expect(try await look().step(to: .apart) == .removeAmong)
    }

    @Test("The old place is emptied only when the new one has been there for a while") func patience() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await start()
        try await set(StoreKeys.clusterSecrets(name), secrets)
        var desk = MoveDesk()
        let begin = Moment(sinceBoot: .seconds(100))
        func due(_ at: Moment) async throws -> [SecretsPlace.Step] {
            guard desk.isDue(.apart, at) else { return [] }
            return desk.steps([try await look()], to: .apart, at).map(\.1)
        }
        #expect(try await due(begin) == [.setApart])
        _ = try await store.commit(try await look().transaction(.setApart))
        #expect(try await due(begin + .seconds(2)).isEmpty)
        #expect(try await due(begin + .seconds(8)).isEmpty)
        #expect(try await due(begin + .seconds(12)) == [.removeAmong])
        _ = try await store.commit(try await look().transaction(.removeAmong))
        #expect(try await due(begin + .seconds(14)).isEmpty)
        // Then nothing is read for a minute, but at once when a host comes that looks elsewhere.
        let outcome1 = desk.isDue(.apart, begin + .seconds(40))
        #expect(!outcome1)
        let outcome2 = desk.isDue(.among, begin + .seconds(41))
        #expect(outcome2)
    }

    @Test("They are apart while every host finds them there, and come back with one that does not")
    func hosts() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let own = try HostName("ams1")
        let watcher = PlanetWatcher(store: store, stateFolder: folder, logger: Logger(label: "test"))
        #expect(SecretsMover.place(on: own, in: watcher) == nil)
        let running = Task { try await watcher.run() }
        defer { running.cancel() }
        func place(_ wanted: SecretsPlace.Place) async throws -> Bool {
            try await poll(for: .seconds(10)) { SecretsMover.place(on: own, in: watcher) == wanted ? true : nil }
                == true
        }
        func host(_ name: String, _ capabilities: Set<Capability>) async throws {
            let name = try HostName(name)
            try await set(
                StoreKeys.host(name),
                HostRecord(
                    host: name, region: try RegionCode("ams"), generation: Generation(1),
                    capacity: HostCapacity(cpus: 1, memory: .gibibytes(1), disk: .gibibytes(1)),
                    mesh: MeshIdentity(
                        publicKey: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", endpoint: "198.18.0.1:1",
                        probePort: 1, address: MeshAddress.host(name)),
                    isEdge: false, isStoreMember: false, capabilities: capabilities))
        }
        // Alone: there is nobody to keep them from.
        #expect(try await place(.among))
        try await host("ams2", Release.capabilities)
        #expect(try await place(.apart))
        try await host("ams3", [.smallRecords])
        #expect(try await place(.among))
        try await host("ams3", Release.capabilities)
        #expect(try await place(.apart))
    }

    @Test("A host follows what its members, its edge and its duty need") func interest() throws {
        let other = try AppName("other")
        #expect(ClusterInterest.parts(ofMembers: [], isEdge: false, hasDuty: false).isEmpty)
        #expect(
            ClusterInterest.parts(ofMembers: [name, other], isEdge: false, hasDuty: false)
                == [.cluster(name), .secrets(name), .cluster(other), .secrets(other)])
        #expect(ClusterInterest.parts(ofMembers: [], isEdge: true, hasDuty: false) == [.clusters, .identities])
        #expect(ClusterInterest.parts(ofMembers: [name], isEdge: false, hasDuty: true) == [.clusters, .secrets(name)])
    }
}
