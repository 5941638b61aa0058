import RoostControl
import RoostModel
import RoostPlanet
import RoostStore

// Members that come and go: the wish is in the rule, and its leader carries it out (see RoostFailover). What comes is in the
// spec from the same moment on; what has gone is taken off it afterwards.
extension ClusterDirectory {
    /// - Returns: the wish's id, which is its operation's too; nil when the cluster is as wanted. One that is asked for again
    ///   while it goes on is that one.
    func requestMembers(of name: AppName, _ wish: MemberWish) async throws(Refusal) -> PlanetOperationID? {
        let (ruleKey, specKey) = (StoreKeys.clusterRule(name), StoreKeys.clusterSpec(name))
        for _ in 0..<AppDirectory.triesMax {
            let (records, _, present) = try await ruling(name)
            try Self.checkStoreIsNotBehind(records, name, leaving: wish.leaver)
            guard var spec = try await store.record(ClusterSpec.self, at: specKey) else { continue }
            var rule = present
            if let change = rule.change, change.current != nil { return try Self.goingOn(change, wish, spec.record) }
            guard rule.recruitment == nil else {
                throw Refusal(.failedPrecondition, "the cluster is changing its leader at this moment; try again")
            }
            try Self.check(rule.members, have: .members, records.reports)
            guard records.departed.isEmpty else {
                throw Refusal(
                    .failedPrecondition,
                    "\(records.departed.sorted().map(\.text).joined(separator: ", ")) is still leaving; try again in a moment"
                )
            }
            let course = try wish.course(of: spec.record, records, rule)
            guard !course.steps.isEmpty else { return nil }
            let id = OperationDirectory.makeID()
            rule.change = MemberChange(id: id.text, steps: course.steps)
            spec.record.members += course.comers
            if !course.comers.isEmpty { spec.record.lastNumber = course.lastNumber }
            let begun = try OperationDirectory.begin(Self.operation(id, .changeMembers, on: spec.record))
            let outcome = try await store.carryOut(
                Transaction(
                    compares: [
                        .modified(key: ruleKey, equals: Revision(records.ruleRevision)),
                        .modified(key: specKey, equals: spec.revision), begun.compare,
                    ],
                    then: [
                        try .put(rule, at: ruleKey), try .put(spec.record, over: spec.bytes, at: specKey),
                        begun.operation,
                    ]))
            if outcome.succeeded { return id }
        }
        throw Refusal(.unavailable, "too many changes at once; try again")
    }

    /// The change that goes on, when it is what is asked for.
    private static func goingOn(_ change: MemberChange, _ wish: MemberWish, _ spec: ClusterSpec) throws(Refusal)
        -> PlanetOperationID
    {
        let steps = change.done + change.left
        let comers = steps.filter { $0.kind == .add }.map(\.member)
        let leavers = steps.filter { $0.kind == .remove }.map(\.member)
        let isSame =
            switch wish {
            // Who asks twice for one more may want two.
            case .add: false
            case .remove(let member): leavers == [member] && comers.isEmpty
            case .replace(let member, _, _): leavers == [member] && comers.count == 1
            case .scale(let counts):
                counts.allSatisfy { region, count in
                    spec.members.count { $0.region == region && !leavers.contains($0.name) } == count
                }
            }
        guard isSame, let id = try? PlanetOperationID(change.id) else {
            throw Refusal(
                .failedPrecondition,
                "another change of members is under way, operation \(change.id); wait for it, or take back what is left "
                    + "of it")
        }
        return id
    }

    /// Takes back what is left of a change. What is done stays.
    func cancelChange(of name: AppName) async throws(Refusal) {
        try await changeRule(of: name) { rule, _ throws(Refusal) in
            guard rule.change?.current != nil else { return }
            rule.change?.refusal = "it was taken back"
            rule.change?.isPrepared = nil
        }
    }

    /// Takes a member off the spec that the rule names no more, if the conditions and that rule hold.
    func retire(
        _ member: MemberName, of name: AppName, in planet: Planet, under conditions: [Transaction.Compare]
    ) async throws(Refusal) {
        guard let records = planet.clusters[name], records.departed.contains(member) else { return }
        let key = StoreKeys.clusterSpec(name)
        guard var present = try await store.record(ClusterSpec.self, at: key) else { return }
        // The number is not given again.
        let numbers = present.record.members.compactMap { Int($0.name.text.split(separator: "-").last ?? "") }
        present.record.lastNumber = max(present.record.lastNumber ?? 0, numbers.max() ?? 0)
        present.record.members.removeAll { $0.name == member }
        let rule = Transaction.Compare.modified(
            key: StoreKeys.clusterRule(name), equals: Revision(records.ruleRevision))
        _ = try await store.carryOut(
            Transaction(
                compares: conditions + [rule, .modified(key: key, equals: present.revision)],
                then: [try .put(present.record, over: present.bytes, at: key)]))
    }
}
