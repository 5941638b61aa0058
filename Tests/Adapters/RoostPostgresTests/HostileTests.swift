import Foundation
import Glibc
import RoostLinux
import RoostModel
import Testing

@testable import RoostPostgres

/// Whole members, and clients who mean them ill.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct HostileTests {
    private static let phrases = [
        "requested WAL segment 000000010000000000000001 has already been removed",
        "requested starting point 0/0 on timeline 1 is not in this server's history",
        "new timeline 2 forked off current database system timeline 1 before current recovery point 0/0",
        "can no longer access replication slot", "can no longer get changes from replication slot",
    ]

    @Test func whatClientsWriteChangesNothing() async throws {
        try await ClusterTests.with("hostile") { cluster in
            for number in TestCluster.numbers { try cluster.start(number) }
            let first = try await cluster.waitUntilReady(standbys: 2, within: .seconds(120))
            _ = try await cluster.query(first, "CREATE TABLE rows (row int); CREATE ROLE lowly LOGIN PASSWORD 'x'")
            for number in TestCluster.numbers {
                let name = try TestCluster.name(number)
                let isIn = try await poll(for: .seconds(20)) { cluster.store.isOpen(name) ? true : nil }
                #expect(isIn == true, "\(name)")
            }
            cluster.store.forgetStates()
            for number in TestCluster.numbers {
                for phrase in Self.phrases {
                    // Without any account, as the name of a user; then as an error and as a statement.
                    await #expect(throws: (any Error).self) { try await Self.login(cluster, number, user: phrase) }
                    let quoted = phrase.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''")
                    await #expect(throws: (any Error).self) {
                        try await cluster.query(number, "SELECT '\(quoted)'::int")
                    }
                    _ = try await cluster.query(
                        number, "DO $$ BEGIN RAISE LOG E'\\n\(Self.head)\(quoted)'; END $$")
                }
                try await expectArrived(at: number, of: cluster)
            }
            // Longer than a member looks before it asks its leader.
            let changed = try await poll(for: .seconds(5)) {
                cluster.store.hasSeen([.cloning, .empty, .rewinding, .waiting]) ? true : nil
            }
            #expect(changed == nil)
            #expect(try await cluster.waitUntilReady(standbys: 2, within: .seconds(5)) == first)
            _ = try await cluster.query(first, "INSERT INTO rows VALUES (1)")
        }
    }

    /// What the line of a process of Postgres itself begins with.
    private static let head = "2026-01-01 00:00:00 UTC [1] FATAL:  "
    /// Of a name Postgres takes 63 bytes.
    private static let nameBytes = 60

    /// Attacks that reach no log prove nothing.
    private func expectArrived(at number: Int, of cluster: TestCluster) async throws {
        let words = Self.phrases.flatMap { phrase in
            [
                "user \"\(phrase.prefix(Self.nameBytes))", "invalid input syntax for type integer: \"\(phrase)\"",
                "\t\(Self.head)\(phrase)\n",
            ]
        }
        var missing = words
        let haveArrived = try await poll(for: .seconds(10)) { () -> Bool? in
            let text = try cluster.log(number)
            missing.removeAll { text.contains($0) }
            return missing.isEmpty ? true : nil
        }
        #expect(haveArrived == true, "the log of m\(number) has no \(missing)")
    }

    private static func login(_ cluster: TestCluster, _ number: Int, user: String) async throws -> String {
        let letters = user.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "'", with: "\\'")
        let text =
            "host=\(TestGround.address(number)) user='\(letters)' password=wrong dbname=postgres connect_timeout=3"
        let line =
            cluster.ground.enter + [
                "chroot", cluster.ground.root, "/usr/lib/postgresql/17/bin/psql", "--no-psqlrc", "--command=SELECT 1",
                text,
            ]
        return try await Command(line[0], Array(line.dropFirst()), deadline: .seconds(10)).run().standardOutput
    }

    /// Both standbys frozen: every commit hangs, and the leader says so.
    @Test func aLeaderWhoseStandbysAreFrozenVouchesForNone() async throws {
        try await ClusterTests.with("hung") { cluster in
            for number in TestCluster.numbers { try cluster.start(number) }
            let first = try await cluster.waitUntilReady(standbys: 2, within: .seconds(120))
            let vouched = try await poll(for: .seconds(10)) {
                cluster.store.heartbeat?.standbys?.filter(\.isConfirming).count == 2 ? true : nil
            }
            #expect(vouched == true)
            let frozen = TestCluster.numbers.filter { $0 != first }
            for number in frozen {
                for process in TestProcess.postgres(of: cluster.ground.layout(number)) { kill(process, SIGSTOP) }
            }
            let noticed = try await poll(for: .seconds(20)) {
                cluster.store.heartbeat?.standbys?.contains(where: \.isConfirming) == false ? true : nil
            }
            #expect(noticed == true)
            let said = try await poll(for: .seconds(20)) { () -> Bool? in
                let reports = try frozen.compactMap { cluster.store.report(of: try TestCluster.name($0)) }
                let isSaid = reports.allSatisfy {
                    !$0.isStreaming && $0.detail?.contains("Postgres does not answer") == true
                }
                return reports.count == 2 && isSaid ? true : nil
            }
            #expect(said == true)
        }
    }
}
