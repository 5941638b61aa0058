import RoostModel

/// What was said about this member, and when to say it again.
struct ReportDesk: Sendable {
    /// Of the log: as a primary or a stream shows it, or as was read behind the fence. Zero: nothing has shown it yet. A
    /// standby without a stream shows that of its last checkpoint, which may be long past.
    var timeline: UInt32 = 0
    /// Of the last byte, as of the last `readEnd`: what a promotion goes on from.
    var endTimeline: UInt32 = 0
    var replayed = LSN.zero
    var end = KnownEnd()
    /// Its log has bytes that no leader wrote, as of the last `readEnd`.
    var divergence: Divergence?
    var standby: StandbyObservation?
    /// The report on its way.
    @Apart var asked: MemberReport?
    var askedAt = Moment.zero
    /// The last report that was stored.
    @Apart var stored: MemberReport?
    var dueAt = Moment.zero
    var retryAt = Moment.zero
    /// What was said last is that Postgres may be a primary.
    var saysPrimary = false
    /// When to say it again although nothing has changed.
    var tickAt = Moment.zero
    /// Of the last report.
    var sequence: UInt64 = 0
    /// Only with ``Breakage/answersBeforeFence``.
    var premature: LSN?

    /// Of a leader: all that it has is its own.
    mutating func note(_ sample: PrimaryObservation) {
        replayed = sample.flushed
        end.isLed(to: sample.flushed)
    }

    mutating func note(_ sample: StandbyObservation) {
        standby = sample
        if sample.isStreaming { timeline = sample.timeline }
        replayed = sample.replayed
    }
}

/// What is known of where this member's log ends.
struct KnownEnd: Hashable, Sendable {
    /// It goes at least so far, if anything was seen of these data.
    private(set) var seen: LSN?
    /// Behind the fence it was found to end here. Until something is done to the data it does, whether or not Postgres runs.
    private(set) var fenced: LSN?

    /// What is said of a log that may go on. A standby that begins anew says first what it has replayed, which is less.
    mutating func goesTo(_ end: LSN) { seen = max(seen ?? .zero, end) }

    /// A leader's, which says itself what it has.
    mutating func isLed(to end: LSN) { seen = end }

    mutating func isFenced(at end: LSN) {
        seen = end
        fenced = end
    }

    mutating func begins(_ operation: PostgresOperation) {
        if operation.changesLog { fenced = nil }
        if operation.replacesData { seen = nil }
    }
}

extension FailoverMember {
    mutating func reportAnswered(_ sequence: UInt64?, _ answer: StoreAnswer, _ now: Moment) {
        // That an older one was stored, or was not, says nothing of the newer one that is on its way.
        guard let asked = reports.asked, asked.sequence == sequence else { return }
        reports.asked = nil
        switch answer {
        case .applied: reports.stored = asked
        case .refused, .denied, .unavailable, .unknown:
            reports.stored = nil
            reports.retryAt = now + timings.reportRetry
        }
    }

    mutating func reportIfDue(_ now: Moment) {
        guard hasRead || goesByKept else { return }
        if case .leaving(let farewell) = phase, !farewell.isReported || farewell.step == .gone { return }
        var report = report(now)
        // The host hears it whether or not the store does, and ends the machine if it does not hear in time that Postgres is stopped.
        let hasStopped = reports.saysPrimary && report.role == .standby
        if reports.asked != nil {
            guard hasStopped || now - reports.askedAt > timings.storeRequestMax * 2 else { return }
            reports.asked = nil
        }
        guard hasStopped || needsSaying(report, now) else { return }
        reports.saysPrimary = report.role == .primary
        let known = view?.reports.first { $0.member == name }?.sequence ?? 0
        reports.sequence = RecordNumber.next(own: reports.sequence, known: known)
        report.sequence = reports.sequence
        reports.asked = report
        reports.askedAt = now
        reports.dueAt = now + timings.reportInterval
        reports.tickAt = now + timings.reportTick
        actions.append(.report(report))
    }

