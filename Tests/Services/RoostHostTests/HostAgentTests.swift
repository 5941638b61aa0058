import Foundation
import RoostLinux
import RoostMesh
import RoostModel
import RoostRuntime
import RoostStore
import Synchronization
import Testing

@testable import RoostHost

@Suite struct HostAgentTests {
    let app: AppName

    init() throws { app = try AppName("web") }

    func order(
        memory: Int = 256, volume: VolumeID? = nil, restart: MachineRestart.Policy = .onFailure, name: String = "one",
        owner: MachineOwner? = nil
    ) throws -> MachineOrder {
        var random = SystemRandomNumberGenerator()
        return MachineOrder(
            id: .random(using: &random), name: name, app: app, network: NetworkNumber(7),
            config: MachineConfig(
                image: "dir:/rootfs", guest: MachineGuest(memoryMebibytes: memory),
                mounts: volume.map { [MachineMount(volume: $0, path: "/data")] } ?? [],
                restart: MachineRestart(policy: restart)), owner: owner, startsAtOnce: true)
    }

    func volume(_ gigabytes: Int = 1, reserved: MachineGuest? = nil) -> VolumeOrder {
        var random = SystemRandomNumberGenerator()
        return VolumeOrder(
            id: .random(using: &random), name: "data", app: app, size: .gibibytes(gigabytes), reserved: reserved)
    }

    func started(_ agent: HostAgent, _ id: MachineID) async throws {
        _ = try await agent.wait(for: id, states: [.started], timeout: .seconds(5))
    }

