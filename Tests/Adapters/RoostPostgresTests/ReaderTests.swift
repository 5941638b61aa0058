import Foundation
import Glibc
import RoostFailover
import RoostLinux
import RoostModel
import RoostWire
import Testing

@testable import RoostPostgres

/// A cluster of three with a reader, of the image, with a store in memory.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct ReaderTests {
    private let reader = TestCluster.reader

    private func with(_ label: String, _ body: (TestCluster, MemberName) async throws -> Void) async throws {
        try await TestGround.with(label) { ground in
            try await ground.move(apart: reader)
            let cluster = try TestCluster(ground, withReader: true)
            defer { cluster.stop() }
            for number in TestCluster.numbers { try cluster.start(number) }
            _ = try await cluster.waitUntilReady(standbys: 2, within: .seconds(120))
            try cluster.start(reader)
            try await body(cluster, try TestCluster.name(reader))
        }
    }

    /// It lets clients in, and they see the row.
    private func expect(
        _ row: Int, at reader: Int, _ cluster: TestCluster, within deadline: Duration = .seconds(60),
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let name = try TestCluster.name(reader)
        let seen = try await poll(for: deadline) { () -> Bool? in
            guard cluster.store.isOpen(name) else { return nil }
            return try? await cluster.query(reader, "SELECT row FROM rows WHERE row = \(row)") == "\(row)\n"
                ? true : nil
        }
        #expect(
            seen == true, "row \(row) was not seen; it says \(String(describing: cluster.store.report(of: name)))",
            sourceLocation: sourceLocation)
    }

    private func isClosed(_ name: MemberName, _ cluster: TestCluster, within deadline: Duration) async throws -> Bool {
        try await poll(for: deadline, every: .milliseconds(20)) { cluster.store.isOpen(name) ? nil : true } == true
    }

    private func leader(_ cluster: TestCluster) throws -> Int { try #require(cluster.leader) }

    @Test func aReaderCopiesAStandbyServesAndGoesOnAfterFailovers() async throws {
        try await with("reader") { cluster, name in
            let first = try leader(cluster)
            _ = try await cluster.query(first, "CREATE TABLE rows (row int); INSERT INTO rows VALUES (1)")
            try await expect(1, at: reader, cluster)
            // Not the leader feeds it, and the cluster does not know it.
            let upstream = try #require(cluster.store.report(of: name)?.upstream)
            #expect(TestCluster.number(upstream) != first)
            #expect(
                try await cluster.superuser(
                    first, "SELECT count(*) FROM pg_stat_replication WHERE usename = 'roost_replicator'") == "2\n")
            #expect(try await cluster.superuser(first, "SELECT count(*) FROM pg_replication_slots") == "2\n")
            #expect(cluster.store.rule?.members.contains(name) == false)

            // Its standby becomes the leader: it has to go to another one.
            cluster.kill(first)
            let second = try await cluster.waitUntilReady(other: first, standbys: 1)
            _ = try await cluster.query(second, "INSERT INTO rows VALUES (2)")
            try await expect(2, at: reader, cluster)
            #expect(try #require(cluster.store.report(of: name)?.upstream) != cluster.store.rule?.leader)

            try cluster.start(first)
            _ = try await cluster.waitUntilReady(standbys: 2)
            // And another time, while it stands still itself.
            let supervisor = try #require(cluster.supervisor(reader))
            for process in [supervisor.first, supervisor.member] { kill(process, SIGSTOP) }
            cluster.kill(second)
            let third = try await cluster.waitUntilReady(other: second, standbys: 1)
            _ = try await cluster.query(third, "INSERT INTO rows VALUES (3)")
            for process in [supervisor.member, supervisor.first] { kill(process, SIGCONT) }
            try await expect(3, at: reader, cluster)
            let report = try #require(cluster.store.report(of: name))
            #expect(report.position == nil && report.chain == nil && report.knowledge == nil)
            #expect(!cluster.store.rules.contains { $0.members.contains(name) || $0.change != nil })
        }
    }

    /// What nobody else has is what a leader alone has written. Of a standby that is promoted a reader would get that, on the
    /// stream that it has.
    @Test func aReaderThatStandsStillShowsNothingOfALeaderThatItFollows() async throws {
        try await with("unconfirmed") { cluster, name in
            let first = try leader(cluster)
            _ = try await cluster.query(first, "CREATE TABLE rows (row int); INSERT INTO rows VALUES (1)")
            try await expect(1, at: reader, cluster)
            let upstream = TestCluster.number(try #require(cluster.store.report(of: name)?.upstream))
            let other = try #require(TestCluster.numbers.first { $0 != first && $0 != upstream })
            // Its supervisor hears nothing any more, and its Postgres goes on.
            let supervisor = try #require(cluster.supervisor(reader))
            for process in [supervisor.first, supervisor.member] { kill(process, SIGSTOP) }
            let asked = SwitchoverRequest(id: "to its standby", target: try TestCluster.name(upstream))
            cluster.store.ask(asked)
            #expect(try await cluster.waitUntilReady(other: first, standbys: 2) == upstream)
            cluster.kill(first)
            cluster.kill(other)
            let line = try await cluster.superuser(
                upstream, "SET synchronous_commit = local; INSERT INTO rows VALUES (9)")
            #expect(line.contains("INSERT"))
            let streams = try await cluster.superuser(
                upstream, "SELECT count(*) FROM pg_stat_replication WHERE application_name LIKE '\(name).%'")
            #expect(streams == "0\n")
            // As long as it would take to come.
            let shown = try await poll(for: .seconds(3), every: .milliseconds(100)) { () -> Bool? in
                let rows = try? await cluster.superuser(reader, "SELECT count(*) FROM rows WHERE row = 9")
                return rows == "0\n" ? nil : true
            }
            #expect(shown == nil)
            for process in [supervisor.member, supervisor.first] { kill(process, SIGCONT) }
            #expect(try await isClosed(name, cluster, within: .seconds(15)))
        }
    }

    /// Who is root in its machine has the members' password, and may stream without a slot, by the name that a standby has in the
    /// next epoch.
    @Test func whoStreamsWithoutASlotConfirmsNothingOnceItsStandbyLeads() async throws {
        try await with("slotless") { cluster, name in
            let first = try leader(cluster)
            _ = try await cluster.query(first, "CREATE TABLE rows (row int); INSERT INTO rows VALUES (1)")
            try await expect(1, at: reader, cluster)
            let upstream = TestCluster.number(try #require(cluster.store.report(of: name)?.upstream))
            let other = try #require(TestCluster.numbers.first { $0 != first && $0 != upstream })
            let next = try #require(cluster.store.rule).epoch.next
            let stolen = StreamName(member: try TestCluster.name(other), epoch: next)
            let stream = try cluster.ground.receive(from: upstream, by: "\(stolen)")
            defer { TestProcess.end(stream) }
            let streams = "SELECT count(*) FROM pg_stat_replication WHERE client_addr = '\(TestGround.address(reader))'"
            let isThere = try await poll(for: .seconds(20)) { () -> Bool? in
                try await cluster.superuser(upstream, streams) == "2\n" ? true : nil
            }
            #expect(isThere == true)
            cluster.store.ask(SwitchoverRequest(id: "to its standby", target: try TestCluster.name(upstream)))
            #expect(try await cluster.waitUntilReady(other: first, standbys: 2) == upstream)
            #expect(cluster.store.rule?.epoch == next)
            #expect(try await cluster.superuser(upstream, streams) == "0\n")
            cluster.kill(first)
            cluster.kill(other)
            await #expect(throws: (any Error).self, "nobody has it") {
                try await cluster.query(upstream, "INSERT INTO rows VALUES (9)", within: 5)
            }
        }
    }

    @Test func aReaderWithoutAStreamClosesAndOneThatFellFarBehindMakesACopy() async throws {
        try await with("standstill") { cluster, name in
            let first = try leader(cluster)
            _ = try await cluster.query(first, "CREATE TABLE rows (row int); INSERT INTO rows VALUES (1)")
            try await expect(1, at: reader, cluster)
            try await cluster.ground.join(apart: reader, false)
            let cut = BootClock.now()
            #expect(try await isClosed(name, cluster, within: .seconds(20)))
            #expect(BootClock.now() - cut >= .seconds(9))
            // It takes one standby after the other, and the slot of the one that it has left is gone.
            let standbys = TestCluster.numbers.filter { $0 != first }
            let isFree = try await poll(for: .seconds(40)) { () -> Bool? in
                for number in standbys {
                    let held = try await cluster.superuser(
                        number, "SELECT count(*) FROM pg_replication_slots WHERE restart_lsn IS NOT NULL")
                    guard held == "0\n" else { return nil }
                }
                return true
            }
            #expect(isFree == true)
            cluster.store.forgetStates()
            try await fill(first, until: standbys, cluster)
            _ = try await cluster.query(first, "INSERT INTO rows VALUES (2)")
            let held = try await cluster.superuser(
                first, "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE '\(name)%'")
            #expect(held == "0\n")
            try await cluster.ground.join(apart: reader, true)
            try await expect(2, at: reader, cluster, within: .seconds(90))
            #expect(cluster.store.hasSeen([.cloning], of: name))
        }
    }

    /// Writes more log than anybody keeps for nobody: what is there now is gone from the standbys afterwards.
    private func fill(_ leader: Int, until standbys: [Int], _ cluster: TestCluster) async throws {
        let present = try await cluster.superuser(leader, "SELECT pg_walfile_name(pg_current_wal_lsn())")
        let file = present.filter { !$0.isWhitespace }
        let isGone = try await poll(for: .seconds(120)) { () -> Bool? in
            _ = try await cluster.superuser(
                leader,
                """
                DO $$ BEGIN FOR i IN 1..30 LOOP
                PERFORM pg_logical_emit_message(false, 'fill', 'x'); PERFORM pg_switch_wal();
                END LOOP; END $$
                """, within: 60)
            for number in [leader] + standbys { _ = try await cluster.superuser(number, "CHECKPOINT", within: 60) }
            for number in standbys {
                let there = try await cluster.superuser(
                    number, "SELECT count(*) FROM pg_ls_waldir() WHERE name = '\(file)'")
                guard there == "0\n" else { return nil }
            }
            return true
        }
        #expect(isGone == true)
    }
}
