import Foundation
import RoostMesh
import RoostModel
import RoostPlanet
import RoostPostgresWire
import RoostRouting
import RoostStore
import Testing

@testable import RoostPostgresControl

@Suite("What an edge is told of the planet")
struct EdgeRoutingTests {
    @Test("A cluster's clients speak TLS, and nobody is served while its certificate has not been heard of")
    func encryption() throws {
        let app = try AppName("db")
        let address = try IPv4Address("203.0.113.7")
        var planet = Planet()
        func put(_ record: some Encodable, at key: String) throws {
            planet.apply(
                .changes(
                    [
                        .put(
                            Entry(
                                key: key, value: Array(try JSONEncoder().encode(record)), created: Revision(1),
                                modified: Revision(2)))
                    ], revision: Revision(2)))
        }
        var spec = ClusterSpec(
            name: app, address: address, volumeSize: .gibibytes(1), guest: MachineGuest(), image: "postgres",
            members: [.init(name: try MemberName("db-1"), region: try RegionCode("ams"))], createdAt: 0)
        try put(spec, at: StoreKeys.clusterSpec(app))
        let host = try HostName("ams1")
        func route() -> ClusterRoute? {
            var book = RouteBook(host: host)
            _ = book.take([.all], [], from: planet)
            return book.table[address]
        }
        #expect(route()?.encryption == .unusable)
        let secrets = ClusterSecrets(
            ownerPassword: "p", replicationPassword: "r", authorityCertificate: "a", serverCertificate: "c",
            serverKey: "k")
        try put(secrets, at: StoreKeys.clusterSecrets(app))
        #expect(route()?.encryption == .required(TLSIdentity(certificateChain: "c", privateKey: "k")))
        spec.isDestroying = true
        try put(spec, at: StoreKeys.clusterSpec(app))
        #expect(route() == nil)
    }

    @Test("A reader is one more replica, while it streams from a standby that confirms")
    func readers() throws {
        let (name, host) = (try AppName("db3"), try HostName("sin1"))
        var records = try Self.records(of: name, 3) { _ in host }
        let (leader, standby, reader) = (try MemberName("db3-1"), try MemberName("db3-2"), try MemberName("db3-3"))
        var spec = try #require(records.first?.1 as? ClusterSpec)
        spec.readers = [.init(name: reader, region: try RegionCode("ams"))]
        records[0].1 = spec
        let machine = try MachineID("0123456789abcd")
        let placement = MemberPlacement(
            member: reader, host: host, region: try RegionCode("ams"), machine: machine,
            volume: try VolumeID("vol_0123456789abcdef"), address: MeshAddress.machine(machine, in: NetworkNumber(7)))
        let rule = ClusterRule(
            epoch: .first, leader: leader, members: [leader, standby], confirmations: 1,
            history: [Reign(epoch: .first, leader: leader, begin: .zero)])
        var report = MemberReport(
            member: reader, role: .standby, state: .running, promised: .first, position: nil, timeline: 1,
            replayed: .zero, isStreaming: true, lagBytes: 0, lagMilliseconds: 7)
        (report.upstream, report.isOpen) = (standby, true)
        func replica(_ change: (inout MemberReport, inout Heartbeat) -> Void = { _, _ in }) throws -> Replica? {
            var (own, beat) = (
                report,
                Heartbeat(
                    epoch: .first, leader: leader, sequence: 1, isOpen: true,
                    standbys: [StandbyView(member: standby, isConfirming: true, behindBytes: 30)])
            )
            change(&own, &beat)
            var planet = Planet()
            let all: [(String, any Encodable)] =
                records + [
                    (StoreKeys.placement(name, reader), placement), (StoreKeys.clusterRule(name), rule),
                    (StoreKeys.report(name, reader), own), (StoreKeys.clusterHeartbeat(name), beat),
                ]
            for (key, record) in all {
                let entry = Entry(
                    key: key, value: Array(try JSONEncoder().encode(record)), created: Revision(1),
                    modified: Revision(2))
                planet.apply(.changes([.put(entry)], revision: Revision(2)))
            }
            var book = RouteBook(host: host)
            _ = book.take([.all], [], from: planet)
            return book.table[spec.address]?.replicas.first { $0.backend.member == reader }
        }
        let fit = try #require(try replica())
        #expect(fit.isStreaming && fit.backend.address == placement.address)
        #expect(fit.lagBytes == 30 && fit.lag == .milliseconds(7) && fit.roundTrip == .zero)
        let unfit: [(inout MemberReport, inout Heartbeat) -> Void] = [
            { own, _ in own.isStreaming = false }, { own, _ in own.promised = Epoch(2) },
            { own, _ in own.upstream = leader }, { own, _ in own.upstream = nil }, { own, _ in own.isOpen = false },
            { own, _ in own.isOpen = nil },
            { _, beat in beat.standbys = [StandbyView(member: standby, isConfirming: false, behindBytes: nil)] },
        ]
        for (number, change) in unfit.enumerated() {
            #expect(try replica(change)?.isStreaming == false, "change \(number)")
        }
    }

