public import RoostModel

/// What a member's shell tells its core. Every event carries the shell's own monotonic time (`now` of
/// ``FailoverMember/receive(_:now:)``), taken when the event is handed over, not when its cause happened.
public enum FailoverEvent: Hashable, Sendable {
    /// Nothing happened, but ``FailoverMember/wakeAt`` has come. Early and repeated ticks are harmless.
    case tick

    /// The cluster's records, at one revision of the store.
    ///
    /// `.read`: the answer to ``FailoverAction/read``: linearizable, so not older than the moment it was asked for.
    /// `.watch`: pushed by the store; may be stale. Views older than one already seen are ignored by the core, until
    /// reads that begin one after the other agree that the store has gone back.
    /// `.kept`: what the host had heard last, where the store does not answer: of any time. Believed only by a process that
    /// has not heard the store yet, and only as far as what lies on the member's own disk bears it out.
    indirect case viewed(StoreView, by: ViewSource)

    /// ``FailoverAction/read`` was not answered in ``FailoverTimings/storeRequestMax`` or answered with an error.
    case readFailed(ReadNumber)

    /// How the ``FailoverAction/changeRule(_:expectedRevision:_:)`` with this number ended.
    case ruleAnswered(RuleChangeNumber, StoreAnswer)

    /// How the heartbeat with this sequence ended.
    case heartbeatAnswered(sequence: UInt64, StoreAnswer)

    /// How the ``FailoverAction/report(_:)`` with this sequence ended: one that was given up may be answered late.
    case reportAnswered(sequence: UInt64?, StoreAnswer)

    /// A Postgres operation ended. Never sent for an operation that a later one pre-empted; if it is, it is ignored.
    case operationEnded(OperationID, OperationOutcome)

    /// What Postgres says of itself, about every ``FailoverTimings/observationInterval``, while no operation is in
    /// flight and Postgres runs. `after` is the last operation that was started; the whole sample must have been
    /// taken after that operation ended. A sample that names an older operation is ignored.
    indirect case observed(PostgresObservation, after: OperationID)

    /// Postgres (the postmaster) ended although no operation asked for it. Send it once, at once. While an operation
    /// runs it is that operation's failure instead, unless it ends after one that leaves a primary alone; it may overtake the `operationEnded` of one that had just succeeded.
    case postgresExited(after: OperationID)

    /// The leader of this member's epoch was asked, and says that this member can never continue: it no longer has the log
    /// that comes next here, or what is here is not in its history. The shell has this from its own question to the
    /// leader, never from a log: clients write there too. Not for lost connections, refused connections or a slot that
    /// does not exist yet.
    case cannotFollow(String, after: OperationID)

    /// The leader of this member's epoch was asked, and its log, of the same timelines as the one here, ends before this
    /// one's: it has lost what it had sent. The shell has this from its own question to the leader, as ``cannotFollow``.
    case leaderLostLog(String, after: OperationID)

    /// The last ``FailoverAction/setGate(isOpen:)`` was carried out, or could not be: then the text says why, and the shell
    /// goes on trying.
    case gateAnswered(isOpen: Bool, failure: String?)

    /// A small write to the volume, flushed, was begun then and has not ended; nil: it has. Said when it has taken long, and
    /// when that is over.
    case volumeHangs(since: Moment?)

    /// The volume takes no writes any more, in words: what Postgres says it has written it may not have. The core stops
    /// it at once and for good, hands over, and answers with ``FailoverAction/exit``, as after ``terminate``: nothing of
    /// that needs the volume.
    case volumeFailed(String)

    /// Another member's beat, not by way of the store. The shell knows that it is that member's, that it is of now and not
    /// said again by somebody, and hands over none that was sent before one that it has handed over. What is never heard
    /// is no fault: members' programs may be of before there were beats.
    ///
    /// `after`: it was said after this moment of the shell's own clock, however long it was on its way, since it names a beat
    /// that this member sent then; nil: the other does not say what it has heard, or it has heard nothing lately.
    indirect case heard(MemberBeat, after: Moment? = nil)

    /// The machine is asked to stop (SIGTERM). The core hands over or stops Postgres, then answers with
    /// ``FailoverAction/exit``. Bounded by ``FailoverTimings/farewellMax``.
    case terminate
}

extension FailoverEvent {
    /// Most of all events, and of those that change nothing as a rule.
    var isForTheEar: Bool {
        switch self {
        case .tick, .heard: true
        case .viewed, .readFailed, .ruleAnswered, .heartbeatAnswered, .reportAnswered, .operationEnded, .observed,
            .postgresExited, .cannotFollow, .leaderLostLog, .gateAnswered, .volumeHangs, .volumeFailed, .terminate:
            false
        }
    }
}

public enum ViewSource: Hashable, Sendable {
    /// With the number of the ``FailoverAction/read(_:)`` that it answers: one that was given up may be answered late.
    case read(ReadNumber)
    case watch
    case kept
}

/// What the core needs of the cluster's records.
public struct StoreView: Hashable, Sendable {
    /// The store's revision this view was taken at. Goes back only with the store itself (restored from a copy).
    public var revision: Int64
    /// The members of the spec, in its order.
    public var members: [MemberName]
    public var rule: ClusterRule?
    /// The revision at which `rule` was last changed; 0 when there is none.
    public var ruleRevision: Int64
    public var heartbeat: Heartbeat?
    public var reports: [MemberReport]
    /// What the member's own wall clock said when it was handed over, in milliseconds: for what ends by itself.
    public var wallClock: Int64
    /// The member's host, which ends a leader's machine when its lease is over, takes the leader's word that other members
    /// have renewed it. False: only the store's answers count there, and so here.
    public var hostTakesWord: Bool
    /// The host takes rules that members have decided by themselves, and tells edges of such leaders.
    public var hostTakesVotes: Bool

