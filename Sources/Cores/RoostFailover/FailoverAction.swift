public import RoostModel

/// What a member's core asks of its shell.
///
/// The shell carries out the actions of one ``FailoverMember/receive(_:now:)`` in order, and hands no further event
/// over before it has *started* all of them (`save` must have ended). Events that come meanwhile wait in a queue.
/// Answers come back as events; the core never waits.
public enum FailoverAction: Hashable, Sendable {
    /// Make the state durable: written beside, flushed, renamed, folder flushed. The shell does this at once and
    /// blocks on it; the actions after it rely on it. If it fails, the process must die without another action.
    indirect case save(DurableState)

    /// Read the cluster's records linearizably; answer with `.viewed(_, by: .read)` or `.readFailed`, and this number.
    /// At most one is in flight.
    case read(ReadNumber)

    /// Replace the rule if it still has this revision (0: if there is none); answer with `.ruleAnswered` and this number.
    /// At most one is in flight that was not given up. Do not repeat it by yourself.
    indirect case changeRule(ClusterRule, expectedRevision: Int64, RuleChangeNumber)

    /// Renew the lease if the rule still has this revision; answer with `.heartbeatAnswered`. Several are in flight at a time,
    /// one more each ``FailoverTimings/heartbeatInterval``: send each at once, on a connection of its own, do not queue them
    /// behind one another, and give each up after ``FailoverTimings/storeRequestMax``.
    indirect case heartbeat(Heartbeat, ruleRevision: Int64)

    /// Tell the host, which guards the lease of this epoch from outside, that other members' word has renewed it as of this
    /// moment, and not the store. As often as a heartbeat, on a connection of its own; nobody waits for an answer. With a
    /// heartbeat where members have decided that this one leads, and the store does not have it: the host tells it to edges.
    indirect case holdLease(Epoch, since: Moment, telling: Heartbeat?)

    /// Publish what this member says of itself; answer with `.reportAnswered` and its sequence. At most one is in flight that
    /// was not given up.
    indirect case report(MemberReport)

    /// Change Postgres; answer with `.operationEnded` and this id. At most one runs: if another is still running,
    /// this one pre-empts it: kill what the old one started, see that it is gone, never report its end, then begin.
    /// Only `sever` and `stop` ever pre-empt.
    case postgres(PostgresOperation, OperationID)

    /// Open or close this member's service port for edges: open on a leader that accepts writes, and on a standby that
    /// streams, for reads. The last word counts; repeat it to the host until it is
    /// carried out, also after the host's agent restarted. Closed when the process starts.
    case setGate(isOpen: Bool)

    /// Say this to every other member of the rule directly, at once. Nobody answers, and what is lost is not said again.
    indirect case beat(MemberBeat)

    /// Postgres is stopped and all is said: end the process.
    case exit
}

/// Counts the Postgres operations of one process; greater is later.
public struct OperationID: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let number: UInt64

    public init(_ number: UInt64) { self.number = number }

    /// Before the first operation.
    public static let none = OperationID(0)
    var next: OperationID { OperationID(number + 1) }

    public static func < (left: Self, right: Self) -> Bool { left.number < right.number }
    public var description: String { "#\(number)" }
}

/// Counts the reads that one process has asked for: what one shows that was given up is older than the next was asked for.
public struct ReadNumber: Hashable, Sendable {
    public let number: UInt64

    public init(_ number: UInt64) { self.number = number }

    /// Before the first.
    public static let none = ReadNumber(0)
    var next: ReadNumber { ReadNumber(number + 1) }
}

/// Counts the changes of the rule that one process has asked for: the answer to one that was given up is none to the next.
public struct RuleChangeNumber: Hashable, Sendable {
    public let number: UInt64

    public init(_ number: UInt64) { self.number = number }

    /// Before the first.
    public static let none = RuleChangeNumber(0)
    var next: RuleChangeNumber { RuleChangeNumber(number + 1) }
}

