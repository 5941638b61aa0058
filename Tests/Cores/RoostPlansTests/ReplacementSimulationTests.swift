import RoostModel
import RoostPlacement
import Testing

@testable import RoostPlans

/// A planet whose hosts go and come back, are full for a while, and make nothing for a while; clusters whose leaders carry out
/// what is asked for, with readers; and whoever replaces who is lost, second by second. Between asking for a place and getting one there is
/// a second, in which the hosts may be other ones.
@Suite("Hosts that go and come back") struct ReplacementSimulationTests {
    private static let term = Duration.seconds(120)
    /// Fewer than on a planet, so that there is somebody who has to wait.
    private static let underWayMax = 2

    private struct Host {
        var region: RegionCode
        var isUp = true
        var isGoneForGood = false
        /// By others.
        var isFull = false
        /// Nothing that is placed there comes up.
        var isBarren = false
    }

    private struct Cluster {
        var spec: ClusterSpec
        var rule: ClusterRule
        var placements: [MemberName: MemberPlacement] = [:]
        /// Since when a member that is asked for copies.
        var copies: [MemberName: Int] = [:]
        /// Those that have come up.
        var made: Set<MemberName> = []
        var extra = 0
        /// Readers that have copied.
        var whole: Set<MemberName> = []
        /// Replacements in a row that came to nothing, and when the last one ended that did, or that was not needed.
        var vain = 0
        var vainEnd: Int?
        /// When each member's host was last up, or itself placed.
        var seen: [MemberName: Int] = [:]
    }

    private struct Planet {
        var random: SplitMix64
        var hosts: [HostName: Host] = [:]
        var clusters: [AppName: Cluster] = [:]
        var watch = ReplacementWatch()
        var places = PlaceBook()
        var second = 0
        var unplaced = 0
        var fruitless = 0
        var begun = 0
        var takenBack = 0
        var finished = 0
        var readers = 0

        var now: Moment { Moment(sinceBoot: .seconds(10_000 + second)) }
    }

    private func planet(seed: UInt64) throws -> Planet {
        var planet = Planet(random: SplitMix64(seed: seed))
        for region in ["ams", "iad", "sin"] {
            for number in 1...6 {
                planet.hosts[try HostName("\(region)\(number)")] = Host(region: try RegionCode(region))
            }
        }
        for number in 1...4 {
            let name = try AppName("db\(number)")
            // Two have their members in three regions, and two have all in one.
            let regions = number < 3 ? ["ams", "iad", "sin"] : Array(repeating: number == 3 ? "ams" : "sin", count: 3)
            let members = try regions.enumerated().map {
                ClusterSpec.MemberSpec(
                    name: try PostgresNames.member($0.offset + 1, of: name), region: try RegionCode($0.element))
            }
            var spec = ClusterSpec(
                name: name, address: try IPv4Address("203.0.113.\(number)"), volumeSize: .gibibytes(1),
                guest: MachineGuest(cpuKind: .shared, cpus: 1, memoryMebibytes: 512), image: "dir:/image",
                members: members, createdAt: 1)
            spec.replaceAfter = .after(Self.term)
            // On the hosts of others' members, which are lost together with them.
            spec.readers = try (4...5).map { reader in
                ClusterSpec.MemberSpec(
                    name: try PostgresNames.member(reader, of: name), region: try RegionCode(number < 3 ? "iad" : "ams")
                )
            }
            spec.lastNumber = 5
            let names = members.map(\.name)
            var cluster = Cluster(
                spec: spec,
                rule: ClusterRule(
                    epoch: .first, leader: names[0], members: names, confirmations: 1,
                    history: [Reign(epoch: .first, leader: names[0], begin: .zero)]))
            for (index, member) in spec.everybody.enumerated() {
                if index > 2 { cluster.whole.insert(member.name) }
                let host = try HostName("\(member.region)\((number + index) % 6 + 1)")
                place(member.name, in: member.region, on: host, &cluster, &planet.random)
                cluster.seen[member.name] = 0
                cluster.made.insert(member.name)
            }
            planet.clusters[name] = cluster
        }
        return planet
    }

