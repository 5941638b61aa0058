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
        // What a person has given up for a failover was kept then, and is until somebody names it to be removed.
        let givenUp = Set(rule.givenUp).subtracting(change.done.map(\.member))
        return Set(steps.map(\.member)).intersection(spec.members.map(\.name)).subtracting(rule.members)
            .subtracting(givenUp)
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

    /// So many numbers can have been given since the copy of a store was made that members know of and it does not.
    static let numbersToldMax = 9

    /// The highest number that a member of the cluster was given, by all that anybody knows or has known. What was asked for and
    /// what hosts have made counts as it is; what members say, in their reports and in the history of a rule, only as far as it can
    /// be, and never for more than half of the numbers that are left: each is given once, and anybody may be root in a machine.
    ///
    /// - Parameter published: whom machines of the cluster are, by what their hosts say.
    func lastNumber(of spec: ClusterSpec, beside published: Set<MemberName>) -> Int {
        let steps = (rule?.change?.done ?? []) + (rule?.change?.left ?? [])
        var known = Set(spec.everybody.map(\.name)).union(published).union(placements.keys).union(reports.keys)
        known.formUnion((rule?.members ?? []) + steps.map(\.member))
        var told = Set((rule?.history ?? []).map(\.leader))
        for report in reports.values {
            told.formUnion((report.chain ?? []).map(\.leader))
            guard let knowledge = report.knowledge else { continue }
            told.formUnion(knowledge.history.map(\.leader) + (knowledge.membership?.members ?? []))
        }
        func highest(of names: Set<MemberName>, upTo most: Int) -> Int {
            names.compactMap { PostgresNames.number(of: $0, in: spec.name) }.filter { $0 <= most }.max() ?? 0
        }
        let last = max(spec.lastNumber ?? 0, highest(of: known, upTo: .max))
        let left = PostgresNames.numberMax(of: spec.name) - last
        return max(last, highest(of: told, upTo: last + min(Self.numbersToldMax, max(left, 0) / 2)))
    }
}
