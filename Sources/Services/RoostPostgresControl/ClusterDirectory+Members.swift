import RoostControl
import RoostModel
import RoostPlanet
import RoostPlans
import RoostStore

// Members that come and go: the wish is in the rule, and its leader carries it out (see RoostFailover). What comes is in the
// spec from the same moment on; what has gone is taken off it afterwards.
extension ClusterDirectory {
    /// - Returns: the wish's id, which is its operation's too; nil when the cluster is as wanted. One that is asked for again
    ///   while it goes on is that one.
    func requestMembers(of name: AppName, _ wish: MemberWish) async throws(Refusal) -> PlanetOperationID? {
        for _ in 0..<AppDirectory.triesMax {
            let answer = try await tryMembers(of: name, wish)
            if answer.isKnown { return answer.id }
        }
        throw Refusal(.unavailable, "too many changes at once; try again")
    }

    /// Has a member come for one that is lost, of which nobody asks; if the rule is still the one that was looked at.
    ///
    /// - Returns: whether it was written.
    func replace(
        lost member: MemberName, of name: AppName, in region: RegionCode, seen planet: Planet,
        under conditions: [Transaction.Compare]
    ) async throws(Refusal) -> Bool {
        guard let records = planet.clusters[name], let spec = records.spec else { return false }
        let rule = Transaction.Compare.modified(
            key: StoreKeys.clusterRule(name), equals: Revision(records.ruleRevision))
        let host = records.placements[member].map { " and its host \($0.host)" } ?? ""
        let term = spec.replaceAfter ?? .standard
        let answer = try await tryMembers(
            of: name, .replace(member, region, nil),
            because: "\(member)\(host) were not heard from for \(term): it is replaced", under: conditions + [rule])
        return answer.isKnown && answer.id != nil
    }

    /// One try; somebody else's change may come first.
    ///
    /// - Parameter reason: why it is asked for, where nobody asks.
    private func tryMembers(
        of name: AppName, _ wish: MemberWish, because reason: String? = nil,
        under conditions: [Transaction.Compare] = []
    ) async throws(Refusal) -> (isKnown: Bool, id: PlanetOperationID?) {
        let specKey = StoreKeys.clusterSpec(name)
        let (records, _, present) = try await ruling(name)
        try await checkStoreIsNotBehind(records, name, leaving: wish.leaver)
        guard var spec = try await store.record(ClusterSpec.self, at: specKey) else { return (false, nil) }
        var rule = present
        if let leaver = wish.leaver { try MemberWish.check(leaver, isKnownTo: spec.record, rule) }
        if let change = rule.change, change.current != nil {
            return (true, try Self.goingOn(change, wish, spec.record, rule))
        }
        guard rule.recruitment == nil else {
            throw Refusal(.failedPrecondition, "the cluster is changing its leader at this moment; try again")
        }
        try await checkNobodyIsLeaving(records, name)
        let course = try wish.course(of: spec.record, records, rule, beside: published(name))
        guard !course.steps.isEmpty else { return (true, nil) }
        // Whoever goes has no part in it: one that never said a word, or says what it likes, can be removed.
        let leavers = course.steps.filter { $0.kind == .remove }.map(\.member)
        try Self.check(rule.members.filter { !leavers.contains($0) }, have: .members, records.reports)
        let id = OperationDirectory.makeID()
        rule.change = MemberChange(id: id.text, steps: course.steps, isAutomatic: reason == nil ? nil : true)
        spec.record.members += course.comers
        if !course.comers.isEmpty { spec.record.lastNumber = course.lastNumber }
        spec.record.noteAttempt(at: wish, isAutomatic: reason != nil, after: present.change)
        var operation = Self.operation(id, .changeMembers, on: spec.record)
        operation.steps = (reason.map { [$0] } ?? []).map { .init(name: $0, at: operation.startedAt) }
        let isBegun = try await begin(
            operation, by: rule, of: name, over: records.ruleRevision,
            after: present.change.map { ClusterOperations.former($0, present, records) },
            under: conditions + [.modified(key: specKey, equals: spec.revision)],
            with: [try .put(spec.record, over: spec.bytes, at: specKey)])
        return isBegun ? (true, id) : (false, nil)
    }

