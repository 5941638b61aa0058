public import RoostModel

/// How the rule of a cluster is put right whose store has gone back: by what its members have on their volumes.
///
/// Whoever has bytes of a reign has it in the history on its volume, and one of more than half knows each reign that was open
/// (see ``Testimony``). The rule that comes of it names nobody: it calls all members to a new epoch under the last history that
/// one of them took from the store, and they decide by their logs, as ever. Where histories contradict each other, one is of a store that had gone back: of those only what was never open may
/// be left out, and only its leader knows that.
public struct StoreRecovery: Hashable, Sendable {
    /// What is to take the place of the store's rule.
    public let rule: ClusterRule
    /// Whose knowledge it is; nil: the store's history is the last, and only what members were called to is missing there.
    public let source: MemberName?
    /// They know, or have led, what this history does not have, and go on doing nothing, or will.
    public let strangers: [MemberName]

    /// Why nothing follows from what is known.
    public enum Obstacle: Error, Hashable, Sendable, CustomStringConvertible {
        /// Nobody has proof that the store went back.
        case nothingIsMissing
        /// So many more must say what they know, of these.
        case tooFewSay(Int, of: [Testimony.Mute])
        /// The members are these by now. Whoever came since has no place in this store, and who has gone since has one: only a
        /// newer copy of it can put that right.
        case otherMembers([MemberName], store: [MemberName])
        /// The histories that these two know contradict each other; the leaders of what one does not have could say whether
        /// it was ever open.
        case contradiction(MemberName, MemberName, leaders: [MemberName])
        /// These have log of the store's rule that the history to come does not have, and so many have it, or may, that
        /// clients may have been told that it is written.
        case writtenSince([MemberName])

        public var description: String {
            switch self {
            case .nothingIsMissing: return "no member that is heard says that the store has gone back"
            case .tooFewSay(let count, let members):
                return "\(counted(count, "more member")) must say what \(count == 1 ? "it knows" : "they know"), of: "
                    + members.map(\.description).joined(separator: ", ")
            case .otherMembers(let members, let stored):
                return
                    "the members have changed since: they are \(members.map(\.text).joined(separator: ", ")), and the store "
                    + "has \(stored.map(\.text).joined(separator: ", ")); a newer copy of the store is needed"
            case .contradiction(let one, let other, let leaders):
                let names = leaders.map(\.text).joined(separator: ", ")
                return "what \(one) and \(other) know of the last leaders contradicts each other"
                    + (leaders.isEmpty ? "" : "; \(names) could decide it: bring back each that is not heard")
            case .writtenSince(let members):
                let names = members.map(\.text).joined(separator: ", ")
                return
                    "\(names) \(members.count == 1 ? "has" : "have") log from under the store's rule that would be taken "
                    + "back, and what it says may have been confirmed; bring back each that is not heard"
            }
        }
    }

    /// - Parameter reports: of members that are heard now. One without knowledge has no proof: it knows no more than the
    ///   store's rule. Nothing is made of the silence of one that has no data, has not seen the rule yet, whose program does not
    ///   tell, or whose volume may be younger than the copy of the store.
    public init(
        of stored: ClusterRule, _ reports: [MemberReport], unsettled: Set<MemberName> = []
    ) throws(Obstacle) {
        try self.init(of: stored, reports, unsettled, membersMayDiffer: false)
    }