    /// A cluster of two members.
    private static func records(
        of name: AppName, _ number: Int, on host: (Int) -> HostName
    ) throws -> [(String, any Encodable)] {
        let members = try (1...2).map { try MemberName("db\(number)-\($0)") }
        let region = try RegionCode("ams")
        let spec = ClusterSpec(
            name: name, address: try IPv4Address("203.0.113.\(number)"), volumeSize: .gibibytes(1),
            guest: MachineGuest(), image: "postgres", members: members.map { .init(name: $0, region: region) },
            createdAt: 0)
        var records: [(String, any Encodable)] = [(StoreKeys.clusterSpec(name), spec)]
        for (index, member) in members.enumerated() {
            let machine = try MachineID(String(format: "%014x", number * 2 + index))
            records.append(
                (
                    StoreKeys.placement(name, member),
                    MemberPlacement(
                        member: member, host: host(index + 1), region: region,
                        machine: machine,
                        volume: try VolumeID("vol_\(String(format: "%016d", number * 2 + index))"),
                        address: MeshAddress.machine(machine, in: NetworkNumber(7)))
                ))
            records.append(
                (
                    StoreKeys.report(name, member),
                    MemberReport(
                        member: member, role: .standby, state: .running, promised: .first, position: nil,
                        timeline: 1, replayed: .zero, isStreaming: true, lagBytes: 0, lagMilliseconds: 0)
                ))
        }
        return records
    }

    @Test("An edge is told how many there are, those that are stopped among them")
    func edges() throws {
        var planet = Planet()
        var book = RouteBook(host: try HostName("ams1"))
        func hear(_ name: String, isEdge: Bool, isStopped: Bool = false) throws {
            let host = try HostName(name)
            let record = HostRecord(
                host: host, region: try RegionCode("ams"), generation: Generation(1),
                capacity: HostCapacity(cpus: 1, memory: .gibibytes(1), disk: .gibibytes(1)),
                mesh: MeshIdentity(
                    publicKey: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", endpoint: "198.18.0.9:51820",
                    probePort: 51821, address: MeshAddress.host(host)), isEdge: isEdge, isStoreMember: false,
                isEdgeStopped: isStopped)
            let entry = Entry(
                key: StoreKeys.host(host), value: Array(try JSONEncoder().encode(record)), created: Revision(1),
                modified: Revision(2))
            planet.apply(.changes([.put(entry)], revision: Revision(2)))
        }
        func look(_ changes: Set<PlanetChange> = [], isMeasured: Bool = true) -> Bool {
            book.take(changes, isMeasured ? [] : nil, from: planet)
        }
        #expect(look([.all]) == false)
        try hear("ams1", isEdge: true)
        #expect(look() == false)
        #expect(book.table.edges == 1)
        try hear("ams2", isEdge: true, isStopped: true)
        try hear("ams3", isEdge: false)
        #expect(look(isMeasured: false) == false)
        #expect(look())
        #expect(book.table.edges == 2)
        #expect(look() == false)
    }

