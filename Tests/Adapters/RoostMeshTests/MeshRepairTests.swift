import RoostLinux
import RoostModel
import RoostPeers
import Synchronization
import Testing

@testable import RoostMesh

/// A repair that fails is taken up again at the next round, on real devices.
@Suite(.serialized, .timeLimit(.minutes(5))) struct MeshRepairTests {
    /// A real interface whose next work of a kind fails once, after so much of it was done as is said.
    private final class FailingDevice: PeerDevice {
        enum Fault: Hashable { case beforeApplying, afterBringingUp }

        private let device: WireGuardDevice
        private let next = Mutex<Fault?>(nil)

        init(_ configuration: MeshConfiguration) { device = WireGuardDevice(configuration: configuration) }

        func fail(_ fault: Fault) { next.withLock { $0 = fault } }

        private func pass(_ fault: Fault) throws(MeshError) {
            let isNow = next.withLock { next in
                guard next == fault else { return false }
                next = nil
                return true
            }
            if isNow { throw MeshError(operation: "try", subject: "\(fault)", cause: "this test") }
        }

        func bringUp() async throws(MeshError) {
            try await device.bringUp()
            try pass(.afterBringingUp)
        }

        func apply(_ changes: PeerChanges) async throws(MeshError) {
            try pass(.beforeApplying)
            try await device.apply(changes)
        }

        func state() async throws(MeshError) -> WireGuardState? { try await device.state() }
        func forwardsForOthers() throws(MeshError) -> Bool { try device.forwardsForOthers() }
        func isThere() -> Bool { device.isThere() }
        func remove() async throws(MeshError) { try await device.remove() }
    }

    /// The first host's mesh on a device that fails as told, with the second for its peer.
    private static func with(
        _ body: (WireGuardMesh, FailingDevice, MeshPlanet) async throws -> Void
    ) async throws {
        try await MeshPlanet.with(hosts: 2) { planet in
            let device = FailingDevice(planet.hosts[0].configuration)
            let mesh = WireGuardMesh(configuration: planet.hosts[0].configuration, device: device)
            _ = try await mesh.start()
            try await mesh.setPeers([planet.hosts[1].peer()])
            try await body(mesh, device, planet)
        }
    }

    private static func keys(_ device: FailingDevice) async throws -> [String] {
        try #require(try await device.state()).peers.map(\.publicKey)
    }

    /// The interface is made anew, and then its peers cannot be set, or it comes to no address: it is there from then on.
    @Test(arguments: [true, false]) func whatAFailedStartHasLeftIsMade(isThereWhole: Bool) async throws {
        try await Self.with { mesh, device, planet in
            try await MeshRestartTests.killInterface(of: planet.hosts[0], in: planet)
            device.fail(isThereWhole ? .beforeApplying : .afterBringingUp)
            await #expect(throws: MeshError.self) { try await mesh.repair(round: 1) }
            #expect(try await Self.keys(device) == [])
            try await mesh.repair(round: 2)
            #expect(try await Self.keys(device) == [planet.hosts[1].identity.publicKey])
            #expect(
                try await MeshPlanet.reaches(from: planet.hosts[0].networkPath, to: planet.hosts[1].address))
        }
    }

    /// What somebody else has changed is found, and cannot be put right at once.
    @Test func whatAFailedReconciliationHasLeftIsPutRight() async throws {
        try await Self.with { mesh, device, planet in
            let key = planet.hosts[1].identity.publicKey
            try await planet.run(
                planet.hosts[0].namespace, "wg", "set", planet.hosts[0].configuration.interface, "peer", key, "remove")
            device.fail(.beforeApplying)
            await #expect(throws: MeshError.self) { try await mesh.reconcile() }
            #expect(try await Self.keys(device) == [])
            try await mesh.repair(round: 1)
            #expect(try await Self.keys(device) == [key])
        }
    }

    /// Before anybody has said who the peers are, the seeds are; those of a process before us stay.
    @Test func seedsAreSetAgainToo() async throws {
        try await MeshPlanet.with(hosts: 3) { planet in
            var configuration = planet.hosts[0].configuration
            configuration.seeds = [planet.hosts[1].peer()]
            let device = FailingDevice(configuration)
            let mesh = WireGuardMesh(configuration: configuration, device: device)
            _ = try await mesh.start()
            try await planet.run(
                planet.hosts[0].namespace, "wg", "set", configuration.interface, "peer",
                planet.hosts[1].identity.publicKey, "remove")
            device.fail(.beforeApplying)
            await #expect(throws: MeshError.self) { try await mesh.reconcile() }
            try await mesh.repair(round: 1)
            #expect(Set(try await Self.keys(device)) == Set(planet.hosts[1...].map(\.identity.publicKey)))
        }
    }
}
