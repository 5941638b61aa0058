import Foundation
import Logging
import RoostLinux
import RoostModel
import RoostRuntime
import Synchronization
import Testing

@testable import RoostPostgresControl

@Suite struct LeaseWardenTests {
    struct Stubborn: Error {}

    /// A runtime whose kills fail, hang or succeed.
    final class Runtime: Sendable {
        let failures = Mutex<[MachineID: Int]>([:])
        let hanging = Mutex<Set<MachineID>>([])
        let killed = Mutex<[MachineID]>([])
        let losses = Mutex(0)
        let asked = Mutex<[MachineID]>([])
        let began = Mutex<[MachineID: MachineBeginning]>([:])

        func kill(_ machine: MachineID) async throws {
            asked.withLock { $0.append(machine) }
            let fails = failures.withLock { failures in
                guard let left = failures[machine], left > 0 else { return false }
                failures[machine] = left - 1
                return true
            }
            if fails { throw Stubborn() }
            while hanging.withLock({ $0.contains(machine) }) { try await Task.sleep(for: .milliseconds(5)) }
            killed.withLock { $0.append(machine) }
        }
    }

    let runtime = Runtime()
    let file = "/tmp/roost-leases-\(getpid())-\(UInt64.random(in: 0 ... .max)).json"
    let one: MachineID
    let two: MachineID
    let long = Heartbeat.lease + Heartbeat.grace + .milliseconds(1)

    init() throws {
        one = try MachineID("00000000000001")
        two = try MachineID("00000000000002")
    }

    private func warden() -> LeaseWarden {
        LeaseWarden(
            file: file, logger: Logger(label: "test"),
            began: { [runtime] machine in runtime.began.withLock { $0[machine] ?? .unknown } },
            kill: { [runtime] in try await runtime.kill($0) },
            countLoss: { [runtime] in runtime.losses.withLock { $0 += 1 } })
    }

    private func report(_ role: MemberReport.Role, _ state: MemberReport.State) throws -> MemberReport {
        MemberReport(
            member: try MemberName("m1"), role: role, state: state, promised: .first, position: nil, timeline: 1,
            replayed: .zero, isStreaming: false, lagBytes: 0, lagMilliseconds: 0)
    }

    @Test func aKillThatFailsIsTriedAgainUntilTheMachineIsGone() async throws {
        let warden = warden()
        let began = BootClock.now()
        warden.noteRenewal(by: one, epoch: .first, requestedAt: began)
        runtime.failures.withLock { $0[one] = 1 }
        #expect(warden.overdue(at: began + .seconds(6)).isEmpty)
        let first = try #require(warden.overdue(at: began + long).first)
        await warden.end(first.0, renewedAt: first.1)
        #expect(warden.held == [one])
        let again = BootClock.now() + LeaseWarden.retryPause + long
        let second = try #require(warden.overdue(at: again).first)
        await warden.end(second.0, renewedAt: second.1)
        #expect(runtime.killed.withLock { $0 } == [one])
        #expect(warden.held.isEmpty)
    }

    @Test func aKillThatHangsHoldsUpNobodyAndIsTriedABoundedNumberOfTimes() async throws {
        let warden = warden()
        let longAgo = Moment(sinceBoot: BootClock.now().sinceBoot - .seconds(20))
        runtime.hanging.withLock { _ = $0.insert(one) }
        for machine in [one, two] { warden.noteRenewal(by: machine, epoch: .first, requestedAt: longAgo) }
        let running = Task { try await warden.run() }
        let killed = try await poll(for: .seconds(5), every: .milliseconds(10)) {
            runtime.killed.withLock { $0 } == [two] ? true : nil
        }
        #expect(killed == true)
        #expect(warden.held == [one])
        // One attempt is under way already.
        var now = BootClock.now()
        var tries: [Task<Void, Never>] = []
        for _ in 1..<LeaseWarden.attemptsMax {
            now = now + LeaseWarden.killPatience
            let overdue = warden.overdue(at: now)
            #expect(overdue.map(\.0) == [one])
            for (machine, renewedAt) in overdue {
                tries.append(Task { await warden.end(machine, renewedAt: renewedAt) })
            }
        }
        #expect(warden.overdue(at: now + .seconds(3600)).isEmpty)
        runtime.hanging.withLock { $0 = [] }
        let isGone = try await poll(for: .seconds(5), every: .milliseconds(10)) { warden.held.isEmpty ? true : nil }
        #expect(isGone == true)
        for one in tries { await one.value }
        #expect(runtime.losses.withLock { $0 } == 2, "one for each machine, however many tries ended it")
        running.cancel()
        _ = try await running.value
    }

