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

    /// `db-1` leads on `ams1`, `db-2` is on `ams2`, … and there is one host more. The last member is lost with its host.
    private func world(_ count: Int = 3, lostFor lost: Duration = .seconds(600)) throws -> Replacement.World {
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
        var world = Replacement.World(spec: spec, rule: rule, placements: placements, hosts: hosts)
        world.isOpen = true
        if let last = members.last, count > 1 { world.lost = [last: lost] }
        world.heard = Set(members.dropLast())
        world.confirming = world.heard.subtracting([members[0]])
        return world
    }

    private func obstacle(_ world: Replacement.World) throws -> String {
        let plan = Replacement.next(world)
        #expect(plan.steps.isEmpty)
        #expect(plan.obstacles.count == 1)
        return try #require(plan.obstacles.first)
    }

    @Test("One that was lost for long enough is replaced in its region, and not a moment before")
    func due() throws {
        let early = try obstacle(try world(lostFor: .milliseconds(599_999)))
        #expect(
            early == "db-3 and its host ams3 are not heard from; db-3 is replaced when that has lasted 10m")
        let plan = Replacement.next(try world())
        #expect(plan.steps == [.replace(members[2], in: [ams])] && plan.obstacles.isEmpty)
        var other = try world(lostFor: .seconds(30))
        other.spec.replaceAfter = .after(.seconds(30))
        #expect(Replacement.next(other).steps == [.replace(members[2], in: [ams])])
        other.spec.replaceAfter = .never
        #expect(Replacement.next(other).isDone)
        other.spec.replaceAfter = .unknown("of the future")
        #expect(Replacement.next(other).isDone)
        var whole = try world()
        whole.lost = [:]
        #expect(Replacement.next(whole).isDone)
    }

    @Test("What is against it, one after the other", arguments: 0..<9)
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
        case 5: (world.takenBack, words) = (.seconds(599), "was taken back less than 10m ago")
        case 6: (world.confirming, words) = ([], "1 other standby must confirm, and 0 can")
        case 7: (world.departed, words) = ([members[7]], "db-8 is still leaving")
        default: (world.hasTurn, words) = (false, "8 replacements are under way")
        }
        #expect(try obstacle(world).contains(words))
        world = try self.world()
        world.takenBack = .seconds(600)
        #expect(Replacement.next(world).steps.count == 1)
    }

    @Test("As many must be left as the step needs that names the one that comes", arguments: 2...9)
    func enough(count: Int) throws {
        for confirming in 0..<(count - 1) {
            var world = try world(count)
            world.confirming = Set(members[1..<count].prefix(confirming))
            // The leader, those that confirm and the one that comes must be more than half of one more.
            let isEnough = 1 + confirming + 1 > (count + 1) / 2
            if count == PostgresNames.membersMax {
                // The wish itself sees to what has to be first then.
                continue
            }
            #expect(Replacement.next(world).steps.isEmpty == !isEnough, "\(confirming) of \(count)")
        }
    }

    @Test("Never beside another member, and not where there is no room")
    func places() throws {
        var world = try world()
        world.hosts = try (1...3).map { try host($0, isReachable: $0 != 3) }
        #expect(try obstacle(world).contains("every host of region ams with room has another member"))
        world.hosts = try [host(1, memoryMebibytes: 600), host(2, memoryMebibytes: 256), host(4, memoryMebibytes: 256)]
        #expect(try obstacle(world).contains("another member of the cluster"))
        world.hosts = try [host(4, memoryMebibytes: 256)]
        #expect(try obstacle(world).contains("no host in region ams fits: ams4 needs 512 MiB"))
    }

    @Test("One at a time, the one that is lost for longest first; one that cannot be replaced holds up no other")
    func several() throws {
        var world = try world(5)
        world.lost[members[3]] = .seconds(700)
        world.confirming = [members[1], members[2]]
        #expect(Replacement.next(world).steps == [.replace(members[3], in: [ams])])
        world.spec.members[3].region = try RegionCode("sin")
        let plan = Replacement.next(world)
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
        #expect(try obstacle(world).contains("every host of region ams with room has another member"))
        world.spec.survive = .region
        #expect(Replacement.next(world).steps == [.replace(members[2], in: [lhr, sin])])
        world.spec.survive = .host
        #expect(Replacement.next(world).steps.isEmpty)
        world.spec.survive = .region
        world.hosts.removeLast(2)
        #expect(try obstacle(world).hasSuffix("nor has another region a host with room"))
    }

    private func replacing(_ world: Replacement.World) throws -> Replacement.World {
        var world = world
        let steps: [MemberChange.Step] = [.init(.add, members[3]), .init(.remove, members[2])]
        world.rule.change = MemberChange(id: "01J", steps: steps, isAutomatic: true)
        return world
    }

    @Test("Who comes back before the rule names the other one is left in peace; afterwards it goes on")
    func takenBack() throws {
        var world = try replacing(try world())
        #expect(Replacement.next(world).isDone)
        world.lost = [:]
        #expect(Replacement.next(world).isDone, "its host answers, and nobody has heard it")
        world.heard.insert(members[2])
        #expect(Replacement.next(world).steps == [.takeBack("01J", because: "db-3 is back")])
        var named = world
        named.rule.members.append(members[3])
        named.rule.change?.done = [.init(.add, members[3])]
        named.rule.change?.left.removeFirst()
        #expect(Replacement.next(named).isDone)
        world.rule.change?.isAutomatic = nil
        #expect(Replacement.next(world).isDone, "what somebody has asked for goes on")
    }

    @Test("A place that is lost too is given up, and another one is looked for")
    func comerLost() throws {
        var world = try replacing(try world())
        world.lost[members[3]] = .seconds(599)
        #expect(Replacement.next(world).isDone)
        world.lost[members[3]] = .seconds(600)
        #expect(Replacement.next(world).steps == [.takeBack("01J", because: "db-4, which was to come, is lost too")])
    }
}