    private func place(
        _ member: MemberName, in region: RegionCode, on host: HostName, _ cluster: inout Cluster,
        _ random: inout SplitMix64
    ) {
        let machine = MachineID.random(using: &random)
        cluster.placements[member] = MemberPlacement(
            member: member, host: host, region: region, machine: machine, volume: VolumeID.random(using: &random),
            address: MeshAddress.machine(machine, in: NetworkNumber(1)))
    }

    private func isUp(_ member: MemberName, of cluster: Cluster, in planet: Planet) -> Bool {
        cluster.made.contains(member)
            && (cluster.placements[member].map { planet.hosts[$0.host]?.isUp == true } ?? false)
    }

    private func breakHosts(_ planet: inout Planet) {
        for name in planet.hosts.keys.sorted() {
            guard var host = planet.hosts[name], !host.isGoneForGood else { continue }
            let chance = Int.random(in: 0..<20_000, using: &planet.random)
            if host.isUp, chance < 12 {
                host.isUp = false
                host.isGoneForGood = chance < 2
            } else if !host.isUp, chance < 200 {
                host.isUp = true
            }
            if Int.random(in: 0..<40, using: &planet.random) == 0 { host.isFull.toggle() }
            if Int.random(in: 0..<(host.isBarren ? 1500 : 4000), using: &planet.random) == 0 { host.isBarren.toggle() }
            planet.hosts[name] = host
        }
    }

    /// What a leader does, and members that lose theirs.
    private func lead(_ cluster: inout Cluster, in planet: inout Planet) {
        for member in cluster.rule.members where isUp(member, of: cluster, in: planet) {
            cluster.seen[member] = planet.second
        }
        let up = cluster.rule.members.filter { isUp($0, of: cluster, in: planet) }
        leadReaders(&cluster, isFed: up.count > 1 && up.contains(cluster.rule.leader), in: planet)
        let enough = cluster.rule.members.count - cluster.rule.confirmations
        if !up.contains(cluster.rule.leader), up.count >= enough, let next = up.first {
            cluster.rule.epoch = cluster.rule.epoch.next
            cluster.rule.leader = next
        }
        guard up.contains(cluster.rule.leader), let step = cluster.rule.change?.current else { return }
        if step.kind == .add {
            guard isUp(step.member, of: cluster, in: planet) else { return cluster.copies[step.member] = nil }
            let began = cluster.copies[step.member] ?? planet.second
            cluster.copies[step.member] = began
            guard planet.second - began >= 20, up.count + 1 > (cluster.rule.members.count + 1) / 2 else { return }
            cluster.rule.members.append(step.member)
            cluster.seen[step.member] = planet.second
        } else {
            guard step.member != cluster.rule.leader else {
                // It came back, and leads by now: one more is left than there was.
                cluster.rule.change?.refusal = "it leads"
                cluster.extra += 1
                (cluster.vain, cluster.vainEnd) = (cluster.vain + 1, planet.second)
                return
            }
            let others = up.filter { $0 != step.member }
            guard others.count > (cluster.rule.members.count - 1) / 2 else { return }
            cluster.rule.members.removeAll { $0 == step.member }
            cluster.spec.members.removeAll { $0.name == step.member }
            planet.finished += 1
            (cluster.vain, cluster.vainEnd) = (0, nil)
        }
        cluster.rule.change?.left.removeFirst()
        cluster.rule.change?.done.append(step)
        cluster.rule.confirmations = ClusterRule.confirmations(of: cluster.rule.members.count)
    }

    private func leadReaders(_ cluster: inout Cluster, isFed: Bool, in planet: Planet) {
        for reader in (cluster.spec.readers ?? []).map(\.name) {
            guard isUp(reader, of: cluster, in: planet) else {
                cluster.copies[reader] = nil
                continue
            }
            cluster.seen[reader] = planet.second
            guard isFed, !cluster.whole.contains(reader) else { continue }
            let began = cluster.copies[reader] ?? planet.second
            cluster.copies[reader] = began
            if planet.second - began >= 20 { cluster.whole.insert(reader) }
        }
    }

