import RoostModel
import RoostPlacement
import Testing

@testable import RoostPlans

@Suite("Replacing lost members") struct ReplacementTests {
    private let guest = MachineGuest(cpuKind: .shared, cpus: 1, memoryMebibytes: 512)
    private let ams: RegionCode
    private let app: AppName
    private let members: [MemberName]

    init() throws {
        ams = try RegionCode("ams")
        app = try AppName("db")
        members = try (1...9).map { try MemberName("db-\($0)") }
    }

    private func host(_ number: Int, memoryMebibytes: Int = 4096, isReachable: Bool = true) throws -> PlacementHost {
        PlacementHost(
            name: try HostName("ams\(number)"), region: ams, isReachable: isReachable, isStoreMember: false,
            capacity: HostCapacity(cpus: 4, memory: .mebibytes(memoryMebibytes), disk: .gibibytes(100)),
            promisedMemory: .zero, promisedDisk: .zero, promisedCPUs: 0, machinesByApp: [:])
    }

    /// What is seen of the cluster, and of hosts.
    @dynamicMemberLookup private struct World {
        var seen: Replacement.World
        var hosts: [PlacementHost]

        init(
            spec: ClusterSpec, rule: ClusterRule, placements: [MemberName: MemberPlacement], hosts: [PlacementHost]
        ) {
            seen = Replacement.World(spec: spec, rule: rule, placements: placements)
            self.hosts = hosts
        }

        subscript<Value>(dynamicMember path: WritableKeyPath<Replacement.World, Value>) -> Value {
            get { seen[keyPath: path] }
            set { seen[keyPath: path] = newValue }
        }

        var plan: Plan<ClusterPlan.Step> {
            var places = PlaceBook()
            places.see(hosts, for: [seen.spec.name])
            return Replacement.next(seen, in: &places)
        }
    }

    /// `db-1` leads on `ams1`, `db-2` is on `ams2`, … and there is one host more. The last member is lost with its host.
    private func world(_ count: Int = 3, lostFor lost: Duration = .seconds(600)) throws -> World {
        let members = Array(members.prefix(count))
        let region = ams
        let spec = ClusterSpec(
            name: app, address: try IPv4Address("203.0.113.1"), volumeSize: .gibibytes(1), guest: guest,
            image: "dir:/image", members: members.map { .init(name: $0, region: region) }, createdAt: 1)
        var random = SplitMix64(seed: 7)
        var placements: [MemberName: MemberPlacement] = [:]
        for (index, member) in members.enumerated() {
            let machine = MachineID.random(using: &random)
            placements[member] = MemberPlacement(
                member: member, host: try HostName("ams\(index + 1)"), region: ams, machine: machine,
                volume: VolumeID.random(using: &random), address: MeshAddress.machine(machine, in: NetworkNumber(1)))
        }
        let rule = ClusterRule(
            epoch: .first, leader: members[0], members: members, confirmations: ClusterRule.confirmations(of: count),
            history: [Reign(epoch: .first, leader: members[0], begin: .zero)])
        let hosts = try (1...(count + 1)).map { try host($0, isReachable: $0 != count) }
        var world = World(spec: spec, rule: rule, placements: placements, hosts: hosts)
        world.isOpen = true
        if let last = members.last, count > 1 { world.lost = [last: lost] }
        world.heard = Set(members.dropLast())
        world.confirming = world.heard.subtracting([members[0]])
        return world
    }

    private func obstacle(_ world: World) throws -> String {
        let plan = world.plan
        #expect(plan.steps.isEmpty)
        #expect(plan.obstacles.count == 1)
        return try #require(plan.obstacles.first)
    }

