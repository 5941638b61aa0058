public import RoostModel

/// Who has answered a recruitment, and what follows from it.
///
/// A set of answers decides when it meets every set of members that could have confirmed a commit under the present
/// rule: the old leader is in it, or so many standbys that fewer than `confirmations` are left. Where the rule says so
/// (``ClusterRule/majority``) more than half of the members must have answered, and the old leader is one as the others are.
public struct RecruitmentTally: Sendable {
    let rule: ClusterRule
    let recruitment: Recruitment
    /// Members that stopped following, promised the recruitment's epoch and said how far their log goes.
    public let answers: [MemberReport]
    /// Members that answered too, but whose log ends before a reign of their own begins, or before what others have of that
    /// reign: they have lost what was on their disk, and nobody knows how much. They prove nothing.
    public let bereft: [MemberReport]
    /// Members that answer what cannot be: no rule could follow from it that hosts take. They prove nothing.
    public let unbelieved: [(member: MemberName, why: String)]
    /// So many standbys must answer when the old leader does not.
    public let standbysNeeded: Int
    /// So many members must have answered, whoever led.
    private let answersNeeded: Int
    /// Members that have said themselves that they have no data, or none that counts: there is nothing that they could answer
    /// with, as long as that is so.
    public let bare: [MemberName]
    /// By whose word the leader has lost something.
    private let witness: MemberName?
    private let standbys: [MemberReport]
    /// A person has decided who leads.
    private let forced: Forcing?
    private let breakage: Breakage?

    /// What is still in the way of the one that a person has named.
    fileprivate struct Forcing {
        var member: MemberName
        /// The others, as long as they may still follow an older leader and confirm for it.
        var unpromised: [MemberName]
        /// They have left, and have not said yet how far their log goes.
        var unread: [MemberName]
        /// They have log that it does not have: nobody has said that this be lost.
        var ahead: [MemberName]
        /// They will not say it: what they have cannot be believed, or counts for nothing by now.
        var hopeless: [MemberName]
    }

    /// Nil when the rule asks for no recruitment.
    public init?(rule: ClusterRule, reports: [MemberReport]) {
        self.init(rule: rule, reports: reports, breakage: nil)
    }

    init?(rule: ClusterRule, reports: [MemberReport], breakage: Breakage?) {
        guard let recruitment = rule.recruitment else { return nil }
        self.rule = rule
        self.recruitment = recruitment
        self.breakage = breakage
        let said = rule.members.compactMap { member in
            reports.first { $0.member == member && $0.answers(recruitment, breakage: breakage) }
        }
        let judged: [MemberReport] = breakage == nil ? said : []
        let unbelieved = judged.compactMap { report in
            rule.objection(to: report.chain ?? []).map { (member: report.member, why: $0) }
        }
        self.unbelieved = unbelieved
        bare = rule.members.filter { member in
            !said.contains { $0.member == member } && reports.contains { $0.member == member && $0.hasNothing }
        }
        let heard = reports
        let reports = reports.filter { report in !unbelieved.contains { $0.member == report.member } }
        let all = said.filter(reports.contains)
        // An only member has nobody who could have more.
        let isAlone = rule.members.count == 1 || breakage == .believesShortLeader
        let bereft =
            isAlone ? [] : all.filter { $0.hasLost(of: rule.history) || $0.hasLost(leading: rule, reports) }
        self.bereft = bereft
        witness = bereft.first { $0.member == rule.leader }.flatMap { $0.witness(of: rule, reports) }
        answers = all.filter { !bereft.contains($0) }
        let leader = rule.leader
        let answers = self.answers
        forced =
            breakage == .electsPastForce
            ? nil
            : rule.forcedCall.map {
                Forcing($0.member, of: rule, heard, answered: all, in: recruitment.epoch)
            }
        standbys = answers.filter { $0.member != leader }
        standbysNeeded = Swift.max(rule.standbysNeeded - (breakage == .recruitsOneTooFew ? 1 : 0), 1)
        answersNeeded = rule.answersNeeded
    }

