import RoostClient
import RoostLab
import RoostLinux
import RoostModel
import RoostWire
import Testing

/// Readers of a cluster, on a planet of three regions.
@Suite(.serialized, .onPlanet(), .timeLimit(.minutes(10)))
struct ReadersOnPlanetTests {
    /// All readers serve, so many.
    private func serving(
        _ cluster: ClusterUnderTest, _ count: Int, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> [ReaderBody] {
        let body = try await cluster.wait(
            for: "\(count) readers", within: .seconds(120), sourceLocation: sourceLocation
        ) {
            let readers = $0.readers ?? []
            return readers.count == count && readers.allSatisfy(\.isServing) && $0.status == .ready
        }
        return body.readers ?? []
    }

    /// Whose session a client of that region gets at the port for reads.
    private func backend(_ cluster: ClusterUnderTest, from client: String) async throws -> String {
        let url = try await cluster.body().readURL
        return try await cluster.sql("SELECT current_setting('cluster_name')", from: client, url: url)
    }

    @Test func readersComeServeSurviveAFailoverAndGo() async throws {
        let planet = try LabPlanet.present()
        try await planet.recover()
        // Members in two regions: in the third there is nobody to read from but a reader.
        let cluster = try await ClusterUnderTest.ready(
            on: planet, name: "read", region: "ams", replicas: ["ams", "iad"])
        let writers = try await Writers(cluster, count: 2)
        try await writers.waitForRows(20, within: .seconds(60))
        let answer = try await cluster.ask { try await $0.scaleReaders(cluster.name, to: ["sin": 1]) }
        #expect(answer.readers.map(\.text) == ["read-4"])
        let reader = try #require(try await serving(cluster, 1).first)
        let leader = try await cluster.body().leader
        #expect(reader.region.text == "sin" && reader.upstream != nil && reader.upstream != leader)

        // Clients there come to it, and see what is written elsewhere.
        let near = try await poll(for: .seconds(30), every: .milliseconds(500)) {
            try? await backend(cluster, from: "client-sin") == reader.name.text ? true : nil
        }
        #expect(near == true)
        _ = try await cluster.sql("CREATE TABLE marks (mark int); INSERT INTO marks VALUES (1)")
        try await expect(mark: 1, at: reader, cluster)

        // The primary's host is lost.
        let before = try await cluster.body()
        let lost = try #require(try await cluster.leader().host)
        try await planet.killHost(lost.text)
        try await cluster.wait(for: "another primary", within: .seconds(60)) {
            $0.epoch > before.epoch && $0.leader != before.leader && $0.isServing
        }
        _ = try await cluster.sql("INSERT INTO marks VALUES (2)")
        try await expect(mark: 2, at: reader, cluster)
        let after = try await cluster.body()
        #expect(after.readers?.first?.upstream != after.leader)
        try await planet.recover()
        _ = try await serving(cluster, 1)

        writers.stop()
        #expect(try await writers.verify() >= 20)
        // So is the reader's host, and it stays lost: another one comes in its place, which is cleared away when the host is back.
        let next = try await replaced(reader, cluster, planet)
        let host = try #require(reader.host)
        #expect(next.region == reader.region && next.host != host && next.replaces == reader.name)
        try await expect(mark: 2, at: next, cluster)
        try await planet.recover()
        let gone = try await cluster.ask { try await $0.removeReader(next.name, from: cluster.name) }
        #expect(gone.readers.isEmpty)
        let isCleared = try await poll(for: .seconds(60), every: .milliseconds(500)) {
            let machines = try? await planet.api(of: host).machines(of: cluster.name)
            return machines?.contains { $0.id == reader.machine && $0.state != .destroyed } == false ? true : nil
        }
        #expect(isCleared == true)
        #expect(try await cluster.body().readers == nil)
        _ = try await cluster.ask { try await $0.destroyCluster(cluster.name) }
    }

    private func replaced(
        _ reader: ReaderBody, _ cluster: ClusterUnderTest, _ planet: LabPlanet
    ) async throws -> ReaderBody {
        let after = ReplacementTerm.after(.seconds(10))
        _ = try await cluster.ask { try await $0.replace(after: after, in: cluster.name) }
        try await planet.killHost(try #require(reader.host).text)
        let body = try await cluster.wait(for: "another reader", within: .seconds(90)) {
            $0.readers?.count == 1 && $0.readers?.first?.name != reader.name && $0.readers?.first?.isServing == true
        }
        return try #require(body.readers?.first)
    }

    private func expect(
        mark: Int, at reader: ReaderBody, _ cluster: ClusterUnderTest, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let url = try await cluster.body().readURL
        let seen = try await poll(for: .seconds(60), every: .milliseconds(500)) { () -> Bool? in
            let answer = try? await cluster.sql(
                "SELECT current_setting('cluster_name') || ' ' || count(*) FROM marks WHERE mark = \(mark)",
                from: "client-sin", url: url)
            return answer == "\(reader.name) 1" ? true : nil
        }
        #expect(seen == true, "mark \(mark)", sourceLocation: sourceLocation)
    }
}
