import Logging
import RoostFailover
import RoostLinux
import RoostModel
import Synchronization
import Testing

@testable import RoostPostgres

/// How an operation ends that does not end by itself, and what that means for the next one.
@Suite struct OperationClockTests {
    /// A Postgres as the kernel shows it.
    private final class Course: Sendable {
        let look: Mutex<StartLook?>
        let ends = Mutex(0)
        let hasBegun = Atomic(false)
        /// From look to look it uses the processor.
        let works = Mutex(false)

        init() {
            let idle = ProcessEffort(began: 7, ticks: 50, bytes: 1000, sleeps: 100, waitsForDisk: false)
            look = Mutex(
                StartLook(
                    postmaster: .init(pid: 10, effort: idle), startup: .init(pid: 12, effort: idle),
                    activity: "recovering 000000010000000000000003"))
        }

        var charge: OperationClock.Charge {
            OperationClock.Charge(
                isRunning: { self.look.withLock { $0 != nil } },
                look: { _ in
                    let works = self.works.withLock { $0 }
                    return self.look.withLock { look in
                        if works { look?.startup?.effort.ticks += 100 }
                        return look
                    }
                },
                end: {
                    self.look.withLock { $0 = nil }
                    self.ends.withLock { $0 += 1 }
                })
        }
    }

    private let course = Course()
    private let timings: FailoverTimings
    private let clock: OperationClock

    init() {
        var timings = FailoverTimings()
        timings.startMax = .milliseconds(1500)
        timings.standstillAtStartMax = .milliseconds(720)
        self.timings = timings
        clock = OperationClock(charge: course.charge, timings: timings, logger: Logger(label: "test"))
    }

    /// What never ends by itself.
    private static func wait() async throws -> OperationOutcome {
        _ = try await poll(for: .seconds(60), every: .milliseconds(5)) { () -> Bool? in nil }
        return .done
    }

    /// Begins it, and gives the time that it has.
    private func time(of operation: PostgresOperation) async -> Duration? {
        let found = Mutex<Duration?>(nil)
        _ = await clock.carryOut(operation) { limit in
            found.withLock { $0 = limit }
            throw PostgresError("test", "no more is asked")
        }
        return found.withLock { $0 }
    }

    @Test func whatWasGivenUpForItsTimeHasTwiceAsLongTheNextTime() async {
        let first = timings.limit(of: .stop(.immediate))
        let outcome = await clock.carryOut(.stop(.immediate)) { _ in try await Self.wait() }
        guard case .failed(let why) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(why.contains("not done within"), "\(why)")
        #expect(await time(of: .stop(.immediate)) == first * 2)
        // That one came to an end by itself.
        #expect(await time(of: .stop(.immediate)) == first)
    }

    @Test func whatWasGivenUpForAnotherHasNotTakenTooLong() async throws {
        let (clock, course) = (clock, course)
        let operation = Task {
            await clock.carryOut(.stop(.immediate)) { _ in
                course.hasBegun.store(true, ordering: .relaxed)
                return try await Self.wait()
            }
        }
        _ = try await poll(for: .seconds(30), every: .milliseconds(5)) {
            course.hasBegun.load(ordering: .relaxed) ? true : nil
        }
        operation.cancel()
        _ = await operation.value
        #expect(await time(of: .stop(.immediate)) == timings.limit(of: .stop(.immediate)))
    }

    /// Long before its time is over, and the next one has no more time for it.
    @Test(arguments: [
        PostgresOperation.readEnd, .startPrimary(epoch: .first, confirmations: 0, standbys: []),
    ])
    func aPostgresThatHangsAtItsStartIsEnded(_ operation: PostgresOperation) async {
        let outcome = await clock.carryOut(operation) { _ in try await Self.wait() }
        guard case .failed(let why) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(why.contains("has done nothing for"), "\(why)")
        #expect(course.ends.withLock { $0 } == 1)
        #expect(await time(of: operation) == timings.startMax)
    }

    /// Its time is over, and it goes on.
    @Test func aRecoveryThatGetsOnIsNeitherEndedNorAFailure() async {
        course.works.withLock { $0 = true }
        let outcome = await clock.carryOut(.readEnd) { _ in try await Self.wait() }
        guard case .recovering(let why) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(why.contains("goes on"), "\(why)")
        #expect(course.ends.withLock { $0 } == 0)
        #expect(await time(of: .readEnd) == timings.startMax * 2)
    }

    /// Other operations look at no start.
    @Test func whatDoesNotWaitForAStartIsNotEndedForOne() async {
        _ = await clock.carryOut(.stop(.immediate)) { _ in try await Self.wait() }
        #expect(course.ends.withLock { $0 } == 0)
    }
}