    /// Of as many one has what was confirmed, also by a leader of the members before the last step.
    private var logsNeeded: Int { Swift.max(standbysNeeded, answersNeeded) }

    var hasLeader: Bool { answers.contains { $0.member == rule.leader } }
    /// Enough to do without the leader, whatever it has beyond them. Of members that vote it may have confirmed by those of before the last
    /// step, and be the only one of them that has answered.
    var hasStandbys: Bool { standbys.count >= logsNeeded }
    /// The answers so far prove where the last confirmed commit can be.
    public var isSufficient: Bool {
        guard let forced else {
            guard answersNeeded > 1 else { return hasLeader || hasStandbys }
            return answers.count >= logsNeeded
        }
        return forcedAnswer != nil && !forced.isInTheWay
    }

    private var forcedAnswer: MemberReport? {
        forced.flatMap { forced in answers.first { $0.member == forced.member } }
    }

    /// All that was to be said was said, and nobody can be promoted by it.
    var cannotBeDecided: Bool {
        if let forced {
            if !forced.hopeless.isEmpty { return true }
            return forcedAnswer.map { $0.cannotLead == true || !forced.ahead.isEmpty } ?? false
        }
        return isSufficient && verdict(hasWaited: true) == nil
    }

    /// Why nobody is promoted; nil when somebody can be.
    public var obstacle: String? {
        if let forced { return obstacle(to: forced) }
        if isSufficient {
            guard let ahead = foremost(of: answers), best(of: answers) == nil else { return nil }
            guard hasKept(ahead) else {
                return
                    "\(ahead.member) has the most of the log of those that have answered, and less than a person has decided to "
                    + "keep: need \(rule.forced?.member.text ?? "another"), or another with as much; or decide again, by what "
                    + "roost pg failover shows"
            }
            return
                "\(ahead.member) has the most of the log, but cannot lead (its Postgres does not start, or was promoted by "
                + "somebody else: it says which); need another with as much"
        }
        let heard = (answers + bereft).map(\.member) + unbelieved.map(\.member)
        let silent = rule.members.filter { !heard.contains($0) }
        // Where it cannot be without them, they are needed all the same: with what they had.
        let able = silent.filter { !bare.contains($0) }
        let isEnough = rule.canBeDecided(by: answers.map(\.member) + able)
        let choice = choice(of: isEnough ? able : silent)
        let lost =
            bereft.map { "; \($0.member) has lost part of its own log\(words(of: $0.member))" }.joined()
            + unbelieved.map { "; \($0.member) cannot be believed: it shows \($0.why)" }.joined()
            + bare.map { "; \($0) has no data that counts" }.joined()
        return "\(silent.count) of \(rule.members.count) members have not answered recruitment \(recruitment.epoch)"
            + "\(lost): \(choice), with their data"
    }

    /// Whose answers would do. Nobody counts who is asked for by name.
    private func choice(of asked: [MemberName]) -> String {
        func some(_ count: Int, of members: [MemberName]) -> String? {
            guard count <= members.count else { return nil }
            let names = members.map(\.text).joined(separator: count == members.count ? " and " : ", ")
            return count == members.count ? names : "\(count) of \(names)"
        }
        if answersNeeded > 1 {
            return "need \(some(logsNeeded - answers.count, of: asked) ?? "others")"
        }
        let missing = standbysNeeded - standbys.count
        let others = some(missing, of: asked.filter { $0 != rule.leader })
        guard asked.contains(rule.leader) else { return "need \(others ?? "another")" }
        return "need \(rule.leader)" + (others.map { missing > 1 ? ", or \($0)" : " or \($0)" } ?? "")
    }

