import RoostModel
import RoostPlacement
import Testing

@testable import RoostPlans

@Suite("Plans for readers of a cluster") struct ReaderPlanTests {
    private let region: RegionCode
    private let hosts: [PlacementHost]
    private var spec: ClusterSpec

    init() throws {
        let region = try RegionCode("ams")
        self.region = region
        hosts = try (1...2).map { number in
            PlacementHost(
                name: try HostName("a\(number)"), region: region, isReachable: true, isStoreMember: false,
                capacity: HostCapacity(cpus: 4, memory: .gibibytes(8), disk: .gibibytes(100)), promisedMemory: .zero,
                promisedDisk: .zero, promisedCPUs: 0, machinesByApp: [:])
        }
        spec = ClusterSpec(
            name: try AppName("db"), address: try IPv4Address("203.0.113.1"), volumeSize: .gibibytes(1),
            guest: MachineGuest(cpuKind: .shared, cpus: 1, memoryMebibytes: 512), image: "dir:/image",
            members: [.init(name: try MemberName("db-1"), region: region)], createdAt: 1)
        spec.readers = [.init(name: try MemberName("db-2"), region: region)]
    }

    private func placement(_ member: String, on host: String, _ seed: UInt64) throws -> MemberPlacement {
        var random = SplitMix64(seed: seed)
        let machine = MachineID.random(using: &random)
        return MemberPlacement(
            member: try MemberName(member), host: try HostName(host), region: region, machine: machine,
            volume: VolumeID.random(using: &random), address: MeshAddress.machine(machine, in: NetworkNumber(1)))
    }

    private func plan(
        _ placements: [MemberPlacement], made: [String] = []
    ) throws -> Plan<ClusterPlan.Step> {
        ClusterPlan.next(
            ClusterPlan.World(
                spec: spec, network: NetworkNumber(1),
                placements: Dictionary(uniqueKeysWithValues: placements.map { ($0.member, $0) }),
                made: Set(try made.map { try MemberName($0) }), hosts: hosts))
    }

    @Test("A reader gets a place and is made like a member, on a host of its own where there is one")
    func placedAndMade() throws {
        let placed = try plan([placement("db-1", on: "a1", 1)], made: ["db-1"])
        #expect(placed.steps == [.place(try MemberName("db-2"), on: try HostName("a2"))])
        let reader = try placement("db-2", on: "a2", 2)
        #expect(try plan([placement("db-1", on: "a1", 1), reader], made: ["db-1"]).steps == [.make(reader)])
    }

    @Test("A reader that was taken off the spec is removed, and no other one")
    func removed() throws {
        let (kept, gone) = (try placement("db-2", on: "a2", 2), try placement("db-3", on: "a2", 3))
        let plan = try plan([placement("db-1", on: "a1", 1), kept, gone], made: ["db-1", "db-2", "db-3"])
        #expect(plan.steps == [.remove(gone)])
    }

    @Test("A member that is to live apart shares no host with another member, and may with a reader")
    mutating func readersKeepNoMemberAway() throws {
        spec.members.append(.init(name: try MemberName("db-4"), region: region, isApart: true))
        let plan = try plan(
            [placement("db-1", on: "a1", 1), placement("db-2", on: "a2", 2)], made: ["db-1", "db-2"])
        #expect(plan.steps == [.place(try MemberName("db-4"), on: try HostName("a2"))])
        #expect(plan.obstacles.isEmpty)
    }

    @Test("Whoever was taken off keeps no member from its host, though its machine is there still")
    mutating func leftovers() throws {
        spec.members.append(.init(name: try MemberName("db-4"), region: region, isApart: true))
        spec.readers = nil
        let (member, left) = (try placement("db-1", on: "a1", 1), try placement("db-2", on: "a2", 2))
        let plan = try plan([member, left], made: ["db-1", "db-2"])
        #expect(plan.steps == [.place(try MemberName("db-4"), on: try HostName("a2")), .remove(left)])
        #expect(plan.obstacles.isEmpty)
    }

    @Test("A reader that came by itself goes last to where the ones before it did not come up")
    mutating func avoided() throws {
        spec.readers?[0].cameFor = ReaderSuccession(reader: try MemberName("db-9"), avoided: [try HostName("a2")])
        #expect(try plan([]).steps.last == .place(try MemberName("db-2"), on: try HostName("a2")), "a1 has a member")
        spec.members = []
        #expect(try plan([]).steps == [.place(try MemberName("db-2"), on: try HostName("a1"))])
    }

    @Test("A reader shares a host where there is no other, also in a cluster whose members may not")
    mutating func readersShare() throws {
        spec.survive = .host
        spec.members.append(.init(name: try MemberName("db-4"), region: region))
        let plan = try plan(
            [placement("db-1", on: "a1", 1), placement("db-4", on: "a2", 4)], made: ["db-1", "db-4"])
        #expect(plan.obstacles.isEmpty)
        #expect(plan.steps.count == 1)
    }
}
