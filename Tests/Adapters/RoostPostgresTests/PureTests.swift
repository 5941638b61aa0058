import Foundation
import Glibc
import RoostCertificates
import RoostFailover
import RoostLinux
import RoostModel
import Testing

@testable import RoostPostgres

@Suite struct WaldumpTextTests {
    @Test func aRecordIsReadFromItsLine() {
        let line =
            "rmgr: Heap        len (rec/tot):     54/    54, tx:        733, lsn: 0/0152A1C8, prev 0/0152A190, desc"
        let records = WaldumpText.records(in: line)
        #expect(records == [.init(begin: LSN(0x152_a1c8), length: 54)])
        #expect(records.first?.end(segmentSize: 16 << 20) == LSN(0x152_a200))
    }

    /// Replay's end is then the segment's, whatever was to come in it.
    @Test func aSwitchGoesUpToTheSegmentsEnd() {
        let line =
            "rmgr: XLOG        len (rec/tot):     24/    24, tx:          0, lsn: 0/01516A28, prev 0/015169B0, desc: SWITCH "
        let record = WaldumpText.records(in: line).first
        #expect(record == .init(begin: LSN(0x151_6a28), length: 24, isSwitch: true))
        #expect(record?.end(segmentSize: 16 << 20) == LSN(0x200_0000))
        #expect(record?.end(segmentSize: 4 << 20) == LSN(0x180_0000))
        let last = WaldumpText.Record(begin: LSN(0x200_0000 - 24), length: 24, isSwitch: true)
        #expect(last.end(segmentSize: 16 << 20) == LSN(0x200_0000))
        let other = line.replacingOccurrences(of: "SWITCH", with: "NOOP")
        #expect(WaldumpText.records(in: other).first?.end(segmentSize: 16 << 20) == LSN(0x151_6a40))
    }

    @Test func theLastRecordIsReadFromTheError() {
        let text = "pg_waldump: error: error in WAL record at 0/3000148: invalid record length at 0/3000180: expected"
        #expect(WaldumpText.lastRecord(inError: text) == LSN(0x300_0148))
        #expect(WaldumpText.lastRecord(inError: "pg_waldump: error: could not find file") == nil)
    }

    /// A record that goes over a page: 24 bytes of header. Over a segment's first page: 40.
    static let ends: [[UInt64]] = [
        [8192 - 16, 32, 8192 + 24 + 16],
        [16_777_216 - 16, 32, 16_777_216 + 40 + 16],
        [8192 + 24, 8192 - 24, 16384],
    ]

    @Test(arguments: ends) func aRecordsEndCountsPageHeaders(_ numbers: [UInt64]) {
        let record = WaldumpText.Record(begin: LSN(numbers[0]), length: numbers[1])
        #expect(record.end(segmentSize: 16 << 20) == LSN(numbers[2]))
    }
}

@Suite struct LogSegmentTests {
    /// A name's last part counts the segments of 4 GiB, so it grows with smaller ones.
    @Test func whereASegmentEndsDependsOnTheirSize() throws {
        let segment = try #require(LogSegment(fileName: "00000003000000020000000A"))
        #expect(segment.timeline == 3)
        #expect(segment.end(segmentSize: 16 << 20) == 0x2_0B00_0000)
        #expect(segment.end(segmentSize: 4 << 20) == 0x2_02C0_0000)
        for name in ["00000003.history", "00000003000000020000000A.partial", "archive_status", ""] {
            #expect(LogSegment(fileName: name) == nil)
        }
    }
}

