import RoostModel
import RoostPlacement
import Testing

@testable import RoostPlans

@Suite("Plans for a cluster") struct ClusterPlanTests {
    private let guest = MachineGuest(cpuKind: .shared, cpus: 1, memoryMebibytes: 512)

    private func host(_ name: String, _ region: String, memoryMebibytes: Int = 4096, isReachable: Bool = true) throws
        -> PlacementHost
    {
        PlacementHost(
            name: try HostName(name), region: try RegionCode(region), isReachable: isReachable, isStoreMember: false,
            capacity: HostCapacity(cpus: 4, memory: .mebibytes(memoryMebibytes), disk: .gibibytes(100)),
            promisedMemory: .zero, promisedDisk: .zero, promisedCPUs: 0, machinesByApp: [:])
    }

    private func world(regions: [String], hosts: [PlacementHost]) throws -> ClusterPlan.World {
        let members = try regions.enumerated().map {
            ClusterSpec.MemberSpec(name: try MemberName("db-\($0.offset + 1)"), region: try RegionCode($0.element))
        }
        let spec = ClusterSpec(
            name: try AppName("db"), address: try IPv4Address("203.0.113.1"), volumeSize: .gibibytes(1), guest: guest,
            image: "dir:/image", members: members, createdAt: 1)
        return ClusterPlan.World(spec: spec, network: NetworkNumber(1), placements: [:], made: [], hosts: hosts)
    }

    private func placement(_ member: String, on host: String, _ region: String) throws -> MemberPlacement {
        var random = SplitMix64(seed: UInt64(member.utf8.reduce(7) { $0 * 31 + Int($1) }))
        let machine = MachineID.random(using: &random)
        return MemberPlacement(
            member: try MemberName(member), host: try HostName(host), region: try RegionCode(region), machine: machine,
            volume: VolumeID.random(using: &random), address: MeshAddress.machine(machine, in: NetworkNumber(1)))
    }

    @Test("Every member without a place gets one in its region, each on a host of its own")
    func placesAll() throws {
        let world = try world(
            regions: ["ams", "ams", "iad"], hosts: [host("a1", "ams"), host("a2", "ams"), host("i1", "iad")])
        let plan = ClusterPlan.next(world)
        #expect(plan.obstacles.isEmpty)
        #expect(
            Set(plan.steps) == [
                .place(try MemberName("db-1"), on: try HostName("a1")),
                .place(try MemberName("db-2"), on: try HostName("a2")),
                .place(try MemberName("db-3"), on: try HostName("i1")),
            ])
    }

    @Test("Two members of one plan do not count on the same room")
    func sharesNoRoom() throws {
        let world = try world(regions: ["ams", "ams"], hosts: [host("a1", "ams", memoryMebibytes: 700)])
        let plan = ClusterPlan.next(world)
        #expect(plan.steps == [.place(try MemberName("db-1"), on: try HostName("a1"))])
        #expect(plan.obstacles.count == 1)
        #expect(plan.obstacles.first?.contains("db-2 has no place") == true)
    }

    @Test("A member that cannot be placed does not keep the others from being made")
    func obstacleHoldsUpNobody() throws {
        var world = try world(
            regions: ["ams", "sin"], hosts: [host("a1", "ams"), host("s1", "sin", isReachable: false)])
        let placed = try placement("db-1", on: "a1", "ams")
        world.placements = [placed.member: placed]
        let plan = ClusterPlan.next(world)
        #expect(plan.steps == [.make(placed)])
        #expect(plan.obstacles.count == 1)
    }

    @Test("A complete cluster has an empty plan")
    func done() throws {
        var world = try world(regions: ["ams"], hosts: [host("a1", "ams")])
        let placed = try placement("db-1", on: "a1", "ams")
        world.placements = [placed.member: placed]
        world.made = [placed.member]
        #expect(ClusterPlan.next(world).isDone)
    }

    @Test("Of a cluster that shall go, the records go only when no member is left")
    func takesApart() throws {
        var world = try world(regions: ["ams", "iad"], hosts: [])
        world.spec.isDestroying = true
        let placed = try placement("db-1", on: "a1", "ams")
        world.placements = [placed.member: placed]
        #expect(ClusterPlan.next(world).steps == [.remove(placed)])
        world.placements = [:]
        #expect(ClusterPlan.next(world).steps == [.forget])
    }

    @Test("Nothing is placed while the app's network is not known")
    func waitsForTheApp() throws {
        var world = try world(regions: ["ams"], hosts: [host("a1", "ams")])
        world.network = nil
        let plan = ClusterPlan.next(world)
        #expect(plan.steps.isEmpty)
        #expect(!plan.isDone)
    }

    @Test("Of one that was asked for on a host, it is said why that one does not take it, and nothing of others")
    func askedForOnAHost() throws {
        var world = try world(
            regions: ["ams"], hosts: [host("a1", "ams", isReachable: false), host("a2", "ams")])
        world.spec.members[0].host = try HostName("a1")
        var plan = ClusterPlan.next(world)
        #expect(
            plan.steps.isEmpty
                && plan.obstacles == ["db-1 has no place: it was asked for on a1, and a1 does not answer"])
        world.spec.members[0].host = try HostName("a9")
        plan = ClusterPlan.next(world)
        #expect(
            plan.steps.isEmpty && plan.obstacles == ["db-1 has no place: it was asked for on a9, and a9 is not known"])
    }

    @Test("One that is to be apart gets no host that has another member, and its obstacle is no other each time")
    func apart() throws {
        var world = try world(regions: ["ams", "ams"], hosts: [host("a1", "ams")])
        let placed = try placement("db-1", on: "a1", "ams")
        (world.placements, world.made) = ([placed.member: placed], [placed.member])
        let second = try MemberName("db-2")
        #expect(ClusterPlan.next(world).steps == [.place(second, on: placed.host)], "nobody has said anything else")
        for isAutomatic in [true, false] {
            var world = world
            if isAutomatic { world.spec.members[1].isApart = true } else { world.spec.survive = .host }
            let refused = ClusterPlan.next(world)
            #expect(refused.steps.isEmpty)
            #expect(
                refused.obstacles == [
                    "db-2 has no place: no host in region ams fits: a1 already has a member of the cluster"
                ])
            world.hosts.append(try host("a2", "ams", memoryMebibytes: 500))
            let words = ClusterPlan.next(world).obstacles
            world.hosts[1].promisedMemory = .mebibytes(77)
            world.hosts.reverse()
            #expect(ClusterPlan.next(world).obstacles == words)
            world.spec.members[1].host = placed.host
            #expect(ClusterPlan.next(world).steps == [.place(second, on: placed.host)], "somebody has named it")
        }
    }

    @Test("Where one did not come up the next one goes last")
    func avoided() throws {
        let (first, second) = (try HostName("a1"), try HostName("a2"))
        var world = try world(regions: ["ams"], hosts: [host("a1", "ams"), host("a2", "ams")])
        world.spec.attempts = ReplacementAttempts(count: 1, avoided: [first])
        let member = world.spec.members[0].name
        #expect(ClusterPlan.next(world).steps == [.place(member, on: second)])
        world.hosts[1].isReachable = false
        #expect(ClusterPlan.next(world).steps == [.place(member, on: first)])
    }
}