/// One change to Postgres. All are idempotent: the process may have died in the middle of any of them, or have
/// carried it out without having been able to say so.
///
/// In all of them, an epoch stands for two names, which fence a member whose supervisor is frozen while its Postgres
/// lives on and reconnects by itself: the *application name* of its stream (``StreamName``) and the name of its slot
/// (``StreamName/slot``). A leader of an epoch has slots and synchronous names for streams of that epoch only.
public enum PostgresOperation: Hashable, Sendable {
    /// Remove whatever is in the data folder, run initdb (checksums on), leave Postgres stopped, flush everything.
    case initialize

    /// Copy the leader's data into a folder of its own (`pg_basebackup -X stream -S` the slot of this epoch's stream: so
    /// the copy cannot outlive the leader's epoch), flushed before the end. **The data and its Postgres stay as they
    /// are**: they may be the last good copy, and count until ``exchange``.
    ///
    /// First remove what an earlier attempt left, connect to the leader and see that it has the slot and the cluster's data;
    /// else `unreachable`. The cluster's is what the rule says (``ClusterRule/system``): then it may take the place of data
    /// of another system, which it mends. As long as the rule does not say, it is what is here already, if anything. Then see
    /// that the volume has room for both; else `noRoom`. A copy that fails is removed at once: what it takes up may be what
    /// Postgres needs to start.
    case clone(from: MemberName, epoch: Epoch)

    /// The whole copy beside becomes the data: stop Postgres, move the data aside, move the copy to its place, remove
    /// what was moved aside. The durable state already says `.exchanging`. After a crash between any two of the steps
    /// it is started again, and sees by which folders are there how far it came.
    case exchange

    /// Stop Postgres and remove the data. The durable state already says `.cloning`.
    case discard

    /// Connect as for `clone`, else `unreachable`. Then stop Postgres if it runs, and try `pg_rewind` out (`--dry-run`)
    /// where it can be; `impossible` if that fails. Whatever comes of it, **the data is as it was, and counts**.
    case tryRewind(to: MemberName, epoch: Epoch)

    /// Connect as for `clone`, else `unreachable`. Then `pg_rewind` the stopped Postgres to the leader (running crash
    /// recovery first if need be), and leave it stopped as a standby that would follow nobody. It was tried out before,
    /// and the durable state already says `.rewinding`: broken off, the data is good for nothing.
    case rewind(to: MemberName, epoch: Epoch)

    /// **The fence.** After `done` this member's Postgres can neither receive nor acknowledge a byte from any leader,
    /// nor confirm a commit, until a later operation says so; also not after it crashed and was started again.
    ///
    /// - A running standby: remove `primary_conninfo`, reload, wait until the walreceiver *process is gone*; if it is
    ///   not gone in a second, stop Postgres with SIGQUIT.
    /// - A running primary, whoever made it one: stop it at once (immediate, then SIGKILL).
    /// - Stopped: see that the next start would follow nobody.
    ///
    /// The synchronous names become ones that nobody bears, so that a later promotion cannot confirm by old names.
    case sever

    /// See that Postgres runs as a standby that follows nobody (start it with `standby.signal` if it is stopped, also
    /// when it was a primary, also when somebody else has promoted it), wait until it has replayed **everything** it
    /// has, make that durable (fsync the log's files), and answer with the end of the last replayed record: exactly
    /// where a promotion would branch off; and with where each timeline of this log begins.
    ///
    /// "Everything" needs a positive sign: the startup process waits for more log (`pg_stat_activity.wait_event` is
    /// `RecoveryWalStream` or `RecoveryRetrieveRetryInterval`), and replayed ≥ received. Take away what could
    /// delay replay (`max_standby_streaming_delay = 0`).
    ///
    /// Leftovers of a timeline higher than that of the last replayed byte (history files, segments) come from a
    /// leader of which nothing was received; a later fork may bear the same number. If there are any: stop
    /// Postgres, delete them, start again, before answering.
    ///
    /// Comes only after `sever` ended, or as the first operation of the process.
    case readEnd

