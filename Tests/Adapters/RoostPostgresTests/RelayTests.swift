import Glibc
import Logging
import RoostFailover
import RoostLinux
import RoostModel
import RoostRelayWire
import RoostWire
import Synchronization
import Testing

@testable import RoostPostgres

/// A member of a test and its relay, a process of its own.
final class RelayedMember: Sendable {
    let member: TestMember
    let keeper: RelayKeeper
    private let isOver = Atomic(false)

    /// - Parameter shell: a process between the supervisor and the relay: what ends it leaves the relay and its sockets.
    init(_ number: Int, _ ground: TestGround, password: String? = nil, shell: [String] = []) throws {
        member = try ground.member(number)
        let become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]
        let arguments = RelayKeeper.arguments(member.instance.layout, port: PostgresSettings.portDefault)
        keeper = try RelayKeeper(
            ground.enterWithProc + become + shell + [ground.program] + arguments,
            socket: RelayKeeper.socket(member.instance.layout),
            KnownCluster(try Self.view(of: member.name, ground, password: password)), logger: Logger(label: "relay"),
            // A busy computer takes its time; what nobody has collected would hide the children of other tests.
            endPatience: .seconds(60)
        ) { [instance = member.instance] in Task { await instance.endReceiversAtTheRelay() } }
        try OwnThread.start("relay") { self.keeper.run { !self.isOver.load(ordering: .relaxed) } }
    }

    func end() {
        isOver.store(true, ordering: .relaxed)
        keeper.wake()
    }

    static func view(of member: MemberName, _ ground: TestGround, password: String?) throws -> ClusterView {
        let region = try RegionCode("ams")
        let names = try TestGround.numbers.map { try MemberName("m\($0)") }
        let spec = ClusterSpec(
            name: ground.cluster, address: try IPv4Address("203.0.113.7"), volumeSize: .gibibytes(1),
            guest: MachineGuest(memoryMebibytes: 256), image: "oci:test",
            members: names.map { ClusterSpec.MemberSpec(name: $0, region: region) }, createdAt: 0)
        let placements = try zip(TestGround.numbers, names).map { number, name in
            MemberPlacement(
                member: name, host: try HostName("host\(number)"), region: region,
                machine: try MachineID("0000000000000\(number)"), volume: try VolumeID("vol_000000000000000\(number)"),
                address: TestGround.address(number))
        }
        var secrets = ground.secrets
        if let password { secrets.replicationPassword = password }
        return ClusterView(
            member: member, revision: 1, spec: spec, rule: nil, ruleRevision: 0, heartbeat: nil, placements: placements,
            reports: [], secrets: secrets)
    }

    func lead(
        to leader: RelayedMember, _ epoch: Epoch, timeline: UInt32, held: HeldLog? = nil
    ) async throws {
        let system = try #require(UInt64(try await leader.member.instance.identify().system))
        let upstream = RelayOrders.Upstream(
            leader: leader.member.name, stream: "\(StreamName(member: member.name, epoch: epoch))", system: system,
            timeline: timeline, held: held)
        await BlockingCall.run { self.keeper.lead(to: upstream, within: .seconds(2)) }
    }

    /// Whether its stream comes to the leader from the relay beside that; nil: there is none.
    func isRelayed(at leader: RelayedMember, _ epoch: Epoch) async throws -> Bool? {
        let rows = try await leader.member.query(
            """
            SELECT client_addr IS NULL FROM pg_stat_replication
            WHERE application_name = '\(StreamName(member: member.name, epoch: epoch))' AND state = 'streaming'
            """)
        return rows.first.map { $0.first == "t" }
    }

    /// A receiver keeps the way it came by: it is ended now and then until the next one comes by the other.
    func waitForStream(relayed: Bool, at leader: RelayedMember, _ epoch: Epoch) async throws {
        var tried = BootClock.now()
        let found = try await poll(for: .seconds(40), every: .milliseconds(100)) { () -> Bool? in
            let isRelayed = try await isRelayed(at: leader, epoch)
            if isRelayed == relayed { return true }
            if isRelayed != nil, BootClock.now() - tried > .seconds(1) {
                tried = BootClock.now()
                for receiver in try await member.instance.receivers() { kill(receiver, SIGTERM) }
            }
            return nil
        }
        try #require(found == true, "\(member.name) has no stream that is \(relayed ? "" : "not ")relayed")
    }
}

