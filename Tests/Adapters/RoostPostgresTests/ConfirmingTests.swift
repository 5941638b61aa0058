import Glibc
import RoostFailover
import RoostLinux
import RoostModel
import Testing

@testable import RoostPostgres

/// What is known of a Postgres's processes, without one.
@Suite struct BarrierProofTests {
    private func process(_ pid: Int, rests: Bool = true, counts: Bool? = false) -> BarrierProof.Process {
        .init(id: "\(pid) then", pid: pid, isAtRest: rests, counts: counts)
    }

    @Test func whoIsCountedOrIsNotShownIsDoubted() {
        var proof = BarrierProof()
        #expect(!proof.isWhole)
        for _ in 1...3 { proof.note([process(1), process(2, counts: true), process(3, counts: nil)]) }
        #expect(proof.doubted?.map(\.pid) == [2, 3])
        proof.note([process(1), process(2), process(3)])
        #expect(proof.isWhole)
    }

    /// It may have read the old names, and go by them when it goes on.
    @Test func whatWasShownBeforeItRestedIsNoProof() {
        var proof = BarrierProof()
        proof.note([process(1, rests: false)])
        proof.note([process(1)])
        #expect(!proof.isWhole)
        proof.note([process(1, rests: false)])
        #expect(proof.isWhole)
    }

    /// One that waits for its client before it streams: a relay's session waits for its slot like that.
    @Test func whoStreamsNothingReadsBeforeItCounts() {
        func process(rests: Bool, isAtStart: Bool) -> BarrierProof.Process {
            .init(id: "1 then", pid: 1, isAtRest: rests, counts: nil, isAtStart: isAtStart)
        }
        var proof = BarrierProof()
        proof.note([process(rests: true, isAtStart: false)])
        proof.note([process(rests: true, isAtStart: false)])
        #expect(!proof.isWhole, "it may be about to count")
        proof.note([process(rests: false, isAtStart: true)])
        #expect(proof.isWhole)
        // What is seen of it in one look is not of one moment: it may have begun to stream between.
        var first = BarrierProof()
        first.note([process(rests: true, isAtStart: true)])
        #expect(!first.isWhole)
        var busy = BarrierProof()
        for _ in 1...3 { busy.note([process(rests: false, isAtStart: true)]) }
        #expect(!busy.isWhole, "it was never seen at rest")
    }

    @Test func whoIsGoneOrCameLaterIsNotDoubted() {
        var proof = BarrierProof()
        proof.note([process(1, counts: true)])
        proof.note([process(2, counts: true)])
        #expect(proof.isWhole)
    }

    @Test func nobodyAtAllIsProofOnceItWasLooked() {
        var proof = BarrierProof()
        proof.note([])
        #expect(proof.isWhole)
    }
}

