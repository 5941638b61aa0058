import Foundation
import RoostModel
import Testing

@testable import RoostFailover

/// What a person may decide, and the rule that comes of it.
@Suite("A failover that a person decides") struct ForcedElectionTests {
    private let names: [MemberName]
    private let history: [Reign]
    private var rule: ClusterRule

    init() throws {
        names = try (1...5).map { try MemberName("m\($0)") }
        history = [
            Reign(epoch: .first, leader: names[1], begin: .zero),
            Reign(epoch: Epoch(4), leader: names[0], begin: LSN(900)),
        ]
        rule = ClusterRule(
            epoch: Epoch(4), leader: names[0], members: Array(names[..<3]), confirmations: 1, history: history)
        rule.recruitment = Recruitment(epoch: Epoch(5), proposer: names[1], reason: .leaderSilent)
    }

    private func report(
        _ member: Int, end: UInt64?, epoch: UInt64 = 4, promised: UInt64 = 5, answers: Bool = true,
        data: MemberData? = .whole, _ change: (inout MemberReport) -> Void = { _ in }
    ) -> MemberReport {
        let chain = history.filter { $0.epoch <= Epoch(epoch) }
        var report = MemberReport(
            member: names[member - 1], role: .standby, state: .waiting, promised: Epoch(promised),
            position: end.map { Position(epoch: Epoch(epoch), end: LSN($0)) }, timeline: 1,
            replayed: LSN(end ?? 0), isStreaming: false, lagBytes: 0, lagMilliseconds: 0,
            chain: answers && end != nil ? chain : nil, skills: MemberSkill.known, data: data)
        change(&report)
        return report
    }

    private func sight(_ reports: [MemberReport], heard: [Int]) -> ForcedElection.Sight {
        .init(reports: reports, heard: Set(heard.map { names[$0 - 1] }))
    }

    private func obstacle(
        _ sight: ForcedElection.Sight, to member: Int? = nil, under rule: ClusterRule? = nil
    ) -> ForcedElection.Obstacle? {
        do throws(ForcedElection.Obstacle) {
            _ = try ForcedElection(of: rule ?? self.rule, sight, to: member.map { names[$0 - 1] })
            return nil
        } catch {
            return error
        }
    }

