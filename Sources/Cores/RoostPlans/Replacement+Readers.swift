public import RoostModel
import RoostPlacement

/// Readers that are lost. Nothing that was promised rests on one, and what it has is copied anew anywhere: so its place goes to
/// another one in one change of the spec, with which the lost one has none any more. What holds members back holds readers back,
/// and members come first.
extension Replacement {
    /// What one look shows of a cluster's readers.
    public struct Readers: Hashable, Sendable {
        /// Those that have said last that all of their data is there.
        public var withData: Set<MemberName> = []
        /// Those that came by themselves and have no data yet.
        public var coming: [MemberName: Silence] = [:]
        /// Why no reader on the planet is replaced now.
        public var brake: String?
        /// Why the wish for it would be refused.
        public var refusal: String?
        /// Few enough replacements are under way elsewhere.
        public var hasTurn = true
        /// Somewhere on the planet a lost member is about to be replaced, which needs a host, too.
        public var isBehindMembers = false

        /// Of one that comes.
        public struct Silence: Hashable, Sendable {
            /// For how long it is seen to come.
            public var lasted: Duration
            /// For how long it has said nothing, with a place.
            public var silent: Duration

            public init(lasted: Duration, silent: Duration) {
                self.lasted = lasted
                self.silent = silent
            }
        }

        public init() {}
    }

    /// Of those that are under way on the planet at once, so many are readers'.
    public static var readersUnderWayMax: Int { underWayMax / 2 }
    /// A lost member that is due is asked for within this time, or something is in its way that need not be in a reader's.
    public static var membersFirst: Duration { .seconds(60) }

    /// One that has to be replaced, sooner or later.
    private struct Loss {
        var reader: ClusterSpec.MemberSpec
        var lasted: Duration
        /// So long it has to last.
        var wait: Duration
        var words: String
    }

    /// - Parameter members: what is to be done about the members.
    static func ofReaders(
        _ world: World, after members: Plan<ClusterPlan.Step>, in places: inout PlaceBook
    ) -> Plan<ClusterPlan.Step> {
        guard case .after(let term) = world.spec.replaceAfter ?? .standard else { return Plan() }
        var plan = Plan<ClusterPlan.Step>()
        let losses = (world.spec.readers ?? []).compactMap { loss(of: $0, world, term) }
        for loss in losses.sorted(by: { ($1.lasted, $0.reader.name) < ($0.lasted, $1.reader.name) }) {
            let name = loss.reader.name
            let obstacle = obstacle(to: name, world, isAfterMembers: !members.steps.isEmpty)
            if loss.lasted < loss.wait {
                plan.obstacles.append(
                    "\(loss.words); \(name) is replaced when that has lasted \(ReplacementTerm.after(loss.wait))"
                        + (obstacle.map { ", but not yet: \($0)" } ?? ""))
            } else if let obstacle {
                plan.obstacles.append("\(loss.words); \(name) is not replaced: \(obstacle)")
            } else if plan.steps.isEmpty {
                // One at a time.
                switch regions(for: loss.reader, world, &places) {
                case .regions(let regions): plan.steps.append(.replaceReader(name, in: regions))
                case .nowhere(let why): plan.obstacles.append("\(loss.words); \(name) is not replaced: \(why)")
                }
            }
        }
        return plan
    }

    private static func loss(of reader: ClusterSpec.MemberSpec, _ world: World, _ term: Duration) -> Loss? {
        let hadData = world.readers.withData.contains(reader.name)
        // Whatever comes to the same place and gets no data costs a number each time.
        let wait = pause(after: hadData ? 1 : reader.cameFor?.count ?? 1, of: term)
        if let lasted = world.lost[reader.name] {
            return Loss(reader: reader, lasted: lasted, wait: wait, words: loss(of: reader.name, world))
        }
        // One that somebody has asked for, or that has data, is a person's as long as its host answers.
        guard let silent = world.readers.coming[reader.name]?.silent, silent >= comingMax, let former = reader.cameFor,
            let host = world.placements[reader.name]?.host
        else { return nil }
        return Loss(
            reader: reader, lasted: silent, wait: max(wait, comingMax),
            words: "\(reader.name), which came for \(former.reader), is not heard from on \(host), which answers")
    }

    private static func obstacle(to reader: MemberName, _ world: World, isAfterMembers: Bool) -> String? {
        let (rule, readers) = (world.rule, world.readers)
        if let brake = readers.brake { return "\(brake): while it is so many at once, nobody is replaced by itself" }
        if rule.recruitment != nil { return "the cluster has to have a leader first" }
        if world.isPaused { return "the cluster is paused" }
        if !world.isOpen { return "\(rule.leader) lets no clients in" }
        if rule.members.allSatisfy({ $0 == rule.leader || !world.confirming.contains($0) }) {
            return "no standby confirms, of which another one could have a copy"
        }
        if rule.change?.current != nil { return "a change of members is under way" }
        if isAfterMembers || readers.isBehindMembers { return "lost members are replaced first" }
        let others = readers.coming.filter { $0.key != reader && $0.value.lasted < turnMax }
        if let other = others.keys.min() { return "\(other), which has come for another one, has no data yet" }
        if let why = readers.refusal { return why }
        if let why = wantOfNumbers(in: world.spec, "reader replace \(world.spec.name) \(reader)") { return why }
        if !readers.hasTurn {
            return
                "\(underWayMax) replacements are under way on the planet, or \(readersUnderWayMax) of readers, and one "
                + "more has to wait"
        }
        return nil
    }

    /// In its own region; of a cluster that is to survive the loss of a region, else in another one.
    private static func regions(
        for reader: ClusterSpec.MemberSpec, _ world: World, _ places: inout PlaceBook
    ) -> Places {
        let occupied = Set(world.placements.values.map(\.host))
        return regions(from: reader.region, world, beside: [reader.region], &places) { region in
            // Whose name it gets is of no account here.
            var comer = reader
            (comer.region, comer.host) = (region, nil)
            return PlacementRequest(forReader: comer, of: world.spec, occupied: occupied)
        }
    }
}
