import Foundation
import Glibc
import Logging
import RoostLinux
import RoostModel
import RoostPostgresWire
import RoostRouting
import RoostStore
import RoostWire
import Testing

@testable import RoostPlanet
@testable import RoostPostgresControl

/// What is made of a cluster's records: names, ages, who may be read from.
@Suite struct ClusterRecordsTests {
    private static func directory(in store: SQLiteStore) throws -> ClusterDirectory {
        ClusterDirectory(
            store: store, prefixes: [try IPv4Prefix("203.0.113.0/24")], keepsSecretsApart: { true }
        ) { _, _ in
            ClusterSecrets(
                ownerPassword: "s", replicationPassword: "r", authorityCertificate: "a", serverCertificate: "c",
                serverKey: "k")
        }
    }

    @Test func aClusterWhoseNamePostgresWouldCutIsRefusedAndLeavesNothing() async throws {
        let path = "/tmp/roost-names-\(getpid()).sqlite"
        defer { for end in ["", "-wal", "-shm"] { unlink(path + end) } }
        let store = try SQLiteStore(path: path, logger: Logger(label: "test"))
        let directory = try Self.directory(in: store)
        let region = try RegionCode("ams")
        func order(_ length: Int) throws -> ClusterDirectory.Order {
            ClusterDirectory.Order(
                name: try AppName(String(repeating: "n", count: length)), regions: [region, region],
                volumeSize: .gibibytes(1), guest: MachineGuest(), image: "dir:/x")
        }
        for length in [1, PostgresNames.clusterBytesMax] {
            let spec = try await directory.create(try order(length))
            #expect(spec.members.last?.name.text == String(repeating: "n", count: length) + "-2")
        }
        let before = try await store.read(.prefix(StoreKeys.root), at: nil)
        for length in (PostgresNames.clusterBytesMax + 1)...63 {
            let refusal = await #expect(throws: Refusal.self) { try await directory.create(try order(length)) }
            #expect("\(refusal.map { "\($0)" } ?? "")".contains("at most 39 letters"))
        }
        #expect(try await store.read(.prefix(StoreKeys.root), at: nil).entries.count == before.entries.count)
    }

    @Test(
        "A cluster's list of networks reaches the edges' routes, keeps what it cannot read out, and can be taken away")
    func listOfNetworks() async throws {
        let path = "/tmp/roost-allow-\(getpid()).sqlite"
        defer { for end in ["", "-wal", "-shm"] { unlink(path + end) } }
        let store = try SQLiteStore(path: path, logger: Logger(label: "test"))
        let directory = try Self.directory(in: store)
        let spec = try await directory.create(
            ClusterDirectory.Order(
                name: name, regions: [try RegionCode("ams")], volumeSize: .gibibytes(1), guest: MachineGuest(),
                image: "dir:/x"))
        let host = try HostName("ams1")
        func allowed() async throws -> [IPv4Prefix]? {
            var book = RouteBook(host: host)
            _ = book.take([.all], [], from: try await directory.read(name))
            return try #require(book.table[spec.address]).allowed
        }
        #expect(try await allowed() == nil)
        let networks = [try IPv4Prefix("198.51.100.0/24"), try IPv4Prefix("192.0.2.7/32")]
        try await directory.allow(try ClientList(networks.map(\.description)), to: name)
        #expect(try await allowed() == networks)
        // Of a newer version, which knows other networks too.
        let key = StoreKeys.clusterSpec(name)
        var newer = try #require(try await store.record(ClusterSpec.self, at: key)).record
        newer.allowedClients = ["2001:db8::/32"]
        _ = try await store.commit(Transaction(then: [try .put(newer, at: key)]))
        #expect(try await allowed() == [])
        try await directory.allow(.everywhere, to: name)
        #expect(try await allowed() == nil)
    }

    private let name: AppName
    private let members: [MemberName]

