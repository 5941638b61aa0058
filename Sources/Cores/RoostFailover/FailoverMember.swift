public import RoostModel

/// One member's decisions: pure, no clock, no I/O.
///
/// The shell makes it once with what it read from disk, hands it `.tick` at once, and from then on every event as it
/// comes and a `.tick` whenever ``wakeAt`` has passed.
///
/// Truth is the rule in the store; the lease is a time-out only. What keeps two leaders from confirming commits is
/// the recruitment: before a new leader is chosen, members that meet every commit quorum have put up the fence
/// (``PostgresOperation/sever``), written the new epoch on disk and said how far they are, in this order.
public struct FailoverMember: Sendable {
    /// The answers of this many heartbeats are waited for at a time, the newest: more than are sent while one is waited for.
    public static let heartbeatsInFlightMax = 8

    private static let stepsMax = 4

    public let name: MemberName
    @Apart package private(set) var timings: FailoverTimings
    /// The last state handed to ``FailoverAction/save(_:)``; `direct` may be over since.
    @Apart package internal(set) var state: DurableState
    /// Hand over a `.tick` when this moment has come. Changes with every event.
    public private(set) var wakeAt: Moment
    /// The same, without what is heard and said directly.
    private var decideAt: Moment

    let breakage: Breakage?
    /// What of a rule its program and its host understand.
    let skills: [MemberSkill]
    var phase = MemberPhase.starting {
        didSet {
            let step = PhaseStep(from: oldValue.label, to: phase.label)
            if step.from != step.to { steps.append(step) }
        }
    }
    /// The changes of phase that the last event led to. Nothing here looks at them.
    package private(set) var steps: [PhaseStep] = []
    var actions: [FailoverAction] = []
    /// Why it waits or what failed last.
    var detail: String?
    /// What was last asked for.
    var gateIsOpen = false
    /// It is carried out.
    var gateStands = false
    /// Why it could not be.
    var gateObstacle: String?

    // What the store said.
    var view: StoreView?
    var hasRead = false
    /// It has not read yet, and what its host had heard last is borne out by what is here.
    var goesByKept = false
    var readAskedAt: Moment?
    var lastRead = ReadNumber.none
    var readDueAt: Moment
    /// When the rule or the leader's heartbeat was last seen to change.
    var newsAt: Moment
    var storeHeardAt: Moment
    /// Since when the store answers without a gap.
    var storeSince: Moment
    /// For how long it was heard since the last news, gaps counted as ``FailoverTimings/storeGapMax``.
    var storeHeardFor = Duration.zero
    var beatSeen: UInt64 = 0
    var leaderAliveAt: Moment?
    @Apart var ruleChange: PendingRule?
    var lastRuleChange = RuleChangeNumber.none
    var ruleChangeDueAt = Moment.zero
    var denial: Denial?
    /// When a read first answered with less than what was seen before.
    var reversedAt: Moment?
    /// So many reads in a row called for less than this member has promised.
    var undercuts = 0
    /// That of the rule, as this member counts it.
    var pause: WishClock?
    /// That of the rule's request to start members anew.
    var restartTerm: WishClock?
    /// The request for which this process has stopped its Postgres.
    var restartedFor: String?

    // The lease.
    var beats: [PendingBeat] = []
    var beatDueAt = Moment.zero
    var beatSequence: UInt64 = 0
    var leaseUntil: Moment?
    /// The store has last renewed it as of this moment…
    var storeRenewedAt: Moment?
    /// …and when this process last told its host that others have.
    var heldAt = Moment.zero
    /// When the host last said that this member has no lease to renew.
    var lastDeniedAt: Moment?
    /// Since when this leader waits for the word of enough others.
    var wordlessSince: Moment?

    // Postgres.
    var lastOperation = OperationID.none
    var running: PostgresOperation?
    /// Postgres ended after the running operation had done its work, but before that was said.
    var exitedEarly = false
    var observation: PostgresObservation?
    var observedAt = Moment.zero
    /// Since when no operation has been running.
    var idleSince = Moment.zero
    /// A primary was started, and nothing that surely stopped it has ended since.
    var primaryMayRun = false
    /// The standbys of a leader.
    var streams = StreamWatch()
    /// What others have of this leader's log.
    var shared = SharedLog()
    /// When this member last streamed from its leader.
    var streamedAt: Moment
    var stream = StreamActivity()
    /// So often its Postgres was ended because it answered nothing, without a long time of answers since.
    var silentEnds = 0
    var silentEndAt = Moment.zero
    /// Until then this process stood still itself, as far as it knows.
    var stoodStillAt = Moment.zero
    var failures = 0
    /// Attempts to follow that came to nothing, since it last streamed.
    var stumbles = 0
    var retryAt = Moment.zero
    var crashes = 0
    /// Why it resigns.
    var resignation = Recruitment.Reason.leaderResigned
    /// Since when this leader has had no Postgres that runs.
    var downSince: Moment?
    /// Since when a small write to the volume has not ended.
    var volumeHangsSince: Moment?
    /// Why this leader gave up what it was asked for, by the request's id, until the store has it: one request does not
    /// make it forget another.
    var abandoned: [String: String] = [:]
    /// When each other member's report last changed: that member lives.
    var signsOfLife: [MemberSign] = []

