import Glibc
import RoostFailover
import RoostLinux
import RoostModel
import Testing

@testable import RoostPostgres

/// What stands still without an error: a disk on which no write ends, a Postgres that answers nothing.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct HangTests {
    /// A file system of its own for a member's volume, until `body` has ended. It can be frozen: then writes wait, and nothing
    /// fails (ioctl_fsfreeze(2)).
    private static func withFileSystem(
        for number: Int, of cluster: TestCluster, _ body: (_ volume: String) async throws -> Void
    ) async throws {
        try await withFileSystem(for: number, on: cluster.ground, thenEnding: { cluster.kill(number) }, body)
    }

    private static func withFileSystem(
        for number: Int, on ground: TestGround, thenEnding kill: () -> Void,
        _ body: (_ volume: String) async throws -> Void
    ) async throws {
        let layout = ground.layout(number)
        let volume = layout.outside(layout.volume)
        let image = "\(ground.root)\(ground.folder)/m\(number)/volume.img"
        try DurableFile.makeFolder(volume)
        try await Command("truncate", ["-s", "1G", image]).run()
        try await Command("mkfs.ext4", ["-q", "-F", image], deadline: .seconds(60)).run()
        try await Command("mount", ["-o", "loop", image, volume]).run()
        func end() async {
            // One that was not frozen is an error that says nothing. Nothing that waits could be ended before.
            _ = try? await Command("fsfreeze", ["--unfreeze", volume]).run()
            kill()
            _ = try? await Command("umount", ["--lazy", volume]).run()
        }
        do { try await body(volume) } catch {
            await end()
            throw error
        }
        await end()
    }

    @Test func aLeaderWhoseDiskHangsHandsOver() async throws {
        try await ClusterTests.with("hang") { cluster in
            try await Self.withFileSystem(for: 1, of: cluster) { volume in
                for number in TestCluster.numbers { try cluster.start(number) }
                // The first of the spec has made the cluster.
                #expect(try await cluster.waitUntilReady(standbys: 2, within: .seconds(120)) == 1)
                _ = try await cluster.query(1, "CREATE TABLE rows (row int); INSERT INTO rows VALUES (1)")
                try await Command("fsfreeze", ["--freeze", volume]).run()
                let frozenAt = BootClock.now()
                // A commit that waits for the disk; nobody is told that it is there.
                async let isConfirmed = Self.isDone {
                    try await cluster.query(1, "INSERT INTO rows VALUES (2)", within: 60)
                }
                let next = try await cluster.waitUntilReady(other: 1, standbys: 1, within: .seconds(40))
                let took = BootClock.now() - frozenAt
                // 15 s, and what a busy computer adds to it.
                #expect(took < .seconds(25), "\(took)")
                _ = try await cluster.query(next, "INSERT INTO rows VALUES (3)")
                try await Command("fsfreeze", ["--unfreeze", volume]).run()
                #expect(await !isConfirmed)
                // The old one follows, with what was confirmed and nothing else.
                #expect(try await cluster.waitUntilReady(other: 1, standbys: 2) == next)
                let rows = try await cluster.query(next, "SELECT row FROM rows ORDER BY 1")
                #expect(rows == "1\n3\n", "\(rows)")
            }
        }
    }

    @Test func aStandbyWhosePostgresHangsIsStartedAgain() async throws {
        try await ClusterTests.with("silent") { cluster in
            for number in TestCluster.numbers { try cluster.start(number) }
            let leader = try await cluster.waitUntilReady(standbys: 2, within: .seconds(120))
            let epoch = try #require(cluster.store.rule?.epoch)
            let standby = try #require(TestCluster.numbers.first { $0 != leader })
            let layout = cluster.ground.layout(standby)
            let first = try #require(TestProcess.postmaster(of: layout))
            for process in TestProcess.postgres(of: layout) { kill(process, SIGSTOP) }
            let isNew = try await poll(for: .seconds(90)) { () -> Bool? in
                TestProcess.postmaster(of: layout).map { $0 != first } == true ? true : nil
            }
            #expect(isNew == true)
            #expect(try await cluster.waitUntilReady(standbys: 2) == leader)
            #expect(cluster.store.rule?.epoch == epoch)
        }
    }

    /// What waits for the disk cannot be ended, and may write when that goes on.
    @Test func nobodySaysThatAPostgresHasEndedAsLongAsAProcessOfItIsLeft() async throws {
        try await TestGround.with("remains") { ground in
            let layout = ground.layout(1)
            let end = { for process in TestProcess.postgres(of: layout) { _ = kill(process, SIGKILL) } }
            try await Self.withFileSystem(for: 1, on: ground, thenEnding: end) { volume in
                let m1 = try ground.member(1)
                try await m1.instance.initialize(ground.secrets, within: .seconds(60))
                try await m1.lead(.first)
                _ = try await m1.query("CREATE TABLE rows (row int)")
                try await Command("fsfreeze", ["--freeze", volume]).run()
                async let isConfirmed = Self.isDone {
                    _ = try await m1.query("INSERT INTO rows VALUES (1)", within: .seconds(60))
                    return ""
                }
                let waits = try await poll(for: .seconds(30), every: .milliseconds(20)) { () -> Bool? in
                    TestProcess.postgres(of: layout).contains { (try? ProcessFacts($0))?.state == "D" } ? true : nil
                }
                #expect(waits == true)
                await #expect(throws: PostgresError.self) {
                    try await m1.instance.end(.immediate, within: .milliseconds(500))
                }
                #expect(!TestProcess.postgres(of: layout).isEmpty)
                // Nor is it behind the fence, which its own sign of life does not show any more.
                await #expect(throws: PostgresError.self) { try await m1.instance.stopFollowing() }
                try await Command("fsfreeze", ["--unfreeze", volume]).run()
                try await m1.instance.end(.immediate, within: .milliseconds(500))
                try await m1.instance.stopFollowing()
                #expect(TestProcess.postgres(of: layout).isEmpty)
                #expect(await !isConfirmed)
            }
        }
    }

    private static func isDone(_ body: () async throws -> String) async -> Bool {
        do {
            _ = try await body()
            return true
        } catch {
            return false
        }
    }

    /// One trial waits, however often another is begun, and its beginning shows for how long.
    @Test func aTrialOnADiskThatHangsIsTheOnlyOne() async throws {
        let folder = "/var/tmp/roost-hang-\(getpid())"
        let image = folder + ".img"
        try DurableFile.makeFolder(folder)
        defer {
            umount2(folder, Int32(MNT_DETACH))
            rmdir(folder)
            unlink(image)
        }
        try await Command("truncate", ["-s", "32M", image]).run()
        try await Command("mkfs.ext4", ["-q", "-F", image], deadline: .seconds(60)).run()
        try await Command("mount", ["-o", "loop", image, folder]).run()
        let trial = VolumeTrial(folder: folder)
        try await Command("fsfreeze", ["--freeze", folder]).run()
        trial.begin()
        let since = trial.underWaySince
        let ended = try? await poll(for: .seconds(3), every: .milliseconds(50)) { () -> Bool? in
            trial.begin()
            return trial.underWaySince == since ? nil : true
        }
        // Whatever was seen: nothing that waits could be ended before.
        try await Command("fsfreeze", ["--unfreeze", folder]).run()
        #expect(since != nil && ended == nil)
        let isOver = try await poll(for: .seconds(10)) { trial.underWaySince == nil ? true : nil }
        #expect(isOver == true && trial.fault == nil)
    }
}

