import RoostModel
import Testing

@testable import RoostPlacement

@Suite("What a cluster survives") struct SurvivalTests {
    private let request: PlacementRequest

    init() throws {
        request = PlacementRequest(
            region: try RegionCode("ams"), guest: MachineGuest(cpuKind: .shared, cpus: 1, memoryMebibytes: 512),
            app: try AppName("db"))
    }

    private func host(
        _ name: String, _ region: String, memoryMebibytes: Int = 4096, isReachable: Bool = true,
        hasStore: Bool = false
    ) throws -> PlacementHost {
        PlacementHost(
            name: try HostName(name), region: try RegionCode(region), isReachable: isReachable, isStoreMember: hasStore,
            capacity: HostCapacity(cpus: 4, memory: .mebibytes(memoryMebibytes), disk: .gibibytes(100)),
            promisedMemory: .zero, promisedDisk: .zero, promisedCPUs: 0, machinesByApp: [:])
    }

    /// Members' hosts, of which the region is the first three letters; `-` in front: not here.
    private func survival(_ members: String..., store: [String] = []) throws -> Survival {
        let seats = try members.map { text in
            let name = text.hasPrefix("-") ? String(text.dropFirst()) : text
            return Survival.Seat(
                host: try HostName(name), region: try RegionCode(String(name.prefix(3))), isHere: name == text)
        }
        return Survival(
            seats, count: seats.count, confirmations: ClusterRule.confirmations(of: seats.count),
            store: try sites(store))
    }

    private func sites(_ hosts: [String]) throws -> StoreSites {
        StoreSites(try hosts.map { .init(host: try HostName($0), region: try RegionCode(String($0.prefix(3)))) })
    }

    @Test("Where the store is lost, nobody takes commits: its members count by host and by region")
    func store() throws {
        let members = ["ams1", "iad1", "sin1"]
        func after(_ store: [String]) throws -> Survival { try survival("ams1", "iad1", "sin1", store: store) }
        for even in [members, ["ams1", "ams2", "iad1", "iad2", "sin1"], []] {
            #expect(try after(even).goals == [.host, .region] && after(even).store == nil, "\(even)")
        }
        let one = try after(["ams1", "ams2", "iad1"])
        #expect(one.goals == [.host] && one.regions.map(\.text) == ["ams"] && one.hosts.isEmpty)
        #expect(one.store == "the store does not survive the loss of region ams: it has 2 of its 3 members there")
        // Half of them are no majority; a host counts that has no member of the cluster.
        let half = try after(["ams2", "iad2"])
        #expect(half.goals.isEmpty && half.hosts.map(\.text) == ["ams2", "iad2"])
        #expect(half.store?.contains("the loss of ams2: it has 1 of its 2 members there; the store") == true)
        #expect(try after(["ams9"]).hosts.map(\.text) == ["ams9"])
    }