    private func obstacle(to forced: Forcing) -> String? {
        let decided = "a person has decided that \(forced.member) leads"
        guard let answer = forcedAnswer else {
            let heard = unbelieved.first { $0.member == forced.member }.map {
                ", and cannot be believed: it shows \($0.why)"
            }
            return "\(decided), which has not answered recruitment \(recruitment.epoch)\(heard ?? "")"
        }
        if answer.cannotLead == true { return "\(decided), which cannot: it says why" }
        if let other = forced.ahead.first {
            return "\(decided), and \(other) has more of the log by now: decide again, by what roost pg failover shows"
        }
        if let other = forced.hopeless.first {
            let why = unbelieved.first { $0.member == other }.map { "cannot be believed: it shows \($0.why)" }
            return
                "\(decided), and \(other) \(why ?? "has lost its data by now"): decide again, by what roost pg failover shows"
        }
        let missing = forced.unpromised.isEmpty ? forced.unread : forced.unpromised
        guard !missing.isEmpty else { return nil }
        let names = missing.map(\.text).joined(separator: ", ") + (missing.count == 1 ? " has" : " have")
        return forced.unpromised.isEmpty
            ? "\(decided), when \(names) said how far the log there goes"
            : "\(decided), when \(names) left the former leader"
    }

    /// Who says so may be the one that is wrong.
    private func words(of member: MemberName) -> String {
        guard member == rule.leader, let witness else { return "" }
        return ", by what \(witness) says that it has of it"
    }

    /// The rule that follows from the answers.
    ///
    /// - Parameter hasWaited: enough time was given for better answers: a target's, or those of enough standbys to do
    ///   without a leader that failed.
    /// - Returns: nil when nothing can be decided yet.
    public func verdict(hasWaited: Bool) -> ClusterRule? {
        guard isSufficient else { return nil }
        if forced != nil {
            guard let answer = forcedAnswer, answer.cannotLead != true else { return nil }
            return succeeded(by: answer)
        }
        // Enough by themselves: nothing that only the old leader has can have been confirmed.
        var best = hasStandbys ? best(of: standbys) : nil
        if best == nil, hasLeader, hasWaited || rule.members.count == 1 { best = self.best(of: answers) }
        guard let best else { return nil }
        if let target = recruitment.target, target != best.member, !hasWaited { return nil }
        return succeeded(by: best)
    }

    private func succeeded(by answer: MemberReport) -> ClusterRule? {
        guard let end = answer.position?.end, let chain = answer.chain else { return nil }
        return rule.succeeded(
            by: answer.member, in: recruitment.epoch, with: chain, upTo: end, timeline: answer.timeline)
    }

    /// The greatest position of those that can lead; among equals the target, then the first in the rule's order. Nil
    /// when one that cannot lead has more: what only that one has may be confirmed.
    private func best(of answers: [MemberReport]) -> MemberReport? {
        guard let best = foremost(of: answers.filter { $0.cannotLead != true }), hasKept(best) else { return nil }
        if breakage == .promotesLeastAdvanced { return best }
        let ahead = foremost(of: answers)?.position
        return ahead.map { $0 > best.position ?? $0 } == true ? nil : best
    }

    /// What the one had that a person has named. Nobody else need have it before that one is open, and so many without it are no
    /// proof that it was not confirmed.
    private func hasKept(_ report: MemberReport) -> Bool {
        guard breakage != .forgetsForced, let forced = rule.forced,
            // The one that was named, or that came after it before anything was written.
            let reign = rule.history.first(where: { $0.epoch >= forced.epoch })
        else { return true }
        guard let kept = rule.history.position(at: reign.begin) else { return true }
        return report.position.map { $0 >= kept } ?? false
    }

    private func foremost(of answers: [MemberReport]) -> MemberReport? {
        var best: MemberReport?
        for report in answers {
            guard let position = report.position else { continue }
            guard let leading = best?.position else {
                best = report
                continue
            }
            let isBetter = breakage == .promotesLeastAdvanced ? position < leading : position > leading
            if isBetter || (position == leading && report.member == recruitment.target) { best = report }
        }
        return best
    }
}

