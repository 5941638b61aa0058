import Glibc
import Logging
import RoostFailover
import RoostLinux
import RoostModel
import RoostWire
import Testing

@testable import RoostPostgres

/// One member's operations on the real Postgres, as its core orders them, without a core.
final class OperatedMember {
    let member: TestMember
    let operations: Operations
    private let events: EventQueue
    private var count: UInt64 = 0

    /// The others are those of the ground; no host answers.
    init(_ number: Int, _ ground: TestGround, timings: FailoverTimings = FailoverTimings()) throws {
        member = try ground.member(number)
        let regions = ["ams", "iad", "sin"]
        let members = try (1...3).map { number in
            ClusterSpec.MemberSpec(name: try MemberName("m\(number)"), region: try RegionCode(regions[number - 1]))
        }
        let placements = try (1...3).map { number in
            MemberPlacement(
                member: members[number - 1].name, host: try HostName("host\(number)"),
                region: members[number - 1].region, machine: try MachineID("0000000000000\(number)"),
                volume: try VolumeID("vol_000000000000000\(number)"), address: TestGround.address(number))
        }
        let spec = ClusterSpec(
            name: ground.cluster, address: try IPv4Address("203.0.113.7"), volumeSize: .gibibytes(1),
            guest: MachineGuest(memoryMebibytes: 256), image: "oci:test", members: members, createdAt: 0)
        let view = ClusterView(
            member: member.name, revision: 1, spec: spec, rule: nil, ruleRevision: 0, heartbeat: nil,
            placements: placements, reports: [], secrets: ground.secrets)
        let instance = member.instance
        let logger = Logger(label: "test")
        events = try EventQueue()
        let nobody = HostSocket(instance.layout.outside(instance.layout.runFolder) + "/nobody.sock")
        let gate = try GateKeeper(
            link: StoreLink(socket: nobody, deadline: .seconds(1)), instance: instance, events: events, logger: logger)
        operations = Operations(
            instance: instance, timings: timings, logger: logger, known: KnownCluster(view), events: events,
            gate: gate)
    }

    /// - Parameter former: begun, and given up for it at once.
    func carryOut(
        _ operation: PostgresOperation, insteadOf former: PostgresOperation? = nil
    ) async throws -> OperationOutcome {
        for each in [former, operation].compactMap(\.self) { begin(each) }
        return try await outcome(of: operation)
    }

    func begin(_ operation: PostgresOperation) {
        count += 1
        operations.start(operation, OperationID(count))
    }

    /// Of the one that was begun last.
    func outcome(of operation: PostgresOperation) async throws -> OperationOutcome {
        let (id, events) = (OperationID(count), events)
        let outcome = try await poll(for: .seconds(60), every: .milliseconds(5)) { () -> OperationOutcome? in
            for case .operationEnded(id, let outcome) in events.take(until: BootClock.now()) { return outcome }
            return nil
        }
        return try #require(outcome, "\(operation) has not ended")
    }

    /// Of each file of the configuration, what changes whenever it is written: it is another file then.
    func files() -> [String: [Int]] {
        let layout = member.instance.layout
        let signal = layout.data + "/standby.signal"
        let paths = [
            layout.identFile, layout.accessFile, layout.configFile, layout.passwordFile,
            layout.data + "/postgresql.auto.conf", signal,
        ]
        var found: [String: [Int]] = [:]
        for path in paths {
            var facts = stat()
            guard lstat(layout.outside(path), &facts) == 0 else { continue }
            found[path] = [Int(facts.st_ino), facts.st_mtim.tv_sec, facts.st_mtim.tv_nsec]
        }
        return found
    }
}

@Suite(.serialized, .timeLimit(.minutes(10)))
struct OperationTests {
    private static func setting(_ name: String, of m1: TestMember) async throws -> String? {
        try await m1.query("SHOW \(name)").first?[0]
    }

    private static func position(_ function: String, of member: TestMember) async throws -> LSN {
        let text = try await member.query("SELECT \(function)()").first?[0]
        return try #require(text.flatMap { LSN(text: $0) })
    }

