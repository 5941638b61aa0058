import RoostModel
import Testing

@testable import RoostPeers

/// Change by change, the plan and the device come to what a look at everything says.
@Suite struct PeerPlanSeedsTests {
    private static let names = ["own", "ams1", "ams2", "fra1", "iad1", "iad2", "sin1"]

    /// Two of the names lead to one address, and one to this host's own.
    private static let address: @Sendable (HostName) -> IPv6Address = { host in
        let twin = ["iad2": "iad1", "sin1": "own"][host.text] ?? host.text
        return (try? HostName(twin)).map(MeshAddress.host) ?? MeshAddress.host(host)
    }

    private static func identity(
        of host: HostName, _ random: inout SplitMix64
    ) -> MeshIdentity {
        let isWrong = Int.random(in: 0..<12, using: &random)
        return MeshIdentity(
            // Few keys, so that hosts often have the same one; two of them nobody may have.
            publicKey: PeerPlanTests.key([0, 1, 2, 3, 4, 5, 6, 200].randomElement(using: &random) ?? 1),
            endpoint: isWrong == 0 ? "nowhere" : "198.18.1.\(Int.random(in: 1...3, using: &random)):51820",
            probePort: 51821, address: isWrong == 1 ? IPv6Address(high: 1, low: 1) : address(host))
    }

    private static let machines: [IPv6Address] =
        (1...8).map { IPv6Address(high: 0xfdaa_0000_0007_0000, low: UInt64($0)) }
        + [IPv6Address(high: 0xfdaa << 48, low: 9)]

    @Test(arguments: 0..<100 as Range<UInt64>) func anySequenceEndsWhereTheWholeTableDoes(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let hosts = try Self.names.map { try HostName($0) }
        var wanted: [HostName: MeshPeer] = [:]
        var claims: [HostName: Set<IPv6Address>] = [:]
        var plan = PeerPlan(own: hosts[0], key: PeerPlanTests.key(200), address: Self.address)
        var before: [HostName: MeshPeer] = [:]
        var device = ModelDevice()
        for turn in 0..<60 {
            var changes: [PeerChange] = []
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let host = hosts[Int.random(in: 0..<hosts.count, using: &random)]
                switch Int.random(in: 0..<6, using: &random) {
                case 0:
                    wanted[host] = nil
                    changes.append(.host(host, nil))
                case 1, 2:
                    let identity = Self.identity(of: host, &random)
                    wanted[host] = MeshPeer(host: host, identity: identity, machines: [])
                    changes.append(.host(host, identity))
                default:
                    let address = Self.machines[Int.random(in: 0..<Self.machines.count, using: &random)]
                    let isThere = Bool.random(using: &random)
                    if isThere {
                        claims[host, default: []].insert(address)
                    } else {
                        claims[host]?.remove(address)
                    }
                    changes.append(.address(address, on: host, isThere: isThere))
                }
            }
            let whole = wanted.values.map {
                MeshPeer(host: $0.host, identity: $0.identity, machines: claims[$0.host, default: []].sorted())
            }
            let isWhole = Int.random(in: 0..<10, using: &random) == 0
            if isWhole { for host in hosts where wanted[host] == nil { claims[host] = nil } }
            let steps = isWhole ? plan.replace(with: whole) : plan.take(changes)
            let oracle = WholePeerPlan(
                whole, for: hosts[0], key: PeerPlanTests.key(200), before: before, address: Self.address)
            before = oracle.accepted
            let text = "seed \(seed), turn \(turn): \(changes)"
            #expect(Dictionary(uniqueKeysWithValues: plan.peers.map { ($0.host, $0) }) == before, "\(text)")
            #expect(Set(plan.refusals.map(\.host)) == Set(oracle.refused), "\(text)")
            for step in steps.steps {
                let isDone = device.carryOut(step)
                #expect(isDone, "\(text): \(step)")
            }
            #expect(device == ModelDevice(before.values), "\(text)")
            #expect(Set(plan.wanted) == Set(whole.filter { $0.host != hosts[0] }), "\(text)")
        }
    }
}
