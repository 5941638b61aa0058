import RoostModel
import Testing

@testable import RoostFailover

/// Clusters whose rule says that more than half of the members decide.
@Suite("More than half of the members decide") struct MajorityTests {
    private let names: [MemberName]

    init() throws { names = try (1...9).map { try MemberName("m\($0)") } }

    private func rule(members: Int, _ majority: Bool? = true) -> ClusterRule {
        var rule = Dialogue.firstRule(Array(names.prefix(members)))
        rule.majority = majority
        rule.recruitment = Recruitment(epoch: Epoch(2), proposer: names[0], reason: .leaderResigned)
        return rule
    }

    private func answer(_ member: MemberName, end: UInt64 = 100) -> MemberReport {
        let chain = [Reign(epoch: .first, leader: names[0], begin: .zero)]
        return MemberReport(
            member: member, role: .standby, state: .waiting, promised: Epoch(2), position: chain.position(at: LSN(end)),
            timeline: 1, replayed: LSN(end), isStreaming: false, lagBytes: 0, lagMilliseconds: 0, chain: chain)
    }

    private func tally(_ rule: ClusterRule, _ answers: [Int]) throws -> RecruitmentTally {
        try #require(RecruitmentTally(rule: rule, reports: answers.map { answer(names[$0 - 1]) }))
    }

