import Foundation
import RoostModel
import RoostRecords
import RoostStore
import Testing

@testable import RoostPlanet

@Suite struct PlanetTests {
    @Test("A store of any version is read whole", arguments: ["first", "second", "third", "seventh"]) func versions(
        _ folder: String
    ) throws {
        var planet = Planet()
        let update = planet.apply(StoredRecords.listing(try StoredRecords.store(of: folder)))
        #expect(update.unreadable.isEmpty)
        let shop = try AppName("shop")
        let machine = try #require(planet.machines(of: shop).first)
        #expect(planet.host(of: machine.id) == (try HostName("ams-1")))
        #expect(planet.volumes(of: shop).map(\.attachedMachine) == [machine.id])
        let cluster = try #require(planet.clusters[shop])
        #expect(cluster.spec != nil && cluster.rule != nil && cluster.heartbeat != nil && cluster.secrets != nil)
        #expect(cluster.placements.count == 1 && cluster.reports.count == 1 && cluster.obstacle != nil)
    }

    @Test(
        "A store of a newer version is read, and its unknown words are kept",
        arguments: ["first", "second", "third", "seventh"])
    func future(_ folder: String) throws {
        let entries = try StoredRecords.store(of: folder).map { entry in
            var text = String(decoding: entry.value, as: UTF8.self)
            text = text.replacing("\"started\"", with: "\"hibernated\"")
                .replacing("\"leader_silent\"", with: "\"leader_slow\"")
                .replacing("\"running\"", with: "\"verifying\"")
            text = text.replacing("{", with: "{\"x_future\":\"1\",", maxReplacements: 1)
            return StoredRecords.raw(entry.key, Array(text.utf8))
        }
        var planet = Planet()
        let update = planet.apply(StoredRecords.listing(entries))
        #expect(update.unreadable.isEmpty)
        let shop = try AppName("shop")
        #expect(planet.machines(of: shop).map(\.state) == [.unknown("hibernated")])
        #expect(planet.clusters[shop]?.rule?.recruitment?.reason == .unknown("leader_slow"))
        #expect(planet.clusters[shop]?.reports.values.map(\.state) == [.unknown("verifying")])
    }

