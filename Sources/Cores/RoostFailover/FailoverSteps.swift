public import RoostModel

/// When each step of a failover was taken, as the member saw it that leads afterwards; and of a leader's restart in place.
/// It looks on: it is told what its member's core is told and what that answers, and nothing goes by it.
public struct FailoverSteps: Sendable {
    public enum Step: String, Hashable, Sendable, CaseIterable {
        /// This member missed the leader and asked for a recruitment. Absent where another one's was there first.
        case suspected
        /// This member knows of the recruitment: from the rule, or directly.
        case called
        /// Nothing of the old leader can be received any more.
        case fenced
        /// The new epoch is on disk.
        case promised
        /// The end of the log is known.
        case endRead = "end_read"
        /// This member had enough answers, and asked the store to name the leader. Absent where another one did.
        case decided
        /// The rule names this member, and it knows.
        case elected
        /// Postgres is a primary.
        case promoted
        /// Of a restart: Postgres runs again.
        case started
        /// A standby has on disk what a promotion or a restart has written first.
        case confirmed
        /// Clients are let in, by the host and by Postgres.
        case open
    }

    /// What set it off.
    public enum Cause: Hashable, Sendable {
        case recruitment(Recruitment.Reason)
        /// The leader's Postgres ended by itself.
        case postgresEnded
    }

    /// One that has ended well: since the last beat of the leader before, or, where this member has heard none, since it
    /// knew of the recruitment; of a restart: since Postgres ended.
    public struct Account: Hashable, Sendable {
        public var epoch: Epoch
        public var cause: Cause
        /// In the order of ``Step``; without those that were not taken.
        public var steps: [Stamp]
    }

    public struct Stamp: Hashable, Sendable {
        public var step: Step
        public var after: Duration
    }

    private struct Course {
        var epoch: Epoch
        var cause: Cause
        var since: Moment
        var stamps: [Stamp] = []
        /// When it was called without the rule.
        var directAt: Moment?
        /// What a standby must have on disk.
        var required: LSN?

        /// The first time counts.
        mutating func mark(_ step: Step, _ now: Moment) {
            guard !has(step) else { return }
            stamps.append(Stamp(step: step, after: now - since))
        }

        func has(_ step: Step) -> Bool { stamps.contains { $0.step == step } }
        var isPrimary: Bool { has(.promoted) || has(.started) }
    }

    private let name: MemberName
    private var revision: Int64 = 0
    private var rule: ClusterRule?
    private var beat: (epoch: Epoch, sequence: UInt64)?
    private var beatAt: Moment?
    /// What was asked of the store and is not answered yet.
    private var question: (number: RuleChangeNumber, rule: ClusterRule)?
    /// The recruitment that this member asked for first.
    private var suspicion: (epoch: Epoch, at: Moment)?
    /// What another member called for directly.
    private var call: (epoch: Epoch, at: Moment)?
    /// A direct call that has led to nothing for so long has come to nothing.
    private static let callMax = Duration.seconds(10)
    private var operation: (id: OperationID, what: PostgresOperation)?
    private var course: Course?

    public init(of name: MemberName) { self.name = name }

    /// - Parameters:
    ///   - event: what the core was handed.
    ///   - actions: what it answered.
    ///   - from: when it was handed the event.
    ///   - to: when the answer was carried out, as far as that is waited for: a promise is on disk then.
    /// - Returns: the steps when the last one was taken; once.
    public mutating func note(
        _ event: FailoverEvent, _ actions: [FailoverAction], from: Moment, to: Moment
    ) -> Account? {
        see(event, from)
        for action in actions { see(action, to) }
        guard let course, course.has(.open) else { return nil }
        self.course = nil
        return Account(
            epoch: course.epoch, cause: course.cause,
            steps: Step.allCases.compactMap { step in course.stamps.first { $0.step == step } })
    }