extension ClusterRule {
    /// As members are called by now: where they vote they come to later elections by themselves, of which the store does not hear. It is the
    /// last that more than half of them say they have promised.
    public func asCalled(by reports: [MemberReport]) -> ClusterRule {
        guard majority == true, forcedCall == nil else { return self }
        let promised = members.compactMap { member in reports.first { $0.member == member }?.promised }
        let later = promised.filter { epoch in
            epoch > called && mayElect(epoch) && promised.count { $0 >= epoch } * 2 > members.count
        }
        guard let epoch = later.max() else { return self }
        var rule = self
        rule.recruitment = Recruitment(
            epoch: epoch, proposer: recruitment?.proposer ?? leader, reason: recruitment?.reason ?? .leaderSilent)
        return rule
    }
}

extension RecruitmentTally.Forcing {
    /// - Parameter answered: what they have said of their logs' ends, also where it proves nothing.
    fileprivate init(
        _ member: MemberName, of rule: ClusterRule, _ reports: [MemberReport], answered: [MemberReport],
        in epoch: Epoch
    ) {
        let end = answered.first { $0.member == member }?.position
        let others = rule.members.filter { $0 != member }
        let promised = Set(reports.filter { $0.promised >= epoch }.map(\.member))
        let read = Set(answered.map(\.member))
        func report(_ other: MemberName) -> MemberReport? { reports.first { $0.member == other } }
        let silent = others.filter { promised.contains($0) && !read.contains($0) && report($0)?.data != .absent }
        self.init(
            member: member, unpromised: others.filter { !promised.contains($0) },
            unread: silent,
            ahead: others.filter { other in
                answered.contains { $0.member == other && $0.position.map { $0 > end ?? $0 } ?? false }
            },
            hopeless: silent.filter { other in
                guard let report = report(other) else { return false }
                return report.data == .spoiled || report.data == .unfinished || rule.objects(to: report)
            })
    }

    fileprivate var isInTheWay: Bool { !unpromised.isEmpty || !unread.isEmpty || !ahead.isEmpty }
}

extension MemberReport {
    /// It led further on than its log reaches.
    fileprivate func hasLost(of history: [Reign]) -> Bool {
        guard let end = position?.end else { return false }
        return (chain?.lost(by: member, end: end) ?? history.lost(by: member, end: end)) != nil
    }

    /// It leads, and others have seen that it has less than they, or show that they have more.
    fileprivate func hasLost(leading rule: ClusterRule, _ reports: [MemberReport]) -> Bool {
        guard member == rule.leader, position != nil else { return false }
        if rule.recruitment?.reason == .leaderLostLog { return true }
        return witness(of: rule, reports) != nil
    }

    /// Whoever shows the most of those that show more of its reign.
    fileprivate func witness(of rule: ClusterRule, _ reports: [MemberReport]) -> MemberName? {
        let others = reports.compactMap { report in
            report.member == member ? nil : report.end(in: rule).map { (member: report.member, end: $0) }
        }
        guard let end = position?.end, let most = others.max(by: { $0.end < $1.end }) else { return nil }
        return most.end > end ? most.member : nil
    }

    /// How far this member is in the log of the present reign, in whole records; nil when nothing of it is known. What was
    /// received beyond may be a part of a record that the leader never finished.
    func end(in rule: ClusterRule) -> LSN? {
        guard rule.members.contains(member), let position, position.epoch == rule.epoch else { return nil }
        return min(replayed, position.end)
    }

    /// By its own word, which it has written down.
    fileprivate var hasNothing: Bool {
        switch data {
        case .absent, .unfinished, .spoiled: position == nil
        case .whole, .replaced, .unknown, nil: false
        }
    }

    /// A promise of exactly this epoch, and a position that its own chain bears out.
    fileprivate func answers(_ recruitment: Recruitment, breakage: Breakage?) -> Bool {
        guard promised == recruitment.epoch, let position, let chain else { return false }
        return breakage != nil || chain.position(at: position.end) == position
    }
}