@Suite struct ReplicatorLoginTests {
    @Test(arguments: [
        ("/usr/lib/postgresql/17/bin/postgres -D /volume/data", true),
        ("postgres: m1: walsender roost_replicator fdaa:0:7:1::9(41234) authentication", true),
        ("postgres: m1: walsender roost_replicator fdaa:0:7:1::2(41234) authentication", false),
        ("postgres: m1: roost_replicator postgres fdaa:0:7:1::9(41234) initializing", true),
        // A database may be called so.
        ("postgres: m1: roost_replicator fdaa:0:7:1::2(1) fdaa:0:7:1::9(41234) authentication", true),
        ("postgres: m1: roost_replicator [local] fdaa:0:7:1::9(41234) authentication", true),
        ("postgres: m1: walsender roost_replicator [local] authentication", false),
        ("postgres: m1: roost_replicator", true),
        ("postgres: m1: postgres postgres fdaa:0:7:1::9(41234) idle", false),
        ("postgres: m1: walwriter ", false),
    ])
    func whoeverLogsInFromElsewhereIsKnownByItsTitle(title: String, isLogin: Bool) throws {
        let members = [try IPv6Address("fdaa:0:7:1::1"), try IPv6Address("fdaa:0:7:1::2")]
        let words = title.split(separator: " ")
        #expect(PostgresProcesses.isLogin(words, of: "roost_replicator", butFrom: members) == isLogin)
    }
}

@Suite struct LeaderTrialTests {
    @Test func onlyOneThatSaysSoLeadsOrIsAStandby() {
        func believed(_ answer: String?) -> [Bool] {
            [false, true].map { LeaderTrial.obstacle(whenItSays: answer, toReader: $0) == nil }
        }
        #expect(believed("off") == [true, false])
        #expect(believed("on") == [false, true])
        for answer in [nil, "", "unknown"] { #expect(believed(answer) == [false, false]) }
    }
}

@Suite struct SettingsTests {
    private static func settings(_ role: PostgresSettings.Role, isOpen: Bool) throws -> PostgresSettings {
        PostgresSettings(
            member: try MemberName("m2"), address: try IPv6Address("fdaa:0:7:1::2"),
            memory: .gibibytes(1), volumeSize: .gibibytes(10), role: role, isOpen: isOpen)
    }

    @Test func aLeaderWaitsForStreamsOfItsOwnEpochOnly() throws {
        let names = [try MemberName("m1"), try MemberName("m3")]
        let settings = try Self.settings(.leader(epoch: Epoch(7), standbys: names, confirmations: 1), isOpen: true)
        let text = settings.configuration(PostgresLayout())
        #expect(text.contains(#"synchronous_standby_names = 'ANY 1 ("m1.e7", "m3.e7")'"#))
        #expect(text.contains("primary_conninfo = ''"))
    }

    @Test func aStandbyThatFollowsNobodyCouldConfirmNothing() throws {
        let text = try Self.settings(.standby(upstream: nil), isOpen: false).configuration(PostgresLayout())
        #expect(text.contains(#"synchronous_standby_names = 'ANY 1 ("nobody.e0")'"#))
        #expect(text.contains("primary_conninfo = ''"))
        #expect(text.contains("max_standby_streaming_delay = '0'"))
    }

    @Test func anImageWithoutTheGuardStartsWithoutIt() throws {
        let settings = try Self.settings(.standby(upstream: nil), isOpen: false)
        let text = settings.configuration(PostgresLayout(root: "/nonexistent"))
        #expect(text.contains("shared_preload_libraries = ''"))
    }

    @Test func aClosedMemberRejectsClientsAndALeaderAdmitsMembers() throws {
        let closed = try Self.settings(.standby(upstream: nil), isOpen: false).accessRules
        #expect(closed.contains("host     all          all                 fdaa::/16  reject"))
        // Whoever follows gets the log from who leads, and from nobody else.
        #expect(closed.contains("host     all,replication  roost_replicator  all  reject"))
        #expect(closed.contains("local    replication  roost_replicator       reject"))
        let leader = try Self.settings(.leader(epoch: .first, standbys: [], confirmations: 0), isOpen: false)
        #expect(leader.accessRules.contains("local    replication  roost_replicator       scram-sha-256"))
        #expect(leader.accessRules.contains("host     all          all                 fdaa::/16  reject"))
        let open = try Self.settings(.standby(upstream: nil), isOpen: true).accessRules
        #expect(open.contains("host     all          all                 fdaa::/16  scram-sha-256"))
    }
}

@Suite struct LastWordsTests {
    private static func words(_ line: String) -> String? { LastWords.words(in: Array(line.utf8)) }

