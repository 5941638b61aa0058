import RoostModel

// Leaving a leader: the call, the fence, the promise, the answer, the decision.
extension FailoverMember {
    /// Calls a recruitment when the leader was silent while the store was not. Only after a linearizable read: what
    /// a watch does not show may simply not have arrived.
    mutating func callRecruitment(_ now: Moment) {
        guard let rule = view?.rule, mayCall(under: rule, now),
            let order = rule.members.filter({ $0 != rule.leader }).firstIndex(of: name)
        else { return }
        let patience = patience(now)
        var silentSince = max(newsAt, storeSince)
        if let heardAt = heardOpen(rule) {
            // It lives and serves: it is its way to the store that is ill, as with a stream that is still heard.
            silentSince = max(silentSince, min(heardAt, newsAt + (timings.patienceWhileStreaming - patience)))
        }
        let stagger = timings.stagger * order
        guard now - silentSince >= patience + stagger || hasSlowStore(forMoreThan: stagger, rule, now) else { return }
        callForSilence(rule, now)
    }

    /// The store has answered so often since the leader was last heard of that it is the leader who is silent, although after
    /// each gap it might have been the store.
    private func hasSlowStore(forMoreThan stagger: Duration, _ rule: ClusterRule, _ now: Moment) -> Bool {
        let heardAt = max(newsAt, heardOpen(rule) ?? newsAt)
        return storeHeardFor >= timings.patienceWithSlowStore + stagger
            && now - heardAt >= timings.patienceWithSlowStore + stagger
    }

    /// It is in a place from which to do without the leader of this rule.
    func mayCall(under rule: ClusterRule, _ now: Moment) -> Bool {
        guard rule.recruitment == nil, rule.leader != name, rule.epoch == state.promised, !isPaused(now),
            proofOfReversal(rule) == nil, state.data == .usable, rule.members.contains(name)
        else { return false }
        switch phase {
        case .following, .waiting, .cloning: return true
        case .starting, .empty, .initializing, .founding, .severing, .reading, .exchanging, .discarding, .rewinding,
            .claiming, .promoting, .restarting, .leading, .draining, .suspending, .quarantined, .resigning, .leaving:
            return false
        }
    }

    mutating func callForSilence(_ rule: ClusterRule, _ now: Moment) {
        var next = rule
        next.recruitment = Recruitment(
            epoch: rule.epoch.next, proposer: name, reason: .leaderSilent, target: rule.wishedLeader)
        changeRule(next, now)
    }

    private func patience(_ now: Moment) -> Duration {
        if case .standby(let sample)? = observation, hears(sample, now) { return timings.patienceWhileStreaming }
        return stream.wasBusy(at: newsAt, for: timings.streamBusyMin) ? timings.patienceAfterStream : timings.patience
    }

    /// The leader's Postgres speaks to ours.
    private func hears(_ sample: StandbyObservation, _ now: Moment) -> Bool {
        guard sample.isStreaming, let silence = sample.silence else { return false }
        return silence + (now - observedAt) < timings.streamSilenceMax
    }

    mutating func listen(to sample: StandbyObservation, _ now: Moment) {
        if hears(sample, now) { stream.heard(now, pauseMax: timings.streamSilenceMax) }
    }

    /// The rule, or another member, calls for a higher epoch than promised. Fence first, then the promise on disk, then the end of the
    /// log, then the answer: in any other order a byte could be acknowledged to the old leader after the answer.
    mutating func answerCall(of epoch: Epoch, _ now: Moment) {
        leaseUntil = nil
        switch phase {
        case .starting, .empty, .founding:
            // Postgres is stopped, and nothing starts it but an operation of the new epoch.
            promise(epoch)
        case .waiting, .reading:
            // Behind the fence already.
            promise(epoch)
            retryAt = now
        case .severing:
            // The last attempt failed; nothing may be promised before one succeeds.
            if running == nil, now >= retryAt { start(.sever) }
        case .initializing, .quarantined, .leaving:
            break
        case .cloning, .exchanging, .discarding, .rewinding, .following:
            if breakage == .answersBeforeFence, case .following = phase, case .standby(let sample)? = observation {
                promise(epoch)
                reports.premature = sample.received
                return
            }
            // What it said was about the leader that it leaves.
            detail = nil
            leaveLeader()
        case .claiming, .promoting, .restarting, .leading, .draining, .suspending, .resigning:
            // What it said may be why there is a call.
            leaveLeader()
        }
    }

