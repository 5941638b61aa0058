import Foundation
import RoostCrypto
import RoostLinux
import RoostModel
import RoostPeers
import Testing

@testable import RoostMesh

/// What the device is told of its peers.
@Suite(.serialized, .timeLimit(.minutes(5))) struct PeerChangesTests {
    private static func key() -> String {
        AgreementKey().publicText
    }

    private static func peer(
        _ name: String, key: String = PeerChangesTests.key(), address: IPv6Address? = nil, machines: [IPv6Address] = []
    ) throws -> MeshPeer {
        let host = try HostName(name)
        return MeshPeer(
            host: host,
            identity: MeshIdentity(
                publicKey: key, endpoint: "198.18.1.9:51820", probePort: 51821,
                address: address ?? MeshAddress.host(host)), machines: machines)
    }

    @Test func argumentsAreThoseOfWhatChanged() throws {
        let one = try Self.peer("one")
        let two = try Self.peer("two")
        let machine = try IPv6Address("fdaa:0:7::2")
        #expect(PeerChanges([]).arguments.isEmpty)
        let changes = PeerChanges([
            .remove(publicKey: one.identity.publicKey),
            .set(
                publicKey: two.identity.publicKey, isNew: true, endpoint: two.identity.endpoint,
                addresses: [two.identity.address, machine]),
            .set(publicKey: two.identity.publicKey, isNew: false, endpoint: "198.18.1.8:51820", addresses: nil),
            .set(publicKey: two.identity.publicKey, isNew: false, endpoint: nil, addresses: [two.identity.address]),
        ])
        #expect(
            changes.arguments == [
                ["peer", one.identity.publicKey, "remove"],
                [
                    "peer", two.identity.publicKey, "endpoint", two.identity.endpoint, "persistent-keepalive", "25",
                    "allowed-ips", "\(two.identity.address)/128,\(machine)/128",
                ],
                ["peer", two.identity.publicKey, "endpoint", "198.18.1.8:51820"],
                ["peer", two.identity.publicKey, "allowed-ips", "\(two.identity.address)/128"],
            ])
    }

    /// On real devices: change by change one comes to have what the other is told whole, also after somebody else has
    /// changed its peers, and nothing is asked of a device that is known.
    @Test func changesLeadWhereTheWholeDoes() async throws {
        try await MeshPlanet.with(hosts: 2) { planet in
            let host = planet.hosts[0]
            let machines = try (2...5).map { try IPv6Address("fdaa:0:7::\($0)") }
            var one = planet.hosts[1].peer(machines: Array(machines.prefix(3)))
            let two = try Self.peer("two", machines: [machines[3]])
            try await host.mesh.setPeers([one, two])
            let known = try await Self.dump(of: host, in: planet)
            #expect(known == Self.lines([one, two]))
            let renewed = MeshIdentity(
                publicKey: Self.key(), endpoint: "198.18.1.10:51820", probePort: 51821, address: two.identity.address)
            try await host.mesh.changePeers([
                .address(machines[0], on: one.host, isThere: false),
                .address(machines[0], on: two.host, isThere: true), .host(two.host, renewed),
            ])
            one.machines = Array(machines[1...2])
            let after = MeshPeer(host: two.host, identity: renewed, machines: [machines[0], machines[3]])
            #expect(try await Self.dump(of: host, in: planet) == Self.lines([one, after]))
            // Somebody else's work is found and undone.
            let interface = host.configuration.interface
            try await planet.run(host.namespace, "wg", "set", interface, "peer", renewed.publicKey, "remove")
            try await planet.run(
                host.namespace, "wg", "set", interface, "peer", one.identity.publicKey, "allowed-ips", "")
            try await host.mesh.reconcile()
            #expect(try await Self.dump(of: host, in: planet) == Self.lines([one, after]))
            try await host.mesh.changePeers([.host(two.host, nil)])
            #expect(try await Self.dump(of: host, in: planet) == Self.lines([one]))
            #expect(try await MeshPlanet.reaches(from: host.networkPath, to: planet.hosts[1].address))
        }
    }

    private static func lines(_ peers: [MeshPeer]) -> Set<String> {
        Set(
            peers.map { peer in
                let addresses = ([peer.identity.address] + peer.machines).map { "\($0)/128" }
                return ([peer.identity.publicKey] + addresses.sorted()).joined(separator: " ")
            })
    }

    private static func dump(of host: MeshPlanet.Host, in planet: MeshPlanet) async throws -> Set<String> {
        let text = try await planet.run(
            host.namespace, "wg", "show", host.configuration.interface, "allowed-ips")
        return Set(
            text.split(separator: "\n").map { line in
                let words = line.split { " \t".contains($0) }.map(String.init)
                return (words.prefix(1) + words.dropFirst().sorted()).joined(separator: " ")
            })
    }

    /// On a real device: a wrong key among the peers keeps nobody else out.
    @Test func aWrongKeyKeepsNobodyElseOut() async throws {
        try await MeshPlanet.with(hosts: 2) { planet in
            let host = planet.hosts[0]
            let others = [planet.hosts[1].peer(), try Self.peer("fine"), try Self.peer("wrong", key: "none")]
            try await host.mesh.setPeers(others)
            let text = try await planet.run(
                host.namespace, "wg", "show", host.configuration.interface, "peers")
            #expect(
                Set(text.split(separator: "\n").map(String.init)) == Set(others.prefix(2).map(\.identity.publicKey)))
        }
    }

    /// Peers that could not be set are not taken for set.
    @Test func peersOfALostInterfaceAreAnError() async throws {
        try await MeshPlanet.with(hosts: 2) { planet in
            let host = planet.hosts[0]
            let machine = try IPv6Address("fdaa:0:7::2")
            let peer = planet.hosts[1].peer(machines: [machine])
            try await MeshRestartTests.killInterface(of: host, in: planet)
            // The second time nobody knows what the device has.
            for _ in 0..<2 {
                await #expect(throws: MeshError.self) { try await host.mesh.setPeers([peer]) }
            }
            _ = try await host.mesh.start()
            let allowed = try await planet.run(
                host.namespace, "wg", "show", host.configuration.interface, "allowed-ips")
            #expect(allowed.contains("\(machine)/128"))
            #expect(try await MeshPlanet.reaches(from: host.networkPath, to: planet.hosts[1].address))
        }
    }
}