    // Members that come and go.
    /// By what this leader's Postgres confirms, or is being made to; nil: nobody knows.
    var confirmsBy: CommitQuorum?
    var preparation: Preparation?
    var fruitless: Fruitless?
    /// Not before then.
    var prepareAt = Moment.zero

    // Data that has to be replaced.
    var sparing: Sparing?
    /// Why the leader of this epoch cannot be followed with the data there is.
    var outgrown: Outgrown?
    /// The data must be replaced, and there is no room for a copy beside it.
    var asksLeave = false
    /// A copy was made because Postgres could not be started, and has not streamed yet: another would not help.
    var hasCopiedInVain = false

    // The recruitment, and what this member says of itself.
    var sufficientSince: SufficientSince?
    /// Since when the answers say who leads.
    var verdictSince: SufficientSince?
    var reports = ReportDesk()
    var voting = Voting()

    /// Postgres does not run, and its volume has no room for it to start: what its log on disk says counts, but it could not
    /// lead. The shell knows, and says so before each event.
    public var lacksRoomToStart = false

    // What members hear of each other directly.
    var listening = Listening()
    var summons: Summons?
    /// Since when the store does not call for what was promised.
    var unstoredSince: Moment?

    struct PendingRule {
        var number: RuleChangeNumber
        var rule: ClusterRule
        var askedAt: Moment
    }

    struct PendingBeat {
        var sequence: UInt64
        var askedAt: Moment
    }

    struct MemberSign {
        var report: MemberReport
        var changedAt: Moment
    }

    struct Outgrown: Hashable, Sendable {
        var reason: String
        var epoch: Epoch
    }

    struct SufficientSince {
        var epoch: Epoch
        var moment: Moment
    }

    /// - Parameters:
    ///   - state: what was last saved; a new `DurableState()` when there is no file.
    ///   - skills: what of a rule the program understands, with its host.
    public init(
        name: MemberName, state: DurableState, timings: FailoverTimings = FailoverTimings(),
        skills: [MemberSkill] = FailoverMember.skills, now: Moment
    ) {
        self.init(name: name, state: state, timings: timings, skills: skills, breakage: nil, now: now)
    }

    package init(
        name: MemberName, state: DurableState, timings: FailoverTimings, skills: [MemberSkill], breakage: Breakage?,
        now: Moment
    ) {
        self.name = name
        self.state = state
        self.timings = timings
        self.skills = skills
        self.breakage = breakage
        wakeAt = now
        decideAt = now
        readDueAt = now
        newsAt = now
        storeHeardAt = now
        storeSince = now
        streamedAt = now
    }

    public var status: FailoverStatus {
        FailoverStatus(
            phase: phase.label, detail: detail, epoch: state.promised,
            leaseUntil: primarysLease, isOpen: gateIsOpen, doubtedSilence: doubtedSilence)
    }

    /// A lease that is over ends what runs. Where Postgres is known to have stopped, as in one who waits for his next lease,
    /// there is nothing to be ended, and much to be lost.
    private var primarysLease: Moment? {
        if case .draining(let drain) = phase, drain.step == .call { return nil }
        return phase.mayBePrimary ? leaseUntil : nil
    }

    public mutating func receive(_ event: FailoverEvent, now: Moment) -> [FailoverAction] {
        steps.removeAll()
        noteStandstill(now)
        if event.isForTheEar, now < decideAt {
            if case .heard(let beat, let after) = event {
                let hadLease = holdsLease(now)
                hear(beat, after: after, now)
                if hasNewAnswers(now) || voting.hasLearned || holdsLease(now) && !hadLease { conclude(now) }
            }
        } else {
            // First of all: a process that was frozen must not act on what it was told before.
            stopWithoutLease(now)
            take(event, now)
            conclude(now)
        }
        let former = summons
        attend(isTick: event == .tick, now)
        if summons != former { conclude(now) }
        wakeAt = decideAt
        if let rule = view?.rule, rule.hasOthers {
            sayIfDue(rule, now)
            wakeAt = min(decideAt, wakeToListen(rule, after: now))
        }
        defer { actions.removeAll() }
        return actions
    }

    private mutating func conclude(_ now: Moment) {
        decide(now)
        closeAtStandstill(now)
        stopWithoutLease(now)
        tend(now)
        decideAt = nextWake(after: now)
    }

