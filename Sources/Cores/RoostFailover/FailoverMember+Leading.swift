import RoostModel

// Office: lease, promotion, opening, crashes, switchover, resignation.
extension FailoverMember {
    mutating func claim(end: LSN?, _ now: Moment) {
        phase = .claiming(end: end)
        beatDueAt = now
        // Those that have answered have said so already.
        renewByWord(now)
    }

    func holdsLease(_ now: Moment) -> Bool {
        guard let leaseUntil else { return false }
        return now < leaseUntil
    }

    /// The first guard against two primaries.
    mutating func stopWithoutLease(_ now: Moment) {
        guard phase.mayBePrimary, !holdsLease(now) else { return }
        if case .draining(let drain) = phase, drain.step == .call { return }
        setGate(open: false)
        detail =
            leaseIsTheMembers
            ? "its lease was not renewed in time: too few other members are heard" : "the lease was not renewed in time"
        phase = .suspending
        start(.stop(.immediate))
    }

    /// The lease shows that the rule, read just now, still names this member.
    mutating func takeOffice(_ rule: ClusterRule, end: LSN?, _ now: Moment) {
        if rule.leader != name, rule.epoch == state.promised {
            // A store that went back has given the epoch to somebody else before this member began.
            leaveOffice()
            phase = .severing
            return start(.sever)
        }
        guard rule.leader == name, rule.epoch == state.promised, holdsLease(now), now >= retryAt else { return }
        guard let end else {
            phase = .restarting
            return startPrimary(rule)
        }
        guard let reign = rule.history.last, reign.epoch == rule.epoch, reign.leader == name else { return }
        let hasBegun = state.chain.last?.epoch == rule.epoch
        let fits = Lineage(chain: state.chain, end: end, history: rule.history) == .prefix
        // The new reign branches off exactly where this member said its log ends.
        guard fits, end == reign.begin else {
            // Begun, and died in the middle: what is beyond is its own. A second promotion would give one reign two
            // timelines, and nobody could tell it from one by hand: it asks for a reign that begins here.
            let isBrokenOff = fits && hasBegun && end > reign.begin
            return standDown(
                isBrokenOff
                    ? "its promotion for epoch \(rule.epoch) was broken off"
                    : "the rule lets it begin at \(reign.begin), but its log ends at \(end)", now)
        }
        detail = nil
        save {
            $0.chain = rule.history
            $0.timeline = rule.lastTimeline
        }
        phase = .promoting(end: end)
        let quorum = rule.commitQuorum
        start(
            .promote(
                epoch: rule.epoch, confirmations: quorum.confirmations, standbys: quorum.standbys,
                guests: quorum.guests))
        noteConfirming(by: quorum)
    }

    mutating func startPrimary(_ rule: ClusterRule) {
        let quorum = rule.commitQuorum
        start(
            .startPrimary(
                epoch: rule.epoch, confirmations: quorum.confirmations, standbys: quorum.standbys,
                guests: quorum.guests))
        noteConfirming(by: quorum)
    }

    mutating func promoted(at switchPoint: LSN, expected: LSN, timeline: UInt32, _ now: Moment) {
        let parent = reports.endTimeline
        reports.timeline = timeline
        guard switchPoint == expected else {
            // Others may already take what lies between for another epoch's. Nothing of it was ever open, and by its
            // timelines it shows that it diverged.
            return standDown("promoted at \(switchPoint) instead of \(expected)", now)
        }
        // Standbys were told of it beforehand. The next leader goes on from what this one has.
        guard timeline == parent + 1 else {
            return standDown("promoted to timeline \(timeline) instead of \(parent + 1)", now)
        }
        save { $0.led = max($0.led, $0.promised) }
        // Crashes of an earlier reign say nothing about this one.
        crashes = 0
        beginReign(now)
    }

    mutating func beginReign(_ now: Moment) {
        failures = 0
        shared.settle()
        phase = .leading(Reigning(soundSince: now, heardAt: now))
    }

    mutating func observedPrimary(_ sample: PrimaryObservation, _ now: Moment) {
        reports.timeline = sample.timeline
        let quorum = view?.rule?.commitQuorum
        let members = view?.rule?.members ?? []
        let others = (members + (quorum?.standbys ?? []) + (quorum?.guests ?? [])).filter { $0 != name }.unique
        streams.note(sample, of: others, patience: timings.confirmationPatience, now)
        switch phase {
        case .leading(var reigning):
            reigning.heardAt = now
            reports.note(sample)
            if now - reigning.soundSince >= timings.soundAfter {
                crashes = max(crashes - 1, 0)
                reigning.soundSince = now
            }
            if let why = loss(sample) { return standDown(why, because: .leaderLostLog, now) }
            weigh(sample, &reigning, now)
            phase = .leading(reigning)
            if reigning.isOpen, !gateIsOpen { open(now) }
        case .draining(var drain):
            drain.reigning.heardAt = now
            reports.note(sample)
            phase = .draining(drain)
        case .following, .waiting:
            strayed("somebody else promoted its Postgres, to timeline \(sample.timeline)", now)
        case .starting, .empty, .initializing, .founding, .severing, .reading, .cloning, .exchanging, .discarding,
            .rewinding, .claiming, .promoting, .restarting, .suspending, .quarantined, .resigning, .leaving:
            break
        }
    }

