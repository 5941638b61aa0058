public import RoostModel

/// Why a member may not make this of its cluster's rule. Programs of members are anybody's: whoever takes a rule from one asks
/// here before it is written. What is left to root in a member's machine is in docs/decisions/0044.
public struct UnlawfulChange: Error, Hashable, CustomStringConvertible {
    /// What is not the member's to write.
    public let description: String

    init(_ description: String) { self.description = description }
}

extension ClusterRule {
    /// The first rule of a cluster.
    ///
    /// - Parameter members: those that the cluster shall have.
    /// - Throws: where it is not what the first of them writes when it has initialised the cluster.
    public func check(asFirstOf members: [MemberName], by member: MemberName) throws(UnlawfulChange) {
        let reign = history.first
        let isFirst =
            members.first == member && leader == member && self.members == members && epoch == .first
            && confirmations == Self.confirmations(of: members.count) && history.count == 1
            && reign?.epoch == .first && reign?.leader == member && reign?.begin == .zero
        let hasWishes = switchover != nil || pause != nil || restart != nil || change != nil
        guard isFirst, recruitment == nil, changes == nil, system == nil, !hasWishes else {
            throw UnlawfulChange("this is not how \(member) makes a cluster of \(members.words)")
        }
    }

    /// - Parameter former: the rule that is replaced, as the store has it.
    /// - Throws: where it differs from that by more than what a member does: it calls, it names who was elected, it says that
    ///   its restart is done; and, as the leader, it takes the next step that somebody asked for, or says why not.
    public func check(asChangeOf former: ClusterRule, by member: MemberName) throws(UnlawfulChange) {
        guard former.members.contains(member) else {
            throw UnlawfulChange("\(member) is no member, and a rule is changed by members: \(former.members.words)")
        }
        let isElection = epoch != former.epoch
        let step = try checkChange(since: former, by: isElection ? nil : member)
        try checkMembers(since: former, after: step)
        try checkWishes(since: former, by: member, after: step, isElection: isElection)
        if isElection {
            try checkElection(since: former)
        } else {
            try checkReign(since: former, by: member, after: step)
        }
    }

    /// - Parameter member: nil: a new leader is named, and nobody speaks for the old one.
    /// - Returns: the step that is taken by it.
    private func checkChange(since former: ClusterRule, by member: MemberName?) throws(UnlawfulChange)
        -> MemberChange.Step?
    {
        guard let change, let wish = former.change else {
            guard change == former.change else { throw UnlawfulChange("nobody has asked for this change of members") }
            return nil
        }
        let taken = change.done.count - wish.done.count
        var asked = change
        (asked.left, asked.done) = (wish.left, wish.done)
        (asked.isPrepared, asked.refusal) = (wish.isPrepared, wish.refusal)
        guard asked == wish, change.done + change.left == wish.done + wish.left, taken == 0 || taken == 1 else {
            throw UnlawfulChange("this is not the change of members that somebody asked for, or not its next step")
        }
        let isLeader = member == former.leader
        // The words may have been cut where they are kept.
        guard (change.refusal == nil) == (wish.refusal == nil) || isLeader && wish.refusal == nil else {
            throw UnlawfulChange("only \(former.leader) refuses a change of members, and what is refused stays so")
        }
        guard change.isPrepared == wish.isPrepared || isLeader || member == nil && change.isPrepared == nil else {
            throw UnlawfulChange("only \(former.leader) prepares a change of members")
        }
        guard taken == 1 else { return nil }
        guard isLeader, former.recruitment == nil, let step = wish.current else {
            throw UnlawfulChange("only \(former.leader) takes a step of a change of members, while it leads")
        }
        return step
    }

