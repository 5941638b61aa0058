public import RoostModel

extension Replacement {
    /// The one that comes, as far as it has come.
    public struct Coming: Hashable, Sendable {
        public enum Stage: Hashable, Sendable {
            case placeless
            /// Its host has not said that it has its machine.
            case unmade
            /// Its host says that its machine cannot be started.
            case failed
            case made
        }

        public var stage: Stage
        /// For how long the change is seen to be under way.
        public var lasted: Duration
        /// For how long the member has said nothing.
        public var silent: Duration

        public init(stage: Stage, lasted: Duration, silent: Duration) {
            self.stage = stage
            self.lasted = lasted
            self.silent = silent
        }
    }

    /// Who has said nothing within this time is given up: a place, an image and a machine that starts need less.
    public static var comingMax: Duration { .seconds(900) }
    /// Who is no member within this time is given up: the largest volume is copied by then at 6 MB a second.
    public static var copyMax: Duration { .seconds(24 * 3600) }
    /// So long a replacement keeps others from their turn.
    public static var turnMax: Duration { .seconds(3600) }

    /// As long as the rule does not name the one that comes, nothing has happened that cannot be taken back.
    static func underWay(_ change: MemberChange, _ world: World) -> Plan<ClusterPlan.Step> {
        guard let comer = change.comer(under: world.rule) else { return Plan() }
        if let leaver = change.left.first(where: { $0.kind == .remove })?.member, world.heard.contains(leaver) {
            let why = MemberChange.refusal(forReturnOf: leaver)
            return Plan(steps: [.takeBack(change.id, because: why, avoiding: nil, wasNeedless: true)])
        }
        guard let why = failure(of: comer, world) else { return Plan() }
        return Plan(steps: [
            .takeBack(
                change.id, because: "\(comer), which was to come, \(why)", avoiding: world.placements[comer]?.host)
        ])
    }

    /// Why it is given up.
    private static func failure(of comer: MemberName, _ world: World) -> String? {
        if let lost = world.lost[comer], case .after(let term) = world.spec.replaceAfter ?? .standard, lost >= term {
            return "is lost too"
        }
        // Whoever has paused it may have stopped its host.
        guard let coming = world.coming, !world.isPaused else { return nil }
        if coming.lasted >= copyMax { return "has not become a member within \(ReplacementTerm.after(copyMax))" }
        guard coming.silent >= comingMax else { return nil }
        let time = ReplacementTerm.after(comingMax)
        let host = world.placements[comer].map { " on \($0.host)" } ?? ""
        switch coming.stage {
        case .placeless: return "has got no place within \(time)"
        case .unmade: return "could not be made\(host) within \(time)"
        case .failed: return "cannot be started\(host)"
        case .made: return "was not heard from\(host) for \(time)"
        }
    }
}

extension MemberChange {
    /// Who comes first of those that the rule does not name yet.
    public func comer(under rule: ClusterRule) -> MemberName? {
        left.first { $0.kind == .add && !rule.members.contains($0.member) }?.member
    }
}
