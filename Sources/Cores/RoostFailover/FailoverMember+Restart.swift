import RoostModel

// Members whose Postgres is to be started anew: one at a time, each only while all others stream, the leader last. A member
// begins when it is its turn, and is done when it streams or is open again: then it says so in the rule. One that dies in
// between begins again.
extension FailoverMember {
    /// The request, when it is this member's turn to begin, as long as members may; or when it has begun: it ends that, and
    /// says so, also when the time is over or the request was taken back.
    private func restartWish(_ rule: ClusterRule, _ now: Moment) -> RestartRequest? {
        guard let wish = rule.restart, rule.recruitment == nil, wish.left.contains(name) else { return nil }
        if restartedFor == wish.id { return wish }
        guard !wish.hasEnded, let restartTerm, now < restartTerm.endsAt else { return nil }
        if breakage == .restartsTogether { return wish }
        return wish.next(under: rule.leader) == name ? wish : nil
    }

    /// What it is for has happened, whatever follows.
    mutating func noteRestart() { restartedFor = view?.rule?.restart?.id }

    /// Its log is read again before it follows: somebody may have promoted its Postgres since the last sample.
    mutating func stoppedToRestart() {
        noteRestart()
        phase = .severing
        start(.sever)
    }

    mutating func restartStandby(_ rule: ClusterRule, _ now: Moment) {
        guard let wish = restartWish(rule, now), now >= retryAt else { return }
        if restartedFor == wish.id {
            guard gateIsOpen, case .standby(let sample)? = observation, sample.isStreaming else { return }
            return finishRestart(wish, rule, now)
        }
        guard restartObstacle(rule, now) == nil else { return }
        start(.stop(.fast))
    }

    /// Why this standby waits although it is its turn: by what the leader sees now, and not by what it said once.
    private func restartObstacle(_ rule: ClusterRule, _ now: Moment) -> String? {
        guard breakage != .restartsTogether else { return nil }
        // It may be the one that is to lead, or one without which nobody can.
        if let request = rule.switchover, request.refusal == nil { return "until the switchover is over" }
        guard leaderLives(now), let beat = view?.heartbeat, beat.epoch == rule.epoch, beat.isOpen,
            let standbys = beat.standbys
        else { return "until \(rule.leader) lets clients in" }
        guard state.data == .usable else { return "until its own data is whole" }
        let missing = rule.members.filter { member in
            member != rule.leader && member != name && !standbys.contains { $0.member == member && $0.isConfirming }
        }
        if missing.isEmpty { return nil }
        return "until \(missing.map(\.text).joined(separator: ", ")) \(missing.count == 1 ? "streams" : "stream")"
    }

    mutating func restartLeader(_ reigning: Reigning, _ rule: ClusterRule, _ now: Moment) {
        guard reigning.isOpen, gateIsOpen, let wish = restartWish(rule, now), case .primary(let sample)? = observation
        else { return }
        if restartedFor == wish.id { return finishRestart(wish, rule, now) }
        if let reason = abandoned[wish.id] { return refuseRestart(wish, because: reason, rule, now) }
        let handsOver = wish.handsOver && rule.members.count > 1
        let request = SwitchoverRequest(id: wish.id, target: nil)
        guard leaderObstacle(request, handsOver, rule, sample) == nil else { return }
        phase = .draining(
            Drain(
                request: request, step: .checkpoint, deadline: now + timings.drainMax, reigning: reigning,
                staysInOffice: !handsOver))
        start(.checkpoint)
    }

    /// In office nobody need take over; but who is open again needs those that confirm.
    private func leaderObstacle(
        _ request: SwitchoverRequest, _ handsOver: Bool, _ rule: ClusterRule, _ sample: PrimaryObservation
    ) -> String? {
        if handsOver, let obstacle = obstacle(to: request, rule, sample) { return "because \(obstacle)" }
        let streaming = sample.standbys.filter { $0.isStreaming && rule.members.contains($0.member) }
        return streaming.count < rule.confirmations ? "because too few standbys stream" : nil
    }

    /// Why it is not done yet; of whose turn it is.
    func restartWords(_ now: Moment) -> String? {
        guard let rule = view?.rule, let wish = restartWish(rule, now) else { return nil }
        if case .leaving = phase { return nil }
        // It was stopped; whether it runs again is another matter.
        if restartedFor == wish.id { return "its Postgres is being started anew" }
        switch phase {
        case .following: return restartObstacle(rule, now).map { "its restart waits \($0)" }
        case .leading:
            guard case .primary(let sample)? = observation else { return nil }
            let handsOver = wish.handsOver && rule.members.count > 1
            return leaderObstacle(SwitchoverRequest(id: wish.id, target: nil), handsOver, rule, sample)
                .map { "its restart waits \($0)" }
        case .starting, .empty, .initializing, .founding, .severing, .reading, .waiting, .cloning, .exchanging,
            .discarding, .rewinding, .claiming, .promoting, .restarting, .draining, .suspending, .quarantined,
            .resigning, .leaving:
            return nil
        }
    }

    private mutating func finishRestart(_ wish: RestartRequest, _ rule: ClusterRule, _ now: Moment) {
        var next = rule
        next.restart = wish
        next.restart?.left.removeAll { $0 == name }
        next.restart?.done.append(name)
        changeRule(next, now)
    }

    private mutating func refuseRestart(
        _ wish: RestartRequest, because reason: String, _ rule: ClusterRule, _ now: Moment
    ) {
        var next = rule
        next.restart = wish
        next.restart?.refusal = reason
        changeRule(next, now)
    }
}
