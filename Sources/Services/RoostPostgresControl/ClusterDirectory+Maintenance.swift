import RoostControl
import RoostLinux
import RoostModel
import RoostPlanet
import RoostStore
import RoostWire

// What an operator asks of a cluster that runs. It is in the rule, so that it is in force for a member from the moment on in
// which that member could change anything.
extension ClusterDirectory {
    /// Keeps the leader for so long from now on. Asked again, it is counted anew.
    func pause(_ name: AppName, for length: Duration) async throws(Refusal) {
        guard length > .zero, length <= WishTerm.lengthMax else {
            throw Refusal(
                .invalid, "a pause has 1 to \(WishTerm.lengthMax.components.seconds) seconds; ask again for more")
        }
        try await changeRule(of: name) { rule, records throws(Refusal) in
            guard rule.recruitment == nil else {
                throw Refusal(.failedPrecondition, "the cluster is changing its leader at this moment; try again")
            }
            try Self.check(rule.members, have: .pause, records.reports)
            var pause = WishTerm(beganAt: WallClock.milliseconds(), length: length)
            if let former = rule.pause { pause.unknown = former.unknown }
            rule.pause = pause
        }
    }

    /// Ends a pause; where there is none, nothing is changed.
    ///
    /// - Returns: the pause that the rule had, over or not.
    @discardableResult
    func resume(_ name: AppName) async throws(Refusal) -> WishTerm? {
        var found: WishTerm?
        try await changeRule(of: name) { rule, _ throws(Refusal) in
            found = rule.pause
            rule.pause = nil
        }
        return found
    }

    /// Has members start their Postgres anew. One that is asked for again while it goes on is that one.
    ///
    /// - Parameters:
    ///   - member: nil: all.
    ///   - voices: what is left of a restart that there is, as of before this was asked for.
    /// - Returns: the wish's id, which is its operation's too.
    func requestRestart(
        of name: AppName, _ member: MemberName?, handsOver: Bool, within limit: Duration,
        hearing voices: ClusterVoices = ClusterVoices()
    ) async throws(Refusal) -> PlanetOperationID {
        guard limit > .zero, limit <= WishTerm.lengthMax else {
            throw Refusal(.invalid, "a restart has 1 to \(WishTerm.lengthMax.components.seconds) seconds")
        }
        return try await ask(of: name) { rule, records, spec throws(Refusal) in
            if let member, !rule.members.contains(member) { throw MemberWish.stranger(member, rule) }
            if let former = rule.restart, Self.goesOn(former, hearing: voices) {
                let all = Set(former.left + former.done)
                let isSame = member.map { former.left.contains($0) } ?? (all == Set(rule.members))
                if isSame, former.handsOver == handsOver, let id = try? PlanetOperationID(former.id) {
                    return .goesOn(id)
                }
                throw Refusal(
                    .failedPrecondition,
                    "another restart is under way, operation \(former.id); wait for it (roost operations show \(former.id)), "
                        + "or take it back (roost pg restart \(name) --cancel)")
            }
            let wanted = member.map { [$0] } ?? rule.members.filter { $0 != rule.leader } + [rule.leader]
            try Self.check(wanted, have: .restart, records.reports)
            let former = rule.restart.map { former in
                ClusterOperations.former(former, left: voices.left(of: former.term, at: WallClock.milliseconds()))
            }
            let id = OperationDirectory.makeID()
            rule.restart = RestartRequest(
                id: id.text, members: wanted, handsOver: handsOver,
                term: WishTerm(beganAt: WallClock.milliseconds(), length: limit))
            return .begins(Self.operation(id, .restart, on: spec), after: former)
        }
    }

    /// Takes a restart back: whoever has begun ends it, and nobody else begins.
    ///
    /// - Parameter voices: as for ``requestRestart(of:_:handsOver:within:hearing:)``.
    /// - Returns: whether one was under way.
    @discardableResult
    func cancelRestart(of name: AppName, hearing voices: ClusterVoices = ClusterVoices()) async throws(Refusal) -> Bool
    {
        var wasUnderWay = false
        try await changeRule(of: name) { rule, _ throws(Refusal) in
            wasUnderWay = rule.restart.map { Self.goesOn($0, hearing: voices) } ?? false
            if wasUnderWay { rule.restart?.refusal = "it was taken back" }
        }
        return wasUnderWay
    }

    /// Members may still begin.
    static func goesOn(
        _ restart: RestartRequest, hearing voices: ClusterVoices, at wallClock: Int64 = WallClock.milliseconds()
    ) -> Bool {
        !restart.hasEnded && voices.left(of: restart.term, at: wallClock) > .zero
    }

    /// Changes the rule as it is now; again when somebody else has changed it meanwhile.
    func changeRule(
        of name: AppName, _ change: (inout ClusterRule, Planet.ClusterRecords) throws(Refusal) -> Void
    ) async throws(Refusal) {
        let key = StoreKeys.clusterRule(name)
        for _ in 0..<AppDirectory.triesMax {
            let (records, _, present) = try await ruling(name)
            try await checkStoreIsNotBehind(records, name)
            var rule = present
            try change(&rule, records)
            guard rule != present else { return }
            let outcome = try await store.carryOut(
                Transaction(
                    compares: [.modified(key: key, equals: Revision(records.ruleRevision))],
                    then: [try .put(rule, at: key)]))
            if outcome.succeeded { return }
        }
        throw Refusal(.unavailable, "too many changes at once; try again")
    }

    /// The records of a cluster that is initialised.
    func ruling(_ name: AppName) async throws(Refusal) -> (
        records: Planet.ClusterRecords, spec: ClusterSpec, rule: ClusterRule
    ) {
        guard let records = try await read(name).clusters[name], let spec = records.spec else {
            throw Refusal(.notFound, "Postgres cluster \(name) not found")
        }
        guard !spec.isDestroying, let rule = records.rule else {
            throw Refusal(
                .failedPrecondition,
                "Postgres cluster \(name) is \(spec.isDestroying ? "being destroyed" : "not initialised yet")")
        }
        return (records, spec, rule)
    }

    /// Members that know better than the store do nothing that is asked for there. Where the others can do it without them, it
    /// is asked: the word of one that is wrong, or that somebody else has put into its mouth, forbids nothing for ever. Nor does
    /// that of the one whose removal is asked for, or of one that is not heard any more.
    func checkStoreIsNotBehind(
        _ records: Planet.ClusterRecords, _ name: AppName, leaving: MemberName? = nil
    ) async throws(Refusal) {
        // Who is heard costs a question, which most of the time nobody needs to ask.
        guard !records.objectors(leaving: leaving).isEmpty else { return }
        let objectors = records.objectors(leaving: leaving, silent: await silent(name))
        guard !objectors.isEmpty else { return }
        throw Refusal(
            .failedPrecondition,
            "the store has gone back to an older copy, says \(objectors.map(\.text).joined(separator: ", ")), and members wait "
                + "until its rule is put right: roost pg recover \(name)")
    }

    /// A member whose program does not know a wish acts against it.
    static func check(_ members: [MemberName], have skill: MemberSkill, _ reports: [MemberName: MemberReport])
        throws(Refusal)
    {
        let without = members.filter { reports[$0]?.skills?.contains(skill) != true }
        guard without.isEmpty else {
            throw Refusal(
                .failedPrecondition,
                "the program of \(without.map(\.text).joined(separator: ", ")) cannot do it, or has not said so; "
                    + "give each a newer image and restart its machine, or have it replaced: roost pg member replace")
        }
    }
}