    @Test func aLeaseIsWatchedAlsoWhenNoneWasHeldForLong() async throws {
        let warden = warden()
        let running = Task { try await warden.run() }
        // Longer than between two looks: the guard has nothing to do and waits.
        _ = try await poll(for: LeaseWarden.checkInterval * 2, every: .milliseconds(50)) { () -> Bool? in nil }
        let longAgo = Moment(sinceBoot: BootClock.now().sinceBoot - .seconds(20))
        warden.noteRenewal(by: one, epoch: .first, requestedAt: longAgo)
        let isGone = try await poll(for: .seconds(5), every: .milliseconds(10)) {
            runtime.killed.withLock { $0 } == [one] && warden.held.isEmpty ? true : nil
        }
        #expect(isGone == true)
        running.cancel()
        _ = try await running.value
        unlink(file)
    }

    @Test func theGuardOutlivesItsProgram() async throws {
        let first = warden()
        for machine in [one, two] { first.noteRenewal(by: machine, epoch: .first, requestedAt: BootClock.now()) }
        await first.save()
        // Another program: one member is frozen, the other says that it follows.
        let second = warden()
        defer { unlink(file) }
        #expect(second.held == [one, two])
        second.noteReport(try report(.standby, .running), by: two)
        let overdue = second.overdue(at: BootClock.now() + long)
        #expect(overdue.map(\.0) == [one])
        await second.end(one, renewedAt: try #require(overdue.first?.1))
        await second.save()
        #expect(warden().held.isEmpty)
    }

    /// The host lost its power: the lease is on disk, and the machine that runs now is another one.
    @Test func aMachineThatWasLaunchedSinceIsNotKilledForTheLeaseOfTheOneBefore() async throws {
        let first = warden()
        for machine in [one, two] { first.noteRenewal(by: machine, epoch: .first, requestedAt: BootClock.now()) }
        await first.save()
        runtime.began.withLock { $0[two] = .running(since: BootClock.now()) }
        let second = warden()
        defer { unlink(file) }
        runtime.began.withLock { $0[one] = .running(since: BootClock.now() + .milliseconds(1)) }
        for (machine, renewedAt) in second.overdue(at: BootClock.now() + long) {
            await second.end(machine, renewedAt: renewedAt)
        }
        #expect(runtime.killed.withLock { $0 } == [two])
        #expect(second.held.isEmpty)
        await second.save()
        #expect(warden().held.isEmpty)
    }

    /// The host comes back slowly: nothing of the machine is there yet, and nobody is blamed.
    @Test func aLeaseOfAMachineThatIsGoneIsForgotten() async throws {
        let warden = warden()
        defer { unlink(file) }
        let longAgo = Moment(sinceBoot: BootClock.now().sinceBoot - .seconds(20))
        warden.noteRenewal(by: one, epoch: .first, requestedAt: longAgo)
        runtime.began.withLock { $0[one] = .nothing }
        await warden.end(one, renewedAt: longAgo)
        #expect(warden.held.isEmpty && runtime.asked.withLock { $0 }.isEmpty)
    }

    @Test func aKillDoesNotWaitForAnAnswer() async throws {
        let warden = LeaseWarden(
            file: file, logger: Logger(label: "test"),
            began: { _ in
                try? await Task.sleep(for: .seconds(3600))
                return .nothing
            }, kill: { [runtime] in try await runtime.kill($0) })
        let longAgo = Moment(sinceBoot: BootClock.now().sinceBoot - .seconds(20))
        warden.noteRenewal(by: one, epoch: .first, requestedAt: longAgo)
        let asked = BootClock.now()
        await warden.end(one, renewedAt: longAgo)
        #expect(runtime.killed.withLock { $0 } == [one])
        #expect(BootClock.now() - asked < .seconds(5))
    }

    @Test func aMemberThatIsStillStoppingIsWatched() throws {
        let warden = warden()
        warden.noteRenewal(by: one, epoch: .first, requestedAt: BootClock.now())
        warden.noteReport(try report(.primary, .running), by: one)
        #expect(warden.held == [one])
        warden.noteReport(try report(.standby, .stopped), by: one)
        #expect(warden.held.isEmpty)
    }

    @Test func aMachineThatRenewedWhileItWasKilledIsWatchedAnew() async throws {
        let warden = warden()
        let began = BootClock.now()
        warden.noteRenewal(by: one, epoch: .first, requestedAt: began)
        let overdue = try #require(warden.overdue(at: began + long).first)
        warden.noteRenewal(by: one, epoch: Epoch(2), requestedAt: BootClock.now())
        await warden.end(overdue.0, renewedAt: overdue.1)
        #expect(warden.held == [one])
    }
}
