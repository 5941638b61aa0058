import Crypto
import Foundation
import RoostLinux
import RoostModel
import Testing

@testable import RoostMesh

/// Who may be a peer, and what is done when some cannot.
@Suite(.serialized, .timeLimit(.minutes(5))) struct PeerPlanTests {
    private static func key() -> String {
        Curve25519.KeyAgreement.PrivateKey().publicKey.rawRepresentation.base64EncodedString()
    }

    private static func peer(
        _ name: String, key: String = PeerPlanTests.key(), address: IPv6Address? = nil, machines: [IPv6Address] = []
    ) throws -> MeshPeer {
        let host = try HostName(name)
        return MeshPeer(
            host: host,
            identity: MeshIdentity(
                publicKey: key, endpoint: "198.18.1.9:51820", probePort: 51821,
                address: address ?? MeshAddress.host(host)), machines: machines)
    }

    private static func plan(_ peers: [MeshPeer], before: [HostName: MeshPeer] = [:]) throws -> PeerPlan {
        PeerPlan(peers, for: try HostName("own"), key: "own", before: before)
    }

    @Test func wrongRecordsHarmTheirOwnHostsOnly() throws {
        let good = try Self.peer("good")
        var badEndpoint = try Self.peer("endpoint")
        badEndpoint.identity.endpoint = "no"
        let plan = try Self.plan([
            try Self.peer("own"), try Self.peer("a-key", key: "AAAA"), try Self.peer("b-key", key: "not base64!"),
            try Self.peer("c-key", key: Data(count: 32).base64EncodedString()),
            try Self.peer("d-key", key: good.identity.publicKey), try Self.peer("e-key", key: "own"),
            badEndpoint, try Self.peer("address", address: MeshAddress.host(try HostName("own"))), good,
        ])
        // Of two newcomers with one key, the first by name; none of them was there before.
        #expect(Set(plan.accepted.keys.map(\.text)) == ["d-key"])
        let kept = try Self.plan(
            [try Self.peer("a-copy", key: good.identity.publicKey), good], before: [good.host: good])
        #expect(kept.accepted.keys.map(\.text) == ["good"])
        #expect(kept.refusals.map(\.host.text) == ["a-copy"])
        #expect(plan.refusals.count == 7)
    }

    /// A host's address is a hash of its name: two names can lead to one.
    @Test func twoNamesWithOneAddressAreFound() throws {
        let same = MeshAddress.host(try HostName("any"))
        let peers = [try Self.peer("one", address: same), try Self.peer("two", address: same)]
        let own = try HostName("own")
        func address(_ host: HostName) -> IPv6Address { host == own ? MeshAddress.host(host) : same }
        var plan = PeerPlan(peers, for: own, key: "own", before: [:], address: address)
        #expect(plan.accepted.keys.map(\.text) == ["one"])
        #expect(plan.refusals.first?.why.contains("rename one of them") == true)
        // Whoever was there first stays.
        plan = PeerPlan(peers, for: own, key: "own", before: [peers[1].host: peers[1]], address: address)
        #expect(plan.accepted.keys.map(\.text) == ["two"])
        // And nobody takes this host's own.
        plan = PeerPlan(peers, for: own, key: "own", before: [:]) { _ in same }
        #expect(plan.accepted.isEmpty)
        #expect(plan.refusals.count == 2)
    }

    @Test func anAddressStaysWithTheHostThatHasIt() throws {
        let machine = try IPv6Address("fdaa:0:7::2")
        var old = try Self.peer("old", machines: [machine])
        let new = try Self.peer("a-new", machines: [machine, try IPv6Address("fdaa:0:0::1"), try IPv6Address("::1")])
        let before = try Self.plan([old]).accepted
        var plan = try Self.plan([old, new], before: before)
        #expect(plan.accepted[old.host]?.machines == [machine])
        #expect(plan.accepted[new.host]?.machines == [])
        #expect(plan.refusals.count == 3)
        old.machines = []
        plan = try Self.plan([old, new], before: plan.accepted)
        #expect(plan.accepted[new.host]?.machines == [machine])
        #expect(plan.refusals.count == 2)
    }

    @Test func changesAreAsLargeAsWhatChanged() throws {
        let one = try Self.peer("one")
        var two = try Self.peer("two")
        let machine = try IPv6Address("fdaa:0:7::2")
        let old = [one.host: one, two.host: two]
        #expect(PeerChanges(from: old, to: old).arguments.isEmpty)
        two.machines = [machine]
        #expect(
            PeerChanges(from: old, to: [one.host: one, two.host: two]).arguments == [
                ["peer", two.identity.publicKey, "allowed-ips", "\(two.identity.address)/128,\(machine)/128"]
            ])
        #expect(
            PeerChanges(from: old, to: [one.host: one]).arguments == [["peer", two.identity.publicKey, "remove"]])
        var renewed = one
        renewed.identity.publicKey = Self.key()
        let changes = PeerChanges(from: [one.host: one], to: [one.host: renewed]).arguments
        #expect(changes.first == ["peer", one.identity.publicKey, "remove"])
        #expect(changes.last?.prefix(2) == ["peer", renewed.identity.publicKey])
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