    @Test("One that was lost for long enough is replaced in its region, and not a moment before")
    func due() throws {
        let early = try obstacle(try world(lostFor: .milliseconds(599_999)))
        #expect(
            early == "db-3 and its host ams3 are not heard from; db-3 is replaced when that has lasted 10m")
        let plan = try world().plan
        #expect(plan.steps == [.replace(members[2], in: [ams])] && plan.obstacles.isEmpty)
        var other = try world(lostFor: .seconds(30))
        other.spec.replaceAfter = .after(.seconds(30))
        #expect(other.plan.steps == [.replace(members[2], in: [ams])])
        other.spec.replaceAfter = .never
        #expect(other.plan.isDone)
        other.spec.replaceAfter = .unknown("of the future")
        #expect(other.plan.isDone)
        var whole = try world()
        whole.lost = [:]
        #expect(whole.plan.isDone)
    }

    @Test("What is against it, one after the other", arguments: 0..<11)
    func obstacles(_ number: Int) throws {
        var world = try world()
        let words: String
        switch number {
        case 0: (world.brake, words) = ("2 of 6 hosts are lost", "2 of 6 hosts are lost: while it is so many")
        case 1:
            world.rule.recruitment = Recruitment(epoch: Epoch(2), proposer: members[1], reason: .leaderSilent)
            words = "has to have a leader"
        case 2:
            world.lost = [members[0]: .seconds(600)]
            words = "has to have a leader"
        case 3: (world.isPaused, words) = (true, "is paused")
        case 4: (world.isOpen, words) = (false, "db-1 lets no clients in")
        case 5: (world.takenBack, words) = (.seconds(599), "was taken back: the next one comes no sooner than 10m")
        case 6: (world.confirming, words) = ([], "1 other standby must confirm, and 0 can")
        case 7: (world.departed, words) = ([members[7]], "db-8 is still leaving")
        case 8: (world.refusals, words) = ([members[2]: "its program is old"], "is not replaced: its program is old")
        case 9:
            world.spec.lastNumber = 990
            words = "numbered from 1 to 999, each number once, and the last 9 are given only when somebody asks"
        default: (world.hasTurn, words) = (false, "8 replacements are under way")
        }
        #expect(try obstacle(world).contains(words))
        world = try self.world()
        world.takenBack = .seconds(600)
        #expect(world.plan.steps.count == 1)
    }

    @Test("As many must be left as the step needs that names the one that comes", arguments: 2...9)
    func enough(count: Int) throws {
        for confirming in 0..<(count - 1) {
            var world = try world(count)
            world.confirming = Set(members[1..<count].prefix(confirming))
            // The leader, those that confirm and the one that comes must be more than half of one more; and there must be a
            // number for one more, or the lost one would have to go first.
            let isEnough = 1 + confirming + 1 > (count + 1) / 2 && count < PostgresNames.membersMax
            #expect(world.plan.steps.isEmpty == !isEnough, "\(confirming) of \(count)")
            guard count == PostgresNames.membersMax else { continue }
            #expect(try obstacle(world).hasSuffix("decides: roost pg member replace db db-9"))
        }
    }

    @Test("Never beside another member, and not where there is no room")
    func apart() throws {
        var world = try world()
        world.hosts = try (1...3).map { try host($0, isReachable: $0 != 3) }
        #expect(try obstacle(world).contains("ams1 already has a member of the cluster; ams2 already has"))
        world.hosts = try [host(1, memoryMebibytes: 600), host(2, memoryMebibytes: 256), host(4, memoryMebibytes: 256)]
        #expect(
            try obstacle(world).hasSuffix(
                "ams1 already has a member of the cluster; ams2 has less than 512 MiB of memory free; "
                    + "ams4 has less than 512 MiB of memory free"))
        world.hosts = try [host(4, memoryMebibytes: 256)]
        #expect(try obstacle(world).contains("no host in region ams fits: ams4 has less than 512 MiB"))
    }

    @Test("One at a time, the one that is lost for longest first; one that cannot be replaced holds up no other")
    func several() throws {
        var world = try world(5)
        world.lost[members[3]] = .seconds(700)
        world.confirming = [members[1], members[2]]
        #expect(world.plan.steps == [.replace(members[3], in: [ams])])
        world.spec.members[3].region = try RegionCode("sin")
        let plan = world.plan
        #expect(plan.steps == [.replace(members[4], in: [ams])])
        #expect(plan.obstacles.count == 1 && plan.obstacles[0].contains("no host in region sin"))
    }

    @Test("One of a cluster that is to survive the loss of a region may go to another one that has no member of it")
    func elsewhere() throws {
        var world = try world()
        let (iad, sin, lhr) = (try RegionCode("iad"), try RegionCode("sin"), try RegionCode("lhr"))
        world.spec.members[0].region = iad
        world.hosts = try (1...4).map { try host($0, isReachable: $0 < 3) }
        for (index, region) in [iad, sin, lhr].enumerated() {
            var host = try host(10 + index)
            host.region = region
            world.hosts.append(host)
        }
        #expect(try obstacle(world).contains("ams1 already has a member of the cluster"))
        world.spec.survive = .region
        #expect(world.plan.steps == [.replace(members[2], in: [lhr, sin])])
        world.spec.survive = .host
        #expect(world.plan.steps.isEmpty)
        world.spec.survive = .region
        world.hosts.removeLast(2)
        #expect(try obstacle(world).hasSuffix("nor has another region a host with room"))
    }

    private func replacing(_ world: World) throws -> World {
        var world = world
        let steps: [MemberChange.Step] = [.init(.add, members[3]), .init(.remove, members[2])]
        world.rule.change = MemberChange(id: "01J", steps: steps, isAutomatic: true)
        return world
    }

    @Test("Who comes back before the rule names the other one is left in peace; afterwards it goes on")
    func takenBack() throws {
        var world = try replacing(try world())
        #expect(world.plan.isDone)
        world.lost = [:]
        #expect(world.plan.isDone, "its host answers, and nobody has heard it")
        world.heard.insert(members[2])
        #expect(
            world.plan.steps == [.takeBack("01J", because: "db-3 is back", avoiding: nil, wasNeedless: true)])
        var named = world
        named.rule.members.append(members[3])
        named.rule.change?.done = [.init(.add, members[3])]
        named.rule.change?.left.removeFirst()
        #expect(named.plan.isDone)
        world.rule.change?.isAutomatic = nil
        #expect(world.plan.isDone, "what somebody has asked for goes on")
    }

    @Test("A place that is lost too is given up, and another one is looked for")
    func comerLost() throws {
        var world = try replacing(try world())
        world.lost[members[3]] = .seconds(599)
        #expect(world.plan.isDone)
        world.lost[members[3]] = .seconds(600)
        let why = "db-4, which was to come, is lost too"
        #expect(world.plan.steps == [.takeBack("01J", because: why, avoiding: nil)])
        world.spec.replaceAfter = .never
        world.coming = .init(stage: .made, lasted: .zero, silent: Replacement.comingMax)
        #expect(world.plan.steps.count == 1, "what was begun is not left as it is")
    }

    @Test(
        "Whoever does not come is given up, and the host where it did not is avoided",
        arguments: [
            (Replacement.Coming.Stage.placeless, "has got no place within 15m"),
            (.unmade, "could not be made on ams4 within 15m"), (.failed, "cannot be started on ams4"),
            (.made, "was not heard from on ams4 for 15m"),
        ])
    func givenUp(stage: Replacement.Coming.Stage, words: String) throws {
        var world = try replacing(try world())
        let host = stage == .placeless ? nil : try HostName("ams4")
        if let host, var placement = world.placements[members[2]] {
            (placement.member, placement.host) = (members[3], host)
            world.placements[members[3]] = placement
        }
        func coming(_ lasted: Duration, _ silent: Duration) -> Replacement.Coming {
            .init(stage: stage, lasted: lasted, silent: silent)
        }
        let all = Duration.seconds(24 * 3600)
        for early in [coming(.seconds(3600), .seconds(899)), coming(all - .seconds(1), .zero)] {
            world.coming = early
            #expect(world.plan.isDone)
        }
        world.coming = coming(.seconds(3600), .seconds(900))
        let why = "db-4, which was to come, "
        #expect(world.plan.steps == [.takeBack("01J", because: why + words, avoiding: host)])
        world.isPaused = true
        #expect(world.plan.isDone, "somebody may work on its host")
        world.isPaused = false
        world.coming = coming(all, .zero)
        let late = why + "has not become a member within 24h"
        #expect(world.plan.steps == [.takeBack("01J", because: late, avoiding: host)])
    }

    @Test("After one that was taken back the next one comes later each time, and elsewhere where it can")
    func later() throws {
        var world = try replacing(try world())
        world.rule.change?.refusal = "db-4, which was to come, has got no place within 15m"
        world.hosts.append(try host(5))
        for (count, pause) in [(1, 600), (2, 1200), (4, 4800), (7, 21_600), (500, 21_600)] {
            world.spec.attempts = ReplacementAttempts(count: count)
            world.takenBack = .seconds(pause) - .milliseconds(1)
            #expect(try obstacle(world).contains("was taken back (db-4, which was to come, has got no place"))
            world.takenBack = .seconds(pause)
            #expect(world.plan.steps.count == 1, "\(count)")
        }
        // Two that are lost do not take turns at the shortest pause.
        var five = try self.world(5)
        five.lost[members[3]] = .seconds(600)
        five.spec.attempts = ReplacementAttempts(count: 2)
        let steps: [MemberChange.Step] = [.init(.add, members[5]), .init(.remove, members[4])]
        five.rule.change = MemberChange(id: "01J", steps: steps, isAutomatic: true)
        five.rule.change?.refusal = "db-6, which was to come, is lost too"
        five.takenBack = .seconds(1199)
        let plan = five.plan
        #expect(plan.steps.isEmpty && plan.obstacles.count == 2)
        #expect(plan.obstacles.allSatisfy { $0.contains("no sooner than 20m after") })
        five.takenBack = .seconds(1200)
        #expect(five.plan.steps.count == 1)
        // Nor does it wait because of what was long ago, or was not needed.
        five.takenBack = .seconds(600)
        #expect(five.plan.steps.isEmpty)
        five.asked = Replacement.memory(of: .seconds(600))
        #expect(five.plan.steps.count == 1)
        five.asked = .zero
        five.rule.change?.memberReturned = true
        #expect(five.plan.steps.count == 1)
        #expect(Replacement.pause(after: 3, of: .seconds(7 * 24 * 3600)) == .seconds(7 * 24 * 3600))
        #expect([9, 99, 999].map { Replacement.numbersKept(of: $0) } == [3, 9, 9])
    }

    @Test("Tries count while one may follow from the other; one that was not needed, or is somebody's own, is none")
    func fruitless() throws {
        var spec = try world().spec
        let all = ReplacementAttempts(count: 3, avoided: [try HostName("ams4")])
        spec.attempts = all
        var change = try #require(try replacing(try world()).rule.change)
        func tries(_ age: Duration?) -> ReplacementAttempts? { Replacement.fruitless(in: spec, change, age: age) }
        #expect(tries(.zero) == nil, "it goes on, or was carried out")
        change.refusal = "db-4, which was to come, is lost too"
        // A clock that is behind, and an id that says nothing, are no reason to begin at once.
        for age in [nil, .zero, .seconds(-3600), .seconds(36 * 3600 - 1)] as [Duration?] { #expect(tries(age) == all) }
        #expect(tries(.seconds(36 * 3600)) == nil)
        // However long somebody wants to wait, one and the pause after it are no longer than that.
        spec.replaceAfter = .after(.seconds(7 * 24 * 3600))
        #expect(tries(.seconds(36 * 3600)) == all && tries(.seconds(15 * 24 * 3600)) == nil)
        // A leader may refuse in any words; those of a version before are all that there is.
        change.refusal = "db-3 is back"
        #expect(tries(.zero) == all)
        let one = ReplacementAttempts(count: 2, avoided: all.avoided)
        change.memberReturned = nil
        #expect(tries(.zero) == one)
        change.refusal = "db-2 is back"
        #expect(tries(.zero) == all)
        change.memberReturned = true
        #expect(tries(.zero) == one)
        spec.attempts = ReplacementAttempts(count: 1)
        #expect(tries(.zero) == nil)
        (spec.attempts, change.refusal, change.isAutomatic) = (all, "it was taken back", nil)
        #expect(tries(.zero) == nil)
    }

    @Test("A member whose machine cannot be started on a host that answers is a person's, and the words are true")
    func failed() throws {
        var world = try world()
        world.lost = [:]
        let machine = try #require(world.placements[members[1]]?.machine)
        world.failed = [members[1]: machine]
        let plan = world.plan
        #expect(plan.steps.isEmpty)
        #expect(
            plan.obstacles == [
                "db-2 cannot be started on ams2, which answers and has its data: it is not replaced by itself; "
                    + "why it fails: roost machines events \(world.spec.name) \(machine)"
            ])
        world.spec.replaceAfter = .never
        #expect(world.plan.isDone)
    }

    @Test("Room is promised once, and hosts are gone through again only when one of the region is another one")
    func places() throws {
        let world = try world()
        var places = PlaceBook()
        let clusters = try (1...20).map { try AppName("db\($0)") }
        var hosts = world.hosts
        hosts[3].promisedMemory = .mebibytes(4096 - 2 * 512)
        hosts[3].diskLeft = .gibibytes(5)
        func ask(_ number: Int) -> Plan<ClusterPlan.Step> {
            var seen = world.seen
            seen.spec.name = clusters[number]
            return Replacement.next(seen, in: &places)
        }
        places.see(hosts, for: Set(clusters))
        #expect((0..<3).map { ask($0).steps.count } == [1, 1, 0])
        #expect((0..<3).map { ask($0).steps.count } == [1, 1, 0], "what it was promised it finds again")
        hosts[3].promisedMemory = .mebibytes(4096)
        var words: Set<[String]> = []
        places.see(hosts, for: Set(clusters))
        for number in 0..<20 { words.insert(ask(number).obstacles) }
        let searches = places.searches
        for round in 1...50 {
            hosts.reverse()
            let index = try #require(hosts.firstIndex { $0.name.text == "ams4" })
            hosts[index].diskLeft = .gibibytes(6) - ByteCount(bytes: Int64(round))
            places.see(hosts, for: Set(clusters))
            for number in 0..<20 { words.insert(ask(number).obstacles) }
        }
        #expect(places.searches == searches)
        #expect(words.count == 1)
        let index = try #require(hosts.firstIndex { $0.name.text == "ams4" })
        hosts[index].promisedMemory = .zero
        places.see(hosts, for: Set(clusters))
        #expect(ask(0).steps.count == 1)
    }

    @Test("While room is promised to somebody, hosts are not gone through again at each look either")
    func placesWithAPromise() throws {
        let world = try world()
        var places = PlaceBook()
        let (first, second) = (try AppName("first"), try AppName("second"))
        var hosts = world.hosts
        hosts[3].promisedMemory = .mebibytes(4096 - 512)
        let request = PlacementRequest(
            for: .init(name: members[8], region: ams, isApart: true), of: world.spec,
            occupied: Set(world.placements.values.map(\.host)))
        /// - Returns: whether the second finds a place.
        func look(isPromised: Bool) -> Bool {
            places.see(hosts, for: [first, second])
            if isPromised { places.promise(request, to: first) }
            var seen = world.seen
            seen.spec.name = second
            return !Replacement.next(seen, in: &places).steps.isEmpty
        }
        #expect(look(isPromised: false) && !look(isPromised: true))
        let searches = places.searches
        for _ in 1...50 { #expect(!look(isPromised: true)) }
        #expect(places.searches == searches)
        #expect(look(isPromised: false), "nobody has it any more")
        #expect(!look(isPromised: true))
        hosts[3].promisedMemory = .zero
        #expect(look(isPromised: true), "there is room for both")
    }

    @Test("Who is lost while another change goes on is said to wait for it, and what somebody can do about that")
    func waiting() throws {
        var world = try world(5, lostFor: .seconds(5))
        func change(_ steps: [MemberChange.Step], isAutomatic: Bool) -> Plan<ClusterPlan.Step> {
            world.rule.change = MemberChange(id: "01J", steps: steps, isAutomatic: isAutomatic ? true : nil)
            return world.plan
        }
        let loss = "db-5 and its host ams5 are not heard from; db-5 is not replaced before "
        let adding = change([.init(.add, members[5])], isAutomatic: false)
        #expect(
            adding.steps.isEmpty
                && adding.obstacles == [
                    loss
                        + "the change of members that somebody has asked for is over (to take back what is left of it: "
                        + "roost pg scale db --cancel)"
                ])
        let replacing: [MemberChange.Step] = [.init(.add, members[5]), .init(.remove, members[4])]
        #expect(change(replacing, isAutomatic: false).isDone && change(replacing, isAutomatic: true).isDone)
        let other: [MemberChange.Step] = [.init(.add, members[5]), .init(.remove, members[3])]
        world.heard.remove(members[3])
        #expect(change(other, isAutomatic: true).obstacles == [loss + "the replacement that goes on is over"])
        world.spec.replaceAfter = .never
        #expect(change(other, isAutomatic: true).isDone)
    }
}