    /// Follow this leader in this epoch: `primary_conninfo` (with the stream's name), `primary_slot_name`, reload, or
    /// start. Ends when Postgres runs with this configuration, not when it streams (the leader may not have been
    /// promoted yet; retry every few hundred milliseconds: `wal_retrieve_retry_interval`).
    ///
    /// With a fork, this member has the leader's log up to where the leader's own timeline begins. Postgres may be told
    /// of that timeline beforehand; it then asks for it at once, instead of learning of it from the leader and
    /// beginning anew, which takes several round trips.
    case follow(MemberName, epoch: Epoch, fork: TimelineFork?)

    /// Promote the standby that `readEnd` left behind. Before: synchronous names
    /// `ANY confirmations (streams of this epoch of `standbys`)` written and loaded (none when confirmations is 0).
    /// After, before answering: slots for the streams of this epoch made (reserving log at once), also for those of
    /// `guests`, who count for nothing, and all others dropped.
    case promote(epoch: Epoch, confirmations: Int, standbys: [MemberName], guests: [MemberName] = [])

    /// Start the stopped primary again, in the same epoch, with the same names and slots as `promote`. If it runs,
    /// stop it first.
    case startPrimary(epoch: Epoch, confirmations: Int, standbys: [MemberName], guests: [MemberName] = [])

    /// The running primary confirms commits by these standbys from now on, whoever had to confirm before; slots for their
    /// streams and for those of `guests`, who count for nothing, are made, and all others dropped, with their streams ended.
    ///
    /// `done` is a proof: no commit is confirmed any more by what counted before, by no process of Postgres. When it has
    /// failed, commits are confirmed by what counted before or by nobody. Broken off, it may have been carried out or not.
    case confirmBy(epoch: Epoch, confirmations: Int, standbys: [MemberName], guests: [MemberName])

    /// `CHECKPOINT` on the running primary, so that the stop that follows is short.
    case checkpoint

    /// Stop Postgres. `done` also when it did not run.
    case stop(StopMode)
}

extension PostgresOperation {
    /// Clients must not meet a Postgres that is being changed: a standby that serves reads closes before it becomes
    /// anything else, and a new primary opens only when it may.
    var closesGate: Bool {
        switch self {
        case .initialize, .clone, .exchange, .discard, .tryRewind, .rewind, .sever, .readEnd, .promote, .startPrimary,
            .stop:
            true
        case .follow, .confirmBy, .checkpoint: false
        }
    }
}

extension PostgresOperation {
    /// It begins when the gate is closed, so that no client sees what it does. The fence and a stop in need do not wait:
    /// what they are for is worse.
    public var waitsForGate: Bool {
        switch self {
        case .initialize, .clone, .exchange, .discard, .tryRewind, .rewind, .readEnd, .promote, .startPrimary,
            .stop(.fast):
            true
        case .sever, .stop(.immediate), .follow, .confirmBy, .checkpoint: false
        }
    }
}

extension PostgresOperation {
    /// It may have to wait until a Postgres has come up.
    public var waitsForStart: Bool {
        switch self {
        case .readEnd, .follow, .startPrimary: true
        case .initialize, .clone, .exchange, .discard, .tryRewind, .rewind, .sever, .promote, .confirmBy, .checkpoint,
            .stop:
            false
        }
    }

    /// Postgres follows a leader from then on.
    public var leavesFollower: Bool {
        switch self {
        case .follow: true
        case .initialize, .clone, .exchange, .discard, .tryRewind, .rewind, .sever, .readEnd, .promote, .startPrimary,
            .confirmBy, .checkpoint, .stop:
            false
        }
    }

    /// When its time is over while Postgres comes further, that is no failure. One that follows may be fed by a leader that it
    /// can never catch up with, and what it has counts for nothing before.
    public var goesOnWhileAtWork: Bool {
        switch self {
        case .readEnd, .startPrimary: true
        case .initialize, .clone, .exchange, .discard, .tryRewind, .rewind, .sever, .follow, .promote, .confirmBy,
            .checkpoint, .stop:
            false
        }
    }

