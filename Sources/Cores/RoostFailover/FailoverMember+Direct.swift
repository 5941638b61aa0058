import RoostModel

// Recruitments and their answers straight from member to member. Nothing rests on a call but that a member leaves its leader:
// what decides is the fence, the promise on disk, the answer, and the store's compare-and-swap or the members' votes.
extension FailoverMember {
    /// A recruitment that this member heard of directly, or has called: until the store has it, or another rule.
    struct Summons: Hashable, Sendable {
        var recruitment: Recruitment
        /// Of the rule that it is called under.
        var revision: Int64
        /// Of the rule that has it and has changed in nothing else.
        var stored: Int64?
        var since: Moment
        /// Only with ``Breakage/decidesOnMovedRule``.
        @Apart var rule: ClusterRule?
    }

    /// What members are called to under this rule: by the rule itself, by what this member has promised directly, or by a call
    /// that it heeds. Nil: they follow its leader.
    func recruitment(under rule: ClusterRule) -> Recruitment? {
        if rule.majority == true, let summons, summons.recruitment.epoch > max(state.promised, rule.called) {
            return summons.recruitment
        }
        let isBeyond = hasPromisedDirectly(beyond: rule)
        if !isBeyond, let stored = rule.recruitment { return stored }
        if isBeyond {
            if let summons, summons.recruitment.epoch == state.promised { return summons.recruitment }
            return call(of: state.promised, by: name, rule)
        }
        guard let summons, summons.revision == view?.ruleRevision, rule.epoch == state.promised,
            summons.recruitment.epoch == rule.epoch.next
        else { return nil }
        return summons.recruitment
    }

    /// The store does not call for what this member has promised: its promise came first.
    func hasPromisedDirectly(beyond rule: ClusterRule) -> Bool {
        // What a host had heard last need not have the call that was answered.
        guard state.direct == state.promised || goesByKept && rule.majority == true else { return false }
        if rule.majority == true { return state.promised > rule.called }
        return rule.recruitment == nil && state.promised == rule.epoch.next
    }

    private func call(of epoch: Epoch, by proposer: MemberName, _ rule: ClusterRule) -> Recruitment {
        Recruitment(epoch: epoch, proposer: proposer, reason: .leaderSilent, target: rule.wishedLeader)
    }

    /// Writes the recruitment to the store and says it to the others, who need not wait for the store.
    mutating func callDirectly(_ rule: ClusterRule, _ now: Moment) {
        let canBeStored = ruleChange == nil && now >= ruleChangeDueAt && mayBeDecided(now)
        guard canBeStored || rule.majority == true else { return }
        callForSilence(rule, now)
        summon(to: rule.epoch.next, by: name, rule, now)
    }

    /// A call counts for whoever misses the leader too: one that is merely cut off takes nobody from a leader that is well.
    mutating func heedCalls(_ rule: ClusterRule, _ now: Moment) {
        guard summons == nil, listening.missesLeader, mayCall(under: rule, now),
            mayBeDecided(now) || rule.majority == true, let revision = view?.ruleRevision,
            let caller = memberVoices(rule).first(where: { voice in
                guard let call = voice.beat.call, voice.beat.member != rule.leader else { return false }
                return (call.revision == revision || rule.majority == true) && call.epoch == rule.epoch.next
                    && listening.hearing.hears(voice, now, timings)
            })
        else { return }
        summon(to: rule.epoch.next, by: caller.beat.member, rule, now)
    }

    /// While the store is away nobody is chosen, and a promise cannot be taken back: the leader could be heard again.
    private func mayBeDecided(_ now: Moment) -> Bool { isStoreThere(now) || breakage == .callsWithoutStore }

    mutating func summon(to epoch: Epoch, by caller: MemberName, _ rule: ClusterRule, _ now: Moment) {
        summons = Summons(
            recruitment: call(of: epoch, by: caller, rule), revision: view?.ruleRevision ?? 0, since: now,
            rule: breakage == .decidesOnMovedRule ? rule : nil)
    }

    /// Forgets a call that has come to nothing, or to its end.
    mutating func dropSummons(_ rule: ClusterRule, _ now: Moment) {
        guard let summons else { return }
        let isOver = rule.epoch >= summons.recruitment.epoch || state.promised > summons.recruitment.epoch
        let isHeeded = state.promised == summons.recruitment.epoch
        let isLate = now - summons.since >= timings.callMax
        let isMoved = rule.majority != true && summons.revision != view?.ruleRevision
        if isOver || !isHeeded && (isLate || isMoved) { self.summons = nil }
    }

