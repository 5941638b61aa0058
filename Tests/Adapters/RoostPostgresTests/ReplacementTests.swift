import Foundation
import Glibc
import RoostFailover
import RoostLinux
import RoostModel
import Testing

@testable import RoostPostgres

/// What happens to data, and to the log that is kept for others, on the real Postgres and on volumes that fill up.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct ReplacementTests {
    /// A volume of its own size for a member, until `body` is over.
    private static func withVolume(
        _ size: ByteCount, of number: Int, _ ground: TestGround, _ body: () async throws -> Void
    ) async throws {
        let folder = ground.layout(number).outside(ground.layout(number).volume)
        try DurableFile.makeFolder(ground.root + ground.folder + "/m\(number)")
        try DurableFile.makeFolder(folder)
        try await Command("mount", ["-t", "tmpfs", "-o", "size=\(size.bytes),mode=755", "tmpfs", folder]).run()
        do { try await body() } catch {
            await end(number, ground)
            throw error
        }
        await end(number, ground)
    }

    private static func end(_ number: Int, _ ground: TestGround) async {
        if let member = try? ground.member(number) {
            _ = try? await poll(for: .seconds(10)) { () -> Bool? in
                try await member.instance.removeRemains()
                return true
            }
        }
        let layout = ground.layout(number)
        _ = try? await Command("umount", ["--lazy", layout.outside(layout.volume)]).run()
    }

    private static func fill(_ member: TestMember, leaving: ByteCount) throws -> String {
        let space = try member.instance.layout.space()
        let path = member.instance.layout.outside(member.instance.layout.volume + "/filler")
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(file) }
        let size = space.size.bytes - space.used.bytes - leaving.bytes
        guard file >= 0, posix_fallocate(file, 0, off_t(max(size, 1))) == 0 else { throw SystemError("fill", path) }
        return path
    }

    private static func write(_ mebibytes: Int, _ member: TestMember) async throws {
        _ = try await member.query(
            "CREATE TABLE IF NOT EXISTS load (i int, text text);"
                + "INSERT INTO load SELECT i, repeat('x', 1000) FROM generate_series(1, \(mebibytes * 1000)) i",
            within: .seconds(60))
    }

    private static func slots(_ member: TestMember) async throws -> [String: String] {
        let rows = try await member.query("SELECT slot_name, wal_status FROM pg_replication_slots ORDER BY 1")
        return Dictionary(uniqueKeysWithValues: rows.map { ($0[0] ?? "", $0[1] ?? "") })
    }

    @Test func aCopyLeavesTheDataAloneUntilItIsWholeAndEachStepCanBeRepeated() async throws {
        try await TestGround.with("beside") { ground in
            let (m1, m2) = (try ground.member(1), try ground.member(2))
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            try await m1.lead(.first, standbys: [m2])
            _ = try await m1.query("CREATE TABLE t (i int); INSERT INTO t VALUES (1)")
            try await m2.clone(m1, .first)
            let layout = m2.instance.layout
            // How far an exchange may have come when the process died.
            let cuts: [(String, () throws -> Void)] = [
                ("before it began", {}),
                ("data aside", { try layout.move(layout.data, to: layout.aside) }),
                (
                    "copy in place",
                    {
                        try layout.move(layout.data, to: layout.aside)
                        try layout.move(layout.unfinished, to: layout.data)
                    }
                ),
            ]
            for (round, cut) in cuts.enumerated() {
                try m2.configure(.standby(upstream: nil))
                try await m2.instance.start()
                try await m2.instance.waitUntilAnswering(within: .seconds(30))
                _ = try await m1.query("INSERT INTO t VALUES (\(round + 2))")
                try await m2.instance.clone(
                    from: m1.upstream(.first), m2.settings(.standby(upstream: nil)), ground.secrets,
                    within: .seconds(60))
                // The old data serves on.
                #expect(try await m2.query("SELECT max(i) FROM t") == [["\(round + 1)"]])
                await m2.instance.stop(.immediate, within: .seconds(5))
                try cut.1()
                try await m2.instance.exchange()
                #expect(
                    try m2.instance.hasData && !layout.exists(layout.unfinished) && !layout.exists(layout.aside))
                try await m2.instance.exchange()
                try m2.configure(.standby(upstream: nil))
                try await m2.instance.start()
                try await m2.instance.waitUntilAnswering(within: .seconds(30))
                #expect(try await m2.query("SELECT max(i) FROM t") == [["\(round + 2)"]], "\(cut.0)")
                await m2.instance.stop(.immediate, within: .seconds(5))
            }
            // A copy that breaks off leaves the data, and nothing else.
            let nobody = PostgresSettings.Upstream(
                leader: m1.name, address: TestGround.address(1), port: 5999, epoch: .first)
            await #expect(throws: PostgresError.self) {
                try await m2.instance.clone(
                    from: nobody, m2.settings(.standby(upstream: nil)), ground.secrets, within: .seconds(20))
            }
            #expect(try m2.instance.hasData && !layout.exists(layout.unfinished))
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }

    /// On a disk with errors: nobody knows whether there is a copy, and what is there is not called one.
    @Test func whatCannotBeReadIsNotAbsent() async throws {
        try await TestGround.with("unread") { ground in
            let m1 = try ground.member(1)
            let layout = m1.instance.layout
            let version = layout.outside(layout.data + "/PG_VERSION")
            try DurableFile.makeFolder(layout.outside(layout.data))
            try DurableFile.write("17\n", to: version)
            // It leads to itself: neither there nor not there.
            let copy = layout.outside(layout.unfinished)
            #expect(symlink(copy, copy) == 0)
            await #expect(throws: PostgresError.self) { try await m1.instance.exchange() }
            await #expect(throws: (any Error).self) { try await m1.instance.destroyData() }
            #expect(try m1.instance.hasData)
            unlink(copy)
            try await m1.instance.exchange()
            // Nor is the password gone that somebody could follow with, or the data whose mark is to be set.
            let password = layout.outside(layout.passwordFile)
            #expect(symlink(password, password) == 0)
            await #expect(throws: PostgresError.self) { try await m1.instance.stopFollowing() }
            unlink(password)
            try await m1.instance.stopFollowing()
            unlink(version)
            #expect(symlink(version, version) == 0)
            #expect(throws: PostgresError.self) { try m1.configure(.standby(upstream: nil)) }
        }
    }

    /// Copies of an operation that was given up are ended, also when a file of /proc could not be opened for a moment.
    @Test func whatCannotBeSeenForAMomentIsLookedAtAgain() async throws {
        try await TestGround.with("unseen") { ground in
            let m1 = try ground.member(1)
            var looks = 0
            try await m1.instance.endCopies { () throws(SystemError) in
                looks += 1
                if looks < 3 { throw SystemError("read", "/proc", code: EMFILE) }
                return []
            }
            #expect(looks == 3)
        }
    }

    @Test func aFullVolumeIsNoReasonToGiveDataUp() async throws {
        try await TestGround.with("full") { ground in
            try await Self.withVolume(.mebibytes(400), of: 2, ground) {
                let (m1, m2) = (try ground.member(1), try ground.member(2))
                try await m1.instance.initialize(ground.secrets, within: .seconds(60))
                try await m1.lead(.first, standbys: [m2])
                try await Self.write(150, m1)
                try await m2.clone(m1, .first)
                try await m2.follow(m1, .first)
                try await m2.waitUntilStreaming()
                let standby = m2.settings(.standby(upstream: nil))
                let source = try await m2.instance.measure(m1.upstream(.first), standby, ground.secrets)
                #expect(source.size > .mebibytes(150) && source.elsewhere == nil)
                #expect(try m2.instance.lackOfRoom(for: source)?.contains("no room") == true)

                // No room for a single block: it does not start.
                await m2.instance.stop(.fast, within: .seconds(10))
                let filler = try Self.fill(m2, leaving: .zero)
                try await m2.instance.start()
                await #expect(throws: PostgresError.self) {
                    try await m2.instance.waitUntilAnswering(within: .seconds(10))
                }
                #expect(try m2.instance.hasData)
                #expect(await m2.instance.damage() == nil)
                unlink(filler)
                // Nothing was lost, and nothing has to be copied.
                try await Self.write(5, m1)
                try await m2.follow(m1, .first)
                try await m2.waitUntilStreaming()

                await m2.instance.stop(.immediate, within: .seconds(5))
                unlink(m2.instance.layout.outside(m2.instance.layout.data + "/global/pg_control"))
                #expect(await m2.instance.damage()?.contains("pg_control is gone") == true)
                await m1.instance.stop(.immediate, within: .seconds(5))
            }
        }
    }

    /// Half the volume in one statement, while one standby is down and the other stands still.
    @Test func theLogIsKeptForStandbysAsLongAsThereIsRoom() async throws {
        try await TestGround.with("slots") { ground in
            try await Self.withVolume(.mebibytes(800), of: 1, ground) {
                let members = try (1...3).map { try ground.member($0) }
                let (m1, m2, m3) = (members[0], members[1], members[2])
                try await m1.instance.initialize(ground.secrets, within: .seconds(60))
                try await m1.lead(.first, standbys: [m2, m3], confirmations: 1)
                for standby in [m2, m3] {
                    try await standby.clone(m1, .first)
                    try await standby.follow(m1, .first)
                    try await standby.waitUntilStreaming()
                }
                await m3.instance.stop(.immediate, within: .seconds(5))
                await m2.instance.stop(.immediate, within: .seconds(5))
                try await Self.write(260, m1)
                try await m1.instance.checkpoint(within: .seconds(60))
                #expect(try await m1.instance.tendSlots() == [])
                #expect(try await Self.slots(m1).values.allSatisfy { $0 != "lost" && $0 != "unreserved" })
                try await m2.follow(m1, .first)
                try await m2.waitUntilStreaming()

                // Nearly full: the slot of the one that does not stream goes, as the other confirms.
                let filler = try Self.fill(m1, leaving: .mebibytes(40))
                let given = try await poll(for: .seconds(30)) { () -> [String]? in
                    let given = try await m1.instance.tendSlots()
                    return given.isEmpty ? nil : given
                }
                #expect(given == ["m3_e1"])
                #expect(try await Self.slots(m1).keys.sorted() == ["m2_e1"])
                #expect(await m2.isStreaming())

                // With room, the member has a slot again, for what comes from now on.
                unlink(filler)
                _ = try await m1.query("DROP TABLE load")
                try await m1.instance.checkpoint(within: .seconds(60))
                try await m1.instance.tendSlots()
                #expect(try await Self.slots(m1).keys.sorted() == ["m2_e1", "m3_e1"])

                // The last that can confirm keeps its slot, however full the volume is.
                await m2.instance.stop(.immediate, within: .seconds(5))
                _ = try Self.fill(m1, leaving: .mebibytes(50))
                #expect(try await m1.instance.tendSlots() == [])
                #expect(try await Self.slots(m1).count == 2)
                await m1.instance.stop(.immediate, within: .seconds(5))
            }
        }
    }

    /// Its bytes are seen to be nobody's, and it is taken back to the leader's history.
    @Test func aStandbyThatSomebodyPromotedShowsWhereItLeftAndIsRewound() async throws {
        try await TestGround.with("stray") { ground in
            let (m1, m2) = (try ground.member(1), try ground.member(2))
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            try await m1.lead(.first, standbys: [m2])
            _ = try await m1.query("CREATE TABLE t (i int); INSERT INTO t VALUES (1); CHECKPOINT")
            // Nobody but a superuser may.
            for function in ["pg_promote(boolean, integer)", "pg_wal_replay_pause()"] {
                let allowed = try await m1.query(
                    "SELECT has_function_privilege('pg_monitor', '\(function)', 'execute')")
                #expect(allowed == [["f"]])
            }
            try await m2.clone(m1, .first)
            try await m2.follow(m1, .first)
            try await m2.waitUntilStreaming()
            #expect(await m2.instance.isPrimary() == false)
            _ = try await m2.query("SELECT pg_promote()", within: .seconds(20))
            #expect(await m2.instance.isPrimary())
            _ = try await m2.query("SET synchronous_commit = local; INSERT INTO t VALUES (9002); CHECKPOINT")
            _ = try await m1.query("INSERT INTO t VALUES (2)")

            // As the supervisor does it: stopped, and a standby of its own log.
            await m2.instance.stop(.immediate, within: .seconds(5))
            try m2.configure(.standby(upstream: nil))
            try await m2.instance.start()
            try await m2.instance.waitUntilAnswering(within: .seconds(30))
            let found = try await m2.instance.endOfLog(within: .seconds(20))
            #expect(found.timeline == 2)
            let fork = try #require(try m2.instance.forks(of: found.timeline).first)
            #expect(fork.timeline == 2 && fork.begin < found.end && fork.begin > .zero)

            let (leader, standby) = (m1.upstream(.first), m2.settings(.standby(upstream: nil)))
            let refused = try await m2.instance.tryRewind(to: leader, standby, ground.secrets, within: .seconds(60))
            #expect(refused == nil)
            try await m2.instance.rewind(to: leader, standby, ground.secrets, within: .seconds(60))
            try await m2.follow(m1, .first)
            try await m2.waitUntilStreaming()
            let rows = try await poll(for: .seconds(10)) { () -> Bool? in
                try await m2.query("SELECT i FROM t ORDER BY 1") == [["1"], ["2"]] ? true : nil
            }
            #expect(rows == true)
            for member in [m1, m2] { await member.instance.stop(.immediate, within: .seconds(5)) }
        }
    }
}

