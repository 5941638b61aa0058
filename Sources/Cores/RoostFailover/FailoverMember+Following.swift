import RoostModel

// Getting data, and following a leader with it.
extension FailoverMember {
    /// There is no rule: the first member of the spec makes the cluster; the others wait.
    mutating func found(_ view: StoreView, _ now: Moment) {
        guard view.members.first == name, running == nil, now >= retryAt else { return }
        switch phase {
        case .starting, .empty:
            switch state.data {
            case .usable:
                phase = .founding
                createRule(view, now)
            case .empty:
                phase = .initializing
                start(.initialize)
            case .cloning, .rewinding, .spoiled, .exchanging:
                detail = "the cluster has no rule any more"
            }
        case .founding:
            createRule(view, now)
        case .initializing, .severing, .reading, .waiting, .cloning, .exchanging, .discarding, .rewinding, .following,
            .claiming, .promoting, .restarting, .leading, .draining, .suspending, .quarantined, .resigning, .leaving:
            // The cluster's records were removed while it ran: it is being destroyed.
            detail = "the cluster has no rule any more"
        }
    }

    /// A commit survives any `members / 2` losses, and a failover still finds enough members then.
    private mutating func createRule(_ view: StoreView, _ now: Moment) {
        guard state.chain == [Reign(epoch: .first, leader: name, begin: .zero)] else {
            detail = "has data of a cluster whose rule is gone; destroy the cluster, or restore its records"
            return
        }
        changeRule(
            ClusterRule(
                epoch: .first, leader: name, members: view.members, confirmations: view.members.count / 2,
                history: state.chain),
            now)
    }

    mutating func initialized(_ now: Moment) {
        failures = 0
        detail = nil
        let reign = Reign(epoch: .first, leader: name, begin: .zero)
        save {
            $0.promised = max($0.promised, .first)
            $0.chain = [reign]
            $0.timeline = 1
            $0.led = .first
            $0.keptSince = Epoch.none
            $0.data = .usable
        }
        phase = .founding
    }

    /// The first look at the rule after start; Postgres is stopped.
    mutating func awaken(_ rule: ClusterRule, _ now: Moment) {
        switch state.data {
        case .usable:
            if rule.recruitment == nil, rule.leader == name, rule.epoch == state.led,
                state.chain.last?.epoch == rule.epoch
            {
                claim(end: nil, now)
            } else {
                phase = .reading
                start(.readEnd)
            }
        case .exchanging:
            phase = .exchanging
            start(.exchange)
        case .empty, .cloning, .rewinding, .spoiled:
            phase = .empty
            if rule.recruitment == nil { acquireData(rule, now) }
        }
    }

    /// No data that counts: copy the leader's, once it has begun.
    mutating func acquireData(_ rule: ClusterRule, _ now: Moment) {
        if rule.leader == name {
            guard now >= retryAt else { return }
            // It lost its disk, or never had what the rule thinks.
            detail = "named leader without usable data"
            if rule.members.count > 1 { proposeSuccession(rule, now) }
            return
        }
        copy(rule, end: nil, nil, now)
    }

    mutating func rewound(_ repair: Repair, _ now: Moment) {
        failures = 0
        // Still `.rewinding`: its pages are newer than its log until it has streamed.
        save {
            $0.chain = repair.chain
            $0.timeline = repair.timeline
        }
        follow(repair.chain.last?.leader)
    }

    /// Detached, with a known end, and the rule is settled: lead, follow, or mend the data first.
    mutating func takePlace(_ rule: ClusterRule, end: LSN, _ now: Moment) {
        if rule.leader == name {
            guard now >= retryAt else { return }
            guard reports.divergence == nil || rule.members.count == 1 else { return proposeSuccession(rule, now) }
            return claim(end: end, now)
        }
        if let lost = state.chain.lost(by: name, end: end) ?? rule.history.lost(by: name, end: end),
            breakage != .followsAfterLoss
        {
            // Its pages may hold what its log has lost.
            let why = "has lost part of its own log: it ends at \(end), but this member led up to \(lost.end)"
            return copy(rule, end: end, why, now)
        }
        if breakage == .adoptsUnseen {
            save { $0.chain = rule.history }
            return follow(rule.leader)
        }
        if let divergence = reports.divergence {
            let why = "its log left the cluster's history at \(divergence.agreed): somebody else promoted its Postgres"
            // pg_rewind goes by numbers: one that the leader's history has too may be another fork.
            var isKnownApart = rule.lastTimeline.map { divergence.timeline > $0 } ?? false
            if case .foreign = Lineage(chain: state.chain, end: end, history: rule.history) { isKnownApart = false }
            guard isKnownApart else { return copy(rule, end: end, why, now) }
            return rewind(rule, end: end, agreed: divergence.agreed, why, now)
        }
        if let outgrown, outgrown.epoch == rule.epoch { return copy(rule, end: end, outgrown.reason, now) }
        switch Lineage(chain: state.chain, end: end, history: rule.history) {
        case .prefix:
            guard now >= retryAt else { return }
            detail = nil
            save {
                $0.chain = rule.history
                $0.timeline = rule.lastTimeline
            }
            follow(rule.leader, fork: fork(of: rule, end: end))
        case .beyond(let fork):
            let why = "has log up to \(end), and the cluster's history left it at \(fork)"
            rewind(rule, end: end, agreed: fork, why, now)
        case .foreign(let epoch):
            copy(rule, end: end, "has log of epoch \(epoch), which is not in the cluster's history", now)
        }
    }

