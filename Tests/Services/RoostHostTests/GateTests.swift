import RoostLinux
import RoostMesh
import RoostModel
import Synchronization
import Testing

@testable import RoostHost

/// Ports that are open only while the owner says so.
@Suite struct GateTests {
    private func ownedOrder() throws -> MachineOrder {
        let owner = MachineOwner(kind: .postgres, name: try AppName("db"), role: try MemberName("db-1"))
        var order = try MachineOrdersTests().order("one", restart: .always, owner: owner)
        order.app = try AppName("db")
        return order
    }

    @Test("A gate that the mesh does not take is an error, and is put in force as soon as it can be")
    func gateThatCannotBeSet() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let order = try ownedOrder()
        try await host.withAgent { agent in
            _ = try await agent.createMachine(order)
            _ = try await agent.wait(for: order.id, states: [.started], timeout: .seconds(10))
            try await agent.setGate(order.id, port: FakeHost.gatedPort, isOpen: true)
            #expect(host.mesh.closed.withLock { $0.isEmpty })
            host.mesh.refusesPorts.withLock { $0 = true }
            do throws(Refusal) {
                try await agent.setGate(order.id, port: FakeHost.gatedPort, isOpen: false)
                Issue.record("a gate that is open was said to be closed")
            } catch { #expect(error.code == .outcomeUnknown) }
            host.mesh.refusesPorts.withLock { $0 = false }
            let closed = try await poll(for: .seconds(10), every: .milliseconds(5)) {
                host.mesh.closed.withLock { $0.isEmpty } ? nil : true
            }
            #expect(closed == true)
        }
    }

    @Test("A word that comes after a later one changes nothing")
    func wordsInAnyOrder() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let order = try ownedOrder()
        try await host.withAgent { agent in
            _ = try await agent.createMachine(order)
            _ = try await agent.wait(for: order.id, states: [.started], timeout: .seconds(10))
            try await agent.setGate(order.id, port: FakeHost.gatedPort, isOpen: true, sequence: 7)
            try await agent.setGate(order.id, port: FakeHost.gatedPort, isOpen: false, sequence: 9)
            await #expect(throws: Refusal.self) {
                try await agent.setGate(order.id, port: FakeHost.gatedPort, isOpen: true, sequence: 8)
            }
            #expect(!host.mesh.closed.withLock { $0.isEmpty })
            try await agent.setGate(order.id, port: FakeHost.gatedPort, isOpen: true, sequence: 9)
            #expect(host.mesh.closed.withLock { $0.isEmpty }, "the same word again")
        }
    }

    @Test("Nothing is launched before its ports are closed")
    func launchWaitsForTheGate() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let order = try ownedOrder()
        host.mesh.refusesPorts.withLock { $0 = true }
        try await host.withAgent { agent in
            _ = try await agent.createMachine(order)
            _ = try await agent.wait(for: order.id, states: [.starting], timeout: .seconds(10))
            do throws(Refusal) {
                _ = try await agent.wait(for: order.id, states: [.started], timeout: .milliseconds(500))
                Issue.record("launched with an open port")
            } catch { #expect(error.code == .deadlineExceeded) }
            #expect(host.runtime.launches.withLock { $0.isEmpty })
            host.mesh.refusesPorts.withLock { $0 = false }
            _ = try await agent.wait(for: order.id, states: [.started], timeout: .seconds(10))
        }
    }

    @Test("Only gated ports of machines that may serve can be opened")
    func refusedGates() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let owned = try ownedOrder()
        let plain = try MachineOrdersTests().order("plain")
        try await host.withAgent { agent in
            for order in [owned, plain] {
                _ = try await agent.createMachine(order)
                _ = try await agent.wait(for: order.id, states: [.started], timeout: .seconds(10))
            }
            await #expect(throws: Refusal.self) {
                try await agent.setGate(plain.id, port: FakeHost.gatedPort, isOpen: true)
            }
            await #expect(throws: Refusal.self) { try await agent.setGate(owned.id, port: 80, isOpen: true) }
            _ = try await agent.stop(owned.id, signal: nil, timeout: nil)
            _ = try await agent.wait(for: owned.id, states: [.stopped], timeout: .seconds(10))
            await #expect(throws: Refusal.self) {
                try await agent.setGate(owned.id, port: FakeHost.gatedPort, isOpen: true)
            }
        }
    }
}
