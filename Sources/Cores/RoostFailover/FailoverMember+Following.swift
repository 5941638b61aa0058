import RoostModel

// Getting data, and following a leader with it.
extension FailoverMember {
    /// There is no rule: the first member of the spec makes the cluster; the others wait.
    mutating func found(_ view: StoreView, _ now: Moment) {
        guard view.members.first == name, running == nil, now >= retryAt else { return }
        switch phase {
        case .starting, .empty:
            if state.data == .usable {
                phase = .founding
                createRule(view, now)
            } else {
                phase = .initializing
                start(.initialize)
            }
        case .founding:
            createRule(view, now)
        case .initializing, .severing, .reading, .waiting, .cloning, .rewinding, .following, .claiming, .promoting,
            .restarting, .leading, .draining, .suspending, .resigning, .leaving:
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
            $0.led = .first
            $0.data = .usable
        }
        phase = .founding
    }

    /// The first look at the rule after start; Postgres is stopped.
    mutating func awaken(_ rule: ClusterRule, _ now: Moment) {
        if state.data != .usable {
            phase = .empty
        } else if rule.recruitment == nil, rule.leader == name, rule.epoch == state.led,
            state.chain.last?.epoch == rule.epoch
        {
            claim(end: nil, now)
        } else {
            phase = .reading
        }
        if rule.recruitment == nil, case .empty = phase { acquireData(rule, now) }
        if case .reading = phase { start(.readEnd) }
    }

    /// No data: copy the leader's, once it has begun.
    mutating func acquireData(_ rule: ClusterRule, _ now: Moment) {
        guard now >= retryAt else { return }
        if rule.leader == name {
            // It lost its disk, or never had what the rule thinks.
            detail = "named leader without usable data"
            if rule.members.count > 1 { proposeSuccession(rule, now) }
            return
        }
        guard leaderLives(now) else {
            detail = "waits for \(rule.leader) to copy from"
            return
        }
        detail = nil
        clone(rule)
    }

    private mutating func clone(_ rule: ClusterRule) {
        phase = .cloning(Repair(chain: rule.history, former: state.chain, data: state.data))
        save {
            $0.data = .cloning
            $0.chain = []
        }
        start(.clone(from: rule.leader, epoch: rule.epoch))
    }

    mutating func cloned(_ chain: [Reign], _ now: Moment) {
        failures = 0
        save {
            $0.data = .usable
            $0.chain = chain
        }
        follow(chain.last?.leader)
    }

    mutating func rewound(_ chain: [Reign], _ now: Moment) {
        failures = 0
        // Still `.rewinding`: its pages are newer than its log until it has streamed.
        save { $0.chain = chain }
        follow(chain.last?.leader)
    }

    /// Detached, with a known end, and the rule is settled: lead, follow, or mend the data first.
    mutating func takePlace(_ rule: ClusterRule, end: LSN, _ now: Moment) {
        guard now >= retryAt else { return }
        if rule.leader == name { return claim(end: end, now) }
        if breakage == .adoptsUnseen {
            save { $0.chain = rule.history }
            return follow(rule.leader)
        }
        switch Lineage(chain: state.chain, end: end, history: rule.history) {
        case .prefix:
            detail = nil
            save { $0.chain = rule.history }
            follow(rule.leader, fork: fork(of: rule, end: end))
        case .beyond(let fork):
            detail = "has log up to \(end), but \(rule.leader) began at \(fork)"
            guard leaderLives(now) else { return }
            phase = .rewinding(Repair(chain: rule.history, former: state.chain, data: state.data))
            save { $0.data = .rewinding }
            start(.rewind(to: rule.leader, epoch: rule.epoch))
        case .foreign(let epoch):
            detail = "has log of epoch \(epoch), which is not in the cluster's history"
            guard leaderLives(now) else { return }
            clone(rule)
        }
    }

    mutating func follow(_ leader: MemberName?, fork: TimelineFork? = nil) {
        guard let leader else { return }
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

    /// The data cannot be mended: behind the fence, then clone.
    mutating func giveUpData(_ reason: String, _ now: Moment) {
        save {
            $0.data = .cloning
            $0.chain = []
        }
        detail = reason
        phase = .severing
        start(.sever)
    }

    mutating func couldNotFollow(_ reason: String, _ now: Moment) {
        retryLater(reason, now)
        followFailed = true
        if failures >= timings.followFailuresMax, leaderLives(now) { giveUpData(reason, now) }
    }

    mutating func couldNotRead(_ reason: String, _ now: Moment) {
        retryLater(reason, now)
        guard failures >= timings.followFailuresMax, leaderLives(now), let rule = view?.rule, rule.recruitment == nil,
            rule.leader != name
        else { return }
        giveUpData(reason, now)
    }

    mutating func observedStandby(_ sample: StandbyObservation, _ now: Moment) {
        guard case .following = phase, sample.isStreaming else { return }
        failures = 0
        streamedAt = now
        detail = nil
        // It answers and streams: edges may bring readers.
        setGate(open: true)
        // Consistent (it answers) and in the stream of this epoch: only a leader of this epoch has the slot.
        if state.data == .rewinding { save { $0.data = .usable } }
    }
}
