import Foundation
import RoostClient
import RoostLab
import RoostLinux
import RoostModel
import RoostWire
import Testing

/// What a client notices of each failure, on a planet of three regions: 1,000 confirmed rows around every fault, each
/// looked for afterwards.
@Suite(.serialized, .onPlanet(), .timeLimit(.minutes(30)))
struct FailoverTests {
    /// Generous: a test machine may be busy with other things. What it really takes is measured by `make bench`.
    static let gapMax: Int64 = 30_000

    /// Runs a fault under writers and checks what every fault must keep.
    func underFire(
        writersOn client: (MemberBody) -> String = { _ in "client-ams" }, gapMax: Int64 = Self.gapMax,
        sourceLocation: SourceLocation = #_sourceLocation,
        _ fault: (LabPlanet, ClusterUnderTest, Writers) async throws -> Void
    ) async throws {
        let planet = try LabPlanet.present()
        try await planet.recover()
        let cluster = try await ClusterUnderTest.ready(on: planet)
        let writers = try await Writers(cluster, on: client(try await cluster.leader()))
        try await writers.waitForRows(200, within: .seconds(60), sourceLocation: sourceLocation)
        let began = now()
        try await fault(planet, cluster, writers)
        let back = try await poll(for: .seconds(90), every: .milliseconds(100)) {
            writers.firstConfirmation(ofRowSentAfter: began)
        }
        let gap = try #require(back, "no row was confirmed after the fault", sourceLocation: sourceLocation) - began
        #expect(gap <= gapMax, "the first row after the fault took \(gap) ms", sourceLocation: sourceLocation)
        try await writers.waitForRows(1000, within: .seconds(120), sourceLocation: sourceLocation)
        writers.stop()
        try await planet.recover()
        try await cluster.wait(for: "every member to be back", within: .seconds(180), sourceLocation: sourceLocation) {
            $0.status == .ready
        }
        let count = try await writers.verify(sourceLocation: sourceLocation)
        #expect(count >= 1000, sourceLocation: sourceLocation)
    }

    @Test func postgresCrashesAndIsRestartedInPlace() async throws {
        try await underFire { planet, cluster, writers in
            let leader = try await cluster.leader()
            let epoch = try await cluster.body().epoch
            let host = try #require(leader.host)
            // The oldest postgres process of the host is the leader's postmaster: the host has no other member.
            let postmaster = try #require(try planet.processes(named: "postgres", on: host.text).min())
            kill(postmaster, SIGKILL)
            try await writers.waitForRows(200, within: .seconds(60))
            #expect(try await cluster.body().epoch == epoch, "a crash of Postgres alone is no reason for a failover")
            #expect(try await cluster.leader().name == leader.name)
        }
    }

    @Test func theHostOfThePrimaryIsLost() async throws {
        try await underFire { planet, cluster, writers in
            let old = try await cluster.body()
            let host = try #require(try await cluster.leader().host)
            try await planet.killHost(host.text)
            let new = try await cluster.wait(for: "a new leader", within: .seconds(30)) { $0.epoch > old.epoch }
            #expect(new.leader != old.leader)
            try await writers.waitForRows(300, within: .seconds(60))
            try await planet.startHost(host.text)
            // The old primary comes back by itself, as a standby.
            try await cluster.wait(for: "the old primary to follow", within: .seconds(120)) { body in
                body.status == .ready && body.leader == new.leader
            }
        }
    }

    @Test func theHostOfThePrimaryFreezesAndThaws() async throws {
        try await underFire { planet, cluster, writers in
            let old = try await cluster.body()
            let host = try #require(try await cluster.leader().host)
            try await planet.freezeHost(host.text)
            let new = try await cluster.wait(for: "a new leader", within: .seconds(30)) { $0.epoch > old.epoch }
            #expect(new.leader != old.leader)
            try await writers.waitForRows(300, within: .seconds(60))
            try await planet.thawHost(host.text)
            try await cluster.wait(for: "the old primary to follow", within: .seconds(120)) { body in
                body.status == .ready && body.leader == new.leader
            }
        }
    }

    /// The supervisors of the primary are frozen, its Postgres is not, and a client writes straight to it: from the
    /// moment another member is promoted, the old one confirms nothing any more.
    @Test func aPrimaryWithoutSupervisorsConfirmsNothingOnceAnotherLeads() async throws {
        try await underFire { planet, cluster, writers in
            let old = try await cluster.body()
            let leader = try await cluster.leader()
            let host = try #require(leader.host)
            let address = try #require(leader.address)
            // A writer in another member's machine reaches the old primary over the cluster's private network.
            let direct = try await DirectWriter(cluster, to: address, avoiding: host)
            try await direct.waitForRows(20)
            for program in ["roostd", "roost-pg"] { try planet.signal(SIGSTOP, process: program, on: host.text) }
            let new = try await cluster.wait(for: "a new leader", within: .seconds(40)) {
                $0.epoch > old.epoch && $0.isServing
            }
            let promoted = now()
            #expect(new.leader != old.leader)
            // Long enough for many confirmations, were there any.
            try await writers.waitForRows(300, within: .seconds(60))
            let late = try await direct.confirmations(sentAfter: promoted)
            #expect(late == 0, "the old primary confirmed \(late) rows of its old epoch")
            // The member first: its host ends an overdue machine as soon as it is awake.
            for program in ["roost-pg", "roostd"] { try planet.signal(SIGCONT, process: program, on: host.text) }
            let confirmed = try await direct.stop()
            try await cluster.wait(for: "the old primary to follow", within: .seconds(120)) { $0.status == .ready }
            let kept = try await cluster.sql("SELECT count(*) FROM direct_rows WHERE id = ANY('{\(confirmed)}')")
            #expect(Int(kept) == confirmed.split(separator: ",").count, "a row confirmed before the promotion is lost")
        }
    }

