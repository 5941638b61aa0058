import RoostLinux
import RoostModel
import RoostPlanet
import RoostStore
import RoostWire
import Testing

@testable import RoostPostgresControl

/// Why nobody can write, in words.
extension ClusterStatusTests {
    @Test("A recruitment shows who has to answer, by the answers that there are, and nothing that a member said before")
    func recruitmentWords() throws {
        var rule = rule
        rule.recruitment = Recruitment(epoch: Epoch(2), proposer: members[1], reason: .leaderSilent)
        func detail(_ reports: [Entry], _ silence: ClusterSilence = ClusterSilence()) throws -> String? {
            let planet = try planet([try entry(StoreKeys.clusterRule(name), rule)] + reports)
            return ClusterStatus.body(of: name, in: planet, silence: silence)?.detail
        }
        func answer(_ member: MemberName) throws -> Entry {
            var report = MemberReport(
                member: member, role: .standby, state: .waiting, promised: Epoch(2),
                position: Position(epoch: .first, end: LSN(9)), timeline: 1, replayed: LSN(9), isStreaming: false,
                lagBytes: 0, lagMilliseconds: 0, detail: "2 of 2 members have not answered recruitment 2")
            report.chain = rule.history
            return try entry(StoreKeys.report(name, member), report)
        }
        let called = "recruiting for epoch 2 (leader_silent)"
        let nobody =
            "\(called): 2 of 2 members have not answered recruitment 2: need orders-1 or orders-2, with their data"
        #expect(try detail([]) == nobody)
        // What one says that has promised and not answered, or was not called yet, is about something else.
        for promised in [Epoch.first, Epoch(2)] {
            let words = "pg_rewind failed with status 1"
            let said = try members.map { try report($0, isStreaming: true, words: words, promised: promised) }
            #expect(try detail(said) == nobody)
        }
        // Nor is it of now: it was there when this was heard, or before the others had answered.
        #expect(try detail([try answer(members[1])]) == called)
        #expect(try detail([try answer(members[1])], ClusterSilence(unheard: Set(members))) == called)
    }

