import RoostModel

/// What was said about this member, and when to say it again.
struct ReportDesk: Sendable {
    /// As Postgres shows it while it runs; of a standby without a stream it may be that of its last checkpoint.
    var timeline: UInt32 = 0
    /// Of the last byte, as of the last `readEnd`: what a promotion goes on from.
    var endTimeline: UInt32 = 0
    var replayed = LSN.zero
    /// Its log has bytes that no leader wrote, as of the last `readEnd`.
    var divergence: Divergence?
    var standby: StandbyObservation?
    /// The report on its way.
    var asked: MemberReport?
    var askedAt = Moment.zero
    /// The last report that was stored.
    var stored: MemberReport?
    var dueAt = Moment.zero
    var retryAt = Moment.zero
    /// Only with ``Breakage/answersBeforeFence``.
    var premature: LSN?

    mutating func note(_ sample: StandbyObservation) {
        standby = sample
        timeline = sample.timeline
        replayed = sample.replayed
    }
}

extension FailoverMember {
    mutating func reportAnswered(_ answer: StoreAnswer, _ now: Moment) {
        guard let asked = reports.asked else { return }
        reports.asked = nil
        switch answer {
        case .applied: reports.stored = asked
        case .refused, .unavailable, .unknown:
            reports.stored = nil
            reports.retryAt = now + timings.reportRetry
        }
    }

    mutating func reportIfDue(_ now: Moment) {
        guard hasRead else { return }
        if case .leaving = phase { return }
        if reports.asked != nil {
            guard now - reports.askedAt > timings.storeRequestMax * 2 else { return }
            reports.asked = nil
        }
        let report = report(now)
        guard needsSaying(report, now) else { return }
        reports.asked = report
        reports.askedAt = now
        reports.dueAt = now + timings.reportInterval
        actions.append(.report(report))
    }

    private func needsSaying(_ report: MemberReport, _ now: Moment) -> Bool {
        guard now >= reports.retryAt else { return false }
        guard let stored = reports.stored else { return true }
        if report.matters(against: stored) { return true }
        guard now >= reports.dueAt else { return false }
        if report != stored { return true }
        // A late answer of the store may have put an older report over this one.
        return view?.reports.first { $0.member == name } != report
    }

    /// The answer to the recruitment, if the member stands where it may answer.
    private var answer: (position: Position, chain: [Reign])? {
        guard state.data == .usable, let rule = view?.rule, rule.recruitment?.epoch == state.promised else {
            return nil
        }
        var end = reports.premature
        if case .waiting(let known) = phase { end = known }
        guard let end, let position = state.chain.position(at: end) else { return nil }
        let contributed = state.chain.contributed(upTo: end)
        if breakage == .reportsPromisedEpoch {
            let followed = state.chain.last?.epoch ?? position.epoch
            return (Position(epoch: followed, end: end), contributed)
        }
        return (position, contributed)
    }

    private func report(_ now: Moment) -> MemberReport {
        let answer = answer
        var report = MemberReport(
            member: name, role: phase.mayBePrimary || phase.isStopping ? .primary : .standby,
            state: breakage == .saysStoppedEarly && phase.isStopping ? .stopped : phase.reported(running != nil),
            promised: state.promised, position: answer?.position ?? livePosition,
            timeline: answer == nil ? reports.timeline : reports.endTimeline,
            replayed: reports.replayed, isStreaming: false, lagBytes: 0, lagMilliseconds: 0, detail: detail,
            chain: answer?.chain, cannotLead: answer != nil && reports.divergence != nil ? true : nil,
            asksToReplace: asksLeave ? true : nil)
        if case .following = phase {
            if case .standby(let sample)? = observation {
                report.isStreaming = sample.isStreaming
                report.lagBytes = sample.received.offset - min(sample.replayed.offset, sample.received.offset)
                report.lagMilliseconds = sample.lag.milliseconds
            }
            // Grows, so that the leader sees that this member lives.
            if !report.isStreaming { report.lagMilliseconds = (now - streamedAt).milliseconds }
        }
        return report
    }

    /// How far it is at about this moment; counts for nothing but the display.
    private var livePosition: Position? {
        guard state.data == .usable, view?.rule?.recruitment == nil else { return nil }
        switch observation {
        case .primary(let sample): return state.chain.position(at: sample.flushed)
        case .standby(let sample): return state.chain.position(at: sample.received)
        case nil:
            switch phase {
            case .waiting(let end): return state.chain.position(at: end)
            case .cloning(let copying): return copying.end.flatMap { state.chain.position(at: $0) }
            case .starting, .empty, .initializing, .founding, .severing, .reading, .exchanging, .discarding, .rewinding,
                .following, .claiming, .promoting, .restarting, .leading, .draining, .suspending, .resigning, .leaving:
                return nil
            }
        }
    }
}

extension MemberReport {
    /// Others act on the difference, so it cannot wait.
    fileprivate func matters(against old: MemberReport) -> Bool {
        if chain != nil || old.chain != nil { return self != old }
        return role != old.role || state != old.state || promised != old.promised || isStreaming != old.isStreaming
            || (position == nil) != (old.position == nil) || asksToReplace != old.asksToReplace
    }
}

extension MemberPhase {
    fileprivate func reported(_ isBusy: Bool) -> MemberReport.State {
        switch self {
        case .starting, .empty: .empty
        case .initializing: .initializing
        case .founding, .claiming, .promoting, .restarting, .reading: .starting
        case .cloning, .exchanging, .discarding: .cloning
        case .rewinding: .rewinding
        case .following: isBusy ? .starting : .running
        case .leading, .draining: .running
        case .severing, .waiting: .waiting
        // Whoever guards a leader from outside looks away once it says that it has stopped.
        case .suspending, .resigning(hasStopped: false): .running
        case .resigning(hasStopped: true), .leaving: .stopped
        }
    }

    /// Postgres may still be a primary, and is being stopped.
    fileprivate var isStopping: Bool {
        switch self {
        case .suspending, .resigning(hasStopped: false): true
        case .starting, .empty, .initializing, .founding, .severing, .reading, .waiting, .cloning, .exchanging,
            .discarding, .rewinding, .following, .claiming, .promoting, .restarting, .leading, .draining,
            .resigning(hasStopped: true), .leaving:
            false
        }
    }
}
