public import RoostModel

/// A failover that a person decides, since too few members are left for members to decide one, or to confirm anything afterwards.
///
/// What makes an election safe is given up here, by name: the members that are left meet no more every set that could have
/// confirmed a commit. So nothing of this is ever done by itself. The rule that comes of it names those that are left, and calls
/// them to a new epoch, in which nobody but the named member can lead; the others have left every older leader by then. Whoever was
/// given up is no member: it stands aside when it sees the rule, with all that it has.
public struct ForcedElection: Hashable, Sendable {
    /// What is to take the place of the store's rule, but for ``ClusterRule/forced``: see ``rule(id:at:by:)``.
    private let called: ClusterRule
    /// Who is to lead.
    public let member: MemberName
    /// How far its log goes.
    public let position: Position
    /// They stay members, the one that is to lead among them.
    public let keeps: [MemberName]
    /// No members any more. One that is heard is among them where it may have log that ``member`` does not have.
    public let givesUp: [MemberName]
    /// Whoever has reported the furthest that any other member has, where that is further.
    public let furthest: Loss?
    /// Reigns of the rule's history of which ``member`` is not known to have a byte.
    public let lost: [Reign]
    /// ``member`` is the leader and renews its lease: it has all that was confirmed. Of nobody else is that known.
    public let losesNothing: Bool

    /// What is known to be missing, at least.
    public struct Loss: Hashable, Sendable {
        /// Who has said so.
        public let member: MemberName
        /// So far.
        public let position: Position
        /// Between the two ends. None where it has a later reign: then what lies between says nothing of how much is missing.
        public let bytes: UInt64
    }

    /// What is heard of a cluster.
    public struct Sight: Hashable, Sendable {
        /// All that there are, of members that are heard and of those that are not.
        public var reports: [MemberReport]
        /// A report of theirs came a moment ago.
        public var heard: Set<MemberName>
        /// The leader renews its lease: nil: it does not.
        public var lease: Heartbeat?
        /// Standbys by which the leader sees commits confirmed.
        public var confirming: Set<MemberName>
        /// Somebody has paused the cluster.
        public var isPaused: Bool

        public init(
            reports: [MemberReport], heard: Set<MemberName>, lease: Heartbeat? = nil,
            confirming: Set<MemberName> = [], isPaused: Bool = false
        ) {
            self.reports = reports
            self.heard = heard
            self.lease = lease
            self.confirming = confirming
            self.isPaused = isPaused
        }

        func report(of member: MemberName) -> MemberReport? {
            heard.contains(member) ? reports.first { $0.member == member } : nil
        }

        /// The rule's leader is in office, and nobody is called to leave it.
        func isLed(under rule: ClusterRule) -> Bool { lease?.epoch == rule.epoch && rule.recruitment == nil }
    }

    /// - Parameter member: nil: the one whose log goes furthest.
    /// - Throws: where it can be done without losing anything, or cannot be done with this member, or now.
    public init(of rule: ClusterRule, _ sight: Sight, to named: MemberName? = nil) throws(Obstacle) {
        try Self.checkIsNeeded(rule, sight)
        let candidates = ForcedCandidate.all(of: rule, sight)
        let chosen = try Self.choose(named, of: candidates, rule)
        if let why = chosen.unfitness { throw .unfit(chosen.member, why) }
        guard let position = chosen.position else { throw .unfit(chosen.member, .endUnread) }
        let members = rule.members.filter { other in
            other == chosen.member || Self.isBehind(sight.report(of: other), position, rule)
        }
        let mute = members.filter { sight.report(of: $0)?.skills?.contains(.forcedFailover) != true }
        guard mute.isEmpty else { throw .program(mute) }
        let others = sight.reports.filter { $0.member != chosen.member && rule.mayHaveHad($0.member) }
        let best = others.compactMap { report in report.position.map { (report.member, $0) } }.max { $0.1 < $1.1 }
        furthest = best.flatMap { member, end in
            guard end > position else { return nil }
            let bytes = end.epoch == position.epoch ? end.end.offset - position.end.offset : 0
            return Loss(member: member, position: end, bytes: bytes)
        }
        lost = rule.history.filter { $0.epoch > position.epoch }
        losesNothing = chosen.member == rule.leader && sight.isLed(under: rule)
        self.member = chosen.member
        self.position = position
        keeps = members
        givesUp = (rule.members + [rule.joining].compactMap(\.self)).filter { !members.contains($0) }
        // Who is not heard may have promised one more than anybody has called for, by the word of others alone.
        let promised = sight.reports.filter { $0.isCredible(beside: rule) }.map(\.promised).max() ?? rule.epoch
        var next = rule
        next.endForcedWishes()
        next.members = members
        next.confirmations = ClusterRule.confirmations(of: members.count)
        next.changes = (rule.changes ?? 0) + 1
        // Of those that are left either could not be lost.
        if members.count < 3 || members.count.isMultiple(of: 2) { next.majority = nil }
        next.recruitment = Recruitment(
            epoch: rule.epochBeyond(max(promised, rule.called, rule.epoch)), proposer: chosen.member, reason: .forced,
            target: chosen.member)
        called = next
    }

    /// All that are left are called to it.
    public var epoch: Epoch { called.recruitment?.epoch ?? called.epoch }

    /// So many standbys confirm a commit afterwards.
    public var confirmations: Int { called.confirmations }