@Suite(.serialized, .timeLimit(.minutes(10)))
struct RelayTests {
    /// The first leads in the first epoch, the others are copies of it that follow nobody yet.
    static func with(
        _ label: String, _ numbers: ClosedRange<Int>, password: String? = nil, shell: [String] = [],
        _ body: (TestGround, [RelayedMember]) async throws -> Void
    ) async throws {
        try await TestGround.with(label) { ground in
            var members: [RelayedMember] = []
            defer { for member in members { member.end() } }
            for number in numbers {
                members.append(try RelayedMember(number, ground, password: number == 2 ? password : nil, shell: shell))
            }
            let (leader, others) = (members[0].member, members.dropFirst().map(\.member))
            try await leader.instance.initialize(ground.secrets, within: .seconds(60))
            try await leader.lead(.first, standbys: others)
            _ = try await leader.query("CREATE TABLE t (i int, s text)")
            for other in others { try await other.clone(leader, .first) }
            try await body(ground, members)
            for member in members { await member.member.instance.stop(.immediate, within: .seconds(5)) }
        }
    }

    static func write(_ leader: RelayedMember, _ rows: Int) async throws {
        _ = try await leader.member.query(
            "INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(1, \(rows)) g", within: .seconds(30))
    }

    @Test func aStandbyFollowsByItsRelayAndStraightWithoutOne() async throws {
        try await Self.with("relay", 1...2) { _, members in
            let (m1, m2) = (members[0], members[1])
            try await m2.lead(to: m1, .first, timeline: 1)
            try await m2.member.follow(m1.member, .first)
            try await m2.waitForStream(relayed: true, at: m1, .first)
            try await Self.write(m1, 1000)
            // Either side's may die at any time.
            for dying in [m2, m1] {
                let process = try #require(dying.keeper.process)
                kill(process, SIGKILL)
                let isOther = try await poll(for: .seconds(20)) {
                    dying.keeper.process.map { $0 != process } == true ? true : nil
                }
                #expect(isOther == true, "it was not started anew")
                try await m2.member.waitUntilStreaming()
                try await m2.waitForStream(relayed: true, at: m1, .first)
            }
            try await m1.member.lead(.first, standbys: [m2.member], confirmations: 1)
            _ = try await m1.member.query("SET synchronous_commit = on; INSERT INTO t VALUES (1)", within: .seconds(10))
        }
    }

    @Test func oneThatStandsStillIsEndedAndGoneRound() async throws {
        try await Self.with("still", 1...2) { _, members in
            let (m1, m2) = (members[0], members[1])
            try await m2.lead(to: m1, .first, timeline: 1)
            try await m2.member.follow(m1.member, .first)
            try await m2.waitForStream(relayed: true, at: m1, .first)
            // On the leader's side no standby's stream passes meanwhile.
            for still in [m2, m1] {
                let process = try #require(still.keeper.process)
                kill(process, SIGSTOP)
                let isOther = try await poll(for: .seconds(30)) {
                    still.keeper.process.map { $0 != process } == true ? true : nil
                }
                #expect(isOther == true, "it was not ended")
                try await m2.member.waitUntilStreaming()
                try await m2.waitForStream(relayed: true, at: m1, .first)
            }
        }
    }

    @Test func withTheRelayFrozenNothingGetsThroughTheFence() async throws {
        try await Self.with("fence", 1...2) { _, members in
            let (m1, m2) = (members[0], members[1])
            try await m2.lead(to: m1, .first, timeline: 1)
            try await m2.member.follow(m1.member, .first)
            try await m2.waitForStream(relayed: true, at: m1, .first)
            try await Self.write(m1, 100)
            let process = try #require(m2.keeper.process)
            kill(process, SIGSTOP)
            try m2.member.configure(.standby(upstream: nil))
            try await m2.member.instance.stopFollowing()
            let end = try await m2.member.instance.endOfLog(within: .seconds(10))
            try await Self.write(m1, 100)
            // It goes on, still with the orders of before: what it was told says that it may.
            kill(process, SIGCONT)
            try await Self.write(m1, 100)
            let hasEnded = try await poll(for: .seconds(20)) {
                try await m2.isRelayed(at: m1, .first) == nil ? true : nil
            }
            #expect(hasEnded == true, "the leader's side still has a stream")
            #expect(try await m2.member.instance.receivers().isEmpty)
            #expect(try await m2.member.instance.endOfLog(within: .seconds(10)) == end)
        }
    }

    @Test func aMemberWithAnotherPasswordFollowsStraight() async throws {
        try await Self.with("stranger", 1...2, password: "not this one") { _, members in
            let (m1, m2) = (members[0], members[1])
            try await m2.lead(to: m1, .first, timeline: 1)
            try await m2.member.follow(m1.member, .first)
            try await m2.member.waitUntilStreaming()
            #expect(try await m2.isRelayed(at: m1, .first) == false)
        }
    }

