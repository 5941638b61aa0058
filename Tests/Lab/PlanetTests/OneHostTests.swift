import Foundation
import RoostClient
import RoostLab
import RoostLinux
import RoostModel
import RoostWire
import Testing

/// A single host: the store is SQLite in `roostd`'s own process, there is no etcd, and nobody to fail over to.
@Suite(.serialized, .onPlanet(regions: ["ams"], hostsPerRegion: 1), .timeLimit(.minutes(20)))
struct OneHostTests {
    let planet: LabPlanet
    let host = "ams1"

    init() async throws {
        planet = try LabPlanet.present()
        try await planet.recover()
    }

    var api: RoostAPIClient { planet.api(of: planet.plan.hosts[0].name) }

    func cluster(_ name: String = "solo") async throws -> ClusterUnderTest {
        try await ClusterUnderTest.ready(on: planet, name: name, replicas: [])
    }

    @Test func aClusterOfOneMemberServesBothPortsAndThereIsNoEtcd() async throws {
        let cluster = try await cluster()
        let body = try await cluster.body()
        #expect(body.members.map(\.host?.text) == [host])
        #expect(body.rule == "no standby confirms")
        _ = try await cluster.sql("DROP TABLE IF EXISTS kept; CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)")
        #expect(try await cluster.sql("SELECT id FROM kept") == "1")
        // No replica is fit, so the port of the replicas leads to the primary.
        _ = try await cluster.sql("INSERT INTO kept VALUES (2)", url: body.readURL)
        #expect(try await cluster.sql("SELECT sum(id) FROM kept", url: body.readURL) == "3")
        #expect(try await planet.run(in: host, ["pgrep", "-x", "etcd"]).status == 1)
        let processes = try await planet.run(in: host, ["ps", "-e", "-o", "comm="]).standardOutput
        #expect(processes.contains("roostd") && !processes.contains("etcd"), "\(processes)")
    }

    /// Runs a fault under writers: rows are confirmed again afterwards, and none of those before is lost.
    private func underFire(
        sourceLocation: SourceLocation = #_sourceLocation, _ fault: (ClusterUnderTest) async throws -> Void
    ) async throws {
        let cluster = try await cluster()
        let before = try await cluster.body()
        let writers = try await Writers(cluster, count: 4)
        try await writers.waitForRows(100, within: .seconds(60), sourceLocation: sourceLocation)
        try await fault(cluster)
        try await writers.waitForRows(200, within: .seconds(120), sourceLocation: sourceLocation)
        writers.stop()
        let after = try await cluster.wait(
            for: "the cluster to be whole", within: .seconds(60), sourceLocation: sourceLocation
        ) { $0.status == .ready }
        #expect(after.leader == before.leader, sourceLocation: sourceLocation)
        #expect(after.members.map(\.machine) == before.members.map(\.machine), sourceLocation: sourceLocation)
        #expect(try await writers.verify(sourceLocation: sourceLocation) >= 300, sourceLocation: sourceLocation)
    }

    private func postmaster() throws -> pid_t {
        try #require(try planet.processes(named: "postgres", on: host).min())
    }

    @Test func postgresIsKilledAndRestartedInPlace() async throws {
        try await underFire { cluster in
            let machine = try planet.processes(named: "roost-pg", on: host)
            let (old, epoch) = (try postmaster(), try await cluster.body().epoch)
            kill(old, SIGKILL)
            let new = try await poll(for: .seconds(30), every: .milliseconds(100)) { () -> pid_t? in
                guard let present = try? postmaster(), present != old else { return nil }
                return present
            }
            try #require(new != nil, "Postgres was not started again")
            try await cluster.wait(for: "the primary to be open", within: .seconds(30)) { $0.status == .ready }
            #expect(try await cluster.body().epoch == epoch)
            #expect(try planet.processes(named: "roost-pg", on: host) == machine, "the machine itself was restarted")
        }
    }

    @Test func roostdIsKilledAndTheMachineLivesOn() async throws {
        try await underFire { cluster in
            let (machine, postgres) = (try planet.processes(named: "roost-pg", on: host), try postmaster())
            let old = Set(try planet.processes(named: "roostd", on: host))
            try planet.signal(SIGKILL, process: "roostd", on: host)
            let answer = try await poll(for: .seconds(60), every: .milliseconds(100)) { () -> ClusterBody? in
                guard let present = try? planet.processes(named: "roostd", on: host), old.isDisjoint(with: present)
                else { return nil }
                return try? await api.cluster(cluster.name)
            }
            try #require(answer != nil, "the API did not answer again")
            #expect(try planet.processes(named: "roost-pg", on: host) == machine)
            #expect(try postmaster() == postgres)
        }
    }

