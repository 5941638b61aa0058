public import RoostModel

/// What a member knows that is not of the past of a rule: the store that has this rule has gone back.
public enum ReversalProof: Hashable, Sendable {
    /// It was open, or came after the rule's own, and every later rule would have it.
    case reign(Reign)
    /// The members have changed since.
    case membership(Membership)
    /// It has promised this epoch, and no later rule calls for a lower one. That is all: what was decided by the call, the
    /// member does not know to be lost. It follows again when members are called to that epoch or a later one.
    case promise(Epoch)

    /// A cluster of which something other than a call is missing may lack what was confirmed.
    public var isOfPromiseAlone: Bool {
        switch self {
        case .promise: true
        case .reign, .membership: false
        }
    }
}

extension MemberReport {
    /// So many elections no cluster has held that the store does not know of: with one every three seconds, a month of nothing
    /// else. Whoever says more would have all others count beyond any number.
    public static let electionsMissedMax: UInt64 = 1 << 20

    /// Against the rule as it is now; what the member said it may have said of another one. Nil too for one that says what
    /// cannot be.
    public func proof(against rule: ClusterRule) -> ReversalProof? {
        guard let knowledge, isCredible(beside: rule) else { return nil }
        if let reign = rule.reignLacking(opened: knowledge.opened, chain: knowledge.history) { return .reign(reign) }
        if let membership = knowledge.membership, membership.changes > rule.changes ?? 0 {
            return .membership(membership)
        }
        return promised > rule.called ? .promise(promised) : nil
    }

    /// Who is root in a member's machine says what he likes.
    func isCredible(beside rule: ClusterRule) -> Bool {
        let reigns = (knowledge?.history ?? []) + [knowledge?.opened].compactMap(\.self)
        let known = max(rule.called, rule.epoch).number
        guard
            ([promised] + reigns.map(\.epoch)).allSatisfy({ $0.number.isAtMost(Self.electionsMissedMax, beyond: known) }
            )
        else { return false }
        let history = knowledge?.history ?? []
        guard zip(history, history.dropFirst()).allSatisfy({ $0.epoch < $1.epoch }) else { return false }
        guard let membership = knowledge?.membership else { return true }
        let members = membership.members
        return (1...PostgresNames.membersMax).contains(members.count) && Set(members).count == members.count
            && (0..<members.count).contains(membership.confirmations)
            && membership.changes.isAtMost(Self.electionsMissedMax, beyond: rule.changes ?? 0)
    }
}

extension UInt64 {
    fileprivate func isAtMost(_ distance: UInt64, beyond other: UInt64) -> Bool {
        self <= other || self - other <= distance
    }
}

extension ClusterRule {
    /// What its members are to promise, or have promised.
    var called: Epoch { recruitment?.epoch ?? epoch }
}