    /// - Parameter membersMayDiffer: who came since has a place all the same, and who has gone has none.
    package init(
        of stored: ClusterRule, _ reports: [MemberReport], _ unsettled: Set<MemberName> = [], membersMayDiffer: Bool
    ) throws(Obstacle) {
        let present = stored.withLastMembers(of: reports)
        let credible = reports.filter { $0.counts(beside: stored) }
        guard credible.contains(where: { $0.proof(against: stored) != nil }) else { throw .nothingIsMissing }
        guard membersMayDiffer || present.members == stored.members else {
            throw .otherMembers(present.members, store: stored.members)
        }
        let said = present.members.compactMap { member in credible.first { $0.member == member } }
        let accounts = said.compactMap { report in
            report.knowledge.map {
                Account(member: report.member, opened: $0.opened, chain: $0.history, timeline: $0.timeline)
            }
        }
        guard let spokesman = accounts.first?.member else { throw .nothingIsMissing }
        let testimony = Testimony(under: present, beside: stored, reports, unsettled)
        let heard = said.filter { report in testimony.telling.contains(report.member) }
        guard heard.count >= testimony.needed else {
            throw .tooFewSay(testimony.needed - heard.count, of: testimony.mute)
        }
        let best = try Self.best(of: present, accounts)
        var rule = present
        if let best, let last = best.last {
            rule.epoch = last.epoch
            rule.leader = last.leader
            rule.history = best.history
            rule.timeline = best.timeline
        }
        rule.endWishes()
        try Self.checkNothingIsTakenBack(present, by: rule, heard)
        let promised = said.map(\.promised).max() ?? rule.epoch
        let called = max(promised, rule.epoch, present.called)
        let source = best?.member
        rule.recruitment = Recruitment(
            epoch: called.next, proposer: source ?? spokesman, reason: .storeRecovered)
        let strangers = present.members.filter { member in
            let isBeyond = accounts.contains {
                $0.member == member && rule.reignLacking(opened: $0.opened, chain: $0.chain) != nil
            }
            return isBeyond || present.history.contains { $0.leader == member && !rule.knows($0) }
        }
        // Without them nobody could ever be chosen by enough answers.
        let left = present.members.count - strangers.count
        guard strangers.count <= present.confirmations, left >= present.answersNeeded else {
            throw .contradiction(source ?? present.leader, strangers[0], leaders: [])
        }
        // Those that go on must be able to choose: the last leader, or enough standbys; or more than half.
        let able = heard.map(\.member).filter { !strangers.contains($0) }
        guard rule.canBeDecided(by: able) else {
            let lacking = max(rule.standbysNeeded, rule.answersNeeded) - able.count
            throw .tooFewSay(lacking, of: testimony.mute.filter { !strangers.contains($0.member) })
        }
        self.rule = rule
        self.source = source
        self.strangers = strangers
    }

    /// Under a leader that goes on, for members that have promised what the store does not know of and miss nothing else in it:
    /// all are called beyond those promises, under the history that there is. That is one more election, which takes nothing
    /// back. Nil where somebody misses more, or nobody misses anything.
    public init?(calling stored: ClusterRule, beyond reports: [MemberReport]) {
        let members = stored.members.compactMap { member in reports.first { $0.member == member } }
        let proofs = members.compactMap { report in
            report.proof(against: stored).map { (member: report.member, proof: $0) }
        }
        guard let first = proofs.first, proofs.allSatisfy(\.proof.isOfPromiseAlone) else { return nil }
        let promised = members.filter { $0.isCredible(beside: stored) }.map(\.promised).max() ?? stored.called
        var rule = stored
        let call = max(promised, stored.called).next
        rule.recruitment = Recruitment(epoch: call, proposer: first.member, reason: .storeRecovered)
        self.rule = rule
        source = nil
        strangers = []
    }

    /// The history stays as the store has it: nothing that was written under it can be taken back.
    public func keepsHistory(of stored: ClusterRule) -> Bool {
        rule.history == stored.history && rule.epoch == stored.epoch && rule.leader == stored.leader
    }

    /// What was written under the store's rule since it went back is confirmed when enough have it. A former leader's end,
    /// which nobody else has, never was. Whoever has proof has taken nothing since.
    private static func checkNothingIsTakenBack(
        _ present: ClusterRule, by rule: ClusterRule, _ heard: [MemberReport]
    ) throws(Obstacle) {
        let beyond = heard.filter { report in
            report.knowledge == nil && report.position.map { present.hasMore(at: $0, than: rule) } ?? false
        }
        let unheard = present.members.count - heard.count
        guard beyond.isEmpty || beyond.count + unheard <= present.confirmations else {
            throw .writtenSince(beyond.map(\.member))
        }
    }

