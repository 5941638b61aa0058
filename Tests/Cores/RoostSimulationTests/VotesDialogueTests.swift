import RoostModel
import Testing

@testable import RoostFailover

/// Who leads, decided by votes, seen from one core.
@Suite("Votes of the members") struct VotesDialogueTests {
    private let names: [MemberName]

    init() throws { names = try (1...5).map { try MemberName("m\($0)") } }

    /// `m2` follows `m1`, under a rule by which more than half decide, and is called to epoch 2: it has answered.
    private func answered(members: Int = 3, _ change: (inout ClusterRule) -> Void = { _ in }) throws -> Dialogue {
        var dialogue = try Dialogue.follower("m2", members: members) {
            $0.change { rule in
                rule.majority = true
                change(&rule)
            }
        }
        dialogue.change { $0.recruitment = Recruitment(epoch: Epoch(2), proposer: names[2], reason: .leaderSilent) }
        _ = dialogue.watch()
        _ = dialogue.ended()
        _ = dialogue.ended(.end(LSN(1000), timeline: 1))
        #expect(dialogue.member.status.phase == .waiting && dialogue.member.state.promised == Epoch(2))
        return dialogue
    }

    private func beat(
        _ member: Int, epoch: UInt64 = 2, end: UInt64? = nil, isOpen: Bool = false,
        _ change: (inout MemberBeat) -> Void = { _ in }
    ) -> MemberBeat {
        let first = [Reign(epoch: .first, leader: names[0], begin: .zero)]
        var beat = MemberBeat(
            member: names[member - 1], epoch: Epoch(epoch), isOpen: isOpen, missesLeader: false, hears: names,
            answer: end.map {
                DirectAnswer(
                    epoch: Epoch(epoch), reigns: 1, digest: first.digest, end: LSN($0), replayed: LSN($0), timeline: 1,
                    cannotLead: false)
            })
        change(&beat)
        return beat
    }

    private func saved(_ actions: [FailoverAction]) -> [DurableState] {
        actions.compactMap { if case .save(let state) = $0 { state } else { nil } }
    }

    private func said(_ actions: [FailoverAction]) -> MemberBeat? {
        for case .beat(let beat) in actions.reversed() { return beat }
        return nil
    }

    private func hear(_ beat: MemberBeat, _ dialogue: inout Dialogue) -> [FailoverAction] {
        dialogue.all(.heard(beat, after: dialogue.now))
    }