    /// It waits for the gate, and a fence comes: what it would have done, it does not do.
    @Test func whatIsGivenUpBeforeItBeganIsNotBegun() async throws {
        try await TestGround.with("givenup") { ground in
            let operated = try OperatedMember(1, ground)
            let instance = operated.member.instance
            let version = instance.layout.outside(instance.layout.data + "/PG_VERSION")
            try DurableFile.makeFolder(instance.layout.outside(instance.layout.data))
            try DurableFile.write("17\n", to: version)
            #expect(try await operated.carryOut(.sever, insteadOf: .discard) == .done)
            #expect(try instance.hasData)
            #expect(try await operated.carryOut(.discard) == .done)
            #expect(try !instance.hasData)
        }
    }

    /// In the very Postgres that takes commits: what stands in a file or in the rule confirms nothing.
    @Test func commitsWaitForThoseWhomTheRuleNames() async throws {
        try await TestGround.with("whom") { ground in
            let operated = try OperatedMember(1, ground)
            let m1 = operated.member
            let others = [try MemberName("m2"), try MemberName("m3")]
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            let started = try await operated.carryOut(
                .startPrimary(epoch: .first, confirmations: 1, standbys: others))
            #expect(started == .done)
            #expect(try await Self.setting("synchronous_standby_names", of: m1) == #"ANY 1 ("m2.e1", "m3.e1")"#)
            for name in ["fsync", "full_page_writes"] { #expect(try await Self.setting(name, of: m1) == "on") }
            // The supervisor's own sessions wait for nobody; this is what everybody else's begin with.
            let commits = "SELECT setting FROM pg_file_settings WHERE name = 'synchronous_commit' AND applied"
            #expect(try await m1.query(commits) == [["on"]])

            #expect(try await operated.carryOut(.sever) == .done)
            let read = try await operated.carryOut(.readEnd)
            guard case .end(let end, timeline: 1, forks: []) = read else {
                Issue.record("\(read)")
                return
            }
            #expect(try await Self.setting("synchronous_standby_names", of: m1) == #"ANY 1 ("nobody.e0")"#)
            let promoted = try await operated.carryOut(
                .promote(epoch: Epoch(2), confirmations: 2, standbys: others))
            #expect(promoted == .promoted(switchPoint: end, timeline: 2))
            #expect(try await Self.setting("synchronous_standby_names", of: m1) == #"ANY 2 ("m2.e2", "m3.e2")"#)
            // Those of the first epoch would hold its log and dead rows for ever.
            let slots = try await m1.query("SELECT slot_name FROM pg_replication_slots ORDER BY 1")
            #expect(slots == [["m2_e2"], ["m3_e2"]])
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }

    /// A primary's recovery begins anew at the same place whenever it is broken off.
    @Test func aPrimaryThatRecoversForLongerThanAnOperationLastsIsNotStopped() async throws {
        try await TestGround.with("longer") { ground in
            let operated = try OperatedMember(1, ground)
            let instance = operated.member.instance
            try await instance.initialize(ground.secrets, within: .seconds(60))
            let promotion = PostgresOperation.promote(epoch: Epoch(2), confirmations: 0, standbys: [])
            for operation in [
                .startPrimary(epoch: .first, confirmations: 0, standbys: []), .sever, .readEnd, promotion,
            ] {
                _ = try await operated.carryOut(operation)
            }
            _ = try await operated.member.query("CHECKPOINT", within: .seconds(20))
            instance.kill()
            _ = await instance.waitForExit()
            // Recovery reads the history of its timeline first, and waits until somebody has written into this one.
            let history = instance.layout.outside(instance.layout.data + "/pg_wal/00000002.history")
            let text = try #require(try DurableFile.read(history))
            let owner = try instance.layout.owner()
            #expect(unlink(history) == 0 && mkfifo(history, 0o600) == 0 && chown(history, owner.user, owner.group) == 0)

            let start = PostgresOperation.startPrimary(epoch: Epoch(2), confirmations: 0, standbys: [])
            operated.begin(start)
            let recovering = try await poll(for: .seconds(20), every: .milliseconds(5)) { () -> pid_t? in
                guard let postmaster = instance.processes.postmaster else { return nil }
                return TestProcess.children(of: postmaster).isEmpty ? nil : postmaster
            }
            #expect(recovering != nil)
            // The first one has come to nothing, as when its time is up.
            operated.begin(start)
            let pipe = try await poll(for: .seconds(20), every: .milliseconds(20)) { () -> Int32? in
                let file = open(history, O_WRONLY | O_NONBLOCK | O_CLOEXEC)
                return file < 0 ? nil : file
            }
            let file = try #require(pipe)
            #expect(write(file, text, text.count) == text.count)
            close(file)
            #expect(try await operated.outcome(of: start) == .done)
            #expect(instance.processes.postmaster == recovering)
            // One that has come up is started anew.
            #expect(unlink(history) == 0)
            try DurableFile.write(text, to: history, owner: owner)
            #expect(try await operated.carryOut(start) == .done)
            #expect(instance.processes.postmaster != recovering)
            await instance.stop(.immediate, within: .seconds(5))
        }
    }

    /// Whatever it is that hangs: a step that waits for what does not come does nothing that the kernel could count. Nobody else
    /// would end it, and the next one may come up.
    @Test(arguments: [
        PostgresOperation.readEnd, .startPrimary(epoch: Epoch(2), confirmations: 0, standbys: []),
    ])
    func aPostgresThatHangsAtItsStartIsEndedAndStartedAgain(_ operation: PostgresOperation) async throws {
        try await TestGround.with("hangs\(operation == .readEnd ? "" : "l")") { ground in
            var timings = FailoverTimings()
            timings.standstillAtStartMax = .seconds(6)
            let operated = try OperatedMember(1, ground, timings: timings)
            let instance = operated.member.instance
            try await instance.initialize(ground.secrets, within: .seconds(60))
            for each in [
                PostgresOperation.startPrimary(epoch: .first, confirmations: 0, standbys: []), .sever, .readEnd,
                .promote(epoch: Epoch(2), confirmations: 0, standbys: []),
            ] {
                _ = try await operated.carryOut(each)
            }
            _ = try await operated.member.query("CHECKPOINT", within: .seconds(20))
            instance.kill()
            _ = await instance.waitForExit()
            // Recovery reads the history of its timeline first, and nobody writes into this one.
            let history = instance.layout.outside(instance.layout.data + "/pg_wal/00000002.history")
            let text = try #require(try DurableFile.read(history))
            let owner = try instance.layout.owner()
            #expect(unlink(history) == 0 && mkfifo(history, 0o600) == 0 && chown(history, owner.user, owner.group) == 0)
            let began = BootClock.now()
            guard case .failed(let why) = try await operated.carryOut(operation) else {
                Issue.record("it did not fail")
                return
            }
            #expect(why.contains("has done nothing for"), "\(why)")
            #expect(BootClock.now() - began >= timings.standstillAtStartMax)
            #expect(!instance.isRunning && TestProcess.postgres(of: instance.layout).isEmpty)

            #expect(unlink(history) == 0)
            try DurableFile.write(text, to: history, owner: owner)
            switch try await operated.carryOut(operation) {
            case .done, .end: break
            case let outcome: Issue.record("\(outcome)")
            }
            await instance.stop(.immediate, within: .seconds(5))
        }
    }

    /// The log is on disk, and replay stands still: what a clock, a busy disk or a superuser can do at any moment. What is not
    /// replayed counts all the same, for its standby has confirmed it.
    @Test func theEndIsThatOfWhatWasReceivedNotOfWhatWasReplayed() async throws {
        try await TestGround.with("behind") { ground in
            let m1 = try ground.member(1)
            let operated = try OperatedMember(2, ground)
            let m2 = operated.member
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            try await m1.lead(.first, standbys: [m2])
            try await m2.clone(m1, .first)
            #expect(try await operated.carryOut(.follow(m1.name, epoch: .first, fork: nil)) == .done)
            try await m2.waitUntilStreaming()

            _ = try await m2.query("SELECT pg_wal_replay_pause()")
            let isPaused = try await poll(for: .seconds(10)) {
                try await m2.query("SELECT pg_get_wal_replay_pause_state()") == [["paused"]] ? true : nil
            }
            #expect(isPaused == true)
            // More than is replayed between two looks.
            _ = try await m1.query(
                "CREATE TABLE t (i int); INSERT INTO t SELECT generate_series(1, 400000)", within: .seconds(30))
            let target = try await Self.position("pg_current_wal_flush_lsn", of: m1)
            let isReceived = try await poll(for: .seconds(30)) {
                try await Self.position("pg_last_wal_receive_lsn", of: m2) >= target ? true : nil
            }
            #expect(isReceived == true)
            #expect(try await Self.position("pg_last_wal_replay_lsn", of: m2) < target)

            let following = operated.files()
            #expect(try await operated.carryOut(.sever) == .done)
            let severed = operated.files()
            guard case .end(let end, timeline: 1, forks: []) = try await operated.carryOut(.readEnd) else {
                Issue.record("no end was read")
                return
            }
            #expect(end >= target)
            Self.expectOnlyWhatIsOther(following, severed, operated.files(), m2)
            // Once more, as when the next recruitment follows at once.
            #expect(try await operated.carryOut(.sever) == .done)
            #expect(try await operated.carryOut(.readEnd) == .end(end, timeline: 1))
            #expect(operated.files() == severed)
            for member in [m1, m2] { await member.instance.stop(.immediate, within: .seconds(5)) }
        }
    }

    /// Clients wait meanwhile, and each file costs two flushes.
    private static func expectOnlyWhatIsOther(
        _ following: [String: [Int]], _ severed: [String: [Int]], _ read: [String: [Int]], _ m2: TestMember
    ) {
        let layout = m2.instance.layout
        #expect(severed[layout.passwordFile] == nil && following[layout.passwordFile] != nil)
        let written = severed.filter { following[$0.key] != $0.value }.keys
        #expect(Array(written) == [layout.configFile], "it follows nobody: that stands in one file")
        #expect(read == severed, "the second step has nothing to write")
    }

    /// The file is as long as before.
    private static func exchangeLetter(_ path: String) -> Int32 {
        let file = open(path, O_WRONLY | O_CLOEXEC)
        defer { close(file) }
        return pwrite(file, "!", 1, 0) == 1 ? 0 : -1
    }

    /// On disk, not in memory: somebody may have changed them, or removed them.
    @Test func filesThatAreOtherThanTheyShouldBeAreWritten() async throws {
        try await TestGround.with("equal") { ground in
            let operated = try OperatedMember(1, ground)
            let m1 = operated.member
            let layout = m1.instance.layout
            try m1.configure(.standby(upstream: m1.upstream(.first)))
            let first = operated.files()
            try m1.configure(.standby(upstream: m1.upstream(.first)))
            #expect(operated.files() == first)
            #expect(first.count == 4)
            let paths = [layout.identFile, layout.accessFile, layout.configFile, layout.passwordFile]
            for path in paths {
                let text = try #require(try DurableFile.read(layout.outside(path)))
                let spoilers: [(String) -> Int32] = [
                    { unlink($0) }, { truncate($0, 3) }, Self.exchangeLetter, { chmod($0, 0o644) }, { chown($0, 0, 0) },
                    { rename($0, $0 + ".moved") == 0 ? symlink($0 + ".moved", $0) : -1 },
                ]
                for (number, spoil) in spoilers.enumerated() {
                    #expect(spoil(layout.outside(path)) == 0)
                    let before = operated.files()
                    try m1.configure(.standby(upstream: m1.upstream(.first)))
                    let after = operated.files()
                    #expect(after[path] != nil && after[path] != before[path], "\(path) after \(number)")
                    #expect(try DurableFile.read(layout.outside(path)) == text)
                    #expect(after.filter { $0.key != path } == before.filter { $0.key != path })
                }
            }
        }
    }
}
