internal import RoostFailover
import RoostModel

/// The store: linearizable, by one revision; only the way to it is bad.
struct SimulatedStore {
    enum Request {
        case read
        case rule(ClusterRule, expected: Int64)
        case heartbeat(Heartbeat, ruleRevision: Int64)
        case report(MemberReport)
    }

    private(set) var view: StoreView
    /// Who was chosen when, in order.
    private(set) var reigns: [(reign: Reign, at: Int)] = []

    init(members: [MemberName]) {
        view = StoreView(revision: 1, members: members, rule: nil, ruleRevision: 0, heartbeat: nil, reports: [])
    }

    /// - Returns: the answer; `changed` when watchers have something to see.
    mutating func carryOut(_ request: Request, at time: Int) -> (answer: StoreAnswer, changed: Bool) {
        switch request {
        case .read: return (.applied(revision: view.revision), false)
        case .rule(let rule, let expected):
            guard view.ruleRevision == expected else { return (.refused, false) }
            if rule.epoch != view.rule?.epoch, let reign = rule.history.last { reigns.append((reign, time)) }
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
        return (.applied(revision: view.revision), true)
    }

    mutating func askForSwitchover(to target: MemberName?) {
        guard var rule = view.rule else { return }
        view.revision += 1
        rule.switchover = SwitchoverRequest(id: "\(view.revision)", target: target)
        view.rule = rule
        view.ruleRevision = view.revision
    }
}
