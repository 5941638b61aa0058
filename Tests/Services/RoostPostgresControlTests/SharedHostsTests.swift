import Foundation
import RoostModel
import RoostPlacement
import RoostPlanet
import RoostStore
import RoostWire
import Testing

@testable import RoostPostgresControl

/// What it means that members of one cluster are on one host.
@Suite struct SharedHostsTests {
    /// Every way in which the members that are lost can be leader and standbys is tried: a commit is on the leader and on
    /// `confirmations` standbys, whichever.
    @Test(arguments: 2...9)
    func whatALossMeansIsWhatFollowsFromTheRule(count: Int) throws {
        let confirmations = count / 2
        for lost in 1...count {
            let rest = count - lost
            // The set that confirmed a commit may be all among those that are lost: then nobody else has it.
            let canLoseCommits = lost >= confirmations + 1
            // What is left has a leader, and it finds enough others.
            let confirmsWithout = { (more: Int) in
                lost + more <= confirmations && rest - more - 1 >= confirmations
            }
            let words = SharedHosts.loss(of: lost, from: count, confirmations: confirmations)
            #expect(words.contains("can lose commits") == canLoseCommits, "\(lost) of \(count): \(words)")
            #expect(words.contains("goes on without it") == confirmsWithout(0), "\(lost) of \(count): \(words)")
            guard confirmsWithout(0) else { continue }
            let more = (0...rest).last(where: confirmsWithout) ?? 0
            let expected = more == 0 ? "no other member may" : "\(more) other member\(more == 1 ? "" : "s") may"
            #expect(words.contains(expected), "\(lost) of \(count): \(words)")
        }
    }

    private let name: AppName
    private let spec: ClusterSpec
    private let members: [MemberName]
    private let ams: RegionCode

    init() throws {
        name = try AppName("orders")
        ams = try RegionCode("ams")
        members = try (1...3).map { try MemberName("orders-\($0)") }
        let region = ams
        spec = ClusterSpec(
            name: name, address: try IPv4Address("203.0.113.1"), volumeSize: .gibibytes(1), guest: MachineGuest(),
            image: "dir:/x", members: members.map { .init(name: $0, region: region) }, createdAt: 0)
    }

    private func planet(on hosts: [String], rule: ClusterRule? = nil) throws -> Planet {
        var entries: [(String, any Encodable)] = [(StoreKeys.clusterSpec(name), spec)]
        if let rule { entries.append((StoreKeys.clusterRule(name), rule)) }
        var random = SystemRandomNumberGenerator()
        for (member, host) in zip(members, hosts) {
            let machine = MachineID.random(using: &random)
            let placement = MemberPlacement(
                member: member, host: try HostName(host), region: ams, machine: machine,
                volume: VolumeID.random(using: &random),
                address: MeshAddress.machine(machine, in: NetworkNumber(1)))
            entries.append((StoreKeys.placement(name, member), placement))
        }
        let list = try entries.map { key, record in
            Entry(key: key, value: Array(try JSONEncoder().encode(record)), created: Revision(1), modified: Revision(2))
        }
        var planet = Planet()
        let unreadable = planet.apply(.listing(Listing(entries: list, revision: Revision(2)))).unreadable
        #expect(unreadable.isEmpty)
        return planet
    }

    @Test func theStatusNamesMembersThatShareAHost() throws {
        let shared = try #require(ClusterStatus.body(of: name, in: try planet(on: ["ams1", "ams2", "ams1"])))
        #expect(
            shared.sharedHosts == [
                SharedHostBody(
                    host: try HostName("ams1"), members: [members[0], members[2]],
                    loss: "its loss can lose commits that were confirmed, and while it is away none is confirmed")
            ])
        let written = String(decoding: try JSONEncoder().encode(shared), as: UTF8.self)
        #expect(written.contains("\"shared_hosts\""))
        let apart = try #require(ClusterStatus.body(of: name, in: try planet(on: ["ams1", "ams2", "ams3"])))
        #expect(apart.sharedHosts == nil)
        // Two of three have no place yet: nobody shares.
        #expect(ClusterStatus.body(of: name, in: try planet(on: ["ams1"]))?.sharedHosts == nil)
    }

    @Test("Who is coming or was removed is counted for nothing: the rule says who the members are")
    func membersOfTheRule() throws {
        let rule = ClusterRule(
            epoch: .first, leader: members[0], members: Array(members.prefix(2)), confirmations: 1,
            history: [Reign(epoch: .first, leader: members[0], begin: .zero)])
        // Of three members it would say that the loss can lose commits that were confirmed, with the third one.
        let coming = ClusterStatus.body(of: name, in: try planet(on: ["ams1", "ams2", "ams1"], rule: rule))
        #expect(coming?.sharedHosts == nil)
        let both = try #require(
            ClusterStatus.body(of: name, in: try planet(on: ["ams1", "ams1", "ams2"], rule: rule))?.sharedHosts?.first)
        #expect(both.members == Array(members.prefix(2)))
        #expect(both.loss == SharedHosts.loss(of: 2, from: 2, confirmations: 1))
    }

    @Test("Before members have a place, it is told where they would get one")
    func expected() throws {
        let region = ams
        let hosts = { (names: [String]) in
            try names.map {
                PlacementHost(
                    name: try HostName($0), region: region, isReachable: true, isStoreMember: false,
                    capacity: HostCapacity(cpus: 4, memory: .mebibytes(8192), disk: .gibibytes(100)),
                    promisedMemory: .zero, promisedDisk: .zero, promisedCPUs: 0, machinesByApp: [:])
            }
        }
        let records = try #require(try planet(on: []).clusters[name])
        let two = try #require(SharedHosts.expected(spec, records, among: try hosts(["ams1", "ams2"])))
        #expect(two.count == 1 && two[0].members.count == 2, "\(two)")
        #expect(SharedHosts.expected(spec, records, among: try hosts(["ams1", "ams2", "ams3"])) == nil)
    }
}
