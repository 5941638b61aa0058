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
                lagBytes: 0, lagMilliseconds: 0, detail: "2 of 2 members have not answered recruitment 2: need orders-1")
            report.chain = rule.history
            return try entry(StoreKeys.report(name, member), report)
        }
        let called = "recruiting for epoch 2 (leader_silent)"
        let nobody = "\(called): 2 of 2 members have not answered recruitment 2: need orders-1 or orders-2, with their data"
        #expect(try detail([]) == nobody)
        // What one says that has promised and not answered is about something else, as is what one says that was not called.
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

    @Test("A primary that is closed for another reason does not hand over because it is asked to, and says what it lacks")
    func askedToHandOverAndClosed() throws {
        let lacks = "waits until 1 standby has its log up to 0/2802028"
        let asked = "orders-1 is asked to hand over to orders-2"
        let wish = SwitchoverRequest(id: "a", target: members[1])
        for (report, words) in [
            (try report(members[0], isStreaming: false, words: lacks), "\(lacks); \(asked)"),
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
}