    @Test func onlyWhatPostgresSaysOfItselfIsKept() {
        let stamp = "2026-01-02 03:04:05.678 UTC [12] "
        #expect(Self.words(stamp + "FATAL:  could not open file") == "FATAL:  could not open file")
        let killed = "LOG:  server process (PID 77) was terminated by signal 9: Killed"
        #expect(Self.words(stamp + killed) == killed)
        #expect(Self.words(stamp + "LOG:  checkpoint complete") == nil)
        #expect(Self.words(stamp + "someone@shop FATAL:  password authentication failed") == nil)
        #expect(Self.words("\tFATAL:  a line that goes on") == nil)
        #expect(Self.words("") == nil)
    }

    @Test func theyAreBounded() throws {
        let long = try #require(Self.words("[1] PANIC:  " + String(repeating: "é", count: 5000)))
        #expect(long.utf8.count <= LastWords.bytesMax)
        #expect(long.hasSuffix("é…"))
    }
}

@Suite struct ProcessFactsTests {
    @Test func theyAreReadFromTheKernelsOwnText() throws {
        let text = "Name:\tpostgres\nUmask:\t0077\nState:\tS (sleeping)\nPid:\t9\nPPid:\t7\nUid:\t0\t101\t101\t101\n"
        let facts = try #require(ProcessFacts(status: text))
        #expect(facts.program == "postgres")
        #expect(facts.parent == 7)
        #expect(facts.owner == 101)
        #expect(!facts.isDead)
        #expect(ProcessFacts(status: "Name:\tx\n") == nil)
    }

    /// It is there: nobody may take it for one that has ended.
    @Test func aProcessThatIsNotUnderstoodIsNotGone() throws {
        let folder = NSTemporaryDirectory() + "roost-facts-\(getpid())"
        try DurableFile.makeFolder(folder + "/12")
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try Data("Name:\tpostgres\n".utf8).write(to: URL(fileURLWithPath: folder + "/12/status"))
        #expect(throws: SystemError.self) { try ProcessFacts(12, in: folder) }
        #expect(try ProcessFacts(13, in: folder) == nil)
    }

    /// Whoever may open no more files sees no process, and does not say that there is none.
    @Test func processesThatCannotBeSeenAreNotGone() async {
        await #expect(processExitsWith: .success) {
            let processes = PostgresProcesses(owner: 0, data: "/", postmaster: nil)
            let layout = PostgresLayout(volume: "/tmp/roost-none-\(getpid())")
            guard (try? processes.all()) != nil, (try? PostgresProcesses.copies(into: layout)) != nil else { exit(2) }
            var none = rlimit(rlim_cur: 0, rlim_max: 0)
            guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &none) == 0 else { exit(3) }
            let isSeen = (try? processes.all()) != nil || (try? PostgresProcesses.copies(into: layout)) != nil
            exit(isSeen ? 1 : 0)
        }
    }
}

@Suite struct FollowerDoubtTests {
    @Test func aLeaderIsAskedAfterAWhileAndNotAllTheTime() throws {
        let leader = PostgresSettings.Upstream(
            leader: try MemberName("m1"), address: try IPv6Address("fdaa::1"), port: 5432, epoch: .first)
        var doubt = FollowerDoubt()
        let began = Moment(sinceBoot: .seconds(50))
        #expect(doubt.isToAsk(isStreaming: false, began) == nil)
        #expect(doubt.isToAsk(isStreaming: false, began + .seconds(60)) == nil, "it follows nobody")
        doubt = FollowerDoubt()
        doubt.upstream = leader
        #expect(doubt.isToAsk(isStreaming: false, began) == nil)
        #expect(doubt.isToAsk(isStreaming: false, began + .milliseconds(1900)) == nil)
        #expect(doubt.isToAsk(isStreaming: false, began + .seconds(2)) == leader)
        #expect(doubt.isToAsk(isStreaming: false, began + .seconds(20)) == nil, "the question is under way")
        doubt.isAsking = false
        #expect(doubt.isToAsk(isStreaming: true, began + .seconds(21)) == nil)
        #expect(doubt.isToAsk(isStreaming: false, began + .seconds(22)) == nil, "it streamed a moment ago")
        #expect(doubt.isToAsk(isStreaming: false, began + .seconds(24)) == leader)
    }
}

