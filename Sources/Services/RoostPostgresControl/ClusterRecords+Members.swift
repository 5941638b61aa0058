import RoostModel
import RoostPlanet

extension Planet.ClusterRecords {
    /// Members of the spec that the rule names no more, and that nobody has asked for: they were removed, or what asked for
    /// them was taken back.
    var departed: Set<MemberName> {
        guard let spec, let rule else { return [] }
        return Set(spec.members.map(\.name)).subtracting(rule.members).subtracting(coming)
    }

    /// Those that are asked for and no members yet.
    var coming: [MemberName] {
        guard let rule, let change = rule.change, change.refusal == nil else { return [] }
        return change.left.filter { $0.kind == .add && !rule.members.contains($0.member) }.map(\.member)
    }

    /// Why the member is none yet, or none any more; nil when it is one.
    func absence(of member: MemberName) -> String? {
        guard let rule, !rule.members.contains(member) else { return nil }
        return coming.contains(member) ? "joining" : "leaving"
    }
}