    init() throws {
        name = try AppName("orders")
        members = try (1...3).map { try MemberName("orders-\($0)") }
    }

    private func report(_ member: MemberName, _ sequence: UInt64?, promised: Epoch = .first) -> MemberReport {
        MemberReport(
            member: member, role: .standby, state: .running, promised: promised, position: nil, timeline: 1,
            replayed: .zero, isStreaming: true, lagBytes: 7, lagMilliseconds: 0, sequence: sequence)
    }

    private func planet(_ beat: UInt64, confirming: [Bool]? = nil, _ reports: [MemberReport]) -> Planet {
        var planet = Planet()
        var records = Planet.ClusterRecords()
        records.rule = ClusterRule(
            epoch: .first, leader: members[0], members: members, confirmations: 1,
            history: [Reign(epoch: .first, leader: members[0], begin: .zero)])
        let standbys = confirming.map { confirming in
            zip(members.dropFirst(), confirming).map {
                StandbyView(member: $0, isConfirming: $1, behindBytes: $1 ? 5 : nil)
            }
        }
        records.heartbeat = Heartbeat(
            epoch: .first, leader: members[0], sequence: beat, isOpen: true, standbys: standbys)
        for report in reports { records.reports[report.member] = report }
        planet.clusters[name] = records
        return planet
    }

