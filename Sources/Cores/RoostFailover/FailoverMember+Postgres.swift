import RoostModel

// What becomes of an operation that ended, and of what Postgres says.
extension FailoverMember {
    mutating func ended(_ operation: PostgresOperation, _ outcome: OperationOutcome, _ now: Moment) {
        switch phase {
        case .leaving: farewellStopEnded(outcome)
        case .draining(let drain): drainStepEnded(drain, outcome, now)
        case .suspending: suspended(outcome, now)
        case .resigning:
            if case .failed(let reason) = outcome { detail = reason }
        case .initializing, .severing, .reading, .cloning, .rewinding, .following, .promoting, .restarting:
            switch outcome {
            case .failed(let reason): failed(reason, now)
            case .unreachable(let reason): nothingChanged(reason, now)
            case .done, .end, .promoted: succeeded(outcome, now)
            }
        case .starting, .empty, .founding, .waiting, .claiming, .leading:
            preconditionFailure("operation \(operation) ended in phase \(phase.label)")
        }
    }

    private mutating func succeeded(_ outcome: OperationOutcome, _ now: Moment) {
        switch (phase, outcome) {
        case (.initializing, .done): initialized(now)
        case (.severing, .done): severed(now)
        case (.reading, .end(let end, let timeline)): endWasRead(end, timeline: timeline, now)
        case (.cloning(let repair), .done): cloned(repair.chain, now)
        case (.rewinding(let repair), .done): rewound(repair.chain, now)
        case (.following, .done): detail = nil
        case (.promoting(let end), .promoted(let switchPoint, let timeline)):
            promoted(at: switchPoint, expected: end, timeline: timeline, now)
        case (.restarting, .done): beginReign(now)
        case (_, .done), (_, .end), (_, .promoted), (_, .unreachable), (_, .failed):
            failed("the operation was answered with \(outcome)", now)
        }
    }

    /// The leader was gone before the data was touched: it counts again.
    private mutating func nothingChanged(_ reason: String, _ now: Moment) {
        switch phase {
        case .cloning(let repair), .rewinding(let repair):
            save {
                $0.data = repair.data
                $0.chain = repair.former
            }
            retryLater(reason, now)
            phase = .severing
        case .starting, .empty, .initializing, .founding, .severing, .reading, .waiting, .following, .claiming,
            .promoting, .restarting, .leading, .draining, .suspending, .resigning, .leaving:
            failed(reason, now)
        }
    }

    private mutating func failed(_ reason: String, _ now: Moment) {
        switch phase {
        case .initializing, .cloning:
            retryLater(reason, now)
            phase = .empty
        case .rewinding:
            save {
                $0.data = .cloning
                $0.chain = []
            }
            detail = reason
            phase = .severing
            start(.sever)
        case .severing: retryLater(reason, now)
        case .reading: couldNotRead(reason, now)
        case .following: couldNotFollow(reason, now)
        case .promoting: standDown(reason, now)
        case .restarting: crashed(reason, now)
        case .starting, .empty, .founding, .waiting, .claiming, .leading, .draining, .suspending, .resigning,
            .leaving:
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
            listen(to: standby, now)
            if case .leading = phase { return crashed("Postgres is not a primary", now) }
            observedStandby(standby, now)
        }
    }
}
