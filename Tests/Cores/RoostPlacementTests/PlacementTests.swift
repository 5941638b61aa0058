import RoostModel
import RoostPlacement
import Testing

@Suite struct PlacementTests {
    let ams: RegionCode
    let iad: RegionCode
    let app: AppName

    init() throws {
        ams = try RegionCode("ams")
        iad = try RegionCode("iad")
        app = try AppName("db")
    }

    func host(
        _ name: String, region: RegionCode? = nil, isReachable: Bool = true, isStoreMember: Bool = false,
        memory: Int = 4096, disk: Int = 20, usedMemory: Int = 0, usedDisk: Int = 0, cpus: Int = 4, ofApp: Int = 0
    ) throws -> PlacementHost {
        PlacementHost(
            name: try HostName(name), region: region ?? ams, isReachable: isReachable, isStoreMember: isStoreMember,
            capacity: HostCapacity(cpus: cpus, memory: .mebibytes(memory), disk: .gibibytes(disk)),
            promisedMemory: .mebibytes(usedMemory), promisedDisk: .gibibytes(usedDisk), promisedCPUs: 0,
            machinesByApp: [app: ofApp])
    }

    func request(disk: Int = 1, memory: Int = 512, cpus: Int = 1, occupied: Set<HostName> = [], database: Bool = false)
        -> PlacementRequest
    {
        PlacementRequest(
            region: ams, guest: MachineGuest(cpus: cpus, memoryMebibytes: memory), disk: .gibibytes(disk), app: app,
            occupied: occupied, avoidsStoreMembers: database)
    }

    func reasons(_ decision: PlacementDecision) -> [String: PlacementRefusal] {
        Dictionary(uniqueKeysWithValues: decision.refusals.map { ($0.host.text, $0.reason) })
    }

    @Test func eachRefusedHostSaysWhy() throws {
        let decision = Placement.decide(
            request(disk: 10, memory: 1024, cpus: 8),
            over: [
                try host("far", region: iad), try host("silent", isReachable: false),
                try host("small", memory: 512), try host("full", usedDisk: 15), try host("slow", cpus: 2),
                try host("good", cpus: 8),
            ])
        #expect(decision.candidates == [try HostName("good")])
        #expect(
            reasons(decision) == [
                "far": .otherRegion(iad), "silent": .unreachable,
                "small": .memory(needed: .mebibytes(1024), free: .mebibytes(512)),
                "full": .disk(needed: .gibibytes(10), free: .gibibytes(5)), "slow": .cpus(needed: 8, available: 2),
            ])
    }

    @Test("A disk that is fuller than what was promised of it takes what it really can, and no more")
    func realRoom() throws {
        var full = try host("full", disk: 100)
        full.diskLeft = .gibibytes(3)
        let decision = Placement.decide(request(disk: 4), over: [full])
        #expect(reasons(decision) == ["full": .disk(needed: .gibibytes(4), free: .gibibytes(3))])
        #expect(Placement.decide(request(disk: 2), over: [full]).candidates == [full.name])
        #expect(full.promising(request(disk: 2)).freeDisk == .gibibytes(1))
        // What is promised counts where it leaves less than the disk has.
        full.promisedDisk = .gibibytes(99)
        #expect(full.freeDisk == .gibibytes(1))
    }

    @Test func membersOfOneClusterKeepApartWhileAHostIsFree() throws {
        let occupied: Set = [try HostName("one")]
        let both = Placement.decide(
            request(occupied: occupied), over: [try host("one"), try host("two", usedMemory: 3000)])
        #expect(both.candidates == [try HostName("two")])
        #expect(reasons(both)["one"] == .sameCluster)

        let alone = Placement.decide(
            request(occupied: occupied), over: [try host("one"), try host("two", usedMemory: 4000)])
        #expect(alone.candidates == [try HostName("one")])
    }

    @Test func databasesAvoidTheStoreThenSpreadThenFit() throws {
        let hosts = [
            try host("store", isStoreMember: true), try host("crowded", ofApp: 2),
            try host("loaded", usedMemory: 2048), try host("idle"),
        ]
        let database = Placement.decide(request(database: true), over: hosts).candidates.map(\.text)
        #expect(database == ["idle", "loaded", "crowded", "store"])
        let plain = Placement.decide(request(), over: hosts).candidates.map(\.text)
        #expect(plain == ["idle", "store", "loaded", "crowded"])
    }

    @Test func aVolumeKeepsRoomForItsMachine() throws {
        let volume = VolumeRecord(
            id: try VolumeID("vol_0123456789abcdef"), name: "data", app: app, region: ams, state: .created,
            size: .gibibytes(3), reserved: MachineGuest(memoryMebibytes: 2048), createdAt: 0)
        var record = HostRecord(
            host: try HostName("one"), region: ams, generation: Generation(1),
            capacity: HostCapacity(cpus: 2, memory: .mebibytes(4096), disk: .gibibytes(10)),
            mesh: MeshIdentity(
                publicKey: "", endpoint: "", probePort: 1, address: MeshAddress.host(try HostName("one"))),
            isEdge: false, isStoreMember: false, volumes: [volume])
        #expect(PlacementHost(record: record, isReachable: true).freeMemory == .mebibytes(2048))
        #expect(PlacementHost(record: record, isReachable: true).freeDisk == .gibibytes(7))
        record.volumes[0].state = .destroyed
        #expect(PlacementHost(record: record, isReachable: true).freeMemory == .mebibytes(4096))
    }

    /// Whatever the hosts look like: nothing is overcommitted, nothing leaves its region, no host is forgotten.
    @Test(arguments: 0..<200) func placementsNeverBreakAHardRule(seed: Int) throws {
        var random = SplitMix64(seed: UInt64(seed))
        var hosts = try (0..<Int.random(in: 1...12, using: &random)).map { index in
            try host(
                "h\(index)", region: Bool.random(using: &random) ? ams : iad,
                isReachable: Int.random(in: 0..<5, using: &random) > 0,
                isStoreMember: Bool.random(using: &random), memory: 256 * Int.random(in: 1...16, using: &random),
                disk: Int.random(in: 1...20, using: &random))
        }
        for _ in 0..<60 {
            let request = request(
                disk: Int.random(in: 0...4, using: &random), memory: 256 * Int.random(in: 1...4, using: &random),
                database: Bool.random(using: &random))
            let decision = Placement.decide(request, over: hosts)
            #expect(decision.candidates.count + decision.refusals.count == hosts.count)
            guard let chosen = hosts.firstIndex(where: { $0.name == decision.candidates.first }) else {
                #expect(decision.candidates.isEmpty)
                continue
            }
            hosts[chosen].promisedMemory = hosts[chosen].promisedMemory + .mebibytes(request.guest.memoryMebibytes)
            hosts[chosen].promisedDisk = hosts[chosen].promisedDisk + request.disk
            #expect(hosts[chosen].freeMemory >= .zero)
            #expect(hosts[chosen].freeDisk >= .zero)
            #expect(hosts[chosen].region == ams)
            #expect(hosts[chosen].isReachable)
        }
    }
}