    @Test func whatStandsStillHasAnAge() {
        var ledger = HearingLedger()
        let began = Moment(sinceBoot: .seconds(100))
        ledger.note(planet(1, [report(members[1], 4), report(members[2], nil)]).clusters, began)
        ledger.note(planet(2, [report(members[1], 4), report(members[2], nil)]).clusters, began + .seconds(5))
        let silence = ledger.silence(in: name, began + .seconds(8))
        let unheard: Set = [members[1]]
        #expect(
            silence == ClusterSilence(leader: .seconds(3), members: [members[1]: .seconds(8)], unheard: unheard))
        #expect(ledger.silent(began + .seconds(7)) == [:])
        let silent = SilentMembers(isLeaderSilent: false, members: [members[1]])
        #expect(ledger.silent(began + .seconds(8)) == [name: silent])
        #expect(ledger.silent(began + .seconds(12))[name]?.isLeaderSilent == true)
        // The store was away: nobody is blamed for that.
        ledger.note([:], began + .seconds(20))
        #expect(ledger.silent(began + .seconds(40)) == [:])
        ledger.note(planet(2, [report(members[1], 4)]).clusters, began + .seconds(60))
        #expect(ledger.silence(in: name, began + .seconds(60)).leader == .zero)
        #expect(ledger.silence(in: try! AppName("other"), began) == ClusterSilence())
    }

    @Test("How far a member is counts once it has said it twice since nobody can have let clients in any more")
    func whoHasSaidHowFarItIs() {
        var ledger = HearingLedger()
        var now = Moment(sinceBoot: .seconds(100))
        func hear(_ beat: UInt64, isOpen: Bool, openings: UInt64, _ sequence: UInt64) -> Bool {
            now = now + .seconds(1)
            var records = planet(beat, [report(members[1], sequence)]).clusters[name] ?? .init()
            records.heartbeat?.isOpen = isOpen
            records.openings.count = openings
            ledger.note(records, of: name, listing: 1, now)
            return ledger.voices(of: name, now).settled == [members[1]]
        }
        // An open leader that was listed may still hold its lease, and not know that it has ended.
        let looks = (1...11).map { hear(5, isOpen: true, openings: 0, $0) }
        #expect(looks == Array(repeating: false, count: 10) + [true])
        // Closed again when somebody looks.
        #expect([12, 13, 14, 15].map { hear($0, isOpen: false, openings: 1, $0) } == [false, false, false, true])
        #expect([16, 17, 18].map { hear($0, isOpen: true, openings: $0, $0) } == [false, false, false])
        // One of which nothing was there when it became quiet counts from its first word on, at this host as at any other.
        var late = HearingLedger()
        var mute = planet(18, []).clusters[name] ?? .init()
        mute.heartbeat?.isOpen = false
        late.note(mute, of: name, listing: 1, now)
        let settled = [1, 2, 3].map { (sequence: UInt64) in
            now = now + .seconds(1)
            var records = planet(18, [report(members[2], sequence)]).clusters[name] ?? .init()
            records.heartbeat?.isOpen = false
            late.note(records, of: name, listing: 1, now)
            return late.voices(of: name, now).settled == [members[2]]
        }
        #expect(settled == [false, false, true])
        // A host of a version before says nothing of it.
        let old = try? JSONDecoder().decode(
            ClusterVoices.self, from: Data(#"{"members":[],"leader_renews":false}"#.utf8))
        #expect(old != nil && old?.settled == nil && old?.silent == nil)
    }

    @Test("What one said last is not said any more when nothing new comes of it, or when nobody could tell")
    func whoIsNotHeardAnyMore() {
        var ledger = HearingLedger()
        let now = Moment(sinceBoot: .seconds(100))
        let reports = [report(members[1], 4), report(members[2], nil)]
        ledger.note(planet(5, reports).clusters, listings: [name: 1], now)
        // What is there may be of any time, and counts until it is known that nothing follows.
        #expect(ledger.silentMembers(of: name, now + ClusterSilence.reportMax) == [members[2]])
        let later = now + ClusterSilence.reportMax + .seconds(1)
        #expect(ledger.silentMembers(of: name, later) == [members[1], members[2]])
        ledger.note(planet(5, [report(members[1], 5)]).clusters, listings: [name: 1], later)
        #expect(ledger.silentMembers(of: name, later) == [])
    }

    @Test("What was found when a host began to hear is no sign of life, what comes after that is")
    func onlyWhatIsSeenToComeIsASignOfLife() {
        var ledger = HearingLedger()
        var now = Moment(sinceBoot: .seconds(100))
        func hear(_ beat: UInt64, _ sequence: UInt64, listing: UInt64) -> ClusterVoices {
            now = now + .seconds(1)
            let reports = [report(members[1], sequence), report(members[2], nil)]
            ledger.note(planet(beat, reports).clusters, listings: [name: listing], now)
            var voices = ledger.voices(of: name, now)
            (voices.settled, voices.terms) = (voices.members, nil)
            return voices
        }
        let alive = ClusterVoices(members: [members[1]], isLeaderRenewing: true)
        #expect(hear(5, 4, listing: 1) == ClusterVoices())
        #expect(hear(5, 4, listing: 1) == ClusterVoices())
        #expect(hear(6, 5, listing: 1) == alive)
        #expect(hear(6, 5, listing: 1) == alive)
        #expect(ledger.voices(of: name, now + .seconds(9)) == ClusterVoices(terms: []))
        // A watch that was begun anew has nothing that is newer: what was heard was heard then, and is as old as it is.
        #expect(hear(6, 5, listing: 2) == alive)
        #expect(ledger.voices(of: name, now + .seconds(9)) == ClusterVoices(terms: []))
        // The store was away, and is back; or was listed anew, and has what others wrote long ago.
        #expect(hear(8, 9, listing: 3) == ClusterVoices())
        #expect(hear(9, 10, listing: 3) == alive)
        // An older copy of it.
        #expect(hear(2, 1, listing: 3) == ClusterVoices())
        ledger.note([:], listings: [name: 3], now)
        #expect(hear(3, 2, listing: 3) == ClusterVoices())
        // Another cluster's look does not make one forget the listing.
        #expect(hear(4, 3, listing: 3) == alive)
    }

    @Test("A wish that is seen to come has its whole time, whatever the clock on the wall says, and no more")
    func timeOfAWish() throws {
        var ledger = HearingLedger()
        let (began, wall) = (Moment(sinceBoot: .seconds(100)), Int64(1_795_761_000_000))
        let restart = RestartRequest(
            id: "a", members: members, handsOver: true, term: WishTerm(beganAt: wall, length: .seconds(600)))
        let pause = WishTerm(beganAt: wall, length: .seconds(3600))
        var asked = planet(1, [])
        asked.clusters[name]?.rule?.restart = restart
        asked.clusters[name]?.rule?.pause = pause
        // This host's clock is a day ahead.
        let ahead = wall + 86_400_000
        func hear(_ planet: Planet, _ listing: UInt64, at time: Int64) -> ClusterSilence {
            let now = began + .seconds(time)
            ledger.note(planet.clusters, listings: [name: listing], now, wallClock: ahead + time * 1000)
            return ledger.silence(in: name, now)
        }
        let rule = try #require(asked.clusters[name]?.rule)
        func refusal(_ silence: ClusterSilence) -> String? { ClusterStatus.restart(restart, silence).refusal }
        _ = hear(planet(1, []), 1, at: 0)
        #expect(hear(asked, 1, at: 1).left(of: pause, at: ahead) == .seconds(3600))
        // The second listing has it too: it is the same.
        for (listing, time) in [(1, 300), (2, 600)] as [(UInt64, Int64)] {
            let silence = hear(asked, listing, at: time)
            #expect(silence.left(of: restart.term, at: ahead) == .seconds(601 - time))
            #expect(refusal(silence) == nil)
            #expect(ClusterStatus.pause(of: rule, silence, at: ahead) != nil)
            // Where it is decided what to do, too.
            let voices = ledger.voices(of: name, began + .seconds(time))
            #expect(voices.left(of: restart.term, at: ahead) == .seconds(601 - time))
            #expect(ClusterStatus.pause(of: rule, hearing: voices, at: ahead) != nil)
            let told = try JSONDecoder().decode(ClusterVoices.self, from: try JSONEncoder().encode(voices))
            #expect(told == voices)
        }
        #expect(refusal(hear(asked, 2, at: 601))?.contains("its time was over") == true)
        #expect(ClusterStatus.pause(of: rule, hear(asked, 2, at: 3601), at: wall) == nil)
        // What was there when this host began to listen is judged by the clock on the wall, once.
        ledger = HearingLedger()
        #expect(refusal(hear(asked, 1, at: 0)) != nil)
    }

    @Test("What was there when a host began to hear is of any time until it is seen to change")
    func onlyWhatIsSeenToComeIsOfNow() throws {
        var ledger = HearingLedger()
        var now = Moment(sinceBoot: .seconds(100))
        func hear(_ beat: UInt64, _ sequence: UInt64, _ listing: UInt64) -> [Bool] {
            now = now + .seconds(1)
            ledger.note(planet(beat, [report(members[1], sequence)]).clusters, listings: [name: listing], now)
            let silence = ledger.silence(in: name, now)
            return [silence.isLeaderUnheard, silence.unheard.contains(members[1])]
        }
        #expect(hear(5, 4, 1) == [true, true])
        #expect(hear(6, 4, 1) == [false, true])
        #expect(hear(6, 5, 1) == [false, false])
        // Listed anew: of any time again where it is other than before. A leader that was heard and stops then is no stranger.
        #expect(hear(6, 9, 2) == [false, true])
        #expect(hear(7, 10, 2) == [false, false])
        #expect(hear(8, 11, 3) == [true, true])
        #expect(hear(9, 12, 3) == [false, false])
        // Nor is it for a short gap; after a long one nobody knows what happened in it.
        ledger.note([:], now)
        #expect(ledger.silent(now + .seconds(60)) == [:])
        #expect(hear(9, 12, 4) == [false, false])
        #expect(ledger.silence(in: name, now).leader == .seconds(1))
        ledger.note([:], now)
        now = now + HearingLedger.gapMax
        #expect(hear(9, 12, 5) == [true, true])
        #expect(hear(10, 13, 5) == [false, false])
        // A leader that is named while the cluster is heard is heard from its first beat on.
        var next = planet(8, [])
        next.clusters[name]?.rule?.epoch = Epoch(2)
        ledger.note(next.clusters, listings: [name: 5], now)
        next.clusters[name]?.heartbeat?.epoch = Epoch(2)
        next.clusters[name]?.heartbeat?.sequence = 1
        ledger.note(next.clusters, listings: [name: 5], now)
        #expect(!ledger.silence(in: name, now).isLeaderUnheard)
    }

    @Test("A new leader is silent since it was named, not since the one before it fell silent")
    func theSilenceOfANewLeaderBeginsWithItsReign() throws {
        var ledger = HearingLedger()
        let began = Moment(sinceBoot: .seconds(100))
        var planet = planet(7, [])
        ledger.note(planet.clusters, began)
        // The first leader dies; while its successor is looked for, the rule still names it.
        planet.clusters[name]?.rule?.recruitment = Recruitment(
            epoch: Epoch(2), proposer: members[1], reason: .leaderSilent)
        ledger.note(planet.clusters, began + .seconds(33))
        #expect(ledger.silence(in: name, began + .seconds(34)).leader == .seconds(34))
        // Another is named. The heartbeat that is there is the dead one's.
        var rule = try #require(planet.clusters[name]?.rule)
        (rule.epoch, rule.leader, rule.recruitment) = (Epoch(2), members[1], nil)
        rule.history.append(Reign(epoch: Epoch(2), leader: members[1], begin: .zero))
        planet.clusters[name]?.rule = rule
        let cluster = try #require(planet.clusters[name])
        ledger.note(cluster, of: name, began + .seconds(35))
        #expect(ledger.silence(in: name, began + .seconds(36)).leader == .seconds(1))
        #expect(ledger.silent(began + .seconds(41)) == [:])
        // It never says anything: that is told, with the age that is true of it.
        ledger.note(planet.clusters, began + .seconds(43))
        #expect(ledger.silence(in: name, began + .seconds(43)).leader == .seconds(8))
        #expect(ledger.silent(began + .seconds(43))[name]?.isLeaderSilent == true)
        // It does, with the same number as the last one before it.
        planet.clusters[name]?.heartbeat = Heartbeat(epoch: Epoch(2), leader: members[1], sequence: 7, isOpen: false)
        ledger.note(planet.clusters, began + .seconds(44))
        #expect(ledger.silence(in: name, began + .seconds(45)).leader == .seconds(1))
    }

    @Test func lookingAtOneClusterForgetsNoOther() throws {
        var ledger = HearingLedger()
        let began = Moment(sinceBoot: .seconds(100))
        let (clusters, other) = (planet(1, []).clusters, try AppName("shop"))
        let cluster = try #require(clusters[name])
        ledger.note([name: cluster, other: cluster], began)
        ledger.note(cluster, of: name, began + .seconds(2))
        #expect(ledger.silence(in: other, began + .seconds(3)).leader == .seconds(3))
        #expect(ledger.silence(in: name, began + .seconds(3)).leader == .seconds(3))
    }

    @Test func aReplicaIsChosenOnlyIfItsLeaderSeesItConfirm() throws {
        let reports = [report(members[1], 1), report(members[2], 1)]
        let cluster = try #require(planet(1, confirming: [true, false], reports).clusters[name])
        #expect(members.map(cluster.confirms) == [false, true, false])
        #expect(cluster.lagBytes(of: members[1]) == 12)
        // A leader whose program does not say: the member itself is believed, in this epoch only.
        let old = [report(members[1], nil), report(members[2], nil, promised: Epoch(2))]
        let older = try #require(planet(1, old).clusters[name])
        #expect(members.map(older.confirms) == [false, true, false])
    }
}
