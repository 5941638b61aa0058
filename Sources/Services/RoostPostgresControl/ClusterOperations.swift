public import RoostControl
import RoostLinux
public import RoostModel
public import RoostPlanet
import RoostWire

/// How operations on Postgres clusters get on, and whether they have ended: true for a client, or certain not to come true.
public struct ClusterOperations: OperationJudge {
    /// A cluster's records, and of whom nothing was heard, as of one moment; nil where the cluster is not heard.
    typealias Hearing = @Sendable (AppName, Planet) -> (records: Planet.ClusterRecords, silence: ClusterSilence)?

    private let hear: Hearing

    /// - Parameter hearing: what the store had when this host began to listen is of any time, as from an older copy: that a
    ///   cluster is ready now, only those can show who were heard since.
    public init(hearing: ClusterHearing) {
        hear = { name, _ in
            guard let now = hearing.heard(name), let records = now.planet.clusters[name] else { return nil }
            return (records, now.silence)
        }
    }

    /// Believes the records, unless it is told otherwise.
    init(hear: @escaping Hearing = { name, planet in planet.clusters[name].map { ($0, ClusterSilence()) } }) {
        self.hear = hear
    }

    public func verdict(on operation: OperationRecord, in planet: Planet) -> OperationVerdict? {
        let records = planet.clusters[operation.object]
        // What cannot be read decides nothing.
        guard !planet.unreadable.contains(StoreKeys.clusterSpec(operation.object)) else { return nil }
        if records != nil, records?.spec == nil { return nil }
        let spec = records?.spec?.createdAt == operation.objectMadeAt ? records?.spec : nil
        switch operation.kind {
        case .createCluster:
            guard let records, let spec, !spec.isDestroying else {
                return .failed("the cluster was destroyed before it was ready")
            }
            // That something has happened, records show of whatever time they are; that it is so now, they do not.
            guard let rule = records.rule, let now = hear(operation.object, planet),
                now.records.spec?.createdAt == spec.createdAt, now.records.rule?.leader == rule.leader,
                ClusterStatus.isReady(spec, now.records, now.silence)
            else { return nil }
            return .succeeded("ready at \(spec.address), \(rule.leader) leads")
        case .destroyCluster:
            return spec == nil ? .succeeded("its machines, volumes and records are gone") : nil
        case .switchover:
            guard let records, let spec, !spec.isDestroying else { return .failed("the cluster was destroyed") }
            guard let began = operation.reigning else {
                return .failed("nobody knows who led when it was asked for: see who leads now")
            }
            // One that is there and cannot be read is none to us.
            guard let rule = records.rule else { return nil }
            return Self.switchover(operation.id, from: began, rule, records)
        case .restart:
            guard let records, let spec, !spec.isDestroying else { return .failed("the cluster was destroyed") }
            let silence = hear(operation.object, planet)?.silence ?? ClusterSilence()
            return records.rule.flatMap { Self.restart(operation.id, $0, silence) }
        case .changeMembers:
            guard let records, let spec, !spec.isDestroying else { return .failed("the cluster was destroyed") }
            return records.rule.flatMap { Self.change(operation.id, $0, records) }
        case .forcedFailover:
            guard let records, let spec, !spec.isDestroying else { return .failed("the cluster was destroyed") }
            return records.rule.flatMap { Self.forced(operation.id, $0, records) }
        // It has ended when it is written.
        case .replaceReader, .unknown: return nil
        }
    }

    public func steps(of operation: OperationRecord, in planet: Planet) -> [String] {
        guard let records = planet.clusters[operation.object], let spec = records.spec,
            spec.createdAt == operation.objectMadeAt, !spec.isDestroying, let rule = records.rule
        else { return [] }
        switch operation.kind {
        case .createCluster: return Self.stepsToReady(rule, records)
        case .switchover:
            return operation.reigning.map { Self.steps(of: operation.id, from: $0, rule, records) } ?? []
        case .restart:
            guard let restart = rule.restart, restart.id == operation.id.text else { return [] }
            return Self.steps(of: restart)
        case .changeMembers:
            guard let change = rule.change, change.id == operation.id.text else { return [] }
            return Self.steps(of: change, rule, records)
        case .forcedFailover:
            guard let forced = rule.forced, forced.id == operation.id.text else { return [] }
            return Self.steps(of: forced, rule, records)
        // The plan's steps are all there is.
        case .destroyCluster, .replaceReader, .unknown: return []
        }
    }

    private static func stepsToReady(_ rule: ClusterRule, _ records: Planet.ClusterRecords) -> [String] {
        var steps = ["\(rule.history.first?.leader ?? rule.leader) initialised the cluster"]
        steps += rule.members.filter(records.confirms).map { "\($0) has a copy and follows" }
        if isOpen(rule, records) { steps.append("\(rule.leader) lets clients in") }
        return steps
    }