    /// One change at a time: who has to go is known from the last one alone.
    private func checkNobodyIsLeaving(_ records: Planet.ClusterRecords, _ name: AppName) async throws(Refusal) {
        let departed = records.departed.sorted()
        guard !departed.isEmpty else { return }
        let silent = await silent(name)
        let kept = departed.compactMap { records.keeping($0, silent: silent, of: name) }
        guard kept.isEmpty else { throw Refusal(.failedPrecondition, kept.joined(separator: "; ")) }
        let names = departed.map(\.text).joined(separator: ", ")
        throw Refusal(
            .failedPrecondition,
            "\(names) \(departed.count == 1 ? "is" : "are") still leaving; try again in a moment")
    }

    /// The change that goes on, when it is what is asked for; nil when the cluster is as wanted, and stays so.
    private static func goingOn(
        _ change: MemberChange, _ wish: MemberWish, _ spec: ClusterSpec, _ rule: ClusterRule
    ) throws(Refusal) -> PlanetOperationID? {
        let steps = change.done + change.left
        let comers = steps.filter { $0.kind == .add }.map(\.member)
        let leavers = steps.filter { $0.kind == .remove }.map(\.member)
        let regions = Set(spec.members.filter { (comers + leavers).contains($0.name) }.map(\.region))
        func leads(to counts: [RegionCode: Int]) -> Bool {
            counts.allSatisfy { region, count in
                spec.members.count { member in
                    member.region == region && !leavers.contains(member.name) && !rule.givenUp.contains(member.name)
                } == count
            }
        }
        // Somebody else's change, elsewhere.
        if case .scale(let counts) = wish, regions.isDisjoint(with: counts.keys), leads(to: counts) { return nil }
        // One that comes is in the spec from the wish on.
        let comer = comers.count == 1 ? spec.members.first { $0.name == comers.first } : nil
        func isComing(to region: RegionCode?, _ host: HostName?) -> Bool {
            guard let comer else { return false }
            return host.map { comer.host == $0 } ?? (region.map { comer.region == $0 } ?? true)
        }
        let isSame =
            switch wish {
            // Who wants two says so after the first has come, or says how many there are to be.
            case .add(let region, let host):
                leavers.isEmpty && isComing(to: region, host) && comer?.host == host
            case .remove(let member): leavers == [member] && comers.isEmpty
            // Where no place is named, it is the region of the one that goes.
            case .replace(let member, let region, let host):
                leavers == [member]
                    && isComing(to: region ?? spec.members.first { $0.name == member }?.region, host)
            case .scale(let counts): regions.isSubset(of: counts.keys) && leads(to: counts)
            }
        guard isSame, let id = try? PlanetOperationID(change.id) else {
            throw Refusal(
                .failedPrecondition,
                "another change of members is under way, operation \(change.id); wait for it (roost operations show "
                    + "\(change.id)), or take back what is left of it (roost pg scale \(spec.name) --cancel)")
        }
        return id
    }

    /// Takes back what is left of a change. What is done stays.
    ///
    /// - Returns: whether one was under way.
    @discardableResult
    func cancelChange(of name: AppName) async throws(Refusal) -> Bool {
        var wasUnderWay = false
        // Refused in a store that went back: who is still to come there may be a member by now, and what was taken back is
        // destroyed.
        try await changeRule(of: name) { rule, _ throws(Refusal) in
            wasUnderWay = rule.change?.current != nil
            guard wasUnderWay else { return }
            rule.change?.refusal = "it was taken back"
            rule.change?.isPrepared = nil
        }
        return wasUnderWay
    }

