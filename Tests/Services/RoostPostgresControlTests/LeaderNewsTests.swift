import Foundation
import Logging
import RoostLinux
import RoostMesh
import RoostModel
import RoostPlanet
import RoostPostgresWire
import RoostRecords
import RoostRouting
import RoostStore
import Synchronization
import Testing

@testable import RoostControl
@testable import RoostPostgresControl

/// What hosts of leaders tell edges straight.
@Suite("Leaders are told to edges before the store tells") struct LeaderNewsTests {
    /// A cluster of three on ams1, iad1, sin1, led by the first in epoch 3.
    fileprivate struct Scene {
        let cluster: AppName
        let address: IPv4Address
        let hosts: [HostName]
        let members: [MemberName]
        var planet = Planet()
        var rule: ClusterRule
        var revision: Int64 = 10

        init() throws {
            cluster = try AppName("db")
            address = try IPv4Address("203.0.113.7")
            hosts = try ["ams1", "iad1", "sin1"].map { try HostName($0) }
            members = try (1...3).map { try MemberName("db-\($0)") }
            let reigns = (1...3 as ClosedRange<UInt64>).map { [members] number in
                Reign(epoch: Epoch(number), leader: members[0], begin: LSN((number - 1) * 100))
            }
            rule = ClusterRule(
                epoch: Epoch(3), leader: members[0], members: members, confirmations: 1, history: reigns)
            let region = try RegionCode("ams")
            try put(
                ClusterSpec(
                    name: cluster, address: address, volumeSize: .gibibytes(1), guest: MachineGuest(),
                    image: "postgres", members: members.map { .init(name: $0, region: region) }, createdAt: 0),
                at: StoreKeys.clusterSpec(cluster))
            for (index, member) in members.enumerated() {
                let machine = try MachineID(String(format: "%014x", index + 1))
                try put(
                    MemberPlacement(
                        member: member, host: hosts[index], region: region, machine: machine,
                        volume: try VolumeID("vol_\(String(format: "%016d", index + 1))"),
                        address: MeshAddress.machine(machine, in: NetworkNumber(7))),
                    at: StoreKeys.placement(cluster, member))
            }
            try put(rule, at: StoreKeys.clusterRule(cluster))
        }

        mutating func put(_ record: some Encodable, at key: String) throws {
            revision += 1
            let entry = Entry(
                key: key, value: Array(try JSONEncoder().encode(record)), created: Revision(1),
                modified: Revision(revision))
            planet.apply(.changes([.put(entry)], revision: Revision(revision)))
        }

        mutating func change(_ change: (inout ClusterRule) -> Void) throws {
            change(&rule)
            try put(rule, at: StoreKeys.clusterRule(cluster))
        }

        var records: Planet.ClusterRecords? { planet.clusters[cluster] }

        func beat(_ member: Int, epoch: UInt64, _ sequence: UInt64, isOpen: Bool = true) -> Heartbeat {
            Heartbeat(epoch: Epoch(epoch), leader: members[member - 1], sequence: sequence, isOpen: isOpen)
        }
    }

    @Test("What was said later counts, by the store or straight") func laterCounts() throws {
        var scene = try Scene()
        func lead(_ told: Heartbeat?) throws -> Planet.ClusterRecords.Lead {
            try #require(scene.records?.lead(told: told))
        }
        #expect(try lead(nil) == .init(epoch: Epoch(3), leader: scene.members[0], isOpen: false, isRecruiting: false))
        // It opens, and the store has not heard of it.
        #expect(try lead(scene.beat(1, epoch: 3, 4)).isOpen)
        try scene.put(scene.beat(1, epoch: 3, 5, isOpen: false), at: StoreKeys.clusterHeartbeat(scene.cluster))
        #expect(try !lead(scene.beat(1, epoch: 3, 4)).isOpen)
        #expect(try lead(scene.beat(1, epoch: 3, 6)).isOpen)
        // Another one cannot lead the same epoch, and an earlier one is over.
        #expect(try lead(scene.beat(2, epoch: 3, 9)).leader == scene.members[0])
        #expect(try lead(scene.beat(2, epoch: 2, 9)).leader == scene.members[0])
        let next = try lead(scene.beat(2, epoch: 4, 1))
        #expect(next == .init(epoch: Epoch(4), leader: scene.members[1], isOpen: true, isRecruiting: false))
        #expect(try lead(scene.beat(2, epoch: 5, 1)).leader == scene.members[0], "the store has not had the one before")
        try scene.change { $0.majority = true }
        #expect(try lead(scene.beat(2, epoch: 5, 1)).leader == scene.members[1])
        #expect(try lead(scene.beat(2, epoch: 1 << 40, 1)).leader == scene.members[0])
        try scene.change { $0.majority = nil }
        // Members are called to leave it, or left an earlier one for it.
        try scene.change {
            $0.recruitment = Recruitment(epoch: Epoch(4), proposer: $0.members[1], reason: .leaderSilent)
        }
        #expect(try lead(scene.beat(1, epoch: 3, 9)).isRecruiting)
        #expect(try lead(scene.beat(2, epoch: 4, 1)) == next)
        try scene.change {
            $0.recruitment = Recruitment(epoch: Epoch(5), proposer: $0.members[1], reason: .leaderSilent)
        }
        #expect(try lead(scene.beat(2, epoch: 4, 1)).isRecruiting)
        // No member leads.
        let stranger = Heartbeat(epoch: Epoch(9), leader: try MemberName("db-9"), sequence: 1, isOpen: true)
        #expect(try lead(stranger).isRecruiting)
    }

