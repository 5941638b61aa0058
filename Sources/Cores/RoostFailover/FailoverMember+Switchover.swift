import RoostModel

// Handing over on purpose: a switchover, and the machine's stop.
extension FailoverMember {
    mutating func considerSwitchover(
        _ request: SwitchoverRequest, _ reigning: Reigning, _ rule: ClusterRule, _ now: Moment
    ) {
        if let reason = abandoned[request.id] { return refuse(request, because: reason, rule, now) }
        guard case .primary(let sample)? = observation else { return }
        // One that has just come up may have its standbys in a moment.
        guard reigning.isOpen || now - reigning.soundSince >= timings.drainMax else { return }
        if let obstacle = obstacle(to: request, rule, sample) { return refuse(request, because: obstacle, rule, now) }
        guard reigning.isOpen else { return }
        phase = .draining(
            Drain(request: request, step: .checkpoint, deadline: now + timings.drainMax, reigning: reigning))
        start(.checkpoint)
    }

    func obstacle(
        to request: SwitchoverRequest, _ rule: ClusterRule, _ sample: PrimaryObservation
    ) -> String? {
        let ready = sample.standbys.filter {
            $0.isStreaming && rule.members.contains($0.member)
                && $0.flushed.offset + timings.switchoverLagMax >= sample.flushed.offset
        }
        // Without it, the recruitment would need what this very member has to decide.
        if ready.count < rule.standbysNeeded {
            return "too few standbys are up to date"
        }
        guard let target = request.target else { return nil }
        if target == name { return "\(target) leads already" }
        if !rule.members.contains(target) { return "\(target) is not a member" }
        return ready.contains { $0.member == target } ? nil : "\(target) is not up to date"
    }

    private mutating func refuse(
        _ request: SwitchoverRequest, because reason: String, _ rule: ClusterRule, _ now: Moment
    ) {
        var next = rule
        next.switchover = request
        next.switchover?.refusal = reason
        changeRule(next, now)
    }

    mutating func drain(_ drain: Drain, _ rule: ClusterRule, _ now: Moment) {
        guard rule.recruitment == nil else { return }
        var drain = drain
        switch drain.step {
        case .checkpoint where !isAsked(drain.request, rule):
            // Others go by the rule: what it does not ask for any more takes them unawares.
            abandon(drain, "nobody asks for it any more", now)
        case .checkpoint:
            // From here on clients wait: not for something that is given up in the middle.
            guard now + timings.drainStop <= drain.deadline else {
                return abandon(drain, "the checkpoint took too long", now)
            }
            close(now)
            drain.step = .stop
            phase = .draining(drain)
            start(.stop(.fast))
        case .stop where drain.staysInOffice:
            retryAt = now
            phase = .restarting
        case .stop where now >= drain.deadline:
            abandon(drain, "Postgres took too long to stop", now)
        case .stop:
            drain.step = .call
            phase = .draining(drain)
            callSuccessor(drain, rule, now)
        case .call where ruleChange != nil:
            // Nobody knows what becomes of it: a primary that started meanwhile would write what its successor has not.
            break
        case .call where now < drain.deadline:
            callSuccessor(drain, rule, now)
        case .call:
            abandon(drain, "the store did not take the recruitment in time", now)
        }
    }

    private mutating func callSuccessor(_ drain: Drain, _ rule: ClusterRule, _ now: Moment) {
        var next = rule
        next.recruitment = Recruitment(
            epoch: rule.epoch.next, proposer: name, reason: .switchover, target: drain.request.target)
        changeRule(next, now)
    }

    mutating func abandon(_ drain: Drain, _ reason: String, _ now: Moment) {
        retryAt = now
        switch drain.step {
        case .checkpoint:
            // It leads as before, and lets clients in: whoever asked reads the reason in the rule.
            // It was not asked anything while the checkpoint was written.
            var reigning = drain.reigning
            reigning.heardAt = now
            phase = .leading(reigning)
        case .stop, .call:
            detail = reason
            phase = .restarting
        }
        let rule = view?.rule
        abandoned = abandoned.filter { $0.key == rule?.switchover?.id || $0.key == rule?.restart?.id }
        abandoned[drain.request.id] = reason
    }

    /// A leader drains for a switchover, or for a restart's sake.
    private func isAsked(_ request: SwitchoverRequest, _ rule: ClusterRule) -> Bool {
        if let present = rule.switchover, present.id == request.id { return present.refusal == nil }
        return rule.restart.map { $0.id == request.id && !$0.hasEnded } ?? false
    }

    mutating func drainStepEnded(_ drain: Drain, _ outcome: OperationOutcome, _ now: Moment) {
        if case .failed(let reason) = outcome { return abandon(drain, reason, now) }
        if drain.step == .stop { noteRestart() }
    }

    // MARK: - The machine stops

    /// - Parameter fault: why Postgres must not go on for another moment; nil: it is stopped in an orderly way.
    mutating func sayFarewell(because fault: String? = nil, _ now: Moment) {
        if case .leaving = phase { return }
        // A leader that has no Postgres yet, or none any more, would come back as one.
        let wasLeader = phase.mayBePrimary || fault != nil
        setGate(open: false)
        if let fault { detail = fault }
        phase = .leaving(
            Farewell(
                step: .stop, deadline: now + timings.farewellMax, wasLeader: wasLeader, isReported: fault != nil))
        start(.stop(fault == nil ? .fast : .immediate))
    }

    mutating func leave(_ farewell: Farewell, _ now: Moment) {
        var farewell = farewell
        switch farewell.step {
        case .stop where running == nil:
            if farewell.wasLeader, now < farewell.deadline, let rule = view?.rule, rule.leader == name,
                rule.epoch == state.promised, rule.recruitment == nil, rule.members.count > 1, !isPaused(now)
            {
                // One at a time: what is asked already may be another change.
                guard ruleChange == nil else { return }
                farewell.step = .resign
                phase = .leaving(farewell)
                ruleChangeDueAt = now
                proposeSuccession(rule, now)
            } else if hasTold(farewell, now) {
                depart(farewell)
            }
        case .stop where now >= farewell.deadline: depart(farewell)
        case .resign where now >= farewell.deadline || ruleChange == nil && hasTold(farewell, now): depart(farewell)
        case .stop, .resign, .gone:
            break
        }
    }

    /// What it goes for is stored, or cannot be.
    private func hasTold(_ farewell: Farewell, _ now: Moment) -> Bool {
        !farewell.isReported || now >= farewell.deadline || reports.stored?.detail == detail
    }

    private mutating func depart(_ farewell: Farewell) {
        var farewell = farewell
        farewell.step = .gone
        phase = .leaving(farewell)
        actions.append(.exit)
    }
}
