import RoostModel
import RoostPlacement
import Testing

@testable import RoostPlans

@Suite("Replacing lost readers") struct ReaderReplacementTests {
    private let ams: RegionCode
    private let iad: RegionCode
    private let names: [MemberName]

    init() throws {
        (ams, iad) = (try RegionCode("ams"), try RegionCode("iad"))
        names = try (1...9).map { try MemberName("db-\($0)") }
    }

    private func host(_ name: String, in region: RegionCode) throws -> PlacementHost {
        PlacementHost(
            name: try HostName(name), region: region, isReachable: true, isStoreMember: false,
            capacity: HostCapacity(cpus: 4, memory: .gibibytes(4), disk: .gibibytes(100)), promisedMemory: .zero,
            promisedDisk: .zero, promisedCPUs: 0, machinesByApp: [:])
    }

    private struct World {
        var seen: Replacement.World
        var hosts: [PlacementHost]

        var plan: Plan<ClusterPlan.Step> {
            var places = PlaceBook()
            places.see(hosts, for: [seen.spec.name])
            return Replacement.next(seen, in: &places)
        }
    }

    /// `db-1` leads and `db-2` follows in one region; `db-3` and `db-4` are readers in another one, on `iad3` and `iad4`, and there is
    /// one host more. `db-4` is lost with its host.
    private func world(lostFor lost: Duration = .seconds(600)) throws -> World {
        var spec = ClusterSpec(
            name: try AppName("db"), address: try IPv4Address("203.0.113.1"), volumeSize: .gibibytes(1),
            guest: MachineGuest(cpuKind: .shared, cpus: 1, memoryMebibytes: 512), image: "dir:/image",
            members: [.init(name: names[0], region: ams), .init(name: names[1], region: ams)], createdAt: 1)
        spec.readers = [.init(name: names[2], region: iad), .init(name: names[3], region: iad)]
        var random = SplitMix64(seed: 7)
        var placements: [MemberName: MemberPlacement] = [:]
        for (index, member) in spec.everybody.enumerated() {
            let machine = MachineID.random(using: &random)
            placements[member.name] = MemberPlacement(
                member: member.name, host: try HostName("\(member.region)\(index + 1)"), region: member.region,
                machine: machine, volume: VolumeID.random(using: &random),
                address: MeshAddress.machine(machine, in: NetworkNumber(1)))
        }
        let rule = ClusterRule(
            epoch: .first, leader: names[0], members: [names[0], names[1]], confirmations: 1,
            history: [Reign(epoch: .first, leader: names[0], begin: .zero)])
        let hosts =
            try ["ams1", "ams2"].map { try host($0, in: ams) } + ["iad3", "iad5"].map { try host($0, in: iad) }
        var world = World(
            seen: Replacement.World(spec: spec, rule: rule, placements: placements), hosts: hosts)
        world.seen.isOpen = true
        world.seen.confirming = [names[1]]
        world.seen.lost = [names[3]: lost]
        world.seen.readers.withData = [names[2], names[3]]
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
        #expect(
            try obstacle(try world(lostFor: .milliseconds(599_999)))
                == "db-4 and its host iad4 are not heard from; db-4 is replaced when that has lasted 10m")
        let plan = try world().plan
        #expect(plan.steps == [.replaceReader(names[3], in: [iad])] && plan.obstacles.isEmpty)
        var other = try world(lostFor: .seconds(30))
        other.seen.spec.replaceAfter = .after(.seconds(30))
        #expect(other.plan.steps.count == 1)
        other.seen.spec.replaceAfter = .never
        #expect(other.plan.isDone)
        var whole = try world()
        whole.seen.lost = [:]
        #expect(whole.plan.isDone)
        whole.seen.spec.isDestroying = true
        whole.seen.lost = [names[3]: .seconds(600)]
        #expect(whole.plan.isDone)
    }

    @Test("What is against it, one after the other", arguments: 0..<11)
    func obstacles(_ number: Int) throws {
        var world = try world()
        let words: String
        switch number {
        case 0:
            (world.seen.readers.brake, words) = ("2 of 6 hosts are lost", "2 of 6 hosts are lost: while it is so many")
        case 1:
            world.seen.rule.recruitment = Recruitment(epoch: Epoch(2), proposer: names[1], reason: .leaderSilent)
            words = "has to have a leader"
        case 2: (world.seen.isPaused, words) = (true, "is paused")
        case 3: (world.seen.isOpen, words) = (false, "db-1 lets no clients in")
        case 4: (world.seen.confirming, words) = ([names[0]], "no standby confirms")
        case 5:
            world.seen.rule.change = MemberChange(id: "01J", steps: [.init(.add, names[6])])
            words = "a change of members is under way"
        case 6: (world.seen.readers.isBehindMembers, words) = (true, "lost members are replaced first")
        case 7:
            let lasted = Replacement.turnMax - .seconds(1)
            world.seen.readers.coming = [names[2]: .init(lasted: lasted, silent: .zero)]
            words = "db-3, which has come for another one, has no data yet"
        case 8: (world.seen.readers.refusal, words) = ("its program is old", "is not replaced: its program is old")
        case 9:
            world.seen.spec.lastNumber = 990
            words = "the last 9 are given only when somebody asks: roost pg reader replace db db-4"
        default: (world.seen.readers.hasTurn, words) = (false, "or 4 of readers, and one more has to wait")
        }
        let said = try obstacle(world)
        #expect(said.hasPrefix("db-4 and its host iad4 are not heard from; ") && said.contains(words), "\(said)")
        world.seen.lost = [names[3]: .seconds(9)]
        #expect(try obstacle(world).contains("replaced when that has lasted 10m, but not yet: "))
        // Nor does a brake on members hold it up that it has none of itself.
        world = try self.world()
        world.seen.brake = "2 of 6 hosts are lost"
        world.seen.readers.coming = [names[2]: .init(lasted: Replacement.turnMax, silent: .zero)]
        #expect(world.plan.steps.count == 1)
    }

    @Test(
        "Of several that are lost one goes at a time, the one that is lost for longest first; and a member before any")
    func several() throws {
        var world = try world()
        world.seen.lost[names[2]] = .seconds(700)
        #expect(world.plan.steps == [.replaceReader(names[2], in: [iad])] && world.plan.obstacles.isEmpty)
        // The one has no place anywhere: it holds up no other.
        world.seen.spec.readers?[0].region = try RegionCode("sin")
        let plan = world.plan
        #expect(plan.steps == [.replaceReader(names[3], in: [iad])])
        #expect(
            plan.obstacles.count == 1
                && plan.obstacles[0].contains("db-3 is not replaced: there is no host in region sin"))
        // The host of a member, too.
        var both = try self.world()
        both.seen.spec.members.append(.init(name: names[4], region: ams))
        both.seen.rule.members.append(names[4])
        both.seen.lost[names[4]] = .seconds(600)
        both.hosts.append(try host("ams9", in: ams))
        let first = both.plan
        #expect(first.steps == [.replace(names[4], in: [ams])])
        #expect(first.obstacles.count == 1 && first.obstacles[0].hasSuffix("lost members are replaced first"))
    }

    @Test(
        "It goes to its region alone, beside others where it must; in a cluster that survives a region, elsewhere too")
    func places() throws {
        var world = try world()
        world.hosts.removeLast()
        #expect(world.plan.steps.count == 1, "a reader shares a host rather than have none")
        world.hosts.removeLast()
        #expect(try obstacle(world).hasSuffix("db-4 is not replaced: there is no host in region iad"))
        world.seen.spec.survive = .host
        #expect(world.plan.steps.isEmpty)
        world.seen.spec.survive = .region
        #expect(world.plan.steps == [.replaceReader(names[3], in: [ams])], "members are no reason to keep away")
        // Somebody had named the host that is lost.
        world = try self.world()
        world.seen.spec.readers?[1].host = try HostName("iad4")
        #expect(world.plan.steps.count == 1)
    }

    @Test("Whatever comes to the same place and gets no data waits for longer each time, up to six hours")
    func later() throws {
        for (count, wait) in [(1, 600), (2, 1200), (4, 4800), (7, 21_600), (500, 21_600)] {
            var world = try world(lostFor: .seconds(wait) - .milliseconds(1))
            world.seen.spec.readers?[1].cameFor = ReaderSuccession(reader: names[6], count: count)
            world.seen.readers.withData = [names[2]]
            let words = "db-4 is replaced when that has lasted \(ReplacementTerm.after(.seconds(wait)))"
            #expect(try obstacle(world).hasSuffix(words))
            world.seen.lost = [names[3]: .seconds(wait)]
            #expect(world.plan.steps.count == 1)
            world.seen.readers.withData = [names[3]]
            world.seen.lost = [names[3]: .seconds(600)]
            #expect(world.plan.steps.count == 1, "it has had data")
        }
        let (first, lost) = (try HostName("iad4"), ClusterSpec.MemberSpec(name: names[3], region: iad))
        #expect(ReaderSuccession.next(after: lost, hadData: false, on: first) == ReaderSuccession(reader: names[3]))
        var next = ClusterSpec.MemberSpec(name: names[4], region: iad)
        next.cameFor = ReaderSuccession(reader: names[3])
        #expect(ReaderSuccession.next(after: next, hadData: true, on: first) == ReaderSuccession(reader: names[4]))
        let vain = ReaderSuccession.next(after: next, hadData: false, on: first)
        #expect(vain == ReaderSuccession(reader: names[4], count: 2, avoided: [first]))
    }

    @Test("One that came by itself and never says anything is given up though its host answers; no other one is")
    func silent() throws {
        var world = try world()
        world.seen.lost = [:]
        world.seen.readers.withData = [names[2]]
        world.seen.spec.readers?[1].cameFor = ReaderSuccession(reader: names[6])
        func silent(_ time: Duration) {
            world.seen.readers.coming = [names[3]: .init(lasted: .seconds(7200), silent: time)]
        }
        silent(Replacement.comingMax - .milliseconds(1))
        #expect(world.plan.isDone)
        silent(Replacement.comingMax)
        #expect(world.plan.steps == [.replaceReader(names[3], in: [iad])])
        world.seen.spec.readers?[1].cameFor?.count = 2
        #expect(
            try obstacle(world)
                == "db-4, which came for db-7, is not heard from on iad4, which answers; db-4 is replaced when that has "
                + "lasted 20m")
        // Whom somebody has asked for is a person's.
        world.seen.spec.readers?[1].cameFor = nil
        silent(.seconds(7200))
        #expect(world.plan.isDone)
    }

    @Test("It is counted without a break for how long one is lost, and for how long one that comes says nothing")
    func watched() throws {
        let db = try AppName("db")
        var watch = ReplacementWatch()
        func look(_ second: Int, isLost: Bool, isHeard: Bool?) -> (
            lost: Duration?, coming: Replacement.Readers.Silence?
        ) {
            var sight = ReplacementWatch.Sight()
            if isLost { sight.lost[db] = [names[3]] }
            if let isHeard { sight.readers[db] = [names[4]: isHeard] }
            let now = Moment(sinceBoot: .seconds(1000 + second))
            watch.see(sight, at: now)
            return (watch.lost(in: db, at: now)[names[3]], watch.readers(in: db, at: now)[names[4]])
        }
        _ = look(0, isLost: true, isHeard: true)
        #expect(look(599, isLost: true, isHeard: false).lost == .seconds(599))
        #expect(watch.turnsOfReaders(at: Moment(sinceBoot: .seconds(1599))) == [db])
        let back = look(600, isLost: false, isHeard: false)
        #expect(back.lost == nil && back.coming == .init(lasted: .seconds(600), silent: .seconds(600)))
        #expect(watch.clusters == [db])
        let again = look(4000, isLost: true, isHeard: true)
        #expect(again.lost == .zero && again.coming?.silent == .zero)
        #expect(watch.turnsOfReaders(at: Moment(sinceBoot: .seconds(5000))).isEmpty, "an hour is over")
        #expect(look(4001, isLost: true, isHeard: nil).coming == nil)
    }
}