    @Test func aPrimaryThatLetsNobodyInIsNotReady() throws {
        let body = try #require(ClusterStatus.body(of: name, in: try three([true, true], isOpen: false)))
        #expect(body.status == .unavailable)
        #expect(body.detail == "the primary orders-1 does not accept writes")
        // It was never open.
        let young = try #require(
            ClusterStatus.body(of: name, in: try three([false, false], isOpen: false, and: [try creation(.running)])))
        #expect(young.status == .creating && young.detail == "the primary orders-1 does not accept writes yet")
    }

    @Test("Of a primary that hands over nobody says that it does not accept writes yet")
    func handingOver() throws {
        for (wish, words) in [
            (SwitchoverRequest(id: "a", target: nil), "the primary orders-1 hands over"),
            (SwitchoverRequest(id: "a", target: members[1]), "the primary orders-1 hands over to orders-2"),
            (
                SwitchoverRequest(id: "a", target: members[1], refusal: "not up to date"),
                "the primary orders-1 does not accept writes"
            ),
        ] {
            let planet = try three([true, true], isOpen: false, wish: wish)
            #expect(ClusterStatus.body(of: name, in: planet)?.detail == words)
        }
    }

    @Test(
        "A primary that is closed for another reason does not hand over because it is asked to: it says what it lacks")
    func askedToHandOverAndClosed() throws {
        let lacks = "waits until 1 standby has its log up to 0/2802028"
        let asked = "orders-1 is asked to hand over to orders-2"
        let wish = SwitchoverRequest(id: "a", target: members[1])
        for (report, words) in [
            (try report(members[0], isStreaming: false, words: lacks), "\(lacks); \(asked)"),
            // It was just chosen, has not said yet what it lacks, and was never open.
            (
                try report(members[0], isStreaming: false),
                "the primary orders-1 does not accept writes; \(asked)"
            ),
            (
                try report(members[0], isStreaming: false, state: .starting),
                "the Postgres of the primary orders-1 is starting; \(asked)"
            ),
            // It was not called to lead yet when it said that.
            (
                try report(members[0], isStreaming: false, words: "pg_rewind did not work", promised: .none),
                "the primary orders-1 does not accept writes; \(asked)"
            ),
            (
                try report(members[0], isStreaming: true),
                "the primary orders-1 does not accept writes; \(asked)"
            ),
        ] {
            var planet = try three([false, false], isOpen: false, wish: wish)
            _ = planet.apply(.changes([.put(report)], revision: Revision(10)))
            let body = try #require(ClusterStatus.body(of: name, in: planet))
            #expect(body.status == .unavailable && body.detail == words)
        }
    }

    @Test("A standby that its primary sees, and that has a lag in the table, is not said not to stream")
    func seenAndNotConfirming() throws {
        let names = try (1...3).map { try MemberName("orders-\($0)") }
        var planet = try three([true, true])
        for (behind, words) in [
            ([UInt64?.some(320), nil], "not streaming: orders-3; not confirming yet: orders-2"),
            ([320, 0], "not confirming yet: orders-2, orders-3"), ([nil, nil], "not streaming: orders-2, orders-3"),
        ] as [([UInt64?], String)] {
            let standbys = zip(names.dropFirst(), behind).map {
                StandbyView(member: $0, isConfirming: false, behindBytes: $1)
            }
            let beat = Heartbeat(epoch: .first, leader: names[0], sequence: 2, isOpen: true, standbys: standbys)
            _ = planet.apply(
                .changes([.put(try entry(StoreKeys.clusterHeartbeat(name), beat))], revision: Revision(10)))
            let body = try #require(ClusterStatus.body(of: name, in: planet))
            #expect(body.detail == "commits wait for 1 more standby; \(words)")
            #expect(body.members.dropFirst().map(\.lagBytes) == behind)
        }
    }

    @Test(
        "Who has no data does not lag behind by nothing",
        arguments: [
            MemberReport.State.empty, .initializing, .cloning,
        ])
    func noDataNoLag(state: MemberReport.State) throws {
        var planet = try three([true, true])
        let names = try (1...3).map { try MemberName("orders-\($0)") }
        let before = try #require(ClusterStatus.body(of: name, in: planet))
        #expect(before.members[1].lagBytes != nil)
        let told = try report(names[1], isStreaming: true, state: state)
        _ = planet.apply(.changes([.put(told)], revision: Revision(10)))
        #expect(try #require(ClusterStatus.body(of: name, in: planet)).members[1].lagBytes == nil)
    }

    @Test("A cluster that chooses a leader again and again says how often, for as long as that is of late")
    func unrest() throws {
        var ledger = HearingLedger()
        let begin = Moment(sinceBoot: .seconds(100))
        func look(_ epoch: UInt64, after seconds: Int64, isPaused: Bool = false) throws -> String? {
            var rule = rule
            if isPaused { rule.pause = WishTerm(beganAt: WallClock.milliseconds(), length: .seconds(3600)) }
            rule.epoch = Epoch(epoch)
            rule.history = (1...epoch).map { Reign(epoch: Epoch($0), leader: members[0], begin: LSN($0)) }
            let planet = try planet([try entry(StoreKeys.clusterRule(name), rule)])
            let now = begin + .seconds(seconds)
            ledger.note(try #require(planet.clusters[name]), of: name, listing: 1, now)
            return ClusterStatus.body(of: name, in: planet, silence: ledger.silence(in: name, now))?.detail
        }
        let bare = { (count: Int) in "a leader was chosen \(count) times in 10 minutes" }
        let words = { (count: Int) in
            "\(bare(count)) (to have the one that leads kept: roost pg pause orders)"
        }
        // What was before this host heard the cluster is not of late for all it knows.
        #expect(try look(7, after: 0)?.contains("was chosen") == false)
        #expect(try look(9, after: 60)?.contains("was chosen") == false, "two are no unrest")
        #expect(try look(9, after: 61)?.contains("was chosen") == false)
        #expect(try look(10, after: 120)?.hasSuffix(words(3)) == true)
        #expect(try look(12, after: 300)?.hasSuffix(words(5)) == true, "those that nobody looked at count")
        // Who pauses what is paused makes it longer.
        let paused = try #require(try look(12, after: 300, isPaused: true))
        #expect(paused.contains("\(bare(5)); paused until ") && !paused.contains("roost pg pause"), "\(paused)")
        // A pause would keep the one that says nothing.
        #expect(try look(12, after: 307)?.hasSuffix(bare(5)) == true)
        #expect(try look(12, after: 661)?.hasSuffix(bare(3)) == true)
        #expect(try look(12, after: 721)?.contains("was chosen") == false)
        // The store went back, and a newer copy took its place.
        #expect(try look(3, after: 730)?.contains("was chosen") == false)
        #expect(try look(13, after: 740)?.hasSuffix(words(3)) == true)
    }
}
