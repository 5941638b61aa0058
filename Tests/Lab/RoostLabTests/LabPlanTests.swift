import Foundation
import RoostModel
import RoostSettings
import RoostWAN
import Testing

@testable import RoostLab

@Suite struct LabPlanTests {
    static let shapes: [(regions: [String], hosts: Int)] = [
        (["ams", "iad", "sin"], 2), (["ams"], 1), (["ams"], 2), (["ams"], 5), (["ams", "iad"], 1),
        (["ams", "iad"], 2), (["ams", "iad", "sin", "syd", "gru", "fra"], 3), (Array(Geography.codes.prefix(12)), 16),
    ]

    private func plan(_ regions: [String], _ hosts: Int) throws -> LabPlan {
        LabPlan(try LabShape(regions: regions, hostsPerRegion: hosts))
    }

    @Test(arguments: shapes) func addressesAndDevicesAreUnique(regions: [String], hosts: Int) throws {
        let plan = try plan(regions, hosts)
        var addresses = plan.hosts.map(\.underlay) + plan.clients.map(\.address) + plan.pops.map(\.router)
        addresses += plan.hosts.flatMap(\.uplinks).map(\.local) + plan.clients.map(\.uplink.local)
        addresses += plan.pops.flatMap { $0.customers.map(\.local) + $0.neighbors.map(\.local) }
        #expect(Set(addresses).count == addresses.count)
        let range = try IPv4Prefix("198.18.0.0/15")
        #expect(addresses.allSatisfy(range.contains))
        let ends = plan.wan.links.flatMap { [$0.a, $0.b] }
        #expect(Set(ends.map { "\($0.site) \($0.interface)" }).count == ends.count)
        #expect(ends.allSatisfy { (1...15).contains($0.interface.utf8.count) })
        #expect(Set(plan.siteNames).count == plan.siteNames.count)
    }

    @Test(arguments: shapes) func bothEndsOfALinkAgree(regions: [String], hosts: Int) throws {
        let plan = try plan(regions, hosts)
        for pop in plan.pops {
            for neighbor in pop.neighbors {
                let other = try #require(plan.pops.first { $0.name == neighbor.name })
                let back = try #require(other.neighbors.first { $0.name == pop.name })
                #expect(neighbor.local == back.remote && neighbor.remote == back.local)
                #expect(neighbor.distance == back.distance && neighbor.number == other.number)
                #expect(neighbor.local.bits & ~3 == neighbor.remote.bits & ~3)
            }
        }
        let customers = plan.pops.flatMap(\.customers)
        for host in plan.hosts {
            #expect(host.uplinks.count == (host.isEdge ? 2 : 1))
            for uplink in host.uplinks {
                #expect(customers.contains { $0.remote == uplink.local && $0.local == uplink.neighbor })
            }
        }
        let perProvider = regions.count * (regions.count - 1) / 2
        #expect(plan.wan.links.count == customers.count + 2 * perProvider + regions.count)
    }

    @Test func theStoreHasAnOddNumberOfMembersInDifferentRegions() throws {
        func members(_ regions: [String], _ hosts: Int) throws -> [String] {
            try plan(regions, hosts).hosts.filter(\.isStoreMember).map(\.name.text)
        }
        #expect(try members(["ams"], 1) == [])
        #expect(try members(["ams"], 2) == ["ams2"])
        #expect(try members(["ams"], 3) == ["ams1", "ams2", "ams3"])
        #expect(try members(["ams", "iad"], 1) == ["ams1"])
        #expect(try members(["ams", "iad"], 2) == ["ams1", "ams2", "iad2"])
        #expect(try members(["ams", "iad", "sin"], 1) == ["ams1", "iad1", "sin1"])
        #expect(try members(["ams", "iad", "sin"], 2) == ["ams2", "iad2", "sin2"])
        #expect(try members(["ams", "iad", "sin", "syd"], 3) == ["ams3", "iad3", "sin3"])
    }

