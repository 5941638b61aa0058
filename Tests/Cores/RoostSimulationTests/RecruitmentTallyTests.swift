import RoostFailover
import RoostModel
import Testing

@Suite struct RecruitmentTallyTests {
    private let names: [MemberName]
    private let first: Reign

    init() throws {
        names = try (1...5).map { try MemberName("m\($0)") }
        first = Reign(epoch: .first, leader: names[0], begin: .zero)
    }

    private func rule(members: Int, reason: Recruitment.Reason = .leaderSilent, target: MemberName? = nil)
        -> ClusterRule
    {
        var rule = Dialogue.firstRule(Array(names.prefix(members)))
        rule.recruitment = Recruitment(epoch: Epoch(2), proposer: names[1], reason: reason, target: target)
        return rule
    }

    private func answer(_ member: Int, end: UInt64, chain: [Reign]? = nil, promised: UInt64 = 2) -> MemberReport {
        let chain = chain ?? [first]
        return MemberReport(
            member: names[member - 1], role: .standby, state: .waiting, promised: Epoch(promised),
            position: chain.position(at: LSN(end)), timeline: 1, replayed: LSN(end), isStreaming: false, lagBytes: 0,
            lagMilliseconds: 0, chain: chain)
    }

    @Test func withoutTheLeaderTwoOfTwoStandbysAreNeeded() throws {
        let rule = rule(members: 3)
        let one = try #require(RecruitmentTally(rule: rule, reports: [answer(2, end: 100)]))
        #expect(one.verdict(hasWaited: true) == nil)
        #expect(
            one.obstacle
                == "2 of 3 members have not answered recruitment 2: need m1 or m3, with their data")
        let two = try #require(RecruitmentTally(rule: rule, reports: [answer(2, end: 100), answer(3, end: 120)]))
        let next = try #require(two.verdict(hasWaited: false))
        #expect(next.leader == names[2])
        #expect(next.epoch == Epoch(2))
        #expect(next.recruitment == nil)
        #expect(next.history == [first, Reign(epoch: Epoch(2), leader: names[2], begin: LSN(120))])
        #expect(next.timeline == 2)
    }

    @Test func withTheLeaderOneAnswerIsEnoughAfterAWhile() throws {
        let tally = try #require(RecruitmentTally(rule: rule(members: 3), reports: [answer(1, end: 150)]))
        #expect(tally.verdict(hasWaited: false) == nil)
        #expect(tally.verdict(hasWaited: true)?.leader == names[0])
    }

    @Test func fiveMembersNeedThreeStandbys() throws {
        let two = [answer(2, end: 100), answer(3, end: 120)]
        #expect(RecruitmentTally(rule: rule(members: 5), reports: two)?.isSufficient == false)
        let three = two + [answer(5, end: 90)]
        #expect(
            RecruitmentTally(rule: rule(members: 5), reports: three)?.verdict(hasWaited: false)?.leader == names[2])
    }

    @Test func promisesOfOtherEpochsDoNotCount() throws {
        let reports = [answer(2, end: 100), answer(3, end: 120, promised: 1)]
        #expect(RecruitmentTally(rule: rule(members: 3), reports: reports)?.isSufficient == false)
    }

    @Test func theEpochOfTheLastByteGoesBeforeTheLength() throws {
        let later = [first, Reign(epoch: Epoch(2), leader: names[1], begin: LSN(80))]
        var rule = rule(members: 3)
        rule.epoch = Epoch(2)
        rule.leader = names[1]
        rule.history = later
        rule.recruitment?.epoch = Epoch(3)
        let reports = [answer(2, end: 90, chain: later, promised: 3), answer(3, end: 500, promised: 3)]
        let next = try #require(RecruitmentTally(rule: rule, reports: reports)?.verdict(hasWaited: true))
        #expect(next.leader == names[1])
        // The history is that of the bytes it goes on from.
        #expect(next.history == later + [Reign(epoch: Epoch(3), leader: names[1], begin: LSN(90))])
    }

    @Test("An answer of which no lawful rule could be made counts as none, and is told")
    func answersThatCannotBe() throws {
        let rule = rule(members: 3)
        func reign(_ epoch: UInt64, _ begin: UInt64) -> Reign {
            Reign(epoch: Epoch(epoch), leader: names[2], begin: LSN(begin))
        }
        let chains = [
            [first, reign(1_000_000_000, 5)], [first, reign(2, 5)], [reign(1, 0)], [first, first],
            [reign(1, 9), first],
        ]
        for chain in chains {
            let lie = answer(3, end: 1 << 50, chain: chain)
            let alone = try #require(RecruitmentTally(rule: rule, reports: [answer(2, end: 100), lie]))
            #expect(alone.verdict(hasWaited: true) == nil, "\(chain)")
            #expect(alone.obstacle?.contains("m3 cannot be believed: it shows ") == true, "\(chain)")
            let enough = try #require(
                RecruitmentTally(rule: rule, reports: [answer(1, end: 120), answer(2, end: 100), lie]))
            let next = try #require(enough.verdict(hasWaited: true))
            #expect(next.leader == names[0] && enough.obstacle == nil)
            try next.check(asChangeOf: rule, by: names[1])
        }
    }

    @Test("Whatever members report, what is decided by it is lawful, and can be stored")
    func everyVerdictIsLawful() throws {
        var random = SplitMix64(seed: 7)
        func pick(_ count: UInt64) -> UInt64 { random.next() % count }
        var verdicts = 0
        for _ in 0..<20_000 {
            var rule = rule(members: Int(pick(3)) + 1)
            rule.epoch = Epoch(4)
            rule.history = [
                first, Reign(epoch: Epoch(2), leader: names[1], begin: LSN(5)),
                Reign(epoch: Epoch(4), leader: names[0], begin: LSN(9)),
            ]
            rule.timeline = [nil, 3, 4, ClusterRule.timelineMax][Int(pick(4))]
            rule.recruitment?.epoch = Epoch(5)
            rule.recruitment?.proposer = rule.members[0]
            rule.recruitment?.target = pick(2) == 0 ? nil : rule.members.last
            let reports = rule.members.map { member in
                var chain = Array(rule.history.prefix(Int(pick(4))))
                for _ in 0..<pick(3) {
                    let epoch = [0, 1, 2, 3, 4, 5, 6, 1 << 53][Int(pick(8))] as UInt64
                    chain.append(Reign(epoch: Epoch(epoch), leader: names[Int(pick(5))], begin: LSN(pick(20))))
                }
                let end = LSN([0, 4, 8, 12, 30, 1 << 62][Int(pick(6))])
                let position = pick(8) == 0 ? Position(epoch: Epoch(4), end: end) : chain.position(at: end)
                return MemberReport(
                    member: member, role: .standby, state: .waiting, promised: Epoch(5), position: position,
                    timeline: [0, 1, 3, ClusterRule.timelineMax - 1, .max][Int(pick(5))], replayed: end,
                    isStreaming: false, lagBytes: 0, lagMilliseconds: 0, chain: chain,
                    cannotLead: pick(9) == 0 ? true : nil)
            }
            let tally = try #require(RecruitmentTally(rule: rule, reports: reports))
            guard let next = tally.verdict(hasWaited: pick(2) == 0) else { continue }
            verdicts += 1
            try next.check(asChangeOf: rule, by: rule.members[0])
            #expect(next.history.count <= ClusterRule.historyMax)
            #expect((1...ClusterRule.timelineMax).contains(next.timeline ?? 0))
        }
        #expect(verdicts > 1000)
    }

    @Test func aReignWithoutAByteIsNoHistory() throws {
        let empty = [first, Reign(epoch: Epoch(2), leader: names[1], begin: LSN(100))]
        #expect(empty.position(at: LSN(100)) == Position(epoch: .first, end: LSN(100)))
        #expect(empty.position(at: LSN(101)) == Position(epoch: Epoch(2), end: LSN(101)))
    }

    /// Somebody promoted it by hand: what it says counts, what it has beyond does not, and it does not lead.
    @Test func oneThatDivergedCountsButDoesNotLead() throws {
        var stray = answer(3, end: 120)
        stray.cannotLead = true
        let rule = rule(members: 3)
        let equal = try #require(RecruitmentTally(rule: rule, reports: [answer(2, end: 120), stray]))
        #expect(equal.verdict(hasWaited: false)?.leader == names[1])
        #expect(equal.obstacle == nil)
        // It may be the only one that confirmed what lies between.
        let ahead = try #require(RecruitmentTally(rule: rule, reports: [answer(2, end: 100), stray]))
        #expect(ahead.verdict(hasWaited: true) == nil)
        // Nobody else knows why it cannot.
        let words = try #require(ahead.obstacle)
        #expect(words.contains("m3 has the most of the log, but cannot lead (its Postgres does not start, or was"))
        stray.detail = words
        let again = try #require(RecruitmentTally(rule: rule, reports: [answer(2, end: 100), stray]))
        #expect(again.obstacle == words, "a member says the obstacle itself: it must not grow by that")
        let back = try #require(
            RecruitmentTally(rule: rule, reports: [answer(1, end: 130), answer(2, end: 100), stray]))
        #expect(back.verdict(hasWaited: true)?.leader == names[0])
    }

    @Test("What a person has decided to keep is in the log of whoever leads next, though others be enough without it")
    func keptByForce() throws {
        func decided(_ ends: [Int: UInt64], of reigns: [Reign], first epoch: UInt64 = 4) throws -> MemberName? {
            var rule = rule(members: 2)
            rule.history = reigns
            rule.epoch = reigns.last?.epoch ?? .first
            rule.leader = names[0]
            rule.recruitment?.epoch = Epoch(9)
            rule.forced = ForcedFailover(
                id: "f", member: names[0], epoch: Epoch(epoch), at: 0, by: nil, formerLeader: names[2],
                formerEpoch: .first, position: Position(epoch: .first, end: LSN(100)), furthest: nil, givenUp: [],
                lost: [])
            let answers = ends.sorted { $0.key < $1.key }.map { member, end in
                answer(member, end: end, chain: member == 1 ? reigns : nil, promised: 9)
            }
            let tally = try #require(RecruitmentTally(rule: rule, reports: answers))
            let leader = tally.verdict(hasWaited: true)?.leader
            if leader == nil { #expect(tally.obstacle?.contains("less than a person has decided to keep") == true) }
            return leader
        }
        let named = [first, Reign(epoch: Epoch(4), leader: names[0], begin: LSN(100))]
        #expect(try decided([2: 90], of: named) == nil)
        #expect(try decided([2: 100], of: named) == names[1])
        #expect(try decided([1: 100, 2: 90], of: named) == names[0])
        // It came back as a later one, before it had written anything.
        let later = [first, Reign(epoch: Epoch(5), leader: names[0], begin: LSN(100))]
        #expect(try decided([2: 90], of: later) == nil)
        // More of an older epoch is not what was kept.
        let beyond = [first, Reign(epoch: Epoch(2), leader: names[2], begin: LSN(50)), named[1]]
        #expect(try decided([2: 120], of: beyond) == nil)
    }

    @Test(
        "Of an even number that votes, the leader's log counts beside those of half of them, and not beside those of more"
    )
    func halfBesideTheLeader() throws {
        for (votes, others, leader) in [(true, [2, 4], 0), (true, [2, 3, 4], 3), (false, [2, 4], 3)] {
            var rule = rule(members: 4)
            rule.majority = votes ? true : nil
            let answers = [answer(1, end: 200)] + others.map { answer($0, end: UInt64($0) * 10) }
            let tally = try #require(RecruitmentTally(rule: rule, reports: answers))
            #expect(tally.verdict(hasWaited: true)?.leader == names[leader], "\(votes), \(others)")
        }
    }

    @Test func aTargetLeadsOnlyWhenNobodyIsAhead() throws {
        let switching = rule(members: 3, reason: .switchover, target: names[2])
        let equal = [answer(2, end: 100), answer(3, end: 100)]
        #expect(
            RecruitmentTally(rule: switching, reports: equal)?.verdict(hasWaited: false)?.leader == names[2])
        let behind = [answer(2, end: 100), answer(3, end: 99)]
        let tally = try #require(RecruitmentTally(rule: switching, reports: behind))
        #expect(tally.verdict(hasWaited: false) == nil)
        #expect(tally.verdict(hasWaited: true)?.leader == names[1])
    }

    @Test func lineages() {
        let second = Reign(epoch: Epoch(2), leader: names[1], begin: LSN(100))
        let other = Reign(epoch: Epoch(3), leader: names[2], begin: LSN(100))
        #expect(Lineage(chain: [first], end: LSN(100), history: [first, second]) == .prefix)
        #expect(Lineage(chain: [first], end: LSN(101), history: [first, second]) == .beyond(LSN(100)))
        #expect(Lineage(chain: [first, second], end: LSN(150), history: [first, second]) == .prefix)
        #expect(Lineage(chain: [first, second], end: LSN(150), history: [first, other]) == .foreign(Epoch(2)))
        // It meant to follow, but received nothing.
        #expect(Lineage(chain: [first, second], end: LSN(100), history: [first, other]) == .prefix)
    }

    @Test func streamsHaveTheirEpochInTheirName() throws {
        let name = StreamName(member: names[1], epoch: Epoch(7))
        #expect("\(name)" == "m2.e7")
        #expect(name.slot == "m2_e7")
        #expect(StreamName("m2.e7", epoch: Epoch(7)) == name)
        #expect(StreamName("m2.e7", epoch: Epoch(8)) == nil)
    }

    /// A leader whose disk has not what it said it had: what only that one had confirmed may be anywhere.
    @Test("Who is needed is said by name where nobody can be spared, and by number where somebody can")
    func whoIsNeeded() throws {
        func words(_ count: Int, _ answers: [Int]) throws -> String {
            let tally = RecruitmentTally(rule: rule(members: count), reports: answers.map { answer($0, end: 100) })
            let words = try #require(tally?.obstacle)
            return String(words.split(separator: ": ").last ?? "")
        }
        #expect(try words(3, [2]) == "need m1 or m3, with their data")
        #expect(try words(3, []) == "need m1, or m2 and m3, with their data")
        #expect(try words(5, [2]) == "need m1, or 2 of m3, m4, m5, with their data")
        #expect(try words(5, [2, 3]) == "need m1 or 1 of m4, m5, with their data")
    }

    @Test("Who says itself that it has no data is not asked for it, unless nobody else can do")
    func withoutData() throws {
        func bare(_ member: Int, _ data: MemberData) -> MemberReport {
            var report = answer(member, end: 100)
            (report.position, report.chain, report.data) = (nil, nil, data)
            return report
        }
        func words(_ count: Int, _ answers: [Int], without: [Int], _ data: MemberData = .absent) throws -> String {
            let reports = answers.map { answer($0, end: 100) } + without.map { bare($0, data) }
            let tally = try #require(RecruitmentTally(rule: rule(members: count), reports: reports))
            #expect(!tally.isSufficient && tally.bare == without.map { names[$0 - 1] })
            let words = try #require(tally.obstacle)
            for member in without { #expect(words.contains("; m\(member) has no data that counts"), "\(words)") }
            return String(words.split(separator: ": ").last ?? "")
        }
        for data in [MemberData.absent, .unfinished, .spoiled] {
            #expect(try words(3, [2], without: [3], data) == "need m1, with their data")
        }
        #expect(try words(3, [2], without: [1]) == "need m3, with their data")
        #expect(try words(5, [2], without: [3]) == "need m1, or m4 and m5, with their data")
        #expect(try words(5, [2], without: [3, 4]) == "need m1, with their data")
        // What they had is all that could help.
        #expect(try words(3, [2], without: [1, 3]) == "need m1 or m3, with their data")
        // It has not said how far its data goes, and may have all of it.
        let whole = RecruitmentTally(
            rule: rule(members: 3), reports: [answer(2, end: 100), bare(3, .whole)])
        #expect(whole?.obstacle?.hasSuffix("need m1 or m3, with their data") == true && whole?.bare == [])
    }

    @Test func aLeaderWithLessThanItsReignProvesNothing() throws {
        let second = Reign(epoch: Epoch(2), leader: names[0], begin: LSN(500))
        var rule = rule(members: 3)
        rule.epoch = Epoch(2)
        rule.history = [first, second]
        rule.recruitment = Recruitment(epoch: Epoch(3), proposer: names[1], reason: .leaderSilent)
        let short = answer(1, end: 499, promised: 3)
        let alone = try #require(RecruitmentTally(rule: rule, reports: [short]))
        #expect(alone.verdict(hasWaited: true) == nil)
        #expect(
            alone.obstacle
                == "2 of 3 members have not answered recruitment 3; m1 has lost part of its own log: need m2 and m3, with "
                + "their data")
        let others = [answer(2, end: 700, chain: [first, second], promised: 3), answer(3, end: 500, promised: 3)]
        let whole = try #require(RecruitmentTally(rule: rule, reports: [short] + others))
        #expect(whole.verdict(hasWaited: false)?.leader == names[1])
        // It ends where it began: nothing of it is lost.
        let just = try #require(RecruitmentTally(rule: rule, reports: [answer(1, end: 500, promised: 3)]))
        #expect(just.verdict(hasWaited: true)?.leader == names[0])
    }

    /// It has less of the reign than others have shown, whether they answer or not: what it had beyond may be on one that is
    /// away.
    @Test func aLeaderWithLessThanOthersShowProvesNothing() throws {
        var away = answer(3, end: 700, promised: 1)
        away.chain = nil
        let asked = rule(members: 3)
        let reports = [answer(1, end: 690), answer(2, end: 690), away]
        let short = try #require(RecruitmentTally(rule: asked, reports: reports))
        #expect(short.verdict(hasWaited: true) == nil)
        let words = "m1 has lost part of its own log, by what m3 says that it has of it: need m3, with"
        #expect(short.obstacle?.contains(words) == true)
        let back = [answer(1, end: 690), answer(2, end: 690), answer(3, end: 700)]
        #expect(RecruitmentTally(rule: asked, reports: back)?.verdict(hasWaited: false)?.leader == names[2])
        // What was received beyond the last whole record proves nothing.
        away.replayed = LSN(690)
        let whole = try #require(RecruitmentTally(rule: asked, reports: [reports[0], reports[1], away]))
        #expect(whole.verdict(hasWaited: true)?.leader == names[0])
        // Nor what was replayed beyond all that it says that it has.
        away.position = Position(epoch: .first, end: LSN(690))
        away.replayed = LSN(1 << 62)
        let odd = try #require(RecruitmentTally(rule: asked, reports: [reports[0], reports[1], away]))
        #expect(odd.verdict(hasWaited: true)?.leader == names[0])
        // Nor does what an earlier leader wrote.
        away.replayed = LSN(700)
        away.position = Position(epoch: .none, end: LSN(700))
        let other = try #require(RecruitmentTally(rule: asked, reports: [reports[0], reports[1], away]))
        #expect(other.verdict(hasWaited: true)?.leader == names[0])
        // Whoever called has seen it.
        let told = rule(members: 3, reason: .leaderLostLog)
        let answers = [answer(1, end: 690), answer(2, end: 690)]
        #expect(RecruitmentTally(rule: told, reports: answers)?.isSufficient == false)
        // Of two members the other one has all that was confirmed.
        let two = try #require(RecruitmentTally(rule: rule(members: 2, reason: .leaderLostLog), reports: answers))
        #expect(two.verdict(hasWaited: false)?.leader == names[1])
    }

    /// The cluster's history has forgotten that reign, but not its member.
    @Test func aMemberSaysThatItHasLostItsReign() throws {
        let own = Reign(epoch: Epoch(2), leader: names[2], begin: LSN(500))
        var rule = rule(members: 3)
        rule.recruitment = Recruitment(epoch: Epoch(4), proposer: names[1], reason: .leaderSilent)
        let short = answer(3, end: 400, chain: [first, own], promised: 4)
        let tally = try #require(RecruitmentTally(rule: rule, reports: [short, answer(2, end: 500, promised: 4)]))
        #expect(!tally.isSufficient)
    }

    /// An only member goes on with what it has.
    @Test func anOnlyMemberIsBelieved() throws {
        var rule = rule(members: 1)
        rule.history = [first, Reign(epoch: Epoch(2), leader: names[0], begin: LSN(500))]
        let tally = try #require(RecruitmentTally(rule: rule, reports: [answer(1, end: 499)]))
        #expect(tally.verdict(hasWaited: false)?.leader == names[0])
    }
}