    private func look(_ planet: inout Planet) {
        var sight = ReplacementWatch.Sight()
        sight.hosts = planet.hosts.mapValues(\.region)
        let reachable = Set(planet.hosts.filter(\.value.isUp).keys)
        sight.reachable = reachable
        for (name, cluster) in planet.clusters {
            sight.seats.formUnion(cluster.placements.values.map(\.host))
            sight.lost[name] = Set(cluster.placements.filter { !reachable.contains($0.value.host) }.keys)
            for reader in cluster.spec.readers ?? [] where reader.cameFor != nil && !cluster.whole.contains(reader.name)
            {
                sight.readers[name, default: [:]][reader.name] =
                    cluster.placements[reader.name] == nil || isUp(reader.name, of: cluster, in: planet)
            }
            guard let change = cluster.rule.change else { continue }
            if change.refusal != nil { sight.takenBack[name] = change.id }
            if change.current != nil, let comer = change.comer(under: cluster.rule) {
                sight.coming[name] = .init(change: change.id, isHeard: isUp(comer, of: cluster, in: planet))
            }
        }
        planet.watch.see(sight, at: planet.now)
        guard sight.lost.contains(where: { !$0.value.isEmpty }) || !sight.readers.isEmpty else { return }
        planet.places.see(hosts(of: planet), for: Set(planet.clusters.keys))
    }

    private func hosts(of planet: Planet) -> [PlacementHost] {
        var members: [HostName: Int] = [:]
        for cluster in planet.clusters.values {
            for placement in cluster.placements.values { members[placement.host, default: 0] += 1 }
        }
        return planet.hosts.sorted { $0.key < $1.key }.map { host, state in
            PlacementHost(
                name: host, region: state.region, isReachable: state.isUp, isStoreMember: false,
                capacity: HostCapacity(cpus: 4, memory: .gibibytes(4), disk: .gibibytes(100)),
                promisedMemory: .mebibytes(state.isFull ? 4096 : 512 * (members[host] ?? 0)), promisedDisk: .zero,
                promisedCPUs: 0, machinesByApp: [:])
        }
    }

    /// As the hosts are now, which is not as they were when the member was asked for.
    private func findPlaces(for name: AppName, in planet: inout Planet) throws {
        guard var cluster = planet.clusters[name] else { return }
        if cluster.spec.everybody.contains(where: { cluster.placements[$0.name] == nil }) {
            let plan = ClusterPlan.next(
                ClusterPlan.World(
                    spec: cluster.spec, network: NetworkNumber(1), placements: cluster.placements,
                    made: Set(cluster.placements.keys), hosts: hosts(of: planet)))
            for case .place(let member, let host) in plan.steps {
                let occupied = cluster.spec.isReader(member) ? [] : cluster.spec.hostsOfMembers(cluster.placements)
                #expect(!occupied.contains(host), "\(member) is beside another one, on \(host)")
                let region = try #require(planet.hosts[host]?.region)
                place(member, in: region, on: host, &cluster, &planet.random)
            }
            if !plan.obstacles.isEmpty { planet.unplaced += 1 }
        }
        for (member, placement) in cluster.placements where !cluster.made.contains(member) {
            guard let host = planet.hosts[placement.host], host.isUp, !host.isBarren else { continue }
            cluster.made.insert(member)
        }
        planet.clusters[name] = cluster
    }

    private func act(on name: AppName, in planet: inout Planet) throws {
        guard var cluster = planet.clusters[name] else { return }
        // What is left of one that is no member goes when its host answers.
        let wanted = Set(cluster.spec.everybody.map(\.name))
        cluster.placements = cluster.placements.filter { member, placement in
            wanted.contains(member) || planet.hosts[placement.host]?.isUp != true
        }
        planet.clusters[name] = cluster
        guard planet.watch.clusters.contains(name) || cluster.rule.change?.current != nil else { return }
        let world = world(of: name, cluster, in: planet)
        for step in Replacement.next(world, in: &planet.places).steps {
            switch step {
            case .replace(let member, let regions): try replace(member, in: regions, of: &cluster, in: &planet)
            case .takeBack(let change, let why, let host, let wasNeedless):
                #expect(cluster.rule.change?.id == change)
                let comers = cluster.rule.change?.left.filter { $0.kind == .add }.map(\.member) ?? []
                #expect(Set(comers).isDisjoint(with: cluster.rule.members))
                cluster.rule.change?.refusal = why
                cluster.rule.change?.memberReturned = wasNeedless
                if let host { cluster.spec.attempts = cluster.spec.attempts?.avoiding(host) }
                cluster.spec.members.removeAll { comers.contains($0.name) }
                planet.takenBack += 1
                cluster.vainEnd = planet.second
                if !wasNeedless {
                    planet.fruitless += 1
                    cluster.vain += 1
                }
            case .replaceReader(let reader, let regions):
                try replaceReader(reader, in: regions, of: &cluster, seen: world, in: &planet)
            case .place, .make, .retire, .remove, .forget, .lead, .letGoHome:
                Issue.record("a step of another kind")
            }
        }
        planet.clusters[name] = cluster
    }

