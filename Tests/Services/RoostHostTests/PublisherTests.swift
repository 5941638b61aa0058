import Foundation
import Logging
import RoostLinux
import RoostMesh
import RoostModel
import RoostPlanet
import RoostRecords
import RoostStore
import Testing

@testable import RoostHost

@Suite struct HostPublicationTests {
    let host: HostRecord

    init() throws {
        let file = URL(filePath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Model/RoostRecordsTests/Fixtures/first/host.json")
        host = try RecordCodec.read(HostRecord.self, from: Array(try Data(contentsOf: file)))
    }

    @Test(
        "A stopped edge is a part of the record, and is no more when it is started; a record that does not say is of none"
    )
    func stoppedEdge() throws {
        #expect(!host.isEdgeStopped)
        var publication = HostPublication(host.host, whole: nil, things: [])
        var next = record(.small, generation: 9)
        for isStopped in [true, false] {
            next.isEdgeStopped = isStopped
            let steps = try publication.steps(to: next)
            let entries = carryOut(steps, over: [:])
            let bytes = try #require(entries[StoreKeys.host(host.host)])
            #expect(try RecordCodec.read(HostRecord.self, from: bytes).isEdgeStopped == isStopped)
            #expect(String(decoding: bytes, as: UTF8.self).contains("edge_stopped") == isStopped)
            publication = HostPublication(
                host.host,
                whole: Entry(key: StoreKeys.host(host.host), value: bytes, created: Revision(1), modified: Revision(1)),
                things: [])
        }
    }

    func record(_ layout: HostRecord.Layout, generation: UInt64) -> HostRecord {
        var record = host
        record.layout = layout
        record.generation = Generation(generation)
        return record
    }

    /// The store after the steps, as a listing of the host's keys.
    func carryOut(_ steps: [HostPublication.Step], over entries: [String: [UInt8]]) -> [String: [UInt8]] {
        var entries = entries
        for operation in steps.flatMap(\.operations) {
            switch operation {
            case .put(let key, let value, _): entries[key] = value
            case .delete(.key(let key)): entries[key] = nil
            case .delete(.prefix), .read: Issue.record("\(operation)")
            }
        }
        return entries
    }

    func publication(of entries: [String: [UInt8]]) -> HostPublication {
        let all = entries.map {
            Entry(key: $0.key, value: $0.value, created: Revision(1), modified: Revision(5))
        }
        let key = StoreKeys.host(host.host)
        return HostPublication(
            host.host, whole: all.first { $0.key == key }, things: all.filter { $0.key != key })
    }

    @Test("A store of the first version is rewritten by its owner, the host's record last") func first() throws {
        let former = [StoreKeys.host(host.host): try RecordCodec.write(record(.whole, generation: 7))]
        let next = record(.small, generation: 8)
        let steps = try publication(of: former).steps(to: next)
        let entries = carryOut(steps, over: former)
        let machine = try #require(host.machines.first)
        #expect(
            Set(entries.keys) == [
                StoreKeys.host(host.host), StoreKeys.generation(host.host),
                StoreKeys.machine(machine.id, on: host.host),
                StoreKeys.volume(try #require(host.volumes.first).id, on: host.host),
            ])
        #expect(steps.map(\.hasHost) == [false, true])
        #expect(try publication(of: entries).steps(to: next).isEmpty)
        // And back, when a host of the first version has come: the record first.
        let back = record(.whole, generation: 9)
        let backSteps = try publication(of: entries).steps(to: back)
        #expect(backSteps.map(\.hasHost) == [true, false])
        #expect(
            Set(carryOut(backSteps, over: entries).keys) == [
                StoreKeys.host(host.host), StoreKeys.generation(host.host),
            ])
    }

    @Test("One machine's change writes this machine and the generation, at most 4 kB") func small() throws {
        let present = record(.small, generation: 7)
        var publication = publication(of: [:])
        let steps = try publication.steps(to: present)
        for step in steps { publication.note(step, at: Revision(3)) }
        publication.noteDone(present)
        #expect(try publication.steps(to: present).isEmpty)
        var next = record(.small, generation: 8)
        next.machines[0].state = .stopped
        let change = try publication.steps(to: next)
        #expect(change.count == 1)
        #expect(change[0].operations.count == 2 && !change[0].hasHost)
        #expect(change[0].bytes <= 4096)
        #expect(publication.compares.contains(.modified(key: StoreKeys.generation(host.host), equals: Revision(3))))
    }

