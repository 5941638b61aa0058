import RoostModel

/// Where a member stands. Every phase becomes `leaving` when the machine is asked to stop. Where Postgres may run or its
/// data may be changing, a rule that calls for a higher epoch makes it `severing`; `starting`, `empty`, `initializing`,
/// `founding`, `reading` and `waiting` are behind a fence already, and stay what they are. A store that has gone back makes
/// each, behind its fence, `quarantined`.
///
/// What else each becomes is said here with its reason, and for the simulation in ``PhaseStep``: the two are one list.
enum MemberPhase: Hashable, Sendable {
    /// The process is new; Postgres is stopped; the store was not read yet. Without a rule it becomes `initializing` or
    /// `founding` if it is the first member; with one `claiming` when it led and still does, else `reading`,
    /// `exchanging` or `empty` by the data it has.
    case starting
    /// No data that counts; Postgres is stopped. Becomes `initializing` when there is no rule and it is the first
    /// member, `cloning` when there is a leader to copy from, `discarding` when that needs room.
    case empty
    /// initdb runs. Becomes `founding`, or `empty` when it failed.
    case initializing
    /// Has data, but there is no rule: creates it. Becomes `claiming`, or `reading` when others have called a recruitment
    /// meanwhile.
    case founding
    /// The fence is going up. Becomes `reading`, `empty` without usable data, or `exchanging`.
    case severing
    /// Behind the fence; the end of the log is being read. Becomes `waiting`; `cloning` when Postgres cannot be started
    /// for long; `severing` when its data turned out to be spoiled.
    case reading
    /// Behind the fence, Postgres detached, the end of the log known: answers recruitments. Becomes `following`,
    /// `rewinding`, `cloning`, `discarding` or `claiming` once the rule says whom to follow; `reading` again when Postgres
    /// ended, and `severing` when somebody else made a primary of it.
    case waiting(end: LSN)
    /// A copy is being made beside the data, which counts as before. Becomes `exchanging`, or what it was before: `waiting`,
    /// `reading` or `empty`.
    indirect case cloning(Copying)
    /// The copy takes the data's place. Becomes `reading`.
    case exchanging
    /// The data is being removed, with the leader's leave. Becomes `empty`.
    case discarding
    /// Taking the data back is being tried out, then done. Becomes `following`; `severing` when it failed or nothing was changed.
    indirect case rewinding(Repair)
    /// Postgres follows the leader of the promised epoch, or is being made to. Becomes `severing` when it cannot, or when
    /// somebody else made a primary of it.
    case following(MemberName)
    /// The rule names this member, and it asks the store for its lease. Becomes `promoting` (`end` known: Postgres is
    /// a detached standby) or `restarting` (Postgres is a stopped primary of this very epoch); `resigning` when its log does
    /// not end where the rule has its reign begin.
    case claiming(end: LSN?)
    /// Becomes `leading`; `resigning` when it failed; `suspending` when the lease ran out.
    case promoting(end: LSN)
    /// The stopped primary starts again in its epoch. Becomes `leading`; `resigning` after too many crashes; `suspending` when
    /// the lease ran out.
    case restarting
    /// Postgres runs as primary. Becomes `restarting`, `draining`, `suspending` or `resigning`.
    indirect case leading(Reigning)
    /// A planned switchover, or a restart of its Postgres in office. Becomes `severing` when the recruitment it asks for is in
    /// the rule; `restarting` in office. If none comes, it becomes
    /// `leading` again while Postgres still runs, else `restarting`; and what a leader becomes by a crash or without a lease:
    /// `restarting`, `resigning`, `suspending`.
    indirect case draining(Drain)
    /// The lease ran out: Postgres is being stopped. Becomes `claiming` (or `severing`).
    case suspending
    /// The store has provably gone back. Behind the fence, with all its data, it neither votes nor follows. Becomes
    /// `severing` when the store's history has again what this member knows of.
    case quarantined
    /// Cannot lead: Postgres is stopped, then a recruitment asked for. Becomes `severing`.
    case resigning(hasStopped: Bool)
    /// The machine stops. The end.
    case leaving(Farewell)
}