    /// Its follower asks before it leads, from where its own log ends; what it has is handed out from its own disk.
    @Test func aLeaderHasItsFollowerWhileItIsBeingPromoted() async throws {
        try await Self.with("warm", 1...3) { ground, members in
            let (m1, m2, m3) = (members[0], members[1], members[2])
            for standby in [m2, m3] {
                try await standby.member.follow(m1.member, .first)
                try await standby.member.waitUntilStreaming()
            }
            try await Self.write(m1, 10_000)
            await m1.member.instance.stop(.fast, within: .seconds(10))
            var ends: [PostgresInstance.EndOfLog] = []
            for standby in [m2, m3] {
                try standby.member.configure(.standby(upstream: nil))
                try await standby.member.instance.stopFollowing()
                ends.append(try await standby.member.instance.endOfLog(within: .seconds(10)))
            }
            #expect(ends[0] == ends[1])
            let end = ends[1].end
            try await m3.lead(
                to: m2, Epoch(2), timeline: 2, held: HeldLog(end: end, timeline: 1, segmentBytes: 4 << 20))
            let names = [m3.member.name]
            try m2.member.configure(.leader(epoch: Epoch(2), standbys: names, confirmations: 1))
            try m2.member.instance.reload()
            try await m3.member.instance.expect(TimelineFork(timeline: 2, begin: end))
            try await m3.member.follow(m2.member, Epoch(2))
            _ = try await m2.member.instance.promote(within: .seconds(20))
            try await m2.member.instance.keepSlots(of: Epoch(2), for: names, among: ground.members)
            try await m3.member.waitUntilStreaming()
            try await m3.waitForStream(relayed: true, at: m2, Epoch(2))
            _ = try await m2.member.query("SET synchronous_commit = on; INSERT INTO t VALUES (2)", within: .seconds(10))
            try await Self.expectSameLog(of: m2, m3, timeline: 2)
        }
    }

    /// What the supervisor tells the relay is what a receiver needs.
    @Test func afterAFailoverMembersFollowByTheirRelays() async throws {
        try await ClusterTests.with("relayed") { cluster in
            for number in TestCluster.numbers { try cluster.start(number) }
            let first = try await cluster.waitUntilReady(standbys: 2, within: .seconds(120))
            _ = try await cluster.query(first, "CREATE TABLE rows (row int); INSERT INTO rows VALUES (1)")
            cluster.kill(first)
            let next = try await cluster.waitUntilReady(other: first, standbys: 1)
            let standby = try #require(TestCluster.numbers.first { $0 != first && $0 != next })
            let layout = cluster.ground.layout(standby)
            var tried = BootClock.now()
            let isRelayed = try await poll(for: .seconds(60), every: .milliseconds(200)) { () -> Bool? in
                let ways = try await cluster.superuser(
                    next, "SELECT client_addr IS NULL FROM pg_stat_replication WHERE state = 'streaming'")
                if ways == "t\n" { return true }
                // On a computer that is busy the leader may be later than the relay waits: the next receiver, then.
                if ways == "f\n", BootClock.now() - tried > .seconds(2) {
                    tried = BootClock.now()
                    for process in TestProcess.postgres(of: layout) where Self.isReceiver(process) {
                        kill(process, SIGTERM)
                    }
                }
                return nil
            }
            #expect(isRelayed == true)
            _ = try await cluster.query(next, "INSERT INTO rows VALUES (2)")
            #expect(try await cluster.query(next, "SELECT count(*) FROM rows") == "2\n")
        }
    }

    private static func isReceiver(_ process: pid_t) -> Bool {
        let title = (try? DurableFile.read("/proc/\(process)/cmdline")) ?? nil
        return String(decoding: title ?? [], as: UTF8.self).contains("walreceiver")
    }

    /// Byte for byte, from the beginning of the segment that the timeline begins in, to what both have on disk.
    static func expectSameLog(of leader: RelayedMember, _ follower: RelayedMember, timeline: UInt32)
        async throws
    {
        let flushed = try #require(
            try await follower.member.query("SELECT flushed_lsn FROM pg_stat_wal_receiver").first?[0].flatMap {
                LSN(text: $0)
            })
        let name = HeldLog(end: flushed, timeline: timeline, segmentBytes: 4 << 20)
            .part(
                of: StreamStart(
                    slot: "s", position: LSN(flushed.offset / (4 << 20) * (4 << 20)), timeline: timeline),
                leads: timeline)?.fileName
        let file = try #require(name)
        let count = Int(flushed.offset % (4 << 20))
        let logs = try [leader, follower].map { member in
            let layout = member.member.instance.layout
            return try DurableFile.read(layout.outside("\(layout.data)/pg_wal/\(file)"), bytesMax: 8 << 20) ?? []
        }
        #expect(logs[0].count == 4 << 20 && logs[0].prefix(count) == logs[1].prefix(count))
    }
}