    @Test(arguments: shapes) func membersOfTheStoreBootFirst(regions: [String], hosts: Int) throws {
        let plan = try plan(regions, hosts)
        let order = plan.hostsInBootOrder
        #expect(Set(order.map(\.name)) == Set(plan.hosts.map(\.name)) && order.count == plan.hosts.count)
        let members = plan.hosts.filter(\.isStoreMember).count
        #expect(order.prefix(members).map(\.isStoreMember) == Array(repeating: true, count: members))
    }

    @Test("In the scripts of a store's member, etcd takes its precedence before it becomes etcd")
    func theStoreComesFirst() throws {
        let plan = try plan(["ams", "iad", "sin"], 2)
        let member = try #require(plan.hosts.first { $0.isStoreMember })
        let scripts = SiteScripts(plan: plan, cgroups: .freezer, programFolder: "/programs")
        let run = try #require(scripts.services(of: member).first { $0.name == "etcd" }).run
        let parts = run.components(separatedBy: "\nexec etcd ")
        #expect(parts.count == 2)
        #expect(parts[0].contains("{ echo -15 >/proc/self/autogroup; } 2>/dev/null || true"))
    }

    @Test func linksTakeHalfTheRoundTrip() throws {
        let plan = try plan(["ams", "iad", "sin"], 2)
        func delay(_ name: String) throws -> Int64 {
            try #require(plan.wan.links.first { $0.name == name }).towardsB.delayMicroseconds
        }
        #expect(try delay("aurora-ams~aurora-iad") == 39_800)
        #expect(try delay("borealis-iad~borealis-sin") == 109_800)
        #expect(try delay("aurora-ams~ams1") == 100)
        #expect(try delay("aurora-ams~borealis-ams") == 150)
    }

    @Test func distancesAreNearTheGroundTruth() throws {
        func milliseconds(_ from: String, _ to: String) throws -> Int {
            Geography.roundTripMilliseconds(try RegionCode(from), try RegionCode(to))
        }
        #expect(try milliseconds("iad", "ams") == 80)
        #expect(try milliseconds("sin", "ams") == 160)
        #expect(try milliseconds("iad", "sin") == 220)
        #expect(try milliseconds("syd", "syd") == 0)
        #expect(try (3...8).contains(milliseconds("ams", "fra")))
        #expect(try (210...260).contains(milliseconds("lhr", "syd")))
    }