    @Test("Only the host of the leader's machine is believed, of clusters that there are") func onlyItsHost() throws {
        let scene = try Scene()
        let news = LeaderNews()
        let beat = scene.beat(2, epoch: 4, 1)
        func code(_ host: HostName, _ known: Planet.ClusterRecords?) -> Refusal.Code? {
            do throws(Refusal) { try news.note(beat, of: scene.cluster, from: host, in: known) } catch {
                return error.code
            }
            return nil
        }
        #expect(code(scene.hosts[0], scene.records) == .failedPrecondition)
        #expect(code(scene.hosts[1], nil) == .notFound)
        func beats() -> [AppName: Heartbeat] { news.beats(isLive: false) }
        #expect(beats().isEmpty)
        #expect(code(scene.hosts[1], scene.records) == nil)
        #expect(beats() == [scene.cluster: beat])
        // One that nobody could have come to stands in nobody's way.
        do throws(Refusal) {
            try news.note(
                scene.beat(3, epoch: 1 << 50, 1), of: scene.cluster, from: scene.hosts[2], in: scene.records)
            Issue.record("it is believed")
        } catch { #expect(error.code == .failedPrecondition) }
        // What was on its way for longer changes nothing.
        for (member, epoch) in [(1, 3), (2, 4)] as [(Int, UInt64)] {
            try news.note(
                scene.beat(member, epoch: epoch, 0, isOpen: false), of: scene.cluster, from: scene.hosts[member - 1],
                in: scene.records)
        }
        #expect(beats() == [scene.cluster: beat])
        // A store that answers would have it by then.
        let later = BootClock.now() + LeaderNews.unborneMax
        #expect(news.beats(isLive: false, at: later) == [scene.cluster: beat])
        #expect(news.beats(isLive: true, at: later).isEmpty)
        try news.note(beat, of: scene.cluster, from: scene.hosts[1], in: scene.records)
        news.keep([AppName]())
        #expect(beats().isEmpty)
    }

    @Test("An edge routes by what it was told, until the store has it") func routes() throws {
        var scene = try Scene()
        try scene.put(scene.beat(1, epoch: 3, 5), at: StoreKeys.clusterHeartbeat(scene.cluster))
        var book = RouteBook(host: scene.hosts[0])
        _ = book.take([.all], from: scene.planet)
        #expect(book.table.routes[scene.address]?.leader?.member == scene.members[0])
        let told = [scene.cluster: scene.beat(2, epoch: 4, 1)]
        let isChanged = book.take([], told: told, from: scene.planet)
        let route = try #require(book.table.routes[scene.address])
        #expect(isChanged && route.leader?.member == scene.members[1] && route.isOpen && route.epoch == Epoch(4))
        try scene.change {
            ($0.epoch, $0.leader) = (Epoch(4), $0.members[1])
            $0.history.append(Reign(epoch: Epoch(4), leader: $0.members[1], begin: LSN(900)))
        }
        let changedByRule = book.take([.cluster(scene.cluster, .rule)], told: told, from: scene.planet)
        #expect(!changedByRule && book.table.routes[scene.address] == route)
        // The store has a later word.
        try scene.put(scene.beat(2, epoch: 4, 2, isOpen: false), at: StoreKeys.clusterHeartbeat(scene.cluster))
        _ = book.take([.cluster(scene.cluster, .heartbeat)], told: told, from: scene.planet)
        #expect(book.table.routes[scene.address]?.isOpen == false)
    }

    /// Remembers who was told what.
    private final class Ears: Peers {
        let heard = Mutex<[HostName: [Heartbeat]]>([:])

        func ask(_ question: PeerQuestion, of host: HostName) async throws(Refusal) -> PeerReply {
            guard question.method == "PUT", question.target == "/v1/internal/postgres/db/leader",
                let beat = question.body.flatMap({ try? JSONDecoder().decode(Heartbeat.self, from: $0) })
            else { throw Refusal(.notFound, "no such question") }
            heard.withLock { $0[host, default: []].append(beat) }
            return PeerReply(status: 200, contentType: nil, body: Data("{}".utf8))
        }
    }

    /// What an edge was handed last.
    private final class Shown: Sendable {
        let isOpen = Mutex<Bool?>(nil)
    }

    private struct NoPaths: MeshPaths {
        func measurements() async -> [PathMeasurement] { [] }
    }

    @Test("What an edge is told is a route at once") func toldAtOnce() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        var scene = try Scene()
        try scene.put(scene.beat(1, epoch: 3, 5), at: StoreKeys.clusterHeartbeat(scene.cluster))
        _ = try await world.store.commit(Transaction(then: try scene.entries()))
        let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let watcher = PlanetWatcher(
            store: world.store, stateFolder: world.folder, following: ClusterInterest.ofEdges, logger: quiet)
        let (news, shown) = (LeaderNews(), Shown())
        let routing = EdgeRouting(
            watcher: watcher, hearing: ClusterHearing(watcher: watcher), news: news, mesh: NoPaths(),
            host: scene.hosts[0]
        ) { [address = scene.address] table, _ in
            shown.isOpen.withLock { $0 = table.routes[address]?.isOpen }
        }
        let work = [Task { try await watcher.run() }, Task { try await routing.run() }]
        defer { for task in work { task.cancel() } }
        func delay(until wanted: Bool) async throws -> Duration {
            let began = BootClock.now()
            let seen: Bool? = try await poll(for: .seconds(10), every: .milliseconds(2)) {
                shown.isOpen.withLock { $0 == wanted } ? true : nil
            }
            try #require(seen == true)
            return BootClock.now() - began
        }
        _ = try await delay(until: true)
        var delays: [Duration] = []
        for sequence in 6...11 as ClosedRange<UInt64> {
            let beat = scene.beat(1, epoch: 3, sequence, isOpen: sequence % 2 == 1)
            try news.note(beat, of: scene.cluster, from: scene.hosts[0], in: scene.records)
            delays.append(try await delay(until: beat.isOpen))
        }
        // Whoever waits for looks begins to wait at one, from the second time on.
        let least = delays.dropFirst().min() ?? ClusterHearing.interval
        #expect(least < ClusterHearing.interval / 2, "it waits for the next look: \(delays)")
    }