@Suite struct BegunTimelineTests {
    /// What a standby asks its leader is about one epoch, and the rule may be of another by then.
    @Test func theRuleSaysWhereItsOwnLeaderBegan() throws {
        let names = [try MemberName("m1"), try MemberName("m2")]
        let first = Reign(epoch: .first, leader: names[0], begin: .zero)
        let second = Reign(epoch: Epoch(2), leader: names[1], begin: LSN(1000))
        var rule = ClusterRule(
            epoch: Epoch(2), leader: names[1], members: names, confirmations: 1, history: [first, second], timeline: 2)
        #expect(rule.begun(in: Epoch(2)) == TimelineFork(timeline: 2, begin: LSN(1000)))
        #expect(rule.begun(in: .first) == nil)
        #expect(rule.begun(in: Epoch(3)) == nil)
        rule.history = [first]
        #expect(rule.begun(in: Epoch(2)) == nil)
        rule.history = [first, second]
        rule.timeline = nil
        #expect(rule.begun(in: Epoch(2)) == nil)
    }
}

@Suite struct TimelineHistoryTests {
    @Test func ancestorsAreReadInOrder() {
        let history = TimelineHistory(text: "1\t0/3000148\tno recovery target specified\n\n2\t0/5000000\tx\n")
        #expect(history.ancestors.map(\.timeline) == [1, 2])
        #expect(history.ancestors.map(\.end) == [LSN(0x300_0148), LSN(0x500_0000)])
    }
}

@Suite struct ClusterAuthorityTests {
    @Test func theServerCertificateIsTheAuthoritys() async throws {
        let made = try await ClusterAuthority.make(
            cluster: try AppName("shop"), address: try IPv4Address("203.0.113.7"),
            members: [try IPv6Address("fdaa:0:7:1::2")])
        let folder = "/tmp/roost-authority-test-\(UInt64.random(in: 0 ... .max))"
        try DurableFile.makeFolder(folder)
        try DurableFile.write(made.authorityCertificate, to: folder + "/ca.crt")
        try DurableFile.write(made.serverCertificate, to: folder + "/server.crt")
        try DurableFile.write(made.serverKey, to: folder + "/server.key")
        let verified = try await Command(
            "openssl", ["verify", "-CAfile", "\(folder)/ca.crt", "-verify_ip", "203.0.113.7", "\(folder)/server.crt"]
        ).run()
        #expect(verified.standardOutput.contains("OK"))
        let text = try await Command("openssl", ["x509", "-noout", "-text", "-in", "\(folder)/server.crt"]).run()
        #expect(text.standardOutput.contains("DNS:shop"))
        #expect(text.standardOutput.contains("prime256v1"))
        try await Command("rm", ["-r", folder]).run()
    }
}

@Suite struct PostgresErrorTests {
    @Test("What a member says of a program that failed has its words, and not how it reaches whom")
    func noCommandLines() {
        let command = "/usr/lib/postgresql/17/bin/pg_rewind '--source-server=host=fdaa::1 user=roost_replicator'"
        let error = CommandError(command: command, cause: .exited(1, "pg_rewind: error: no common ancestor"))
        #expect(
            "\(PostgresError("rewind to orders-1", error))"
                == "could not rewind to orders-1: pg_rewind failed with status 1: pg_rewind: error: no common ancestor")
        let lines = CommandError(
            command: "setpriv --reuid=postgres --init-groups -- \(command)",
            cause: .exited(1, "pg_rewind: servers diverged\n\tat 0/3000148\n"))
        #expect(
            "\(PostgresError("rewind to orders-1", lines))"
                == "could not rewind to orders-1: pg_rewind failed with status 1: pg_rewind: servers diverged at 0/3000148"
        )
        let slots = DatabaseError(
            database: "postgres", statement: "SELECT s.slot_name, r.state IN ('streaming')",
            cause: .deadlineExceeded(.seconds(5)))
        #expect(PostgresError.words(for: slots) == "no answer within 5 s")
        let inner = PostgresError("start Postgres", "there is no data")
        #expect("\(PostgresError("promote", inner))" == "could not promote: could not start Postgres: there is no data")
    }
}