    @Test("A host's record says whether its edge is stopped")
    func stoppedEdge() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let agent = try host.agent()
        #expect(await agent.record().isEdgeStopped == false)
        await agent.setEdgeStopped(true)
        await agent.setEdgeStopped(true)
        #expect(await agent.record().isEdgeStopped == true)
        await agent.setEdgeStopped(false)
        #expect(await agent.record().isEdgeStopped == false)
    }

    @Test("A host's record says of its edge what the edge has said, and nothing for it")
    func edgeCapabilities() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let agent = try host.agent()
        let own = Release.capabilities.subtracting(Capability.ofEdges)
        #expect(await agent.record().capabilities == own)
        await agent.setEdgeCapabilities([.clientLists, .unknown("of tomorrow"), .smallRecords])
        #expect(await agent.record().capabilities == own.union([.clientLists]))
        await agent.setEdgeCapabilities([])
        #expect(await agent.record().capabilities == own)
    }

    @Test func aMachineStartsStopsAndIsDestroyed() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let order = try order()
        try await host.withAgent { agent in
            _ = try await agent.createMachine(order)
            try await started(agent, order.id)
            _ = try await agent.stop(order.id, signal: nil, timeout: nil)
            _ = try await agent.wait(for: order.id, states: [.stopped], timeout: .seconds(5))
            await #expect(throws: Refusal.self) { try await agent.restart(order.id, signal: nil, timeout: nil) }
            _ = try await agent.start(order.id)
            try await started(agent, order.id)
            await #expect(throws: Refusal.self) { try await agent.destroy(order.id, force: false) }
            _ = try await agent.destroy(order.id, force: true)
            _ = try await agent.wait(for: order.id, states: [.destroyed], timeout: .seconds(5))
            #expect(host.runtime.machines.withLock { $0.isEmpty })
            #expect(host.mesh.links.withLock { $0.isEmpty })
            #expect(await agent.record().machines.isEmpty)
        }
    }

    @Test("Logs are forgotten of machines that are not in the ledger, when one is destroyed and when the host begins")
    func oldLogs() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let (stopped, destroyed) = (try order(), try order(name: "two"))
        try await host.withAgent { agent in
            for order in [stopped, destroyed] {
                _ = try await agent.createMachine(order)
                try await started(agent, order.id)
            }
            _ = try await agent.stop(stopped.id, signal: nil, timeout: nil)
            _ = try await agent.wait(for: stopped.id, states: [.stopped], timeout: .seconds(5))
            #expect(host.runtime.logsKept.withLock { $0.count } == 1)
            _ = try await agent.destroy(destroyed.id, force: true)
            _ = try await agent.wait(for: destroyed.id, states: [.destroyed], timeout: .seconds(5))
            #expect(host.runtime.logsKept.withLock { $0.last }?.contains(stopped.id) == true)
        }
        try await host.withAgent { _ in
            let kept = try await poll(for: .seconds(5)) {
                host.runtime.logsKept.withLock { $0.count == 3 ? $0.last : nil }
            }
            #expect(kept == [stopped.id])
        }
    }

    @Test func aCrashIsFollowedByARestartAsThePolicySays() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let (always, never) = (try order(restart: .always, name: "a"), try order(restart: .no, name: "b"))
        try await host.withAgent { agent in
            for order in [always, never] {
                _ = try await agent.createMachine(order)
                try await started(agent, order.id)
                host.runtime.end(order.id, code: 1)
            }
            _ = try await agent.wait(for: never.id, states: [.stopped], timeout: .seconds(5))
            let restarted = try await poll(for: .seconds(5)) {
                let events = await agent.machine(always.id)?.events ?? []
                return events.filter { $0.type == .start }.count == 2 ? events : nil
            }
            let exit = restarted?.first { $0.type == .exit }?.request?.exitEvent
            #expect(exit?.exitCode == 1)
            #expect(exit?.restarting == true)
            #expect(exit?.requestedStop == false)
        }
    }

    @Test("The event of an end that the host made says why, also where the runtime knows the exit code alone")
    func ownKills() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        host.runtime.isUnsureOfSignals.withLock { $0 = true }
        let order = try order(restart: .always)
        try await host.withAgent { agent in
            func ends(_ count: Int) async throws -> [MachineEvent.Detail] {
                let events = try await poll(for: .seconds(5)) {
                    let events = await agent.machine(order.id)?.events ?? []
                    return events.filter { $0.type == .start }.count > count ? events : nil
                }
                return try #require(events).filter { $0.type == .exit }.compactMap(\.request)
            }
            _ = try await agent.createMachine(order)
            try await started(agent, order.id)
            try await agent.kill(order.id, because: "its lease ran out")
            let first = try #require(try await ends(1).first)
            #expect(first.message == "ended by its host: its lease ran out")
            #expect(first.exitEvent?.signal == 9 && first.exitEvent?.requestedStop == false)
            // What ends like it afterwards was not the host's doing.
            host.runtime.end(order.id, code: 137)
            let second = try #require(try await ends(2).first)
            #expect(second.message == nil && second.exitEvent?.exitCode == 137 && second.exitEvent?.signal == nil)
        }
    }

    @Test("A kill of what had ended already leaves no reason for the launch that follows")
    func killsOfNothing() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let order = try order(restart: .no)
        try await host.withAgent { agent in
            _ = try await agent.createMachine(order)
            try await started(agent, order.id)
            host.runtime.end(order.id, code: 1)
            _ = try await agent.wait(for: order.id, states: [.stopped], timeout: .seconds(5))
            try await agent.kill(order.id, because: "its lease ran out")
            _ = try await agent.start(order.id)
            try await started(agent, order.id)
            host.runtime.end(order.id, code: 3)
            _ = try await agent.wait(for: order.id, states: [.stopped], timeout: .seconds(5))
            let last = await agent.machine(order.id)?.events.first { $0.type == .exit }?.request
            #expect(last?.exitEvent?.exitCode == 3 && last?.message == nil)
        }
    }

    @Test func theDeathOfTheAgentLeavesMachinesRunningAndTheNextOneTakesThemOver() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let (kept, ended) = (try order(name: "kept"), try order(restart: .always, name: "ended"))
        try await host.withAgent { agent in
            for order in [kept, ended] {
                _ = try await agent.createMachine(order)
                try await started(agent, order.id)
            }
        }
        host.runtime.end(ended.id, code: 3)
        try await host.withAgent { agent in
            try await started(agent, kept.id)
            let launches = try await poll(for: .seconds(5)) {
                let launches = host.runtime.launches.withLock { $0 }
                return launches.count == 3 ? launches : nil
            }
            #expect(launches?.filter { $0 == kept.id }.count == 1)
            #expect(launches?.filter { $0 == ended.id }.count == 2)
        }
    }

    @Test func ordersAreIdempotentAndAnotherThingUnderTheSameIdIsRefused() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let order = try order()
        let volume = volume()
        try await host.withAgent { agent in
            let first = try await agent.createMachine(order)
            let again = try await agent.createMachine(order)
            #expect(first.instance == again.instance)
            var other = order
            other.config.image = "dir:/other"
            let different = other
            await #expect(throws: Refusal.self) { try await agent.createMachine(different) }
            _ = try await agent.createVolume(volume)
            _ = try await agent.createVolume(volume)
            #expect(await agent.record().volumes.count == 1)
        }
    }

    @Test func aVolumeHasOneMachineAndKeepsItsDataWhenTheMachineGoes() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let volume = volume()
        let (first, second) = (try order(volume: volume.id, name: "a"), try order(volume: volume.id, name: "b"))
        try await host.withAgent { agent in
            await #expect(throws: Refusal.self) { try await agent.createMachine(first) }
            _ = try await agent.createVolume(volume)
            _ = try await agent.createMachine(first)
            try await started(agent, first.id)
            do throws(Refusal) {
                _ = try await agent.createMachine(second)
                Issue.record("a second machine got the volume")
            } catch {
                #expect(error.code == .failedPrecondition)
                #expect(error.message == "volume is currently bound to machine: \(first.id)")
            }
            await #expect(throws: Refusal.self) { try await agent.destroyVolume(volume.id) }
            _ = try await agent.destroy(first.id, force: true)
            _ = try await agent.wait(for: first.id, states: [.destroyed], timeout: .seconds(5))
            #expect(host.volumes.present.withLock { $0 == [volume.id] })
            #expect(host.volumes.mounted.withLock { $0.isEmpty })
            _ = try await agent.createMachine(second)
            try await started(agent, second.id)
        }
    }

    @Test func theHostHasTheLastWordOnItsCapacity() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let reserving = volume(2, reserved: MachineGuest(memoryMebibytes: 1024))
        let tooLarge = volume(9)
        let (fits, member) = (try order(memory: 1024), try order(memory: 1024, volume: reserving.id, name: "b"))
        let more = try order(memory: 256, name: "c")
        try await host.withAgent { agent in
            _ = try await agent.createVolume(reserving)
            _ = try await agent.createMachine(fits)
            for refused in [more] {
                do throws(Refusal) {
                    _ = try await agent.createMachine(refused)
                    Issue.record("memory was overcommitted")
                } catch { #expect(error.code == .insufficientCapacity) }
            }
            do throws(Refusal) {
                _ = try await agent.createVolume(tooLarge)
                Issue.record("disk was overcommitted")
            } catch { #expect(error.code == .insufficientCapacity) }
            // The memory that came with the volume was kept for this one.
            _ = try await agent.createMachine(member)
        }
    }

    /// A host is published as one value of the store, which has a bound.
    @Test func aHostTakesNoMoreThanItCanPublish() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let agent = try host.agent()
        let filler = String(repeating: "x", count: 60_000)
        var refusal: Refusal?
        for index in 0..<32 where refusal == nil {
            var order = try order(memory: 64, name: "m\(index)")
            order.config.environment = ["A": filler]
            do throws(Refusal) { _ = try await agent.createMachine(order) } catch { refusal = error }
        }
        #expect(refusal?.code == .insufficientCapacity)
        #expect(refusal?.message.contains("no room left for the configs") == true)
        #expect(try JSONEncoder().encode(await agent.record()).count < Transaction.valueBytesMax)
    }

    /// Sums of what hosts have promised stay sums: no volume keeps room for a machine that cannot be.
    @Test(arguments: [
        MachineGuest(memoryMebibytes: -1), MachineGuest(memoryMebibytes: .max), MachineGuest(cpus: .min),
    ])
    func aVolumeKeepsNoRoomForAnImpossibleMachine(guest: MachineGuest) async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let agent = try host.agent()
        let order = volume(1, reserved: guest)
        do throws(Refusal) {
            _ = try await agent.createVolume(order)
            Issue.record("accepted \(guest)")
        } catch { #expect(error.code == .invalid) }
        #expect(await agent.record().volumes.isEmpty)
    }

    @Test func aRestartIsCheckedAsAStopIs() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let order = try order()
        try await host.withAgent { agent in
            _ = try await agent.createMachine(order)
            try await started(agent, order.id)
            for (signal, timeout) in [("SIGBOGUS", nil), (nil, Duration.seconds(301))] {
                do throws(Refusal) {
                    _ = try await agent.restart(order.id, signal: signal, timeout: timeout)
                    Issue.record("accepted")
                } catch { #expect(error.code == .invalid) }
            }
            #expect(await agent.machine(order.id)?.record.state == .started)
        }
    }

    @Test func anOutdatedLedgerDoesNotAct() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let order = try order()
        try await host.withAgent { agent in
            await agent.supersede(by: Generation(99))
            await #expect(throws: Refusal.self) { try await agent.createMachine(order) }
        }
    }

    @Test func aMembersGateIsClosedAtEveryLaunch() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let owner = MachineOwner(kind: .postgres, name: app, role: try MemberName("db-1"))
        let order = try order(restart: .always, owner: owner)
        let address = MeshAddress.machine(order.id, in: NetworkNumber(7))
        try await host.withAgent { agent in
            _ = try await agent.createMachine(order)
            try await started(agent, order.id)
            #expect(host.mesh.closed.withLock { $0.map(\.address) } == [address])
            try await agent.setGate(order.id, port: FakeHost.gatedPort, isOpen: true)
            #expect(host.mesh.closed.withLock { $0.isEmpty })
            host.runtime.end(order.id, code: 1)
            let closed = try await poll(for: .seconds(5)) {
                host.mesh.closed.withLock { $0.map(\.address) } == [address] ? true : nil
            }
            #expect(closed == true)
        }
    }

    @Test func aLaunchThatFailsIsRetriedByThePolicyAndNamed() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let order = try order(restart: .no)
        host.runtime.refusal.withLock {
            $0 = RuntimeError(code: .imageNotFound, operation: "pull", subject: "dir:/rootfs", cause: "no such image")
        }
        try await host.withAgent { agent in
            _ = try await agent.createMachine(order)
            _ = try await agent.wait(for: order.id, states: [.failed], timeout: .seconds(5))
            let event = await agent.machine(order.id)?.events.first
            #expect(event?.type == .failure)
            #expect(event?.request?.message?.contains("no such image") == true)
        }
    }

    @Test("What the host's own parts say of themselves is in its log, not in a machine's events")
    func insides() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let order = try order(restart: .no)
        host.mesh.fault.withLock { $0 = "ip link add in /run/netns/secret-place" }
        try await host.withAgent { agent in
            _ = try await agent.createMachine(order)
            _ = try await agent.wait(for: order.id, states: [.failed], timeout: .seconds(5))
            let told = await agent.machine(order.id)?.events.first { $0.type == .failure }?.request?.message ?? ""
            #expect(told.contains("the host's log says why") && !told.contains("secret-place"), "\(told)")
        }
    }

    @Test func aFaultThatCannotHealIsNotTriedAgain() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let order = try order(restart: .always)
        host.runtime.refusal.withLock {
            $0 = RuntimeError(code: .imageInvalid, operation: "unpack", subject: "shop", cause: "its layer is odd")
        }
        try await host.withAgent { agent in
            _ = try await agent.createMachine(order)
            _ = try await agent.wait(for: order.id, states: [.failed], timeout: .seconds(5))
            let failures = await agent.machine(order.id)?.events.filter { $0.type == .failure } ?? []
            #expect(failures.count == 1 && failures.first?.request?.message?.contains("its layer is odd") == true)
        }
    }

    @Test(arguments: [
        MachineConfig(image: ""), MachineConfig(image: "dir:relative"),
        MachineConfig(image: "a", guest: MachineGuest(cpus: 0)),
        MachineConfig(image: "a", guest: MachineGuest(cpus: 5)),
        MachineConfig(image: "a", guest: MachineGuest(memoryMebibytes: 1)),
        MachineConfig(image: "a", environment: ["": "x"]), MachineConfig(image: "a", environment: ["a=b": "x"]),
        MachineConfig(image: "a", restart: MachineRestart(policy: .no, retriesMax: -1)),
        MachineConfig(image: "a", stop: StopConfig(timeout: DurationText(.seconds(301)))),
        MachineConfig(image: "a", stop: StopConfig(signal: "SIGBOGUS")),
        MachineConfig(image: "a", guest: MachineGuest(cpus: .min)),
        MachineConfig(image: "a", guest: MachineGuest(memoryMebibytes: 1 << 43)),
        MachineConfig(image: "a", environment: ["A": "x\0y"]),
        MachineConfig(image: "a", environment: ["A": String(repeating: "x", count: HostAgent.configBytesMax)]),
        MachineConfig(image: "a", initial: MachineInit(exec: ["a\0"])),
    ])
    func aWrongConfigIsRefusedAndChangesNothing(config: MachineConfig) async throws {
        let host = try FakeHost()
        defer { host.remove() }
        var wrong = try order()
        wrong.config = config
        let order = wrong
        let agent = try host.agent()
        let before = await agent.record()
        do throws(Refusal) {
            _ = try await agent.createMachine(order)
            Issue.record("accepted \(config)")
        } catch { #expect(error.code == .invalid) }
        #expect(await agent.record() == before)
    }
}