    @Test func impossibleShapesAreUsageErrors() {
        for wrong: (String, [String], Int) in [
            ("", ["ams"], 1), ("Planet", ["ams"], 1), ("a.b", ["ams"], 1), ("../x", ["ams"], 1),
            (String(repeating: "a", count: 33), ["ams"], 1), ("a", [], 1), ("a", ["mars"], 1), ("a", [""], 1),
            ("a", ["ams", "ams"], 1), ("a", ["ams"], 0), ("a", ["ams"], 17), ("a", ["ams"], -1),
            ("a", Array(Geography.codes.prefix(13)), 1),
        ] {
            #expect {
                try LabShape(name: wrong.0, regions: wrong.1, hostsPerRegion: wrong.2)
            } throws: {
                ($0 as? LabError)?.kind == .usage
            }
        }
    }

    @Test(arguments: ["", "Planet", "moon-", "1moon", String(repeating: "a", count: 33)])
    func aLabsNameIsRefusedWithTheWholeRule(name: String) throws {
        let error = #expect(throws: LabError.self) { try LabShape(name: name) }
        let words = try #require(error).description
        #expect(words.contains("1 to 32 ") && words.contains("ending with a letter or digit"), "\(words)")
    }

    @Test func etcdWaitsForTheLongestRoundTrip() throws {
        let plan = try plan(["ams", "iad", "sin"], 2)
        let host = try #require(plan.hosts.first { $0.name.text == "sin2" })
        let line = EtcdArguments(host: host, plan: plan).list.joined(separator: " ")
        #expect(line.contains("--heartbeat-interval 110 --election-timeout 1100"))
        #expect(line.contains("--listen-client-urls http://[\(host.mesh)]:2379"))
        #expect(line.contains("--initial-cluster ams2=http://[fdaa:"))
        #expect(!line.contains("unsafe"))
        #expect(EtcdArguments.heartbeatMilliseconds(try self.plan(["ams"], 3)) == 100)
    }

    @Test("What a host of the lab is told is what roostd reads, and nothing is missing")
    func aHostIsToldWhatItNeeds() throws {
        let plan = try plan(["ams", "iad"], 1)
        let keys = Dictionary(
            uniqueKeysWithValues: plan.hosts.map { host in
                (host.name, String(repeating: "k", count: 39) + host.name.text + "=")
            })
        for host in plan.hosts {
            let settings = HostSettings(host, in: plan, keys: keys)
            #expect(try read(settings) == settings)
        }
        let settings = HostSettings(plan.hosts[1], in: plan, keys: keys)
        #expect(settings.host.text == "iad1" && settings.region.text == "iad")
        #expect(settings.stateFolder == "/var/lib/roost-lab/planet/iad1")
        #expect(settings.runFolder == "/run/roost-lab/planet/iad1")
        #expect(settings.cgroupParent == "/roost-lab/planet/iad1")
        #expect(settings.api.tokenFile == "/var/lib/roost-lab/planet/token")
        #expect(settings.images.allowedDirectories == ["/var/lib/roost-lab/planet/images"])
        #expect(settings.store.backend == .etcd && !settings.store.member)
        #expect(settings.store.endpoints == ["http://[fdaa::8c:18c1:83ae:c41d:1]:2379"])
        #expect(settings.mesh.endpoint == "198.18.2.11:51820")
        #expect(settings.mesh.seeds.map(\.endpoint) == ["198.18.1.11:51820"])
        let edge = try #require(settings.edge)
        #expect(edge.importsRoutes && edge.uplinks.map(\.name) == ["aurora", "borealis"])
        #expect(edge.uplinks.map(\.neighborAS) == [64501, 64502])
        let alone = try self.plan(["ams"], 1)
        #expect(HostSettings(alone.hosts[0], in: alone, keys: [:]).store == .init())
        let workload = try self.plan(["ams"], 2)
        #expect(HostSettings(workload.hosts[0], in: workload, keys: [:]).edge == nil)
    }

    private func read(_ settings: HostSettings) throws -> HostSettings {
        try SettingsInForce(file: Data(try settings.text().utf8), path: "lab").settings
    }

    @Test func scriptsNameTheirOwnLabOnly() throws {
        let plan = LabPlan(try LabShape(name: "moon", regions: ["ams"], hostsPerRegion: 3))
        let scripts = SiteScripts(plan: plan, cgroups: .freezer, programFolder: "/opt/roost")
        let all = plan.hosts.flatMap { host in
            [scripts.host(host), scripts.initialise(host)]
                + scripts.services(of: host).flatMap { [$0.run, scripts.logger(of: $0, on: host)] }
        }
        #expect(all.count == 3 * 6)
        #expect(all.allSatisfy { !$0.contains("planet") && !$0.contains("'/roost-lab") })
        #expect(all.joined().contains("echo 0 >'/sys/fs/cgroup/freezer/roost-lab/moon/ams1/cgroup.procs'"))
        let unified = SiteScripts(plan: plan, cgroups: .unified, programFolder: "/opt/roost")
        #expect(unified.host(plan.hosts[0]).contains("'/sys/fs/cgroup/roost-lab/moon/ams1/host/cgroup.procs'"))
        let bare = LabPlan(try LabShape(regions: ["ams"], isNetworkOnly: true))
        #expect(SiteScripts(plan: bare, cgroups: .freezer, programFolder: "/").services(of: bare.hosts[0]).isEmpty)
    }
}
