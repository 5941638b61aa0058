import Foundation
import Glibc
import RoostFailover
import RoostLinux
import RoostModel
import Synchronization
import Testing

@testable import RoostPostgres

/// What the supervisor goes by is evidence that no client can write, seen on the real Postgres.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct EvidenceTests {
    private static func primary(_ ground: TestGround, _ standbys: [TestMember] = []) async throws -> TestMember {
        let m1 = try ground.member(1)
        try await m1.instance.initialize(ground.secrets, within: .seconds(60))
        try await m1.lead(.first, standbys: standbys)
        return m1
    }

    /// A client's own connection through the local socket; the superuser may come in there.
    private static func client(_ member: TestMember, user: String = "roost") throws -> Database {
        let layout = member.instance.layout
        return try Database(
            "client",
            parameters: [
                ("host", layout.outside(layout.runFolder)), ("port", "5432"), ("user", user), ("password", "x"),
                ("dbname", "postgres"), ("sslmode", "disable"), ("gssencmode", "disable"),
            ], connectDeadline: .seconds(5))
    }

    @Test func aLeaderThatHasRemovedTheLogIsBelievedAndNobodyElse() async throws {
        try await TestGround.with("removed") { ground in
            let m2 = try ground.member(2)
            let m1 = try await Self.primary(ground)
            let oldText = try #require(try await m1.query("SELECT pg_current_wal_flush_lsn()").first?[0])
            let old = try #require(LSN(text: oldText))
            // More than is kept without a slot.
            for _ in 0..<14 { _ = try await m1.query("CREATE TABLE t (i int); DROP TABLE t; SELECT pg_switch_wal()") }
            for _ in 0..<2 { _ = try await m1.query("CHECKPOINT", within: .seconds(20)) }
            try await m1.lead(.first, standbys: [m2])
            let endText = try #require(try await m1.query("SELECT pg_current_wal_flush_lsn()").first?[0])
            let end = try #require(LSN(text: endText))
            let layout = m1.instance.layout
            let system = "\(try #require(try m1.instance.systemIdentifier()))"
            #expect(try await m1.query("SELECT system_identifier FROM pg_control_system()") == [[system]])
            func ask(
                _ position: LSN, _ timeline: UInt32, slot: String = "m2_e1", system: String = system,
                forks: [TimelineFork] = [], begun: TimelineFork? = nil
            ) async throws -> LeaderTrial.Verdict {
                let trial = try LeaderTrial(
                    m1.name, slot: slot, begun: begun,
                    parameters: [
                        ("host", layout.outside(layout.runFolder)), ("port", "5432"), ("user", "roost"),
                        ("sslmode", "disable"), ("gssencmode", "disable"),
                    ])
                return await trial.ask(
                    for: .init(system: system, replayed: position, timeline: timeline, forks: forks, received: position)
                )
            }
            #expect(try await ask(end, 1) == .canFollow)
            guard case .cannotFollow(let why) = try await ask(old, 1) else {
                Issue.record("the log from \(old) on is still there")
                return
            }
            #expect(why.contains("has already been removed"))
            // Of one history, and longer than its leader's: no copy of that leader is made.
            let longer = LSN(end.offset + (64 << 20))
            guard case .leaderLostLog(let loss) = try await ask(longer, 1) else {
                Issue.record("it takes the leader's word for what the leader has lost")
                return
            }
            #expect(loss.hasPrefix("has log up to \(longer) of timeline 1, but that of m1 ends at 0/"))
            // It does not know any more that it was promoted.
            let second = TimelineFork(timeline: 2, begin: old)
            guard case .leaderLostLog = try await ask(end, 2, forks: [second], begun: second) else {
                Issue.record("it takes the leader's word for where the leader began")
                return
            }
            // Somebody promoted what is here, and not the leader: it is no part of the cluster's log.
            for begun in [nil, TimelineFork(timeline: 2, begin: end), TimelineFork(timeline: 3, begin: old)] {
                #expect(try await ask(end, 2, forks: [second], begun: begun).isRefusal)
            }
            #expect(try await ask(longer, 1, forks: [TimelineFork(timeline: 1, begin: old)]).isRefusal)
            #expect(try await ask(end, 2).isRefusal)
            #expect(try await ask(old, 1, slot: "m2_e2") == .unclear("m1: it has no slot m2_e2"))
            // Of another initdb: whatever else there is to say, it is not replaced by a copy.
            guard case .otherData = try await ask(old, 1, system: "1") else {
                Issue.record("it takes another database for its own")
                return
            }
            await m1.instance.stop(.immediate, within: .seconds(5))
            #expect(try await !ask(old, 1).isRefusal)
        }
    }

    @Test func aRoleThatBearsAReceiversNameIsNoReceiver() async throws {
        try await TestGround.with("names") { ground in
            let m2 = try ground.member(2)
            let m1 = try await Self.primary(ground, [m2])
            _ = try await m1.query("CREATE ROLE walreceiver LOGIN PASSWORD 'x'")
            try await m2.clone(m1, .first)
            try await m2.follow(m1, .first)
            try await m2.waitUntilStreaming()
            try m2.admit(true)
            // Its title begins as a receiver's does: `postgres: m2: walreceiver`.
            let client = try Self.client(m2, user: "walreceiver")
            let isIn = try await poll(for: .seconds(5)) { () -> Bool? in
                (try? await client.query("SELECT 1", within: .seconds(5))) == nil ? nil : true
            }
            #expect(isIn == true)
            #expect(try await m2.instance.receivers().count == 1)
            try m2.configure(.standby(upstream: nil))
            let began = BootClock.now()
            try await m2.instance.stopFollowing()
            #expect(BootClock.now() - began < PostgresInstance.receiverDeadline)
            #expect(m2.instance.isRunning)
            #expect(try await m2.instance.receivers().isEmpty)
            // Its session goes on.
            #expect(try await client.query("SELECT 1", within: .seconds(5)) == [["1"]])
            await client.disconnect()
            for member in [m1, m2] { await member.instance.stop(.immediate, within: .seconds(5)) }
        }
    }

    @Test func childrenAreFoundByParentageAlsoWhenTheirParentIsDead() async throws {
        try await TestGround.with("orphans") { ground in
            let m1 = try await Self.primary(ground)
            let children = Set(m1.instance.processes.seen())
            // Sessions come and go: those that stay are the same in both views.
            let seen = Set(TestProcess.postgres(of: m1.instance.layout))
            #expect(children.count >= 5)
            #expect(children.intersection(seen).count >= 5)
            let ended = AsyncStream<Void>.makeStream()
            m1.instance.listen(.init(crashed: { ended.continuation.finish() }))
            // They cannot notice that their parent is gone.
            let postmaster = try #require(m1.instance.processes.postmaster)
            for child in children where child != postmaster { kill(child, SIGSTOP) }
            m1.instance.crash()
            for await _ in ended.stream {}
            #expect(m1.instance.processes.postmaster == nil)
            #expect(!m1.instance.processes.seen().isEmpty)
            m1.instance.kill()
            let isGone = try await poll(for: .seconds(5), every: .milliseconds(10)) {
                TestProcess.postgres(of: m1.instance.layout).isEmpty ? true : nil
            }
            #expect(isGone == true)
            try await m1.lead(.first)
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }

    @Test func theSupervisorHasAPlaceWhenClientsHaveTakenAll() async throws {
        try await TestGround.with("places") { ground in
            let m2 = try ground.member(2)
            let m1 = try await Self.primary(ground, [m2])
            var clients: [Database] = []
            var refused: String?
            while refused == nil, clients.count <= PostgresSettings.connectionsMax {
                let client = try Self.client(m1)
                do {
                    try await client.query("SELECT 1", within: .seconds(5))
                    clients.append(client)
                } catch {
                    refused = "\(error)"
                }
            }
            #expect(refused?.contains("too many clients") == true, "\(clients.count) clients are in")
            for database in [m1.instance.probe, m1.instance.control, m1.instance.lengthy] {
                await database.disconnect()
            }
            guard case .primary = try await m1.instance.observe(epoch: .first) else {
                Issue.record("no primary")
                return
            }
            try await m1.instance.keepSlots(of: .first, for: [m2.name], among: ground.members)
            try await m1.instance.checkpoint(within: .seconds(20))
            for client in clients { await client.disconnect() }
            await m1.instance.stop(.fast, within: .seconds(10))
        }
    }

    /// What a superuser sets for everybody does not keep the supervisor out.
    @Test func whatIsSetForEverybodyDoesNotGovernTheSupervisor() async throws {
        try await TestGround.with("allroles") { ground in
            let m1 = try await Self.primary(ground)
            _ = try await m1.query(
                """
                ALTER ROLE ALL SET session_preload_libraries = 'nope';
                CREATE FUNCTION public.no() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
                CREATE EVENT TRIGGER no ON login EXECUTE FUNCTION public.no()
                """)
            _ = try await m1.query("CREATE ROLE app; ALTER DATABASE postgres SET role = 'app'")
            _ = try await m1.query(
                """
                ALTER ROLE ALL SET role = 'app'; ALTER ROLE ALL SET transaction_timeout = 1;
                ALTER ROLE ALL SET lock_timeout = 1; ALTER ROLE ALL SET idle_session_timeout = 1;
                ALTER ROLE ALL SET statement_timeout = 1
                """)
            await m1.instance.stop(.fast, within: .seconds(10))
            try await m1.lead(.first)
            #expect(try await m1.query("SELECT 1") == [["1"]])
            #expect(try await m1.query("SELECT current_user, current_setting('is_superuser')") == [["roost", "on"]])
            for setting in ["statement_timeout", "transaction_timeout", "lock_timeout", "idle_session_timeout"] {
                #expect(try await m1.query("SHOW \(setting)") == [["0"]], "\(setting)")
            }
            #expect(try await m1.instance.receivers().isEmpty)
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }

    @Test func rulesThatCouldNotBeWrittenAreWrittenLater() async throws {
        try await TestGround.with("gate") { ground in
            let m1 = try ground.member(1)
            try m1.configure(.standby(upstream: nil))
            let path = m1.instance.layout.outside(m1.instance.layout.accessFile)
            // As on a full disk: nothing can be written beside the file.
            try FileManager.default.createDirectory(atPath: path + ".new", withIntermediateDirectories: false)
            func rules() throws -> String { String(decoding: try DurableFile.read(path) ?? [], as: UTF8.self) }
            for _ in 0..<2 { #expect(throws: PostgresError.self) { try m1.admit(true) } }
            #expect(try rules().contains("all                 fdaa::/16  reject"))
            try FileManager.default.removeItem(atPath: path + ".new")
            try m1.admit(true)
            #expect(try rules().contains("all                 fdaa::/16  scram-sha-256"))
            // The same on the way back.
            try FileManager.default.createDirectory(atPath: path + ".new", withIntermediateDirectories: false)
            for _ in 0..<2 { #expect(throws: PostgresError.self) { try m1.admit(false) } }
            try FileManager.default.removeItem(atPath: path + ".new")
            try m1.admit(false)
            #expect(try rules().contains("all                 fdaa::/16  reject"))
        }
    }

    @Test("Rules that were written between two equal configurations have Postgres told of the second")
    func rulesBetweenConfigurations() async throws {
        try await TestGround.with("rules") { ground in
            let m1 = try ground.member(1)
            let instance = m1.instance
            // Nothing else makes the second configuration another one.
            let data = instance.layout.outside(instance.layout.data)
            try DurableFile.makeFolder(data)
            try DurableFile.write("", to: data + "/postgresql.auto.conf")
            func configure() throws -> Bool {
                try m1.configure(.standby(upstream: nil))
                defer { instance.written.withLock { $0.isUntold = false } }
                return instance.written.withLock { $0.isUntold }
            }
            #expect(try configure())
            #expect(try !configure(), "the same is told once")
            try m1.admit(true)
            // A Postgres that runs is told of it at once.
            instance.written.withLock { $0.isUntold = false }
            instance.want(open: false)
            #expect(try configure(), "the file says again that nobody comes in, Postgres was told that all may")
            #expect(try !configure())
        }
    }

    @Test func aFullVolumeKeepsNobodyOut() async throws {
        try await TestGround.with("full") { ground in
            let m1 = try ground.member(1)
            let volume = m1.instance.layout.outside(m1.instance.layout.volume)
            try await Command("mount", ["-t", "tmpfs", "-o", "size=192m", "roost-pg-test", volume]).run()
            do { try await Self.fill(m1, volume) } catch {
                await m1.instance.stop(.immediate, within: .seconds(5))
                _ = try? await Command("umount", ["-l", volume]).run()
                throw error
            }
            await m1.instance.stop(.immediate, within: .seconds(5))
            try await Command("umount", ["-l", volume]).run()
        }
    }

    private static func fill(_ m1: TestMember, _ volume: String) async throws {
        try await m1.instance.initialize(m1.ground.secrets, within: .seconds(60))
        try await m1.lead(.first)
        #expect(m1.instance.layout.shortage() == nil)
        _ = try? await Command("dd", ["if=/dev/zero", "of=\(volume)/junk", "bs=1M"], deadline: .seconds(30)).run()
        #expect(m1.instance.layout.shortage()?.hasPrefix("the volume is full") == true)
        try m1.admit(true)
        try m1.configure(.leader(epoch: .first, standbys: [], confirmations: 0))
        #expect(try await m1.query("SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'reject'") == [["2"]])
    }

    @Test func whyItDoesNotStartIsSaid() async throws {
        try await TestGround.with("words") { ground in
            let m1 = try await Self.primary(ground)
            await m1.instance.stop(.fast, within: .seconds(10))
            let version = m1.instance.layout.outside(m1.instance.layout.data + "/PG_VERSION")
            try Data("9.6\n".utf8).write(to: URL(fileURLWithPath: version))
            try await m1.instance.start()
            let error = await #expect(throws: PostgresError.self) {
                try await m1.instance.waitUntilAnswering(within: .seconds(20))
            }
            let words = "FATAL: database files are incompatible with server"
            #expect(error?.cause.contains(words) == true, "\(error.map { "\($0)" } ?? "")")
        }
    }

    @Test func aFrozenStandbyIsNoLongerSeenToConfirm() async throws {
        try await TestGround.with("frozen2") { ground in
            let m2 = try ground.member(2)
            let m1 = try await Self.primary(ground, [m2])
            try await m2.clone(m1, .first)
            try await m2.follow(m1, .first)
            try await m2.waitUntilStreaming()
            for process in m2.instance.processes.seen() { kill(process, SIGSTOP) }
            let isNoticed = try await poll(for: .seconds(15)) { () -> Bool? in
                guard case .primary(let primary) = try await m1.instance.observe(epoch: .first) else { return nil }
                return primary.standbys.contains { $0.isStreaming } ? nil : true
            }
            #expect(isNoticed == true)
            m2.instance.kill()
            _ = await m2.instance.waitForExit()
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }
}

extension LeaderTrial.Verdict {
    fileprivate var isRefusal: Bool {
        switch self {
        case .cannotFollow: true
        case .canFollow, .leaderLostLog, .otherData, .unclear: false
        }
    }
}
