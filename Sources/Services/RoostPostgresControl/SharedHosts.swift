import RoostModel
import RoostPlacement
import RoostPlanet
import RoostPlans
import RoostWire

/// Members keep away from each other's hosts where their region has others with room. Where it has not, they share one, and
/// the cluster outlives less than its number of members promises.
enum SharedHosts {
    /// - Parameters:
    ///   - places: where members are or would be; who has no place is left out.
    ///   - count: of all members.
    ///   - confirmations: standbys that must have a commit on disk.
    static func of(
        _ places: [(member: MemberName, host: HostName)], count: Int, confirmations: Int
    ) -> [SharedHostBody]? {
        let hosts = Dictionary(grouping: places, by: \.host).filter { $0.value.count > 1 }
        guard !hosts.isEmpty else { return nil }
        return hosts.sorted { $0.key < $1.key }.map { host, places in
            SharedHostBody(
                host: host, members: places.map(\.member),
                loss: loss(of: places.count, from: count, confirmations: confirmations))
        }
    }

    /// A commit is confirmed when the leader and `confirmations` others have it. A new leader is chosen when those who
    /// answer include one of each such set, so it takes fewer missing than such a set has; and the new leader confirms
    /// with as many others as the one before.
    static func loss(of lost: Int, from count: Int, confirmations: Int) -> String {
        if lost > confirmations {
            return "its loss can lose commits that were confirmed, and while it is away none is confirmed"
        }
        let spare = count - lost - 1 - confirmations
        if spare < 0 { return "while it is away no commit is confirmed; its loss loses none" }
        let more = spare == 0 ? "no other member" : counted(spare, "other member")
        return "the cluster goes on without it, and \(more) may be missing then"
    }

    /// Of the members that have a place.
    static func of(_ spec: ClusterSpec, _ records: Planet.ClusterRecords) -> [SharedHostBody]? {
        of(spec, records, expecting: [:])
    }

    /// Of those that have none too, as they would get one now.
    static func expected(
        _ spec: ClusterSpec, _ records: Planet.ClusterRecords, among hosts: [PlacementHost]
    ) -> [SharedHostBody]? {
        // The network's number is of no concern for the place.
        let plan = ClusterPlan.next(
            ClusterPlan.World(
                spec: spec, network: .hosts, placements: records.placements, made: [], hosts: hosts))
        var expected: [MemberName: HostName] = [:]
        for case .place(let member, let host) in plan.steps { expected[member] = host }
        return of(spec, records, expecting: expected)
    }

    private static func of(
        _ spec: ClusterSpec, _ records: Planet.ClusterRecords, expecting expected: [MemberName: HostName]
    ) -> [SharedHostBody]? {
        // One that is coming confirms nothing yet, and one that was removed no more.
        let members = records.rule?.members ?? spec.members.map(\.name)
        let places = members.compactMap { member in
            (records.placements[member]?.host ?? expected[member]).map { (member: member, host: $0) }
        }
        return of(
            places, count: members.count,
            confirmations: records.rule?.confirmations ?? ClusterRule.confirmations(of: members.count))
    }
}
