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
        var full = rule
        full.changes = .max
        #expect(!isTaken(0, over: full) { $0.changes = 0 })
    }

    @Test("The data of a cluster is named by its leader, and once")
    func system() {
        #expect(isTaken(0) { $0.system = 77 } && !isTaken(1) { $0.system = 77 })
        var named = rule
        named.system = 77
        #expect(!isTaken(0, over: named) { $0.system = 78 } && !isTaken(0, over: named) { $0.system = nil })
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
        #expect(isTaken(0, over: refused) { $0.change?.refusal = "it was" }, "words are cut where they are kept")
        #expect(!isTaken(0, over: refused) { $0.change?.refusal = nil })
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
