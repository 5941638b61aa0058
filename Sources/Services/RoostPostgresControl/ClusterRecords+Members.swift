import RoostModel
import RoostPlanet

extension Planet.ClusterRecords {
    /// Members of the spec that are to be taken apart: a change that somebody asked for has removed them, or would have made them
    /// members and was given up. That the rule does not name a member is not enough: it may be the rule that is wrong.
    var departed: Set<MemberName> {
        guard let spec, let rule, let change = rule.change else { return [] }
        var steps = change.done.filter { $0.kind == .remove }
        // In a store that went back, one that is still to come may have come long ago. That is what its own word would be for;
        // so it stays, in nobody's way, until somebody has it removed.
        if change.refusal != nil, !change.isOfLostStore {
            let proofs = proofs
            steps += change.left.filter { $0.kind == .add && proofs[$0.member] == nil }
        }
        return Set(steps.map(\.member)).intersection(spec.members.map(\.name)).subtracting(rule.members)
    }

    /// Those that are asked for and no members yet.
    var coming: [MemberName] {
        guard let rule, let change = rule.change, change.refusal == nil else { return [] }
        return change.left.filter { $0.kind == .add && !rule.members.contains($0.member) }.map(\.member)
    }

    /// Why the member is none yet, or none any more; nil when it is one.
    func absence(of member: MemberName) -> Absence? {
        guard let rule, !rule.members.contains(member) else { return nil }
        if coming.contains(member) { return .joining }
        return departed.contains(member) ? .leaving : .unnamed
    }

    /// Why one of the spec is no member.
    enum Absence: Hashable {
        case joining
        case leaving
        /// The rule does not name it, and nobody has asked for that.
        case unnamed

        /// For people.
        var words: String {
            switch self {
            case .joining: "joining"
            case .leaving: "leaving"
            case .unnamed: "no member"
            }
        }
    }

    /// Every member that anybody knows or has known of: in the store, and by what members say.
    var everNamed: Set<MemberName> {
        var names = Set(spec?.members.map(\.name) ?? []).union(placements.keys).union(reports.keys)
        if let rule {
            names.formUnion(rule.members + rule.history.map(\.leader))
            names.formUnion(((rule.change?.done ?? []) + (rule.change?.left ?? [])).map(\.member))
        }
        for report in reports.values {
            names.formUnion((report.chain ?? []).map(\.leader))
            guard let knowledge = report.knowledge else { continue }
            names.formUnion(knowledge.history.map(\.leader) + (knowledge.membership?.members ?? []))
        }
        return names
    }
}
