import RoostModel

// Members that come and go. The leader takes one step at a time: only it knows who streams, and what its Postgres confirms
// by. A step is the change of the rule that names or drops a member. It comes after Postgres where that has to ask more of a
// commit than before, and before it where it may ask less; and never before Postgres has followed the step before.
extension FailoverMember {
    /// A preparation on its way, and what it lacks.
    struct Preparation: Hashable, Sendable {
        /// The request.
        var id: String
        var since: Moment
        /// Enough must have this much: all that was confirmed before Postgres asked for it.
        var required: LSN?
    }

    /// Preparations of one step that came to nothing.
    struct Fruitless: Hashable, Sendable {
        /// The request.
        var id: String
        var step: MemberChange.Step
        var count = 0
    }

    /// Has Postgres confirm by what the rule asks for, and takes the next step of a change when it may.
    ///
    /// - Returns: whether something was begun that all else has to wait for.
    mutating func tendMembers(_ reigning: Reigning, _ rule: ClusterRule, _ now: Moment) -> Bool {
        guard running == nil else { return false }
        let quorum = wantedQuorum(reigning, rule, now)
        let isOver = preparationIsOver(rule, now)
        if confirmsBy != quorum {
            // It has not come about that Postgres asks for more: the rule's own members go on without it.
            if isOver { return takeBack(rule, now) }
            // One that does not answer is not asked: it is its silence that counts.
            guard now >= retryAt, case .primary? = observation, now - observedAt <= timings.sampleAgeMax else {
                return false
            }
            preparation?.required = nil
            start(
                .confirmBy(
                    epoch: rule.epoch, confirmations: quorum.confirmations, standbys: quorum.standbys,
                    guests: quorum.guests))
            confirmsBy = quorum
            return true
        }
        guard let change = rule.change, let step = change.current, ruleChange == nil else { return false }
        if let why = refusal(of: step, rule) { return refuseChange(because: why, rule, now) }
        guard case .primary(let sample)? = observation, now - observedAt <= timings.sampleAgeMax else { return false }
        guard rule.membersAfter(step) != nil else { return take(step, rule, now) }
        if change.isPrepared == true { return goOnPrepared(step, quorum, rule, sample, isOver: isOver, now) }
        guard reigning.isOpen, gateIsOpen, obstacle(to: step, rule, now) == nil else { return false }
        let becomesEven = !rule.members.count.isMultiple(of: 2)
        guard becomesEven, breakage != .namesUnprepared, breakage != .stepsAhead else { return take(step, rule, now) }
        guard now >= prepareAt || fruitless?.id != change.id else { return false }
        preparation = Preparation(id: change.id, since: now)
        if fruitless?.id != change.id || fruitless?.step != step { fruitless = Fruitless(id: change.id, step: step) }
        var next = rule
        next.change?.isPrepared = true
        changeRule(next, now)
        return true
    }

    private func wantedQuorum(_ reigning: Reigning, _ rule: ClusterRule, _ now: Moment) -> CommitQuorum {
        if breakage == .asksLessFirst, reigning.isOpen, rule.members.count.isMultiple(of: 2),
            let step = rule.change?.current,
            rule.membersAfter(step) != nil, step.member != name, obstacle(to: step, rule, now) == nil
        {
            return rule.taking(step).commitQuorum
        }
        if breakage == .stepsAhead, rule.change?.current != nil, var quorum = confirmsBy {
            let all = rule.members + [rule.joining].compactMap(\.self)
            quorum.guests = all.filter { $0 != name && !quorum.standbys.contains($0) }
            return quorum
        }
        return rule.commitQuorum
    }

    /// Commits may wait for it from the moment in which it is prepared, whatever comes of that.
    private mutating func preparationIsOver(_ rule: ClusterRule, _ now: Moment) -> Bool {
        guard let change = rule.change, change.isPrepared == true, let step = change.current,
            rule.membersAfter(step) != nil
        else {
            // Taken, or taken back; or its change is on its way.
            if ruleChange == nil { preparation = nil }
            return false
        }
        let known = preparation.flatMap { $0.id == change.id ? $0 : nil } ?? Preparation(id: change.id, since: now)
        preparation = known
        return now - known.since >= timings.preparationPatience
    }

    /// Postgres asks for more already: everything before must be there, too, before less than all of the members of before
    /// can decide who leads.
    private mutating func goOnPrepared(
        _ step: MemberChange.Step, _ quorum: CommitQuorum, _ rule: ClusterRule, _ sample: PrimaryObservation,
        isOver: Bool, _ now: Moment
    ) -> Bool {
        let required = preparation?.required ?? sample.flushed
        preparation?.required = required
        let isThere = step.kind != .add || sample.standbys.contains { $0.member == step.member && $0.isStreaming }
        if isThere, quorum.holds(sample.standbys, upTo: required) || breakage == .namesUnproven {
            return take(step, rule, now)
        }
        // Commits wait for it. It streams again, or does not: until then the rule's own members do.
        return isOver && takeBack(rule, now)
    }

    private mutating func takeBack(_ rule: ClusterRule, _ now: Moment) -> Bool {
        guard ruleChange == nil else { return true }
        // Each try has commits wait. Where it takes long it takes longer the next time, too.
        let doubled = timings.preparationPause * (1 << min(fruitless?.count ?? 0, 10))
        prepareAt = now + min(doubled, timings.preparationPauseMax)
        fruitless?.count += 1
        var next = rule
        next.change?.isPrepared = nil
        changeRule(next, now)
        return true
    }

