import RoostClient
import RoostLab
import RoostLinux
import RoostModel
import RoostWire
import Testing

/// Too few members are left on a planet of three regions, and a person decides who leads.
@Suite(.serialized, .onPlanet(), .timeLimit(.minutes(10)))
struct FailoverByHandTests {
    /// The primary and a standby are lost, with their hosts; the last one leads by a person's word, with all that it has. The old primary
    /// comes back, and stands aside.
    @Test func twoOfThreeHostsAreLostAndTheLastMemberLeadsByAPersonsWord() async throws {
        let planet = try LabPlanet.present()
        try await planet.recover()
        let cluster = try await ClusterUnderTest.ready(on: planet, name: "forced", replaceAfter: "10s")
        let before = try await cluster.body()
        let leader = try await cluster.leader()
        let last = try #require(before.members.last { $0.name != leader.name })
        let other = try #require(before.members.first { $0.name != leader.name && $0.name != last.name })
        _ = try await cluster.sql("CREATE TABLE kept (row int); INSERT INTO kept SELECT generate_series(1, 100)")
        // All of it is on the last one, too: it shows it to readers.
        let isThere = try await poll(for: .seconds(30), every: .milliseconds(300)) {
            try await cluster.body().members.first { $0.name == last.name }?.lagBytes == 0 ? true : nil
        }
        #expect(isThere == true)
        let healthy = try await cluster.ask { try await $0.failover(of: cluster.name, to: last.name) }
        #expect(healthy.proposal == nil && healthy.obstacle?.contains("switchover") == true, "\(healthy)")
        try await planet.killHost(try #require(other.host).text)
        try await planet.killHost(try #require(leader.host).text)
        try await cluster.wait(for: "the status to say why", within: .seconds(60)) {
            $0.status == .unavailable && $0.detail?.contains("recruiting") == true
        }
        let shown = try await decidable(cluster, last.name)
        let proposal = try #require(shown.proposal)
        #expect(proposal.keeps == [last.name] && Set(proposal.givesUp) == [leader.name, other.name])
        #expect(shown.members.first { $0.name == leader.name }?.isHeard == false, "\(shown)")
        let wish = FailoverWish(revision: shown.revision, proposal: proposal, acceptsDataLoss: true, by: "the lab")
        let id = try await cluster.ask { try await $0.decideFailover(cluster.name, as: wish) }
        let after = try await cluster.wait(for: "the last one to lead", within: .seconds(60)) {
            $0.leader == last.name && $0.isServing
        }
        #expect(after.epoch == proposal.calls && after.forced?.id == id && after.forced?.by == "the lab")
        #expect(after.rule == "no standby confirms" && Set(after.forced?.kept ?? []) == [leader.name, other.name])
        _ = try await cluster.sql("INSERT INTO kept VALUES (101)")
        #expect(try await cluster.sql("SELECT count(*) FROM kept") == "101")
        let operation = try await cluster.ask { try await $0.operation(try PlanetOperationID(id)) }
        #expect(operation.kind == .forcedFailover, "\(operation)")
        // It comes back with what it had, takes no part, and nobody takes it away.
        try await planet.startHost(try #require(leader.host).text)
        try await cluster.wait(for: "the old primary to stand aside", within: .seconds(90)) { body in
            body.members.first { $0.name == leader.name }?.detail?.contains("a person has decided a failover") == true
        }
        _ = try await cluster.sql("INSERT INTO kept VALUES (102)")
        let end = try await cluster.body()
        #expect(end.leader == last.name && end.epoch == after.epoch && end.change == nil, "nobody is replaced")
        #expect(end.members.map(\.name).contains(leader.name))
        // A person adds another one, and has what is left removed.
        _ = try await cluster.ask {
            try await $0.addMember(to: cluster.name, AddMemberBody(region: other.region.text))
        }
        try await cluster.wait(for: "another member", within: .seconds(120)) {
            $0.change?.left.isEmpty == true && $0.rule == "ANY 1 of 1" && $0.isServing
        }
        _ = try await cluster.ask { try await $0.removeMember(leader.name, from: cluster.name) }
        try await cluster.wait(for: "the old primary to be gone", within: .seconds(60)) { body in
            !body.members.contains { $0.name == leader.name }
        }
        #expect(try await cluster.sql("SELECT count(*) FROM kept") == "102")
        try await planet.recover()
        _ = try await cluster.ask { try await $0.destroyCluster(cluster.name) }
    }

    /// The leader's lease has to be over.
    private func decidable(_ cluster: ClusterUnderTest, _ member: MemberName) async throws -> FailoverBody {
        var last: FailoverBody?
        let found = try await poll(for: .seconds(60), every: .milliseconds(500)) { () -> FailoverBody? in
            last = try? await cluster.ask { try await $0.failover(of: cluster.name, to: member) }
            return last?.proposal == nil ? nil : last
        }
        return try #require(found, "\(String(describing: last))")
    }
}
