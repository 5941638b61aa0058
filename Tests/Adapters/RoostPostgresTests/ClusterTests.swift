import Foundation
import Glibc
import RoostFailover
import RoostLinux
import RoostModel
import RoostWire
import Testing

@testable import RoostPostgres

/// Three members of the image with a store in memory: the whole of `roost-pg`, without hosts.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct ClusterTests {
    static func with(_ label: String, _ body: (TestCluster) async throws -> Void) async throws {
        try await TestGround.with(label) { ground in
            let cluster = try TestCluster(ground)
            defer { cluster.stop() }
            try await body(cluster)
        }
    }

    @Test func aClusterIsMadeSurvivesACrashAndTheLossOfItsLeader() async throws {
        try await Self.with("cluster") { cluster in
            let began = BootClock.now()
            for number in TestCluster.numbers { try cluster.start(number) }
            let first = try await cluster.waitUntilReady(standbys: 2, within: .seconds(120))
            print("cluster of three ready after \((BootClock.now() - began).milliseconds) ms")
            #expect(first == 1)
            try await Self.expectConfirmationsByRule(first, cluster)
            _ = try await cluster.query(first, "CREATE TABLE rows (row int); INSERT INTO rows VALUES (1)")

            // Postgres dies: the same member comes back, in the same epoch.
            let epoch = try #require(cluster.store.rule?.epoch)
            let postmaster = try #require(TestProcess.postmaster(of: cluster.ground.layout(first)))
            // For want of memory the kernel takes any of its children before it.
            let scores = TestProcess.children(of: postmaster).compactMap { Self.outOfMemoryScore($0) }
            #expect(scores.count >= 5)
            #expect(Set(scores) == [Postmaster.childOutOfMemoryScore])
            #expect(try #require(Self.outOfMemoryScore(postmaster)) < Postmaster.childOutOfMemoryScore)
            let crashed = BootClock.now()
            kill(postmaster, SIGKILL)
            try await Self.write(2, cluster, within: .seconds(30))
            print("write again after a crash \((BootClock.now() - crashed).milliseconds) ms")
            #expect(cluster.store.rule?.epoch == epoch)
            #expect(cluster.leader == first)
            try await Self.expectConfirmationsByRule(first, cluster)

            // The leader's machine dies: another member leads, with every confirmed row.
            _ = try await cluster.waitUntilReady(standbys: 2)
            let lost = BootClock.now()
            cluster.kill(first)
            let second = try await cluster.waitUntilReady(other: first, standbys: 0)
            try await Self.write(3, cluster, within: .seconds(30))
            print("write again after the loss of the leader \((BootClock.now() - lost).milliseconds) ms")
            #expect(try #require(cluster.store.rule?.epoch) > epoch)
            try await Self.expectConfirmationsByRule(second, cluster)
            #expect(try await cluster.query(second, "SELECT row FROM rows ORDER BY 1") == "1\n2\n3\n")

            // It comes back as a standby by itself.
            try cluster.start(first)
            #expect(try await cluster.waitUntilReady(standbys: 2) == second)
            let name = try TestCluster.name(first)
            #expect(cluster.store.report(of: name)?.role == .standby)
            try Self.expectOneLeaderInEachEpoch(cluster)
        }
    }

    @Test func aLeaderCutOffFromTheStoreStopsAndASwitchoverLosesNothing() async throws {
        try await Self.with("lease") { cluster in
            for number in TestCluster.numbers { try cluster.start(number) }
            let first = try await cluster.waitUntilReady(standbys: 2, within: .seconds(120))
            _ = try await cluster.query(first, "CREATE TABLE rows (row int); INSERT INTO rows VALUES (1)")
            let name = try TestCluster.name(first)
            cluster.store.cut(name, true)
            let second = try await cluster.waitUntilReady(other: first, standbys: 1)
            let layout = cluster.ground.layout(first)
            let isDown = try await poll(for: .seconds(10)) { () -> Bool? in
                // A detached standby may run already.
                guard let answer = try? await cluster.query(first, "SELECT pg_is_in_recovery()") else {
                    return TestProcess.postgres(of: layout).isEmpty ? true : nil
                }
                return answer == "t\n" ? true : nil
            }
            #expect(isDown == true, "the old leader must have stopped when its lease was over")
            cluster.store.cut(name, false)
            #expect(try await cluster.waitUntilReady(standbys: 2) == second)

            let asked = BootClock.now()
            try await Self.switchOver(cluster, to: name)
            #expect(try await cluster.waitUntilReady(other: second, standbys: 1) == first)
            print("switchover \((BootClock.now() - asked).milliseconds) ms")
            #expect(try await cluster.query(first, "SELECT row FROM rows") == "1\n")
            // What held log and dead rows for the standbys of its reign is gone.
            _ = try await cluster.waitUntilReady(standbys: 2)
            let isTidy = try await poll(for: .seconds(2)) { () -> Bool? in
                try await cluster.superuser(second, "SELECT count(*) FROM pg_replication_slots") == "0\n" ? true : nil
            }
            #expect(isTidy == true)
            try Self.expectOneLeaderInEachEpoch(cluster)
        }
    }

    /// For several leases, and of two standbys first one starts anew, then the other, then the primary's Postgres.
    @Test func aPrimaryGoesOnAndItsStandbyComesBackWithoutTheStore() async throws {
        try await Self.with("away") { cluster in
            for number in TestCluster.numbers { try cluster.start(number) }
            let first = try await cluster.waitUntilReady(standbys: 2, within: .seconds(120))
            let epoch = try #require(cluster.store.rule?.epoch)
            _ = try await cluster.query(first, "CREATE TABLE rows (row int)")
            for number in TestCluster.numbers { cluster.store.cut(try TestCluster.name(number), true) }
            let away = BootClock.now()
            let standbys = TestCluster.numbers.filter { $0 != first }
            for standby in standbys {
                cluster.kill(standby)
                _ = try await cluster.query(first, "INSERT INTO rows VALUES (\(standby))")
                try cluster.start(standby)
                try await Self.waitForStream(of: standby, at: first, cluster)
                // A reader there, too.
                let row = try await poll(for: .seconds(20)) { () -> String? in
                    let row = try? await cluster.query(standby, "SELECT row FROM rows WHERE row = \(standby)")
                    return row == "\(standby)\n" ? row : nil
                }
                #expect(row != nil)
            }
            let postmaster = try #require(TestProcess.postmaster(of: cluster.ground.layout(first)))
            kill(postmaster, SIGKILL)
            let isBack = try await poll(for: .seconds(30)) { () -> Bool? in
                (try? await cluster.query(first, "INSERT INTO rows VALUES (0)")) == nil ? nil : true
            }
            #expect(isBack == true)
            let isLong = try await poll(for: .seconds(30)) { () -> Bool? in
                _ = try await cluster.query(first, "INSERT INTO rows VALUES (100)")
                return BootClock.now() - away > .seconds(20) ? true : nil
            }
            #expect(isLong == true)
            // Its host is told, which would end its machine.
            let word = try #require(cluster.store.lease(of: try TestCluster.name(first)))
            #expect(word.count > 10 && word.word.epoch == epoch)
            for number in TestCluster.numbers { cluster.store.cut(try TestCluster.name(number), false) }
            #expect(try await cluster.waitUntilReady(standbys: 2) == first)
            #expect(cluster.store.rule?.epoch == epoch)
            try Self.expectOneLeaderInEachEpoch(cluster)
        }
    }

    private static func waitForStream(of standby: Int, at leader: Int, _ cluster: TestCluster) async throws {
        let name = try TestCluster.name(standby)
        let statement =
            "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND application_name LIKE '\(name).%'"
        let streams = try await poll(for: .seconds(40)) { () -> Bool? in
            try await cluster.superuser(leader, statement) == "1\n" ? true : nil
        }
        #expect(streams == true, "\(name) does not stream")
    }

    @Test func nothingConfirmedIsLostWithTheLeadersMachine() async throws {
        try await Self.with("writer") { cluster in
            for number in TestCluster.numbers { try cluster.start(number) }
            let first = try await cluster.waitUntilReady(standbys: 2, within: .seconds(120))
            let writer = try cluster.startWriter()
            defer { TestProcess.end(writer.process) }
            try await Self.waitForRows(100, in: writer.output)
            cluster.kill(first)
            _ = try await cluster.waitUntilReady(other: first, standbys: 1)
            let before = try Self.rows(in: writer.output).count
            try await Self.waitForRows(before + 100, in: writer.output)
            kill(writer.process, SIGTERM)
            let summary = try await poll(for: .seconds(5)) { () -> String? in
                try Self.lines(of: writer.output).last { $0.contains("max_gap_ms") }
            }
            print("writer: \(summary ?? "no summary")")
            #expect(summary != nil)
            try DurableFile.write(
                try Self.rows(in: writer.output).map { "\($0)\n" }.joined(),
                to: "\(cluster.ground.root)\(cluster.ground.folder)/rows")
            let line =
                cluster.ground.enterWithProc + [
                    cluster.ground.program, "verify", "--url", cluster.anyURL,
                    "--rows",
                    "\(cluster.ground.folder)/rows", "--json",
                ]
            let verified = try await Command(line[0], Array(line.dropFirst()), deadline: .seconds(60)).run()
            #expect(verified.standardOutput.contains(#""missing":[]"#))
        }
    }

    /// The hardest case: Postgres lives on, and nothing that watches it does.
    @Test func anOldLeaderWithAFrozenSupervisorConfirmsNothing() async throws {
        try await Self.with("frozen") { cluster in
            for number in TestCluster.numbers { try cluster.start(number) }
            let first = try await cluster.waitUntilReady(standbys: 2, within: .seconds(120))
            _ = try await cluster.query(first, "CREATE TABLE rows (row int)")
            let supervisor = try #require(cluster.supervisor(first))
            for process in [supervisor.first, supervisor.member] { kill(process, SIGSTOP) }
            let second = try await cluster.waitUntilReady(other: first, standbys: 1)
            // It still answers, and still does not confirm.
            #expect(try await cluster.query(first, "SELECT count(*) FROM rows") == "0\n")
            let refused = await Self.isRefused {
                try await cluster.query(first, "INSERT INTO rows VALUES (1)", within: 3)
            }
            #expect(refused, "a commit of the old epoch was confirmed")
            _ = try await cluster.query(second, "INSERT INTO rows VALUES (2)")

            for process in [supervisor.member, supervisor.first] { kill(process, SIGCONT) }
            // Its lease is over: the machine ends or its Postgres does, and it comes back as a standby.
            let isFenced = try await poll(for: .seconds(10)) { () -> Bool? in
                if cluster.hasEnded(first) {
                    cluster.kill(first)
                    try cluster.start(first)
                }
                return cluster.store.report(of: try TestCluster.name(first))?.role == .standby ? true : nil
            }
            #expect(isFenced == true)
            #expect(try await cluster.waitUntilReady(standbys: 2) == second)
            let rows = try await poll(for: .seconds(10)) {
                try? await cluster.query(first, "SELECT row FROM rows") == "2\n" ? true : nil
            }
            #expect(rows == true)
        }
    }

    @Test func processOneEndsTheMachineWhenTheMemberIsFrozen() async throws {
        try await Self.with("init") { cluster in
            for number in TestCluster.numbers { try cluster.start(number) }
            let first = try await cluster.waitUntilReady(standbys: 2, within: .seconds(120))
            kill(try #require(cluster.supervisor(first)).member, SIGSTOP)
            let frozen = BootClock.now()
            let ended = try await poll(for: .seconds(15)) { cluster.hasEnded(first) ? true : nil }
            #expect(ended == true)
            print("process 1 ended the machine after \((BootClock.now() - frozen).milliseconds) ms")
        }
    }

    @Test func aLeaderThatIsAskedToStopHandsOver() async throws {
        try await Self.with("stop") { cluster in
            for number in TestCluster.numbers { try cluster.start(number) }
            let first = try await cluster.waitUntilReady(standbys: 2, within: .seconds(120))
            _ = try await cluster.query(first, "CREATE TABLE rows (row int); INSERT INTO rows VALUES (1)")
            kill(try #require(cluster.supervisor(first)).first, SIGTERM)
            let asked = BootClock.now()
            let ended = try await poll(for: .seconds(15)) { cluster.hasEnded(first) ? true : nil }
            #expect(ended == true)
            let second = try await cluster.waitUntilReady(other: first, standbys: 1)
            print("handed over on SIGTERM after \((BootClock.now() - asked).milliseconds) ms")
            #expect(try await cluster.query(second, "SELECT row FROM rows") == "1\n")
        }
    }

    /// By the superuser, in the standby's machine. Once while it is watched, and once while nobody watches: then its machine
    /// comes back with bytes that nobody else has, and the leader's is lost.
    @Test func aStandbyPromotedByHandIsNoticedAndItsBytesWinNothing() async throws {
        try await Self.with("stray") { cluster in
            for number in TestCluster.numbers { try cluster.start(number) }
            let first = try await cluster.waitUntilReady(standbys: 2, within: .seconds(120))
            _ = try await cluster.query(first, "CREATE TABLE rows (row int); INSERT INTO rows VALUES (1)")
            let stray = first == 3 ? 2 : 3
            let name = try TestCluster.name(stray)
            // Noticed so soon that the answer may not come through.
            let promoted = BootClock.now()
            _ = try? await cluster.superuser(stray, "SELECT pg_promote(false)")
            let closed = try await poll(for: .seconds(10), every: .milliseconds(20)) {
                cluster.store.isOpen(name) ? nil : true
            }
            #expect(closed == true)
            print("a stray primary was closed after \((BootClock.now() - promoted).milliseconds) ms")
            let named = try await poll(for: .seconds(5), every: .milliseconds(20)) {
                cluster.store.report(of: name)?.detail?.contains("promoted") == true ? true : nil
            }
            #expect(named == true)
            #expect(try await cluster.waitUntilReady(standbys: 2) == first)

            let supervisor = try #require(cluster.supervisor(stray))
            // It lets clients in, and will, with nobody to close it.
            let isIn = try await poll(for: .seconds(20)) { () -> Bool? in
                (try? await cluster.query(stray, "SELECT 1")) == nil ? nil : true
            }
            #expect(isIn == true)
            for process in [supervisor.first, supervisor.member] { kill(process, SIGSTOP) }
            _ = try await cluster.superuser(stray, "SELECT pg_promote()")
            _ = try await cluster.superuser(stray, "SET synchronous_commit = local; INSERT INTO rows VALUES (9002)")
            _ = try await cluster.query(first, "INSERT INTO rows VALUES (22)")
            cluster.kill(stray)
            cluster.kill(first)
            try cluster.start(stray)
            let second = try await cluster.waitUntilReady(other: first, standbys: 1)
            #expect(second != stray)
            for member in [second, stray] {
                let rows = try await poll(for: .seconds(20)) { () -> Bool? in
                    let rows = try? await cluster.query(member, "SELECT row FROM rows ORDER BY 1")
                    return rows == "1\n22\n" ? true : nil
                }
                #expect(rows == true, "m\(member)")
            }
            try Self.expectOneLeaderInEachEpoch(cluster)
        }
    }

    private static func outOfMemoryScore(_ process: pid_t) -> Int? {
        let text = (try? DurableFile.read("/proc/\(process)/oom_score_adj")) ?? nil
        return text.flatMap { Int(String(decoding: $0, as: UTF8.self).filter { !$0.isWhitespace }) }
    }

    /// Asks again when it is refused: a standby that has just come back may not be up to date yet.
    private static func switchOver(_ cluster: TestCluster, to target: MemberName) async throws {
        var attempt = 0
        let done = try await poll(for: .seconds(30)) { () -> Bool? in
            guard let rule = cluster.store.rule, rule.leader != target else { return true }
            if rule.switchover.map({ $0.refusal != nil }) ?? (rule.recruitment == nil) {
                attempt += 1
                cluster.store.ask(RoostModel.SwitchoverRequest(id: "test \(attempt)", target: target))
            }
            return nil
        }
        #expect(done == true)
    }

    private static func isRefused(_ body: () async throws -> String) async -> Bool {
        do {
            _ = try await body()
            return false
        } catch {
            return true
        }
    }

    private static func lines(of file: String) throws -> [String] {
        String(decoding: try DurableFile.read(file) ?? [], as: UTF8.self).split(separator: "\n").map(String.init)
    }

    private struct Line: Decodable { var row: Int64? }

    private static func rows(in file: String) throws -> [Int64] {
        // The last line may be half written.
        try lines(of: file).compactMap { try? JSONDecoder().decode(Line.self, from: Data($0.utf8)).row }
    }

    private static func waitForRows(_ count: Int, in file: String) async throws {
        let found = try await poll(for: .seconds(60)) { try rows(in: file).count >= count ? true : nil }
        if found == nil { throw PostgresError("write rows", "\(try lines(of: file).suffix(3))") }
    }

    private static func write(_ row: Int, _ cluster: TestCluster, within deadline: Duration) async throws {
        let done = try await poll(for: deadline, every: .milliseconds(50)) { () -> Bool? in
            guard let leader = cluster.leader else { return nil }
            // A lost answer may have been a yes: once is enough.
            let statement = "INSERT INTO rows SELECT \(row) WHERE NOT EXISTS (SELECT FROM rows WHERE row = \(row))"
            return (try? await cluster.query(leader, statement)) == nil ? nil : true
        }
        #expect(done == true, "row \(row) was not written")
    }

    /// What the leader's Postgres goes by, not what stands in a file.
    private static func expectConfirmationsByRule(_ leader: Int, _ cluster: TestCluster) async throws {
        let rule = try #require(cluster.store.rule)
        let standbys = rule.members.filter { $0 != rule.leader }.map { "\"\($0).e\(rule.epoch)\"" }
        let names = try await cluster.superuser(leader, "SHOW synchronous_standby_names")
        #expect(names == "ANY \(rule.confirmations) (\(standbys.joined(separator: ", ")))\n")
    }

    private static func expectOneLeaderInEachEpoch(_ cluster: TestCluster) throws {
        var leaders: [UInt64: MemberName] = [:]
        #expect(!cluster.store.rules.isEmpty)
        for rule in cluster.store.rules {
            if let known = leaders[rule.epoch.number] { #expect(known == rule.leader) }
            leaders[rule.epoch.number] = rule.leader
        }
    }
}
