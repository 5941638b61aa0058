import Glibc
import Logging
import RoostFailover
import RoostLinux
import RoostModel
import Testing

@testable import RoostPostgres

@Suite struct RoomKeepingTests {
    private static func room(_ free: Int, filesLeft: UInt64? = nil) -> VolumeRoom {
        VolumeRoom(size: .gibibytes(1), free: .mebibytes(free), filesLeft: filesLeft, filesMax: 65536)
    }

    @Test func clientsReadBeforeTheBallastGoesAndWriteWhenItIsBack() {
        var keeping = RoomKeeping()
        #expect(RoomKeeping.reserve(of: .gibibytes(1)) == .mebibytes(64))
        #expect(keeping.look(Self.room(900), .missing) == .take(.mebibytes(64)))
        #expect(keeping.look(Self.room(836), .held) == nil)
        #expect(keeping.look(Self.room(64), .held) == nil && !keeping.isFull)
        #expect(keeping.look(Self.room(63), .held) == nil && keeping.isFull)
        #expect(keeping.look(Self.room(127), .held) == nil && keeping.isFull, "a little more is not enough")
        #expect(keeping.look(Self.room(31), .held) == .give && keeping.isFull)
        #expect(keeping.look(Self.room(95), .given) == nil && keeping.isFull)
        #expect(keeping.look(Self.room(191), .given) == nil && keeping.isFull)
        #expect(keeping.look(Self.room(192), .given) == .take(.mebibytes(64)) && !keeping.isFull)
        #expect(keeping.look(Self.room(128), .held) == nil && !keeping.isFull)
    }

    @Test func aProgramThatStartsGoesByWhatItFinds() {
        // A volume of an earlier version with little room is not made read-only for want of ballast.
        var keeping = RoomKeeping()
        #expect(keeping.look(Self.room(100), .missing) == nil && !keeping.isFull)
        // One whose ballast was given up stays as it was.
        keeping = RoomKeeping()
        #expect(keeping.look(Self.room(100), .given) == nil && keeping.isFull)
        // Files run out as well.
        keeping = RoomKeeping()
        _ = keeping.look(Self.room(900, filesLeft: 1024), .held)
        #expect(!keeping.isFull)
        _ = keeping.look(Self.room(900, filesLeft: 1023), .held)
        #expect(keeping.isFull)
        _ = keeping.look(Self.room(900, filesLeft: 2048), .held)
        #expect(!keeping.isFull)
    }

    @Test func theReserveIsAPartOfTheVolumeWithinBounds() {
        #expect(RoomKeeping.reserve(of: .mebibytes(160)) == .mebibytes(10))
        #expect(RoomKeeping.reserve(of: .gibibytes(16)) == .mebibytes(512))
        #expect(RoomKeeping.reserve(of: .gibibytes(1000)) == .gibibytes(1))
        #expect(RoomKeeping.temporaryMax(Self.room(900)) == .mebibytes(512))
        #expect(RoomKeeping.temporaryMax(Self.room(0)) == .mebibytes(16))
    }
}

