import RoostLinux
import RoostMachineLife
import RoostMesh
import RoostModel
import RoostRuntime
import RoostVolumes
import Synchronization
import Testing

@testable import RoostHost

extension HostAgent {
    /// Orders to three machines, one after the other, without letting go of the agent.
    fileprivate func orderTogether(starting first: MachineID, stopping second: MachineID, starting third: MachineID)
        throws
    {
        _ = try start(first)
        _ = try stop(second, signal: nil, timeout: nil)
        _ = try start(third)
    }
}

/// What was ordered comes true, whatever else happens on the host at that time.
@Suite struct MachineOrdersTests {
    let app: AppName

    init() throws { app = try AppName("web") }

    func order(
        _ name: String, restart: MachineRestart.Policy = .no, memory: Int = 64, volume: VolumeID? = nil,
        owner: MachineOwner? = nil, startsAtOnce: Bool = true
    ) throws -> MachineOrder {
        var random = SystemRandomNumberGenerator()
        return MachineOrder(
            id: .random(using: &random), name: name, app: app, network: NetworkNumber(7),
            config: MachineConfig(
                image: "dir:/rootfs", guest: MachineGuest(memoryMebibytes: memory),
                mounts: volume.map { [MachineMount(volume: $0, path: "/data")] } ?? [],
                restart: MachineRestart(policy: restart)), owner: owner, startsAtOnce: startsAtOnce)
    }

    func wait(_ agent: HostAgent, _ id: MachineID, _ state: MachineState) async throws {
        _ = try await agent.wait(for: id, states: [state], timeout: .seconds(10))
    }