    private func checkMembers(since former: ClusterRule, after step: MemberChange.Step?) throws(UnlawfulChange) {
        guard let step, let next = former.membersAfter(step) else {
            guard members == former.members, confirmations == former.confirmations, changes == former.changes else {
                throw UnlawfulChange("the members are \(former.members.words), and nobody has asked for other ones")
            }
            return
        }
        let (count, isTooMuch) = (former.changes ?? 0).addingReportingOverflow(1)
        guard members == next, confirmations == Self.confirmations(of: next.count), changes == count, !isTooMuch else {
            throw UnlawfulChange("the next step that was asked for leads to \(next.words), and not to \(members.words)")
        }
    }

    /// What others have asked for, and a member cannot.
    private func checkWishes(
        since former: ClusterRule, by member: MemberName, after step: MemberChange.Step?, isElection: Bool
    ) throws(UnlawfulChange) {
        guard pause == former.pause else { throw UnlawfulChange("a pause is not a member's to change") }
        var handover = switchover
        if former.switchover?.refusal != nil || member == former.leader {
            handover?.refusal = former.switchover?.refusal
        }
        let isOver = isElection || step?.kind == .remove && former.switchover?.target == step?.member
        // What was refused stays so.
        let begins = former.switchover?.refusal != nil && switchover != nil && switchover?.refusal == nil
        guard !begins, handover == former.switchover || isOver && switchover == nil else {
            throw UnlawfulChange("nobody has asked for this switchover, or it is not \(member)'s to refuse")
        }
        guard let restart, let wish = former.restart else {
            guard restart == former.restart else { throw UnlawfulChange("nobody has asked for this restart") }
            return
        }
        var asked = restart
        (asked.left, asked.done, asked.refusal) = (wish.left, wish.done, wish.refusal)
        let itsOwn = [member, step?.kind == .remove ? step?.member : nil].compactMap(\.self)
        guard asked == wish, restart.left == wish.left.filter({ restart.left.contains($0) || !itsOwn.contains($0) }),
            restart.done == wish.done || restart.done == wish.done + [member],
            restart.refusal != nil || wish.refusal == nil
        else { throw UnlawfulChange("\(member) says of a restart what others have to say") }
    }

    private func checkElection(since former: ClusterRule) throws(UnlawfulChange) {
        guard isCalled(epoch, since: former), recruitment == nil, members.contains(leader) else {
            throw UnlawfulChange("\(leader) cannot lead epoch \(epoch): it is not the next after \(former.epoch)")
        }
        guard system == former.system else {
            throw UnlawfulChange("a new leader has the data of the cluster, and none of another system")
        }
        let epochs = history.map(\.epoch)
        guard let reign = history.last, reign.epoch == epoch, reign.leader == leader,
            zip(epochs, epochs.dropFirst()).allSatisfy({ $0 < $1 })
        else { throw UnlawfulChange("the history of the rule does not end with \(leader) in epoch \(epoch)") }
    }

    private func checkReign(since former: ClusterRule, by member: MemberName, after step: MemberChange.Step?)
        throws(UnlawfulChange)
    {
        guard leader == former.leader, history == former.history, timeline == former.timeline else {
            throw UnlawfulChange("\(former.leader) leads epoch \(former.epoch), and another leader needs a later one")
        }
        guard system == former.system || former.system == nil && member == former.leader else {
            throw UnlawfulChange("only \(former.leader) names the data of the cluster, and only once")
        }
        guard recruitment != former.recruitment else { return }
        guard former.recruitment == nil, step == nil, let call = recruitment, members.contains(call.proposer),
            isCalled(call.epoch, since: former)
        else { throw UnlawfulChange("\(member) can call members for the next epoch only, and only once") }
    }

    /// It is what members promise next under that rule.
    private func isCalled(_ epoch: Epoch, since former: ClusterRule) -> Bool {
        if let call = former.recruitment { return epoch == call.epoch }
        return epoch > former.epoch && epoch.number - former.epoch.number == 1
    }
}

extension [MemberName] {
    fileprivate var words: String { map(\.text).joined(separator: ", ") }
}