    @Test("Whom the answers show asks for votes, with its own on disk before, and leads by those of more than half")
    func candidate() throws {
        var dialogue = try answered(members: 5)
        #expect(said(hear(beat(3, end: 900), &dialogue))?.plea == nil, "two of five have answered")
        let actions = hear(beat(4, end: 950), &dialogue)
        let own = Ballot(epoch: Epoch(2), member: names[1])
        #expect(saved(actions).last?.vote == own)
        let plea = try #require(said(actions))
        #expect(plea.plea == Plea(epoch: Epoch(2)) && plea.vote == own)
        let isFirst = actions.firstIndex { if case .save = $0 { true } else { false } } ?? .max
        let isNext = actions.firstIndex { if case .beat = $0 { true } else { false } } ?? .max
        #expect(isFirst < isNext)
        #expect(saved(hear(beat(3, end: 900) { $0.vote = own }, &dialogue)).isEmpty, "two of five")
        #expect(saved(hear(beat(5) { $0.vote = Ballot(epoch: Epoch(2), member: names[2]) }, &dialogue)).isEmpty)
        #expect(saved(hear(beat(5) { $0.vote = Ballot(epoch: Epoch(1), member: names[1]) }, &dialogue)).isEmpty)
        let chosen = hear(beat(5) { $0.vote = own }, &dialogue)
        let decided = try #require(saved(chosen).first?.decided)
        #expect(decided.rule.leader == names[1] && decided.rule.epoch == Epoch(2) && decided.base == .first)
        #expect(decided.rule.history.last == Reign(epoch: Epoch(2), leader: names[1], begin: LSN(1000)))
        // The store may be away: it leads by the word of the others, and tells the store.
        #expect(chosen.contains { if case .postgres(.promote(Epoch(2), 2, _, _), _) = $0 { true } else { false } })
        #expect(
            chosen.contains { if case .changeRule(decided.rule, dialogue.ruleRevision, _) = $0 { true } else { false } }
        )
        #expect(said(chosen)?.told?.tail.last == decided.rule.history.last)
    }

    @Test("A member gives one vote in each epoch, to the first that asks, and not before it has promised it")
    func voter() throws {
        var dialogue = try answered()
        #expect(saved(hear(beat(3) { $0.plea = Plea(epoch: Epoch(3)) }, &dialogue)).isEmpty)
        let asks = { (beat: inout MemberBeat) in beat.plea = Plea(epoch: Epoch(2)) }
        #expect(saved(hear(beat(3, end: 999, asks), &dialogue)).last?.vote?.member != names[2], "it has less")
        dialogue = try answered()
        let votes = hear(beat(3, end: 1100, asks), &dialogue)
        let vote = Ballot(epoch: Epoch(2), member: names[2])
        #expect(saved(votes).last?.vote == vote && said(votes)?.vote == vote)
        #expect(saved(hear(beat(1, end: 1100, asks), &dialogue)).isEmpty)
        // Not for itself either, whatever is answered.
        #expect(said(hear(beat(3, end: 900), &dialogue))?.plea == nil && dialogue.member.state.vote == vote)
        // Its vote is on its disk.
        var again = try Dialogue("m2", state: dialogue.member.state)
        again.rule = dialogue.rule
        again.tell(.tick)
        _ = again.read()
        _ = again.ended(.end(LSN(1000), timeline: 1))
        #expect(saved(hear(beat(1, end: 1100, asks), &again)).isEmpty)
    }

    @Test("Nobody votes for one that goes by members of before those that it knows")
    func olderMembers() throws {
        for (changes, isGiven) in [(3 as UInt64, false), (4, true), (5, true)] {
            var dialogue = try answered { $0.changes = 4 }
            let votes = hear(
                beat(3, end: 1100) { beat in
                    beat.plea = Plea(epoch: Epoch(2))
                    beat.changes = changes
                }, &dialogue)
            #expect((saved(votes).last?.vote != nil) == isGiven, "\(changes)")
        }
    }

    // MARK: - Who hears of it

    private func told(_ leader: Int = 3, epoch: UInt64 = 2, begin: UInt64 = 900, base: UInt64 = 1) -> ToldDecision {
        let first = Reign(epoch: .first, leader: names[0], begin: .zero)
        let reign = Reign(epoch: Epoch(epoch), leader: names[leader - 1], begin: LSN(begin))
        return ToldDecision(reigns: 1, digest: [first].digest, tail: [reign], timeline: 2, base: Epoch(base))
    }

    private func adopted() throws -> Dialogue {
        var dialogue = try answered()
        let actions = hear(beat(3) { $0.told = told(begin: 1000) }, &dialogue)
        #expect(saved(actions).first?.decided?.rule.leader == names[2])
        #expect(actions.contains { if case .postgres(.follow(names[2], Epoch(2), _), _) = $0 { true } else { false } })
        return dialogue
    }

    @Test("Whoever hears of a decision follows, also after it has started anew without the store")
    func follower() throws {
        var dialogue = try adopted()
        _ = dialogue.ended()
        var again = try Dialogue("m2", state: dialogue.member.state)
        again.rule = Dialogue.firstRule(again.names)
        again.change { $0.majority = true }
        again.tell(.tick)
        _ = again.tell(.readFailed(again.lastRead))
        _ = again.tell(.viewed(again.view, by: .kept))
        let actions = again.ended(.end(LSN(1000), timeline: 1))
        #expect(actions.contains { if case .postgres(.follow(names[2], Epoch(2), _), _) = $0 { true } else { false } })
    }

    @Test("Whoever has missed one leader goes by what is told of the next one, and so does the store")
    func missedOne() throws {
        var rule = Dialogue.firstRule(Array(names.prefix(3)))
        rule.majority = true
        var told = told(2, epoch: 3, begin: 1100)
        told.tail.insert(Reign(epoch: Epoch(2), leader: names[2], begin: LSN(900)), at: 0)
        told.timeline = 3
        let next = try #require(told.decided(over: rule))
        #expect(next.history.map(\.epoch) == [.first, Epoch(2), Epoch(3)] && next.timeline == 3)
        try next.check(asChangeOf: rule, by: names[2])
        told.tail.swapAt(0, 1)
        #expect(told.decided(over: rule) == nil)
    }

    @Test("A decision is told from a history that is as long as one can be")
    func longHistory() throws {
        var rule = Dialogue.firstRule(Array(names.prefix(3)))
        rule.majority = true
        for epoch in 2...UInt64(ClusterRule.historyMax + 3) {
            let before = rule
            rule = before.succeeded(
                by: names[Int(epoch % 3)], in: Epoch(epoch), with: before.history, upTo: LSN(epoch * 10), timeline: 1)
            let told = try #require(ToldDecision(rule, base: before.epoch))
            #expect(told.decided(over: before) == rule, "\(epoch)")
        }
        #expect(rule.history.count == ClusterRule.historyMax)
    }

    @Test("What cannot have been decided is not believed")
    func lies() throws {
        let known = Dialogue.firstRule(Array(names.prefix(3)))
        var rule = known
        rule.majority = true
        #expect(told().decided(over: rule)?.leader == names[2])
        #expect(told().decided(over: known) == nil, "the store alone decides there")
        let far = MemberReport.electionsMissedMax
        #expect(told(epoch: far + 2).decided(over: rule) != nil && told(epoch: far + 3).decided(over: rule) == nil)
        #expect(told(epoch: 1).decided(over: rule) == nil && told(4).decided(over: rule) == nil)
        for change in [{ $0.digest = 5 }, { $0.reigns = 2 }, { $0.reigns = 0 }, { $0.timeline = 9 }, { $0.tail = [] }]
            as [(inout ToldDecision) -> Void]
        {
            var told = told()
            change(&told)
            #expect(told.decided(over: rule) == nil, "\(told)")
        }
    }

    @Test(
        "Who may have been given up, by what others know of a person's decision, goes by nothing that these decide")
    func laterMembers() throws {
        for (forced, isTaken) in [(nil, true), (Epoch(5), false)] as [(Epoch?, Bool)] {
            var dialogue = try answered()
            let actions = hear(
                beat(3) { beat in
                    beat.told = told(begin: 1000)
                    beat.forced = forced
                    // An ordinary step is waited for by nobody.
                    beat.changes = 1
                }, &dialogue)
            #expect((saved(actions).first?.decided != nil) == isTaken)
            var other = try answered()
            _ = hear(
                beat(3, epoch: 7) { beat in
                    beat.call = DirectCall(epoch: Epoch(7), revision: 1)
                    beat.forced = forced
                }, &other)
            other.tell(.tick)
            #expect((other.member.state.promised == Epoch(7)) == isTaken)
        }
    }

    @Test("Who starts anew in an election goes on in it without the store, and not where the store decides")
    func startsInAnElection() throws {
        for majority in [true, false] {
            var state = try answered().member.state
            if !majority { state.mark = nil }
            var again = try Dialogue("m2", state: state)
            again.rule = Dialogue.firstRule(again.names)
            again.change { $0.majority = majority ? true : nil }
            again.tell(.tick)
            _ = again.tell(.readFailed(again.lastRead))
            _ = again.tell(.viewed(again.view, by: .kept))
            _ = again.ended(.end(LSN(1000), timeline: 1))
            let actions = again.all(
                .heard(beat(3, end: 900) { $0.plea = nil }, after: again.now))
            #expect((said(actions)?.plea == Plea(epoch: Epoch(2))) == majority)
        }
    }

    @Test(
        "A disk that is new in the epoch of a person's decision has a vote for the one that is named, and for no other")
    func newDiskForced() throws {
        for (candidate, isGiven) in [(1, true), (3, false)] {
            var dialogue = try Dialogue("m2")
            dialogue.rule = Dialogue.firstRule(dialogue.names)
            dialogue.change { rule in
                rule.majority = true
                rule.recruitment = Recruitment(
                    epoch: Epoch(5), proposer: names[0], reason: .forced, target: names[0])
                rule.forced = ForcedFailover(
                    id: "f", member: names[0], epoch: Epoch(5), at: 0, by: nil, formerLeader: names[0],
                    formerEpoch: .first, position: Position(epoch: .first, end: LSN(1)), furthest: nil, givenUp: [],
                    lost: [])
            }
            dialogue.tell(.tick)
            _ = dialogue.read()
            _ = hear(beat(1, epoch: 5), &dialogue)
            _ = hear(beat(3, epoch: 5), &dialogue)
            dialogue.wait(.seconds(6))
            dialogue.tell(.tick)
            #expect(dialogue.member.state.vote == Ballot(epoch: Epoch(5), member: nil))
            let votes = saved(hear(beat(candidate, epoch: 5) { $0.plea = Plea(epoch: Epoch(5)) }, &dialogue))
            #expect((votes.last?.vote == Ballot(epoch: Epoch(5), member: names[candidate - 1])) == isGiven)
        }
    }

    // MARK: - The store is back

    @Test("The store gets what was decided, with what was changed there meanwhile")
    func published() throws {
        var dialogue = try adopted()
        _ = dialogue.ended()
        dialogue.change {
            $0.recruitment = nil
            $0.pause = WishTerm(beganAt: 0, length: .seconds(60))
        }
        var actions = dialogue.read()
        for _ in 0..<30 {
            dialogue.wait(.milliseconds(100))
            actions += dialogue.tell(.tick) + dialogue.read()
        }
        let changes = actions.compactMap { if case .changeRule(let rule, _, _) = $0 { rule } else { nil } }
        let next = try #require(changes.first)
        #expect(next.leader == names[2] && next.epoch == Epoch(2) && next.pause != nil)
        try next.check(asChangeOf: try #require(dialogue.rule), by: names[1])
        dialogue.rule = next
        _ = dialogue.tell(.ruleAnswered(dialogue.ruleChange, .applied(revision: dialogue.revision + 1)))
        #expect(dialogue.member.state.decided == nil)
    }

    @Test("A store that shows less than what was decided stands on has gone back")
    func goneBack() throws {
        var dialogue = try answered()
        // The others have seen epoch 3 in the store.
        _ = hear(beat(3, epoch: 4) { $0.told = told(epoch: 4, begin: 1000, base: 3) }, &dialogue)
        #expect(dialogue.member.state.decided?.base == Epoch(3))
        dialogue.change { $0.recruitment = nil }
        _ = dialogue.read()
        _ = dialogue.ended()
        #expect(dialogue.member.status.phase != .quarantined, "it may be late")
        _ = dialogue.read()
        _ = dialogue.ended()
        #expect(dialogue.member.status.phase == .quarantined)
        let detail = try #require(dialogue.member.status.detail)
        #expect(detail.contains("this member knows that m3 led in epoch 4"), "\(detail)")
    }

    @Test("That more than half decide is taken back by a person's decision, and by nothing else that a store shows")
    func keptMark() throws {
        for (forced, isKept) in [(nil, true), (Epoch(1), false)] as [(Epoch?, Bool)] {
            var dialogue = try Dialogue.follower("m2") { $0.change { $0.majority = true } }
            #expect(dialogue.member.state.mark == Epoch.none)
            dialogue.change { rule in
                rule.majority = nil
                rule.forced = forced.map {
                    ForcedFailover(
                        id: "f", member: names[0], epoch: $0, at: 0, by: nil, formerLeader: names[0],
                        formerEpoch: .none, position: Position(epoch: .first, end: LSN(1)), furthest: nil, givenUp: [],
                        lost: [])
                }
            }
            _ = dialogue.read()
            #expect((dialogue.member.view?.rule?.majority == true) == isKept)
        }
    }

    // MARK: - A disk that was lost

    @Test("A member with a new disk waits for what enough others have promised, and votes in later epochs only")
    func newDisk() throws {
        var dialogue = try Dialogue("m2")
        dialogue.rule = Dialogue.firstRule(dialogue.names)
        dialogue.change { $0.majority = true }
        dialogue.beat(1)
        dialogue.tell(.tick)
        #expect(saved(dialogue.read()).allSatisfy { $0.promised == .none } && dialogue.member.state.promised == .none)
        _ = hear(beat(3, epoch: 5), &dialogue)
        dialogue.tell(.tick)
        // Of a former life of its process, as far as it knows.
        _ = dialogue.tell(.heard(beat(1, epoch: 1)))
        dialogue.wait(.seconds(6))
        dialogue.tell(.tick)
        #expect(dialogue.member.state.promised == .none)
        #expect(dialogue.member.status.detail?.contains("its disk is new: it waits until 2 other members have") == true)
        _ = hear(beat(1, epoch: 1), &dialogue)
        dialogue.wait(.seconds(6))
        dialogue.tell(.tick)
        #expect(dialogue.member.state.promised == Epoch(5))
        #expect(dialogue.member.state.vote == Ballot(epoch: Epoch(5), member: nil))
        #expect(saved(hear(beat(3, epoch: 5) { $0.plea = Plea(epoch: Epoch(5)) }, &dialogue)).isEmpty)
    }

    // MARK: - On the way

    @Test("What is said of votes is read as it was written, and the longest fits")
    func datagrams() throws {
        let long = try (0..<9).map { try MemberName(String(repeating: "m", count: 61) + "\($0)") }
        let tail = [
            Reign(epoch: Epoch(7), leader: long[0], begin: LSN(.max)),
            Reign(epoch: Epoch(8), leader: long[1], begin: LSN(5)),
        ]
        let told = ToldDecision(reigns: 62, digest: .max, tail: tail, timeline: 9, base: Epoch(6))
        var datagram = BeatDatagram(
            MemberBeat(
                member: long[0], epoch: Epoch(8), isOpen: false, missesLeader: true, hears: long,
                call: DirectCall(epoch: Epoch(8), revision: 1),
                answer: DirectAnswer(
                    epoch: Epoch(8), reigns: 64, digest: 1, end: LSN(1), replayed: LSN(1), timeline: 1,
                    cannotLead: false),
                changes: .max, forced: Epoch(9), plea: Plea(epoch: Epoch(8)),
                vote: Ballot(epoch: Epoch(8), member: long[0]), told: told),
            to: long[1], life: 1, number: 2, challenge: 3, echo: 4, heard: BeatMark(life: 5, number: 6))
        #expect(BeatDatagram(datagram.bytes) == datagram && datagram.bytes.count <= BeatDatagram.bytesMax)
        (datagram.beat.hears, datagram.beat.call, datagram.beat.answer, datagram.heard) = ([], nil, nil, nil)
        let least = {
            var bare = datagram
            (bare.beat.changes, bare.beat.forced) = (nil, nil)
            (bare.beat.plea, bare.beat.vote, bare.beat.told) = (nil, nil, nil)
            return bare.bytes.count
        }()
        for count in least..<datagram.bytes.count { #expect(BeatDatagram(datagram.bytes.prefix(count)) == nil) }
    }

    @Test("Members come to later epochs by themselves, by so many and no more; elsewhere to the next one")
    func epochs() {
        func isTaken(_ epoch: UInt64, majority: Bool?, called: UInt64? = nil) -> Bool {
            var former = Dialogue.firstRule(Array(names.prefix(3)))
            former.majority = majority
            former.recruitment = called.map {
                Recruitment(epoch: Epoch($0), proposer: names[1], reason: .leaderSilent)
            }
            var next = former
            next.recruitment = nil
            next.epoch = Epoch(epoch)
            next.leader = names[1]
            next.timeline = 2
            next.history.append(Reign(epoch: Epoch(epoch), leader: names[1], begin: LSN(9)))
            return (try? next.check(asChangeOf: former, by: names[2])) != nil
        }
        let most = MemberReport.electionsMissedMax
        #expect(isTaken(2, majority: nil) && !isTaken(3, majority: nil) && !isTaken(3, majority: nil, called: 2))
        #expect(isTaken(2, majority: true) && isTaken(9, majority: true) && isTaken(9, majority: true, called: 4))
        #expect(!isTaken(3, majority: true, called: 4) && !isTaken(1, majority: true))
        #expect(
            isTaken(2 + most, majority: true) && !isTaken(3 + most, majority: true) && !isTaken(.max, majority: true))
    }
}
