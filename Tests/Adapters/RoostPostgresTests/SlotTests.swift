import RoostFailover
import RoostLinux
import RoostModel
import Testing

@testable import RoostPostgres

/// What slots hold back, and whom a standby lets in, seen on the real Postgres.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct SlotTests {
    /// m1 leads, and `standbys` stream from it.
    private static func cluster(
        _ ground: TestGround, standbys numbers: ClosedRange<Int>, confirmations: Int = 0
    ) async throws -> (leader: TestMember, standbys: [TestMember]) {
        let m1 = try ground.member(1)
        let standbys = try numbers.map { try ground.member($0) }
        try await m1.instance.initialize(ground.secrets, within: .seconds(60))
        try await m1.lead(.first, standbys: standbys, confirmations: confirmations)
        for standby in standbys {
            try await standby.clone(m1, .first)
            try await standby.follow(m1, .first)
            try await standby.waitUntilStreaming()
        }
        return (m1, standbys)
    }

    private static func slots(_ member: TestMember) async throws -> [String] {
        try await member.query("SELECT slot_name FROM pg_replication_slots ORDER BY 1").compactMap { $0[0] }
    }

    /// Whether what `expression` of a slot says moves on while transactions are made.
    private static func moves(_ expression: String, of slot: String, on leader: TestMember, within limit: Duration)
        async throws -> Bool
    {
        let question = "SELECT \(expression) FROM pg_replication_slots WHERE slot_name = '\(slot)'"
        let said = try await poll(for: .seconds(20), every: .milliseconds(100)) { () -> String? in
            try await leader.query(question).first?.first ?? nil
        }
        let before = try #require(said, "\(slot) holds nothing")
        let moved = try await poll(for: limit, every: .milliseconds(200)) { () -> Bool? in
            _ = try await leader.query("CREATE TABLE passing (i int); DROP TABLE passing; SELECT pg_current_xact_id()")
            return try await leader.query(question) == [[before]] ? nil : true
        }
        return moved ?? false
    }

    @Test func afterASwitchoverThereAndBackNothingHoldsBackVacuumOrLog() async throws {
        try await TestGround.with("back") { ground in
            let (m1, standbys) = try await Self.cluster(ground, standbys: 2...2)
            let m2 = standbys[0]
            let hasHorizon = try await poll(for: .seconds(20), every: .milliseconds(100)) { () -> Bool? in
                try await m1.query("SELECT xmin IS NOT NULL FROM pg_replication_slots") == [["t"]] ? true : nil
            }
            #expect(hasHorizon == true, "the standby says what its queries still need")
            var (old, new) = (m1, m2)
            for epoch in [Epoch(2), Epoch(3)] {
                await old.instance.stop(.fast, within: .seconds(10))
                try new.configure(.standby(upstream: nil))
                try await new.instance.stopFollowing()
                _ = try await new.instance.endOfLog(within: .seconds(10))
                try new.configure(.leader(epoch: epoch, standbys: [old.name], confirmations: 0))
                _ = try await new.instance.promote(within: .seconds(20))
                try await new.instance.keepSlots(of: epoch, for: [old.name], among: ground.members)
                try await old.follow(new, epoch)
                try await old.waitUntilStreaming()
                let slot = StreamName(member: old.name, epoch: epoch).slot
                // What is left of its reign is told to the new leader as a need of its own.
                #expect(try await Self.slots(old).count == 1)
                #expect(try await !Self.moves("xmin", of: slot, on: new, within: .seconds(3)))
                try await old.instance.dropSlots(among: ground.members)
                #expect(try await Self.slots(old) == [])
                #expect(try await Self.moves("xmin", of: slot, on: new, within: .seconds(20)))
                #expect(try await Self.moves("restart_lsn", of: slot, on: new, within: .seconds(20)))
                // A primary keeps what it has, whoever says that it is none.
                try await new.instance.dropSlots(among: ground.members)
                #expect(try await Self.slots(new) == [slot])
                (old, new) = (new, old)
            }
            for member in [m1, m2] { await member.instance.stop(.immediate, within: .seconds(5)) }
        }
    }

    @Test func aSlotOfAnyOtherNameIsAUsers() async throws {
        try await TestGround.with("users") { ground in
            let m1 = try ground.member(1)
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            try await m1.lead(.first)
            for name in ["mine_e1", "m9_e1", "m2_e01", "m2_e1", "m3_e7"] {
                try await m1.instance.make(slot: name, keepsLog: false)
            }
            try await m1.instance.keepSlots(of: Epoch(7), for: [try MemberName("m3")], among: ground.members)
            #expect(try await Self.slots(m1) == ["m2_e01", "m3_e7", "m9_e1", "mine_e1"])
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }

    @Test func aFullTableOfSlotsIsTriedAgainAndHoldsUpNobody() async throws {
        try await TestGround.with("table") { ground in
            let (m2, m3) = (try ground.member(2), try ground.member(3))
            let m1 = try ground.member(1)
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            try await m1.lead(.first)
            // As many as a user has had room for until now do no harm.
            for number in 1...16 { try await m1.instance.make(slot: "user_\(number)", keepsLog: false) }
            try await m1.lead(Epoch(2), standbys: [m2, m3])
            var made = 0
            while made < PostgresSettings.slotsMax,
                (try? await m1.instance.make(slot: "more_\(made)", keepsLog: false)) != nil
            {
                made += 1
            }
            func ofThirdReign() async throws -> [String] { try await Self.slots(m1).filter { $0.hasSuffix("_e3") } }
            // The places of the last reign are free for this one; there are two.
            await #expect(throws: DatabaseError.self) {
                try await m1.instance.keepSlots(of: Epoch(3), for: ground.members, among: ground.members)
            }
            #expect(try await ofThirdReign() == ["m1_e3", "m2_e3"])
            try await m1.instance.drop(slot: "user_1")
            try await m1.instance.keepSlots(of: Epoch(3), for: ground.members, among: ground.members)
            #expect(try await ofThirdReign() == ["m1_e3", "m2_e3", "m3_e3"])
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }

    @Test func aStandbyPassesTheLogOnToNobody() async throws {
        try await TestGround.with("cascade") { ground in
            let (m1, standbys) = try await Self.cluster(ground, standbys: 2...2)
            let (m2, m3) = (standbys[0], try ground.member(3))
            func answer(of member: TestMember) async -> String? {
                await m3.instance.obstacle(
                    to: member.upstream(.first), m3.settings(.standby(upstream: nil)), ground.secrets)
            }
            #expect(await answer(of: m1) == "it has no slot m3_e1")
            let refusal = await answer(of: m2)
            #expect(refusal?.contains("pg_hba.conf rejects replication connection") == true, "\(refusal ?? "nil")")
            // Its own supervisor asks it in the same protocol.
            #expect(try await m2.instance.replayedTimeline() == 1)
            for member in [m1, m2] { await member.instance.stop(.immediate, within: .seconds(5)) }
        }
    }

    /// Time is told to it, so that nobody waits for ten minutes.
    @Test func theSlotOfAMemberThatIsAwayForLongHoldsNothingAnyMore() async throws {
        try await TestGround.with("away") { ground in
            let (m1, standbys) = try await Self.cluster(ground, standbys: 2...3, confirmations: 1)
            let (m2, m3) = (standbys[0], standbys[1])
            let hasHorizon = try await poll(for: .seconds(20), every: .milliseconds(100)) { () -> Bool? in
                try await m1.query("SELECT count(xmin) FROM pg_replication_slots") == [["2"]] ? true : nil
            }
            #expect(hasHorizon == true)
            await m3.instance.stop(.immediate, within: .seconds(5))
            #expect(try await !Self.moves("xmin", of: "m3_e1", on: m1, within: .seconds(2)))
            let away = BootClock.now() + .seconds(60)
            let isGone = try await poll(for: .seconds(20), every: .milliseconds(100)) { () -> Bool? in
                try await m1.query("SELECT active FROM pg_replication_slots WHERE slot_name = 'm3_e1'") == [["f"]]
                    ? true : nil
            }
            #expect(isGone == true)
            #expect(try await m1.instance.tendSlots(at: away) == [])
            #expect(try await m1.instance.tendSlots(at: away + (SlotAbsence.absenceMax - .seconds(1))) == [])
            #expect(try await m1.instance.tendSlots(at: away + SlotAbsence.absenceMax) == ["m3_e1"])
            let held = "SELECT xmin, restart_lsn FROM pg_replication_slots WHERE slot_name = 'm3_e1'"
            #expect(try await m1.query(held) == [[nil, nil]])
            #expect(try await Self.moves("xmin", of: "m2_e1", on: m1, within: .seconds(20)))
            // It is neither given up again nor made anew to hold log.
            #expect(try await m1.instance.tendSlots(at: away + .seconds(7200)) == [])
            #expect(try await m1.query(held) == [[nil, nil]])
            // Back in time for the log that is kept anyway, it goes on, and its slot holds again.
            try await m3.follow(m1, .first)
            try await m3.waitUntilStreaming()
            let holds = try await poll(for: .seconds(10), every: .milliseconds(100)) { () -> Bool? in
                try await m1.query(held).first?[1] == nil ? nil : true
            }
            #expect(holds == true)
            for member in [m1, m2, m3] { await member.instance.stop(.immediate, within: .seconds(5)) }
        }
    }

    @Test func onlyAStandbyThatHasLookedAndFoundNothingMoreIsAtItsEnd() async throws {
        try await TestGround.with("replay") { ground in
            let (m1, standbys) = try await Self.cluster(ground, standbys: 2...2)
            let m2 = standbys[0]
            // While it streams there may be more at any moment, however still it is now.
            await #expect(throws: PostgresError.self) { try await m2.instance.endOfLog(within: .seconds(1)) }

            // What was received counts, although somebody has kept it from being replayed.
            _ = try await m2.query("SELECT pg_wal_replay_pause()")
            _ = try await m1.query("CREATE TABLE t (i int); INSERT INTO t SELECT generate_series(1, 100000)")
            let target = try #require(try await m1.query("SELECT pg_current_wal_flush_lsn()").first?[0])
            let isReceived = try await poll(for: .seconds(20), every: .milliseconds(50)) { () -> Bool? in
                let row = try await m2.query(
                    "SELECT pg_last_wal_receive_lsn() >= '\(target)', pg_last_wal_replay_lsn() < '\(target)'")
                return row == [["t", "t"]] ? true : nil
            }
            #expect(isReceived == true)
            try m2.configure(.standby(upstream: nil))
            try await m2.instance.stopFollowing()
            let end = try await m2.instance.endOfLog(within: .seconds(30))
            #expect(try end.end >= #require(LSN(text: target)))
            #expect(try await m2.query("SELECT count(*) FROM t") == [["100000"]])
            for member in [m1, m2] { await member.instance.stop(.immediate, within: .seconds(5)) }
        }
    }
}

