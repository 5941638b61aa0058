internal import RoostFailover
import RoostModel

/// The store: linearizable, by one revision; only the way to it is bad.
struct SimulatedStore {
    enum Request {
        case read(ReadNumber)
        indirect case rule(ClusterRule, expected: Int64, RuleChangeNumber)
        indirect case heartbeat(Heartbeat, ruleRevision: Int64)
        indirect case report(MemberReport)
    }

    private(set) var view: StoreView
    /// Who was chosen when, in order.
    private(set) var reigns: [(reign: Reign, at: Int)] = []
    /// What somebody may restore it from.
    private var copies: [StoreView] = []
    private var changes = 0

    private static let copiesMax = 200
    /// A copy is made at every change of the rule, and of all changes at every so many.
    private static let copyInterval = 50

    init(members: [MemberName]) {
        view = StoreView(revision: 1, members: members, rule: nil, ruleRevision: 0, heartbeat: nil, reports: [])
    }

    /// - Returns: the answer; `changed` when watchers have something to see.
    mutating func carryOut(_ request: Request, at time: Int) -> (answer: StoreAnswer, changed: Bool) {
        switch request {
        case .read: return (.applied(revision: view.revision), false)
        case .rule(let rule, let expected, _):
            guard view.ruleRevision == expected else { return (.refused, false) }
            if rule.epoch != view.rule?.epoch, let reign = rule.history.last { note(reign, at: time) }
            view.revision += 1
            view.rule = rule
            view.ruleRevision = view.revision
        case .heartbeat(let heartbeat, let ruleRevision):
            guard view.ruleRevision == ruleRevision else { return (.refused, false) }
            view.revision += 1
            view.heartbeat = heartbeat
        case .report(let report):
            view.revision += 1
            if let index = view.reports.firstIndex(where: { $0.member == report.member }) {
                view.reports[index] = report
            } else {
                view.reports.append(report)
            }
        }
        changes += 1
        if view.rule != nil, view.ruleRevision == view.revision || changes.isMultiple(of: Self.copyInterval) {
            if copies.count == Self.copiesMax { copies.removeFirst() }
            copies.append(view)
        }
        return (.applied(revision: view.revision), true)
    }

    /// Somebody was chosen, whether or not the store has it yet.
    mutating func note(_ reign: Reign, at time: Int) {
        guard !reigns.contains(where: { $0.reign == reign }) else { return }
        reigns.append((reign, time))
    }

    /// - Parameter countsOn: its revisions go on from where they were, as they should be made to when it is restored.
    /// - Returns: whether there was a copy.
    mutating func goBack(countsOn: Bool, _ random: inout SplitMix64) -> Bool {
        guard !copies.isEmpty else { return false }
        let revision = view.revision
        view = random.choose(copies)
        if countsOn { view.revision = revision + 1000 }
        return true
    }

    /// Somebody puts the rule right.
    mutating func restore(_ rule: ClusterRule) {
        view.revision += 1
        view.rule = rule
        view.ruleRevision = view.revision
    }

    mutating func askForSwitchover(to target: MemberName?) {
        let id = "\(view.revision + 1)"
        changeRule { $0.switchover = SwitchoverRequest(id: id, target: target) }
    }

    /// With the records of those that are to come.
    mutating func askForChange(_ change: MemberChange) {
        view.members += change.left.filter { $0.kind == .add }.map(\.member)
        changeRule { $0.change = change }
    }

    /// - Returns: those that are members no more, and whose records are gone now.
    mutating func settle(_ rule: ClusterRule) -> [MemberName] {
        let coming = rule.change?.refusal == nil ? rule.change?.left.filter { $0.kind == .add }.map(\.member) ?? [] : []
        // What a person has given up is kept until a person has it removed.
        let departed = view.members.filter {
            !rule.members.contains($0) && !coming.contains($0) && !rule.givenUp.contains($0)
        }
        view.members.removeAll { departed.contains($0) }
        return departed
    }

    /// Somebody changes it by the platform.
    mutating func changeRule(_ change: (inout ClusterRule) -> Void) {
        guard var rule = view.rule else { return }
        change(&rule)
        guard rule != view.rule else { return }
        view.revision += 1
        view.rule = rule
        view.ruleRevision = view.revision
    }
}
