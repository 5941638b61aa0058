import RoostModel
import RoostPeers
import RoostPlanet
import RoostRecords
import RoostStore
import Testing

@testable import RoostHost

@Suite struct PeerTableTests {
    @Test("Peers follow the hosts and machines that changed, and seeds stay until they are published") func changes()
        throws
    {
        let neighbour = try PublisherTests().neighbour([.smallRecords])
        let seed = HostConfiguration.Seed(
            host: neighbour.host, publicKey: "seed", endpoint: "198.18.0.2:1", probePort: 2)
        var table = PeerTable(host: try HostName("ams1"), seeds: [seed])
        var planet = Planet()
        let nothing = table.take([.all], from: planet)
        #expect(nothing.isEmpty)
        #expect(table.peers.map(\.identity) == [seed.identity])
        planet.put(neighbour)
        let published = table.take([.host(neighbour.host)], from: planet)
        #expect(published == [.host(neighbour.host, neighbour.mesh)])
        #expect(table.peers.map(\.identity) == [neighbour.mesh])
        let again = table.take([.host(neighbour.host)], from: planet)
        #expect(again.isEmpty)
        let gone = table.take([.all], from: Planet())
        #expect(gone == [.host(neighbour.host, seed.identity)])
        #expect(table.peers.map(\.identity) == [seed.identity])
    }

    private struct Claims {
        let hosts: [HostRecord]
        var published: Set<HostName> = []
        var planet = Planet()
        var revision: Int64 = 1

        /// - Returns: what changed by it.
        mutating func change(_ random: inout SplitMix64) throws -> Set<PlanetChange> {
            revision += 1
            let host = hosts[Int.random(in: 0..<hosts.count, using: &random)]
            if Int.random(in: 0..<5, using: &random) == 0 {
                if published.remove(host.host) != nil { return apply(.delete(key: StoreKeys.host(host.host))) }
                published.insert(host.host)
                return try put(host, StoreKeys.host(host.host))
            }
            let id = try MachineID("0000000000000\(Int.random(in: 1...6, using: &random))")
            let key = StoreKeys.machine(id, on: host.host)
            if Bool.random(using: &random) { return apply(.delete(key: key)) }
            let machine = MachineRecord(
                id: id, name: "m", app: try AppName("shop"), region: host.region,
                state: Bool.random(using: &random) ? .started : .stopped, instance: "1",
                config: MachineConfig(image: "redis:7", guest: .init(cpus: 1, memoryMebibytes: 64)),
                network: NetworkNumber(7), createdAt: 1, updatedAt: revision)
            return try put(machine, key)
        }

        private mutating func put(_ record: some Encodable, _ key: String) throws -> Set<PlanetChange> {
            let entry = Entry(
                key: key, value: try RecordCodec.write(record), created: Revision(1), modified: Revision(revision))
            return apply(.put(entry))
        }

        private mutating func apply(_ change: WatchEvent.Change) -> Set<PlanetChange> {
            planet.apply(.changes([change], revision: Revision(revision)), of: .hosts).changes
        }
    }

    @Test(
        "Change by change the table says what a look at the whole planet says, and its changes lead there",
        arguments: 0..<50 as Range<UInt64>)
    func seeds(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let hosts = try ["ams1", "lhr1", "sin1"].map { name in
            var host = try PublisherTests().neighbour([.smallRecords])
            host.host = try HostName(name)
            host.mesh.address = MeshAddress.host(host.host)
            host.layout = .small
            return host
        }
        let own = hosts[0].host
        var claims = Claims(hosts: hosts)
        var table = PeerTable(host: own, seeds: [])
        var identities: [HostName: MeshIdentity] = [:]
        var addresses: [HostName: Set<IPv6Address>] = [:]
        for turn in 0..<60 {
            var changes: Set<PlanetChange> = []
            for _ in 0..<Int.random(in: 1...3, using: &random) { changes.formUnion(try claims.change(&random)) }
            for change in table.take(changes, from: claims.planet) {
                switch change {
                case .host(let host, let identity): identities[host] = identity
                case .address(let address, let host, true): addresses[host, default: []].insert(address)
                case .address(let address, let host, false): addresses[host]?.remove(address)
                }
            }
            let planet = claims.planet
            let whole = planet.hosts.values.filter { $0.host != own }.map { host in
                let machines = host.machines.filter { planet.host(of: $0.id) == host.host }
                return MeshPeer(host: host.host, identity: host.mesh, machines: machines.map(\.address).sorted())
            }.sorted { $0.host < $1.host }
            let told = identities.map {
                MeshPeer(host: $0, identity: $1, machines: addresses[$0, default: []].sorted())
            }.sorted { $0.host < $1.host }
            #expect(table.peers == whole, "seed \(seed), turn \(turn)")
            #expect(told == whole, "seed \(seed), turn \(turn)")
        }
    }
}