    @Test(
        "Clusters are found by a member's machine and host, whatever came, went, was moved or cannot be read",
        arguments: 0..<20 as Range<UInt64>)
    func seats(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let names = try ["one", "two"].map { try AppName($0) }
        let members = try ["db-1", "db-2", "db-3"].map { try MemberName($0) }
        let hosts = try ["ams-1", "ams-2"].map { try HostName($0) }
        let machines = try (1...4).map { try MachineID("0000000000000\($0)") }
        let (region, volume) = (try RegionCode("ams"), try VolumeID("vol_0123456789abcdef"))
        func entry() throws -> Entry {
            let machine = machines[Int.random(in: 0..<4, using: &random)]
            let member = members[Int.random(in: 0..<3, using: &random)]
            let placement = MemberPlacement(
                member: member, host: hosts[Int.random(in: 0..<2, using: &random)], region: region, machine: machine,
                volume: volume, address: MeshAddress.machine(machine, in: NetworkNumber(7)))
            let key = StoreKeys.placement(names[Int.random(in: 0..<2, using: &random)], member)
            return Int.random(in: 0..<5, using: &random) == 0
                ? StoredRecords.raw(key, Array("[]".utf8)) : try StoredRecords.entry(key, placement)
        }
        var planet = Planet()
        for revision in 1...60 as ClosedRange<Int64> {
            let name = names[Int.random(in: 0..<2, using: &random)]
            switch Int.random(in: 0..<12, using: &random) {
            case 0: planet.apply(StoredRecords.listing([try entry(), try entry()]))
            case 1: planet.apply(StoredRecords.listing([try entry()]), of: .clusters)
            case 2: planet.apply(.listing(Listing(entries: [], revision: Revision(revision))), of: .cluster(name))
            case 3: planet.forget(.clusters, but: [.cluster(name)])
            case 4...6: planet.apply(.changes([.delete(key: try entry().key)], revision: Revision(revision)))
            default: planet.apply(.changes([.put(try entry())], revision: Revision(revision)))
            }
            func placed(_ isWanted: (MemberPlacement) -> Bool) -> Set<AppName> {
                Set(planet.clusters.filter { $0.value.placements.values.contains(where: isWanted) }.keys)
            }
            for host in hosts { #expect(planet.clusters(placedOn: host) == placed { $0.host == host }) }
            for machine in machines {
                #expect(planet.clusters(placedIn: machine) == placed { $0.machine == machine })
            }
            let count = planet.clusters.values.reduce(0) { $0 + $1.placements.count }
            #expect(planet.seats.byHost.values.reduce(0) { $0 + $1.values.reduce(0, +) } == count)
        }
    }

    @Test("One machine's change is one change") func one() throws {
        let host = try StoredRecords.host(named: "ams-2", machines: 3, layout: .small)
        var planet = Planet()
        planet.apply(StoredRecords.listing(try StoredRecords.entries(of: host)))
        var machine = host.machines[1]
        machine.state = .stopped
        let update = planet.apply(
            .changes(
                [
                    .put(try StoredRecords.entry(StoreKeys.generation(host.host), Generation(99))),
                    .put(try StoredRecords.entry(StoreKeys.machine(machine.id, on: host.host), machine)),
                ], revision: Revision(10)))
        #expect(update.changes == [.machine(machine.id, on: host.host)])
        #expect(planet.machine(machine.id)?.state == .stopped)
        #expect(planet.hosts[host.host]?.machines.count == 3)
        #expect(planet.hosts[host.host]?.generation == Generation(99))
        planet.apply(
            .changes([.delete(key: StoreKeys.machine(machine.id, on: host.host))], revision: Revision(11)))
        #expect(planet.machine(machine.id) == nil)
        #expect(planet.machines(of: machine.app).count == 2)
    }

    @Test("What machines of an app have in common is kept once") func shared() throws {
        var host = try StoredRecords.host(named: "ams-7", machines: 3, layout: .small)
        let environment = ["A_SETTING": "a value that is too long to be kept in place"]
        for index in host.machines.indices { host.machines[index].config.environment = environment }
        host.machines[1].config.environment["OTHER"] = "1"
        var planet = Planet()
        for entry in try StoredRecords.entries(of: host) {
            planet.apply(.changes([.put(entry)], revision: entry.modified))
        }
        let kept = try host.machines.map { try #require(planet.machine($0.id)).config.environment }
        #expect(kept == host.machines.map(\.config.environment))
        let places = kept.map { unsafeBitCast($0, to: UInt.self) }
        #expect(places[0] == places[2] && places[0] != places[1])
    }

    @Test("A host that splits its record, and one that joins it again, has all of its machines at every moment")
    func layouts() throws {
        var host = try StoredRecords.host(named: "ams-2", machines: 3, layout: .whole)
        host.volumes = []
        var planet = Planet()
        func heard(_ change: WatchEvent.Change) throws {
            planet.apply(.changes([change], revision: Revision(10)))
            #expect(planet.hosts[host.host]?.machines == host.machines)
            #expect(host.machines.allSatisfy { planet.host(of: $0.id) == host.host })
        }
        try heard(.put(try StoredRecords.entry(StoreKeys.host(host.host), host)))
        host.layout = .small
        for machine in host.machines {
            try heard(.put(try StoredRecords.entry(StoreKeys.machine(machine.id, on: host.host), machine)))
        }
        try heard(.put(try StoredRecords.entry(StoreKeys.host(host.host), host)))
        host.layout = .whole
        try heard(.put(try StoredRecords.entry(StoreKeys.host(host.host), host)))
        for machine in host.machines { try heard(.delete(key: StoreKeys.machine(machine.id, on: host.host))) }
    }

    @Test("What cannot be read changes nothing and is marked", arguments: [true, false]) func unreadable(_ lists: Bool)
        throws
    {
        let entries = try StoredRecords.store(of: "second")
        var planet = Planet()
        planet.apply(StoredRecords.listing(entries))
        let before = planet
        for entry in entries {
            let broken = StoredRecords.raw(entry.key, Array("{\"new\": true}".utf8), at: 6)
            let update =
                lists
                ? planet.apply(StoredRecords.listing(entries.filter { $0.key != entry.key } + [broken]))
                : planet.apply(.changes([.put(broken)], revision: Revision(6)))
            #expect(Array(update.unreadable.keys) == [entry.key])
            #expect(planet.unreadable == [entry.key])
            #expect(planet.hosts == before.hosts)
            #expect(planet.apps == before.apps && planet.addresses == before.addresses)
            // Of a spec is known that it is there.
            var clusters = before.clusters
            if case .cluster(let name, .spec) = StoreKey(entry.key) { clusters[name]?.specStored = 6 }
            #expect(planet.clusters == clusters, "\(entry.key)")
            planet = before
        }
    }

    @Test("A host cannot speak for another one, nor take its machine's traffic") func impostor() throws {
        let own = try StoredRecords.host(named: "ams-2", machines: 1, layout: .whole)
        var planet = Planet()
        planet.apply(StoredRecords.listing(try StoredRecords.entries(of: own)))
        // Under its own key, with another host's name.
        let thief = try HostName("lhr-1")
        let refused = planet.apply(
            .changes([.put(try StoredRecords.entry(StoreKeys.host(thief), own))], revision: Revision(10)))
        #expect(!refused.unreadable.isEmpty)
        #expect(planet.hosts.keys.map(\.text) == ["ams-2"])
        // With the other's machine.
        var claim = try StoredRecords.host(named: "lhr-1", machines: 0, layout: .whole)
        claim.machines = own.machines
        planet.apply(.changes([.put(try StoredRecords.entry(StoreKeys.host(thief), claim))], revision: Revision(11)))
        #expect(planet.host(of: own.machines[0].id) == own.host)
        for machine in own.machines { #expect(planet.host(of: machine.id) == own.host) }
        // When the first one gives it up, the other has it.
        planet.apply(.changes([.delete(key: StoreKeys.host(own.host))], revision: Revision(12)))
        #expect(planet.host(of: own.machines[0].id) == thief)
    }

    @Test("Sizes that would overflow a sum harm only the host that says them") func sizes() throws {
        let good = try StoredRecords.host(named: "ams-2", machines: 1, layout: .whole)
        var bad = try StoredRecords.host(named: "lhr-1", machines: 2, layout: .whole)
        bad.machines[0].config.guest.memoryMebibytes = .max
        var planet = Planet()
        let update = planet.apply(
            StoredRecords.listing(try StoredRecords.entries(of: good) + StoredRecords.entries(of: bad)))
        #expect(update.unreadable.count == 1)
        #expect(planet.hosts[bad.host]?.machines.map(\.id) == [bad.machines[1].id])
        #expect(planet.hosts[good.host]?.machines.count == 1)
    }
}

@Suite struct PlanetFeedTests {
    @Test("A slow listener gets everything that it wants, once") func merged() async throws {
        let feed = PlanetFeed()
        let shop = try AppName("shop")
        let changes = feed.subscribe { $0.concerns(cluster: shop) }
        feed.send([.cluster(shop, .rule), .app(shop)])
        feed.send([.cluster(shop, .heartbeat)])
        feed.send([.app(shop)])
        var iterator = changes.makeAsyncIterator()
        let first = await iterator.next()
        #expect(first == [.cluster(shop, .rule), .cluster(shop, .heartbeat)])
        feed.send([.app(shop)])
        feed.send([.all])
        let told1 = await iterator.next()
        #expect(told1 == [.all])
    }

    @Test("More changes than are kept one by one are all") func bounded() async throws {
        let feed = PlanetFeed()
        let changes = feed.subscribe()
        for index in 0...PlanetFeed.changesMax { feed.send([.address("\(index)")]) }
        var iterator = changes.makeAsyncIterator()
        let told2 = await iterator.next()
        #expect(told2 == [.all])
    }
}