    @Test("A leader alone decides nothing, nor do half of an even number")
    func tooFew() throws {
        for (members, answers) in [(2, [1]), (2, [2]), (3, [1]), (4, [3, 4]), (4, [1, 2]), (5, [1, 2])] {
            #expect(try tally(rule(members: members), answers).verdict(hasWaited: true) == nil, "\(answers)")
        }
        for (members, answers) in [
            (1, [1]), (2, [1, 2]), (3, [1, 3]), (3, [2, 3]), (4, [2, 3, 4]), (5, [1, 2, 5]),
        ] {
            #expect(try tally(rule(members: members), answers).verdict(hasWaited: true) != nil, "\(answers)")
        }
        // As it was before.
        #expect(
            try tally(rule(members: 3, nil), [1]).isSufficient && tally(rule(members: 4, nil), [3, 4]).isSufficient)
    }

    @Test("Who has answered and has lost what it had counts for nothing")
    func withoutData() throws {
        var bare = answer(names[2])
        (bare.position, bare.chain, bare.data) = (nil, nil, .absent)
        var short = answer(names[0], end: 100)
        short.chain = [Reign(epoch: .first, leader: names[0], begin: LSN(200))]
        var rule = rule(members: 2)
        rule.history = short.chain ?? []
        var whole = answer(names[1], end: 300)
        whole.chain = short.chain
        let pair = try #require(RecruitmentTally(rule: rule, reports: [short, whole]))
        #expect(pair.bereft.count == 1 && pair.verdict(hasWaited: true) == nil)
        func isDecided(_ members: Int, _ answers: [Int]) -> Bool {
            let reports = answers.map { answer(names[$0 - 1]) } + [bare]
            return RecruitmentTally(rule: self.rule(members: members), reports: reports)?.isSufficient == true
        }
        // Of three the two others may have decided, and what they have is in neither of these.
        #expect(!isDecided(3, [1]) && isDecided(3, [1, 2]) && !isDecided(4, [1, 2]) && isDecided(4, [1, 2, 4]))
        bare.promised = .first
        #expect(!isDecided(4, [1, 2]))
    }

    @Test("Who is needed is said, the leader as one of them")
    func words() throws {
        func words(_ members: Int, _ answers: [Int]) throws -> String? {
            try tally(rule(members: members), answers).obstacle.map { String($0.split(separator: ": ").last ?? "") }
        }
        #expect(try words(3, [1]) == "need 1 of m2, m3, with their data")
        #expect(try words(2, [1]) == "need m2, with their data")
        #expect(try words(4, [3, 4]) == "need 1 of m1, m2, with their data")
        #expect(try words(5, [1]) == "need 2 of m2, m3, m4, m5, with their data")
    }

    /// Of any two decisions somebody knows of both, and of any commit and any decision, too, whoever has led when it was
    /// confirmed. A step of the members lies between the two at most.
    @Test("Any two decisions have a member in common, and so have any decision and any commit", arguments: 1...8)
    func intersect(members: Int) throws {
        let deciding = try [members, members + 1].map { count in
            try (1..<1 << count).filter { set in
                try tally(rule(members: count), (1...count).filter { set & 1 << ($0 - 1) != 0 }).isSufficient
            }
        }
        let confirming = [members, members + 1].map { count in
            (1..<1 << count).filter { $0.nonzeroBitCount == ClusterRule.confirmations(of: count) + 1 }
        }
        for one in deciding[0] {
            #expect(deciding[0].allSatisfy { one & $0 != 0 } && deciding[1].allSatisfy { one & $0 != 0 })
            #expect(confirming[0].allSatisfy { one & $0 != 0 } && confirming[1].allSatisfy { one & $0 != 0 })
        }
        for other in deciding[1] { #expect(confirming[0].allSatisfy { other & $0 != 0 }) }
    }

    // MARK: - The mark

    /// `m1` leads, is open, and hears the others.
    private func leader(
        skills: [MemberSkill] = MemberSkill.known, _ reported: [MemberSkill]? = MemberSkill.known, reports: Int = 2,
        speakers: Int = 2, age: Duration? = .milliseconds(50), _ change: (inout Dialogue) -> Void = { _ in }
    ) throws -> ClusterRule? {
        var dialogue = try Dialogue.leader(skills: skills)
        change(&dialogue)
        for second in 1...3 as ClosedRange<Int64> {
            dialogue.wait(.seconds(1))
            dialogue.reports = dialogue.names.dropFirst().prefix(reports).map {
                MemberReport(
                    member: $0, role: .standby, state: .running, promised: .first,
                    position: Position(epoch: .first, end: LSN(500)), timeline: 1, replayed: LSN(500),
                    isStreaming: true, lagBytes: 0, lagMilliseconds: second, skills: reported)
            }
            dialogue.revision += 1
            for name in dialogue.names.dropFirst().prefix(speakers) {
                let beat = MemberBeat(member: name, epoch: .first, isOpen: false, missesLeader: false, hears: [])
                let after = age.map { Moment(sinceBoot: dialogue.now.sinceBoot - $0) }
                _ = dialogue.tell(.heard(beat, after: after))
            }
            var actions = dialogue.watch() + dialogue.ended()
            actions += dialogue.observed(try dialogue.primary(500, ["m2": 500, "m3": 500]))
            actions += dialogue.tell(.gateAnswered(isOpen: true, failure: nil)) + dialogue.tell(.tick)
            for case .changeRule(let rule, _, _) in actions { return rule }
        }
        return nil
    }

    @Test("A leader writes it when every member says that it knows it, and is heard")
    func mark() throws {
        let marked = try #require(try leader())
        var expected = Dialogue.firstRule(Array(names.prefix(3)))
        expected.majority = true
        #expect(marked == expected)
        try marked.check(asChangeOf: Dialogue.firstRule(Array(names.prefix(3))), by: names[0])
    }

    @Test("Nobody writes it where one does not know it, is not heard, or may be about to come")
    func noMark() throws {
        let before = Dialogue.skillsOfBefore
        #expect(try leader(skills: before) == nil && leader(before) == nil && leader(nil) == nil)
        #expect(try leader(reports: 1) == nil && leader(speakers: 1) == nil && leader(age: nil) == nil)
        let fourth = names[3]
        let coming = try leader { dialogue in
            dialogue.change { $0.change = MemberChange(id: "1", steps: [.init(.add, fourth)]) }
        }
        #expect(coming == nil)
    }

    @Test("A member whose host does not know that others renew a lease does not say that it knows it")
    func hosts() throws {
        var dialogue = try Dialogue.leader(skills: MemberSkill.known)
        #expect(dialogue.stored?.skills?.contains(.majority) == true)
        var view = dialogue.view
        view.revision += 1
        view.hostTakesWord = false
        dialogue.wait(.seconds(4))
        _ = dialogue.tell(.viewed(view, by: .watch))
        #expect(dialogue.stored?.skills == Dialogue.skillsOfBefore)
    }

    @Test("It is the leader's to write, and nobody's to take back")
    func law() {
        func isTaken(_ next: ClusterRule, over former: ClusterRule, by member: Int) -> Bool {
            do throws(UnlawfulChange) {
                try next.check(asChangeOf: former, by: names[member - 1])
                return true
            } catch {
                return false
            }
        }
        let plain = Dialogue.firstRule(Array(names.prefix(3)))
        var marked = plain
        marked.majority = true
        #expect(isTaken(marked, over: plain, by: 1) && !isTaken(marked, over: plain, by: 2))
        #expect(!isTaken(plain, over: marked, by: 1))
        for former in [plain, marked] {
            var named = former
            named.system = 7
            #expect(isTaken(named, over: former, by: 1), "what else a leader writes goes on")
        }
        var no = plain
        no.majority = false
        #expect(!isTaken(no, over: plain, by: 1) && !isTaken(no, over: marked, by: 1))
        // Whoever is elected has it from the rule before.
        var called = marked
        called.recruitment = rule(members: 3).recruitment
        let answers = [answer(names[1]), answer(names[2])]
        let next = RecruitmentTally(rule: called, reports: answers)?.verdict(hasWaited: true)
        #expect(next?.majority == true && next.map { isTaken($0, over: called, by: 2) } == true)
        var without = next ?? plain
        without.majority = nil
        #expect(!isTaken(without, over: called, by: 2))
    }

    @Test("A step is taken when more than half have written down the one before, of those before it and after it")
    func steps() throws {
        /// - Parameter knowing: the others that have said so, of `m2` to `m5`.
        func isPrepared(_ knowing: [Int], majority: Bool = true) throws -> Bool {
            var state = DurableState(
                promised: .first, chain: [Reign(epoch: .first, leader: names[0], begin: .zero)], data: .usable,
                led: .first)
            state.membership = Membership(of: Dialogue.firstRule(Array(names.prefix(4))))
            var dialogue = try Dialogue("m1", members: 5, state: state)
            var rule = Dialogue.firstRule(dialogue.names)
            rule.majority = majority ? true : nil
            rule.changes = 3
            rule.change = MemberChange(id: "1", steps: [.init(.remove, names[4])])
            dialogue.rule = rule
            dialogue.reports = names[1...4].enumerated().map { index, name in
                MemberReport(
                    member: name, role: .standby, state: .running, promised: .first,
                    position: Position(epoch: .first, end: LSN(500)), timeline: 1, replayed: LSN(500),
                    isStreaming: true, lagBytes: 0, lagMilliseconds: 0, skills: MemberSkill.known,
                    memberChanges: knowing.contains(index + 2) ? 3 : 2)
            }
            dialogue.tell(.tick)
            _ = dialogue.read()
            #expect(dialogue.stored?.memberChanges == 3, "written down as soon as it is seen")
            for name in names[1...4] {
                let beat = MemberBeat(member: name, epoch: .first, isOpen: false, missesLeader: false, hears: [])
                _ = dialogue.tell(.heard(beat, after: dialogue.now))
            }
            _ = dialogue.tell(.heartbeatAnswered(sequence: 1, .applied(revision: 11))) + dialogue.ended()
            let streams = Dictionary(uniqueKeysWithValues: (2...5).map { ("m\($0)", UInt64(500)) })
            var actions: [FailoverAction] = []
            for _ in 0..<3 { actions += dialogue.observed(try dialogue.primary(500, streams)) }
            for case .changeRule(let next, _, _) in actions where next.change?.isPrepared == true { return true }
            #expect(dialogue.stored?.detail?.contains("have written down the step before") == true)
            return false
        }
        #expect(try isPrepared([2, 3]) && isPrepared([], majority: false))
        #expect(try !isPrepared([2]) && !isPrepared([4, 5]), "of the four that are to be left two are not enough")
    }

    @Test("One that comes is named when it has said that it knows it")
    func comers() throws {
        let fourth = names[3]
        for skills in [Dialogue.skillsOfBefore, MemberSkill.known] {
            var dialogue = try Dialogue.leader(members: 2)
            let streams = ["m2": UInt64(500), "m4": UInt64(500)]
            for _ in 0..<2 { _ = dialogue.observed(try dialogue.primary(500, streams)) }
            _ = dialogue.tell(.gateAnswered(isOpen: true, failure: nil))
            dialogue.change {
                $0.majority = true
                $0.change = MemberChange(id: "1", steps: [.init(.add, fourth)])
            }
            dialogue.reports = [
                MemberReport(
                    member: fourth, role: .standby, state: .running, promised: .first, position: nil, timeline: 1,
                    replayed: .zero, isStreaming: true, lagBytes: 0, lagMilliseconds: 0, skills: skills)
            ]
            var actions = dialogue.watch() + dialogue.ended()
            func isNamed() -> Bool { actions.contains { if case .changeRule = $0 { true } else { false } } }
            for _ in 0..<2 { actions += dialogue.observed(try dialogue.primary(500, streams)) }
            #expect(!isNamed(), "it is not heard")
            let beat = MemberBeat(member: fourth, epoch: .first, isOpen: false, missesLeader: false, hears: [])
            actions += dialogue.tell(.heard(beat, after: dialogue.now))
            actions += dialogue.observed(try dialogue.primary(500, streams))
            #expect(isNamed() == skills.contains(.majority))
        }
    }
}