/// The real Postgres on a volume of its own that fills up.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct RoomTests {
    @Test func aFullVolumeIsReadStartsAgainAndIsWrittenToWhenThereIsRoom() async throws {
        try await TestGround.with("room") { ground in
            let m1 = try ground.member(1)
            let volume = m1.instance.layout.outside(m1.instance.layout.volume)
            try await Command("mount", ["-t", "tmpfs", "-o", "size=400m,mode=755", "roost-pg-test", volume]).run()
            do { try await Self.fillAndFree(m1, volume) } catch {
                await m1.instance.stop(.immediate, within: .seconds(5))
                _ = try? await Command("umount", ["-l", volume]).run()
                throw error
            }
            await m1.instance.stop(.immediate, within: .seconds(5))
            try await Command("umount", ["-l", volume]).run()
        }
    }

    @Test func aMemberWithoutRoomToStartSaysHowFarItIsAndLeadsWhenItHasSome() async throws {
        try await TestGround.with("mute") { ground in
            let (m1, m2) = (try ground.member(1), try ground.member(2))
            let volume = m2.instance.layout.outside(m2.instance.layout.volume)
            try await Command("mount", ["-t", "tmpfs", "-o", "size=400m,mode=755", "roost-pg-test", volume]).run()
            do { try await Self.answer(m1, m2, volume) } catch {
                for member in [m1, m2] { await member.instance.stop(.immediate, within: .seconds(5)) }
                _ = try? await Command("umount", ["-l", volume]).run()
                throw error
            }
            for member in [m1, m2] { await member.instance.stop(.immediate, within: .seconds(5)) }
            try await Command("umount", ["-l", volume]).run()
        }
    }

    private static func answer(_ m1: TestMember, _ m2: TestMember, _ volume: String) async throws {
        try await m1.instance.initialize(m1.ground.secrets, within: .seconds(60))
        try await m1.lead(.first, standbys: [m2], confirmations: 1)
        try await m2.clone(m1, .first)
        try await m2.follow(m1, .first)
        try await m2.waitUntilStreaming()
        _ = try await m1.query("CREATE TABLE t (i int); INSERT INTO t VALUES (1)")
        // A supervisor's own commit waits for nobody.
        let written = try #require(try await m1.query("SELECT pg_current_wal_flush_lsn()").first?[0])
        let isThere = try await poll(for: .seconds(10)) {
            try await m2.query("SELECT pg_last_wal_replay_lsn() >= '\(written)'") == [["t"]] ? true : nil
        }
        #expect(isThere == true)
        await m2.instance.stop(.fast, within: .seconds(10))
        try fill(volume, leaving: 0)

        let cluster = try TestCluster(m2.ground)
        defer { cluster.stop() }
        let link = StoreLink(socket: HostSocket("\(volume)/none"), deadline: .milliseconds(100))
        let events = try EventQueue()
        let logger = Logger(label: "test")
        let gate = try GateKeeper(link: link, instance: m2.instance, events: events, logger: logger)
        let operations = Operations(
            instance: m2.instance, timings: FailoverTimings(), logger: logger,
            known: KnownCluster(cluster.store.view(for: m2.name)), events: events, gate: gate)
        var id = OperationID.none
        func outcome(_ operation: PostgresOperation) async throws -> OperationOutcome? {
            id = OperationID(id.number + 1)
            operations.start(operation, id)
            return try await poll(for: .seconds(60)) { () -> OperationOutcome? in
                for event in events.take(until: BootClock.now()) {
                    if case .operationEnded(id, let outcome) = event { return outcome }
                }
                return nil
            }
        }

        let fromDisk = try await outcome(.readEnd)
        #expect(!m2.instance.isRunning && m2.instance.isShortOfRoom)
        guard case .end(let end, timeline: 1, forks: [])? = fromDisk, end > .zero else {
            throw PostgresError("read the end", "\(String(describing: fromDisk))")
        }
        unlink(volume + "/filler-0")
        // Recovery comes to the same end.
        let replayed = try await outcome(.readEnd)
        #expect(m2.instance.isRunning && replayed == fromDisk, "\(String(describing: replayed))")

        await m2.instance.stop(.fast, within: .seconds(10))
        let led = try await outcome(.promote(epoch: Epoch(2), confirmations: 0, standbys: []))
        #expect(led == .promoted(switchPoint: end, timeline: 2))
        #expect(try await m2.query("SELECT i FROM t") == [["1"]])
    }

    /// As a client; what it is told when it is refused.
    private static func client(_ m1: TestMember, _ statement: String) async throws -> String {
        let url =
            "postgres://postgres:it%27s%3A%20a%20%5Csecret@[\(TestGround.address(m1.number))]:5432/postgres"
        let outcome = try await m1.instance.layout.command(
            "psql", ["-XAtq", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=sqlstate", "--command=\(statement)", url],
            deadline: .seconds(20)
        ).outcome()
        return outcome.standardOutput + outcome.standardError
    }

    private static func fill(_ volume: String, leaving mebibytes: Int64) throws {
        let room = try #require(VolumeRoom(ofVolume: volume))
        let file = open(volume + "/filler-\(mebibytes)", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(file) }
        let size = room.free.bytes - mebibytes << 20
        guard file >= 0, size > 0, posix_fallocate(file, 0, off_t(size)) == 0 else { throw SystemError("fill", volume) }
    }

    private static func fillAndFree(_ m1: TestMember, _ volume: String) async throws {
        let instance = m1.instance
        let ballast = Ballast(path: volume + "/roost-ballast")
        instance.want(open: true)
        try await instance.initialize(m1.ground.secrets, within: .seconds(60))
        try await m1.lead(.first)
        try await instance.tendRoom()
        #expect(ballast.state == .held && instance.lackOfRoomWords == nil)
        #expect(try await client(m1, "CREATE TABLE t (i int); INSERT INTO t VALUES (1)") == "")
        let limit = try await m1.query("SHOW temp_file_limit")
        #expect(limit.first?.first != "-1")

        // Nearly full: clients read, and whoever means to make room may.
        try fill(volume, leaving: 20)
        try await instance.tendRoom()
        #expect(ballast.state == .held && instance.lackOfRoomWords != nil)
        let isRefused = try await poll(for: .seconds(10)) { () -> Bool? in
            try await client(m1, "INSERT INTO t VALUES (2)").contains("25006") ? true : nil
        }
        #expect(isRefused == true)
        #expect(try await client(m1, "SELECT count(*) < 99 FROM t") == "t\n")
        #expect(try await client(m1, "BEGIN READ WRITE; DELETE FROM t WHERE i = 2; COMMIT") == "")

        // Full, and Postgres dies: what was kept for it lets it start.
        try fill(volume, leaving: 0)
        #expect(try #require(VolumeRoom(ofVolume: volume)).free < .mebibytes(1))
        instance.kill()
        _ = await instance.waitForExit()
        try m1.configure(.leader(epoch: .first, standbys: [], confirmations: 0))
        try await instance.start()
        try await instance.waitUntilAnswering(within: .seconds(30))
        #expect(ballast.state == .given)
        #expect(try await client(m1, "SELECT i FROM t") == "1\n")
        #expect(try await client(m1, "INSERT INTO t VALUES (3)").contains("25006"))

        for left in [0, 20] { unlink(volume + "/filler-\(left)") }
        try await instance.tendRoom()
        #expect(ballast.state == .held && instance.lackOfRoomWords == nil)
        let isTaken = try await poll(for: .seconds(10)) { () -> Bool? in
            try await client(m1, "INSERT INTO t VALUES (4)") == "" ? true : nil
        }
        #expect(isTaken == true)
    }
}