@Suite struct SlotSheddingTests {
    private func slot(_ name: String, _ held: Int, isServed: Bool = true) -> HeldSlot {
        HeldSlot(name: name, isServed: isServed, held: .mebibytes(held))
    }

    private func victims(_ slots: [HeldSlot], free: Int, confirmations: Int = 1) -> [String] {
        SlotShedding.victims(
            slots, members: ["m2_e1", "m3_e1"], confirmations: confirmations, free: .mebibytes(free),
            reserve: .mebibytes(64))
    }

    @Test func slotsGoOnlyWhenTheVolumeIsNearlyFullAndNeverTheLastThatConfirms() {
        let slots = [slot("m2_e1", 2), slot("m3_e1", 300, isServed: false), slot("mine", 400)]
        #expect(victims(slots, free: 64) == [])
        #expect(victims(slots, free: 63) == ["m3_e1", "mine"])
        // Nobody streams: both stay, and what holds no more than they do gives nothing back.
        let away = [slot("m2_e1", 200, isServed: false), slot("m3_e1", 300, isServed: false), slot("mine", 250)]
        #expect(victims(away, free: 0) == [])
        #expect(victims(away + [slot("old", 500, isServed: false)], free: 0) == ["old"])
        // Both lag, and one suffices: the other makes room.
        #expect(victims([slot("m2_e1", 200), slot("m3_e1", 300)], free: 0) == ["m3_e1"])
        // A cluster of one has users' slots only.
        #expect(
            SlotShedding.victims(
                [slot("mine", 1)], members: [], confirmations: 0, free: .zero, reserve: .mebibytes(64)) == ["mine"])
    }
}

@Suite struct SourceTests {
    @Test func whatALeaderSaysOfItsSizeIsRead() {
        #expect(PostgresInstance.Source(row: "1048576|\n")?.size == .mebibytes(1))
        #expect(PostgresInstance.Source(row: "1048576|\n")?.elsewhere == nil)
        #expect(PostgresInstance.Source(row: "5|ts, \"my space\"\n")?.elsewhere == "ts, \"my space\"")
        #expect(PostgresInstance.Source(row: "") == nil)
    }
}
