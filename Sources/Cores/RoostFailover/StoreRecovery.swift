public import RoostModel

/// How the rule of a cluster is put right whose store has gone back: by what its members have on their volumes.
///
/// Whoever has bytes of a reign has it in the history on its volume. A reign that was open has bytes on one member more than
/// confirm a commit, so one of any `members - confirmations` knows it. The rule that comes of it names nobody: it calls all
/// members to a new epoch under the last history that one of them took from the store, and they decide by their logs, as
/// ever. Where histories contradict each other, one is of a store that had gone back: of those only what was never open may
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
        case tooFewSay(Int, of: [MemberName])
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
                    + members.map(\.text).joined(separator: ", ")
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
    public init(of stored: ClusterRule, _ reports: [MemberReport]) throws(Obstacle) {
        let present = stored.withLastMembers(reports.compactMap(\.knowledge?.membership))
        let said = present.members.compactMap { member in
            reports.first { $0.member == member && $0.skills?.contains(.recovery) == true }
        }
        let accounts = said.compactMap { report in
            report.knowledge.map {
                Account(member: report.member, opened: $0.opened, chain: $0.history, timeline: $0.timeline)
            }
        }
        // Who has lost its disk has lost what it knew, also when it has been given a copy since.
        let wentBackTo = present.lastCommon(with: accounts.map(\.chain).filter { !$0.isEmpty })
        let heard = said.filter { $0.tells(of: present, wentBackTo: wentBackTo) }
        guard !accounts.isEmpty else { throw .nothingIsMissing }
        let missing = present.members.count - present.confirmations - heard.count
        guard missing <= 0 else {
            throw .tooFewSay(missing, of: present.members.filter { member in !heard.contains { $0.member == member } })
        }
        let best = try Self.best(of: present, accounts)
        var rule = present
        if let best, let last = best.last {
            rule.epoch = last.epoch
            rule.leader = last.leader
            rule.history = best.history
            rule.timeline = best.timeline
        }
        rule.switchover = nil
        try Self.checkNothingIsTakenBack(present, by: rule, heard)
        let promised = said.map(\.promised).max() ?? rule.epoch
        let called = max(promised, rule.epoch, present.recruitment?.epoch ?? present.epoch)
        let source = best?.member
        rule.recruitment = Recruitment(
            epoch: called.next, proposer: source ?? accounts[0].member, reason: .storeRecovered)
        let strangers = present.members.filter { member in
            let isBeyond = accounts.contains {
                $0.member == member && rule.reignLacking(opened: $0.opened, chain: $0.chain) != nil
            }
            return isBeyond || present.history.contains { $0.leader == member && !rule.knows($0) }
        }
        // Without them nobody could ever be chosen by enough answers.
        guard strangers.count <= present.confirmations else {
            throw .contradiction(source ?? present.leader, strangers[0], leaders: [])
        }
        // Those that go on must be able to choose: the last leader, or enough standbys.
        let able = heard.map(\.member).filter { !strangers.contains($0) }
        let lacking = present.members.count - present.confirmations - able.count
        guard lacking <= 0 || able.contains(rule.leader) else {
            let others = present.members.filter { !able.contains($0) && !strangers.contains($0) }
            throw .tooFewSay(lacking, of: others)
        }
        self.rule = rule
        self.source = source
        self.strangers = strangers
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
        let opened = accounts.compactMap(\.opened)
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
    /// With the members that came last of all that is known. What was asked for before the store went back is not done
    /// again: its members may have come and gone since.
    fileprivate func withLastMembers(_ known: [Membership]) -> ClusterRule {
        var rule = self
        if rule.change?.current != nil {
            rule.change?.refusal = MemberChange.storeWentBack
            rule.change?.isPrepared = nil
        }
        guard let last = known.max(by: { $0.changes < $1.changes }), last.changes > changes ?? 0 else { return rule }
        rule.members = last.members
        rule.confirmations = last.confirmations
        rule.changes = last.changes
        return rule
    }

    fileprivate func knows(_ reign: Reign) -> Bool { history.knows(reign) }

    /// The store went back to this epoch or a later one: up to there its history is that of each who has proof.
    fileprivate func lastCommon(with chains: [[Reign]]) -> Epoch {
        let common = chains.map { chain in
            history.last { own in chain.contains { $0.isSame(as: own) } }?.epoch ?? .none
        }
        return common.min() ?? history.first?.epoch ?? .none
    }

    /// A log of this rule that ends there has bytes that the other rule's history does not have.
    fileprivate func hasMore(at position: Position, than other: ClusterRule) -> Bool {
        guard let own = history.last(where: { $0.epoch == position.epoch }) else { return false }
        guard let index = other.history.lastIndex(where: { $0.isSame(as: own) }) else { return !other.knows(own) }
        let next = index + 1
        return next < other.history.count && position.end > other.history[next].begin
    }
}

extension MemberReport {
    /// It has all that it ever had, and its word is about this rule: what it has promised beyond shows that it has not looked
    /// yet. One that has failed and does not say what it knows may know more.
    ///
    /// - Parameter wentBackTo: a volume that was first used then, or later, may have been made after all that the store lost.
    fileprivate func tells(of rule: ClusterRule, wentBackTo epoch: Epoch) -> Bool {
        if let knowledge { return !knowledge.history.isEmpty }
        guard let keptSince, keptSince == .none || keptSince < epoch else { return false }
        return state != .failed && position != nil && promised <= rule.recruitment?.epoch ?? rule.epoch
    }
}
