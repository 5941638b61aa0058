public import RoostModel

/// Whom a member has voted for in one epoch.
public struct Ballot: Hashable, Sendable, Codable {
    public var epoch: Epoch
    /// Nil: nobody, and nobody any more. Of a member that has lost its disk, and may have voted there.
    public var member: MemberName?

    public init(epoch: Epoch, member: MemberName?) {
        self.epoch = epoch
        self.member = member
    }
}

/// A member asks the others for their votes: by the answers that it has, it is the one to lead.
public struct Plea: Hashable, Sendable {
    public var epoch: Epoch

    public init(epoch: Epoch) { self.epoch = epoch }
}

/// What more than half of the members have decided, for as long as the store is not known to have it, or anything later.
public struct MemberDecision: Hashable, Sendable, Codable {
    /// What follows from it.
    public var rule: ClusterRule
    /// Of the last rule that the store is known to have had: it stands on that, or on what was decided over it since.
    public var base: Epoch
    /// The last reign of that rule; nil: only whoever has told of it knows.
    public var reign: Reign?

    public init(rule: ClusterRule, base: Epoch, reign: Reign?) {
        self.rule = rule
        self.base = base
        self.reign = reign
    }

    /// The store shows what it stands on, or what came after that and before it: it has not gone back.
    func stands(on stored: ClusterRule) -> Bool {
        guard stored.majority == true, stored.epoch >= base, stored.epoch < rule.epoch,
            stored.members.contains(rule.leader)
        else { return false }
        // What a person has decided since counts more; what members have decided by that is what it asked for.
        if let forced = stored.forcedCall {
            guard forced.member == rule.leader, stored.called == rule.epoch else { return false }
        }
        guard stored.epoch == base, let reign, let last = stored.history.last else { return true }
        return last.isSame(as: reign)
    }

    /// Whoever was chosen, in the rule that the store has: what else was changed there stays, and so does a later call.
    func over(_ stored: ClusterRule) -> ClusterRule {
        guard let last = rule.history.last else { return stored }
        let parent = rule.timeline.map { $0 - 1 } ?? 0
        var next = stored.succeeded(
            by: rule.leader, in: rule.epoch, with: Array(rule.history.dropLast()), upTo: last.begin, timeline: parent)
        if let call = stored.recruitment, call.epoch > rule.epoch { next.recruitment = call }
        return next
    }
}

/// The last leader that a member knows of, for those that know less, in few bytes: the history up to there is that of the
/// receiver's own rule, but for the last reigns.
public struct ToldDecision: Hashable, Sendable {
    /// So many of the first reigns of the receiver's history…
    public var reigns: Int
    /// …which these are…
    public var digest: UInt64
    /// …and then these; the last one is that of the leader.
    public var tail: [Reign]
    public var timeline: UInt32
    /// As ``MemberDecision/base``.
    public var base: Epoch

    /// In reigns. Whoever has missed more of them waits for the store.
    static let tailMax = 2

    public init(reigns: Int, digest: UInt64, tail: [Reign], timeline: UInt32, base: Epoch) {
        self.reigns = reigns
        self.digest = digest
        self.tail = tail
        self.timeline = timeline
        self.base = base
    }

    /// Nil: nobody can go on from this rule without knowing more of it.
    init?(_ rule: ClusterRule, base: Epoch) {
        let known = rule.history.dropLast(min(Self.tailMax, rule.history.count - 1))
        guard let timeline = rule.timeline, !known.isEmpty else { return nil }
        self.init(
            reigns: known.count, digest: Array(known).digest, tail: Array(rule.history.dropFirst(known.count)),
            timeline: timeline, base: base)
    }

    var epoch: Epoch { tail.last?.epoch ?? .none }

    /// Where the history is as long as one can be, some of the first were dropped for those that follow.
    private func known(of history: [Reign]) -> [Reign]? {
        for dropped in 0...tail.count where dropped + reigns <= history.count {
            let known = Array(history.prefix(dropped + reigns))
            if Array(known.dropFirst(dropped)).digest == digest { return known }
        }
        return nil
    }

    /// What follows from it for who goes by this rule; nil: nothing, or what cannot be.
    func decided(over rule: ClusterRule) -> ClusterRule? {
        guard rule.majority == true, let last = tail.last, last.epoch > rule.epoch, rule.mayElect(last.epoch),
            reigns > 0, rule.members.contains(last.leader), timeline > 0, timeline < ClusterRule.timelineMax,
            let known = known(of: rule.history)
        else { return nil }
        let chain = known + tail.dropLast()
        guard last.begin >= chain.last?.begin ?? .zero,
            rule.objection(to: chain, before: last.epoch) == nil
        else { return nil }
        var next = rule.succeeded(
            by: last.leader, in: last.epoch, with: chain, upTo: last.begin, timeline: timeline - 1)
        if let call = rule.recruitment, call.epoch > last.epoch { next.recruitment = call }
        return next.timeline == timeline ? next : nil
    }
}

extension ClusterRule {
    /// An epoch that members may have come to since, by themselves: elections that came to nothing are not in the store.
    public func mayElect(_ epoch: Epoch) -> Bool {
        guard epoch > self.epoch else { return false }
        let next = recruitment?.epoch.number ?? self.epoch.number + 1
        guard epoch.number > next else { return epoch.number == next }
        return majority == true && epoch.number - next <= MemberReport.electionsMissedMax
    }
}