    @Test func theRegionOfThePrimaryIsCutOffWithAClientInside() async throws {
        // The writers are outside, wherever the leader is by now; the client inside must not get a confirmation that
        // is later lost.
        try await underFire(writersOn: { $0.region.text == "ams" ? "client-iad" : "client-ams" }) {
            planet, cluster, writers in
            let old = try await cluster.body()
            let region = try await cluster.leader().region.text
            let inside = try await Writers(cluster, on: "client-\(region)", count: 2)
            try await inside.waitForRows(20, within: .seconds(60))
            for other in planet.plan.shape.regions.map(\.text) where other != region {
                try await planet.cut(region, other)
            }
            let outside = ClusterUnderTest(planet: planet, name: cluster.name)
            let promoted = try await poll(for: .seconds(60), every: .milliseconds(100)) { () -> Epoch? in
                for host in planet.plan.hosts where host.region.text != region {
                    guard let body = try? await planet.api(of: host.name).cluster(cluster.name), body.epoch > old.epoch
                    else { continue }
                    return body.epoch
                }
                return nil
            }
            #expect(promoted != nil, "nobody was promoted outside the region that was cut off")
            try await writers.waitForRows(300, within: .seconds(60))
            _ = try await planet.healAll()
            try await outside.wait(for: "the region to be back", within: .seconds(180)) { $0.status == .ready }
            inside.stop()
            _ = try await inside.verify()
        }
    }

    @Test func theLeaderOfTheStoreIsKilled() async throws {
        try await underFire { planet, cluster, writers in
            let epoch = try await cluster.body().epoch
            let host = try await StoreUnderTest(planet: planet).leader()
            _ = try planet.signal(SIGKILL, process: "etcd", on: host)
            try await writers.waitForRows(500, within: .seconds(90))
            #expect(try await cluster.body().epoch == epoch, "the loss of the store's leader moved the primary")
        }
    }

    @Test func aWholeRegionIsLost() async throws {
        try await underFire(writersOn: { _ in "client-sin" }) { planet, cluster, writers in
            let old = try await cluster.body()
            let region = try await cluster.leader().region
            for host in planet.plan.hosts where host.region == region { try await planet.killHost(host.name.text) }
            try await cluster.wait(for: "a new leader", within: .seconds(60)) { $0.epoch > old.epoch }
            try await writers.waitForRows(300, within: .seconds(90))
        }
    }

    @Test func anEdgeIsLostAndAnotherTakesItsClients() async throws {
        try await underFire { planet, _, writers in
            let edge = try #require(planet.plan.hosts.first { $0.isEdge && $0.region.text == "ams" }).name.text
            try await planet.killHost(edge)
            try await writers.waitForRows(300, within: .seconds(90))
        }
    }

    @Test func anEdgeFreezesAndAnotherTakesItsClients() async throws {
        try await underFire { planet, _, writers in
            let edge = try #require(planet.plan.hosts.first { $0.isEdge && $0.region.text == "ams" }).name.text
            try await planet.freezeHost(edge)
            try await writers.waitForRows(300, within: .seconds(90))
            try await planet.thawHost(edge)
        }
    }

    @Test func anEdgeIsStoppedByHandAndStartedAgain() async throws {
        try await underFire { planet, _, writers in
            let edge = try #require(planet.plan.hosts.first { $0.isEdge && $0.region.text == "ams" }).name.text
            try await planet.setEdge(of: edge, to: .stopped)
            // Healing everything is about faults: an edge may be stopped by an operator's order.
            #expect(try await planet.healAll().isEmpty)
            #expect(await planet.stoppedEdges().map(\.text) == [edge])
            #expect(try await planet.status().faults == ["the edge of \(edge) is stopped"])
            try await writers.waitForRows(300, within: .seconds(90))
            try await planet.setEdge(of: edge, to: .started)
            #expect(await planet.stoppedEdges().isEmpty)
        }
    }

    @Test func aSwitchoverMovesThePrimaryWhereItIsAskedTo() async throws {
        try await underFire { planet, cluster, writers in
            let old = try await cluster.body()
            let target = try #require(
                old.members.first { $0.name != old.leader && $0.region.text == "iad" }
                    ?? old.members.first { $0.name != old.leader })
            _ = try await cluster.ask { try await $0.switchover(cluster.name, to: target.name) }
            let new = try await cluster.wait(for: "the new leader", within: .seconds(30)) { $0.epoch > old.epoch }
            #expect(new.leader == target.name)
            try await writers.waitForRows(300, within: .seconds(90))
        }
    }

    /// Two of three members gone: what the third has cannot be known to be everything, so nobody is promoted.
    @Test func withTooFewMembersNobodyIsPromotedAndTheStatusSaysWhy() async throws {
        try await underFire(writersOn: { _ in "client-iad" }, gapMax: 300_000) { planet, cluster, _ in
            let old = try await cluster.body()
            let leader = try await cluster.leader()
            let standby = try #require(
                old.members.first { $0.name != leader.name && $0.region.text == "sin" }
                    ?? old.members.last { $0.name != leader.name })
            try await planet.killHost(try #require(standby.host).text)
            try await planet.killHost(try #require(leader.host).text)
            let body = try await cluster.wait(for: "the status to say why", within: .seconds(60)) {
                $0.status == .unavailable && $0.detail?.contains("recruiting") == true
            }
            #expect(body.epoch == old.epoch)
            try await planet.startHost(try #require(standby.host).text)
            try await cluster.wait(for: "a leader once enough members answer", within: .seconds(90)) {
                $0.epoch > old.epoch && $0.isServing
            }
        }
    }
}
