import RoostModel

// What becomes of an operation that ended, and of what Postgres says.
extension FailoverMember {
    mutating func ended(_ operation: PostgresOperation, _ outcome: OperationOutcome, _ now: Moment) {
        switch phase {
        case .leaving: farewellStopEnded(outcome)
        case .draining(let drain): drainStepEnded(drain, outcome, now)
        case .leading(let reigning): confirmingChanged(reigning, outcome, now)
        case .suspending: suspended(outcome, now)
        case .resigning:
            if case .failed(let reason) = outcome { return retryLater(reason, now) }
            phase = breakage == .staysAfterResigning ? .reading : .resigning(hasStopped: true)
        case .initializing, .severing, .reading, .cloning, .exchanging, .discarding, .rewinding, .following,
            .promoting, .restarting:
            switch outcome {
            case .failed(let reason): failed(reason, now)
            case .unreachable(let reason): nothingChanged(reason, now)
            case .impossible(let reason): couldNotRewind(reason, now)
            case .noRoom(let reason): hadNoRoom(reason, now)
            case .spoiled(let reason): foundSpoiled(reason, now)
            case .recovering(let reason): goesOn(reason, now)
            case .done, .end, .promoted: succeeded(outcome, now)
            }
        case .starting, .empty, .founding, .waiting, .claiming, .quarantined:
            preconditionFailure("operation \(operation) ended in phase \(phase.label)")
        }
    }

    private mutating func succeeded(_ outcome: OperationOutcome, _ now: Moment) {
        switch (phase, outcome) {
        case (.initializing, .done): initialized(now)
        case (.severing, .done): severed(now)
        case (.reading, .end(let end, let timeline, let forks)): endWasRead(end, timeline: timeline, forks, now)
        case (.cloning(let copying), .done): copied(copying)
        case (.exchanging, .done): exchanged(now)
        case (.discarding, .done): discarded(now)
        case (.rewinding(let repair), .done):
            if repair.isTried { return rewound(repair, now) }
            // To try it may have taken long, and others may need this copy by now.
            guard let rule = view?.rule, mayRewind(rule, keeping: repair.agreed, now) else {
                return nothingChanged("another member may need what would be taken back", now)
            }
            repair.chain.last.map { triedRewind($0.leader) }
        case (.following, .done):
            detail = nil
            if case .stop? = lastStarted { stoppedToRestart() }
        case (.promoting(let end), .promoted(let switchPoint, let timeline)):
            promoted(at: switchPoint, expected: end, timeline: timeline, now)
        case (.restarting, .done): beginReign(now)
        case (_, .done), (_, .end), (_, .promoted), (_, .unreachable), (_, .impossible), (_, .noRoom), (_, .spoiled),
            (_, .recovering), (_, .failed):
            failed("the operation was answered with \(outcome)", now)
        }
    }

    /// The leader was gone before the data was touched: it counts again.
    private mutating func nothingChanged(_ reason: String, _ now: Moment) {
        switch phase {
        case .cloning(let copying): notCopied(copying, reason, now)
        case .rewinding(let repair):
            save {
                $0.data = repair.data
                $0.chain = repair.former
            }
            retryLater(reason, now)
            phase = .severing
        case .starting, .empty, .initializing, .founding, .severing, .reading, .waiting, .exchanging, .discarding,
            .following, .claiming, .promoting, .restarting, .leading, .draining, .suspending, .quarantined, .resigning,
            .leaving:
            failed(reason, now)
        }
    }

    /// What was to be rewound is as it was, and has to be replaced instead.
    private mutating func couldNotRewind(_ reason: String, _ now: Moment) {
        if case .rewinding = phase { outgrown = Outgrown(reason: reason, epoch: state.promised) }
        nothingChanged(reason, now)
    }

    private mutating func hadNoRoom(_ reason: String, _ now: Moment) {
        guard case .cloning(let copying) = phase else { return failed(reason, now) }
        asksLeave = copying.isProven
        notCopied(copying, reason, now)
    }

    /// The one reason for which data that does not start counts no longer.
    private mutating func foundSpoiled(_ reason: String, _ now: Moment) {
        switch phase {
        case .reading, .following: loseData(.spoiled, reason)
        case .starting, .empty, .initializing, .founding, .severing, .waiting, .cloning, .exchanging, .discarding,
            .rewinding, .claiming, .promoting, .restarting, .leading, .draining, .suspending, .quarantined, .resigning,
            .leaving:
            failed(reason, now)
        }
    }

    /// What is at work to come up is no failure, however long it takes: to end it would throw away what it has done, and to
    /// count it would end it one day.
    private mutating func goesOn(_ reason: String, _ now: Moment) {
        switch phase {
        case .reading, .restarting:
            detail = reason
            retryAt = now
        case .starting, .empty, .initializing, .founding, .severing, .waiting, .cloning, .exchanging, .discarding,
            .rewinding, .following, .claiming, .promoting, .leading, .draining, .suspending, .quarantined, .resigning,
            .leaving:
            failed(reason, now)
        }
    }

    private mutating func failed(_ reason: String, _ now: Moment) {
        switch phase {
        case .initializing:
            retryLater(reason, now)
            phase = .empty
        case .cloning(let copying): notCopied(copying, reason, now)
        case .rewinding(let repair):
            if repair.isTried { loseData(.cloning, reason) } else { nothingChanged(reason, now) }
        case .severing, .exchanging, .discarding: retryLater(reason, now)
        case .reading: couldNotRead(reason, now)
        case .following: couldNotFollow(reason, now)
        case .promoting: standDown(reason, now)
        case .restarting: crashed(reason, now)
        case .starting, .empty, .founding, .waiting, .claiming, .leading, .draining, .suspending, .quarantined,
            .resigning, .leaving:
            detail = reason
        }
    }

    private mutating func suspended(_ outcome: OperationOutcome, _ now: Moment) {
        if case .failed(let reason) = outcome { return retryLater(reason, now) }
        failures = 0
        if state.led == state.promised {
            claim(end: nil, now)
        } else {
            // It never finished its promotion: a detached standby again, and the promotion from the start.
            phase = .severing
            start(.sever)
        }
    }

    private mutating func farewellStopEnded(_ outcome: OperationOutcome) {
        if case .failed = outcome, case .stop(.fast)? = lastStarted { start(.stop(.immediate)) }
    }

    mutating func observed(_ sample: PostgresObservation, _ now: Moment) {
        switch sample {
        case .primary(let primary): observedPrimary(primary, now)
        case .standby(let standby):
            reports.note(standby)
            // What is on a timeline that no leader began is no leader's.
            if state.timeline.map({ standby.timeline <= $0 }) ?? true { reports.end.goesTo(standby.received) }
            listen(to: standby, now)
            noteAnswering(now)
            if case .leading = phase { return crashed("Postgres is not a primary", now) }
            observedStandby(standby, now)
        }
    }
}
