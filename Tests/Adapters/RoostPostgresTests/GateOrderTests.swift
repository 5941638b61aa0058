import Foundation
import Logging
import RoostFailover
import RoostLinux
import RoostModel
import RoostWire
import Testing

@testable import RoostPostgres

/// What was said last stands, whatever is still on its way, and whatever becomes of the half of it.
@Suite struct GateOrderTests {
    @Test("A word to close does not wait for one to open, and is not undone by it", arguments: [false, true])
    func aLaterWordStands(_ hostCountsNoWords: Bool) async throws {
        try await TestGround.with(hostCountsNoWords ? "gate-old" : "gate-new") { ground in
            let door = try await Door(ground)
            defer { door.end() }
            try await Self.overtake(door, hostCountsNoWords)
        }
    }

    private static func overtake(_ door: Door, _ hostCountsNoWords: Bool) async throws {
        let (store, gate, m1) = (door.store, door.gate, door.m1)
        store.holdOpenings(countsNoWords: hostCountsNoWords)
        gate.set(isOpen: true)
        #expect(try await poll(for: .seconds(10)) { store.heldOpenings > 0 ? true : nil } == true)
        #expect(try door.rules().contains("fdaa::/16  scram-sha-256"))

        gate.set(isOpen: false)
        let began = BootClock.now()
        await gate.closed(within: .seconds(4))
        #expect(BootClock.now() - began < .seconds(4), "the word to open is still on its way")
        #expect(!store.isOpen(m1.name))
        #expect(try door.rules().contains("fdaa::/16  reject"))

        let before = store.takenWords.count
        store.releaseOpenings()
        #expect(try await poll(for: .seconds(10)) { store.answeredOpenings == 1 ? true : nil } == true)
        if hostCountsNoWords {
            // It opens for a moment, until it is told again.
            let isClosedAgain = try await poll(for: .seconds(10)) { () -> Bool? in
                let words = store.takenWords.dropFirst(before)
                return words.contains(true) && words.last == false ? true : nil
            }
            #expect(isClosedAgain == true)
        }
        await gate.closed(within: .seconds(1))
        #expect(!store.isOpen(m1.name))
        #expect(hostCountsNoWords || !store.takenWords.contains(true))
        #expect(try door.rules().contains("fdaa::/16  reject"))
        try m1.configure(.standby(upstream: nil))
        #expect(try door.rules().contains("fdaa::/16  reject"))
    }

    /// The host's disk is full: the configuration is on it, and not on the volume.
    @Test("Rules that cannot be written keep no word to close from the host, but each word to open")
    func oneOfTwoPlaces() async throws {
        try await TestGround.with("gate-full") { ground in
            let door = try await Door(ground)
            defer { door.end() }
            let (store, gate, m1) = (door.store, door.gate, door.m1)
            gate.set(isOpen: true)
            #expect(try await poll(for: .seconds(10)) { store.isOpen(m1.name) ? true : nil } == true)
            let beside = m1.instance.layout.outside(m1.instance.layout.accessFile) + ".new"
            try FileManager.default.createDirectory(atPath: beside, withIntermediateDirectories: false)
            gate.set(isOpen: false)
            await gate.closed(within: .seconds(10))
            #expect(!store.isOpen(m1.name))
            #expect(try door.rules().contains("fdaa::/16  scram-sha-256"))
            // Said as it is, and tried again.
            let failure = try await poll(for: .seconds(10)) { door.failureToClose() }
            #expect(failure?.isEmpty == false)
            let count = store.takenWords.count
            gate.set(isOpen: true)
            #expect(try await poll(for: .milliseconds(500)) { store.isOpen(m1.name) ? true : nil } == nil)
            #expect(!store.takenWords.dropFirst(count).contains(true))
            gate.set(isOpen: false)
            try FileManager.default.removeItem(atPath: beside)
            let isWritten = try await poll(for: .seconds(10)) {
                try door.rules().contains("fdaa::/16  reject") ? true : nil
            }
            #expect(isWritten == true)
        }
    }

    /// While both places fail nobody is kept out, and whoever waits for it goes on waiting.
    @Test func aWordThatNobodyHasTakenIsWaitedFor() async throws {
        try await TestGround.with("gate-both") { ground in
            let door = try await Door(ground)
            defer { door.events.close() }
            let (store, gate, m1) = (door.store, door.gate, door.m1)
            gate.set(isOpen: true)
            #expect(try await poll(for: .seconds(10)) { store.isOpen(m1.name) ? true : nil } == true)
            let beside = m1.instance.layout.outside(m1.instance.layout.accessFile) + ".new"
            try FileManager.default.createDirectory(atPath: beside, withIntermediateDirectories: false)
            door.host.stop()
            gate.set(isOpen: false)
            let began = BootClock.now()
            await gate.closed(within: .milliseconds(600))
            #expect(BootClock.now() - began >= .milliseconds(500))
            try FileManager.default.removeItem(atPath: beside)
            await gate.closed(within: .seconds(10))
            #expect(try door.rules().contains("fdaa::/16  reject"))
        }
    }
}

/// A member's gate, closed, with its host.
private struct Door {
    let m1: TestMember
    let store: FakeStore
    let host: FakeHost
    let gate: GateKeeper
    let events: EventQueue

    init(_ ground: TestGround) async throws {
        m1 = try ground.member(1)
        let spec = ClusterSpec(
            name: ground.cluster, address: try IPv4Address("203.0.113.7"), volumeSize: .gibibytes(1),
            guest: MachineGuest(memoryMebibytes: 256), image: "oci:test", members: [], createdAt: 0)
        store = FakeStore(spec: spec, placements: [], secrets: ground.secrets)
        let socket = m1.instance.layout.outside(m1.instance.layout.runFolder) + "/host.sock"
        host = try FakeHost(socket, member: m1.name, store: store)
        let events = try EventQueue()
        self.events = events
        gate = try GateKeeper(
            link: StoreLink(socket: HostSocket(socket), deadline: .seconds(5)), instance: m1.instance,
            events: events, logger: Logger(label: "test"))
        try m1.configure(.standby(upstream: nil))
        try gate.start { events.isClosed }
        await gate.closed(within: .seconds(10))
    }

    func end() {
        events.close()
        host.stop()
    }

    func rules() throws -> String {
        let path = m1.instance.layout.outside(m1.instance.layout.accessFile)
        return String(decoding: try DurableFile.read(path) ?? [], as: UTF8.self)
    }

    /// What the core was told since it was asked last.
    func failureToClose() -> String? {
        for case .gateAnswered(isOpen: false, failure: let why?) in events.take(until: BootClock.now()) { return why }
        return nil
    }
}
