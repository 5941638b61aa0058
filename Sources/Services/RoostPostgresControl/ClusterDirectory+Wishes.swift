import RoostControl
import RoostModel
import RoostPlanet
import RoostStore

/// A wish that gives way to another, and what is known of it in that moment: nobody else may have looked since it was carried
/// out, and afterwards nobody can.
struct FormerWish {
    /// Its operation's.
    var id: String
    /// Nil: nobody knows.
    var verdict: OperationVerdict?
    /// What was seen of it.
    var steps: [String] = []
}

// A wish of an operator's: it comes into the rule in the change that begins its operation.
extension ClusterDirectory {
    /// What asking for something comes to.
    enum Asked {
        /// It is under way already.
        case goesOn(PlanetOperationID)
        /// It is in the rule, in the place of a former one.
        ///
        /// `spec`: what is noted there with it.
        case begins(OperationRecord, after: FormerWish?, spec: (@Sendable (inout ClusterSpec) -> Void)? = nil)
    }

    /// Asks by the rule as it is now; again when somebody else has changed it meanwhile.
    ///
    /// - Parameter wish: puts it into the rule.
    /// - Returns: the wish's id, which is its operation's too.
    func ask(
        of name: AppName,
        _ wish: (inout ClusterRule, Planet.ClusterRecords, ClusterSpec) throws(Refusal) -> Asked
    ) async throws(Refusal) -> PlanetOperationID {
        for _ in 0..<AppDirectory.triesMax {
            if let id = try await tryToAsk(of: name, wish) { return id }
        }
        throw Refusal(.unavailable, "too many changes at once; try again")
    }

    /// As ``ask(of:_:)``, once.
    ///
    /// - Parameter seen: the rule's revision, where the wish is for no other.
    /// - Returns: nil when somebody else has changed the rule, or a condition does not hold.
    @discardableResult
    func tryToAsk(
        of name: AppName, seeing seen: Int64? = nil, under conditions: [Transaction.Compare] = [],
        _ wish: (inout ClusterRule, Planet.ClusterRecords, ClusterSpec) throws(Refusal) -> Asked
    ) async throws(Refusal) -> PlanetOperationID? {
        let (records, spec, present) = try await ruling(name)
        if let seen, records.ruleRevision != seen { return nil }
        try await checkStoreIsNotBehind(records, name)
        var rule = present
        switch try wish(&rule, records, spec) {
        case .goesOn(let id): return id
        case .begins(let operation, let former, let note):
            let noted = try await noting(note, of: name)
            let isBegun = try await begin(
                operation, by: rule, of: name, over: records.ruleRevision, after: former,
                under: conditions + [noted?.compare].compactMap(\.self), with: [noted?.operation].compactMap(\.self))
            return isBegun ? operation.id : nil
        }
    }

    /// The one way into the rule of a wish that has an operation: with the operation's beginning, and with the end of the one
    /// that gives way to it; or nothing of it.
    ///
    /// - Parameter changes: what comes with it.
    /// - Returns: false when somebody else has changed the rule, or a condition does not hold.
    func begin(
        _ operation: OperationRecord, by rule: ClusterRule, of name: AppName, over revision: Int64,
        after former: FormerWish?, under conditions: [Transaction.Compare] = [],
        with changes: [Transaction.Operation] = []
    ) async throws(Refusal) -> Bool {
        let key = StoreKeys.clusterRule(name)
        let begun = try OperationDirectory.begin(operation)
        let ended = try await ending(former)
        let outcome = try await store.carryOut(
            Transaction(
                compares: conditions + [.modified(key: key, equals: Revision(revision)), begun.compare]
                    + [ended?.compare].compactMap(\.self),
                then: [try .put(rule, at: key)] + changes + [begun.operation]
                    + [ended?.operation].compactMap(\.self)))
        return outcome.succeeded
    }

    /// What changes the spec together with the rule; nil where there is nothing to be noted.
    func noting(_ note: ((inout ClusterSpec) -> Void)?, of name: AppName) async throws(Refusal) -> (
        compare: Transaction.Compare, operation: Transaction.Operation
    )? {
        let key = StoreKeys.clusterSpec(name)
        guard let note, var present = try await store.record(ClusterSpec.self, at: key) else { return nil }
        let former = present.record
        note(&present.record)
        guard present.record != former else { return nil }
        return (
            .modified(key: key, equals: present.revision), try .put(present.record, over: present.bytes, at: key)
        )
    }

    /// What ends a former wish's operation in the change that takes the wish away; nil where that has ended, or nobody knows
    /// how.
    func ending(_ former: FormerWish?) async throws(Refusal) -> (
        compare: Transaction.Compare, operation: Transaction.Operation
    )? {
        guard let former, let verdict = former.verdict, let id = try? PlanetOperationID(former.id) else { return nil }
        return try await OperationDirectory(store: store).ending(id, verdict, seeing: former.steps)
    }
}
