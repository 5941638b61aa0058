import Glibc
import RoostLinux
import RoostModel
import Testing

@testable import RoostPostgres

/// Whether a Postgres that does not answer yet is on its way, or hangs, as the kernel counts what it does.
@Suite struct StartWatchTests {
    private static let max = Duration.seconds(90)

    /// A Postgres, and what its processes do from look to look.
    private struct Course {
        var watch = StartWatch(standstillMax: StartWatchTests.max)
        var now = Moment(sinceBoot: .seconds(100))
        var look: StartLook

        init(startup: Bool = true, activity: String = "recovering 000000010000000000000003") {
            let idle = ProcessEffort(began: 7, ticks: 50, bytes: 1000, sleeps: 100, waitsForDisk: false)
            look = StartLook(postmaster: .init(pid: 10, effort: idle))
            if startup { look.startup = .init(pid: 12, effort: idle) }
            look.checkpointer = .init(pid: 11, effort: idle)
            look.activity = startup ? activity : ""
        }

        /// - Returns: after how long it is said to hang; nil: not within so much.
        mutating func hangs(
            within time: Duration, every interval: Duration? = nil, _ change: (inout StartLook) -> Void = { _ in }
        ) -> Duration? {
            let interval = interval ?? watch.interval
            var waited = Duration.zero
            watch.note(look, now)
            while !watch.hangs, waited < time {
                waited += interval
                now = now + interval
                change(&look)
                watch.note(look, now)
            }
            return watch.hangs ? waited : nil
        }
    }

    @Test func whatDoesNothingHangs() {
        for hasStartup in [true, false] {
            var course = Course(startup: hasStartup)
            #expect(course.hangs(within: .seconds(1000)) == Self.max)
            #expect(!course.watch.isAtWork)
            // Another Postgres is another matter.
            course.look.postmaster.pid = 20
            #expect(course.hangs(within: Self.max - .seconds(5)) == nil)
        }
    }

    /// A session of a role of that name has such a title, too, whichever of the two is found first.
    @Test(arguments: [true, false])
    func aSessionIsNotTakenForWhatItsUserIsCalled(isFoundFirst: Bool) {
        func process(_ pid: pid_t, began: UInt64) -> StartLook.Process {
            .init(pid: pid, effort: .init(began: began, ticks: 0, bytes: nil, sleeps: 0, waitsForDisk: false))
        }
        var look = StartLook(postmaster: process(10, began: 7))
        let seen = [
            ("startup", process(12, began: 8), "recovering 000000010000000000000003"),
            ("startup", process(11, began: 900), "db [local] idle"), ("checkpointer", process(13, began: 8), ""),
            ("checkpointer", process(9, began: 901), "db [local] idle"),
        ]
        for (kind, process, activity) in isFoundFirst ? seen.reversed() : seen {
            look.see(kind[...], process, at: activity)
        }
        #expect(look.startup?.pid == 12 && look.checkpointer?.pid == 13)
        #expect(look.activity == "recovering 000000010000000000000003")
    }

    /// The postmaster answers those who ask, and others write what there is to be written, all the time.
    @Test func whatOthersDoIsNoSignOfThatOneThatReadsTheLog() {
        var course = Course()
        let hangs = course.hangs(within: .seconds(1000)) { look in
            look.postmaster.effort.ticks += 100
            look.postmaster.effort.sleeps += 100
            look.startup?.effort.sleeps += 1
        }
        #expect(hangs == Self.max && !course.watch.isAtWork)
    }

    /// However long it takes, and with whatever it is occupied.
    @Test func whatComesFurtherIsAtWork() {
        let signs: [(String, (inout StartLook) -> Void)] = [
            ("uses the processor", { $0.startup?.effort.ticks += 5 }),
            ("reads", { $0.startup?.effort.bytes? += 8192 }),
            (
                "waits for a disk between a little and a little",
                {
                    $0.startup?.effort.ticks += 1
                    $0.startup?.effort.waitsForDisk = true
                }
            ),
            ("reads the next file", { $0.activity += "1" }),
            ("writes its last checkpoint", { $0.checkpointer?.effort.bytes? += 1 }),
            ("computes its last checkpoint", { $0.checkpointer?.effort.ticks += 50 }),
            ("is another process each time", { $0.startup?.pid += 1 }),
        ]
        for (words, sign) in signs {
            var course = Course()
            #expect(course.hangs(within: .seconds(3600), sign) == nil && course.watch.isAtWork, "\(words)")
            // It was at work, and then nothing comes of it any more.
            course.look.startup?.effort.waitsForDisk = false
            #expect(course.hangs(within: .seconds(3600)) == Self.max && !course.watch.isAtWork, "\(words)")
        }
    }

    /// It lives, so that to end it would help nobody; but it gets nowhere either.
    @Test func whatWaitsForOthersNeitherHangsNorIsAtWork() {
        let signs: [(String, Bool, (inout StartLook) -> Void)] = [
            ("looks again and again whether there is more", true, { $0.startup?.effort.ticks += 1 }),
            ("looks so quickly that no time is counted", true, { $0.startup?.effort.sleeps += 25 }),
            ("waits for a disk that hangs", true, { $0.startup?.effort.waitsForDisk = true }),
            ("has its checkpoint wait for one", true, { $0.checkpointer?.effort.waitsForDisk = true }),
            ("has come up, and has nothing to do", false, { $0.postmaster.effort.sleeps += 1 }),
        ]
        for (words, hasStartup, sign) in signs {
            var course = Course(startup: hasStartup)
            _ = course.hangs(within: .seconds(5)) { $0.activity += "1" }
            #expect(course.hangs(within: .seconds(3600), sign) == nil && !course.watch.isAtWork, "\(words)")
        }
    }

    /// Two looks that are an hour apart have not seen an hour.
    @Test func whoStoodStillHimselfHasNotSeenItHang() {
        var course = Course()
        let looks = Int(Self.max / course.watch.interval) / 2
        #expect(course.hangs(within: .seconds(3600) * (looks - 1), every: .seconds(3600)) == nil)
        #expect(course.hangs(within: .seconds(3600), every: .seconds(3600)) != nil)
    }

    @Test func whatTheKernelSaysIsUnderstood() throws {
        let stat =
            "12 (post) gres) D 10 10 10 0 -1 4194304 102 0 3 0 40 7 0 0 20 0 1 0 5851964 3133440 381 1 1 1"
        let status = "Name:\tpostgres\nState:\tD\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t545\n"
        let io = "rchar: 5\nwchar: 6\nread_bytes: 8192\nwrite_bytes: 4096\ncancelled_write_bytes: 0\n"
        var effort = try #require(ProcessEffort(stat: stat, status: status, io: io))
        #expect(effort.ticks == 47 && effort.began == 5_851_964 && effort.waitsForDisk)
        #expect(effort.sleeps == 150 && effort.bytes == 12288)
        effort = try #require(ProcessEffort(stat: stat, status: status, io: nil))
        #expect(effort.bytes == nil)
        #expect(ProcessEffort(stat: "12 (postgres) S 10", status: status, io: io) == nil)
        // And of a process that there is.
        let own = try #require(try ProcessEffort(getpid()))
        #expect(!own.waitsForDisk && own.began > 0)
        #expect(try ProcessEffort(getpid(), in: "/nowhere") == nil)
    }
}