@Suite struct FlushWatchTests {
    @Test func aLogThatIsNotFlushedAnyFurtherIsInDoubt() {
        var watch = FlushWatch()
        let start = Moment(sinceBoot: .seconds(100))
        func at(_ milliseconds: Int) -> Moment { start + .milliseconds(milliseconds) }
        // Nobody has asked yet.
        #expect(!watch.isInDoubt(at(60_000)))
        watch.note(flushed: LSN(100), inserted: LSN(150), at(0))
        watch.note(flushed: LSN(100), inserted: LSN(150), at(200))
        #expect(!watch.isInDoubt(at(900)))
        watch.note(flushed: LSN(100), inserted: LSN(180), at(1200))
        #expect(watch.isInDoubt(at(1200)))
        // It goes on.
        watch.note(flushed: LSN(180), inserted: LSN(190), at(1400))
        #expect(!watch.isInDoubt(at(1400)))
        // All is flushed, for however long.
        watch.note(flushed: LSN(190), inserted: LSN(190), at(1600))
        watch.note(flushed: LSN(190), inserted: LSN(190), at(4000))
        #expect(!watch.isInDoubt(at(4000)))
        // A standby's, and one that answers no more.
        watch.note(flushed: .zero, inserted: nil, at(5000))
        #expect(!watch.isInDoubt(at(7900)) && watch.isInDoubt(at(8000)))
    }
}
