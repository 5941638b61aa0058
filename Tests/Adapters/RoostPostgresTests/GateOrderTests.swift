import Logging
import RoostLinux
import RoostModel
import RoostWire
import Testing

@testable import RoostPostgres

/// What was said last stands, whatever is still on its way.
@Suite struct GateOrderTests {
    @Test("A word to close does not wait for one to open, and is not undone by it", arguments: [false, true])
    func aLaterWordStands(_ hostCountsNoWords: Bool) async throws {
        try await TestGround.with(hostCountsNoWords ? "gate-old" : "gate-new") { ground in
            try await Self.overtake(ground, hostCountsNoWords)
        }
    }

    private static func overtake(_ ground: TestGround, _ hostCountsNoWords: Bool) async throws {
        let m1 = try ground.member(1)
        let spec = ClusterSpec(
            name: ground.cluster, address: try IPv4Address("203.0.113.7"), volumeSize: .gibibytes(1),
            guest: MachineGuest(memoryMebibytes: 256), image: "oci:test", members: [], createdAt: 0)
        let store = FakeStore(spec: spec, placements: [], secrets: ground.secrets)
        let socket = m1.instance.layout.outside(m1.instance.layout.runFolder) + "/host.sock"
        let host = try FakeHost(socket, member: m1.name, store: store)
        defer { host.stop() }
        let events = try EventQueue()
        let gate = try GateKeeper(
            link: StoreLink(socket: HostSocket(socket), deadline: .seconds(5)), instance: m1.instance,
            events: events, logger: Logger(label: "test"))
        try m1.configure(.standby(upstream: nil))
        try gate.start { events.isClosed }
        defer { events.close() }
        await gate.closed(within: .seconds(10))
        store.holdOpenings(countsNoWords: hostCountsNoWords)
        gate.set(isOpen: true)
        #expect(try await poll(for: .seconds(10)) { store.heldOpenings > 0 ? true : nil } == true)
        #expect(try rules(m1).contains("fdaa::/16  scram-sha-256"))

        gate.set(isOpen: false)
        let began = BootClock.now()
        await gate.closed(within: .seconds(4))
        #expect(BootClock.now() - began < .seconds(4), "the word to open is still on its way")
        #expect(!store.isOpen(m1.name))
        #expect(try rules(m1).contains("fdaa::/16  reject"))

        store.releaseOpenings()
        // A host that numbers no words opens for a moment, until it is told again.
        let isClosed = try await poll(for: .seconds(10)) { () -> Bool? in
            await gate.closed(within: .seconds(1))
            return store.isOpen(m1.name) ? nil : true
        }
        #expect(isClosed == true)
        #expect(try rules(m1).contains("fdaa::/16  reject"))
        try m1.configure(.standby(upstream: nil))
        #expect(try rules(m1).contains("fdaa::/16  reject"))
    }

    private static func rules(_ m1: TestMember) throws -> String {
        let path = m1.instance.layout.outside(m1.instance.layout.accessFile)
        return String(decoding: try DurableFile.read(path) ?? [], as: UTF8.self)
    }
}