    /// The epochs between are seen as far as somebody looks.
    private static func steps(
        of id: PlanetOperationID, from began: OperationRecord.Reigning, _ rule: ClusterRule,
        _ records: Planet.ClusterRecords
    ) -> [String] {
        var steps: [String] = []
        let isAsked = rule.epoch == began.epoch && rule.switchover?.id == id.text && rule.switchover?.refusal == nil
        // It may have let nobody in when it was asked for, and that is no step of this.
        if isAsked, records.isHandingOver { steps.append("\(rule.leader) lets nobody in") }
        if rule.epoch > began.epoch { steps.append("\(rule.leader) was named for epoch \(rule.epoch)") }
        if let recruitment = rule.recruitment { steps.append("members are called for epoch \(recruitment.epoch)") }
        if rule.epoch > began.epoch, isOpen(rule, records) { steps.append("\(rule.leader) lets clients in") }
        return steps
    }

    private static func isOpen(_ rule: ClusterRule, _ records: Planet.ClusterRecords) -> Bool {
        records.heartbeat.map { $0.epoch == rule.epoch && $0.isOpen } ?? false
    }

    private static func steps(
        of forced: ForcedFailover, _ rule: ClusterRule, _ records: Planet.ClusterRecords
    ) -> [String] {
        var steps = ["\(forced.member) was named for epoch \(forced.epoch) by a person"]
        if rule.history.contains(where: { $0.epoch == forced.epoch }) { steps.append("\(forced.member) was elected") }
        if rule.epoch == forced.epoch, isOpen(rule, records) { steps.append("\(rule.leader) lets clients in") }
        return steps
    }

    private static func forced(
        _ id: PlanetOperationID, _ rule: ClusterRule, _ records: Planet.ClusterRecords
    ) -> OperationVerdict? {
        guard let forced = rule.forced, forced.id == id.text else {
            return .failed("another failover was decided since, or the rule is an older one: see who leads now")
        }
        if rule.epoch > forced.epoch {
            return rule.history.contains { $0.epoch == forced.epoch }
                ? .succeeded("\(forced.member) was elected for epoch \(forced.epoch), and \(rule.leader) leads since")
                : .failed("\(rule.leader) leads epoch \(rule.epoch)")
        }
        guard rule.epoch == forced.epoch, rule.recruitment == nil, isOpen(rule, records) else { return nil }
        return .succeeded("\(rule.leader) leads epoch \(rule.epoch), with \(counted(rule.members.count, "member"))")
    }

    private static func restart(
        _ id: PlanetOperationID, _ rule: ClusterRule, _ silence: ClusterSilence
    ) -> OperationVerdict? {
        guard let wish = rule.restart, wish.id == id.text else {
            // Whoever replaces one that has ended says how, but for programs of earlier versions.
            return .failed(
                (rule.restart == nil ? "the rule does not have it any more" : "another restart was asked for since")
                    + "; whether this one was done before, nobody has seen")
        }
        return verdict(on: wish, left: silence.left(of: wish.term, at: WallClock.milliseconds()))
    }

    /// A restart that gives way to another.
    ///
    /// - Parameter left: of its time.
    static func former(_ wish: RestartRequest, left: Duration) -> FormerWish {
        FormerWish(id: wish.id, verdict: verdict(on: wish, left: left), steps: steps(of: wish))
    }

    private static func steps(of wish: RestartRequest) -> [String] {
        wish.done.map { "\($0)'s Postgres was started anew" }
    }

    private static func verdict(on wish: RestartRequest, left: Duration) -> OperationVerdict? {
        if wish.left.isEmpty {
            let done = wish.done.map(\.text).joined(separator: ", ")
            return .succeeded("\(done) \(wish.done.count == 1 ? "was" : "were") started anew")
        }
        return ClusterStatus.restart(wish, left: left).refusal.map { why in
            .failed(
                "\(why); not started anew by then: \(wish.left.map(\.text).joined(separator: ", "))"
                    + " (one that had begun ends it)")
        }
    }

    private static func steps(
        of change: MemberChange, _ rule: ClusterRule, _ records: Planet.ClusterRecords
    ) -> [String] {
        // Nobody becomes a member before it follows, though nobody may have looked in that moment.
        var steps = change.done.flatMap { step in
            step.kind == .add
                ? ["\(step.member) has a copy and follows", "\(step.member) is a member"]
                : ["\(step.member) is no member any more"]
        }
        if let joining = rule.joining, records.confirms(joining) { steps.append("\(joining) has a copy and follows") }
        return steps
    }