    private mutating func take(_ event: FailoverEvent, _ now: Moment) {
        switch event {
        case .tick: break
        case .viewed(let view, let source): see(view, source, now)
        case .readFailed(let number): if number == lastRead { readAskedAt = nil }
        case .ruleAnswered(let number, let answer): ruleAnswered(number, answer, now)
        case .heartbeatAnswered(let sequence, let answer): heartbeatAnswered(sequence, answer, now)
        case .reportAnswered(let sequence, let answer): reportAnswered(sequence, answer, now)
        case .operationEnded(let id, let outcome):
            guard id == lastOperation, let operation = running else { return }
            running = nil
            idleSince = now
            noteEnd(of: operation, outcome)
            ended(operation, outcome, now)
            if exitedEarly, running == nil { crashed("Postgres ended by itself", now) }
            exitedEarly = false
        case .observed(let sample, let id):
            guard id == lastOperation, running == nil else { return }
            observation = sample
            observedAt = now
            observed(sample, now)
        case .postgresExited(let id):
            guard id == lastOperation else { return }
            observation = nil
            if running == nil {
                primaryMayRun = false
                crashed("Postgres ended by itself", now)
            } else {
                exitedEarly = true
            }
        case .cannotFollow(let reason, let id):
            guard id == lastOperation, running == nil, case .following = phase else { return }
            outgrew(reason, now)
        case .leaderLostLog(let reason, let id):
            guard id == lastOperation, running == nil, case .following = phase else { return }
            leaderLostLog(reason, now)
        case .gateAnswered(let isOpen, let failure): gateAnswered(isOpen, failure, now)
        case .volumeHangs(let since): volumeHangs(since: since)
        case .volumeFailed(let why): sayFarewell(because: why, now)
        case .terminate: sayFarewell(now)
        case .heard(let beat, let after): hear(beat, after: after, now)
        }
    }

    /// What follows from all that is known. Level-triggered: it looks at facts, not at which event brought them.
    private mutating func decide(_ now: Moment) {
        if case .leaving(let farewell) = phase { return leave(farewell, now) }
        guard hasRead || goesByKept, let view else { return }
        guard let rule = view.rule else { return found(view, now) }
        // Whoever was given up may know of leaders that those that were have chosen among themselves: that proves nothing.
        let isGivenUp = rule.givenUp.contains(name)
        if !isGivenUp, let proof = proofOfReversal(rule) { return quarantine(because: proof, now) }
        if let why = absence(from: rule) { return standAside(because: why, now) }
        if case .quarantined = phase { leaveQuarantine(now) }
        guard mayTakePart(rule, now) else { return }
        noteMembership(rule)
        noteOpening(view, rule)
        noteDown(now)
        dropSummons(rule, now)
        var called = rule
        called.recruitment = recruitment(under: rule)
        let epoch = called.recruitment?.epoch ?? rule.epoch
        if epoch > state.promised, !recoversMeanwhile(rule, now) { answerCall(of: epoch, now) }
        if epoch == state.promised {
            lacksWord(called, now)
            offerOffice(called, now)
            offerAtHang(called, now)
            // Some phases last no time at all: go on until nothing more follows.
            for _ in 0..<Self.stepsMax {
                let before = phase
                advance(called, now)
                if phase == before { break }
            }
            elect(called, view.reports, now)
            castVote(rule, now)
            if countVotes(rule, now) { return decide(now) }
        }
        storePromise(rule, now)
        publish(rule, now)
    }

    /// The next step of the present phase; Postgres has no operation in flight.
    private mutating func advance(_ rule: ClusterRule, _ now: Moment) {
        guard running == nil, !endSilentStandby(rule, now) else { return }
        let isSettled = rule.recruitment == nil
        switch phase {
        case .starting: awaken(rule, now)
        case .founding: awaken(rule, now)
        case .empty where isSettled: acquireData(rule, now)
        case .severing: if now >= retryAt { start(.sever) }
        case .reading: if now >= retryAt { start(.readEnd) }
        case .waiting(let end) where isSettled: takePlace(rule, end: end, now)
        case .following where reports.premature != nil && isSettled: phase = .severing
        case .following(let leader):
            if !needsFollow { restartStandby(rule, now) } else if now >= retryAt { follow(leader) }
        case .claiming(let end) where isSettled: takeOffice(rule, end: end, now)
        // Only a store that went back opens an election again that it had decided. Nothing of that office has begun.
        case .claiming:
            leaveOffice()
            phase = .severing
        case .restarting where isSettled: if now >= retryAt { startPrimary(rule) }
        case .leading(let reigning): reign(reigning, rule, now)
        case .draining(let drain): self.drain(drain, rule, now)
        case .suspending: if now >= retryAt { start(.stop(.immediate)) }
        case .resigning(hasStopped: true): proposeSuccession(rule, because: resignation, now)
        case .resigning(hasStopped: false): if now >= retryAt { start(.stop(.immediate)) }
        case .exchanging: if now >= retryAt { start(.exchange) }
        case .discarding: if now >= retryAt { start(.discard) }
        case .empty, .initializing, .waiting, .cloning, .rewinding, .promoting, .restarting, .quarantined,
            .leaving:
            break
        }
    }