/// Who confirms commits changes while Postgres runs, and its processes read at their own time.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct ConfirmingTests {
    private static let names = "SHOW synchronous_standby_names"
    private static let commit = "SET synchronous_commit = on; INSERT INTO t VALUES (1)"
    private static let priorities =
        "SELECT application_name, sync_priority > 0 FROM pg_stat_replication WHERE application_name LIKE 'm_.e1' ORDER BY 1"

    /// m1 leads, and these stream from it.
    private static func cluster(
        _ ground: TestGround, standbys numbers: ClosedRange<Int>, confirming: ClosedRange<Int>, confirmations: Int
    ) async throws -> (leader: TestMember, standbys: [TestMember]) {
        let m1 = try ground.member(1)
        let standbys = try numbers.map { try ground.member($0) }
        try await m1.instance.initialize(ground.secrets, within: .seconds(60))
        try await m1.lead(
            .first, standbys: standbys.filter { confirming.contains($0.number) }, confirmations: confirmations)
        let names = standbys.map(\.name)
        try await m1.instance.keepSlots(of: .first, for: names, among: ground.members + names)
        for standby in standbys {
            try await standby.clone(m1, .first)
            try await standby.follow(m1, .first)
            try await standby.waitUntilStreaming()
        }
        _ = try await m1.query("CREATE TABLE t (i int)")
        return (m1, standbys)
    }

    private static func role(_ standbys: [TestMember], _ confirmations: Int) -> PostgresSettings.Role {
        .leader(epoch: .first, standbys: standbys.map(\.name), confirmations: confirmations)
    }

    private static func confirm(_ leader: TestMember, by standbys: [TestMember], _ confirmations: Int) async throws {
        try await leader.instance.confirm(
            by: leader.settings(role(standbys, confirmations)), leader.ground.secrets)
    }

    private static func expectNoAnswer(_ leader: TestMember) async {
        await #expect(throws: DatabaseError.self) { try await leader.query(commit, within: .seconds(2)) }
    }

    private static func pid(_ leader: TestMember, _ question: String) async throws -> pid_t {
        let text = try await leader.query(question).first?[0]
        return try #require(text.flatMap { pid_t($0) })
    }

    /// It reads nothing during a checkpoint that is in a hurry; here it stands still. As long as it does, commits wait for
    /// nobody, however often it is tried; and what nobody can prove is not in force.
    @Test func aLoneLeaderGoesOnUntilItsCommitsAreSeenToWait() async throws {
        try await TestGround.with("alone") { ground in
            let (m1, standbys) = try await Self.cluster(
                ground, standbys: 2...2, confirming: 2...2, confirmations: 0)
            let m2 = standbys[0]
            let checkpointer = try await Self.pid(
                m1, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
            #expect(kill(checkpointer, SIGSTOP) == 0)
            defer { kill(checkpointer, SIGCONT) }
            // Nor does it wait behind one that somebody else waits for.
            let instance = m1.instance
            let waiting = Task { try? await instance.checkpoint(within: .seconds(30)) }
            for _ in 1...2 {
                let began = BootClock.now()
                await #expect(throws: PostgresError.self) { try await Self.confirm(m1, by: [m2], 1) }
                #expect(BootClock.now() - began < .seconds(8))
                let isBack = try await poll(for: .seconds(10)) {
                    try await m1.query(Self.names) == [[""]] ? true : nil
                }
                #expect(isBack == true)
                _ = try await m1.query(Self.commit)
            }
            #expect(kill(checkpointer, SIGCONT) == 0)
            _ = await waiting.value
            try await Self.confirm(m1, by: [m2], 1)
            _ = try await m1.query(Self.commit, within: .seconds(20))
            await m2.instance.stop(.immediate, within: .seconds(5))
            await Self.expectNoAnswer(m1)
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }

    /// A sender that is late is counted by the others for as long as it shows a priority.
    @Test func nobodyCountsBeforeTheNextNamesAreWritten() async throws {
        try await TestGround.with("leaver") { ground in
            let (m1, standbys) = try await Self.cluster(ground, standbys: 2...4, confirming: 2...4, confirmations: 2)
            let staying = Array(standbys.dropLast())
            let former = Self.role(standbys, 2)
            try await m1.instance.holdBack(m1.settings(Self.role(staying, 1)), ground.secrets, after: former)
            #expect(try await m1.query(Self.priorities) == [["m2.e1", "f"], ["m3.e1", "f"], ["m4.e1", "f"]])
            await Self.expectNoAnswer(m1)
            try await Self.confirm(m1, by: standbys, 2)
            let isBack = try await poll(for: .seconds(10)) {
                try await m1.query(Self.priorities).allSatisfy { $0[1] == "t" } ? true : nil
            }
            #expect(isBack == true)

            // The one that leaves has a sender that cannot be asked, nor ended.
            let sender = try await Self.pid(
                m1, "SELECT pid FROM pg_stat_replication WHERE application_name = 'm4.e1'")
            #expect(kill(sender, SIGSTOP) == 0)
            defer { kill(sender, SIGCONT) }
            await #expect(throws: PostgresError.self) { try await Self.confirm(m1, by: staying, 1) }
            // What was in force before is, by those that answer.
            _ = try await m1.query(Self.commit, within: .seconds(20))
            #expect(try await m1.query(Self.names) == [[#"ANY 2 ("m2.e1", "m3.e1", "m4.e1")"#]])
            #expect(kill(sender, SIGCONT) == 0)
            try await Self.confirm(m1, by: staying, 1)
            _ = try await m1.query(Self.commit, within: .seconds(20))
            let isOut = try await poll(for: .seconds(10)) {
                try await m1.query(Self.priorities).prefix(2).allSatisfy { $0[1] == "t" } ? true : nil
            }
            #expect(isOut == true)
            #expect(try await m1.query(Self.priorities).dropFirst(2).allSatisfy { $0[1] == "f" })
            for member in [m1] + standbys { await member.instance.stop(.immediate, within: .seconds(5)) }
        }
    }

    /// One more was asked for, and does not come: only those of before confirm again.
    @Test func whatIsTakenBackCountsNoMore() async throws {
        try await TestGround.with("takenback") { ground in
            let (m1, standbys) = try await Self.cluster(ground, standbys: 2...3, confirming: 2...2, confirmations: 1)
            let (m2, m3) = (standbys[0], standbys[1])
            try await Self.confirm(m1, by: standbys, 2)
            _ = try await m1.query(Self.commit, within: .seconds(20))
            await m3.instance.stop(.immediate, within: .seconds(5))
            await Self.expectNoAnswer(m1)
            try await Self.confirm(m1, by: [m2], 1)
            _ = try await m1.query(Self.commit, within: .seconds(20))
            await m2.instance.stop(.immediate, within: .seconds(5))
            try await m3.follow(m1, .first)
            try await m3.waitUntilStreaming()
            await Self.expectNoAnswer(m1)
            for member in [m1, m3] { await member.instance.stop(.immediate, within: .seconds(5)) }
        }
    }

    /// What was decided on by whose slots they were is not done when they are others'.
    @Test func slotsAreThoseOfWhoeverIsNamedNow() async throws {
        try await TestGround.with("slotsnow") { ground in
            let m1 = try ground.member(1)
            let second = try MemberName("db-2")
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            try m1.configure(.leader(epoch: .first, standbys: [second], confirmations: 0))
            try await m1.instance.start()
            try await m1.instance.waitUntilAnswering(within: .seconds(30))
            try await m1.instance.make(slot: "db_3_e1", keepsLog: false)
            try await m1.instance.make(slot: "db_4_e1", keepsLog: false, while: { false })
            try await m1.instance.drop(slot: "db_3_e1", while: { false })
            let slots = "SELECT slot_name FROM pg_replication_slots ORDER BY 1"
            #expect(try await m1.query(slots) == [["db_3_e1"]])
            // Whoever was to drop it was cut off.
            try await m1.instance.tendSlots()
            #expect(try await m1.query(slots) == [["db_2_e1"]])
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }
}