    private mutating func see(_ event: FailoverEvent, _ now: Moment) {
        switch event {
        case .viewed(let view, by: _):
            guard view.revision >= revision else { return }
            revision = view.revision
            if let beat = view.heartbeat { hear(beat, now) }
            if let rule = view.rule { learn(rule, now) }
        case .ruleAnswered(let number, let answer):
            guard let question, question.number == number else { return }
            self.question = nil
            guard case .applied(let revision) = answer else { return }
            self.revision = max(self.revision, revision)
            learn(question.rule, now)
        case .operationEnded(let id, let outcome):
            guard let operation, operation.id == id else { return }
            ended(operation.what, outcome, now)
        case .observed(.primary(let sample), after: _): weigh(sample, now)
        case .postgresExited:
            guard let rule, rule.leader == name, rule.recruitment == nil, course == nil else { return }
            course = Course(epoch: rule.epoch, cause: .postgresEnded, since: now)
        case .gateAnswered(isOpen: true, failure: nil):
            if course?.isPrimary == true { course?.mark(.open, now) }
        case .heard(let beat, after: _): if let epoch = beat.call?.epoch, call?.epoch != epoch { call = (epoch, now) }
        case .tick, .readFailed, .heartbeatAnswered, .reportAnswered, .observed(.standby, after: _), .cannotFollow,
            .leaderLostLog, .gateAnswered, .volumeHangs, .volumeFailed, .terminate:
            break
        }
    }

    private mutating func see(_ action: FailoverAction, _ now: Moment) {
        switch action {
        case .changeRule(let next, expectedRevision: _, let number):
            question = (number, next)
            if next.recruitment == nil, next.epoch == course?.epoch { course?.mark(.decided, now) }
            guard let epoch = next.recruitment?.epoch, rule?.recruitment == nil, suspicion?.epoch != epoch else {
                return
            }
            suspicion = (epoch, now)
        case .save(let state):
            if let course, state.promised >= course.epoch { self.course?.mark(.promised, now) }
        case .postgres(let what, let id):
            operation = (id, what)
            // It leaves its leader by a word that is not in the rule.
            if what == .sever, let call, now - call.at < Self.callMax { calledDirectly(to: call.epoch, now) }
        case .beat(let beat): if let call = beat.call { calledDirectly(to: call.epoch, now) }
        case .read, .heartbeat, .holdLease, .report, .setGate, .exit: break
        }
    }

    private mutating func hear(_ beat: Heartbeat, _ now: Moment) {
        // Nobody knows how old the first one is.
        if let known = self.beat {
            guard (beat.epoch, beat.sequence) > known else { return }
            beatAt = now
        }
        self.beat = (beat.epoch, beat.sequence)
    }

    private mutating func calledDirectly(to epoch: Epoch, _ now: Moment) {
        guard let rule, rule.recruitment == nil, epoch == rule.epoch.next else { return }
        begin(epoch, because: .leaderSilent, now)
        if course?.directAt == nil { course?.directAt = now }
    }

    private mutating func begin(_ epoch: Epoch, because reason: Recruitment.Reason, _ now: Moment) {
        guard course?.epoch != epoch else { return }
        // A second one, because the first came to nothing, is of the same failover: clients wait since then.
        var course = Course(epoch: epoch, cause: .recruitment(reason), since: course?.since ?? beatAt ?? now)
        if let suspicion, suspicion.epoch == epoch { course.mark(.suspected, suspicion.at) }
        course.mark(.called, now)
        self.course = course
    }

    private mutating func learn(_ next: ClusterRule, _ now: Moment) {
        rule = next
        if let recruitment = next.recruitment {
            begin(recruitment.epoch, because: recruitment.reason, now)
            course?.directAt = nil
        } else if let course {
            guard next.epoch >= course.epoch else {
                if let at = course.directAt, now - at >= Self.callMax { self.course = nil }
                return
            }
            if next.epoch == course.epoch, next.leader == name {
                if case .recruitment = course.cause { self.course?.mark(.elected, now) }
            } else {
                self.course = nil
            }
        }
    }

    private mutating func ended(_ operation: PostgresOperation, _ outcome: OperationOutcome, _ now: Moment) {
        switch (operation, outcome) {
        case (.sever, .done): course?.mark(.fenced, now)
        case (.readEnd, .end): course?.mark(.endRead, now)
        case (.promote, .promoted(switchPoint: let begin, timeline: _)):
            course?.mark(.promoted, now)
            course?.required = LSN(begin.offset + 1)
        case (.startPrimary, .done): course?.mark(.started, now)
        case (.initialize, _), (.clone, _), (.exchange, _), (.discard, _), (.tryRewind, _), (.rewind, _), (.follow, _),
            (.confirmBy, _), (.checkpoint, _), (.stop, _), (.sever, _), (.readEnd, _), (.promote, _),
            (.startPrimary, _):
            break
        }
    }

    private mutating func weigh(_ sample: PrimaryObservation, _ now: Moment) {
        guard let course, course.isPrimary else { return }
        let required = course.required ?? sample.flushed
        self.course?.required = required
        if sample.standbys.contains(where: { $0.isStreaming && $0.flushed >= required }) {
            self.course?.mark(.confirmed, now)
        }
    }
}
