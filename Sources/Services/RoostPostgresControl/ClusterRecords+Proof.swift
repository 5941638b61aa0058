import RoostFailover
import RoostModel
import RoostPlanet

// Members that say that the store has gone back. It is the word of each: one that is wrong, or in whose machine somebody else
// is root, says it as well.
extension Planet.ClusterRecords {
    /// What each knows against the rule as it is now. Whoever said it of a former rule, which has been put right, knows nothing
    /// against this one.
    var proofs: [MemberName: ReversalProof] {
        guard let rule else { return [:] }
        return reports.filter { spec?.isReader($0.key) != true }.compactMapValues { $0.proof(against: rule) }
    }

    /// They do nothing that the store's rule says. Those of the rule first, in its order; then whoever came since.
    var membersWithProof: [MemberName] {
        let proofs = proofs
        let members = rule?.members ?? []
        return members.filter { proofs[$0] != nil } + proofs.keys.filter { !members.contains($0) }.sorted()
    }

    // MARK: - What it forbids

    /// Whose proof is in the way of what is asked for: the leader's, or that of so many members that the rest cannot do it. Where
    /// the leader and enough others go on, a few forbid nothing: what was confirmed may still be theirs alone, where others have
    /// lost their disks, but whoever asks can be told that, and one of them could say so for ever. Nobody's word counts whom the
    /// rule does not name: it would not be the one to do it.
    ///
    /// - Parameters:
    ///   - leaving: whose removal is asked for; its word is not asked.
    ///   - silent: known to have said nothing for too long; what they said last is not said any more.
    func objectors(leaving: MemberName? = nil, silent: Set<MemberName> = []) -> [MemberName] {
        guard let rule else { return [] }
        return objectors(rule, of: rule.members.count, rule.confirmations, leaving: leaving, silent: silent)
    }

    /// Whose proof keeps a member from being taken apart that somebody has had removed. It is weighed as it was when that was asked
    /// for, among the members of then: the removal itself does not make one word into one too many, and the word of the very
    /// member is not asked.
    func objectors(toRemovalOf member: MemberName, silent: Set<MemberName> = []) -> [MemberName] {
        guard let rule else { return [] }
        let removed = (rule.change?.done ?? []).filter { $0.kind == .remove }.map(\.member)
        let count = Set(rule.members + removed + [member]).count
        return objectors(rule, of: count, ClusterRule.confirmations(of: count), leaving: member, silent: silent)
    }

    private func objectors(
        _ rule: ClusterRule, of count: Int, _ confirmations: Int, leaving: MemberName?, silent: Set<MemberName>
    ) -> [MemberName] {
        let proofs = proofs
        let against = rule.members.filter { proofs[$0] != nil && !silent.contains($0) }
        // A leader does not leave.
        if against.contains(rule.leader) { return against }
        let others = against.filter { $0 != leaving }
        return others.isEmpty || count - others.count > confirmations ? [] : others
    }

    // MARK: - For people

    /// What these members with proof say; nil where there are none.
    func reversal(as provers: [MemberName], of cluster: AppName) -> String? {
        guard !provers.isEmpty else { return nil }
        let proofs = proofs
        let names = provers.map(\.text).joined(separator: ", ")
        guard provers.allSatisfy({ proofs[$0]?.isOfPromiseAlone == true }) else {
            return "the store has gone back to an older copy, says \(names): roost pg recover \(cluster)"
        }
        let verb = provers.count == 1 ? "has" : "have"
        return
            "\(names) \(verb) promised an epoch that the store does not know of, and wait\(provers.count == 1 ? "s" : "") "
            + "until members are called beyond it: roost pg recover \(cluster)"
    }

    /// Why a member that was removed is still there; nil where nobody's word is in its way.
    func keeping(_ member: MemberName, silent: Set<MemberName>, of cluster: AppName) -> String? {
        let objectors = objectors(toRemovalOf: member, silent: silent)
        guard !objectors.isEmpty else { return nil }
        let names = objectors.map(\.text).joined(separator: ", ")
        return
            "\(member) is no member any more, and nothing of it is destroyed while \(names) "
            + "\(objectors.count == 1 ? "says" : "say") that the store has gone back to an older copy: "
            + "roost pg recover \(cluster)"
    }
}
