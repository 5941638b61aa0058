import Foundation
import Glibc
import RoostFailover
import RoostLinux
import RoostModel
import Testing

@testable import RoostPostgres

/// The adapters against the real Postgres 17 of the image, in a network namespace of their own.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct InstanceTests {
    @Test func aNewDatabaseStartsStopsAndComesBackAfterACrash() async throws {
        try await TestGround.with("start") { ground in
            let m1 = try ground.member(1)
            let began = BootClock.now()
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            let initialised = BootClock.now()
            try await m1.lead(.first)
            print(
                "initdb \((initialised - began).milliseconds) ms, start \((BootClock.now() - initialised).milliseconds) ms"
            )
            #expect(try await m1.query("SHOW data_checksums") == [["on"]])
            #expect(try await m1.query("SHOW wal_segment_size") == [["4MB"]])
            #expect(try await m1.query("SELECT count(*) FROM pg_roles WHERE rolname = 'postgres'") == [["1"]])
            _ = try await m1.query("CREATE TABLE t (i int); INSERT INTO t VALUES (1)")

            // A crash is known at once, and the next start recovers.
            let crashed = AsyncStream<Void>.makeStream()
            m1.instance.listen(.init(crashed: { crashed.continuation.finish() }))
            m1.instance.crash()
            for await _ in crashed.stream {}
            #expect(!m1.instance.isRunning)
            let restarting = BootClock.now()
            try await m1.lead(.first)
            print("restart after a crash \((BootClock.now() - restarting).milliseconds) ms")
            #expect(try await m1.query("SELECT i FROM t") == [["1"]])

            // A backend that crashes takes Postgres with it: it must not open again by itself.
            let backend = try #require(try await m1.query("SELECT pg_backend_pid()").first?.first ?? nil)
            let ended = AsyncStream<Void>.makeStream()
            m1.instance.listen(.init(crashed: { ended.continuation.finish() }))
            kill(try #require(pid_t(backend)), SIGKILL)
            for await _ in ended.stream {}
            try await m1.lead(.first)
            await m1.instance.stop(.fast, within: .seconds(10))
            #expect(try m1.instance.processes.all().isEmpty)

            // A reload that comes before Postgres can take it waits for it.
            try await m1.instance.start()
            for _ in 0..<3 { try m1.instance.reload() }
            try await m1.instance.waitUntilAnswering(within: .seconds(20))
            await m1.instance.stop(.fast, within: .seconds(10))
        }
    }

    /// Without it a standby connects on the old timeline, is sent away, and connects again.
    @Test func aStandbyThatIsToldOfTheNewTimelineAsksForItAtOnce() async throws {
        try await TestGround.with("fork") { ground in
            let members = try (1...3).map { try ground.member($0) }
            let (m1, m2, m3) = (members[0], members[1], members[2])
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            try await m1.lead(.first, standbys: [m2, m3])
            for standby in [m2, m3] {
                try await standby.clone(m1, .first)
                try await standby.follow(m1, .first)
                try await standby.waitUntilStreaming()
            }
            await m1.instance.stop(.fast, within: .seconds(10))
            var ends: [PostgresInstance.EndOfLog] = []
            for standby in [m2, m3] {
                try standby.configure(.standby(upstream: nil))
                try await standby.instance.stopFollowing()
                ends.append(try await standby.instance.endOfLog(within: .seconds(10)))
            }
            #expect(ends[0] == ends[1])
            try m2.configure(.leader(epoch: Epoch(2), standbys: [m3.name], confirmations: 0))
            let point = try await m2.instance.promote(within: .seconds(20))
            try await m2.instance.keepSlots(of: Epoch(2), for: [m3.name], among: ground.members)

            let fork = TimelineFork(timeline: point.timeline, begin: point.begin)
            try await m3.instance.expect(fork)
            try await m3.follow(m2, Epoch(2))
            try await m3.waitUntilStreaming()
            let log = try m3.log()
            #expect(log.contains("new target timeline is 2"))
            #expect(!log.contains("fetching timeline history file"))
            // Told again, or of a timeline whose parent it does not know: nothing happens.
            try await m3.instance.expect(fork)
            try await m3.instance.expect(TimelineFork(timeline: 9, begin: point.begin))
            #expect(try m3.instance.hasLeftovers(above: 2) == false)
            for member in [m2, m3] { await member.instance.stop(.immediate, within: .seconds(5)) }
        }
    }

    /// The last segment is full and there is no next one, as after a crash between the two.
    @Test func theEndOfTheLogIsFoundWhereASegmentEnds() async throws {
        try await TestGround.with("brim") { ground in
            let m1 = try ground.member(1)
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            try await m1.lead(.first)
            _ = try await m1.query("CREATE TABLE t (i int)")
            let row = try await m1.query("SELECT pg_walfile_name(pg_switch_wal())").first
            let last = try #require(row?[0] ?? nil)
            await m1.instance.stop(.immediate, within: .seconds(5))
            let folder = m1.instance.layout.outside(m1.instance.layout.data + "/pg_wal")
            for name in try LogFiles(folder).names() where LogSegment(fileName: name) != nil && name > last {
                try FileManager.default.removeItem(atPath: folder + "/" + name)
            }
            let stopped = try await m1.instance.endOfStoppedLog(within: .seconds(30))
            #expect(stopped.end == LogSegment(fileName: last).map { LSN($0.end(segmentSize: 4 << 20)) })
            // As replay says, which a promotion goes on from.
            try m1.configure(.standby(upstream: nil))
            try await m1.instance.start()
            try await m1.instance.waitUntilAnswering(within: .seconds(30))
            let replayed = try await m1.instance.endOfLog(within: .seconds(30))
            #expect(stopped == LogEnd(timeline: replayed.timeline, end: replayed.end))
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }

    @Test func aFrozenPostgresIsNoticedInBoundedTime() async throws {
        try await TestGround.with("frozen") { ground in
            let m1 = try ground.member(1)
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            try await m1.lead(.first)
            for process in m1.instance.processes.seen() { kill(process, SIGSTOP) }
            let began = BootClock.now()
            #expect(await !m1.instance.isAnswering())
            #expect(BootClock.now() - began < .seconds(3))
            let stopping = BootClock.now()
            await m1.instance.stop(.fast, within: .seconds(1))
            #expect(BootClock.now() - stopping < .seconds(4))
            #expect(try m1.instance.processes.all().isEmpty)
            try await m1.lead(.first)
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }

    /// The gate's word is repeated every few seconds for as long as a member lives.
    @Test func aGateThatIsSetAgainTellsPostgresNothing() async throws {
        try await TestGround.with("again") { ground in
            let m1 = try ground.member(1)
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            try await m1.lead(.first)
            let hasReloaded = { (limit: Duration, isOpen: Bool) async throws -> Bool in
                let before = try await m1.query("SELECT pg_conf_load_time()")
                try m1.admit(isOpen)
                return try await poll(for: limit, every: .milliseconds(50)) {
                    try await m1.query("SELECT pg_conf_load_time()") == before ? nil : true
                } ?? false
            }
            for isOpen in [true, false] {
                #expect(try await hasReloaded(.seconds(10), isOpen))
                #expect(try await !hasReloaded(.seconds(1), isOpen))
            }
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }

    /// A computer that is busy answers late. A question that was broken off would cost Postgres a new process each time.
    @Test func aPostgresThatAnswersLateIsWaitedForOnTheSameConnection() async throws {
        try await TestGround.with("late") { ground in
            let m1 = try ground.member(1)
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            try await m1.lead(.first)
            _ = try await m1.instance.observe(epoch: .first)
            // The one that asked last what streams there are.
            let asking = """
                SELECT pid, backend_start FROM pg_stat_activity
                WHERE query LIKE 'SELECT application_name, state, flush_lsn,%' AND pid <> pg_backend_pid()
                """
            let before = try await m1.query(asking)
            #expect(before.count == 1)
            let processes = m1.instance.processes.seen()
            for process in processes { kill(process, SIGSTOP) }
            async let sample = m1.instance.observe(epoch: .first)
            let answered = try await poll(for: PostgresInstance.probeDeadline, every: .milliseconds(100)) {
                await m1.instance.isAnswering() ? true : nil
            }
            for process in processes { kill(process, SIGCONT) }
            #expect(answered == nil, "it was frozen")
            guard case .primary = try await sample else {
                Issue.record("no primary")
                return
            }
            #expect(try await m1.query(asking) == before)
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }

    @Test func aStandbyConfirmsFollowsAndStopsFollowingForGood() async throws {
        try await TestGround.with("follow") { ground in
            let (m1, m2) = (try ground.member(1), try ground.member(2))
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            try await m1.lead(.first, standbys: [m2], confirmations: 1)
            _ = try await m1.query("CREATE TABLE t (i int)")
            // No standby yet: a commit waits.
            await #expect(throws: DatabaseError.self) {
                try await m1.query("SET synchronous_commit = on; INSERT INTO t VALUES (0)", within: .seconds(1))
            }
            let began = BootClock.now()
            try await m2.clone(m1, .first)
            print("clone \((BootClock.now() - began).milliseconds) ms")
            try await m2.follow(m1, .first)
            try await m2.waitUntilStreaming()
            _ = try await m1.query("SET synchronous_commit = on; INSERT INTO t VALUES (1)")
            guard case .primary(let primary) = try await m1.instance.observe(epoch: .first) else {
                Issue.record("no primary")
                return
            }
            #expect(primary.standbys.map(\.member) == [m2.name])
            #expect(primary.standbys.first?.isStreaming == true)
            // A stream of an older epoch is none of this one's.
            #expect(try await m1.instance.streams(of: Epoch(2)).isEmpty)

            try m2.configure(.standby(upstream: nil))
            let stopping = BootClock.now()
            try await m2.instance.stopFollowing()
            print("stop following \((BootClock.now() - stopping).milliseconds) ms")
            let end = try await m2.instance.endOfLog(within: .seconds(10))
            await #expect(throws: DatabaseError.self) {
                try await m1.query("SET synchronous_commit = on; INSERT INTO t VALUES (2)", within: .seconds(2))
            }
            let later = try await m2.instance.endOfLog(within: .seconds(10))
            #expect(later == end)
            #expect(end.timeline == 1)
            #expect(try await m2.instance.receivers().isEmpty)

            // The same after a crash and another start.
            m2.instance.kill()
            _ = await m2.instance.waitForExit()
            try await m2.instance.start()
            try await m2.instance.waitUntilAnswering(within: .seconds(20))
            #expect(try await m2.instance.endOfLog(within: .seconds(10)) == end)
            for member in [m1, m2] { await member.instance.stop(.immediate, within: .seconds(5)) }
        }
    }

    @Test func aPromotedStandbyLeadsAndTheDivergedOldPrimaryIsTakenBack() async throws {
        try await TestGround.with("promote") { ground in
            let (m1, m2) = (try ground.member(1), try ground.member(2))
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            try await m1.lead(.first, standbys: [m2])
            try await m2.clone(m1, .first)
            try await m2.follow(m1, .first)
            try await m2.waitUntilStreaming()
            _ = try await m1.query("CREATE TABLE t (i int); INSERT INTO t SELECT generate_series(1, 1000)")
            let target = try #require(try await m1.query("SELECT pg_current_wal_flush_lsn()").first?[0])
            let isThere = try await poll(for: .seconds(10)) {
                try await m2.query("SELECT pg_last_wal_replay_lsn() >= '\(target)'") == [["t"]] ? true : nil
            }
            #expect(isThere == true)

            try m2.configure(.standby(upstream: nil))
            try await m2.instance.stopFollowing()
            let end = try await m2.instance.endOfLog(within: .seconds(10))
            // What only the old primary has, and is killed with.
            _ = try await m1.query("INSERT INTO t SELECT generate_series(2001, 3000); CHECKPOINT")
            let flushed = try #require(
                try await m1.query("SELECT pg_current_wal_flush_lsn()").first?[0].flatMap { LSN(text: $0) })
            m1.instance.kill()
            _ = await m1.instance.waitForExit()
            let found = try await m1.instance.endOfStoppedLog(within: .seconds(30))
            #expect(found.timeline == 1)
            #expect(found.end == flushed)

            try m2.configure(.leader(epoch: Epoch(2), standbys: [m1.name], confirmations: 0))
            let promoting = BootClock.now()
            let point = try await m2.instance.promote(within: .seconds(20))
            print("promote \((BootClock.now() - promoting).milliseconds) ms")
            #expect(point.begin == end.end)
            #expect(point.timeline == 2)
            #expect(point.parent == 1)
            try await m2.instance.keepSlots(of: Epoch(2), for: [m1.name], among: ground.members)
            _ = try await m2.query("INSERT INTO t VALUES (5000)")

            let rewinding = BootClock.now()
            let (leader, standby) = (m2.upstream(Epoch(2)), m1.settings(.standby(upstream: nil)))
            let refused = try await m1.instance.tryRewind(to: leader, standby, ground.secrets, within: .seconds(60))
            #expect(refused == nil)
            try await m1.instance.rewind(to: leader, standby, ground.secrets, within: .seconds(60))
            print("rewind \((BootClock.now() - rewinding).milliseconds) ms")
            try await m1.follow(m2, Epoch(2))
            try await m1.waitUntilStreaming()
            let counted = try await poll(for: .seconds(10)) { () -> String? in
                let rows = try await m1.query("SELECT count(*), max(i) FROM t")
                return rows == [["1001", "5000"]] ? "yes" : nil
            }
            #expect(counted == "yes")

            try await Self.expectObstacles(to: m1, whenItCopies: m2, ground)

            // A rewind that cannot work fails, and a new copy does.
            await m1.instance.stop(.immediate, within: .seconds(5))
            try await Command("rm", ["-r", m1.instance.layout.outside(m1.instance.layout.data + "/base/1")]).run()
            try await Command("rm", [m1.instance.layout.outside(m1.instance.layout.data + "/global/pg_control")]).run()
            let why = try await m1.instance.tryRewind(
                to: m2.upstream(Epoch(2)), m1.settings(.standby(upstream: nil)), ground.secrets, within: .seconds(60))
            #expect(why != nil)
            try await m1.clone(m2, Epoch(2))
            try await m1.follow(m2, Epoch(2))
            try await m1.waitUntilStreaming()
            for member in [m1, m2] { await member.instance.stop(.immediate, within: .seconds(5)) }
        }
    }

    /// Before data is thrown away for a copy, somebody must be there to copy from: with the slot of this epoch.
    private static func expectObstacles(
        to m1: TestMember, whenItCopies m2: TestMember, _ ground: TestGround
    ) async throws {
        let standby = m1.settings(.standby(upstream: nil))
        #expect(await m1.instance.obstacle(to: m2.upstream(Epoch(2)), standby, ground.secrets) == nil)
        let later = await m1.instance.obstacle(to: m2.upstream(Epoch(3)), standby, ground.secrets)
        #expect(later?.contains("no slot m1_e3") == true, "\(later ?? "nil")")
        let nobody = PostgresSettings.Upstream(
            leader: m2.name, address: TestGround.address(2), port: 5999, epoch: Epoch(2))
        #expect(await m1.instance.obstacle(to: nobody, standby, ground.secrets) != nil)
    }
}
