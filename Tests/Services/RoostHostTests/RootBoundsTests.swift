import RoostLinux
import RoostModel
import RoostRuntime
import Synchronization
import Testing

@testable import RoostHost

/// What a host does with machines whose roots take too much of its disk.
@Suite struct RootBoundsTests {
    private static let plenty: @Sendable () async -> ByteCount? = { .gibibytes(100) }
    private static let short: @Sendable () async -> ByteCount? = { .gibibytes(1) }

    private func order(_ name: String, restart: MachineRestart.Policy = .no) throws -> MachineOrder {
        var random = SystemRandomNumberGenerator()
        return MachineOrder(
            id: .random(using: &random), name: name, app: try AppName("web"), network: NetworkNumber(7),
            config: MachineConfig(image: "dir:/rootfs", restart: MachineRestart(policy: restart)), owner: nil,
            startsAtOnce: true)
    }

    private func start(_ orders: [MachineOrder], _ agent: HostAgent) async throws {
        for order in orders {
            _ = try await agent.createMachine(order)
            _ = try await agent.wait(for: order.id, states: [.started], timeout: .seconds(5))
        }
    }

    @Test("A machine with the largest root ends when the disk is nearly full, says why, and no new one is taken")
    func nearlyFull() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let (large, small) = (try order("large"), try order("small"))
        try await host.withAgent { agent in
            try await start([large, small], agent)
            host.runtime.roots.withLock {
                $0 = [large.id: RootUse(size: .gibibytes(3)), small.id: RootUse(size: .mebibytes(10))]
            }
            // The agent's own looks get no answer from this disk.
            await agent.lookAtRoots(Self.short)
            _ = try await agent.wait(for: large.id, states: [.stopped], timeout: .seconds(10))
            let event = try #require(await agent.machine(large.id)?.events.first { $0.type == .exit })
            let message = try #require(event.request?.message)
            #expect(message.contains("ended by its host") && message.contains("3 GiB"))
            #expect(await agent.machine(small.id)?.record.state == .started)
            let refused = try order("refused")
            do {
                _ = try await agent.createMachine(refused)
                Issue.record("a machine was taken")
            } catch let error as Refusal {
                #expect(error.code == .insufficientCapacity && error.message.contains("2 GiB of its disk"))
            }
            await agent.lookAtRoots(Self.plenty)
            try await start([refused], agent)
        }
    }

    @Test("A machine that is ended for its root is started anew as its restart policy says, with a root of its own")
    func restarted() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let large = try order("large", restart: .always)
        try await host.withAgent { agent in
            try await start([large], agent)
            let first = host.runtime.machines.withLock { $0[large.id]?.attempt }
            host.runtime.roots.withLock { $0 = [large.id: RootUse(size: .gibibytes(9), isWhole: true)] }
            await agent.lookAtRoots(Self.short)
            let second = try await poll(for: .seconds(10)) {
                host.runtime.machines.withLock { machines in
                    machines[large.id].flatMap { $0.exit == nil && $0.attempt != first ? $0.attempt : nil }
                }
            }
            #expect(second != nil)
            let event = try #require(await agent.machine(large.id)?.events.first { $0.type == .exit })
            #expect(event.request?.message?.contains("takes 9 GiB of the host's disk; at most 8 GiB") == true)
        }
    }

    @Test("A root that takes long to measure keeps the largest one from ending only for as long as it may be quick")
    func slow() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let (slow, large) = (try order("slow"), try order("large"))
        try await host.withAgent { agent in
            host.runtime.slowRoots.withLock { $0 = [slow.id] }
            host.runtime.roots.withLock {
                $0 = [slow.id: RootUse(size: .mebibytes(300), isDone: false), large.id: RootUse(size: .gibibytes(3))]
            }
            try await start([slow, large], agent)
            host.disk.free.withLock { $0 = .gibibytes(1) }
            // Of the slow one's second look, in the lane that is its own, the end is awaited by nobody.
            _ = try await agent.wait(for: large.id, states: [.stopped], timeout: .seconds(40))
            let event = try #require(await agent.machine(large.id)?.events.first { $0.type == .exit })
            #expect(event.request?.message?.contains("nearly full") == true)
            #expect(await agent.machine(slow.id)?.record.state == .started)
            host.disk.free.withLock { $0 = .gibibytes(100) }
            let isRoomy = try await poll(for: .seconds(20)) { (try? await agent.requireDisk()) != nil ? true : nil }
            #expect(isRoomy == true)
        }
    }

    @Test("A disk that gives no answer ends nobody, and neither does a host with an outdated ledger")
    func noAnswer() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let large = try order("large")
        try await host.withAgent { agent in
            try await start([large], agent)
            host.runtime.roots.withLock { $0 = [large.id: RootUse(size: .gibibytes(3))] }
            await agent.lookAtRoots { nil }
            try await agent.requireDisk()
            await agent.supersede(by: Generation(1 << 40))
            await agent.lookAtRoots(Self.short)
            #expect(host.runtime.machines.withLock { $0[large.id]?.exit } == nil)
        }
    }
}