    /// A change of members that gives way to another: what it leaves behind is looked after all the same.
    static func former(
        _ change: MemberChange, _ rule: ClusterRule, _ records: Planet.ClusterRecords
    ) -> FormerWish {
        FormerWish(
            id: change.id, verdict: verdict(on: change, rule, records, isLast: true),
            steps: steps(of: change, rule, records))
    }

    /// What was removed is gone when nothing is left of it, or when its host cannot say so: that takes as long as the host
    /// is away, and it is no member any more.
    private static func change(
        _ id: PlanetOperationID, _ rule: ClusterRule, _ records: Planet.ClusterRecords
    ) -> OperationVerdict? {
        guard let change = rule.change, change.id == id.text else {
            return .failed("another change of members was asked for; whether this one was done before, nobody has seen")
        }
        return verdict(on: change, rule, records, isLast: false)
    }

    /// - Parameter isLast: nobody will look again.
    private static func verdict(
        on change: MemberChange, _ rule: ClusterRule, _ records: Planet.ClusterRecords, isLast: Bool
    ) -> OperationVerdict? {
        let members = rule.members.map(\.text).joined(separator: ", ")
        if let refusal = change.refusal { return .failed("\(refusal); the members are \(members)") }
        guard change.left.isEmpty, isLast || records.departed.isEmpty else { return nil }
        let left = change.done.filter { $0.kind == .remove && records.placements[$0.member] != nil }
        // Its host has not been asked yet, or is at work, or somebody's word keeps it.
        guard isLast || left.allSatisfy({ records.cannotGo($0.member) }) else { return nil }
        // Where its host was not asked, nobody has seen whether it answers: somebody's word may keep it.
        let remains = left.map { step in
            "; what is left of \(step.member) "
                + (records.cannotGo(step.member) ? "goes when its host answers" : "is not gone yet")
        }.joined()
        return .succeeded("the members are \(members)\(remains)")
    }

    private static func switchover(
        _ id: PlanetOperationID, from began: OperationRecord.Reigning, _ rule: ClusterRule,
        _ records: Planet.ClusterRecords
    ) -> OperationVerdict? {
        if let request = rule.switchover, request.id == id.text { return request.refusal.map { .failed($0) } }
        // Whoever leads since then leads by that.
        if let forced = rule.forced, forced.formerEpoch == began.epoch {
            return .failed(ForcedFailover.refusalOfWishes)
        }
        if rule.epoch == began.epoch {
            return .failed(
                rule.switchover == nil
                    ? "the wish was dropped, and \(rule.leader) leads on" : "another switchover was asked for")
        }
        func isWanted(_ member: MemberName) -> Bool { began.target.map { $0 == member } ?? (member != began.leader) }
        let reigns = rule.history.filter { $0.epoch > began.epoch && $0.epoch < rule.epoch }
        let opens = rule.recruitment == nil && isOpen(rule, records)
        let named = reigns.map { (leader: $0.leader, epoch: $0.epoch) } + [(leader: rule.leader, epoch: rule.epoch)]
        guard let other = named.last(where: { !isWanted($0.leader) }) else {
            if opens { return .succeeded("\(rule.leader) leads epoch \(rule.epoch)") }
            // A leader that lets nobody in is no answer yet, nor is one that is being replaced.
            guard rule.switchover != nil else { return nil }
            return .failed("another switchover was asked for before \(rule.leader) let clients in")
        }
        // Nobody hands over to the wanted one any more: if it leads yet, that is not because of this.
        let leads = opens && other.epoch == rule.epoch
        let words = "\(other.leader) \(leads ? "leads" : "was named for") epoch \(other.epoch)"
        // It may have been as wanted before the next failover, which nobody has to have looked at.
        let since = named.first { isWanted($0.leader) && $0.epoch < other.epoch }.map {
            ", and \($0.leader) was named for epoch \($0.epoch) before; whether it let clients in, nobody has seen"
        }
        return .failed(words + (began.target.map { ", not \($0)" } ?? " still") + (since ?? ""))
    }
}

extension Planet.ClusterRecords {
    /// Its host could not take it away when it was asked. What is in the way of something else says nothing of it.
    fileprivate func cannotGo(_ member: MemberName) -> Bool {
        obstacle.map { $0.remaining?.contains(member) ?? true } ?? false
    }
}

extension Planet {
    /// Whether the cluster has not been ready yet: the operation that began with it goes on. One that has ended stays so,
    /// and one that is gone had ended.
    func isMaking(_ spec: ClusterSpec) -> Bool {
        operations.values.contains {
            $0.kind == .createCluster && $0.object == spec.name && $0.objectMadeAt == spec.createdAt
                && $0.state == .running
        }
    }
}