    /// Says once more how it stands: whoever passes its reports on has something to add. As ever there is one on its way, and each has
    /// a number of its own: while there is, nothing is said.
    public mutating func reportAnew(_ now: Moment) -> [FailoverAction] {
        guard reports.asked == nil else { return [] }
        reports.stored = nil
        reportIfDue(now)
        defer { actions.removeAll() }
        return actions
    }

    private func needsSaying(_ report: MemberReport, _ now: Moment) -> Bool {
        guard now >= reports.retryAt else { return false }
        guard let stored = reports.stored else { return true }
        var report = report
        report.sequence = stored.sequence
        if report.matters(against: stored) || now >= reports.tickAt { return true }
        guard now >= reports.dueAt else { return false }
        if report != stored { return true }
        // A late answer of the store may have put an older report over this one.
        return view?.reports.first { $0.member == name }?.sequence != stored.sequence
    }

    /// The answer to the recruitment, if the member stands where it may answer.
    private var answer: (position: Position, chain: [Reign])? {
        var end = reports.premature
        if case .waiting(let known) = phase { end = known }
        if case .reading = phase { end = reports.end.fenced }
        guard let end, state.data == .usable, let rule = view?.rule,
            recruitment(under: rule)?.epoch == state.promised, let position = state.chain.position(at: end)
        else { return nil }
        // Others see by the whole of it that this log has lost what its own reign began with.
        let isWhole = state.chain.lost(by: name, end: end) == nil
        let contributed = isWhole ? state.chain.contributed(upTo: end) : state.chain
        if breakage == .reportsPromisedEpoch {
            let followed = state.chain.last?.epoch ?? position.epoch
            return (Position(epoch: followed, end: end), contributed)
        }
        return (position, contributed)
    }

    /// What this member answers, and how it reports it; nil when it does not.
    func answerReport(_ now: Moment) -> MemberReport? {
        guard reports.premature != nil || phase.mayAnswer, answer != nil else { return nil }
        return report(now)
    }

    /// It is behind the fence, or Postgres is stopped: it changes no more.
    private var knowledge: MemberKnowledge? {
        guard case .quarantined = phase, let rule = view?.rule, proofOfReversal(rule) != nil else { return nil }
        return MemberKnowledge(
            opened: state.opened, history: state.chain, timeline: state.timeline, position: ownPosition,
            membership: state.membership)
    }

    private func report(_ now: Moment) -> MemberReport {
        let (answer, live, seen) = (answer, livePosition(now), seenPosition)
        let position = answer?.position ?? live ?? seen
        var report = MemberReport(
            member: name, role: primaryMayRun || phase.mayBePrimary || phase.isStopping ? .primary : .standby,
            state: breakage == .saysStoppedEarly && phase.isStopping ? .stopped : reportedState,
            promised: state.promised, position: position,
            timeline: answer == nil ? reports.timeline : reports.endTimeline,
            // Of other bytes than those that count it may have replayed more.
            replayed: min(counted(reports.replayed), position?.end ?? .limit), isStreaming: false, lagBytes: 0,
            lagMilliseconds: 0, detail: detail,
            chain: answer?.chain,
            cannotLead: (answer == nil
                ? live == nil && seen != nil : reports.divergence != nil || !isUp || lacksRoomToStart) ? true : nil,
            asksToReplace: asksLeave ? true : nil, skills: saidSkills, knowledge: knowledge,
            keptSince: state.keptSince, data: state.data.reported,
            committedAt: phase.isInOffice || state.data != .usable ? nil : reports.standby?.committedAt,
            memberChanges: state.membership?.changes ?? 0)
        if answer != nil, let divergence = reports.divergence {
            let why = "somebody else promoted its Postgres: its log left the cluster's history at \(divergence.agreed)"
            report.detail = detail.map { "\(why); \($0)" } ?? why
        }
        let room = answer != nil && lacksRoomToStart ? "no room on its volume to start" : nil
        let words = [
            report.detail, room, denialWords, hangWords(now), pauseWords(now), restartWords(now), changeWords(now),
        ].compactMap(\.self)
        report.detail = words.isEmpty ? nil : words.joined(separator: "; ")
        if gateIsOpen, let gateObstacle { report.detail = "clients are not let in: \(gateObstacle)" }
        if case .following = phase {
            if case .standby(let sample)? = observation, isFresh(now) {
                report.isStreaming = sample.isStreaming
                report.lagBytes = sample.received.offset - min(sample.replayed.offset, sample.received.offset)
                report.lagMilliseconds = sample.lag.milliseconds
            }
            // Grows, so that the leader sees that this member lives.
            if !report.isStreaming { report.lagMilliseconds = (now - streamedAt).milliseconds }
            if running == nil, now - max(observedAt, idleSince) > timings.sampleAgeMax {
                report.detail = report.detail ?? "Postgres does not answer"
            }
        }
        return report
    }