    @Test("A change costs one look, however many clusters there are, and the table is what it would be made anew")
    func inProportion() throws {
        let (ams, sin) = (try HostName("ams1"), try HostName("sin1"))
        var planet = Planet()
        func put(_ records: [(String, any Encodable)]) throws -> Set<PlanetChange> {
            let entries = try records.map { key, record in
                Entry(
                    key: key, value: Array(try JSONEncoder().encode(record)), created: Revision(1),
                    modified: Revision(2))
            }
            return planet.apply(.changes(entries.map { .put($0) }, revision: Revision(2))).changes
        }
        func anew(_ paths: [PathMeasurement]) -> ClusterTable {
            var book = RouteBook(host: ams)
            _ = book.take([.all], paths, from: planet)
            return book.table
        }
        var book = RouteBook(host: ams)
        let count = 100
        var names: [AppName] = []
        for number in 1...count {
            let name = try AppName("db\(number)")
            names.append(name)
            let records = try Self.records(of: name, number, on: { $0 == 2 && number <= 3 ? sin : ams })
            let outcome1 = try book.take(put(records), from: planet)
            #expect(outcome1)
        }
        #expect(book.looks == count)
        #expect(book.table == anew([]) && book.table.routes.count == count)
        // A heartbeat.
        let leader = try MemberName("db5-1")
        let beat = Heartbeat(epoch: .first, leader: leader, sequence: 9, isOpen: true)
        let outcome2 = try book.take(put([(StoreKeys.clusterHeartbeat(names[4]), beat)]), from: planet)
        #expect(!outcome2)
        #expect(book.looks == count + 1)
        // Three clusters have a member at the other end of a path.
        let path = PathMeasurement(
            peer: sin, roundTripMicroseconds: 5_400, jitterMicroseconds: 0, isAnswering: true, lossPercent: 0,
            probesSent: 9, probesAnswered: 9)
        let outcome3 = book.take([], [path], from: planet)
        #expect(outcome3)
        #expect(book.looks == count + 4)
        #expect(book.table == anew([path]))
        let outcome4 = book.take([.connection], [path], from: planet)
        #expect(!outcome4 && book.looks == count + 4)
        // It varies a bit, and back; then it is another one.
        var varied = path
        for microseconds in [6_900, 4_000, 5_000] as [Int64] {
            varied.roundTripMicroseconds = microseconds
            let outcome = book.take([], [varied], from: planet)
            #expect(!outcome && book.looks == count + 4)
        }
        varied.roundTripMicroseconds = 7_000
        let another = book.take([], [varied], from: planet)
        #expect(another && book.table == anew([varied]))
        let back = book.take([], [path], from: planet)
        #expect(back && book.table == anew([path]))
        // A cluster goes.
        let gone = planet.apply(.changes([.delete(key: StoreKeys.clusterSpec(names[0]))], revision: Revision(3)))
        let outcome5 = book.take(gone.changes, from: planet)
        #expect(outcome5)
        #expect(book.looks == count + 11 && book.table == anew([path]) && book.table.routes.count == count - 1)
    }

    @Test("A replica is fit only while its leader's word and its own are fresh; what is silent is looked at again")
    func wordsAge() throws {
        let (ams, app) = (try HostName("ams1"), try AppName("db1"))
        let members = try ["db1-1", "db1-2"].map { try MemberName($0) }
        let rule = ClusterRule(
            epoch: .first, leader: members[0], members: members, confirmations: 1,
            history: [Reign(epoch: .first, leader: members[0], begin: .zero)])
        let beat = Heartbeat(
            epoch: .first, leader: members[0], sequence: 1, isOpen: true,
            standbys: [StandbyView(member: members[1], isConfirming: true, behindBytes: 0)])
        var planet = Planet()
        let records =
            try Self.records(of: app, 1, on: { _ in ams }) + [
                (StoreKeys.clusterRule(app), rule as any Encodable), (StoreKeys.clusterHeartbeat(app), beat),
            ]
        let entries = try records.map { key, record in
            Entry(key: key, value: Array(try JSONEncoder().encode(record)), created: Revision(1), modified: Revision(2))
        }
        _ = planet.apply(.changes(entries.map { .put($0) }, revision: Revision(2)))
        var book = RouteBook(host: ams)
        let address = try IPv4Address("203.0.113.1")
        func isStreaming() -> [Bool]? { book.table.routes[address]?.replicas.map(\.isStreaming) }
        _ = book.take([.all], from: planet)
        #expect(isStreaming() == [true])
        for silence in [
            ClusterSilence(leader: .seconds(7)), ClusterSilence(leader: .zero, members: [members[1]: .seconds(8)]),
        ] {
            let becameSilent = book.take([], silent: [app: SilentMembers(silence)], from: planet)
            #expect(becameSilent && isStreaming() == [false])
            #expect(book.table.routes[address]?.isOpen == true)
            let looks = book.looks
            let again = book.take([], silent: [app: SilentMembers(silence)], from: planet)
            #expect(!again && book.looks == looks)
            let spokeAgain = book.take([], silent: [:], from: planet)
            #expect(spokeAgain && isStreaming() == [true])
        }
        #expect(SilentMembers(ClusterSilence(leader: .seconds(6), members: [members[1]: .seconds(7)])).isNobody)
    }
}
