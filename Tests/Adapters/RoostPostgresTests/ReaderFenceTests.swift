import Glibc
import RoostFailover
import RoostLinux
import RoostModel
import RoostWire
import Synchronization
import Testing

@testable import RoostPostgres

/// What a Postgres keeps for readers, and how it sends away whoever has the members' password and is no member. m3 is in their
/// place, at an address of its own.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct ReaderFenceTests {
    private static let members = [TestGround.address(1), TestGround.address(2)]
    private static let stranger = TestGround.address(3)
    private static let sessions =
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'roost_replicator' AND client_addr = '\(stranger)'"

    private func with(_ label: String, _ body: (TestGround, TestMember) async throws -> Void) async throws {
        try await TestGround.with(label) { ground in
            try await ground.move(apart: 3)
            let m1 = try ground.member(1)
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            try await m1.lead(.first)
            try await body(ground, m1)
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }

    private func expect(_ count: Int, of question: String, _ member: TestMember) async throws {
        let seen = try await poll(for: .seconds(20), every: .milliseconds(50)) {
            try await member.query(question) == [["\(count)"]] ? true : nil
        }
        #expect(seen == true, "\(count) of: \(question)")
    }

    /// It has no slot; or it has not said its password yet, and would say it by the access rules of before.
    @Test func aFenceEndsWhoComesFromElsewhereAndWhoIsLoggingIn() async throws {
        try await with("fence") { ground, m1 in
            let processes = try [ground.receive(from: 1, by: "m2.e2"), ground.knock(at: 1)]
            defer { processes.forEach(TestProcess.end) }
            try await expect(1, of: Self.sessions, m1)
            let instance = m1.instance
            func comers() -> Int { instance.processes.logins(of: "roost_replicator", butFrom: Self.members).count }
            let hasKnocked = try await poll(for: .seconds(20)) { comers() == 2 ? true : nil }
            #expect(hasKnocked == true)
            try await instance.make(slot: "m3_e1", keepsLog: false)
            try await instance.make(slot: "m2_e1", keepsLog: false)
            var settings = m1.settings(.leader(epoch: .first, standbys: [], confirmations: 0))
            settings.members = Self.members
            try await instance.configure(settings, ground.secrets)
            try instance.reload()
            try await instance.endStreams(
                butBySlots: ["m2_e1"], among: ground.members, butFrom: Self.members, within: .seconds(10))
            #expect(try await m1.query(Self.sessions) == [["0"]])
            #expect(comers() == 0)
            #expect(try await m1.query("SELECT slot_name FROM pg_replication_slots") == [["m2_e1"]])
        }
    }

    @Test func aReaderHasSoManySessionsAndWhoIsNotFedHasNone() async throws {
        try await with("sessions") { ground, m1 in
            let processes = try (0..<7).map { _ in try ground.sleep(at: 1) }
            defer { processes.forEach(TestProcess.end) }
            try await expect(7, of: Self.sessions, m1)
            let newest =
                "SELECT min(backend_start) FROM (SELECT backend_start FROM pg_stat_activity WHERE usename = "
                + "'roost_replicator' ORDER BY 1 DESC LIMIT \(PostgresInstance.readersSessionsMax)) s"
            let from = try await m1.query(newest)
            try await m1.instance.endSessions(butOf: Self.members, fed: [Self.stranger])
            try await expect(PostgresInstance.readersSessionsMax, of: Self.sessions, m1)
            #expect(try await m1.query(newest) == from, "the oldest go")
            try await m1.instance.endSessions(butOf: Self.members + [Self.stranger])
            #expect(try await m1.query(Self.sessions) == [["\(PostgresInstance.readersSessionsMax)"]])
            try await m1.instance.endSessions(butOf: Self.members)
            try await expect(0, of: Self.sessions, m1)
        }
    }

    /// A slot keeps log for as long as it takes to begin with a copy.
    @Test func aSlotThatNobodyReadsFromIsMadeAnewAfterAWhile() async throws {
        try await with("idle") { ground, m1 in
            await m1.instance.stop(.fast, within: .seconds(10))
            try m1.configure(.standby(upstream: nil))
            try await m1.instance.start()
            try await m1.instance.waitUntilAnswering(within: .seconds(30))
            let keeps = "SELECT slot_name, restart_lsn IS NOT NULL FROM pg_replication_slots ORDER BY 1"
            for name in ["m2_e1", "m3_e1", "mine"] { try await m1.instance.make(slot: name, keepsLog: true) }
            try await m1.instance.keepReaderSlots(["m3_e1"], among: ground.members)
            #expect(try await m1.query(keeps) == [["m3_e1", "t"], ["mine", "t"]])
            try await m1.instance.keepReaderSlots(["m3_e1"], among: ground.members, absenceMax: .zero)
            #expect(try await m1.query(keeps) == [["m3_e1", "f"], ["mine", "t"]])
        }
    }

    @Test func whoeverWasFedIsSentAwayBehindTheFence() async throws {
        try await TestGround.with("dismissed") { ground in
            let operated = try OperatedMember(1, ground)
            let m1 = operated.member
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            try m1.configure(.standby(upstream: nil))
            try await m1.instance.start()
            try await m1.instance.waitUntilAnswering(within: .seconds(30))
            try await m1.instance.make(slot: "m3_e1", keepsLog: true)
            operated.operations.fed.withLock { $0 = [Self.stranger] }
            #expect(try await operated.carryOut(.sever) == .done)
            try await expect(0, of: "SELECT count(*) FROM pg_replication_slots", m1)
            #expect(operated.operations.fed.withLock { $0 } == [])
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }
}

/// What somebody may do who is root in the machine that is apart.
extension TestGround {
    private func start(_ words: [String]) throws -> pid_t {
        try TestProcess.start(["nsenter", "--net=/run/netns/\(apart)"] + words, log: root + folder + "/apart.log")
    }

    private func client(_ program: String, _ words: [String]) -> [String] {
        [
            "chroot", root, "env", "PGPASSWORD=\(secrets.replicationPassword)", "/usr/lib/postgresql/17/bin/\(program)",
        ] + words
    }

    private func login(_ number: Int) -> String {
        "host=\(Self.address(number)) port=5432 user=roost_replicator dbname=postgres sslmode=disable"
    }

    /// A stream of log by this name, without a slot.
    func receive(from number: Int, by name: String) throws -> pid_t {
        try DurableFile.makeFolder("\(root)\(folder)/received")
        return try start(
            client(
                "pg_receivewal",
                ["--directory=\(folder)/received", "--dbname=\(login(number)) application_name=\(name)"]))
    }

    /// A session that stays.
    func sleep(at number: Int) throws -> pid_t {
        try start(client("psql", ["--no-psqlrc", "--command=SELECT pg_sleep(600)", login(number)]))
    }

    /// A connection that has said nothing yet.
    func knock(at number: Int) throws -> pid_t {
        try start(["bash", "-c", "exec 3<>/dev/tcp/\(Self.address(number))/5432 && exec sleep 600"])
    }
}