    /// The rule, with the evidence of what was asked for.
    ///
    /// - Parameters:
    ///   - id: of the operation.
    ///   - wallClock: in milliseconds.
    ///   - asker: who asked, as it says itself.
    public func rule(id: String, at wallClock: Int64, by asker: String?) -> ClusterRule {
        var rule = called
        let former = called.forced
        let names = (former?.givenUp ?? []).filter { !givesUp.contains($0) } + givesUp
        let reigns = (former?.lost ?? []).filter { one in !lost.contains { $0.isSame(as: one) } } + lost
        var forced = ForcedFailover(
            id: id, member: member, epoch: epoch, at: wallClock, by: asker, formerLeader: rule.leader,
            formerEpoch: rule.epoch, position: position, furthest: furthest?.position, givenUp: names, lost: reigns)
        if let former { forced.unknown = former.unknown }
        rule.forced = forced
        return rule
    }

    // MARK: - What follows

    private static func choose(
        _ named: MemberName?, of candidates: [ForcedCandidate], _ rule: ClusterRule
    ) throws(Obstacle) -> ForcedCandidate {
        if let named {
            guard let candidate = candidates.first(where: { $0.member == named }) else {
                throw .stranger(named, rule.members)
            }
            return candidate
        }
        guard let best = candidates.first(where: { $0.unfitness == nil }) else {
            throw .nobody(
                candidates.compactMap { candidate in candidate.unfitness.map { (candidate.member, $0) } }.map {
                    "\($0): \($1)"
                })
        }
        return best
    }

    /// All that it has the other one has, too, or it has nothing: it follows, and gives up nothing that is not elsewhere. Data
    /// that counts for nothing is there all the same, and may be the only one with what was confirmed.
    private static func isBehind(_ report: MemberReport?, _ position: Position, _ rule: ClusterRule) -> Bool {
        guard let report else { return false }
        switch report.data {
        case .absent: return true
        case .unfinished, .spoiled: return false
        case .whole, .replaced, .unknown, nil: break
        }
        guard report.hasSaidItsEnd, report.state != .failed, !rule.objects(to: report), let end = report.position else {
            return false
        }
        return end <= position
    }

    private static func checkIsNeeded(_ rule: ClusterRule, _ sight: Sight) throws(Obstacle) {
        let members = rule.members.filter(sight.heard.contains)
        let provers = members.filter { sight.report(of: $0)?.proof(against: rule) != nil }
        guard provers.isEmpty else { throw .storeWentBack(provers) }
        if let lease = sight.lease, sight.isLed(under: rule) {
            let others = rule.members.filter { $0 != rule.leader && sight.confirming.contains($0) }
            if lease.isOpen, others.count >= rule.confirmations { throw .leaderServes(rule.leader) }
            // It closes by itself where it cannot go on, and opens where it can. Too few are there for the one that it waits for.
            if members.count > rule.confirmations { throw .leaderHeard(rule.leader) }
            return
        }
        let reports = members.compactMap(sight.report)
        let rule = rule.asCalled(by: reports)
        let tally = RecruitmentTally(rule: rule, reports: reports)
        let doubtful = (tally?.bereft ?? []).map(\.member) + (tally?.unbelieved ?? []).map(\.member)
        // Whoever has data, or may have, may answer yet.
        let able = reports.filter { $0.mayAnswer && !doubtful.contains($0.member) }.map(\.member)
        let isCovered =
            if let call = rule.forcedCall {
                // What was decided before waits for all that are left.
                able.contains(call.member) && members.count == rule.members.count
            } else {
                rule.isCovered(by: able) || able.contains(rule.leader)
            }
        let isStuck = tally?.cannotBeDecided ?? false
        // Half of an even number has all and cannot confirm; and a leader that is left with members that have lost what they had may
        // have all, and be one of too few to decide. What one of them has read of its log by then decides who leads.
        let areAllRead = able.allSatisfy { sight.report(of: $0)?.hasSaidItsEnd == true }
        let areEnough = members.count > rule.confirmations && (rule.canBeDecided(by: able) || rule.forcedCall != nil)
        guard isCovered, !isStuck, areEnough || !areAllRead else { return }
        throw .electionIsSafe(able, epoch: rule.recruitment?.epoch, isPaused: sight.isPaused)
    }
}

extension MemberReport {
    /// What it says may come to count in a recruitment.
    fileprivate var mayAnswer: Bool {
        switch data {
        case .absent, .unfinished, .spoiled: false
        case .whole, .replaced, .unknown, nil: true
        }
    }
}

extension ForcedFailover {
    /// So many elections may those that are not heard have held among themselves, where more than half of the members can: more than
    /// they hold in an hour in which none comes to anything.
    fileprivate static let electionsUnheardMax: UInt64 = 1 << 10

    /// Of those that were left for such elections.
    func passesOver(_ epoch: Epoch) -> Bool {
        epoch > formerEpoch && epoch < self.epoch
            && self.epoch.number - formerEpoch.number >= Self.electionsUnheardMax
    }
}

extension ClusterRule {
    /// One that nobody who is not heard can have promised.
    fileprivate func epochBeyond(_ known: Epoch) -> Epoch {
        majority == true ? Epoch(known.number + ForcedFailover.electionsUnheardMax) : known.next.next
    }

    /// It is one, or was when it was given up.
    func mayHaveHad(_ member: MemberName) -> Bool {
        members.contains(member) || joining == member || givenUp.contains(member)
    }

    /// What was asked for before is not done: whoever leads next begins anew, and a person decides what comes then.
    fileprivate mutating func endForcedWishes() {
        switchover = nil
        pause = nil
        if let wish = restart, !wish.hasEnded { restart?.refusal = ForcedFailover.refusalOfWishes }
        if change?.current != nil {
            change?.refusal = ForcedFailover.refusalOfWishes
            change?.isPrepared = nil
        }
    }
}