    public init(
        revision: Int64, members: [MemberName], rule: ClusterRule?, ruleRevision: Int64, heartbeat: Heartbeat?,
        reports: [MemberReport], wallClock: Int64 = 0, hostTakesWord: Bool = true,
        hostTakesVotes: Bool = true
    ) {
        self.revision = revision
        self.members = members
        self.rule = rule
        self.ruleRevision = ruleRevision
        self.heartbeat = heartbeat
        self.reports = reports
        self.wallClock = wallClock
        self.hostTakesWord = hostTakesWord
        self.hostTakesVotes = hostTakesVotes
    }
}

/// How a change asked of the store ended.
public enum StoreAnswer: Hashable, Sendable {
    /// Done; for a rule, `revision` is the rule's new revision.
    case applied(revision: Int64)
    /// The compare failed: the record has another revision. (200 with `applied: false`.)
    case refused
    /// Its host does not take this from this member, in these words: not done, and not to be had by asking again. (400.)
    case denied(String)
    /// Certainly not done, nor will it be. (503, or the socket could not be connected.)
    case unavailable
    /// Nobody knows whether it was done, or will be. (504, time-out, connection lost after sending.)
    case unknown
}

/// How a Postgres operation ended.
public enum OperationOutcome: Hashable, Sendable {
    /// `initialize`, `clone`, `exchange`, `discard`, `rewind`, `sever`, `follow`, `startPrimary`, `checkpoint`, `stop`.
    case done
    /// `readEnd`: see there for what `end` must be. `timeline`: of the last byte. `forks`: where each of its timelines
    /// begins, oldest first, by Postgres's own account (the history file); none for the first.
    case end(LSN, timeline: UInt32, forks: [TimelineFork] = [])
    /// `promote`: where the new timeline branched off (from the history file, or `pg_control`).
    case promoted(switchPoint: LSN, timeline: UInt32)
    /// `clone`, `rewind`: the leader could not be reached, or has no slot for this stream, and **nothing was changed**:
    /// the data is worth what it was worth before.
    case unreachable(String)
    /// `tryRewind`: it would not work. **Nothing was changed.**
    case impossible(String)
    /// `clone`: the volume has no room for a copy beside the data. Nothing was changed.
    case noRoom(String)
    /// `readEnd`, `follow`: Postgres did not start, and the reason is proven: the data folder is no database any more.
    /// Never for whatever else keeps a Postgres from starting.
    case spoiled(String)
    /// `readEnd`, `startPrimary`: the time is over, and Postgres is at work to come up: it has read, or used the processor,
    /// just now. **It was left alone and goes on**; the next of the kind goes on asking it.
    case recovering(String)
    /// It did not work, or took longer than ``OperationPatience`` has for it; the text says what was tried on what and
    /// why it failed. Whatever it started has ended.
    case failed(String)
}

/// A sample of a running Postgres.
public enum PostgresObservation: Hashable, Sendable {
    case primary(PrimaryObservation)
    case standby(StandbyObservation)
}

public struct PrimaryObservation: Hashable, Sendable {
    public var timeline: UInt32
    /// `pg_current_wal_flush_lsn()`, read after what the standbys have.
    public var flushed: LSN
    /// The rows of `pg_stat_replication` whose `application_name` is a ``StreamName`` of the epoch that Postgres
    /// was promoted or started with; all others do not count and must not be listed.
    public var standbys: [StreamObservation]
    /// The number that initdb drew for its data, as it was read before it was started; nil when it is not known.
    public var system: UInt64?

    public init(timeline: UInt32, flushed: LSN, standbys: [StreamObservation], system: UInt64? = nil) {
        self.timeline = timeline
        self.flushed = flushed
        self.standbys = standbys
        self.system = system
    }
}

public struct StreamObservation: Hashable, Sendable {
    public var member: MemberName
    /// `state = 'streaming'`.
    public var isStreaming: Bool
    /// `flush_lsn`; zero when null.
    public var flushed: LSN

    public init(member: MemberName, isStreaming: Bool, flushed: LSN) {
        self.member = member
        self.isStreaming = isStreaming
        self.flushed = flushed
    }
}

/// Sent only when Postgres accepts read-only connections, which is when its data is consistent.
public struct StandbyObservation: Hashable, Sendable {
    public var timeline: UInt32
    /// Flushed by the receiver (`pg_last_wal_receive_lsn()`), or what is replayed when nothing was received yet.
    public var received: LSN
    public var replayed: LSN
    /// `pg_stat_wal_receiver.status = 'streaming'`.
    public var isStreaming: Bool
    /// The age of the receiver's last message from the leader; nil when there is no receiver.
    public var silence: Duration?
    public var lag: Duration
    /// `pg_last_xact_replay_timestamp()`, in milliseconds since 1970; nil when nothing was replayed since Postgres has started.
    public var committedAt: Int64?

    public init(
        timeline: UInt32, received: LSN, replayed: LSN, isStreaming: Bool, silence: Duration?, lag: Duration,
        committedAt: Int64? = nil
    ) {
        self.timeline = timeline
        self.received = received
        self.replayed = replayed
        self.isStreaming = isStreaming
        self.silence = silence
        self.lag = lag
        self.committedAt = committedAt
    }
}