    private mutating func take(_ step: MemberChange.Step, _ rule: ClusterRule, _ now: Moment) -> Bool {
        let next = rule.taking(step)
        // Before it can be so: a process that starts without the store must know.
        save { $0.asked = Membership(of: next) }
        changeRule(next, now)
        return true
    }

    private mutating func refuseChange(because why: String, _ rule: ClusterRule, _ now: Moment) -> Bool {
        var next = rule
        next.change?.refusal = why
        next.change?.isPrepared = nil
        changeRule(next, now)
        return true
    }

    /// Why nobody can carry it out, now or later.
    private func refusal(of step: MemberChange.Step, _ rule: ClusterRule) -> String? {
        switch step.kind {
        case .unknown(let word): return "\(name) does not know how to \(word) a member"
        case .add:
            if rule.members.count >= PostgresNames.membersMax, !rule.members.contains(step.member) {
                return "a cluster has at most \(PostgresNames.membersMax) members"
            }
        case .remove:
            if step.member == name { return "\(step.member) leads: switch over to another first" }
            // More than half of two are both.
            if rule.majority == true, rule.members.count == 3, rule.members.contains(step.member) {
                return "two members that vote go on without neither: add another first"
            }
        }
        if rule.confirmations != ClusterRule.confirmations(of: rule.members.count) {
            return "the rule asks for \(rule.confirmations) confirmations of \(rule.members.count) members"
        }
        return nil
    }

    /// Postgres is being made a primary that confirms by it.
    mutating func noteConfirming(by quorum: CommitQuorum) {
        confirmsBy = quorum
        preparation?.required = nil
    }

    mutating func confirmingChanged(_ reigning: Reigning, _ outcome: OperationOutcome, _ now: Moment) {
        var reigning = reigning
        // It was not asked anything meanwhile, whatever came of it.
        reigning.heardAt = now
        if case .failed(let reason) = outcome {
            confirmsBy = nil
            retryLater(reason, now)
        } else {
            failures = 0
            detail = nil
            // From here on it is the members that are waited for.
            preparation?.since = now
        }
        phase = .leading(reigning)
    }

    /// What the next step waits for; nil when it can be taken, or when its refusal is on its way.
    private func obstacle(to step: MemberChange.Step, _ rule: ClusterRule, _ now: Moment) -> String? {
        guard let members = rule.membersAfter(step) else { return nil }
        if step.kind == .add, !streams.standbys.contains(where: { $0.member == step.member && $0.isConfirming }) {
            return "until \(step.member) streams"
        }
        if step.kind == .add, lacksMajority(step.member, rule, now) {
            return
                "until \(step.member) is heard, and has said that its program knows how members decide by more than half"
        }
        if rule.majority == true, breakage != .stepsUnwritten,
            ![rule.members, members].allSatisfy({ haveWrittenDown($0, rule) })
        {
            return "until more than half of the members have written down the step before"
        }
        let confirming = streams.standbys.filter { $0.isConfirming && members.contains($0.member) }
        let needed = ClusterRule.confirmations(of: members.count)
        return confirming.count < needed
            ? "until \(counted(needed, "other standby confirms", plural: "other standbys confirm"))" : nil
    }

    /// More than half of these know the present members, and had promised nothing later when they knew. Whoever decides by the members
    /// of a step before asks one of them, too: so no two decisions are made by members that are two steps apart, and need have
    /// nobody in common. One that has promised more may have voted before it knew.
    private func haveWrittenDown(_ members: [MemberName], _ rule: ClusterRule) -> Bool {
        let changes = rule.changes ?? 0
        // There was none.
        guard changes > 0 else { return true }
        let knowing = members.count { member in
            if member == name { return state.membership?.changes ?? 0 >= changes }
            let report = view?.reports.first { $0.member == member }
            return report?.promised == rule.epoch && report?.memberChanges ?? 0 >= changes
        }
        return knowing * 2 > members.count
    }

    /// Of the leader, for people.
    func changeWords(_ now: Moment) -> String? {
        guard case .leading(let reigning) = phase, let rule = view?.rule, let change = rule.change,
            let step = change.current
        else { return nil }
        let what = step.kind == .add ? "\(step.member) becomes a member" : "\(step.member) leaves"
        if !reigning.isOpen { return "\(what) when clients are let in" }
        if change.isPrepared == true { return "\(what) when enough standbys have what was confirmed before" }
        return obstacle(to: step, rule, now).map { "\(what), but not \($0)" }
    }

    // MARK: - Who is no member

    /// Every later rule has them, or others that came after them.
    mutating func noteMembership(_ rule: ClusterRule) {
        if rule.changes ?? 0 > state.membership?.changes ?? 0 { save { $0.membership = Membership(of: rule) } }
        // It was taken, or its rule is no more: what was asked over an older one comes to nothing.
        if let asked = state.asked, hasRead, rule.changes ?? 0 >= asked.changes || rule.change?.current == nil {
            save { $0.asked = nil }
        }
    }

    /// Why this member takes no part; nil when it does.
    func absence(from rule: ClusterRule) -> String? {
        if rule.members.contains(name) || rule.joining == name { return nil }
        if let forced = rule.forced, forced.givenUp.contains(name) {
            return "is no member any more: a person has decided a failover to \(forced.member) without it (epoch "
                + "\(forced.epoch)); \(ownEnd). Nothing here is changed, and what is here may be nowhere else"
        }
        let isWanted =
            rule.change?.refusal == nil && rule.change?.left.contains { $0.member == name && $0.kind == .add } == true
        return isWanted
            ? "waits for its turn to become a member" : "is no member of the cluster: nothing that is here counts"
    }
}

extension [MemberName] {
    /// Each once, in the order in which they come.
    var unique: [MemberName] {
        reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }
}
