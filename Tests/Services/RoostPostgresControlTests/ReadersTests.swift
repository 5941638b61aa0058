import RoostMesh
import RoostModel
import RoostPlans
import RoostStore
import RoostWire
import Testing

@testable import RoostControl
@testable import RoostPlanet
@testable import RoostPostgresControl

@Suite("Readers of a cluster") struct ReadersTests {
    private func ready(members: Int = 3, skills: [MemberSkill]? = MemberSkill.known) async throws -> ClusterWorld {
        let world = try await ClusterWorld()
        try await world.create(members: members)
        #expect(try await world.settle(under: try await world.takeDuty()))
        try await world.becomeReady()
        for var report in try await records(world).reports.values {
            report.skills = skills
            try await put(report, world)
        }
        return world
    }

    private func put(_ report: MemberReport, _ world: ClusterWorld) async throws {
        _ = try await world.store.commit(
            Transaction(then: [try .put(report, at: StoreKeys.report(world.cluster, report.member))]))
    }

    private func records(_ world: ClusterWorld) async throws -> Planet.ClusterRecords {
        try #require(try await world.look().clusters[world.cluster])
    }

    @discardableResult
    private func ask(_ world: ClusterWorld, _ wish: ReaderWish) async throws -> [String] {
        try await world.directory.changeReaders(of: world.cluster, wish).map(\.text)
    }

    private func scale(_ world: ClusterWorld, to count: Int) async throws -> [String] {
        try await ask(world, .scale([world.hosts.region: count]))
    }

    private func refusal(_ world: ClusterWorld, _ wish: ReaderWish) async throws -> Refusal {
        let before = try await records(world).spec
        let refusal = try #require(await #expect(throws: Refusal.self) { try await ask(world, wish) })
        #expect(try await records(world).spec == before, "what is refused changes nothing")
        return refusal
    }

    /// As a reader says it.
    private func streams(_ reader: String, from upstream: String, _ world: ClusterWorld) async throws {
        var report = MemberReport(
            member: try MemberName(reader), role: .standby, state: .running, promised: .first, position: nil,
            timeline: 1,
            replayed: LSN(1), isStreaming: true, lagBytes: 0, lagMilliseconds: 10)
        (report.upstream, report.isOpen) = (try MemberName(upstream), true)
        try await put(report, world)
    }

    @Test(
        "Readers that are asked for are placed and made; asked for again, nothing changes; taken off, they are destroyed"
    )
    func comeAndGo() async throws {
        let world = try await ready()
        defer { world.remove() }
        let fence = try await world.takeDuty()
        let rule = try await records(world).rule
        #expect(try await scale(world, to: 2) == ["db-4", "db-5"])
        #expect(try await world.settle(under: fence))
        #expect(world.machines.count == 5 && world.volumes.count == 5)
        #expect(try await scale(world, to: 2) == ["db-4", "db-5"])
        #expect(try await records(world).rule == rule, "no rule names one")
        // Who serves nobody goes first, though it is the elder.
        try await streams("db-5", from: "db-2", world)
        #expect(try await scale(world, to: 1) == ["db-5"])
        #expect(try await world.settle(under: fence))
        #expect(world.machines.count == 4 && world.volumes.count == 4)
        #expect(try await records(world).reports[try MemberName("db-4")] == nil)
        // Numbers are given once.
        #expect(try await ask(world, .replace(try MemberName("db-5"), nil, nil)) == ["db-6"])
        #expect(try await ask(world, .remove(try MemberName("db-6"))) == [])
        #expect(try await world.settle(under: fence))
        #expect(world.machines.count == 3)
        let id = try await world.directory.requestMembers(of: world.cluster, .add(world.hosts.region, nil))
        #expect(id != nil)
        #expect(try await records(world).spec?.members.last?.name.text == "db-7")
    }

    @Test("A cluster that is destroyed takes its readers with it")
    func destroyed() async throws {
        let world = try await ready()
        defer { world.remove() }
        _ = try await scale(world, to: 1)
        let fence = try await world.takeDuty()
        #expect(try await world.settle(under: fence))
        try await world.directory.destroy(world.cluster)
        #expect(try await world.settle(under: fence))
        #expect(world.machines.isEmpty && world.volumes.isEmpty)
        #expect(try await refusedAsGone(world))
    }

    private func refusedAsGone(_ world: ClusterWorld) async throws -> Bool {
        do { _ = try await scale(world, to: 1) } catch let error as Refusal { return error.code == .notFound }
        return false
    }

