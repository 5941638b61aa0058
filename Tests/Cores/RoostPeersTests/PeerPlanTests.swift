import Foundation
import RoostModel
import Testing

@testable import RoostPeers

/// Who may be a peer, and what is done when some cannot.
@Suite struct PeerPlanTests {
    static let own = "own"

    static func key(_ number: UInt8) -> String {
        Data(repeating: number, count: 32).base64EncodedString()
    }

    static func peer(
        _ name: String, key: String, address: IPv6Address? = nil, machines: [IPv6Address] = []
    ) throws -> MeshPeer {
        let host = try HostName(name)
        return MeshPeer(
            host: host,
            identity: MeshIdentity(
                publicKey: key, endpoint: "198.18.1.9:51820", probePort: 51821,
                address: address ?? MeshAddress.host(host)), machines: machines)
    }

    static func plan(_ peers: [MeshPeer]...) throws -> PeerPlan {
        var plan = PeerPlan(own: try HostName(own), key: key(200))
        for peers in peers { _ = plan.replace(with: peers) }
        return plan
    }

    private static func names(_ plan: PeerPlan) -> [String] { plan.peers.map(\.host.text) }

    @Test func wrongRecordsHarmTheirOwnHostsOnly() throws {
        let good = try Self.peer("good", key: Self.key(1))
        var badEndpoint = try Self.peer("endpoint", key: Self.key(2))
        badEndpoint.identity.endpoint = "no"
        let plan = try Self.plan([
            try Self.peer("own", key: Self.key(3)), try Self.peer("a-key", key: "AAAA"),
            try Self.peer("b-key", key: "not base64!"), try Self.peer("c-key", key: Self.key(0)),
            try Self.peer("d-key", key: good.identity.publicKey), try Self.peer("e-key", key: Self.key(200)),
            // 32 bytes, but not as anybody writes them.
            try Self.peer("f-key", key: String(Self.key(4).dropLast(2)) + "F="),
            badEndpoint, try Self.peer("address", key: Self.key(5), address: MeshAddress.host(try HostName("own"))),
            good,
        ])
        // Of two newcomers with one key, the first by name; none of them was there before.
        #expect(Self.names(plan) == ["d-key"])
        #expect(Set(plan.refusals.map(\.host)).count == 8)
        let kept = try Self.plan([good], [try Self.peer("a-copy", key: good.identity.publicKey), good])
        #expect(Self.names(kept) == ["good"])
        #expect(kept.refusals.map(\.host.text) == ["a-copy"])
    }

    /// A host's address is a hash of its name: two names can lead to one.
    @Test func twoNamesWithOneAddressAreFound() throws {
        let own = try HostName(Self.own)
        let same = MeshAddress.host(try HostName("any"))
        let one = try Self.peer("one", key: Self.key(1), address: same)
        let two = try Self.peer("two", key: Self.key(2), address: same)
        let address: @Sendable (HostName) -> IPv6Address = { $0 == own ? MeshAddress.host($0) : same }
        var plan = PeerPlan(own: own, key: Self.key(200), address: address)
        _ = plan.replace(with: [one, two])
        #expect(Self.names(plan) == ["one"])
        #expect(plan.refusals.first?.why.contains("rename one of them") == true)
        // Whoever was there first stays.
        plan = PeerPlan(own: own, key: Self.key(200), address: address)
        _ = plan.take([.host(two.host, two.identity)])
        _ = plan.take([.host(one.host, one.identity)])
        #expect(Self.names(plan) == ["two"])
        // And is followed when it goes.
        _ = plan.take([.host(two.host, nil)])
        #expect(Self.names(plan) == ["one"])
        // And nobody takes this host's own.
        plan = PeerPlan(own: own, key: Self.key(200)) { _ in same }
        _ = plan.replace(with: [one, two])
        #expect(plan.peers.isEmpty)
        #expect(plan.refusals.count == 2)
    }

    @Test func anAddressStaysWithTheHostThatHasIt() throws {
        let machine = try IPv6Address("fdaa:0:7::2")
        let old = try Self.peer("old", key: Self.key(1), machines: [machine])
        let new = try Self.peer(
            "a-new", key: Self.key(2), machines: [machine, try IPv6Address("fdaa:0:0::1"), try IPv6Address("::1")])
        var plan = try Self.plan([old], [old, new])
        #expect(plan.peers.map(\.machines) == [[], [machine]])
        #expect(plan.refusals.count == 3)
        let steps = plan.take([.address(machine, on: old.host, isThere: false)])
        #expect(plan.peers.map(\.machines) == [[machine], []])
        #expect(plan.refusals.count == 2)
        #expect(
            steps.steps == [
                .set(
                    publicKey: new.identity.publicKey, isNew: false, endpoint: nil,
                    addresses: [new.identity.address, machine]),
                .set(publicKey: old.identity.publicKey, isNew: false, endpoint: nil, addresses: [old.identity.address]),
            ])
        #expect(!steps.areHostsChanged)
    }

    @Test func stepsAreAsLargeAsWhatChanged() throws {
        let one = try Self.peer("one", key: Self.key(1))
        let two = try Self.peer("two", key: Self.key(2))
        var plan = try Self.plan([one, two])
        #expect(plan.replace(with: [one, two]) == PeerSteps())
        let machine = try IPv6Address("fdaa:0:7::2")
        #expect(
            plan.take([.address(machine, on: two.host, isThere: true)]).steps == [
                .set(
                    publicKey: two.identity.publicKey, isNew: false, endpoint: nil,
                    addresses: [two.identity.address, machine])
            ])
        var elsewhere = two.identity
        elsewhere.endpoint = "198.18.1.10:51820"
        let moved = plan.take([.host(two.host, elsewhere)])
        #expect(
            moved.steps == [
                .set(publicKey: two.identity.publicKey, isNew: false, endpoint: elsewhere.endpoint, addresses: nil)
            ])
        #expect(moved.areHostsChanged)
        var renewed = one.identity
        renewed.publicKey = Self.key(3)
        #expect(
            plan.take([.host(one.host, renewed)]).steps == [
                .remove(publicKey: one.identity.publicKey),
                .set(
                    publicKey: renewed.publicKey, isNew: true, endpoint: renewed.endpoint,
                    addresses: [renewed.address]),
            ])
        #expect(plan.replace(with: []).steps.count == 2)
        #expect(plan.peers.isEmpty && plan.wanted.isEmpty && plan.refusals.isEmpty)
    }

    /// Two hundred hosts with a hundred machines each: what one change looks at is as large as one host.
    @Test func workIsInProportionToTheChange() throws {
        let machines = 100
        let peers = try (0..<200).map { host in
            try Self.peer(
                "host\(host)", key: Data([UInt8(host)] + Array(repeating: 9, count: 31)).base64EncodedString(),
                machines: (0..<machines).map {
                    IPv6Address(high: 0xfdaa_0000_0007_0000, low: UInt64(host) << 32 | UInt64($0) << 16 | 2)
                })
        }
        var plan = try Self.plan(peers)
        #expect(plan.peers.count == peers.count && plan.refusals.isEmpty)
        let address = peers[7].machines[3]
        for changes: [PeerChange] in [
            [.address(address, on: peers[7].host, isThere: false)],
            [.address(address, on: peers[8].host, isThere: true)],
            [.host(peers[9].host, nil)], [.host(peers[9].host, peers[9].identity)],
        ] {
            let before = plan.work
            let steps = plan.take(changes)
            #expect(steps.steps.count == 1)
            #expect(plan.work - before <= 2 * machines + 4, "\(changes)")
        }
    }
}