    /// What it is, for people: 'could not …'.
    public var words: String {
        switch self {
        case .initialize: "make the first data"
        case .clone(let leader, _): "copy the data of \(leader)"
        case .exchange: "put the copy in the place of the data"
        case .discard: "remove the data"
        case .tryRewind, .rewind: "take the data back to its leader's"
        case .sever: "keep Postgres from its leader"
        case .readEnd: "read where the log ends"
        case .follow(let leader, _, _): "follow \(leader)"
        case .promote: "promote Postgres"
        case .startPrimary: "start Postgres as the primary"
        case .confirmBy: "have commits confirmed by other standbys"
        case .checkpoint: "write a checkpoint"
        case .stop: "stop Postgres"
        }
    }
}

extension PostgresOperation {
    /// The log may end elsewhere when it has begun.
    var changesLog: Bool {
        switch self {
        case .initialize, .exchange, .discard, .rewind, .follow, .promote, .startPrimary, .confirmBy, .checkpoint: true
        case .clone, .tryRewind, .sever, .readEnd, .stop: false
        }
    }
}

extension PostgresOperation {
    /// From its beginning on Postgres may be a primary.
    var startsPrimary: Bool {
        switch self {
        case .promote, .startPrimary: true
        case .initialize, .clone, .exchange, .discard, .tryRewind, .rewind, .sever, .readEnd, .follow, .confirmBy,
            .checkpoint, .stop:
            false
        }
    }

    /// When it has ended well, Postgres is a primary.
    public var leavesPrimary: Bool {
        switch self {
        case .promote, .startPrimary, .confirmBy, .checkpoint: true
        case .initialize, .clone, .exchange, .discard, .tryRewind, .rewind, .sever, .readEnd, .follow, .stop: false
        }
    }

    /// When it has failed, Postgres goes on as it was, if it runs: an end of its own is not its failure.
    public var leavesPrimaryAlone: Bool {
        switch self {
        case .confirmBy, .checkpoint: true
        case .initialize, .clone, .exchange, .discard, .tryRewind, .rewind, .sever, .readEnd, .follow, .promote,
            .startPrimary, .stop:
            false
        }
    }

    /// What was seen of the data is not to be said of what it leaves.
    var replacesData: Bool {
        switch self {
        case .initialize, .exchange, .discard, .tryRewind, .rewind: true
        case .clone, .sever, .readEnd, .follow, .promote, .startPrimary, .confirmBy, .checkpoint, .stop: false
        }
    }

    /// When it has ended well, Postgres is no primary.
    var stopsPrimary: Bool {
        switch self {
        case .initialize, .clone, .exchange, .discard, .tryRewind, .rewind, .sever, .readEnd, .follow, .stop: true
        case .promote, .startPrimary, .confirmBy, .checkpoint: false
        }
    }
}

/// Where a timeline leaves the one before. A leader's own has the number after that of the log it took over.
public struct TimelineFork: Hashable, Sendable {
    public var timeline: UInt32
    public var begin: LSN

    public init(timeline: UInt32, begin: LSN) {
        self.timeline = timeline
        self.begin = begin
    }
}

public enum StopMode: Hashable, Sendable {
    /// `pg_ctl stop -m fast`: sessions end, streaming standbys receive everything to the shutdown checkpoint.
    case fast
    /// `pg_ctl stop -m immediate`, and SIGKILL to all of it when it is not gone in half a second.
    case immediate
}

/// The name a member streams under in one epoch: `application_name` of its connection to the leader, and an entry of
/// the leader's `synchronous_standby_names`.
public struct StreamName: Hashable, Sendable, CustomStringConvertible {
    public var member: MemberName
    public var epoch: Epoch

    public init(member: MemberName, epoch: Epoch) {
        self.member = member
        self.epoch = epoch
    }

    /// Nil when the text is not the name of a stream of that epoch.
    public init?(_ text: String, epoch: Epoch) {
        let suffix = ".e\(epoch)"
        guard text.hasSuffix(suffix), let member = try? MemberName(String(text.dropLast(suffix.count))) else {
            return nil
        }
        self.init(member: member, epoch: epoch)
    }

    /// For example `m2.e7`. Quote it in `synchronous_standby_names`.
    public var description: String { "\(member).e\(epoch)" }

    /// The slot of the stream, in the letters Postgres allows: `m2_e7`.
    public var slot: String {
        String(member.text.map { $0 == "-" ? "_" : $0 }) + "_e\(epoch)"
    }
}