    mutating func follow(_ leader: MemberName?, fork: TimelineFork? = nil) {
        guard let leader else { return }
        asksLeave = false
        phase = .following(leader)
        start(.follow(leader, epoch: state.promised, fork: fork))
    }

    /// Known beforehand for a member whose log ends on the timeline that the leader's leaves, and not beyond.
    private func fork(of rule: ClusterRule, end: LSN) -> TimelineFork? {
        guard let timeline = rule.timeline, timeline == reports.endTimeline + 1, let begin = rule.history.last?.begin,
            end <= begin
        else { return nil }
        return TimelineFork(timeline: timeline, begin: begin)
    }

    mutating func couldNotFollow(_ reason: String, _ now: Moment) {
        failures = max(failures, stumbles)
        retryLater(reason, now)
        stumbles = failures
        followFailed = true
        let isHopeless = failures >= timings.followFailuresMax && leaderLives(now)
        // A rewound folder is nothing by itself: without its leader's log it is not consistent.
        if state.data == .rewinding {
            if isHopeless { loseData(.cloning, reason) }
            return
        }
        if breakage == .givesUpWhatDoesNotStart, isHopeless { return loseData(.cloning, reason) }
        // Out of sight for a moment: what it has is looked at anew.
        phase = .severing
        start(.sever)
    }

    /// Whatever keeps Postgres from starting (no room, no memory, a fault of its own), its data stays. But a copy beside it
    /// takes nothing away.
    mutating func couldNotRead(_ reason: String, _ now: Moment) {
        retryLater(reason, now)
        guard failures >= timings.followFailuresMax, leaderLives(now), let rule = view?.rule, rule.recruitment == nil,
            rule.leader != name, rule.epoch == state.promised
        else { return }
        if breakage == .givesUpWhatDoesNotStart { return loseData(.cloning, reason) }
        guard !hasCopiedInVain else { return }
        begin(Copying(chain: rule.history, timeline: rule.lastTimeline, end: nil, isProven: false), from: rule)
    }

    /// What is there counts for nothing any more.
    mutating func loseData(_ data: DataState, _ reason: String) {
        save {
            $0.data = data
            $0.chain = []
            $0.timeline = nil
        }
        detail = reason
        phase = .severing
        start(.sever)
    }

    /// It cannot be, but is: somebody promoted this member's Postgres, or it has a timeline that no leader began. What
    /// it has up to there still counts, and what it shows must not be seen.
    mutating func strayed(_ reason: String, _ now: Moment) {
        guard breakage != .ignoresStrayPrimary else { return }
        detail = reason
        phase = .severing
        start(.sever)
    }

    /// The leader has no longer the log that this member needs. The data counts as before.
    mutating func outgrew(_ reason: String, _ now: Moment) {
        outgrown = Outgrown(reason: reason, epoch: state.promised)
        detail = reason
        phase = .severing
        start(.sever)
    }

    /// A leader sends only what is on its disk (walsender.c, XLogSendPhysical): having less than was sent, it has lost
    /// it, and a copy of it would lose it here too. Whoever has the most leads on.
    mutating func leaderLostLog(_ reason: String, _ now: Moment) {
        if breakage == .trustsShortLeader { return outgrew(reason, now) }
        detail = reason
        guard let rule = view?.rule, rule.recruitment == nil, rule.leader != name, rule.epoch == state.promised,
            proofOfReversal(rule) == nil, state.data == .usable, !isPaused(now), rule.members.contains(name)
        else { return }
        var next = rule
        next.recruitment = Recruitment(epoch: rule.epoch.next, proposer: name, reason: .leaderLostLog)
        changeRule(next, now)
    }

    mutating func observedStandby(_ sample: StandbyObservation, _ now: Moment) {
        guard case .following = phase else { return }
        if let timeline = state.timeline, sample.timeline > timeline {
            return strayed("its Postgres is on timeline \(sample.timeline), and the leader on \(timeline)", now)
        }
        guard sample.isStreaming else { return }
        failures = 0
        stumbles = 0
        hasCopiedInVain = false
        // It could not go on from a log that is not the leader's.
        reports.divergence = nil
        streamedAt = now
        detail = nil
        // It answers and streams: edges may bring readers. What one shows that is no member yet may be confirmed by nobody.
        if view?.rule?.members.contains(name) == true { setGate(open: true) }
        // Consistent (it answers) and in the stream of this epoch: only a leader of this epoch has the slot.
        if state.data == .rewinding { save { $0.data = .usable } }
    }

    /// Readers are let in by what the stream shows, and for as long; also when Postgres does not answer any more.
    mutating func closeAtStandstill(_ now: Moment) {
        guard case .following = phase, gateIsOpen, now - streamedAt >= timings.standstillMax,
            breakage != .servesWithoutStream
        else { return }
        setGate(open: false)
        detail = "its stream has stood still for \(timings.standstillMax.components.seconds) s"
    }
}
