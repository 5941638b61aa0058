public import RoostModel
public import RoostPlacement

/// Whether a lost member is to be replaced now, and whether a replacement under way is to be taken back.
///
/// The member that comes has a place before it is asked for, copies, and is named by the leader; only then does the lost one
/// go. So what is decided here is never about commits: a replacement that was not needed costs a copy.
public enum Replacement {
    /// What one look shows of one cluster that is initialised.
    public struct World: Hashable, Sendable {
        public var spec: ClusterSpec
        public var rule: ClusterRule
        public var placements: [MemberName: MemberPlacement]
        public var hosts: [PlacementHost]
        /// See ``ReplacementWatch``.
        public var lost: [MemberName: Duration] = [:]
        /// Members that were heard in the last seconds, by the store or by the leader.
        public var heard: Set<MemberName> = []
        /// The leader renews its lease and lets clients in.
        public var isOpen = false
        /// Standbys by which the leader sees commits confirmed.
        public var confirming: Set<MemberName> = []
        /// No members any more, and still in the spec.
        public var departed: Set<MemberName> = []
        public var isPaused = false
        /// How long ago a replacement was taken back.
        public var takenBack: Duration?
        /// Why nobody on the planet is replaced now.
        public var brake: String?
        /// Few enough replacements are under way elsewhere.
        public var hasTurn = true

        public init(
            spec: ClusterSpec, rule: ClusterRule, placements: [MemberName: MemberPlacement], hosts: [PlacementHost]
        ) {
            self.spec = spec
            self.rule = rule
            self.placements = placements
            self.hosts = hosts
        }
    }

    /// On the whole planet at once: each is a copy of a database, and a host that had many members is lost with all of them.
    public static var underWayMax: Int { 8 }

    /// Steps and obstacles beside those of ``ClusterPlan``.
    public static func next(_ world: World) -> Plan<ClusterPlan.Step> {
        guard !world.spec.isDestroying, case .after(let term) = world.spec.replaceAfter ?? .standard else {
            return Plan()
        }
        if let change = world.rule.change, change.current != nil {
            // What somebody has asked for goes on.
            return change.isAutomatic == true ? underWay(change, world, term) : Plan()
        }
        var plan = Plan<ClusterPlan.Step>()
        let members = world.rule.members.filter { world.lost[$0] != nil }
        let longest = members.sorted { one, other in
            (world.lost[other] ?? .zero, one) < (world.lost[one] ?? .zero, other)
        }
        for member in longest {
            let host = world.placements[member].map { " and its host \($0.host)" } ?? ""
            let loss = "\(member)\(host) are not heard from"
            if world.lost[member] ?? .zero < term {
                plan.obstacles.append(
                    "\(loss); \(member) is replaced when that has lasted \(ReplacementTerm.after(term))")
            } else if let why = obstacle(to: member, world, term) {
                plan.obstacles.append("\(loss); \(member) is not replaced: \(why)")
            } else if plan.steps.isEmpty {
                // One at a time.
                switch places(for: member, world) {
                case .regions(let regions): plan.steps.append(.replace(member, in: regions))
                case .nowhere(let why): plan.obstacles.append("\(loss); \(member) is not replaced: \(why)")
                }
            }
        }
        return plan
    }

    /// As long as the rule does not name the one that comes, nothing has happened that cannot be taken back.
    private static func underWay(_ change: MemberChange, _ world: World, _ term: Duration) -> Plan<ClusterPlan.Step> {
        let comers = change.left.filter { $0.kind == .add && !world.rule.members.contains($0.member) }.map(\.member)
        let leavers = change.left.filter { $0.kind == .remove }.map(\.member)
        guard let comer = comers.first else { return Plan() }
        if let leaver = leavers.first, world.heard.contains(leaver) {
            return Plan(steps: [.takeBack(change.id, because: "\(leaver) is back")])
        }
        if let lost = world.lost[comer], lost >= term {
            return Plan(steps: [.takeBack(change.id, because: "\(comer), which was to come, is lost too")])
        }
        return Plan()
    }

    private static func obstacle(to member: MemberName, _ world: World, _ term: Duration) -> String? {
        let rule = world.rule
        if let brake = world.brake { return "\(brake): while it is so many at once, nobody is replaced by itself" }
        if rule.recruitment != nil || member == rule.leader { return "the cluster has to have a leader first" }
        if world.isPaused { return "the cluster is paused" }
        if !world.isOpen { return "\(rule.leader) lets no clients in" }
        if let takenBack = world.takenBack, takenBack < term {
            return "a replacement was taken back less than \(ReplacementTerm.after(term)) ago"
        }
        // With the one that comes, before the lost one goes.
        let needed = ClusterRule.confirmations(of: rule.members.count + 1)
        let others = rule.members.filter { $0 != rule.leader && world.confirming.contains($0) }
        if others.count + 1 < needed {
            return "\(counted(needed - 1, "other standby", plural: "other standbys")) must confirm, and "
                + "\(others.count) can"
        }
        if let leaving = world.departed.min() { return "\(leaving) is still leaving" }
        if !world.hasTurn { return "\(underWayMax) replacements are under way on the planet, and one more has to wait" }
        return nil
    }

    private enum Places {
        case regions([RegionCode])
        case nowhere(String)
    }

    /// In its own region; of a cluster that is to survive the loss of a region, else in another one that has no member of it.
    private static func places(for member: MemberName, _ world: World) -> Places {
        guard let own = world.spec.members.first(where: { $0.name == member })?.region else {
            return .nowhere("it has no place")
        }
        guard let why = obstacle(in: own, world) else { return .regions([own]) }
        guard world.spec.survive == .region else { return .nowhere(why) }
        let taken = Set(world.spec.members.map(\.region))
        let others = Set(world.hosts.map(\.region)).subtracting(taken).filter { obstacle(in: $0, world) == nil }
        return others.isEmpty
            ? .nowhere("\(why); nor has another region a host with room") : .regions(others.sorted())
    }

    /// Nil: there is a host with room. Not beside another member: two that are lost together are worth less than one and a
    /// lost one.
    private static func obstacle(in region: RegionCode, _ world: World) -> String? {
        let request = PlacementRequest(
            region: region, guest: world.spec.guest, disk: world.spec.volumeSize, app: world.spec.name,
            occupied: Set(world.placements.values.map(\.host)), avoidsStoreMembers: true)
        let decision = Placement.decide(request, over: world.hosts)
        if decision.candidates.contains(where: { !request.occupied.contains($0) }) { return nil }
        return decision.candidates.isEmpty
            ? decision.explanation(for: request)
            : "every host of region \(region) with room has another member of the cluster"
    }
}
