import RoostLinux
import RoostModel
import RoostVolumes
import Synchronization
import Testing

@testable import RoostHost

@Suite struct VolumeOrdersTests {
    private func order() throws -> VolumeOrder {
        var random = SystemRandomNumberGenerator()
        return VolumeOrder(
            id: .random(using: &random), name: "data", app: try AppName("web"), size: .gibibytes(1), reserved: nil)
    }

    @Test("Of two who order one volume at one time, both get it or neither", arguments: [true, false])
    func twoAtOnce(succeeds: Bool) async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let agent = try host.agent()
        let order = try order()
        host.volumes.isHeld.withLock { $0 = true }
        if !succeeds {
            host.volumes.refusal.withLock {
                $0 = VolumeError(code: .noSpace, operation: "create", volume: nil, cause: "full")
            }
        }
        let states = await withTaskGroup(of: VolumeState?.self) { group -> [VolumeState] in
            for _ in 1...2 { group.addTask { try? await agent.createVolume(order).state } }
            group.addTask {
                _ = try? await poll(for: .seconds(10), every: .milliseconds(2)) {
                    host.volumes.making.withLock { $0 } > 0 ? true : nil
                }
                #expect(host.volumes.making.withLock { $0 } == 1)
                host.volumes.isHeld.withLock { $0 = false }
                return nil
            }
            return await group.reduce(into: [VolumeState]()) { states, state in
                if let state { states.append(state) }
            }
        }
        #expect(states == (succeeds ? [.created, .created] : []))
        #expect(await agent.record().volumes.map(\.state) == (succeeds ? [.created] : []))
    }

    @Test("A volume that is destroyed while it is being made is gone afterwards, and nothing is left of it")
    func destroyedWhileMade() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let agent = try host.agent()
        let order = try order()
        host.volumes.isHeld.withLock { $0 = true }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { _ = try? await agent.createVolume(order) }
            group.addTask {
                _ = try? await poll(for: .seconds(10), every: .milliseconds(2)) {
                    host.volumes.making.withLock { $0 } == 1 ? true : nil
                }
                host.volumes.isHeld.withLock { $0 = false }
                let gone = try? await agent.destroyVolume(order.id)
                #expect(gone?.state == .destroyed)
            }
        }
        #expect(host.volumes.present.withLock { $0.isEmpty })
        #expect(await agent.record().volumes.isEmpty)
    }

    @Test("A host whose disk cannot take what was promised says how much it can take, until it can again")
    func diskThatIsFuller() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let agent = try host.agent()
        let promised = agent.configuration.capacity.disk
        host.volumes.free.withLock { $0 = promised }
        await agent.lookAtDisk()
        #expect(await agent.record().diskLeft == nil)
        host.volumes.free.withLock { $0 = .gibibytes(2) + .mebibytes(700) }
        await agent.lookAtDisk()
        #expect(await agent.record().diskLeft == .gibibytes(2))
        // A volume's room is taken from both.
        _ = try await agent.createVolume(try order())
        host.volumes.free.withLock { $0 = promised - .gibibytes(1) }
        await agent.lookAtDisk()
        #expect(await agent.record().diskLeft == nil)
    }
}