    private mutating func leaveLeader() {
        leaveOffice()
        failures = 0
        phase = .severing
        start(.sever)
    }

    mutating func promise(_ epoch: Epoch) {
        let isDirect = view?.rule.map { epoch > $0.recruitment?.epoch ?? $0.epoch } ?? false
        if isDirect, breakage == .promisesInMemory {
            state.promised = epoch
            state.direct = epoch
            return
        }
        save {
            $0.promised = max($0.promised, epoch)
            if isDirect { $0.direct = epoch }
        }
    }

    mutating func severed(_ now: Moment) {
        failures = 0
        reports.premature = nil
        if let rule = view?.rule {
            if proofOfReversal(rule) != nil || absence(from: rule) != nil, state.data != .exchanging {
                phase = .quarantined
                return
            }
            promise(recruitment(under: rule)?.epoch ?? rule.epoch)
        }
        switch state.data {
        case .usable: phase = .reading
        case .exchanging: phase = .exchanging
        case .empty, .cloning, .rewinding, .spoiled: phase = .empty
        }
    }

    mutating func endWasRead(_ end: LSN, timeline: UInt32, _ forks: [TimelineFork], _ now: Moment) {
        failures = 0
        detail = nil
        reports.divergence =
            breakage == .trustsForeignBytes
            ? nil : Divergence(end: end, forks: forks, chain: state.chain, last: state.timeline)
        let end = reports.divergence?.agreed ?? end
        reports.timeline = timeline
        reports.endTimeline = timeline
        reports.replayed = end
        reports.end.isFenced(at: end)
        phase = .waiting(end: end)
    }

    mutating func leaveOffice() {
        setGate(open: false)
        leaseUntil = nil
        beats.removeAll()
        beatDueAt = .zero
    }

    /// Any member that sees enough answers decides; the store lets only one of them.
    mutating func elect(_ rule: ClusterRule, _ reports: [MemberReport], _ now: Moment) {
        var rule = rule
        if breakage == .decidesOnMovedRule, var former = summons?.rule, summons?.recruitment.epoch == state.promised {
            former.recruitment = rule.recruitment
            rule = former
        }
        guard let recruitment = rule.recruitment, rule.members.contains(name),
            let tally = RecruitmentTally(
                rule: rule, reports: answers(to: recruitment, rule, reports, now), breakage: breakage)
        else {
            sufficientSince = nil
            verdictSince = nil
            return
        }
        if case .waiting = phase { detail = tally.obstacle }
        guard tally.isSufficient else {
            sufficientSince = nil
            verdictSince = nil
            return
        }
        if sufficientSince?.epoch != recruitment.epoch {
            sufficientSince = SufficientSince(epoch: recruitment.epoch, moment: now)
        }
        let waited = sufficientSince.map { now - $0.moment } ?? .zero
        guard let next = tally.verdict(hasWaited: waited >= timings.decisionPatience) else {
            verdictSince = nil
            return
        }
        if rule.majority == true {
            if next.leader == name { stand(for: next, over: rule) }
            return
        }
        if verdictSince?.epoch != recruitment.epoch {
            verdictSince = SufficientSince(epoch: recruitment.epoch, moment: now)
        }
        // The store's yes is a lease, but only to the one that is chosen: decided by another, it hears of it by its watch
        // and has to ask for its lease then. So it has the first word.
        let passed = verdictSince.map { now - $0.moment } ?? .zero
        let revision = revisionToDecideOn(recruitment, now)
        if next.leader == name && revision != nil || passed >= timings.verdictPatience {
            changeRule(next, on: revision, now)
        }
    }
}

extension ClusterRule {
    /// Whom somebody wants to lead, while that stands. It may have left since: no host takes a call that names it.
    var wishedLeader: MemberName? {
        guard let switchover, switchover.refusal == nil, let target = switchover.target, members.contains(target) else {
            return nil
        }
        return target
    }
}

/// When the leader's Postgres was last heard, and since when without a pause.
struct StreamActivity: Hashable, Sendable {
    private var since = Moment.zero
    private var until = Moment.zero

    var heardAt: Moment? { until > .zero ? until : nil }

    mutating func heard(_ now: Moment, pauseMax: Duration) {
        if now - until > pauseMax { since = now }
        until = now
    }

    func wasBusy(at moment: Moment, for time: Duration) -> Bool { until >= moment && until - since >= time }
}