    @Test("All edges are told once of each opening and closing") func edgesAreTold() async throws {
        let world = try await ClusterWorld()
        defer { world.remove() }
        var scene = try Scene()
        for (index, host) in scene.hosts.enumerated() {
            try scene.put(
                HostRecord(
                    host: host, region: try RegionCode("ams"), generation: Generation(1),
                    capacity: HostCapacity(cpus: 1, memory: .gibibytes(1), disk: .gibibytes(1)),
                    mesh: MeshIdentity(
                        publicKey: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                        endpoint: "198.18.0.\(index + 1):51820", probePort: 51821, address: MeshAddress.host(host)),
                    isEdge: index != 2, isStoreMember: false), at: StoreKeys.host(host))
        }
        _ = try await world.store.commit(Transaction(then: try scene.entries()))
        let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let watcher = PlanetWatcher(
            store: world.store, stateFolder: world.folder, following: ClusterInterest.ofEdges, logger: quiet)
        let (ears, news) = (Ears(), LeaderNews())
        let telling = LeaderTelling(watcher: watcher, peers: ears, host: scene.hosts[0], news: news, logger: quiet)
        let following = Task { try await watcher.run() }
        let work = Task { try await telling.run() }
        defer {
            work.cancel()
            following.cancel()
        }
        let isHeard: Bool? = try await poll(for: .seconds(10), every: .milliseconds(10)) { watcher.isLive ? true : nil }
        try #require(isHeard == true)
        let said = [(3, 1, false), (3, 2, false), (3, 3, true), (3, 4, true), (2, 9, true)]
        for (epoch, sequence, isOpen) in said {
            telling.note(
                scene.beat(1, epoch: UInt64(epoch), UInt64(sequence), isOpen: isOpen), of: scene.cluster, isStored: true
            )
        }
        let told: [UInt64]? = try await poll(for: .seconds(10), every: .milliseconds(10)) {
            let heard = ears.heard.withLock(\.self)
            let sequences = heard[scene.hosts[1]]?.map(\.sequence) ?? []
            return sequences.count >= 2 && news.beats(isLive: false)[scene.cluster]?.sequence == 3
                ? sequences.sorted() : nil
        }
        #expect(told == [1, 3])
        // Where the store does not have it, it is said again and again.
        let again: Bool? = try await poll(for: .seconds(10), every: .milliseconds(20)) {
            telling.note(scene.beat(1, epoch: 3, 5), of: scene.cluster, isStored: false)
            return ears.heard.withLock { ($0[scene.hosts[1]]?.count ?? 0) >= 4 } ? true : nil
        }
        #expect(again == true)
        // Neither this host, which knows, nor one that is no edge.
        #expect(ears.heard.withLock { Set($0.keys) } == [scene.hosts[1]])
    }
}

extension LeaderNewsTests.Scene {
    /// All of it, for a store.
    fileprivate func entries() throws -> [Transaction.Operation] {
        var operations: [Transaction.Operation] = []
        func put(_ record: some Encodable, at key: String) throws { operations.append(try .put(record, at: key)) }
        for host in planet.hosts.values { try put(host, at: StoreKeys.host(host.host)) }
        guard let records else { return operations }
        if let spec = records.spec { try put(spec, at: StoreKeys.clusterSpec(cluster)) }
        try put(rule, at: StoreKeys.clusterRule(cluster))
        if let beat = records.heartbeat { try put(beat, at: StoreKeys.clusterHeartbeat(cluster)) }
        for placement in records.placements.values {
            try put(placement, at: StoreKeys.placement(cluster, placement.member))
        }
        return operations
    }
}
