import Foundation
import Glibc
import RoostFailover
import RoostLinux
import RoostModel
import Testing

@testable import RoostPostgres

/// What an operator asks of a cluster that runs, carried out by `roost-pg` and Postgres.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct MaintenanceTests {
    @Test func aClusterIsStartedAnewOneByOneAndAPausedOneKeepsItsLeader() async throws {
        try await ClusterTests.with("maintenance") { cluster in
            for number in TestCluster.numbers { try cluster.start(number) }
            let first = try await cluster.waitUntilReady(standbys: 2, within: .seconds(120))
            _ = try await cluster.query(first, "CREATE TABLE rows (row int); INSERT INTO rows VALUES (1)")
            let before = try TestCluster.numbers.map { try #require(Self.postmaster($0, cluster)) }
            let epoch = try #require(cluster.store.rule?.epoch)
            let members = try TestCluster.numbers.map { try TestCluster.name($0) }
            let wish = RestartRequest(
                id: "all", members: members, handsOver: true,
                term: WishTerm(beganAt: WallClock.milliseconds(), length: .seconds(120)))
            cluster.store.ask { $0.restart = wish }
            let done = try await poll(for: .seconds(60)) { () -> [MemberName]? in
                cluster.store.rule?.restart.flatMap { $0.left.isEmpty ? $0.done : nil }
            }
            // Whoever led came last, and handed over once.
            #expect(done?.count == 3 && done?.last == members[first - 1], "\(String(describing: done))")
            let second = try await cluster.waitUntilReady(other: first, standbys: 2)
            #expect(cluster.store.rule?.epoch == epoch.next)
            for (number, postmaster) in zip(TestCluster.numbers, before) {
                #expect(Self.postmaster(number, cluster) != postmaster, "m\(number)")
            }
            #expect(try await cluster.query(second, "SELECT row FROM rows") == "1\n")
            try await Self.keepsItsLeader(second, cluster)
        }
    }

    /// Its machine is away for longer than others wait otherwise.
    private static func keepsItsLeader(_ leader: Int, _ cluster: TestCluster) async throws {
        let epoch = cluster.store.rule?.epoch
        cluster.store.ask { $0.pause = WishTerm(beganAt: WallClock.milliseconds(), length: .seconds(600)) }
        cluster.kill(leader)
        let called = try await poll(for: .seconds(8)) { () -> ClusterRule? in
            cluster.store.rule.flatMap { $0.epoch != epoch || $0.recruitment != nil ? $0 : nil }
        }
        #expect(called == nil)
        try cluster.start(leader)
        #expect(try await cluster.waitUntilReady(standbys: 2) == leader)
        #expect(cluster.store.rule?.epoch == epoch)
        // Ended, and the next time somebody else leads.
        cluster.store.ask { $0.pause = nil }
        cluster.kill(leader)
        _ = try await cluster.waitUntilReady(other: leader, standbys: 1)
    }

    private static func postmaster(_ number: Int, _ cluster: TestCluster) -> pid_t? {
        TestProcess.postmaster(of: cluster.ground.layout(number))
    }
}
