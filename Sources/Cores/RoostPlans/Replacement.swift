public import RoostModel
import RoostPlacement

/// Whether a lost member or reader is to be replaced now, and whether a replacement under way is to be taken back.
///
/// The member that comes has a place before it is asked for, copies, and is named by the leader; only then does the lost one
/// go. So what is decided here is never about commits: a replacement that was not needed costs a copy.
public enum Replacement {
    /// What one look shows of one cluster that is initialised.
    public struct World: Hashable, Sendable {
        public var spec: ClusterSpec
        public var rule: ClusterRule
        public var placements: [MemberName: MemberPlacement]
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
        /// For how long it is seen that a replacement was taken back.
        public var takenBack: Duration?
        /// How long ago the last change of members was asked for, by the clocks on the walls; nil: nobody can say.
        public var asked: Duration?
        /// Why nobody on the planet is replaced now.
        public var brake: String?
        /// Why the wish for it would be refused.
        public var refusals: [MemberName: String] = [:]
        /// Few enough replacements are under way elsewhere.
        public var hasTurn = true
        /// Machines that cannot be started, by the word of hosts that answer.
        public var failed: [MemberName: MachineID] = [:]
        /// The one that comes in a replacement under way.
        public var coming: Coming?
        public var readers = Readers()

        public init(spec: ClusterSpec, rule: ClusterRule, placements: [MemberName: MemberPlacement]) {
            self.spec = spec
            self.rule = rule
            self.placements = placements
        }
    }

    /// On the whole planet at once: each is a copy of a database, and a host that had many members is lost with all of them.
    public static var underWayMax: Int { 8 }

    /// Of a cluster's numbers, of which each is given once, so many are people's.
    public static func numbersKept(of numberMax: Int) -> Int { min(PostgresNames.membersMax, numberMax / 3) }
    /// After one that was taken back the next one waits for longer each time, but no longer than this, or than the term.
    public static var pauseMax: Duration { .seconds(6 * 3600) }

    /// How long after the last one that was taken back the next one may begin.
    ///
    /// - Parameter count: of those that have come to nothing, as ``fruitless(in:_:age:)`` counts them.
    public static func pause(after count: Int, of term: Duration) -> Duration {
        var pause = term
        // Whatever a record says: it is doubled a few times at most.
        for _ in 1..<min(max(count, 1), 64) where pause < pauseMax { pause = pause * 2 }
        return max(min(pause, pauseMax), term)
    }

    /// Steps and obstacles beside those of ``ClusterPlan``.
    ///
    /// - Parameter places: where there is room; what is asked for here is promised there.
    public static func next(_ world: World, in places: inout PlaceBook) -> Plan<ClusterPlan.Step> {
        guard !world.spec.isDestroying else { return Plan() }
        var plan = ofMembers(world, in: &places)
        let readers = ofReaders(world, after: plan, in: &places)
        plan.steps += readers.steps
        plan.obstacles += readers.obstacles
        return plan
    }

    private static func ofMembers(_ world: World, in places: inout PlaceBook) -> Plan<ClusterPlan.Step> {
        if let change = world.rule.change, change.current != nil {
            // What somebody has asked for goes on.
            var plan = change.isAutomatic == true ? underWay(change, world) : Plan()
            plan.obstacles += waiting(for: change, world)
            return plan
        }
        guard case .after(let term) = world.spec.replaceAfter ?? .standard else { return Plan() }
        var plan = Plan<ClusterPlan.Step>(obstacles: failures(in: world))
        let members = world.rule.members.filter { world.lost[$0] != nil }
        let longest = members.sorted { one, other in
            (world.lost[other] ?? .zero, one) < (world.lost[one] ?? .zero, other)
        }
        for member in longest {
            let loss = loss(of: member, world)
            if world.lost[member] ?? .zero < term {
                plan.obstacles.append(
                    "\(loss); \(member) is replaced when that has lasted \(ReplacementTerm.after(term))"
                        + (obstacle(to: member, world, term).map { ", but not yet: \($0)" } ?? ""))
            } else if let why = obstacle(to: member, world, term) {
                plan.obstacles.append("\(loss); \(member) is not replaced: \(why)")
            } else if plan.steps.isEmpty {
                // One at a time.
                switch regions(for: member, world, &places) {
                case .regions(let regions): plan.steps.append(.replace(member, in: regions))
                case .nowhere(let why): plan.obstacles.append("\(loss); \(member) is not replaced: \(why)")
                }
            }
        }
        return plan
    }

    static func loss(of member: MemberName, _ world: World) -> String {
        let host = world.placements[member].map { " and its host \($0.host)" } ?? ""
        return "\(member)\(host) are not heard from"
    }

    /// Those that are lost and are not what the change is about: one change at a time.
    private static func waiting(for change: MemberChange, _ world: World) -> [String] {
        guard case .after = world.spec.replaceAfter ?? .standard else { return [] }
        let leavers = change.left.filter { $0.kind == .remove }.map(\.member)
        let what =
            change.isAutomatic == true
            ? "the replacement that goes on is over"
            : "the change of members that somebody has asked for is over (to take back what is left of it: "
                + "roost pg scale \(world.spec.name) --cancel)"
        return world.rule.members.filter { world.lost[$0] != nil && !leavers.contains($0) }.map { member in
            "\(loss(of: member, world)); \(member) is not replaced before \(what)"
        }
    }