    /// Behind the fence, and with a Postgres that can be promoted. What is on disk counts in a recruitment without that, too.
    private var isUp: Bool {
        if case .reading = phase { return false }
        return true
    }

    private func isFresh(_ now: Moment) -> Bool { now - observedAt <= timings.sampleAgeMax }

    /// What somebody else wrote here, up to the end that Postgres shows, is no part of the cluster's log.
    private func counted(_ end: LSN) -> LSN {
        if case .following = phase { return end }
        return min(end, reports.divergence?.agreed ?? end)
    }

    /// A primary that is being stopped runs until it has stopped.
    private var reportedState: MemberReport.State {
        // It has not looked yet at what it has.
        if case .starting = phase, state.data == .usable { return .starting }
        return primaryMayRun && !phase.mayBePrimary ? .running : phase.reported(running != nil)
    }

    /// How far it was when that was last seen, also where it can answer nobody: so much a leader must have that comes back.
    private var seenPosition: Position? {
        guard state.data == .usable, let seen = reports.end.seen, reports.replayed > .zero else { return nil }
        return state.chain.position(at: min(counted(reports.replayed), seen))
    }

    /// How far it is at about this moment, if it could lead from there.
    private func livePosition(_ now: Moment) -> Position? {
        guard state.data == .usable, view?.rule.map({ recruitment(under: $0) == nil }) ?? true else { return nil }
        // One whose disk hangs can promise nothing, and a Postgres that hangs could not lead, wherever it was.
        if hangWords(now) != nil { return nil }
        // Nor can one that does not believe the store, whatever its Postgres shows behind the fence.
        if case .quarantined = phase { return nil }
        switch isFresh(now) ? observation : nil {
        case .primary(let sample): return state.chain.position(at: sample.flushed)
        case .standby(let sample): return state.chain.position(at: counted(sample.received))
        case nil:
            switch phase {
            case .waiting(let end): return state.chain.position(at: end)
            case .cloning(let copying): return copying.end.flatMap { state.chain.position(at: $0) }
            case .starting, .empty, .initializing, .founding, .severing, .reading, .exchanging, .discarding, .rewinding,
                .following, .claiming, .promoting, .restarting, .leading, .draining, .suspending, .quarantined,
                .resigning,
                .leaving:
                return nil
            }
        }
    }
}

extension MemberReport {
    /// Others act on the difference, so it cannot wait; or what was said to be in the way is in the way no more, or now is:
    /// people read it beside what else is true at that moment.
    fileprivate func matters(against old: MemberReport) -> Bool {
        if chain != nil || old.chain != nil { return self != old }
        return role != old.role || state != old.state || promised != old.promised || isStreaming != old.isStreaming
            || (position == nil) != (old.position == nil) || cannotLead != old.cannotLead
            || asksToReplace != old.asksToReplace || memberChanges != old.memberChanges
            || (detail == nil) != (old.detail == nil)
    }
}

extension MemberPhase {
    /// Behind the fence with an end that may be known.
    fileprivate var mayAnswer: Bool {
        switch self {
        case .waiting, .reading: true
        case .starting, .empty, .initializing, .founding, .severing, .cloning, .exchanging, .discarding, .rewinding,
            .following, .claiming, .promoting, .restarting, .leading, .draining, .suspending, .quarantined, .resigning,
            .leaving:
            false
        }
    }

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
        case .quarantined: .failed
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
            .discarding, .rewinding, .following, .claiming, .promoting, .restarting, .leading, .draining, .quarantined,
            .resigning(hasStopped: true), .leaving:
            false
        }
    }
}