    /// One statement that lasts longer than roostd's death, its return, and a change of the edge's process.
    @Test func aSessionOutlivesRoostdAndTheEdgesReplacement() async throws {
        let cluster = try await cluster()
        let edges = try planet.processes(named: "roost-edge", on: host)
        #expect(edges.count == 1)
        let old = Set(try planet.processes(named: "roostd", on: host))
        let url = try await cluster.body().writeURL
        async let answer = cluster.sql("SELECT 42 FROM pg_sleep(8)", url: url)
        let isIn = try await poll(for: .seconds(10), every: .milliseconds(100)) {
            try await cluster.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(8)'", url: url)
                == "1"
                ? true : nil
        }
        #expect(isIn == true)
        try planet.signal(SIGKILL, process: "roostd", on: host)
        // Nobody but the edge is there to serve this one.
        #expect(try await cluster.sql("SELECT 1", url: url) == "1")
        let isBack = try await poll(for: .seconds(30), every: .milliseconds(100)) { () -> Bool? in
            guard let present = try? planet.processes(named: "roostd", on: host), old.isDisjoint(with: present) else {
                return nil
            }
            return try? await api.hosts().isEmpty == false
        }
        #expect(isBack == true)
        #expect(try planet.processes(named: "roost-edge", on: host) == edges)
        try await planet.setEdge(of: host, to: .replaced)
        let isReplaced = try await poll(for: .seconds(20), every: .milliseconds(50)) {
            try planet.processes(named: "roost-edge", on: host).contains { !edges.contains($0) } ? true : nil
        }
        #expect(isReplaced == true)
        #expect(try await cluster.sql("SELECT 2", url: url) == "2")
        #expect(try await answer == "42")
        let isAlone = try await poll(for: .seconds(20), every: .milliseconds(50)) {
            try edges.allSatisfy { edge in try !planet.processes(named: "roost-edge", on: host).contains(edge) }
                ? true : nil
        }
        #expect(isAlone == true)
        // A dead edge is followed by another.
        try planet.signal(SIGKILL, process: "roost-edge", on: host)
        // Until it is well the prefix is withdrawn, and this planet has no other edge.
        let three = try await poll(for: .seconds(20), every: .milliseconds(100)) {
            try? await cluster.sql("SELECT 3", url: url)
        }
        #expect(three == "3")
    }

    @Test func theHostIsKilledAndItsRowsAreThereAgain() async throws {
        let cluster = try await cluster()
        _ = try await cluster.sql("DROP TABLE IF EXISTS precious; CREATE TABLE precious (id int)")
        _ = try await cluster.sql("INSERT INTO precious VALUES (42)")
        try await underFire { _ in
            try await planet.killHost(host)
            try await planet.startHost(host)
        }
        #expect(try await cluster.sql("SELECT id FROM precious") == "42")
    }

    @Test func aClusterThatFitsNowhereSaysWhyAndGoesAway() async throws {
        let name = try AppName("large-\(UInt16.random(in: 0...UInt16.max))")
        let large = ClusterUnderTest(planet: planet, name: name)
        // Larger than the host's disk, smaller than the largest volume.
        _ = try await api.createCluster(
            CreateClusterRequest(name: name.text, region: "ams", replicaRegions: [], volumeSizeGigabytes: 400))
        let body = try await large.wait(for: "the reason", within: .seconds(30)) {
            $0.detail?.contains("of disk free") == true
        }
        #expect(body.status == .creating)
        let reason = try #require(body.detail)
        let words = "\(name)-1 has no place: no host in region ams fits: ams1 has less than 400 GiB of disk free"
        #expect(reason.contains(words), "\(reason)")
        #expect(body.members.map(\.state) == ["unplaced"])

        let command = try await Command(
            try LabPrograms().folder + "/roost",
            [
                "pg", "create", "\(name)-2", "--region", "ams", "--memory", "100000", "--timeout", "5s", "--api",
                "unix://\(planet.paths.apiSocket(host))",
            ], deadline: .seconds(60)
        ).outcome()
        #expect(command.status == 1)
        let needs = "ams1 has less than 97.6 GiB of memory free"
        #expect(command.standardError.contains(needs), "\(command.standardError)")
        #expect(command.standardError.contains("roost pg destroy \(name)-2"))

        for name in [name, try AppName("\(name)-2")] {
            try await api.destroyCluster(name)
            try await gone(name)
        }
    }

    @Test func aDestroyedClusterLeavesNothing() async throws {
        let cluster = try await cluster("passing")
        let machine = try #require(try await cluster.body().members.first?.machine)
        let apps = try await api.apps().map(\.name)
        try await api.destroyCluster(cluster.name)
        try await gone(cluster.name)
        #expect(try await api.apps().map(\.name) == apps.filter { $0 != cluster.name })
        #expect(try await api.ips().allSatisfy { $0.app != cluster.name })
        let hosts = try await api.hosts()
        let (machines, volumes) = try await api.apps().reduce((0, 0)) {
            ($0.0 + $1.machineCount, $0.1 + $1.volumeCount)
        }
        #expect(hosts.map(\.machines) == [machines])
        #expect(hosts.map(\.volumes) == [volumes])
        let listing = try await planet.run(in: host, ["ls", planet.paths.hostState(host) + "/volumes"]).standardOutput
        let files = listing.split(separator: "\n").filter { $0.hasPrefix("vol_") }
        #expect(files.count == volumes, "\(files)")
        let processes = try await planet.run(in: host, ["ps", "-e", "-o", "args="]).standardOutput
        #expect(!processes.contains(machine.text), "\(processes)")
    }

    private func gone(_ name: AppName) async throws {
        let gone = try await poll(for: .seconds(60), every: .milliseconds(200)) { () -> Bool? in
            let isThere = try await api.clusters().contains { $0.name == name }
            let appIsThere = try await api.apps().contains { $0.name == name }
            return isThere || appIsThere ? nil : true
        }
        try #require(gone == true, "\(name) was not taken apart")
    }
}