    /// Postgres should follow but no operation made it so.
    var needsFollow: Bool {
        guard case .follow? = lastStarted else { return true }
        return followFailed
    }

    var lastStarted: PostgresOperation?
    var followFailed = false

    mutating func start(_ operation: PostgresOperation) {
        if operation.closesGate { setGate(open: false) }
        if operation.startsPrimary { primaryMayRun = true }
        if operation.startsPrimary || operation.replacesData { reports.standby = nil }
        reports.end.begins(operation)
        lastOperation = lastOperation.next
        running = operation
        exitedEarly = false
        lastStarted = operation
        followFailed = false
        observation = nil
        actions.append(.postgres(operation, lastOperation))
    }

    mutating func save(_ change: (inout DurableState) -> Void) {
        var next = state
        change(&next)
        if next.promised > state.promised, next.keptSince == nil {
            // A program that did not keep it was here in the epoch that it promised.
            next.keptSince = state.promised == .none ? next.promised : state.promised
        }
        if next.direct != nil, let rule = view?.rule, rule.recruitment?.epoch ?? rule.epoch >= next.promised {
            next.direct = nil
        }
        guard next != state else { return }
        state = next
        actions.append(.save(next))
    }

    mutating func setGate(open: Bool) {
        guard gateIsOpen != open else { return }
        gateIsOpen = open
        gateStands = false
        gateObstacle = nil
        actions.append(.setGate(isOpen: open))
    }

    /// Clients are in when they are let in, not when somebody was asked to let them in.
    private mutating func gateAnswered(_ isOpen: Bool, _ failure: String?, _ now: Moment) {
        guard isOpen == gateIsOpen else { return }
        gateObstacle = failure
        guard gateStands != (failure == nil) else { return }
        gateStands = failure == nil
        beatDueAt = min(beatDueAt, now)
    }

    private mutating func noteEnd(of operation: PostgresOperation, _ outcome: OperationOutcome) {
        guard operation.stopsPrimary else { return }
        switch outcome {
        case .done, .end: primaryMayRun = false
        case .promoted, .unreachable, .impossible, .noRoom, .spoiled, .recovering, .failed: break
        }
    }

    /// After a failure: the next attempt comes later each time.
    mutating func retryLater(_ reason: String, _ now: Moment) {
        detail = reason
        let doubled = timings.retryMin * (1 << min(failures, 10))
        failures += 1
        retryAt = now + min(doubled, timings.retryMax)
    }

    private func nextWake(after now: Moment) -> Moment {
        var next = now + timings.reassuranceInterval
        func consider(_ moment: Moment?) {
            if let moment, moment > now, moment < next { next = moment }
        }
        consider(readDueAt)
        if let sparing { consider(sparing.since + timings.sparingMax) }
        consider(retryAt)
        consider(ruleChangeDueAt)
        consider(reports.dueAt)
        consider(reports.retryAt)
        consider(reports.tickAt)
        if phase.isInOffice { consider(beatDueAt) }
        if phase.mayBePrimary { consider(leaseUntil) }
        consider(downSince.map { $0 + recoveryLimit })
        consider(volumeHangsSince.map { $0 + hangLimit })
        consider(pause?.endsAt)
        if let sufficientSince { consider(sufficientSince.moment + timings.decisionPatience) }
        if let verdictSince { consider(verdictSince.moment + timings.verdictPatience) }
        consider(summons.map { $0.since + timings.callMax })
        if let unstoredSince, let rule = view?.rule { consider(unstoredSince + unstoredWait(rule)) }
        switch phase {
        case .leading(let reigning):
            consider(reigning.heardAt + timings.postgresSilenceMax)
            if let rule = view?.rule {
                consider(reigning.isolatedSince.map { $0 + isolationLimit(rule, now) })
            }
        case .draining(let drain): consider(drain.deadline)
        case .following:
            if gateIsOpen { consider(streamedAt + timings.standstillMax) }
            if let rule = view?.rule { consider(silenceEnds(rule)) }
        case .leaving(let farewell): consider(farewell.deadline)
        case .starting, .empty, .initializing, .founding, .severing, .reading, .waiting, .cloning, .exchanging,
            .discarding, .rewinding, .claiming, .promoting, .restarting, .suspending, .quarantined, .resigning:
            break
        }
        return next
    }
}
