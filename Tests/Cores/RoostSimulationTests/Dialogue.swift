import RoostFailover
import RoostModel
import Testing

/// Speaks to one member's core as its shell would, and keeps what it answers.
struct Dialogue {
    /// Of a program, or of one with a host, of before more than half of the members could decide.
    static let skillsOfBefore = MemberSkill.known.filter { $0 != .majority }

    var member: FailoverMember
    var now = Moment(sinceBoot: .seconds(100))
    var revision: Int64 = 10
    var ruleRevision: Int64 = 5
    var rule: ClusterRule?
    var heartbeat: Heartbeat?
    var reports: [MemberReport] = []
    var names: [MemberName]
    var operation = OperationID.none
    /// The last change of the rule that was asked for.
    var ruleChange = RuleChangeNumber.none
    /// The last read.
    var lastRead = ReadNumber.none
    /// The last report, which the store takes at once.
    var stored: MemberReport?

    init(
        _ name: String, members: Int = 3, state: DurableState = DurableState(),
        skills: [MemberSkill] = Dialogue.skillsOfBefore
    ) throws {
        names = try (1...members).map { try MemberName("m\($0)") }
        member = FailoverMember(name: try MemberName(name), state: state, skills: skills, now: now)
    }

    var view: StoreView {
        StoreView(
            revision: revision, members: names, rule: rule, ruleRevision: rule == nil ? 0 : ruleRevision,
            heartbeat: heartbeat, reports: reports, wallClock: (now - Moment.zero).milliseconds)
    }

    /// Without what is said all the time: reads, reports, heartbeats.
    @discardableResult
    mutating func tell(_ event: FailoverEvent) -> [FailoverAction] {
        all(event).filter { action in
            switch action {
            case .read, .report, .heartbeat, .holdLease, .beat: false
            case .save, .changeRule, .postgres, .setGate, .exit: true
            }
        }
    }

    mutating func all(_ event: FailoverEvent) -> [FailoverAction] {
        var actions = member.receive(event, now: now)
        for step in member.steps { #expect(step.isLegal, "\(step) on \(event)") }
        while let report = Self.reported(actions), report != stored {
            stored = report
            actions += member.receive(
                .reportAnswered(sequence: report.sequence, .applied(revision: revision)), now: now)
        }
        for case .postgres(_, let id) in actions { operation = id }
        for case .changeRule(_, _, let number) in actions { ruleChange = number }
        for case .read(let number) in actions { lastRead = number }
        return actions
    }

    mutating func wait(_ duration: Duration) { now = now + duration }

    mutating func read() -> [FailoverAction] { tell(.viewed(view, by: .read(lastRead))) }
    mutating func watch() -> [FailoverAction] { tell(.viewed(view, by: .watch)) }

    mutating func change(_ change: (inout ClusterRule) -> Void) {
        guard var next = rule else { return }
        change(&next)
        rule = next
        revision += 1
        ruleRevision = revision
    }

    mutating func beat(_ sequence: UInt64, mayReplace: MemberName? = nil) {
        guard let rule else { return }
        revision += 1
        heartbeat = Heartbeat(
            epoch: rule.epoch, leader: rule.leader, sequence: sequence, isOpen: true, mayReplace: mayReplace)
    }

    mutating func ended(_ outcome: OperationOutcome = .done) -> [FailoverAction] {
        tell(.operationEnded(operation, outcome))
    }

    mutating func observed(_ sample: PostgresObservation) -> [FailoverAction] {
        tell(.observed(sample, after: operation))
    }

    /// The position in the last report that these actions hold.
    static func reported(_ actions: [FailoverAction]) -> MemberReport? {
        for case .report(let report) in actions.reversed() { return report }
        return nil
    }
}

extension Dialogue {
    /// `m1` leads epoch 1, everything is well.
    static func firstRule(_ names: [MemberName]) -> ClusterRule {
        ClusterRule(
            epoch: .first, leader: names[0], members: names, confirmations: names.count / 2,
            history: [Reign(epoch: .first, leader: names[0], begin: .zero)])
    }

    /// A standby that follows `m1` in epoch 1.
    ///
    /// - Parameter begin: before it has seen anything of the store.
    static func follower(
        _ name: String, members: Int = 3, from begin: (inout Dialogue) -> Void = { _ in }
    ) throws -> Dialogue {
        let leader = try MemberName("m1")
        var dialogue = try Dialogue(
            name, members: members,
            state: DurableState(
                promised: .first, chain: [Reign(epoch: .first, leader: leader, begin: .zero)], data: .usable))
        dialogue.rule = firstRule(dialogue.names)
        dialogue.beat(1)
        begin(&dialogue)
        dialogue.tell(.tick)
        _ = dialogue.read()
        _ = dialogue.ended(.end(LSN(1000), timeline: 1))
        _ = dialogue.ended()
        return dialogue
    }

    /// `m1`, leading epoch 1; Postgres runs.
    static func leader(members: Int = 3, skills: [MemberSkill] = Dialogue.skillsOfBefore) throws -> Dialogue {
        let name = try MemberName("m1")
        var dialogue = try Dialogue(
            "m1", members: members,
            state: DurableState(
                promised: .first, chain: [Reign(epoch: .first, leader: name, begin: .zero)], data: .usable,
                led: .first), skills: skills)
        dialogue.rule = firstRule(dialogue.names)
        dialogue.tell(.tick)
        _ = dialogue.read()
        _ = dialogue.tell(.heartbeatAnswered(sequence: 1, .applied(revision: 11)))
        _ = dialogue.ended()
        return dialogue
    }

    /// A sample of a primary with standbys at these ends.
    func primary(_ flushed: UInt64, _ standbys: [String: UInt64] = [:]) throws -> PostgresObservation {
        let streams = try standbys.sorted { $0.key < $1.key }.map {
            StreamObservation(member: try MemberName($0.key), isStreaming: true, flushed: LSN($0.value))
        }
        return .primary(PrimaryObservation(timeline: 1, flushed: LSN(flushed), standbys: streams))
    }

    func standby(_ received: UInt64, isStreaming: Bool = true, silence: Duration? = .milliseconds(100))
        -> PostgresObservation
    {
        .standby(
            StandbyObservation(
                timeline: 1, received: LSN(received), replayed: LSN(received), isStreaming: isStreaming,
                silence: silence, lag: .zero))
    }
}
