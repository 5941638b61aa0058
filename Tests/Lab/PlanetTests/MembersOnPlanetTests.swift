import RoostClient
import RoostLab
import RoostLinux
import RoostModel
import RoostWire
import Testing

/// Members come and go while clients write, on a planet of three regions.
@Suite(.serialized, .onPlanet(), .timeLimit(.minutes(10)))
struct MembersOnPlanetTests {
    private func ended(
        _ cluster: ClusterUnderTest, _ answer: ChangeAnswer, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> ClusterBody {
        let id = try #require(answer.id, sourceLocation: sourceLocation)
        return try await cluster.wait(for: "the members", within: .seconds(120), sourceLocation: sourceLocation) {
            body in
            body.change?.id == id && body.change?.left.isEmpty == true && body.status == .ready
                && body.change?.refusal == nil && !body.members.contains { $0.state == "leaving" }
        }
    }

    @Test func aMemberInAThirdRegionComesAndAnOldOneGoesUnderWrites() async throws {
        let planet = try LabPlanet.present()
        try await planet.recover()
        let cluster = try await ClusterUnderTest.ready(
            on: planet, name: "moving", region: "ams", replicas: ["ams", "iad"])
        let writers = try await Writers(cluster, count: 4)
        try await writers.waitForRows(50, within: .seconds(60))
        let before = try await cluster.body()
        let more = try await ended(
            cluster, try await cluster.ask { try await $0.addMember(to: cluster.name, AddMemberBody(region: "sin")) })
        let comer = try #require(more.members.last)
        #expect(comer.region.text == "sin" && comer.name.text == "moving-4" && more.rule == "ANY 2 of 3")
        try await writers.waitForRows(100, within: .seconds(60))
        let leaver = try #require(before.members.last { $0.name != before.leader })
        let fewer = try await ended(
            cluster, try await cluster.ask { try await $0.removeMember(leaver.name, from: cluster.name) })
        let left = before.members.map(\.name).filter { $0 != leaver.name } + [comer.name]
        #expect(fewer.members.map(\.name) == left && fewer.epoch == before.epoch)
        try await writers.waitForRows(150, within: .seconds(60))
        writers.stop()
        #expect(try await writers.verify() >= 150)
        // What is left is a cluster: the one that came leads, with all of it.
        _ = try await cluster.ask { try await $0.switchover(cluster.name, to: comer.name) }
        try await cluster.wait(for: "the new member to lead", within: .seconds(60)) {
            $0.leader == comer.name && $0.status == .ready
        }
        #expect(try await writers.verify() >= 150)
        _ = try await cluster.ask { try await $0.destroyCluster(cluster.name) }
    }

    @Test func aMemberWhoseHostStaysLostIsReplacedByItselfWithAllThatWasConfirmed() async throws {
        let planet = try LabPlanet.present()
        try await planet.recover()
        let cluster = try await ClusterUnderTest.ready(on: planet, name: "mending", replaceAfter: "10s")
        let writers = try await Writers(cluster, count: 4)
        try await writers.waitForRows(50, within: .seconds(60))
        let before = try await cluster.body()
        let lost = try #require(before.members.first { $0.name != before.leader })
        let host = try #require(lost.host)
        try await planet.killHost(host.text)
        let after = try await cluster.wait(for: "another member", within: .seconds(60)) { body in
            body.change?.isAutomatic == true && body.change?.left.isEmpty == true && body.status == .ready
                && !body.members.contains { $0.name == lost.name }
        }
        let comer = try #require(after.members.last)
        #expect(comer.region == lost.region && comer.host != host && comer.name.text == "mending-4")
        let id = try #require(after.change.flatMap { try? PlanetOperationID($0.id) })
        let operation = try await cluster.ask { try await $0.operation(id) }
        #expect(operation.steps.first?.name.contains("\(lost.name) and its host \(host) were not heard from") == true)
        try await writers.waitForRows(100, within: .seconds(60))
        writers.stop()
        // The one that came leads, with every row that was confirmed.
        _ = try await cluster.ask { try await $0.switchover(cluster.name, to: comer.name) }
        try await cluster.wait(for: "the new member to lead", within: .seconds(60)) {
            $0.leader == comer.name && $0.status == .ready
        }
        #expect(try await writers.verify() >= 150)
        // What the lost one had goes when its host is back.
        try await planet.recover()
        let isCleared = try await poll(for: .seconds(60), every: .milliseconds(500)) {
            let machines = try? await planet.api(of: host).machines(of: cluster.name)
            return machines?.contains { $0.id == lost.machine && $0.state != .destroyed } == false ? true : nil
        }
        #expect(isCleared == true)
        _ = try await cluster.ask { try await $0.destroyCluster(cluster.name) }
    }
}