    private func world(of name: AppName, _ cluster: Cluster, in planet: Planet) -> Replacement.World {
        var world = Replacement.World(spec: cluster.spec, rule: cluster.rule, placements: cluster.placements)
        world.lost = planet.watch.lost(in: name, at: planet.now)
        world.heard = Set(cluster.placements.keys.filter { isUp($0, of: cluster, in: planet) })
        world.isOpen = world.heard.contains(cluster.rule.leader)
        world.confirming = world.heard.intersection(cluster.rule.members).subtracting([cluster.rule.leader])
        world.takenBack = planet.watch.takenBack(in: name, at: planet.now)
        world.asked = age(of: cluster.rule, in: planet)
        world.brake = planet.watch.brake(at: planet.now)
        world.hasTurn = planet.watch.turns(at: planet.now).subtracting([name]).count < Self.underWayMax
        world.readers.withData = cluster.whole
        world.readers.coming = planet.watch.readers(in: name, at: planet.now)
        world.readers.brake = planet.watch.brake(ofReaders: true, at: planet.now)
        let turns = planet.watch.turns(at: planet.now).count + planet.watch.turnsOfReaders(at: planet.now).count
        world.readers.hasTurn = turns < Self.underWayMax
        if let comer = cluster.rule.change?.comer(under: cluster.rule),
            let times = planet.watch.coming(in: name, at: planet.now)
        {
            let isMade = cluster.made.contains(comer)
            world.coming = .init(
                stage: cluster.placements[comer] == nil ? .placeless : isMade ? .made : .unmade, lasted: times.lasted,
                silent: times.silent)
        }
        return world
    }

    /// Its id is the second in which it was asked for.
    private func age(of rule: ClusterRule, in planet: Planet) -> Duration? {
        rule.change.flatMap { Int($0.id) }.map { .seconds(planet.second - $0) }
    }

    private func replace(
        _ member: MemberName, in regions: [RegionCode], of cluster: inout Cluster, in planet: inout Planet
    ) throws {
        let region = try #require(regions.first)
        #expect(regions.count == 1)
        #expect(cluster.rule.change?.current == nil, "two at once in \(cluster.spec.name)")
        #expect(planet.watch.brake(at: planet.now) == nil)
        let away = planet.second - (cluster.seen[member] ?? 0)
        #expect(away >= Self.term.components.seconds, "\(member) was away for \(away) s")
        let number = (cluster.spec.lastNumber ?? 0) + 1
        if let end = cluster.vainEnd {
            let pause = Replacement.pause(after: cluster.vain, of: Self.term)
            #expect(planet.second - end >= pause.components.seconds, "again after \(planet.second - end) s")
        }
        let tries = Replacement.fruitless(in: cluster.spec, cluster.rule.change, age: age(of: cluster.rule, in: planet))
        cluster.spec.attempts = ReplacementAttempts(count: (tries?.count ?? 0) + 1, avoided: tries?.avoided ?? [])
        #expect(cluster.spec.attempts?.count == cluster.vain + 1)
        cluster.spec.lastNumber = number
        let comer = try PostgresNames.member(number, of: cluster.spec.name)
        cluster.spec.members.append(.init(name: comer, region: region, isApart: true))
        cluster.rule.change = MemberChange(
            id: "\(planet.second)", steps: [.init(.add, comer), .init(.remove, member)], isAutomatic: true)
        planet.begun += 1
    }