    @Test(
        "Where two are left, or one, they go by the store again, beyond what those that are not heard can have voted in"
    )
    func endsVotes() throws {
        var voting = rule
        voting.majority = true
        voting.members = names
        voting.confirmations = 2
        let reports = [report(2, end: 1000), report(3, end: 1200)]
        for heard in [[3], [2, 3]] {
            let left = reports.filter { heard.map { names[$0 - 1] }.contains($0.member) }
            let next = try ForcedElection(of: voting, sight(left, heard: heard)).rule(id: "op", at: 77, by: nil)
            #expect(next.members.count == heard.count && next.majority == nil)
            // Whoever is not heard may have held elections.
            #expect(next.called.number > voting.called.number + 1000)
            let own = Reign(epoch: Epoch(6), leader: names[0], begin: LSN(1300))
            #expect(next.reignLacking(opened: own, chain: history + [own]) == nil)
            let later = Reign(epoch: next.called.next, leader: names[0], begin: LSN(1300))
            #expect(next.reignLacking(opened: later, chain: history + [later]) == later)
            let beside = try ForcedElection(of: rule, sight([report(3, end: 1200)], heard: [3])).rule(
                id: "op", at: 77, by: nil)
            let known = Reign(epoch: Epoch(5), leader: names[0], begin: LSN(1300))
            #expect(
                beside.reignLacking(opened: known, chain: history + [known]) == known, "the store alone decides there")
        }
    }

    @Test(
        "Members that vote come to later elections than the store's: what is in their way is seen in the last of them")
    func laterElections() throws {
        var voting = rule
        voting.majority = true
        let ahead = report(2, end: 1200, promised: 7) { $0.cannotLead = true }
        let behind = report(3, end: 1000, promised: 7)
        let sight = sight([ahead, behind], heard: [2, 3])
        #expect(voting.asCalled(by: sight.reports).called == Epoch(7) && rule.asCalled(by: sight.reports) == rule)
        #expect(voting.asCalled(by: [ahead]) == voting, "one of three may say what it likes")
        let next = try ForcedElection(of: voting, sight, to: names[2]).rule(id: "op", at: 77, by: nil)
        #expect(next.forced?.member == names[2] && next.called > Epoch(7))
        let tally = try #require(RecruitmentTally(rule: voting.asCalled(by: sight.reports), reports: sight.reports))
        #expect(tally.obstacle?.contains("m2 has the most of the log, but cannot lead") == true)
        // The other way round nobody is needed.
        #expect(throws: ForcedElection.Obstacle.self) {
            _ = try ForcedElection(of: voting, self.sight([report(2, end: 1200, promised: 7), behind], heard: [2, 3]))
        }
    }

    @Test("The last that is left leads alone, above all that was promised, and what it lacks is said and written down")
    func theLast() throws {
        let reports = [
            report(1, end: 1500, promised: 4, answers: false), report(2, end: 1000), report(3, end: 1200, promised: 7),
        ]
        var asked = rule
        asked.pause = WishTerm(beganAt: 0, length: .seconds(60))
        asked.switchover = SwitchoverRequest(id: "s", target: names[1])
        asked.change = MemberChange(id: "c", steps: [.init(.add, names[3])])
        asked.changes = 2
        let election = try ForcedElection(of: asked, sight(reports, heard: [2]), to: names[1])
        #expect(election.keeps == [names[1]] && election.givesUp == [names[0], names[2], names[3]])
        #expect(
            election.furthest
                == .init(member: names[0], position: Position(epoch: Epoch(4), end: LSN(1500)), bytes: 500))
        #expect(election.lost.isEmpty && election.confirmations == 0)
        let next = election.rule(id: "op", at: 77, by: "somebody")
        #expect(next.members == [names[1]] && next.confirmations == 0 && next.changes == 3)
        // Somebody who is not heard may have promised one more than anybody has said.
        #expect(next.recruitment == Recruitment(epoch: Epoch(9), proposer: names[1], reason: .forced, target: names[1]))
        #expect(next.epoch == Epoch(4) && next.leader == names[0] && next.history == history)
        #expect(next.pause == nil && next.switchover == nil && next.change?.refusal == ForcedFailover.refusalOfWishes)
        let forced = try #require(next.forced)
        #expect(forced.id == "op" && forced.at == 77 && forced.by == "somebody" && forced.epoch == Epoch(9))
        #expect(forced.formerLeader == names[0] && forced.formerEpoch == Epoch(4) && next.forcedCall == forced)
        #expect(next.givenUp == [names[0], names[2], names[3]])
        // What is in the store is read by all.
        let read = try JSONDecoder().decode(ClusterRule.self, from: JSONEncoder().encode(next))
        #expect(read.isIdentical(to: next))
    }

    @Test(
        "Reigns of which nothing is left are no proof that the store went back, and only those that were written down")
    func reignsThatAreLost() throws {
        let old = report(3, end: 800, epoch: 1)
        let election = try ForcedElection(of: rule, sight([old], heard: [3]))
        #expect(election.lost == [history[1]])
        let next = election.rule(id: "op", at: 0, by: nil)
        let answer = report(3, end: 800, epoch: 1, promised: next.recruitment?.epoch.number ?? 0)
        let decided = try #require(RecruitmentTally(rule: next, reports: [answer])?.verdict(hasWaited: false))
        #expect(decided.leader == names[2] && decided.history.map(\.epoch) == [.first, Epoch(7)])
        #expect(decided.forced == next.forced)
        // Both that are left and that were given up may know it to have been open.
        #expect(DurableState(promised: Epoch(5), opened: history[1]).reignLost(by: decided) == nil)
        let other = Reign(epoch: Epoch(4), leader: names[3], begin: LSN(900))
        #expect(DurableState(promised: Epoch(5), opened: other).reignLost(by: decided) == other)
        var unmarked = decided
        unmarked.forced = nil
        #expect(DurableState(promised: Epoch(5), opened: history[1]).reignLost(by: unmarked) == history[1])
        // A second one keeps what the first has given up.
        var again = decided
        again.members = [names[2], names[3]]
        again.confirmations = 1
        again.recruitment = Recruitment(epoch: Epoch(8), proposer: names[3], reason: .leaderSilent)
        let fourth = report(4, end: 750, epoch: 1, promised: 8)
        let second = try ForcedElection(of: again, sight([fourth], heard: [4])).rule(id: "op2", at: 1, by: nil)
        #expect(second.forced?.lost.map(\.epoch) == [Epoch(4), Epoch(7)])
        #expect(second.givenUp == Array(names[..<3]))
    }

    @Test(
        "A leader that is left with one that has lost its disk decides alone, or is named where more than half have to")
    func leaderBesideALostDisk() throws {
        func heard(_ end: UInt64?) -> ForcedElection.Sight {
            sight([report(1, end: end), report(3, end: nil, data: .absent)], heard: [1, 3])
        }
        let isSafe = ForcedElection.Obstacle.electionIsSafe([names[0]], epoch: Epoch(5), isPaused: false)
        #expect(obstacle(heard(1000)) == isSafe)
        var marked = rule
        marked.majority = true
        #expect(obstacle(heard(nil), under: marked) == isSafe, "it has not said how far it is")
        let election = try ForcedElection(of: marked, heard(1000))
        #expect(election.member == names[0] && election.keeps == [names[0], names[2]])
        #expect(election.givesUp == [names[1]] && election.confirmations == 1)
        #expect(election.epoch == Epoch(5 + 1024), "who is not heard may have held elections since")
    }

    @Test(
        "Whoever is heard and has no more stays a member; whoever may have more is given up, and a worse one has to be named"
    )
    func whoStays() throws {
        var five = rule
        five.members = names
        five.confirmations = 2
        let reports = [
            report(2, end: 1000), report(3, end: 1100), report(4, end: nil, data: .absent), report(5, end: 2000),
        ]
        let heard = sight(Array(reports.prefix(2)), heard: [2, 3])
        let best = try ForcedElection(of: five, heard)
        #expect(best.member == names[2] && best.keeps == [names[1], names[2]] && best.confirmations == 1)
        let worse = try ForcedElection(of: five, heard, to: names[1])
        #expect(worse.member == names[1] && worse.keeps == [names[1]] && worse.givesUp.contains(names[2]))
        #expect(worse.furthest?.member == names[2] && worse.furthest?.bytes == 100)
        #expect(ForcedCandidate.all(of: five, heard).map(\.member).prefix(2) == [names[2], names[1]])
        // What is not heard is known from what it said last.
        let all = try ForcedElection(of: five, sight(reports, heard: [2, 3]))
        #expect(all.furthest?.member == names[4] && all.givesUp == [names[0], names[3], names[4]])
        // Nor is one that counts by what it has, or cannot be believed, or has failed and may know more.
        func stays(_ change: (inout MemberReport) -> Void) throws -> Bool {
            try ForcedElection(of: five, sight([report(2, end: 1000), report(3, end: 900, change)], heard: [2, 3]))
                .keeps.contains(names[2])
        }
        #expect(try stays { _ in })
        #expect(try stays { ($0.position, $0.chain, $0.data) = (nil, nil, .absent) })
        for data in [MemberData.spoiled, .unfinished] {
            #expect(try !stays { ($0.position, $0.chain, $0.data) = (nil, nil, data) }, "\(data)")
        }
        // What it had replayed when it was asked is no end: it received more.
        #expect(try !stays { ($0.chain, $0.cannotLead) = (nil, true) })
        #expect(try !stays { $0.state = .failed })
        #expect(try !stays { $0.chain = $0.chain?.reversed() })
        // Who has said nothing of its end may have more.
        let unread = try ForcedElection(of: five, sight([report(2, end: 1000), report(3, end: nil)], heard: [2, 3]))
        #expect(unread.keeps == [names[1]])
    }

    @Test("It is refused while it can be done without losing anything, and where it cannot be done")
    func refusals() throws {
        let (second, third) = (report(2, end: 1000), report(3, end: 1100))
        func isSafe(_ obstacle: ForcedElection.Obstacle?) -> Bool {
            if case .electionIsSafe? = obstacle { true } else { false }
        }
        #expect(isSafe(obstacle(sight([second, third], heard: [2, 3]), to: 2)))
        // Who has not answered yet may do so.
        let silent = report(3, end: nil, promised: 4)
        #expect(isSafe(obstacle(sight([second, silent], heard: [2, 3]), to: 2)))
        let leader = report(1, end: 1500, promised: 4, answers: false)
        #expect(isSafe(obstacle(sight([second, leader], heard: [1, 2]), to: 2)))
        // Half of four can decide, and not confirm: it goes on without a person until each has said how far it is.
        var four = rule
        four.members = Array(names[..<4])
        four.confirmations = 2
        let reading = report(3, end: 900, promised: 5, answers: false) { $0.cannotLead = true }
        #expect(isSafe(obstacle(sight([second, reading], heard: [2, 3]), to: 2, under: four)))
        #expect(obstacle(sight([second, reading], heard: [2, 3]), to: 3, under: rule).map(isSafe) == true)
        let half = try ForcedElection(of: four, sight([second, third], heard: [2, 3]), to: names[2])
        #expect(half.keeps == [names[1], names[2]] && !half.losesNothing)
        var paused = rule
        paused.recruitment = nil
        var quiet = sight([second, third], heard: [2, 3])
        quiet.isPaused = true
        let pause = try #require(obstacle(quiet, to: 2, under: paused))
        #expect(pause.description.contains("roost pg resume"))
        // Its foremost member cannot lead, and nobody else may.
        let broken = report(1, end: 1500) { $0.cannotLead = true }
        let without = try ForcedElection(of: rule, sight([second, broken], heard: [1, 2]))
        #expect(without.member == names[1] && without.givesUp == [names[0], names[2]])
        // One that cannot be named.
        let alone = sight([second, third], heard: [2])
        #expect(obstacle(alone, to: 3) == .unfit(names[2], .unheard))
        #expect(obstacle(alone, to: 4) == .stranger(names[3], rule.members))
        let empty = report(2, end: nil, data: .absent)
        #expect(obstacle(sight([empty], heard: [2]), to: 2) == .unfit(names[1], .noData(.absent)))
        let unread = report(2, end: nil)
        #expect(obstacle(sight([unread], heard: [2]), to: 2) == .unfit(names[1], .endUnread))
        let full = report(2, end: 1000) {
            $0.cannotLead = true; $0.detail = "no room"
        }
        #expect(obstacle(sight([full], heard: [2]), to: 2) == .unfit(names[1], .cannotLead("no room")))
        let former = report(2, end: 1000) { $0.skills = [.pause, .restart, .recovery, .members] }
        #expect(obstacle(sight([former], heard: [2]), to: 2) == .program([names[1]]))
        let prover = report(2, end: 1000) { report in
            let reign = Reign(epoch: Epoch(6), leader: names[2], begin: LSN(950))
            report.knowledge = MemberKnowledge(opened: reign, history: [reign], timeline: 2, position: nil)
        }
        #expect(obstacle(sight([prover], heard: [2]), to: 2) == .storeWentBack([names[1]]))
        if case .nobody? = obstacle(sight([empty], heard: [2])) {} else { Issue.record("there is one") }
    }

    @Test("A leader that is heard and open is not put aside; one that is left alone may go on alone, and nobody else")
    func leaders() throws {
        var rule = self.rule
        rule.recruitment = nil
        let beat = Heartbeat(epoch: Epoch(4), leader: names[0], sequence: 9, isOpen: true)
        let reports = [
            report(1, end: 1500, promised: 4, answers: false), report(2, end: 1400, promised: 4, answers: false),
        ]
        var sight = self.sight(reports, heard: [1, 2])
        sight.lease = beat
        sight.confirming = [names[1]]
        #expect(obstacle(sight, to: 2, under: rule) == .leaderServes(names[0]))
        sight.confirming = []
        #expect(obstacle(sight, to: 2, under: rule) == .leaderHeard(names[0]))
        sight.heard = [names[0]]
        #expect(obstacle(sight, to: 2, under: rule) == .unfit(names[1], .unheard))
        let election = try ForcedElection(of: rule, sight)
        #expect(election.member == names[0] && election.keeps == [names[0]] && election.furthest == nil)
        #expect(election.losesNothing)
        // Of five two are left: too few to confirm, and the leader has all of it.
        rule.members = names
        rule.confirmations = 2
        sight.heard = [names[0], names[1]]
        #expect(obstacle(sight, to: 2, under: rule) == .unfit(names[1], .leaderHeard(names[0])))
        #expect(try ForcedElection(of: rule, sight).keeps == [names[0], names[1]])
    }

    @Test("What was decided waits for all that are left, and is decided anew when one of them is gone")
    func underWay() throws {
        var rule = self.rule
        rule.members = names
        rule.confirmations = 2
        let reports = [report(2, end: 1000), report(3, end: 1100)]
        let next = try ForcedElection(of: rule, sight(reports, heard: [2, 3])).rule(id: "op", at: 0, by: nil)
        let epoch = try #require(next.recruitment?.epoch.number)
        let named = report(3, end: 1100, promised: epoch)
        // The other one may still follow an old leader, and confirm for it.
        let tally = try #require(RecruitmentTally(rule: next, reports: [reports[0], named]))
        #expect(!tally.isSufficient && tally.obstacle?.contains("m2 has left the former leader") == true)
        let other = report(2, end: 1000, promised: epoch)
        let whole = try #require(RecruitmentTally(rule: next, reports: [other, named]))
        #expect(whole.obstacle == nil && whole.verdict(hasWaited: false)?.leader == names[2])
        // Nobody else, however far.
        #expect(RecruitmentTally(rule: next, reports: [other])?.isSufficient == false)
        let ahead = report(2, end: 1200, promised: epoch)
        #expect(RecruitmentTally(rule: next, reports: [ahead, named])?.verdict(hasWaited: true) == nil)
        // Who has left may have more, as long as it has not said how much it has.
        let unread = report(2, end: 900, promised: epoch, answers: false) { $0.cannotLead = true }
        let early = try #require(RecruitmentTally(rule: next, reports: [unread, named]))
        #expect(early.verdict(hasWaited: true) == nil && !early.cannotBeDecided)
        #expect(early.obstacle?.contains("m2 has said how far the log there goes") == true, "\(early.obstacle ?? "-")")
        // One that will never say it leads nowhere: a person decides again, without it.
        let spoiled = report(2, end: nil, promised: epoch, data: .spoiled)
        let lying = report(2, end: 900, promised: epoch) { $0.chain = $0.chain?.reversed() }
        for other in [spoiled, lying] {
            let tally = try #require(RecruitmentTally(rule: next, reports: [other, named]))
            #expect(tally.verdict(hasWaited: true) == nil && tally.cannotBeDecided)
            #expect(tally.obstacle?.contains("decide again") == true, "\(tally.obstacle ?? "-")")
            let anew = try ForcedElection(of: next, sight([other, named], heard: [2, 3]))
            #expect(anew.keeps == [names[2]])
        }
        // One without data promises, too.
        let empty = report(2, end: nil, promised: epoch, data: .absent)
        #expect(RecruitmentTally(rule: next, reports: [empty, named])?.isSufficient == true)
        // Twice at once it is not decided.
        if case .electionIsSafe? = obstacle(sight([other, named], heard: [2, 3]), under: next) {
        } else {
            Issue.record("it comes to its end by itself")
        }
        let anew = try ForcedElection(of: next, sight([other, named], heard: [3]), to: names[2])
        #expect(anew.keeps == [names[2]] && anew.epoch > Epoch(epoch))
        // Who has more by now stands in its way, and can be named.
        let moved = try ForcedElection(of: next, sight([ahead, named], heard: [2, 3]))
        #expect(moved.member == names[1])
    }

    @Test("No member decides it, takes it back, or names another for it")
    func law() throws {
        let next = try ForcedElection(of: rule, sight([report(2, end: 1000)], heard: [2])).rule(
            id: "op", at: 0, by: nil)
        func isTaken(_ member: Int, over former: ClusterRule, _ change: (inout ClusterRule) -> Void) -> Bool {
            var rule = former
            change(&rule)
            do throws(UnlawfulChange) {
                try rule.check(asChangeOf: former, by: names[member - 1])
                return true
            } catch {
                return false
            }
        }
        for member in 1...3 { #expect(!isTaken(member, over: rule) { $0 = next }) }
        var settled = rule
        settled.recruitment = nil
        #expect(
            !isTaken(2, over: settled) {
                $0.recruitment = Recruitment(epoch: Epoch(5), proposer: names[1], reason: .forced)
            })
        #expect(!isTaken(2, over: settled) { $0.forced = next.forced })
        #expect(!isTaken(2, over: next) { $0.forced = nil })
        #expect(!isTaken(1, over: next) { $0.recruitment = nil }, "who was given up writes nothing")
        let epoch = try #require(next.recruitment?.epoch)
        let answer = report(2, end: 1000, promised: epoch.number)
        let decided = try #require(RecruitmentTally(rule: next, reports: [answer])?.verdict(hasWaited: false))
        #expect(isTaken(2, over: next) { $0 = decided })
        #expect(
            !isTaken(2, over: next) {
                $0 = decided; $0.forced?.givenUp = []
            })
        #expect(
            !isTaken(2, over: next) {
                $0 = decided; $0.forced = nil
            })
        // Of two that are left the one that was not named.
        var both = next
        both.members = [names[1], names[2]]
        both.confirmations = 1
        let other = both.succeeded(by: names[2], in: epoch, with: history, upTo: LSN(1200), timeline: 1)
        #expect(!isTaken(3, over: both) { $0 = other })
    }
}