    /// Nil: the store's.
    private static func best(of present: ClusterRule, _ accounts: [Account]) throws(Obstacle) -> Candidate? {
        let opened = accounts.compactMap(\.opened).filter { !present.hasGivenUp($0) }
        var candidates = [Candidate(member: nil, history: present.history, timeline: present.timeline, accounts)]
        candidates += accounts.filter { !$0.chain.isEmpty }.map {
            Candidate(member: $0.member, history: $0.chain, timeline: $0.timeline, accounts)
        }
        let valid = candidates.filter { candidate in opened.allSatisfy(candidate.has) }
        guard !valid.isEmpty else { throw contradiction(accounts.map { ($0.member, $0.chain) }, accounts) }
        // Of those that leave out only what was never open, the last that was chosen.
        var best: Candidate?
        for candidate in valid where valid.allSatisfy({ candidate.has($0.lastOpen) }) {
            if best?.last?.epoch ?? .none < candidate.last?.epoch ?? .none { best = candidate }
        }
        guard let best else {
            let apart = valid.filter { candidate in
                !valid.contains { $0.has(candidate.last) && !candidate.has($0.last) }
            }
            throw contradiction(apart.map { ($0.member ?? present.leader, $0.history) }, accounts)
        }
        return best.member == nil ? nil : best
    }

    private static func contradiction(
        _ histories: [(member: MemberName, history: [Reign])], _ accounts: [Account]
    ) -> Obstacle {
        let first = histories[0]
        let second = histories.last { $0.member != first.member } ?? first
        let apart = [(first.history, second.history), (second.history, first.history)].flatMap { own, other in
            own.filter { reign in !other.contains { $0.isSame(as: reign) } }
        }
        var leaders: [MemberName] = []
        for reign in apart where !leaders.contains(reign.leader) {
            if !accounts.contains(where: { $0.member == reign.leader }) { leaders.append(reign.leader) }
        }
        return .contradiction(first.member, second.member, leaders: leaders)
    }

    private struct Account {
        var member: MemberName
        var opened: Reign?
        var chain: [Reign]
        var timeline: UInt32?
    }

    private struct Candidate {
        var member: MemberName?
        var history: [Reign]
        var timeline: UInt32?
        /// Before the reigns at the end that were never open, as their leaders say: each writes down that it opens before it
        /// does.
        var lastOpen: Reign?

        init(member: MemberName?, history: [Reign], timeline: UInt32?, _ accounts: [Account]) {
            self.member = member
            self.history = history
            self.timeline = timeline
            lastOpen = history.last { reign in
                // One that does not know of its own reign has not begun it, or has lost its disk since.
                guard let leader = accounts.first(where: { $0.member == reign.leader }),
                    leader.chain.contains(where: { $0.isSame(as: reign) })
                else { return true }
                return leader.opened?.epoch ?? .none >= reign.epoch
            }
        }

        var last: Reign? { history.last }

        /// In it, or older than the oldest that is kept.
        func has(_ reign: Reign?) -> Bool {
            guard let reign else { return true }
            return history.knows(reign)
        }
    }
}

extension [Reign] {
    /// In it, or older than the oldest that is kept.
    fileprivate func knows(_ reign: Reign) -> Bool {
        contains { $0.isSame(as: reign) } || (first.map { $0.epoch > reign.epoch } ?? false)
    }
}

extension ClusterRule {
    /// What was asked for before the store went back is not done again: it may have been done since, or been taken back, and
    /// whoever asked may not be there any more.
    fileprivate mutating func endWishes() {
        switchover = nil
        pause = nil
        let words = MemberChange.refusalOfLostStore
        if let wish = restart, !wish.hasEnded { restart?.refusal = words }
        if change?.current != nil {
            change?.refusal = words
            change?.storeWentBack = true
            change?.isPrepared = nil
        }
    }

    fileprivate func knows(_ reign: Reign) -> Bool { history.knows(reign) }

    /// A log of this rule that ends there has bytes that the other rule's history does not have.
    fileprivate func hasMore(at position: Position, than other: ClusterRule) -> Bool {
        guard let own = history.last(where: { $0.epoch == position.epoch }) else { return false }
        guard let index = other.history.lastIndex(where: { $0.isSame(as: own) }) else { return !other.knows(own) }
        let next = index + 1
        return next < other.history.count && position.end > other.history[next].begin
    }
}