    /// What this member says to the others of it.
    func directCall(_ now: Moment) -> DirectCall? {
        guard let summons, summons.recruitment.proposer == name, now - summons.since < timings.callMax,
            let rule = view?.rule, rule.epoch < summons.recruitment.epoch
        else { return nil }
        return DirectCall(epoch: summons.recruitment.epoch, revision: summons.revision, stored: summons.stored)
    }

    /// The leader that is left answers through the store: what it may have lost is seen there.
    func directAnswer(_ now: Moment) -> DirectAnswer? {
        guard let report = answerReport(now), breakage != .reportsPromisedEpoch, let rule = view?.rule,
            rule.leader != name || rule.majority == true, rule.members.contains(name)
        else { return nil }
        return DirectAnswer(report, of: rule.history)
    }

    /// The store has the recruitment: others may decide on that revision before their watch shows it.
    mutating func noteStored(_ change: ClusterRule, _ revision: Int64) {
        if let summons, change.recruitment == summons.recruitment, change.epoch < summons.recruitment.epoch {
            self.summons?.stored = revision
        }
    }

    // MARK: - Deciding

    /// With what members have said directly in place of what the store has of them, and this member's own answer, which the
    /// store need not have yet.
    func answers(to recruitment: Recruitment, _ rule: ClusterRule, _ stored: [MemberReport], _ now: Moment)
        -> [MemberReport]
    {
        var direct: [MemberReport] = []
        for voice in listening.hearing.voices where voice.beat.member != rule.leader || rule.majority == true {
            let isOfNow = listening.hearing.hears(voice, now, timings)
            guard let answer = voice.beat.answer, isOfNow || breakage == .countsForeignAnswers,
                var report = answer.report(of: voice.beat.member, by: rule.history)
            else { continue }
            if breakage == .countsForeignAnswers { report.promised = recruitment.epoch }
            if report.promised == recruitment.epoch { direct.append(report) }
        }
        if rule.leader != name || rule.majority == true, let own = answerReport(now) { direct.append(own) }
        return stored.filter { report in !direct.contains { $0.member == report.member } } + direct
    }

    /// The revision on which to decide: of the rule as this member knows it, and the recruitment. Nil: the store may have taken
    /// the recruitment, and this member does not know that revision yet. A caller that has fallen silent is not asked, as in
    /// all else that is said directly: the store may have gone on since.
    func revisionToDecideOn(_ recruitment: Recruitment, _ now: Moment) -> Int64? {
        guard let view, let rule = view.rule else { return nil }
        if rule.recruitment != nil { return view.ruleRevision }
        let heard = listening.hearing.voices.first { voice in
            guard let call = voice.beat.call, call.stored != nil else { return false }
            return call.epoch == recruitment.epoch && call.revision == view.ruleRevision
                && listening.hearing.hears(voice, now, timings)
        }
        if let stored = heard?.beat.call?.stored { return stored }
        // Its own question is answered by the time it may ask another.
        return recruitment.proposer == name ? view.ruleRevision : nil
    }

    /// A promise that the store does not call for binds this member to nobody: it has the store call for it. Also in a pause,
    /// which can only have come after the promise.
    mutating func storePromise(_ rule: ClusterRule, _ now: Moment) {
        guard rule.majority != true, hasPromisedDirectly(beyond: rule), let recruitment = recruitment(under: rule)
        else {
            unstoredSince = nil
            return
        }
        let since = unstoredSince ?? now
        unstoredSince = since
        guard now >= since + unstoredWait(rule) else { return }
        var next = rule
        // Whoever called, or was to lead, may be no member any more: its host would not take that.
        let isOfMembers = ([recruitment.proposer] + [recruitment.target].compactMap(\.self)).allSatisfy(
            rule.members.contains)
        next.recruitment = isOfMembers ? recruitment : call(of: state.promised, by: name, rule)
        changeRule(next, now)
    }

    /// Who called writes it again at once; the others one after the other.
    func unstoredWait(_ rule: ClusterRule) -> Duration {
        if let summons, summons.recruitment.proposer == name, summons.recruitment.epoch == state.promised {
            return .zero
        }
        return timings.unstoredPatience + timings.stagger * rule.members.prefix { $0 != name }.count
    }
}