    /// Takes back a replacement that nobody has asked for, as long as the rule does not name the one that comes, if the
    /// conditions hold.
    ///
    /// - Parameter host: where the next one that comes is rather not to be.
    /// - Returns: whether it was taken back.
    func takeBack(
        _ change: String, of name: AppName, because why: String, avoiding host: HostName? = nil,
        wasNeedless: Bool = false, under conditions: [Transaction.Compare]
    ) async throws(Refusal) -> Bool {
        let (records, _, present) = try await ruling(name)
        guard let former = present.change, former.id == change, former.isAutomatic == true, former.current != nil,
            former.left.contains(where: { $0.kind == .add && !present.members.contains($0.member) })
        else { return false }
        // What is taken back is destroyed: nobody asks for that in a store that may have gone back, whoever is heard or not.
        if let word = records.reversal(as: records.objectors(), of: name) { throw Refusal(.failedPrecondition, word) }
        var rule = present
        rule.change?.refusal = why
        rule.change?.memberReturned = wasNeedless
        rule.change?.isPrepared = nil
        let (key, specKey) = (StoreKeys.clusterRule(name), StoreKeys.clusterSpec(name))
        var (compares, changes) = ([Transaction.Compare](), [try Transaction.Operation.put(rule, at: key)])
        if let host, var spec = try await store.record(ClusterSpec.self, at: specKey),
            let attempts = spec.record.attempts
        {
            spec.record.attempts = attempts.avoiding(host)
            compares.append(.modified(key: specKey, equals: spec.revision))
            changes.append(try .put(spec.record, over: spec.bytes, at: specKey))
        }
        let outcome = try await store.carryOut(
            Transaction(
                compares: conditions + compares + [.modified(key: key, equals: Revision(records.ruleRevision))],
                then: changes))
        return outcome.succeeded
    }

    /// Takes a member off the spec that the rule names no more, if the conditions and that rule hold.
    ///
    /// - Returns: whether it was taken off.
    func retire(
        _ member: MemberName, of name: AppName, in planet: Planet, silent: Set<MemberName>,
        under conditions: [Transaction.Compare]
    ) async throws(Refusal) -> Bool {
        guard let records = planet.clusters[name], records.departed.contains(member),
            records.objectors(toRemovalOf: member, silent: silent).isEmpty
        else { return false }
        let key = StoreKeys.clusterSpec(name)
        guard var present = try await store.record(ClusterSpec.self, at: key) else { return false }
        // The number is not given again.
        let numbers = present.record.members.compactMap { PostgresNames.number(of: $0.name, in: name) }
        present.record.lastNumber = max(present.record.lastNumber ?? 0, numbers.max() ?? 0)
        present.record.members.removeAll { $0.name == member }
        let rule = Transaction.Compare.modified(
            key: StoreKeys.clusterRule(name), equals: Revision(records.ruleRevision))
        let outcome = try await store.carryOut(
            Transaction(
                compares: conditions + [rule, .modified(key: key, equals: present.revision)],
                then: [try .put(present.record, over: present.bytes, at: key)]))
        return outcome.succeeded
    }
}

extension ClusterSpec {
    /// Counts replacements that nobody has asked for, of whichever members, as long as they come to nothing, one after the other and
    /// lately (``Replacement/fruitless(in:_:age:)``); and says of the one that comes in such a one that it shares no host.
    fileprivate mutating func noteAttempt(at wish: MemberWish, isAutomatic: Bool, after former: MemberChange?) {
        guard isAutomatic, wish.leaver != nil else {
            attempts = nil
            return
        }
        let tries = Replacement.fruitless(in: self, former, age: former?.age())
        attempts = ReplacementAttempts(count: (tries?.count ?? 0) + 1, avoided: tries?.avoided ?? [])
        guard let comer = members.indices.last else { return }
        members[comer].isApart = true
    }
}