    @Test("The generation of a record that cannot be read still counts") func guarded() throws {
        let key = StoreKeys.host(host.host)
        #expect(publication(of: [key: Array(#"{"generation":41,"other":1}"#.utf8)]).generation == Generation(41))
    }

    @Test("What a newer program of this host has put beside is left there") func beside() throws {
        let key = StoreKeys.host(host.host) + "/snapshots/1"
        let entries = carryOut(
            try publication(of: [key: [1]]).steps(to: record(.small, generation: 8)), over: [key: [1]])
        #expect(entries[key] == [1])
    }

    /// The host with a change to its machine, its volume and itself.
    func changed(_ layout: HostRecord.Layout, _ number: Int) -> HostRecord {
        var next = record(layout, generation: UInt64(number))
        next.machines[0].updatedAt = Int64(number)
        // Whatever is in these two is known.
        next.machines[0].config.environment["x_future"] = "kept"
        next.machines[0].config.metadata["x_future"] = "kept"
        next.volumes[0].createdAt = Int64(number)
        next.diskLeft = .gibibytes(number)
        return next
    }

    /// The store when a newer program has published the host, with something of its own at every depth.
    func future(of next: HostRecord) throws -> [String: JSONTree] {
        try carryOut(try publication(of: [:]).steps(to: next), over: [:]).mapValues {
            try JSONTree(json: $0).fromTheFuture
        }
    }

    @Test(
        "What a newer program of this host has published is there after every change, in whichever layout",
        arguments: [
            [HostRecord.Layout.small, .small, .small], [.whole, .whole, .whole], [.whole, .small, .whole],
            [.small, .whole, .small],
        ])
    func newer(_ layouts: [HostRecord.Layout]) throws {
        var entries = try future(of: changed(layouts[0], 7)).mapValues { try $0.json() }
        func trees() throws -> [String: JSONTree] { try entries.mapValues { try JSONTree(json: $0) } }
        var publication = publication(of: entries)
        for (index, layout) in layouts.enumerated() {
            let next = changed(layout, 8 + index)
            entries = carryOut(try publication.steps(to: next), over: entries)
            publication.noteDone(next)
            #expect(try trees() == future(of: next), "\(layout), change \(index)")
        }
        // And by a process that looks at the store anew.
        let next = changed(layouts[0], 20)
        entries = carryOut(try self.publication(of: entries).steps(to: next), over: entries)
        #expect(try trees() == future(of: next))
    }