    @Test("What the store does not survive is promised of no cluster, in the same words")
    func storeInTheWay() throws {
        let ams = try RegionCode("ams")
        func refusal(_ goal: SurvivalGoal, _ hosts: [PlacementHost]) throws -> Refusal {
            try #require(
                #expect(throws: Refusal.self) {
                    try SurvivalShape.regions(for: goal, home: ams, request, over: hosts, distances: [:])
                })
        }
        var hosts = try ["ams1", "ams2", "ams3", "iad1", "sin1"].map {
            try host($0, String($0.prefix(3)), hasStore: $0.hasPrefix("ams"))
        }
        let region = try refusal(.region, hosts)
        #expect(region.code == .insufficientCapacity)
        #expect(region.message.contains(try #require(try sites(["ams1", "ams2", "ams3"]).obstacle(to: .region))))
        #expect(try SurvivalShape.regions(for: .host, home: ams, request, over: hosts, distances: [:]).count == 3)
        for index in hosts.indices { hosts[index].isStoreMember = index == 0 }
        #expect(try refusal(.host, hosts).message.contains("the loss of ams1: it has 1 of its 1 members there"))
    }

    @Test("It follows from where those are that confirm")
    func now() throws {
        #expect(try survival("ams1", "iad1", "sin1").goals == [.host, .region])
        #expect(try survival("ams1", "ams2", "ams3").goals == [.host])
        #expect(try survival("ams1", "ams2", "ams3").regions.map(\.text) == ["ams"])
        let two = try survival("ams1", "ams2", "iad1")
        #expect(two.goals == [.host] && two.regions.map(\.text) == ["ams"])
        let shared = try survival("ams1", "ams1", "iad1")
        #expect(shared.goals.isEmpty && shared.hosts.map(\.text) == ["ams1"])
        #expect(try survival("ams1").goals.isEmpty)
        #expect(try survival("ams1", "iad1").goals.isEmpty)
        #expect(try survival("ams1", "ams2", "iad1", "iad2", "sin1").goals == [.host, .region])
        let lost = try survival("ams1", "iad1", "-sin1")
        #expect(
            lost.goals.isEmpty && lost.hosts.map(\.text) == ["ams1", "iad1"], "the lost one's host is no further loss")
        #expect(try survival("ams1", "iad1", "sin1", "lhr1", "-fra1").goals == [.host, .region])
    }

    /// Every set of members that confirmed a commit is tried, and every set that is left.
    @Test("What it survives is what follows from the rule", arguments: 1...9)
    func exhaustive(count: Int) throws {
        let confirmations = ClusterRule.confirmations(of: count)
        for here in 1..<(1 << count) {
            for lost in 0..<count {
                let seats = try (0..<count).map {
                    Survival.Seat(
                        host: try HostName("h\($0)"), region: try RegionCode("ams"), isHere: here & (1 << $0) != 0)
                }
                let survives = !Survival(
                    seats, count: count, confirmations: confirmations, store: StoreSites([])
                ).hosts.contains(seats[lost].host)
                let left = here & ~(1 << lost)
                // One of them leads, and as many as must confirm are left beside it.
                let goesOn = left.nonzeroBitCount >= confirmations + 1
                #expect(survives == goesOn, "\(here) without \(lost) of \(count)")
                guard survives else { continue }
                // Whoever is left meets each set that can have confirmed: a leader and so many standbys.
                #expect(left.nonzeroBitCount + confirmations + 1 > count, "a commit may be with the others alone")
            }
        }
    }

    @Test("To survive a host's loss three hosts of the home are needed, and what is missing is said")
    func oneRegion() throws {
        let ams = try RegionCode("ams")
        let three = try (1...3).map { try host("ams\($0)", "ams") }
        #expect(
            try SurvivalShape.regions(for: .host, home: ams, request, over: three, distances: [:]) == [ams, ams, ams])
        let refusal = try #require(
            #expect(throws: Refusal.self) {
                try SurvivalShape.regions(
                    for: .host, home: ams, request,
                    over: [three[0], three[1], try host("ams3", "ams", memoryMebibytes: 256), try host("iad1", "iad")],
                    distances: [:])
            })
        #expect(refusal.code == .insufficientCapacity)
        #expect(refusal.message.contains("3 hosts of region ams must have room for a member, and 2 have"))
        #expect(refusal.message.contains("ams3 needs 512 MiB"))
        // Whoever reads that only two have room would look for what fills the third.
        for count in 0...2 {
            let few = try #require(
                #expect(throws: Refusal.self) {
                    try SurvivalShape.regions(
                        for: .host, home: ams, request, over: three.prefix(count) + [try host("iad1", "iad")],
                        distances: [:])
                })
            #expect(few.code == .insufficientCapacity)
            let words = "the region has only \(count) host\(count == 1 ? "" : "s"): add hosts there"
            #expect(few.message.contains(words), "\(few.message)")
        }
    }

    @Test("To survive a region's loss the two nearest with room are taken beside the home")
    func threeRegions() throws {
        let codes = try ["ams", "fra", "iad", "sin"].map { try RegionCode($0) }
        var hosts = try codes.map { try host("\($0)1", $0.text) }
        let distances: [RegionCode: Duration] = [codes[3]: .milliseconds(160), codes[2]: .milliseconds(80)]
        func regions() throws -> [RegionCode] {
            try SurvivalShape.regions(for: .region, home: codes[0], request, over: hosts, distances: distances)
        }
        #expect(try regions() == [codes[0], codes[2], codes[3]], "what nobody has measured comes last")
        hosts[2].isReachable = false
        #expect(try regions() == [codes[0], codes[3], codes[1]])
        hosts[3].isReachable = false
        let few = try #require(#expect(throws: Refusal.self) { try regions() })
        #expect(few.message.contains("hosts of 3 regions must have room for a member, and those of 2 have"))
        #expect(few.message.contains("iad1 does not answer") && few.message.contains("sin1 does not answer"))
        hosts = try codes.map { try host("\($0)1", $0.text, isReachable: $0 != codes[0]) }
        let home = try #require(#expect(throws: Refusal.self) { try regions() })
        #expect(home.message.contains("a host of region ams must have room"))
        #expect(throws: Refusal.self) {
            try SurvivalShape.regions(
                for: .unknown("zone"), home: codes[0], request, over: hosts, distances: [:])
        }
    }
}
