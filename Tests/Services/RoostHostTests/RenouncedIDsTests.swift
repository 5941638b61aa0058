import Foundation
import GRDB
import RoostLinux
import RoostModel
import RoostVolumes
import Synchronization
import Testing

@testable import RoostHost

/// An order that comes late makes nothing.
@Suite struct RenouncedIDsTests {
    private func volumeOrder() throws -> VolumeOrder {
        var random = SystemRandomNumberGenerator()
        return VolumeOrder(
            id: .random(using: &random), name: "data", app: try AppName("web"), size: .gibibytes(1), reserved: nil)
    }

    /// Ordered again, each is refused and leaves nothing.
    private func expectRefused(
        _ machine: MachineOrder?, _ volume: VolumeOrder?, by agent: HostAgent, of host: FakeHost
    ) async {
        if let machine {
            let refusal = await #expect(throws: Refusal.self) { try await agent.createMachine(machine) }
            #expect(refusal?.code == .failedPrecondition)
            #expect(await agent.machine(machine.id).map { $0.record.state == .destroyed } ?? true)
        }
        if let volume {
            let refusal = await #expect(throws: Refusal.self) { try await agent.createVolume(volume) }
            #expect(refusal?.code == .failedPrecondition)
            #expect(await agent.volume(volume.id) == nil)
            #expect(host.volumes.present.withLock { !$0.contains(volume.id) })
        }
    }

    @Test("What was taken back before it was made is not made by an order that comes late, also after a restart")
    func takenBackBeforeMade() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let (machine, volume) = (try MachineOrdersTests().order("late"), try volumeOrder())
        try await host.withAgent { agent in
            let (noMachine, noVolume) = (
                try await agent.takeBack(machine.id, timeout: .seconds(10)), try await agent.takeBack(volume.id)
            )
            #expect(noMachine == nil)
            #expect(noVolume == nil)
            await expectRefused(machine, volume, by: agent, of: host)
        }
        try await host.withAgent { agent in await expectRefused(machine, volume, by: agent, of: host) }
    }

    @Test("What was made and taken back is not made again, also after a restart")
    func takenBackAfterMade() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let (machine, volume) = (try MachineOrdersTests().order("late"), try volumeOrder())
        try await host.withAgent { agent in
            _ = try await agent.createVolume(volume)
            _ = try await agent.createMachine(machine)
            #expect(try await agent.takeBack(machine.id, timeout: .seconds(10))?.state == .destroyed)
            // So does the platform with what it made itself. Nobody has ordered it for this machine.
            let events = await agent.machine(machine.id)?.events.filter { $0.type == .destroy } ?? []
            #expect(!events.isEmpty && events.allSatisfy { $0.source == .roostd }, "\(events)")
            #expect(try await agent.takeBack(volume.id)?.state == .destroyed)
            await expectRefused(machine, volume, by: agent, of: host)
        }
        try await host.withAgent { agent in await expectRefused(machine, volume, by: agent, of: host) }
    }

    @Test("A machine whose row was forgotten is not made again")
    func forgottenRow() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let first = try MachineOrdersTests().order("first", startsAtOnce: false)
        try await host.withAgent { agent in
            _ = try await agent.createMachine(first)
            _ = try await agent.takeBack(first.id, timeout: .seconds(10))
            for number in 0...HostAgent.destroyedRowsMax {
                let other = try MachineOrdersTests().order("other-\(number)", startsAtOnce: false)
                _ = try await agent.createMachine(other)
                _ = try await agent.takeBack(other.id, timeout: .seconds(10))
            }
            _ = try await agent.createMachine(try MachineOrdersTests().order("last", startsAtOnce: false))
            #expect(await agent.machine(first.id) == nil)
            await expectRefused(first, nil, by: agent, of: host)
        }
    }

    @Test("A volume that could not be made may be ordered again")
    func failedCreation() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let agent = try host.agent()
        let volume = try volumeOrder()
        host.volumes.refusal.withLock {
            $0 = VolumeError(code: .noSpace, operation: "create", volume: nil, cause: "full")
        }
        await #expect(throws: Refusal.self) { try await agent.createVolume(volume) }
        host.volumes.refusal.withLock { $0 = nil }
        #expect(try await agent.createVolume(volume).state == .created)
    }

    @Test("What was given up while the host's clock stood in 1970 is still refused when the clock was set")
    func clockThatWasSet() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let (machine, volume) = (try MachineOrdersTests().order("late"), try volumeOrder())
        try await host.withAgent { agent in
            _ = try await agent.takeBack(machine.id, timeout: .seconds(10))
            _ = try await agent.takeBack(volume.id)
        }
        try await DatabaseQueue(path: host.folder + "/ledger.sqlite").write { database in
            try database.execute(sql: "UPDATE renounced SET since_ms = 0")
        }
        for _ in 0..<2 {
            try await host.withAgent { agent in
                _ = try await agent.takeBack(try volumeOrder().id)
                await expectRefused(machine, volume, by: agent, of: host)
            }
        }
    }

    @Test("What a row that cannot be read stands for is neither taken back nor given up")
    func unreadable() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let (machine, volume) = (try MachineOrdersTests().order("strange"), try volumeOrder())
        _ = try host.agent()
        try await DatabaseQueue(path: host.folder + "/ledger.sqlite").write { database in
            for (table, id) in [("machines", machine.id.text), ("volumes", volume.id.text)] {
                try database.execute(sql: "INSERT INTO \(table) VALUES (?, x'00')", arguments: [id])
            }
        }
        let agent = try host.agent()
        let ofMachine = await #expect(throws: Refusal.self) {
            try await agent.takeBack(machine.id, timeout: .seconds(10))
        }
        let ofVolume = await #expect(throws: Refusal.self) { try await agent.takeBack(volume.id) }
        #expect([ofMachine?.code, ofVolume?.code] == [.failedPrecondition, .failedPrecondition])
    }

    @Test("Ids are remembered up to a number, whatever the clock says, and the ledger forgets what is forgotten")
    func bounds() throws {
        var renounced = RenouncedIDs()
        for number in 0..<RenouncedIDs.countMax { #expect(renounced.add(["\(number)"]).isEmpty) }
        #expect(renounced.contains("0"))
        let dropped = renounced.add(["one more"])
        #expect(dropped.first == "0")
        #expect(dropped.count == RenouncedIDs.countMax / 8 + 1)
        #expect(!renounced.contains("0"))
        #expect(renounced.contains("one more") && renounced.contains("\(RenouncedIDs.countMax - 1)"))

        let host = try FakeHost()
        defer { host.remove() }
        let ledger = try Ledger(path: host.folder + "/ledger.sqlite")
        try ledger.renounce(["a", "b", "a"])
        try ledger.forget(renounced: ["a"])
        #expect(try ledger.renounced() == ["b"])
    }
}
