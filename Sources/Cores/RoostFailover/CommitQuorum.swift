import RoostModel

/// Whose confirmations a leader's Postgres waits for, and who besides may stream from it.
struct CommitQuorum: Hashable, Sendable {
    var confirmations: Int
    var standbys: [MemberName]
    /// They have a slot, and count for nothing.
    var guests: [MemberName] = []

    /// So many of its standbys are among these.
    func holds(_ streams: [StreamObservation], upTo end: LSN = .zero) -> Bool {
        let having = streams.filter { standbys.contains($0.member) && $0.isStreaming && $0.flushed >= end }
        return having.count >= confirmations
    }
}

extension ClusterRule {
    /// What the leader's Postgres has to confirm by under this rule.
    ///
    /// Of an even number of members and an odd one that differ by one member, what suffices for the even one suffices for
    /// both: 2k members need k standbys, and k - 1 of these at least are among the 2k - 1 when one leaves; k are among the
    /// 2k + 1 when one comes. So where the number becomes even, Postgres asks for it before the rule does.
    var commitQuorum: CommitQuorum {
        var quorum = CommitQuorum(confirmations: confirmations, standbys: members.filter { $0 != leader })
        if change?.isPrepared == true, let step = change?.current, step.member != leader,
            let prepared = membersAfter(step)
        {
            quorum.confirmations = Self.confirmations(of: prepared.count)
            quorum.standbys = prepared.filter { $0 != leader }
        }
        if let joining, !quorum.standbys.contains(joining) { quorum.guests = [joining] }
        return quorum
    }

    /// Nil: a step of a newer version, or one that changes nothing.
    func membersAfter(_ step: MemberChange.Step) -> [MemberName]? {
        switch step.kind {
        case .add: members.contains(step.member) ? nil : members + [step.member]
        case .remove: members.contains(step.member) ? members.filter { $0 != step.member } : nil
        case .unknown: nil
        }
    }

    /// The rule once the step is taken.
    func taking(_ step: MemberChange.Step) -> ClusterRule {
        var next = self
        next.change?.left.removeFirst()
        next.change?.done.append(step)
        next.change?.isPrepared = nil
        guard let members = membersAfter(step) else { return next }
        next.members = members
        next.confirmations = Self.confirmations(of: members.count)
        next.changes = (changes ?? 0) + 1
        if step.kind == .remove {
            next.restart?.left.removeAll { $0 == step.member }
            if switchover?.target == step.member { next.switchover = nil }
        }
        return next
    }
}
