import Foundation
import RoostModel
import Testing

@testable import RoostFailover

/// What a member may make of its cluster's rule: nothing that is not its own to say.
@Suite("What a member may write") struct UnlawfulChangeTests {
    private let names: [MemberName]
    private var rule: ClusterRule

    init() throws {
        names = try (1...4).map { try MemberName("m\($0)") }
        rule = ClusterRule(
            epoch: Epoch(4), leader: names[0], members: Array(names[..<3]), confirmations: 1,
            history: [
                Reign(epoch: .first, leader: names[1], begin: .zero),
                Reign(epoch: Epoch(4), leader: names[0], begin: LSN(9)),
            ])
        rule.change = MemberChange(id: "a", steps: [.init(.add, names[3]), .init(.remove, names[1])])
    }

    private func isTaken(_ member: Int, over former: ClusterRule? = nil, _ change: (inout ClusterRule) -> Void) -> Bool
    {
        let former = former ?? rule
        var next = former
        change(&next)
        do throws(UnlawfulChange) {
            try next.check(asChangeOf: former, by: names[member])
            return true
        } catch {
            return false
        }
    }

    @Test("The next step that was asked for is the leader's to take, and nobody makes another one")
    func steps() throws {
        let step = try #require(rule.change?.current)
        let next = rule.taking(step)
        #expect(isTaken(0) { $0 = next })
        #expect(!isTaken(1) { $0 = next } && !isTaken(3) { $0 = next }, "only the leader")
        // The other members would be taken apart.
        for member in names.indices {
            #expect(
                !isTaken(member) {
                    $0.members = [names[member]]; $0.confirmations = 0
                })
            #expect(
                !isTaken(member) { rule in
                    rule.members = [names[member]]
                    rule.confirmations = 0
                    rule.changes = 2
                    rule.change = MemberChange(id: "b", steps: [])
                    rule.change?.done = names.filter { $0 != names[member] }.map { .init(.remove, $0) }
                })
        }
        #expect(
            !isTaken(0) {
                $0 = next; $0.members.removeLast(2)
            })
        #expect(
            !isTaken(0) {
                $0 = next; $0.confirmations = 0
            })
        #expect(
            !isTaken(0) {
                $0 = next; $0.changes = .max
            })
        #expect(!isTaken(0) { $0.change?.left.reverse() }, "in the order in which it was asked for")
        #expect(!isTaken(0, over: next) { $0 = $0.taking(.init(.remove, names[2])) })
        var called = rule
        called.recruitment = Recruitment(epoch: Epoch(5), proposer: names[1], reason: .leaderSilent)
        #expect(!isTaken(0, over: called) { $0 = $0.taking(step) }, "not while another leader is sought")
        // They are counted, and whoever counts on does not come round to the first.
        var full = rule
        full.changes = .max - 1
        #expect(isTaken(0, over: full) { $0 = $0.taking(step) })
        full.changes = .max
        #expect(
            !isTaken(0, over: full) {
                $0 = next; $0.changes = 0
            })
        #expect(
            !isTaken(0, over: full) {
                $0 = next; $0.changes = .max
            })
    }

    @Test("The data of a cluster is named by its leader, and a wrong name is put right by a later one")
    func system() {
        #expect(isTaken(0) { $0.system = 77 } && !isTaken(1) { $0.system = 77 })
        var named = rule
        named.system = 77
        #expect(isTaken(0, over: named) { $0.system = 78 } && !isTaken(1, over: named) { $0.system = 78 })
        #expect(!isTaken(0, over: named) { $0.system = nil }, "nobody would know which data is the cluster's")
        for system in [nil, 77, 78] as [UInt64?] {
            let isSame = isTaken(1, over: named) { rule in
                rule.epoch = Epoch(5)
                rule.leader = names[1]
                rule.history.append(Reign(epoch: Epoch(5), leader: names[1], begin: LSN(12)))
                rule.system = system
            }
            #expect(isSame == (system == 77))
        }
    }

    @Test("What becomes of a wish its leader says; nobody writes one, and none that was refused begins again")
    func wishes() {
        #expect(isTaken(0) { $0.change?.isPrepared = true } && !isTaken(1) { $0.change?.isPrepared = true })
        #expect(isTaken(0) { $0.change?.refusal = "no" } && !isTaken(1) { $0.change?.refusal = "no" })
        var refused = rule
        refused.change?.refusal = "it was taken back"
        #expect(!isTaken(0, over: refused) { $0.change?.refusal = "it was" }, "what others have said stays")
        #expect(!isTaken(0, over: refused) { $0.change?.refusal = nil })
        #expect(!isTaken(0, over: refused) { $0.change?.isPrepared = true })
        // By that nobody would ever be taken apart.
        #expect(!isTaken(0) { $0.change?.refusal = MemberChange.refusalOfLostStore })
        #expect(
            !isTaken(0) { $0.change = nil } && !isTaken(0) { $0.switchover = SwitchoverRequest(id: "b", target: nil) })
        #expect(!isTaken(0) { $0.pause = WishTerm(beganAt: 0, length: .seconds(1)) })
        let term = WishTerm(beganAt: 0, length: .seconds(1))
        let restart = RestartRequest(id: "r", members: Array(names[..<3]), handsOver: true, term: term)
        #expect(!isTaken(0) { $0.restart = restart })
        var asked = rule
        asked.restart = restart
        #expect(
            isTaken(1, over: asked) {
                $0.restart?.left.remove(at: 1); $0.restart?.done = [names[1]]
            })
        #expect(
            !isTaken(2, over: asked) {
                $0.restart?.left.remove(at: 1); $0.restart?.done = [names[1]]
            })
        #expect(!isTaken(1, over: asked) { $0.restart?.done = [names[1]] }, "once")
        #expect(!isTaken(1, over: asked) { $0.restart?.left.remove(at: 1) }, "that it is done")
        #expect(isTaken(0, over: asked) { $0.restart?.refusal = "no" })
        #expect(!isTaken(1, over: asked) { $0.restart?.refusal = "no" })
        asked.switchover = SwitchoverRequest(id: "s", target: names[2])
        #expect(isTaken(0, over: asked) { $0.switchover?.refusal = "no" })
        #expect(!isTaken(1, over: asked) { $0.switchover?.refusal = "no" })
        #expect(
            !isTaken(0, over: asked) { $0.switchover?.target = names[1] }
                && !isTaken(0, over: asked) { $0.switchover = nil })
    }

    @Test("Who calls, and why, fits who writes it")
    func calls() {
        func isCalled(
            by member: Int, for proposer: Int, _ reason: Recruitment.Reason, to target: Int? = nil,
            over former: ClusterRule? = nil
        ) -> Bool {
            isTaken(member, over: former) {
                $0.recruitment = Recruitment(
                    epoch: $0.epoch.next, proposer: names[proposer], reason: reason, target: target.map { names[$0] })
            }
        }
        // A leader offers its office, or hands it over, in its own name.
        for reason in [.leaderResigned, .switchover, .leaderLostLog] as [Recruitment.Reason] {
            #expect(isCalled(by: 0, for: 0, reason) && !isCalled(by: 0, for: 1, reason))
            #expect(!isCalled(by: 1, for: 0, reason), "\(reason)")
        }
        #expect(isCalled(by: 0, for: 0, .switchover, to: 2) && !isCalled(by: 0, for: 0, .switchover, to: 3))
        #expect(!isCalled(by: 0, for: 0, .leaderResigned, to: 2))
        #expect(!isCalled(by: 1, for: 1, .leaderResigned) && !isCalled(by: 1, for: 1, .switchover))
        // Others say that it is silent, also for one whose call they heeded, and that it has lost something.
        #expect(isCalled(by: 1, for: 1, .leaderSilent) && isCalled(by: 1, for: 2, .leaderSilent, to: 2))
        #expect(!isCalled(by: 1, for: 0, .leaderSilent) && !isCalled(by: 1, for: 3, .leaderSilent))
        #expect(!isCalled(by: 0, for: 0, .leaderSilent) && !isCalled(by: 0, for: 1, .leaderSilent))
        #expect(isCalled(by: 1, for: 1, .leaderLostLog) && !isCalled(by: 1, for: 2, .leaderLostLog))
        // What others write, nobody says for them.
        #expect(!isCalled(by: 1, for: 1, .storeRecovered) && !isCalled(by: 1, for: 1, .unknown("whim")))
        var called = rule
        called.recruitment = Recruitment(epoch: Epoch(5), proposer: names[2], reason: .leaderSilent)
        #expect(!isCalled(by: 1, for: 1, .leaderSilent, over: called), "once")
    }

    /// As another version reads it.
    private struct Newer: Encodable {
        enum Key: CodingKey { case obeys }
        var rule: ClusterRule
        func encode(to encoder: any Encoder) throws {
            try rule.encode(to: encoder)
            var container = encoder.container(keyedBy: Key.self)
            try container.encode("all", forKey: .obeys)
        }
    }

    @Test("What this version does not know of a rule is not a member's to write, and stays as it is")
    func fieldsOfANewerVersion() throws {
        let newer = try JSONDecoder().decode(ClusterRule.self, from: JSONEncoder().encode(Newer(rule: rule)))
        #expect(newer == rule && !newer.isIdentical(to: rule))
        var (fields, reign) = (UnknownFields(), newer.history[1])
        fields = newer.unknown
        reign.unknown = fields
        let call = Recruitment(epoch: Epoch(5), proposer: names[1], reason: .leaderSilent)
        #expect(!isTaken(1) { $0 = newer } && !isTaken(1, over: newer) { $0 = rule })
        #expect(isTaken(1, over: newer) { $0.recruitment = call })
        #expect(
            !isTaken(1) {
                $0.recruitment = call; $0.recruitment?.unknown = fields
            })
        #expect(!isTaken(0) { $0.history[1] = reign } && !isTaken(0) { $0.change?.unknown = fields })
        #expect(!isTaken(0) { $0.change?.left[1].unknown = fields })
        let elected = Reign(epoch: Epoch(5), leader: names[1], begin: LSN(12))
        func elect(_ rule: inout ClusterRule) {
            rule.epoch = Epoch(5)
            rule.leader = names[1]
            rule.history.append(elected)
        }
        #expect(isTaken(1, over: newer, elect))
        #expect(
            !isTaken(1) {
                elect(&$0); $0.unknown = fields
            })
        #expect(
            !isTaken(1) {
                elect(&$0); $0.history[2].unknown = fields
            })
    }

    @Test("A new leader's timeline follows from its history; where it does not, it is one that has a next one")
    func timelines() {
        var known = rule
        known.timeline = 7
        func isElected(over former: ClusterRule, _ timeline: UInt32?, _ change: (inout [Reign]) -> Void = { _ in })
            -> Bool
        {
            isTaken(1, over: former) {
                $0.epoch = Epoch(5)
                $0.leader = names[1]
                change(&$0.history)
                $0.history.append(Reign(epoch: Epoch(5), leader: names[1], begin: LSN(12)))
                $0.timeline = timeline
            }
        }
        #expect(isElected(over: known, 8))
        for other in [nil, 0, 7, 9, .max] as [UInt32?] { #expect(!isElected(over: known, other), "\(other ?? 0)") }
        // Without the present leader's part, and with one of somebody who never opened.
        let lost = Reign(epoch: Epoch(3), leader: names[2], begin: LSN(5))
        #expect(isElected(over: known, 7) { $0.removeLast() } && !isElected(over: known, 8) { $0.removeLast() })
        #expect(isElected(over: known, 8) { $0[1] = lost } && !isElected(over: known, 7) { $0[1] = lost })
        #expect(
            isElected(over: rule, nil) && isElected(over: rule, 3) && isElected(over: rule, ClusterRule.timelineMax))
        #expect(!isElected(over: rule, 0) && !isElected(over: rule, .max))
    }

    @Test("A new leader goes on from reigns that this cluster had, and that follow one another")
    func histories() {
        func isElected(_ history: [Reign]) -> Bool {
            isTaken(1) {
                $0.epoch = Epoch(5)
                $0.leader = names[1]
                $0.history = history + [Reign(epoch: Epoch(5), leader: names[1], begin: LSN(12))]
            }
        }
        let (first, second) = (rule.history[0], rule.history[1])
        func reign(_ epoch: UInt64, _ leader: Int, _ begin: UInt64) -> Reign {
            Reign(epoch: Epoch(epoch), leader: names[leader], begin: LSN(begin))
        }
        #expect(isElected([first, second]) && isElected([first]) && isElected([first, reign(3, 2, 4)]))
        #expect(!isElected([]), "it comes from somewhere")
        #expect(!isElected([second, first]) && !isElected([first, first]))
        #expect(!isElected([first, reign(4, 2, 9)]) && !isElected([first, reign(4, 0, 8)]), "one epoch, one reign")
        #expect(!isElected([first, second, reign(5, 2, 10)]))
        #expect(!isElected([first, reign(3, 2, 10), second]) && !isElected([reign(1, 2, 0), second]))
        #expect(!isElected([first, reign(1000, 2, 9)]))
    }

    @Test("Whoever is a member calls for the next epoch, and names who leads it; epochs are not made up")
    func elections() {
        let call = Recruitment(epoch: Epoch(5), proposer: names[1], reason: .leaderSilent)
        #expect(isTaken(1) { $0.recruitment = call } && !isTaken(3) { $0.recruitment = call })
        let far = Recruitment(epoch: Epoch(.max), proposer: names[1], reason: .leaderSilent)
        #expect(!isTaken(1) { $0.recruitment = far })
        var called = rule
        called.recruitment = call
        func elect(_ leader: Int, _ epoch: UInt64, _ rule: inout ClusterRule) {
            rule.epoch = Epoch(epoch)
            rule.leader = names[leader]
            rule.recruitment = nil
            rule.history.append(Reign(epoch: Epoch(epoch), leader: names[leader], begin: LSN(12)))
        }
        #expect(isTaken(1, over: called) { elect(2, 5, &$0) } && isTaken(1) { elect(2, 5, &$0) })
        #expect(!isTaken(1, over: called) { elect(3, 5, &$0) }, "one that is no member does not lead")
        #expect(!isTaken(1, over: called) { elect(2, 6, &$0) } && !isTaken(3, over: called) { elect(2, 5, &$0) })
        #expect(
            !isTaken(1, over: called) {
                elect(1, 5, &$0); $0.members = [names[1]]
            })
        #expect(!isTaken(1, over: called) { $0.recruitment = nil }, "a call is not taken back")
        #expect(!isTaken(1) { $0.leader = names[1] } && !isTaken(0) { $0.history.removeFirst() })
    }

    @Test("The first of the members makes the cluster, of those that somebody asked for")
    func first() throws {
        let members = Array(names[..<3])
        let first = ClusterRule(
            epoch: .first, leader: names[0], members: members, confirmations: 1,
            history: [Reign(epoch: .first, leader: names[0], begin: .zero)])
        try first.check(asFirstOf: members, by: names[0])
        #expect(throws: UnlawfulChange.self) { try first.check(asFirstOf: members, by: names[1]) }
        #expect(throws: UnlawfulChange.self) { try first.check(asFirstOf: names, by: names[0]) }
        #expect(throws: UnlawfulChange.self) { try rule.check(asFirstOf: members, by: names[0]) }
    }
}