/// A copy on its way.
struct Copying: Hashable, Sendable {
    /// What its log will be.
    var chain: [Reign]
    var timeline: UInt32?
    /// The end of the data it is to replace; nil when that has none that is known.
    var end: LSN?
    /// It is proven that the data has to be replaced: the leader may be asked for leave to remove it first.
    var isProven: Bool
}

/// What the data is to become, and what it counted for before.
struct Repair: Hashable, Sendable {
    /// It was tried out, and the leader was there: only then does the data count for nothing.
    var isTried = false
    var chain: [Reign]
    var timeline: UInt32?
    var former: [Reign]
    var data: DataState
    /// What it has of the cluster's log, and keeps.
    var agreed: Position?
}

struct Reigning: Hashable, Sendable {
    /// Since when its Postgres has been answering without a fault, or since it last earned a restart by that.
    var soundSince: Moment
    /// Standbys must have this much before clients may come in; nil until the first sample of Postgres.
    var required: LSN?
    var isOpen = false
    /// When Postgres was last heard.
    var heardAt: Moment
    /// Since when too few standbys stream, and none more has come any closer to it.
    var isolatedSince: Moment?
    /// Since when too few stream, whatever they are at.
    var fewSince: Moment?
    /// How far those have come that were connected and did not stream yet.
    var caughtUp: [MemberName: LSN] = [:]
    var leave: Leave?
}

/// One member's leave to remove its data before it has a copy: of one member at a time.
struct Leave: Hashable, Sendable {
    var member: MemberName
    /// Others must have this much: all that the member can ever have confirmed.
    var required: LSN
    var isGranted = false
}

struct Drain: Hashable, Sendable {
    enum Step: Hashable, Sendable { case checkpoint, stop, call }

    var request: SwitchoverRequest
    var step: Step
    var deadline: Moment
    var reigning: Reigning
    /// It is its own Postgres that comes next, and nobody is called.
    var staysInOffice = false
}

struct Farewell: Hashable, Sendable {
    enum Step: Hashable, Sendable { case stop, resign, gone }

    var step: Step
    var deadline: Moment
    /// It asks for a successor if the rule names it.
    var wasLeader: Bool
    /// Why it goes is said before it goes.
    var isReported: Bool
}

extension MemberPhase {
    /// The rule names this member and it renews the lease.
    var isInOffice: Bool {
        switch self {
        case .claiming, .promoting, .restarting, .leading, .draining: true
        case .starting, .empty, .initializing, .founding, .severing, .reading, .waiting, .cloning, .exchanging,
            .discarding, .rewinding,
            .following, .suspending, .quarantined, .resigning, .leaving:
            false
        }
    }

    /// Postgres may be running as a primary: not without a lease.
    var mayBePrimary: Bool {
        switch self {
        case .promoting, .restarting, .leading, .draining: true
        case .starting, .empty, .initializing, .founding, .severing, .reading, .waiting, .cloning, .exchanging,
            .discarding, .rewinding,
            .following, .claiming, .suspending, .quarantined, .resigning, .leaving:
            false
        }
    }

    var label: FailoverStatus.Phase {
        switch self {
        case .starting: .starting
        case .empty: .empty
        case .initializing: .initializing
        case .founding: .founding
        case .severing: .severing
        case .reading: .reading
        case .waiting: .waiting
        case .cloning: .cloning
        case .exchanging: .exchanging
        case .discarding: .discarding
        case .rewinding: .rewinding
        case .following: .following
        case .claiming: .claiming
        case .promoting: .promoting
        case .restarting: .restarting
        case .leading: .leading
        case .draining: .draining
        case .suspending: .suspended
        case .quarantined: .quarantined
        case .resigning: .resigning
        case .leaving: .leaving
        }
    }
}