    @Test(
        "No more readers than standbys can feed, none beside an only member, and none that members' programs do not know"
    )
    func refusals() async throws {
        let world = try await ready()
        defer { world.remove() }
        let many = try await refusal(world, .scale([world.hosts.region: 13]))
        #expect(many.code == .failedPrecondition && many.message.contains("for 2 standbys"), "\(many)")
        #expect(try await scale(world, to: 12).count == 12)
        #expect(try await refusal(world, .remove(try MemberName("db-1"))).code == .notFound)
        // Nor fewer members than feed those that there are.
        let fewer = try #require(
            await #expect(throws: Refusal.self) {
                try await world.directory.requestMembers(of: world.cluster, .remove(try MemberName("db-3")))
            })
        #expect(fewer.message.contains("12 readers are too many"), "\(fewer)")
        // Those that are to go feed nobody for long.
        let leaving = try await ready(members: 5)
        defer { leaving.remove() }
        _ = try await leaving.directory.requestMembers(of: leaving.cluster, .remove(try MemberName("db-5")))
        #expect(try await refusal(leaving, .scale([leaving.hosts.region: 19])).message.contains("for 3 standbys"))
        #expect(try await scale(leaving, to: 18).count == 18)
        let alone = try await ready(members: 1)
        defer { alone.remove() }
        #expect(try await refusal(alone, .scale([alone.hosts.region: 1])).message.contains("for 0 standbys"))
        let old = try await ready(skills: [.members])
        defer { old.remove() }
        let unknown = try await refusal(old, .scale([old.hosts.region: 1]))
        #expect(unknown.message.contains("the program of db-1, db-2, db-3 cannot do it"), "\(unknown)")
    }

    @Test("A reader is no member that is lost, and none whose word counts")
    func countsForNothing() async throws {
        let world = try await ready()
        defer { world.remove() }
        _ = try await scale(world, to: 1)
        #expect(try await world.settle(under: try await world.takeDuty()))
        let name = try MemberName("db-4")
        var report = MemberReport(
            member: name, role: .standby, state: .failed, promised: Epoch(9), position: nil, timeline: 1,
            replayed: LSN(1),
            isStreaming: false, lagBytes: 0, lagMilliseconds: 0)
        report.knowledge = MemberKnowledge(
            opened: Reign(epoch: Epoch(9), leader: name, begin: .zero),
            history: [Reign(epoch: Epoch(9), leader: name, begin: .zero)], timeline: 1, position: nil)
        try await put(report, world)
        let records = try await records(world)
        #expect(records.proofs.isEmpty && records.membersWithProof.isEmpty)
        let body = try #require(ClusterStatus.body(of: world.cluster, in: try await world.look()))
        #expect(body.status == .ready || body.status == .degraded, "\(body.status)")
        #expect(body.members.count == 3 && body.readers?.map(\.name) == [name])
    }

    @Test("What is shown of a reader is whom it follows, whether it serves, and how far it is behind")
    func shown() async throws {
        let world = try await ready()
        defer { world.remove() }
        _ = try await scale(world, to: 1)
        let fence = try await world.takeDuty()
        func reader() async throws -> (state: String, isServing: Bool, upstream: String?, lag: UInt64?) {
            let body = try #require(ClusterStatus.body(of: world.cluster, in: try await world.look()))
            let reader = try #require(body.readers?.first)
            return (reader.state, reader.isServing, reader.upstream?.text, reader.lagBytes)
        }
        #expect(try await reader() == ("unplaced", false, nil, nil))
        #expect(try await world.settle(under: fence))
        #expect(try await reader().isServing == false)
        try await streams("db-4", from: "db-2", world)
        var standby = try #require(try await records(world).reports[try MemberName("db-2")])
        (standby.replayed, standby.lagBytes) = (LSN(101), 50)
        standby.position = Position(epoch: .first, end: LSN(151))
        try await put(standby, world)
        #expect(try await reader() == ("running", true, "db-2", 150))
        // What feeds it is not fed itself; and a leader feeds nobody.
        standby.isStreaming = false
        try await put(standby, world)
        #expect(try await reader().isServing == false)
        try await streams("db-4", from: "db-1", world)
        #expect(try await reader().isServing == false)
    }

    @Test("The nearest region is that of the nearest host that answers")
    func near() throws {
        func path(_ host: String, _ microseconds: Int64?, isAnswering: Bool = true) throws -> PathMeasurement {
            PathMeasurement(
                peer: try HostName(host), roundTripMicroseconds: microseconds, jitterMicroseconds: nil,
                isAnswering: isAnswering, lossPercent: 0, probesSent: 1, probesAnswered: 1)
        }
        let (iad, sin, fra) = (try RegionCode("iad"), try RegionCode("sin"), try RegionCode("fra"))
        let hosts = try [HostName("iad1"): iad, HostName("iad2"): iad, HostName("sin1"): sin, HostName("fra1"): fra]
        let near = NearRegions()
        #expect(near.regions == nil)
        try near.note(
            [
                path("iad1", 90_000), path("sin1", 70_000), path("iad2", 60_000),
                path("fra1", 9_000, isAnswering: false),
                path("gone", 10),
            ], hosts)
        #expect(near.regions == [iad, sin])
        near.note([], hosts)
        #expect(near.regions == nil)
    }
}