@Suite struct SlotAbsenceTests {
    private static let members = ["m2_e1", "m3_e1"]
    private static let began = Moment(sinceBoot: .seconds(50))

    private func slots(_ second: Bool, _ third: Bool) -> [HeldSlot] {
        zip(Self.members, [second, third]).map { HeldSlot(name: $0, isServed: $1, held: .mebibytes(1)) }
            + [HeldSlot(name: "mine", isServed: false, held: .mebibytes(1))]
    }

    @Test func aSlotIsGivenUpAfterALongAbsenceInOnePiece() {
        var absence = SlotAbsence()
        func overdue(_ second: Bool, _ third: Bool, after seconds: Int64) -> [String] {
            absence.overdue(
                slots(second, third), members: Self.members, confirmations: 1, Self.began + .seconds(seconds))
        }
        #expect(overdue(true, false, after: 0) == [])
        #expect(overdue(true, false, after: 599) == [])
        #expect(overdue(true, false, after: 600) == ["m3_e1"])
        #expect(overdue(true, true, after: 601) == [])
        #expect(overdue(true, false, after: 602) == [])
        #expect(overdue(true, false, after: 1201) == [])
        // Nobody confirms: both are needed, whoever comes back first.
        #expect(overdue(false, false, after: 5000) == [])
        #expect(overdue(true, false, after: 5001) == ["m3_e1"])
    }
}