    @Test("Orders to several machines at one time all reach their machines")
    func ordersTogether() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let orders = try ["x", "a", "y"].map { try order($0) }
        try await host.withAgent { agent in
            for order in orders {
                _ = try await agent.createMachine(order)
                try await wait(agent, order.id, .started)
            }
            for _ in 1...100 {
                try await agent.orderTogether(
                    starting: orders[0].id, stopping: orders[1].id, starting: orders[2].id)
                try await wait(agent, orders[1].id, .stopped)
                _ = try await agent.start(orders[1].id)
                try await wait(agent, orders[1].id, .started)
            }
        }
    }

    @Test("A start right after the creation is heard, although the keeper is only beginning")
    func startAfterCreation() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        try await host.withAgent { agent in
            for index in 1...30 {
                let order = try order("m\(index)", startsAtOnce: false)
                _ = try await agent.createMachine(order)
                _ = try await agent.start(order.id)
                try await wait(agent, order.id, .started)
            }
        }
    }

    @Test("Stop and destroy end a launch that waits for its image")
    func ordersDuringALaunch() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let (stopped, destroyed) = (try order("stopped"), try order("destroyed"))
        host.runtime.held.withLock { $0 = [stopped.id, destroyed.id] }
        try await host.withAgent { agent in
            for order in [stopped, destroyed] {
                _ = try await agent.createMachine(order)
                try await wait(agent, order.id, .starting)
            }
            _ = try await agent.stop(stopped.id, signal: nil, timeout: nil)
            try await wait(agent, stopped.id, .stopped)
            #expect(await agent.machine(stopped.id)?.events.first?.type == .stop)
            _ = try await agent.destroy(destroyed.id, force: true)
            try await wait(agent, destroyed.id, .destroyed)
            #expect(host.runtime.launches.withLock { $0.isEmpty })
            #expect(host.mesh.links.withLock { $0 } == [stopped.id])
        }
    }

    @Test("Destroy by force does not wait for the stop's time")
    func destroyDuringAStop() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let order = try order("one")
        host.runtime.stubborn.withLock { _ = $0.insert(order.id) }
        try await host.withAgent { agent in
            _ = try await agent.createMachine(order)
            try await wait(agent, order.id, .started)
            _ = try await agent.stop(order.id, signal: nil, timeout: .seconds(300))
            let signalled = try await poll(for: .seconds(5), every: .milliseconds(2)) {
                host.runtime.machines.withLock { $0[order.id]?.signals.isEmpty == false } ? true : nil
            }
            #expect(signalled == true)
            _ = try await agent.destroy(order.id, force: true)
            try await wait(agent, order.id, .destroyed)
        }
    }

    @Test("A start while the machine stops is carried out after it")
    func startDuringAStop() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let order = try order("one")
        host.runtime.stubborn.withLock { _ = $0.insert(order.id) }
        try await host.withAgent { agent in
            _ = try await agent.createMachine(order)
            try await wait(agent, order.id, .started)
            _ = try await agent.stop(order.id, signal: nil, timeout: .seconds(300))
            #expect(try await agent.start(order.id).state == .restarting)
            host.runtime.end(order.id, code: 0)
            try await wait(agent, order.id, .started)
            #expect(host.runtime.launches.withLock { $0.count } == 2)
            let exit = await agent.machine(order.id)?.events.first { $0.type == .exit }?.request?.exitEvent
            #expect(exit?.requestedStop == true)
            #expect(exit?.restarting == true)
        }
    }

    @Test("After a restart, started means the new launch")
    func restartThenWait() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let order = try order("one")
        try await host.withAgent { agent in
            _ = try await agent.createMachine(order)
            try await wait(agent, order.id, .started)
            for count in 2...30 {
                _ = try await agent.restart(order.id, signal: nil, timeout: nil)
                try await wait(agent, order.id, .started)
                #expect(host.runtime.launches.withLock { $0.count } == count)
            }
        }
    }

    @Test("Who restarts a machine that is stopped is told to start it")
    func restartOfAStopped() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let order = try order("one", startsAtOnce: false)
        try await host.withAgent { agent in
            _ = try await agent.createMachine(order)
            let refusal = await #expect(throws: Refusal.self) {
                _ = try await agent.restart(order.id, signal: nil, timeout: nil)
            }
            #expect(refusal?.message.hasSuffix("current state: 'created': start it instead") == true)
        }
    }

    @Test("A wait for what only an order could bring ends at once and says how the machine ended")
    func waitsThatCannotEnd() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let order = try order("one")
        try await host.withAgent { agent in
            _ = try await agent.createMachine(order)
            try await wait(agent, order.id, .started)
            host.runtime.end(order.id, code: 3)
            try await wait(agent, order.id, .stopped)
            let begun = BootClock.now()
            do throws(Refusal) {
                _ = try await agent.wait(for: order.id, states: [.started, .failed], timeout: .seconds(60))
                Issue.record("it was started")
            } catch {
                #expect(error.code == .failedPrecondition)
                #expect(error.message.contains("is stopped (exit code 3)"), "\(error)")
            }
            #expect(BootClock.now() - begun < .seconds(10))
            do throws(Refusal) {
                _ = try await agent.wait(
                    for: order.id, states: [.stopped], instance: "01NOSUCHINSTANCE000000000", timeout: .seconds(60))
                Issue.record("another version was waited for")
            } catch { #expect(error.code == .failedPrecondition) }
            let instance = await agent.machine(order.id)?.record.instance
            _ = try await agent.wait(for: order.id, states: [.stopped], instance: instance, timeout: .seconds(60))
        }
    }

    @Test("A launch that can never succeed is tried once, and whoever waits is told why")
    func permanentFailure() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let order = try order("one", restart: .always)
        host.runtime.refusal.withLock {
            $0 = RuntimeError(code: .imageInvalid, operation: "find the user", subject: "a", cause: "uid 4294967295")
        }
        try await host.withAgent { agent in
            _ = try await agent.createMachine(order)
            do throws(Refusal) {
                _ = try await agent.wait(for: order.id, states: [.started], timeout: .seconds(10))
            } catch { #expect(error.message.contains("uid 4294967295"), "\(error)") }
            #expect(host.runtime.launches.withLock { $0.count } == 1)
            #expect(await agent.machine(order.id)?.record.state == .failed)
            #expect(await agent.machine(order.id)?.events.first?.request?.message?.contains("uid 4294967295") == true)
        }
    }

    @Test("The id of a machine that was destroyed is not taken again")
    func destroyedIdIsRefused() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let order = try order("one")
        try await host.withAgent { agent in
            _ = try await agent.createMachine(order)
            _ = try await agent.destroy(order.id, force: true)
            try await wait(agent, order.id, .destroyed)
            do throws(Refusal) {
                _ = try await agent.createMachine(order)
                Issue.record("a destroyed machine was made")
            } catch { #expect(error.code == .failedPrecondition) }
        }
    }

    @Test("A host that boots with 200 machines starts all of them, a few at a time, and one that hangs holds up nobody")
    func bootOfManyMachines() async throws {
        let host = try FakeHost(memory: .gibibytes(64))
        defer { host.remove() }
        let orders = try (1...200).map { try order("m\($0)") }
        let idle = try host.agent()
        for order in orders { _ = try await idle.createMachine(order) }
        host.runtime.held.withLock { $0 = [orders[0].id, orders[1].id] }
        host.runtime.launchTime.withLock { $0 = .milliseconds(200) }
        try await host.withAgent { agent in
            for order in orders.dropFirst(2) { try await wait(agent, order.id, .started) }
            #expect(host.runtime.launching.withLock { $0.most } <= LaunchPlaces.launchesAtOnceMax)
            #expect(host.runtime.launching.withLock { $0.most } > 4)
            #expect(await agent.machine(orders[0].id)?.record.state == .starting)
        }
    }
}
