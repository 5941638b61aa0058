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
        return reports.compactMapValues { $0.proof(against: rule) }
    }

    /// They do nothing that the store's rule says. Those of the rule first, in its order; then whoever came since.
    var membersWithProof: [MemberName] {
        let proofs = proofs
        let members = rule?.members ?? []
        return members.filter { proofs[$0] != nil } + proofs.keys.filter { !members.contains($0) }.sorted()
    }

    /// The rest can do what is asked for: the leader, and as many as have to confirm. Where they can, those with proof are too
    /// few to keep them from it: what was confirmed may still be theirs alone, where others have lost their disks, but whoever
    /// asks can be told that, and one of them could say so for ever.
    ///
    /// - Parameter leaving: whose removal is asked for; its word is not asked.
    func goesOn(without provers: [MemberName], leaving: MemberName? = nil) -> Bool {
        guard let rule, !provers.contains(rule.leader) else { return false }
        let against = provers.filter { rule.members.contains($0) && $0 != leaving }
        return rule.members.count - against.count > rule.confirmations
    }

    /// What these members with proof say, for people; nil where there are none.
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
}