    @Test(
        "What a row that cannot be read stands for stays published as it is, in whichever layout",
        arguments: [
            [HostRecord.Layout.small, .small], [.whole, .whole], [.whole, .small, .whole], [.small, .whole, .small],
        ])
    func unreadable(_ layouts: [HostRecord.Layout]) throws {
        let (machine, volume) = (try #require(host.machines.first), try #require(host.volumes.first))
        var entries = carryOut(
            try publication(of: [:]).steps(to: record(layouts[0], generation: 7)), over: [:])
        for (index, layout) in layouts.dropFirst().enumerated() {
            let key = StoreKeys.host(host.host)
            let all = entries.map {
                Entry(key: $0.key, value: $0.value, created: Revision(1), modified: Revision(5))
            }
            var publication = HostPublication(
                host.host, whole: all.first { $0.key == key }, things: all.filter { $0.key != key },
                unreadable: [machine.id.text, volume.id.text])
            // Neither is among what the host can tell of itself.
            var next = record(layout, generation: UInt64(8 + index))
            next.machines.removeAll { $0.id == machine.id }
            next.volumes.removeAll { $0.id == volume.id }
            entries = carryOut(try publication.steps(to: next), over: entries)
            publication.noteDone(next)
            next.diskLeft = .gibibytes(1)
            entries = carryOut(try publication.steps(to: next), over: entries)
            var planet = Planet()
            planet.apply(
                .listing(
                    Listing(
                        entries: entries.map {
                            Entry(key: $0.key, value: $0.value, created: Revision(1), modified: Revision(5))
                        }.sorted { $0.key < $1.key }, revision: Revision(9))))
            #expect(planet.machine(machine.id, on: host.host) == machine)
            #expect(planet.hosts[host.host]?.volumes.contains(volume) == true)
            #expect(planet.hosts[host.host]?.diskLeft == .gibibytes(1))
        }
    }

    @Test("A host that was cut off between the layouts publishes what it cannot read once")
    func unreadableTwice() throws {
        let (machine, volume) = (try #require(host.machines.first), try #require(host.volumes.first))
        let small = carryOut(try publication(of: [:]).steps(to: record(.small, generation: 7)), over: [:])
        // The first step of the way back.
        let entries = carryOut(
            Array(try publication(of: small).steps(to: record(.whole, generation: 8)).prefix(1)), over: small)
        #expect(entries.count == small.count)
        let key = StoreKeys.host(host.host)
        let all = entries.map { Entry(key: $0.key, value: $0.value, created: Revision(1), modified: Revision(5)) }
        let publication = HostPublication(
            host.host, whole: all.first { $0.key == key }, things: all.filter { $0.key != key },
            unreadable: [machine.id.text, volume.id.text])
        var next = record(.whole, generation: 9)
        next.machines.removeAll { $0.id == machine.id }
        next.volumes.removeAll { $0.id == volume.id }
        next.diskLeft = .gibibytes(3)
        let stored = carryOut(try publication.steps(to: next), over: entries)
        let whole = try RecordCodec.read(HostRecord.self, from: try #require(stored[key]))
        #expect(whole.machines.filter { $0.id == machine.id } == [machine])
        #expect(whole.volumes.filter { $0.id == volume.id } == [volume])
        #expect(Set(stored.keys) == [key, StoreKeys.generation(host.host)])
    }

    @Test(
        "A small record that cannot be read stays in either layout, and goes when its row is known to be gone",
        arguments: [HostRecord.Layout.small, .whole])
    func unreadableRecord(_ layout: HostRecord.Layout) throws {
        let machine = try #require(host.machines.first)
        var next = record(layout, generation: 8)
        next.machines.removeAll { $0.id == machine.id }
        let key = StoreKeys.machine(machine.id, on: host.host)
        let entry = Entry(key: key, value: Array("[]".utf8), created: Revision(1), modified: Revision(5))
        for (unreadable, isKept) in [([machine.id.text], true), ([], false)] as [(Set<String>, Bool)] {
            var publication = HostPublication(host.host, whole: nil, things: [entry], unreadable: unreadable)
            var entries = carryOut(try publication.steps(to: next), over: [key: entry.value])
            publication.noteDone(next)
            next.diskLeft = .gibibytes(2)
            entries = carryOut(try publication.steps(to: next), over: entries)
            #expect((entries[key] == entry.value) == isKept)
        }
    }

    @Test("Many machines are written in steps that the store takes") func packed() throws {
        var next = record(.small, generation: 8)
        let sample = next.machines[0]
        next.machines = try (0..<500).map { index in
            var machine = sample
            let digits = String(index, radix: 16)
            machine.id = try MachineID(String(repeating: "0", count: 14 - digits.count) + digits)
            machine.config.environment = ["TEXT": String(repeating: "x", count: 4000)]
            return machine
        }
        let steps = try publication(of: [:]).steps(to: next)
        #expect(steps.allSatisfy { $0.operations.count < Transaction.operationsMax })
        #expect(steps.allSatisfy { $0.bytes < Transaction.bytesMax })
        #expect(steps.reduce(0) { $0 + $1.operations.count } == 500 + 1 + 1 + steps.count)
    }
}

@Suite struct PublisherTests {
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    func neighbour(_ capabilities: Set<Capability>) throws -> HostRecord {
        let name = try HostName("lhr1")
        return HostRecord(
            host: name, region: try RegionCode("lhr"), generation: Generation(1),
            capacity: HostCapacity(cpus: 1, memory: .gibibytes(1), disk: .gibibytes(1)),
            mesh: MeshIdentity(
                publicKey: "hZ9ZcnfEyuDqEMdmGNe4ZUmNrx8QJUCqgC1k5tBl5DI=", endpoint: "198.18.0.2:1", probePort: 2,
                address: MeshAddress.host(name)), isEdge: false, isStoreMember: false, capabilities: capabilities)
    }

    func put(_ record: HostRecord, in store: any Store) async throws {
        _ = try await store.commit(
            Transaction(then: [
                .put(key: StoreKeys.host(record.host), value: try RecordCodec.write(record), lease: nil)
            ]))
    }

    @Test("A host writes small records when all others can read them, and one record while one cannot")
    func layouts() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let store = try SQLiteStore(path: host.folder + "/store.sqlite")
        try await put(try neighbour([]), in: store)
        let watcher = PlanetWatcher(store: store, stateFolder: host.folder, logger: logger)
        let order = try HostAgentTests().order()
        try await host.withAgent { agent in
            let publisher = Publisher(agent: agent, store: store, watcher: watcher, logger: logger)
            let running = Task {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await watcher.run() }
                    group.addTask { try await publisher.run() }
                    try await group.waitForAll()
                }
            }
            _ = try await agent.createMachine(order)
            _ = try await agent.wait(for: order.id, states: [.started], timeout: .seconds(5))
            let own = agent.configuration.host
            func look() async throws -> (whole: HostRecord?, keys: Set<String>) {
                let entries = try await store.read(.prefix(StoreKeys.host(own)), at: nil).entries
                let whole = entries.first { $0.key == StoreKeys.host(own) }
                return (
                    try whole.map { try RecordCodec.read(HostRecord.self, from: $0.value) }, Set(entries.map(\.key))
                )
            }
            let whole = try await poll(for: .seconds(10)) {
                let stored = try await look()
                return stored.whole?.machines.first?.state == .started ? stored.keys : nil
            }
            #expect(whole == [StoreKeys.host(own), StoreKeys.generation(own)])

            try await put(try neighbour([.smallRecords]), in: store)
            let small = try await poll(for: .seconds(10)) {
                let stored = try await look()
                return stored.whole?.layout == .small ? stored.keys : nil
            }
            #expect(
                small == [StoreKeys.host(own), StoreKeys.generation(own), StoreKeys.machine(order.id, on: own)])

            try await put(try neighbour([]), in: store)
            let back = try await poll(for: .seconds(10)) {
                let stored = try await look()
                return stored.keys.count == 2 ? stored.whole : nil
            }
            #expect(back?.machines.map(\.id) == [order.id])
            running.cancel()
            _ = try? await running.value
        }
    }

    @Test("A ledger that is older than what is published does not act and does not publish") func stale() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let store = try SQLiteStore(path: host.folder + "/store.sqlite")
        let watcher = PlanetWatcher(store: store, stateFolder: host.folder, logger: logger)
        try await host.withAgent { agent in
            let key = StoreKeys.generation(agent.configuration.host)
            _ = try await store.commit(
                Transaction(then: [.put(key: key, value: try RecordCodec.write(Generation(1000)), lease: nil)]))
            let publisher = Publisher(agent: agent, store: store, watcher: watcher, logger: logger)
            let running = Task {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await watcher.run() }
                    group.addTask { try await publisher.run() }
                    try await group.waitForAll()
                }
            }
            let isSuperseded = try await poll(for: .seconds(10)) { await agent.isSuperseded ? true : nil }
            #expect(isSuperseded == true)
            #expect(try await store.read(.key(StoreKeys.host(agent.configuration.host)), at: nil).entries.isEmpty)
            running.cancel()
            _ = try? await running.value
        }
    }

    @Test("A store that went back hears anew what a host is on which nothing happens any more")
    func goneBack() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let before = try SQLiteStore(path: host.folder + "/store.sqlite")
        let copy = try SQLiteStore(path: host.folder + "/copy.sqlite")
        let store = GoingBackStore(before)
        let watcher = PlanetWatcher(store: store, stateFolder: host.folder, logger: logger)
        let (gone, kept) = (try HostAgentTests().order(), try HostAgentTests().order())
        try await host.withAgent { agent in
            let publisher = Publisher(agent: agent, store: store, watcher: watcher, logger: logger)
            let running = Task {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await watcher.run() }
                    group.addTask { try await publisher.run() }
                    try await group.waitForAll()
                }
            }
            let key = StoreKeys.host(agent.configuration.host)
            /// What is published, when it is all that the host is.
            func published() async throws -> [String: [UInt8]]? {
                try await poll(for: .seconds(20)) {
                    let entries = try await store.read(.prefix(key), at: nil).entries
                    let stored = Dictionary(uniqueKeysWithValues: entries.map { ($0.key, $0.value) })
                    let number = try stored[StoreKeys.generation(agent.configuration.host)].map {
                        try RecordCodec.read(Generation.self, from: $0)
                    }
                    return await agent.generation == number ? stored : nil
                }
            }
            _ = try await agent.createMachine(gone)
            _ = try await agent.wait(for: gone.id, states: [.started], timeout: .seconds(10))
            let early = try #require(try await published())
            _ = try await copy.commit(
                Transaction(then: early.map { .put(key: $0.key, value: $0.value, lease: nil) }))

            _ = try await agent.destroy(gone.id, force: true)
            _ = try await agent.wait(for: gone.id, states: [.destroyed], timeout: .seconds(10))
            _ = try await agent.createMachine(kept)
            _ = try await agent.wait(for: kept.id, states: [.started], timeout: .seconds(10))
            let late = try #require(try await published())
            #expect(Set(late.keys) != Set(early.keys))

            store.goBack(to: copy)
            #expect(try await published() == late)
            running.cancel()
            _ = try? await running.value
        }
    }
}