    /// Its disk has not what it said it had. In words; nil when nobody has more of this reign than its leader. An only
    /// member has nobody who could.
    private mutating func loss(_ sample: PrimaryObservation) -> String? {
        let more = shared.excess(over: sample)
        guard let rule = view?.rule, rule.members.count > 1 else { return nil }
        let why = "it has lost part of its own log, which ends at \(sample.flushed): "
        if let lost = state.chain.lost(by: name, end: sample.flushed) { return why + "it led from \(lost.end)" }
        if let own = state.timeline, sample.timeline < own {
            return why + "it is on timeline \(sample.timeline), and led on \(own)"
        }
        guard let more, breakage != .trustsShortLeader else { return nil }
        return why + "\(more.member) says that it has it up to \(more.end)"
    }

    /// May clients come in? Whatever they could see must be on enough standbys, *in bytes of this reign*: a longer
    /// log of older reigns would lose to a member that has one byte of a later, abandoned one.
    private mutating func weigh(_ sample: PrimaryObservation, _ reigning: inout Reigning, _ now: Moment) {
        guard let rule = view?.rule, let reign = state.chain.last else { return }
        if reigning.required == nil, sample.flushed > reign.begin { reigning.required = sample.flushed }
        let quorum = rule.commitQuorum
        noteIsolation(sample, &reigning, rule, now)
        reigning.leave = leave(reigning, rule, sample)
        guard !reigning.isOpen, let required = reigning.required else { return }
        if quorum.holds(sample.standbys, upTo: required) || breakage == .opensUnconfirmed {
            reigning.isOpen = true
        } else {
            let standbys = counted(quorum.confirmations, "standby has", plural: "standbys have")
            detail = "waits until \(standbys) its log up to \(required)"
        }
    }

    private mutating func open(_ now: Moment) {
        detail = nil
        if let reign = state.chain.last { noteOpen(reign) }
        setGate(open: true)
        beatDueAt = now
    }

    mutating func close(_ now: Moment) {
        guard gateIsOpen else { return }
        setGate(open: false)
        beatDueAt = now
    }

    mutating func reign(_ reigning: Reigning, _ rule: ClusterRule, _ now: Moment) {
        if now - reigning.heardAt >= timings.postgresSilenceMax {
            return crashed("Postgres does not answer", now)
        }
        if isIsolated(reigning, rule, now), !isPaused(now) {
            return standDown("too few standbys can reach it, while others could lead", now)
        }
        nameSystem(reigning, rule, now)
        markMajority(reigning, rule, now)
        if tendMembers(reigning, rule, now) { return }
        if let request = rule.switchover, request.refusal == nil {
            considerSwitchover(request, reigning, rule, now)
        } else {
            restartLeader(reigning, rule, now)
        }
    }

    /// So that nobody takes other data for the cluster's. Standbys stream from data of the same number only: what an open leader
    /// has is the cluster's. Where the rule has another number, somebody has written what is not so, and no copy is made until
    /// that is put right; or else the data here is of somewhere else. So others must have it now: one at least, also where a
    /// commit waits for none.
    private mutating func nameSystem(_ reigning: Reigning, _ rule: ClusterRule, _ now: Moment) {
        guard reigning.isOpen, gateIsOpen, case .primary(let sample)? = observation, let system = sample.system,
            system != rule.system
        else { return }
        if rule.system != nil {
            let others = CommitQuorum(
                confirmations: max(rule.confirmations, 1), standbys: rule.members.filter { $0 != name })
            guard now - observedAt <= timings.sampleAgeMax, others.holds(sample.standbys) else { return }
            // A host of a version before takes no other number: what else there is to write goes on.
            guard denial?.revision != view?.ruleRevision else { return }
        }
        var next = rule
        next.system = system
        changeRule(next, now)
    }

    /// The leader's Postgres is gone or hangs: closed at once, started again in place, a bounded number of times.
    mutating func crashed(_ reason: String, _ now: Moment) {
        switch phase {
        case .leading, .draining, .restarting:
            close(now)
            crashes += 1
            detail = reason
            // Without the store nobody could take over.
            if crashes > timings.restartsMax, let rule = view?.rule, rule.members.count > 1, !isPaused(now),
                isStoreThere(now)
            {
                return standDown(reason, now)
            }
            phase = .restarting
            if crashes > 1 { retryLater(reason, now) } else { retryAt = now }
        case .following:
            couldNotFollow(reason, now)
        case .waiting:
            retryLater(reason, now)
            phase = .reading
        case .starting, .empty, .initializing, .founding, .severing, .reading, .cloning, .exchanging, .discarding,
            .rewinding, .claiming, .promoting, .suspending, .quarantined, .resigning, .leaving:
            break
        }
    }

    /// Stops Postgres, then asks for a successor.
    mutating func standDown(
        _ reason: String, because cause: Recruitment.Reason = .leaderResigned, _ now: Moment
    ) {
        close(now)
        detail = reason
        resignation = cause
        phase = .resigning(hasStopped: false)
        failures = 0
        retryAt = now
        start(.stop(.immediate))
    }

    mutating func proposeSuccession(
        _ rule: ClusterRule, because cause: Recruitment.Reason = .leaderResigned, _ now: Moment
    ) {
        guard rule.recruitment == nil, rule.leader == name, !isPaused(now) else { return }
        var next = rule
        next.recruitment = Recruitment(epoch: rule.epoch.next, proposer: name, reason: cause)
        changeRule(next, now)
    }
}