    private func replaceReader(
        _ reader: MemberName, in regions: [RegionCode], of cluster: inout Cluster, seen world: Replacement.World,
        in planet: inout Planet
    ) throws {
        let index = try #require(cluster.spec.readers?.firstIndex { $0.name == reader })
        let former = try #require(cluster.spec.readers?[index])
        #expect(regions == [former.region])
        #expect(cluster.rule.change?.current == nil, "beside a member of \(cluster.spec.name)")
        #expect(planet.watch.brake(ofReaders: true, at: planet.now) == nil)
        let away = planet.second - (cluster.seen[reader] ?? 0)
        let hadData = cluster.whole.contains(reader)
        let wait = hadData ? Self.term : Replacement.pause(after: former.cameFor?.count ?? 1, of: Self.term)
        #expect(away >= wait.components.seconds, "\(reader) was away for \(away) s")
        for (other, times) in world.readers.coming where other != reader {
            #expect(times.lasted >= Replacement.turnMax, "\(other) and \(reader) at once")
        }
        let number = (cluster.spec.lastNumber ?? 0) + 1
        let name = try PostgresNames.member(number, of: cluster.spec.name)
        cluster.spec.lastNumber = number
        var comer = ClusterSpec.MemberSpec(name: name, region: try #require(regions.first))
        comer.cameFor = .next(after: former, hadData: hadData, on: cluster.placements[reader]?.host)
        cluster.spec.readers?.append(comer)
        cluster.spec.readers?.remove(at: index)
        cluster.seen[name] = planet.second
        planet.readers += 1
    }

    @Test(
        "Nobody is replaced who was heard lately, never two at once, nor beside another; and in the end nobody is missing",
        arguments: 1...6)
    func run(seed: UInt64) throws {
        var planet = try planet(seed: seed)
        let busy = 3000
        while planet.second < busy + 5000 {
            planet.second += 1
            if planet.second < busy { breakHosts(&planet) }
            if planet.second == busy {
                // One that has a member is lost for good, and in another region one that has a reader; all others come back.
                for (name, host) in planet.hosts { planet.hosts[name] = Host(region: host.region) }
                let cluster = try #require(planet.clusters[try AppName("db1")])
                let reader = try #require(cluster.spec.readers?.first)
                let member = try #require(
                    cluster.rule.members.last {
                        $0 != cluster.rule.leader && cluster.placements[$0]?.region != reader.region
                    })
                for name in [reader.name, member] {
                    if let lost = cluster.placements[name]?.host { planet.hosts[lost]?.isUp = false }
                }
            }
            for name in planet.clusters.keys.sorted() {
                guard var cluster = planet.clusters[name] else { continue }
                lead(&cluster, in: &planet)
                planet.clusters[name] = cluster
            }
            // The duty goes to another host now and then, which has seen nothing.
            if Int.random(in: 0..<1500, using: &planet.random) == 0 { planet.watch = ReplacementWatch() }
            for name in planet.clusters.keys.sorted() { try findPlaces(for: name, in: &planet) }
            look(&planet)
            for name in planet.clusters.keys.sorted() { try act(on: name, in: &planet) }
        }
        for (name, cluster) in planet.clusters {
            #expect(cluster.rule.members.count == 3 + cluster.extra, "\(name): \(cluster.rule.members)")
            #expect(cluster.rule.members.allSatisfy { isUp($0, of: cluster, in: planet) }, "\(name)")
            let places = cluster.rule.members.compactMap { cluster.placements[$0]?.host }
            #expect(Set(places).count == cluster.rule.members.count)
            let readers = (cluster.spec.readers ?? []).map(\.name)
            #expect(readers.count == 2 && cluster.whole.isSuperset(of: readers), "\(name): \(readers)")
            #expect(readers.allSatisfy { isUp($0, of: cluster, in: planet) }, "\(name)")
        }
        #expect(planet.finished > 0 && planet.readers > 0)
        let refused = planet.clusters.values.reduce(0) { $0 + $1.extra }
        #expect(planet.finished + planet.takenBack + refused == planet.begun)
    }
}
