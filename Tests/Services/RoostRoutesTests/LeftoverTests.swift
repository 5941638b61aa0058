import Foundation
import RoostHost
import RoostLinux
import RoostModel
import RoostPlanet
import RoostStore
import Testing

@testable import RoostControl
@testable import RoostPostgresControl

/// Machines and volumes of a cluster that no record of it names are taken away by hand, and those of its members are not.
@Suite struct LeftoverTests {
    private static let name = "orders"

    /// A cluster of one whose member is placed and leads.
    private static func create(at host: HostUnderTest, in planet: PlanetUnderTest) async throws -> MemberPlacement {
        let made = try await host.call(
            "POST /v1/postgres", #"{"name": "orders", "region": "ams", "replica_regions": []}"#)
        #expect(made.status == 201, "\(made.text)")
        let (name, member) = (try AppName(name), try MemberName("orders-1"))
        let rule = ClusterRule(
            epoch: .first, leader: member, members: [member], confirmations: 0,
            history: [Reign(epoch: .first, leader: member, begin: .zero)])
        var random = SystemRandomNumberGenerator()
        let network = try #require(try await AppDirectory(store: planet.store).find(name)).network
        let id = MachineID.random(using: &random)
        let placement = MemberPlacement(
            member: member, host: host.name, region: try RegionCode("ams"), machine: id,
            volume: .random(using: &random), address: MeshAddress.machine(id, in: network))
        try await put(placement, at: StoreKeys.placement(name, member), in: planet)
        try await put(rule, at: StoreKeys.clusterRule(name), in: planet)
        try await make(placement.machine, placement.volume, as: member, in: network, at: host)
        return placement
    }

    private static func put(_ record: some Encodable, at key: String, in planet: PlanetUnderTest) async throws {
        _ = try await planet.store.commit(
            Transaction(then: [.put(key: key, value: Array(try JSONEncoder().encode(record)), lease: nil)]))
    }

    private static func make(
        _ machine: MachineID, _ volume: VolumeID, as member: MemberName, in network: NetworkNumber,
        at host: HostUnderTest
    ) async throws {
        let app = try AppName(name)
        _ = try await host.agent.createVolume(
            VolumeOrder(id: volume, name: "pg_data", app: app, size: .gibibytes(1), reserved: nil))
        _ = try await host.agent.createMachine(
            MachineOrder(
                id: machine, name: member.text, app: app, network: network, config: MachineConfig(image: "redis:7"),
                owner: MachineOwner(kind: .postgres, name: app, role: member), startsAtOnce: false))
    }

    /// The leader renews its lease, as it does all the time.
    private static func beat(_ sequence: UInt64, in planet: PlanetUnderTest) async throws {
        let beat = Heartbeat(
            epoch: .first, leader: try MemberName("orders-1"), sequence: sequence, isOpen: true, standbys: [])
        try await put(beat, at: StoreKeys.clusterHeartbeat(try AppName(name)), in: planet)
    }

    /// That the members have changed since.
    private static func claim(_ member: MemberName, in planet: PlanetUnderTest) async throws {
        let first = Reign(epoch: .first, leader: try MemberName("orders-1"), begin: .zero)
        var membership = Membership(
            of: ClusterRule(
                epoch: .first, leader: first.leader, members: [first.leader, member], confirmations: 1, history: [first]
            ))
        membership.changes = 1
        let report = MemberReport(
            member: member, role: .standby, state: .failed, promised: .first, position: nil, timeline: 1,
            replayed: .zero,
            isStreaming: false, lagBytes: 0, lagMilliseconds: 0,
            knowledge: MemberKnowledge(
                opened: nil, history: [first], timeline: 1, position: nil, membership: membership))
        try await put(report, at: StoreKeys.report(try AppName(name), member), in: planet)
    }

    @Test("What no record names goes when somebody says so and the cluster's primary leads; a member does not")
    func destroyed() async throws {
        try await PlanetUnderTest.run { planet in
            let host = try planet["ams1"]
            let placement = try await Self.create(at: host, in: planet)
            // As every host with a member does.
            host.watcher.follow([.cluster(try AppName(Self.name))])
            var random = SystemRandomNumberGenerator()
            let (machine, volume) = (MachineID.random(using: &random), VolumeID.random(using: &random))
            let (second, onSecond) = (MachineID.random(using: &random), VolumeID.random(using: &random))
            let network = try #require(try await AppDirectory(store: planet.store).find(try AppName(Self.name))).network
            try await Self.make(machine, volume, as: try MemberName("orders-2"), in: network, at: host)
            try await Self.make(second, onSecond, as: try MemberName("orders-3"), in: network, at: host)
            func destroy(_ path: String) async throws -> (status: Int, text: String) {
                let answer = try await host.call("DELETE /v1/apps/orders/\(path)")
                return (answer.status, answer.text)
            }
            // While nobody is heard to lead it may be all that there is.
            let early = try await destroy("machines/\(machine)?force=true")
            #expect(early.status == 412 || early.status == 503, "\(early)")
            var sequence: UInt64 = 0
            let gone = try await poll(for: .seconds(20), every: .milliseconds(100)) { () -> Bool? in
                sequence += 1
                try await Self.beat(sequence, in: planet)
                return try await destroy("machines/\(machine)?force=true").status == 200 ? true : nil
            }
            #expect(gone == true)
            for path in ["machines/\(placement.machine)?force=true", "volumes/\(placement.volume)"] {
                let kept = try await destroy(path)
                #expect(kept.status == 412 && kept.text.contains("come and go with it"), "\(kept)")
            }
            // It was of one that knows of more than the store does.
            try await Self.claim(try MemberName("orders-2"), in: planet)
            let last = try await destroy("volumes/\(volume)")
            #expect(last.status == 412 && last.text.contains("--force"), "\(last)")
            // That it runs is another question: neither this house's word for that nor that of Fly.io's client answers it.
            for query in ["", "?force=true", "?kill=true"] {
                let kept = try await destroy("machines/\(second)\(query)")
                #expect(kept.status == 412 && kept.text.contains("--last-copy"), "\(query): \(kept)")
            }
            let given = try await poll(for: .seconds(20), every: .milliseconds(100)) { () -> Bool? in
                sequence += 1
                try await Self.beat(sequence, in: planet)
                return try await destroy("machines/\(second)?force=true&last_copy=true").status == 200 ? true : nil
            }
            #expect(given == true)
            let freed = try await poll(for: .seconds(20), every: .milliseconds(100)) { () -> Bool? in
                sequence += 1
                try await Self.beat(sequence, in: planet)
                return try await destroy("volumes/\(volume)?force=true").status == 200 ? true : nil
            }
            #expect(freed == true)
            #expect(await host.agent.volume(placement.volume) != nil)
            #expect(await host.agent.machine(placement.machine)?.record.state != .destroyed)
        }
    }
}