@Suite struct ClusterSlotsTests {
    @Test func namesAreOursWhenAMemberAndAnEpochMakeThem() throws {
        let slots = ClusterSlots(members: [try MemberName("shop-1"), try MemberName("shop-2")])
        // Numbers are never given again: one that is no member was one, or will be.
        for name in ["shop_1_e1", "shop_2_e18446744073709551615", "shop_3_e1", "shop_12_e7"] {
            #expect(slots.contains(name), "\(name)")
        }
        for name in [
            "shop_x_e1", "shops_3_e1", "shop_1_e", "shop_1_e01", "shop_1_e+1", "shop_1", "x_shop_1_e1", "e1", "",
        ] {
            #expect(!slots.contains(name), "\(name)")
        }
    }
}

@Suite struct RecoveryTests {
    private func recovery(_ wait: String, _ received: UInt64, _ replayed: UInt64, receiver: Bool = false)
        -> PostgresInstance.Recovery
    {
        .init(
            isInRecovery: true, received: LSN(received), replayed: LSN(replayed), wait: wait, hasReceiver: receiver)
    }

    @Test func onlyThePauseBetweenTwoLooksIsASignOfTheEnd() {
        #expect(recovery("RecoveryRetrieveRetryInterval", 8, 8).isComplete)
        #expect(recovery("RecoveryRetrieveRetryInterval", 0, 8).isComplete, "nothing was received since it started")
        #expect(!recovery("RecoveryRetrieveRetryInterval", 9, 8).isComplete)
        #expect(!recovery("RecoveryRetrieveRetryInterval", 8, 8, receiver: true).isComplete)
        #expect(!recovery("RecoveryWalStream", 8, 8).isComplete)
        #expect(!recovery("", 8, 8).isComplete)
    }
}
