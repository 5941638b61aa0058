import Glibc
import RoostFailover
import RoostLinux
import RoostModel
import Testing

@testable import RoostPostgres

/// Whole members that are lost: what goes on without them, and what waits for them.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct LossTests {
    private static func ready(_ cluster: TestCluster) async throws -> Int {
        for number in TestCluster.numbers { try cluster.start(number) }
        let leader = try await cluster.waitUntilReady(standbys: 2, within: .seconds(120))
        _ = try await cluster.query(leader, "CREATE TABLE rows (row int)")
        return leader
    }

    private static func isRefused(_ body: () async throws -> String) async -> Bool {
        do {
            _ = try await body()
            return false
        } catch {
            return true
        }
    }

    /// As a client of the leader's sees them, once they are these.
    private static func has(_ rows: String, _ leader: Int, _ cluster: TestCluster) async throws -> Bool {
        let found = try await poll(for: .seconds(30)) { () -> Bool? in
            (try? await cluster.query(leader, "SELECT row FROM rows ORDER BY 1")) == rows ? true : nil
        }
        return found ?? false
    }

    @Test func oneStandbyIsDoneWithoutAndTheLastIsWaitedFor() async throws {
        try await ClusterTests.with("fewer") { cluster in
            let first = try await Self.ready(cluster)
            let epoch = try #require(cluster.store.rule?.epoch)
            let others = TestCluster.numbers.filter { $0 != first }
            // Stopped in order, and started again.
            kill(try #require(cluster.supervisor(others[0])).first, SIGTERM)
            let hasEnded = try await poll(for: .seconds(15)) { cluster.hasEnded(others[0]) ? true : nil }
            #expect(hasEnded == true)
            cluster.kill(others[0])
            _ = try await cluster.query(first, "INSERT INTO rows VALUES (1)")
            try cluster.start(others[0])
            #expect(try await Self.has("1\n", others[0], cluster))
            // Lost, one after the other.
            cluster.kill(others[0])
            _ = try await cluster.query(first, "INSERT INTO rows VALUES (2)")
            cluster.kill(others[1])
            let isRefused = await Self.isRefused {
                try await cluster.query(first, "INSERT INTO rows VALUES (3)", within: 3)
            }
            #expect(isRefused, "a commit was confirmed that is on one disk")
            #expect(try await cluster.query(first, "SELECT row FROM rows ORDER BY 1") == "1\n2\n")
            // The leader has nobody to hand over to, and does not.
            #expect(cluster.store.rule?.epoch == epoch && cluster.leader == first)
            // What waited goes on with the standby, although its client has gone.
            try cluster.start(others[0])
            #expect(try await Self.has("1\n2\n3\n", first, cluster))
            #expect(cluster.store.rule?.epoch == epoch)
        }
    }

    /// After a restart all that is in the log counts for Postgres, whatever it waited for before.
    @Test func aCommitThatWaitedWhenPostgresDiedIsShownWhenAStandbyHasIt() async throws {
        try await ClusterTests.with("waited") { cluster in
            let first = try await Self.ready(cluster)
            let epoch = try #require(cluster.store.rule?.epoch)
            let name = try TestCluster.name(first)
            let postmaster = try #require(TestProcess.postmaster(of: cluster.ground.layout(first)))
            let others = TestCluster.numbers.filter { $0 != first }
            let frozen = others.flatMap { TestProcess.postgres(of: cluster.ground.layout($0)) }
            for process in frozen { kill(process, SIGSTOP) }
            async let isRefused = Self.isRefused { try await cluster.query(first, "INSERT INTO rows VALUES (1)") }
            let waits = try await poll(for: .seconds(5)) { () -> Bool? in
                let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
                return try await cluster.superuser(first, waiting) == "1\n" ? true : nil
            }
            #expect(waits == true)
            kill(postmaster, SIGKILL)
            #expect(await isRefused, "told of a success")
            let isBack = try await poll(for: .seconds(20)) { () -> Bool? in
                (try? await cluster.superuser(first, "SELECT row FROM rows")) == "1\n" ? true : nil
            }
            #expect(isBack == true, "it is in the log")
            #expect(!cluster.store.isOpen(name))
            let isShut = await Self.isRefused { try await cluster.query(first, "SELECT row FROM rows", within: 5) }
            #expect(isShut, "shown before a standby has it")
            for process in frozen { kill(process, SIGCONT) }
            #expect(try await Self.has("1\n", first, cluster))
            #expect(cluster.store.rule?.epoch == epoch && cluster.leader == first)
        }
    }

    /// First the leader's supervisor alone, then machines; in the end the power of all at once.
    @Test func eachLeaderIsLostInTurnAndNothingWithIt() async throws {
        try await ClusterTests.with("turns") { cluster in
            var leader = try await Self.ready(cluster)
            var rows = ""
            for round in 1...3 {
                _ = try await cluster.query(leader, "INSERT INTO rows VALUES (\(round))")
                rows += "\(round)\n"
                if round == 1 { try await Self.expectEndWithItsSupervisor(leader, cluster) }
                cluster.kill(leader)
                let next = try await cluster.waitUntilReady(other: leader, standbys: 1)
                #expect(try await Self.has(rows, next, cluster))
                try cluster.start(leader)
                leader = try await cluster.waitUntilReady(standbys: 2)
            }
            for number in TestCluster.numbers { cluster.kill(number) }
            cluster.store.forgetReports()
            for number in TestCluster.numbers { try cluster.start(number) }
            leader = try await cluster.waitUntilReady(standbys: 2)
            #expect(try await Self.has(rows, leader, cluster))
        }
    }

    /// Its Postgres does not live on without it.
    private static func expectEndWithItsSupervisor(_ leader: Int, _ cluster: TestCluster) async throws {
        let layout = cluster.ground.layout(leader)
        kill(try #require(cluster.supervisor(leader)).member, SIGKILL)
        let hasEnded = try await poll(for: .seconds(5), every: .milliseconds(20)) {
            cluster.hasEnded(leader) && TestProcess.postgres(of: layout).isEmpty ? true : nil
        }
        #expect(hasEnded == true)
    }
}

/// What stands in the way of one Postgres.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct ObstacleTests {
    /// By hand, or by a unit of the system's: two on one folder would spoil it.
    @Test func aPostgresThatSomebodyElseStartedIsEndedFirst() async throws {
        try await TestGround.with("foreign") { ground in
            let m1 = try ground.member(1)
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            try m1.configure(.leader(epoch: .first, standbys: [], confirmations: 0))
            let layout = m1.instance.layout
            let foreign = try TestProcess.start(
                layout.program("postgres", ["-D", layout.data, "-c", "config_file=\(layout.configFile)"]),
                log: "\(ground.root)\(ground.folder)/foreign.log")
            defer { TestProcess.end(foreign) }
            let answers = try await poll(for: .seconds(20)) { () -> Bool? in
                (try? await m1.query("SELECT 1")) == nil ? nil : true
            }
            #expect(answers == true)
            #expect(TestProcess.postmaster(of: layout) == foreign)
            try await m1.lead(.first)
            #expect(try await m1.query("SELECT 1") == [["1"]])
            let own = TestProcess.postmaster(of: layout)
            #expect(own != nil && own != foreign)
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }

    /// Somebody has put it there: which of the two counts only a person knows.
    @Test func dataOfAnotherInitdbIsNotTakenBackToTheLeaders() async throws {
        try await TestGround.with("other") { ground in
            let (m1, m2) = (try ground.member(1), try ground.member(2))
            for member in [m1, m2] { try await member.instance.initialize(ground.secrets, within: .seconds(60)) }
            try await m1.lead(.first, standbys: [m2])
            let settings = m2.settings(.standby(upstream: nil))
            let (own, other) = (try m2.instance.systemIdentifier(), try m1.instance.systemIdentifier())
            #expect(own != nil && own != other)
            let kept = PostgresInstance.ExpectedSystem.own(try #require(own))
            let refusal = await m2.instance.obstacle(to: m1.upstream(.first), settings, ground.secrets, system: kept)
            #expect(refusal?.contains("data of another database system") == true, "\(refusal ?? "nil")")
            // The cluster's data mends a member with other data, and nothing else does.
            for (system, isTaken) in [(try #require(other), true), (try #require(own), false)] {
                let why = await m2.instance.obstacle(
                    to: m1.upstream(.first), settings, ground.secrets, system: .clusters(system))
                #expect((why == nil) == isTaken, "\(why ?? "nil")")
            }
            guard case .primary(let sample) = try await m1.instance.observe(epoch: .first) else {
                Issue.record("no primary")
                return
            }
            #expect(sample.system == other)
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }

    /// The disk gives other bytes than were written: the rows of that page are an error, all else is as it was, and no copy
    /// of it is taken for a whole one.
    @Test func aSpoiledPageIsAnErrorForWhoReadsItAndForWhoCopiesIt() async throws {
        try await TestGround.with("page") { ground in
            let (m1, m2) = (try ground.member(1), try ground.member(2))
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            try await m1.lead(.first, standbys: [m2])
            _ = try await m1.query(
                """
                CREATE TABLE spoiled (i int); INSERT INTO spoiled SELECT generate_series(1, 100);
                CREATE TABLE sound (i int); INSERT INTO sound VALUES (1)
                """)
            let path = try #require(try await m1.query("SELECT pg_relation_filepath('spoiled')").first?[0])
            await m1.instance.stop(.fast, within: .seconds(10))
            try Self.spoil(m1.instance.layout.outside(m1.instance.layout.data + "/" + path))
            try await m1.lead(.first, standbys: [m2])
            let error = await #expect(throws: DatabaseError.self) { try await m1.query("SELECT sum(i) FROM spoiled") }
            guard case .refused("XX001", _)? = error?.cause else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(try await m1.query("SELECT i FROM sound") == [["1"]])
            let obstacle = await #expect(throws: PostgresError.self) { try await m2.clone(m1, .first) }
            #expect(obstacle?.cause.contains("checksum") == true, "\(obstacle?.cause ?? "")")
            #expect(try !m2.instance.hasData)
            #expect(m1.instance.isRunning)
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }

    /// A checkpoint holds `pg_control` for as long as its flush takes, which says nothing of whether Postgres lives. Here it
    /// cannot be read at all.
    @Test func whatShowsThatPostgresLivesNeedsNothingOfItsControlFile() async throws {
        try await TestGround.with("control") { ground in
            let (m1, m2) = (try ground.member(1), try ground.member(2))
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            try await m1.lead(.first, standbys: [m2], confirmations: 1)
            try await m2.clone(m1, .first)
            try await m2.follow(m1, .first)
            try await m2.waitUntilStreaming()
            let number = try #require(try m1.instance.systemIdentifier())
            for member in [m1, m2] {
                // In the time of the last change: the sum of the file is another then.
                try Self.spoil(member.instance.layout.outside(member.instance.layout.data + "/global/pg_control"), 24)
            }
            await #expect(throws: DatabaseError.self) {
                try await m1.query("SELECT system_identifier FROM pg_control_system()")
            }
            guard case .primary(let primary) = try await m1.instance.observe(epoch: .first) else {
                Issue.record("no primary")
                return
            }
            #expect(primary.system == number && primary.standbys.map(\.member) == [m2.name])
            guard case .standby(let standby) = try await m2.instance.observe(epoch: .none) else {
                Issue.record("no standby")
                return
            }
            #expect(standby.isStreaming && standby.timeline == 1)
            for member in [m2, m1] { await member.instance.stop(.immediate, within: .seconds(5)) }
        }
    }

    /// In the middle of a row, of which the page's head says nothing, if nowhere else. Rows fill a page from its end.
    private static func spoil(_ path: String, _ place: off_t = off_t(8192 - 20)) throws {
        let file = open(path, O_RDWR | O_CLOEXEC)
        try #require(file >= 0, "\(path)")
        defer { close(file) }
        var byte: UInt8 = 0
        #expect(pread(file, &byte, 1, place) == 1)
        byte ^= 0xff
        #expect(pwrite(file, &byte, 1, place) == 1)
    }
}
