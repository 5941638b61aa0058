import RoostLinux
import RoostModel
import RoostPlanet
import RoostStore
import Testing

@testable import RoostControl
@testable import RoostPostgresControl

/// What operators ask of a cluster that runs.
@Suite("Maintenance") struct MaintenanceTests {
    private func rule(_ world: ClusterWorld) async throws -> ClusterRule {
        try #require(try await world.look().clusters[world.cluster]?.rule)
    }

    /// A cluster whose members can do what this version can.
    private func ready(skills: [MemberSkill]? = MemberSkill.known) async throws -> ClusterWorld {
        let world = try await ClusterWorld()
        try await world.create()
        try await world.becomeReady()
        let reports = try #require(try await world.look().clusters[world.cluster]?.reports)
        let puts = try reports.values.map { report in
            var report = report
            report.skills = skills
            return try Transaction.Operation.put(report, at: StoreKeys.report(world.cluster, report.member))
        }
        _ = try await world.store.commit(Transaction(then: puts))
        return world
    }

    @Test("A pause is in the rule, is counted anew when it is asked for again, and ends when somebody says so")
    func pause() async throws {
        let world = try await ready()
        defer { world.remove() }
        for length in [Duration.seconds(3600), .seconds(60)] {
            let before = WallClock.milliseconds()
            try await world.directory.pause(world.cluster, for: length)
            let pause = try #require(try await rule(world).pause)
            #expect(pause.length == length && (before...WallClock.milliseconds()).contains(pause.beganAt))
        }
        for _ in 0..<2 {
            try await world.directory.resume(world.cluster)
            #expect(try await rule(world).pause == nil)
        }
    }

    @Test("What cannot be paused is refused with the reason, and the rule stays as it was")
    func refusals() async throws {
        let world = try await ready(skills: nil)
        defer { world.remove() }
        func refusal(_ length: Duration = .seconds(60)) async throws -> String {
            let before = try await rule(world)
            let refusal = await #expect(throws: Refusal.self) {
                try await world.directory.pause(world.cluster, for: length)
            }
            #expect(try await rule(world) == before)
            return refusal.map { "\($0.code) \($0.message)" } ?? ""
        }
        // Members of the version before would call a recruitment all the same.
        #expect(try await refusal().contains("the program of db-1, db-2, db-3 cannot do it"))
        #expect(try await refusal(.seconds(86_401)).contains("a pause has 1 to 86400 seconds"))
        #expect(try await refusal(.zero).contains("a pause has"))
        var called = try await rule(world)
        called.recruitment = Recruitment(epoch: Epoch(2), proposer: called.members[1], reason: .leaderSilent)
        _ = try await world.store.commit(
            Transaction(then: [try .put(called, at: StoreKeys.clusterRule(world.cluster))]))
        #expect(try await refusal().contains("changing its leader"))
        let nobody = await #expect(throws: Refusal.self) {
            try await world.directory.resume(try AppName("nobody"))
        }
        #expect(nobody?.code == .notFound)
    }
}