    /// Its host answers, so its data is there, and nobody but a person may give that up. What fails here, an image or what a
    /// host allows, would mostly fail elsewhere as well.
    private static func failures(in world: World) -> [String] {
        world.rule.members.compactMap { member in
            guard let machine = world.failed[member], let host = world.placements[member]?.host else { return nil }
            return "\(member) cannot be started on \(host), which answers and has its data: it is not replaced by "
                + "itself; why it fails: roost machines events \(world.spec.name) \(machine)"
        }
    }

    private static func obstacle(to member: MemberName, _ world: World, _ term: Duration) -> String? {
        let rule = world.rule
        if let brake = world.brake { return "\(brake): while it is so many at once, nobody is replaced by itself" }
        if rule.recruitment != nil || member == rule.leader { return "the cluster has to have a leader first" }
        // There the lost one would go first, and could not come back where the other one does not come.
        if rule.members.count >= PostgresNames.membersMax {
            return "a cluster has at most \(PostgresNames.membersMax) members, so that it has to go before another one "
                + "comes, which a person decides: roost pg member replace \(world.spec.name) \(member)"
        }
        if world.isPaused { return "the cluster is paused" }
        if !world.isOpen { return "\(rule.leader) lets no clients in" }
        if let takenBack = world.takenBack {
            let tries = fruitless(in: world.spec, rule.change, age: world.asked)?.count ?? 1
            let pause = pause(after: tries, of: term)
            if takenBack < pause {
                // When it was taken back only that host knows, and only if it was there.
                let why = rule.change?.refusal.map { " (\($0))" } ?? ""
                return "a replacement was taken back\(why): the next one comes no sooner than "
                    + "\(ReplacementTerm.after(pause)) after the host that replaces members has seen that"
            }
        }
        // With the one that comes, before the lost one goes.
        let needed = ClusterRule.confirmations(of: rule.members.count + 1)
        let others = rule.members.filter { $0 != rule.leader && world.confirming.contains($0) }
        if others.count + 1 < needed {
            return "\(counted(needed - 1, "other standby", plural: "other standbys")) must confirm, and "
                + "\(others.count) can"
        }
        if let leaving = world.departed.min() { return "\(leaving) is still leaving" }
        if let why = world.refusals[member] { return why }
        if let why = wantOfNumbers(in: world.spec, "member replace \(world.spec.name) \(member)") { return why }
        if !world.hasTurn { return "\(underWayMax) replacements are under way on the planet, and one more has to wait" }
        return nil
    }

    /// - Parameter command: by which somebody asks.
    static func wantOfNumbers(in spec: ClusterSpec, _ command: String) -> String? {
        let numberMax = PostgresNames.numberMax(of: spec.name)
        let numbers = spec.everybody.compactMap { PostgresNames.number(of: $0.name, in: spec.name) }
        let kept = numbersKept(of: numberMax)
        guard max(spec.lastNumber ?? 0, numbers.max() ?? 0) + kept >= numberMax else { return nil }
        return "its members are numbered from 1 to \(numberMax), each number once, and the last \(kept) are given "
            + "only when somebody asks: roost pg \(command)"
    }

    enum Places {
        case regions([RegionCode])
        case nowhere(String)
    }

    /// In its own region; of a cluster that is to survive the loss of a region, else in another one that has no member of it.
    private static func regions(for member: MemberName, _ world: World, _ places: inout PlaceBook) -> Places {
        guard let own = world.spec.members.first(where: { $0.name == member })?.region else {
            return .nowhere("it has no place")
        }
        return regions(from: own, world, beside: world.spec.members.map(\.region), &places) { request(in: $0, world) }
    }

    /// - Parameter taken: regions that are no other ones.
    static func regions(
        from own: RegionCode, _ world: World, beside taken: [RegionCode], _ places: inout PlaceBook,
        _ request: (RegionCode) -> PlacementRequest
    ) -> Places {
        let here = request(own)
        guard case .none(let why) = places.find(here, for: world.spec.name) else {
            places.promise(here, to: world.spec.name)
            return .regions([own])
        }
        guard world.spec.survive == .region else { return .nowhere(why) }
        var others: [RegionCode] = []
        for region in places.names.subtracting(taken).sorted() {
            if case .found = places.find(request(region), for: world.spec.name) { others.append(region) }
        }
        guard let first = others.first else { return .nowhere("\(why); nor has another region a host with room") }
        // Which of them it is shows when it was asked for.
        places.promise(request(first), to: world.spec.name)
        return .regions(others)
    }

    /// Not beside another member: two that are lost together are worth less than one and a lost one.
    private static func request(in region: RegionCode, _ world: World) -> PlacementRequest {
        let occupied = world.spec.hostsOfMembers(world.placements)
        // Whose name it gets is of no account here.
        let comer = ClusterSpec.MemberSpec(name: world.rule.leader, region: region, isApart: true)
        return PlacementRequest(for: comer, of: world.spec, occupied: occupied)
    }
}
