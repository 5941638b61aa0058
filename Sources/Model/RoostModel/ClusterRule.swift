/// Counts the leaders a cluster has had. Whoever acts for an older epoch is wrong.
public struct Epoch: Hashable, Sendable, Comparable, Codable, CustomStringConvertible {
    /// 1 for the leader that initialised the cluster; 0 is ``none``. It only grows.
    public let number: UInt64

    /// For what was read; a new epoch comes from ``next`` of the present one.
    public init(_ number: UInt64) { self.number = number }

    /// Before the first leader.
    public static let none = Epoch(0)
    /// Of the leader that has initialised the cluster.
    public static let first = Epoch(1)
    /// What a recruitment calls for. It comes into force by a change of the rule, never by counting alone.
    public var next: Epoch { Epoch(number + 1) }

    public init(from decoder: any Decoder) throws { number = try decoder.singleValueContainer().decode(UInt64.self) }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(number)
    }

    public static func < (left: Self, right: Self) -> Bool { left.number < right.number }
    public var description: String { "\(number)" }
}

/// A byte position in a cluster's write-ahead log, as Postgres counts it (`0/3000148`).
public struct LSN: Hashable, Sendable, Comparable, Codable, CustomStringConvertible {
    /// Bytes since the beginning of the log (`XLogRecPtr` of xlogdefs.h). It goes on over changes of timeline.
    public let offset: UInt64

    /// A position as a number; Postgres's text is read by ``init(text:)``.
    public init(_ offset: UInt64) { self.offset = offset }

    /// Postgres's "no position" (`InvalidXLogRecPtr`): no byte of a log lies there.
    public static let zero = LSN(0)

    /// A log grows by bytes that somebody has written: none gets here.
    public static let limit = LSN(1 << 63)

    /// Postgres's text form: two hexadecimal halves.
    public init?(text: some StringProtocol) {
        let halves = text.split(separator: "/", omittingEmptySubsequences: false)
        guard halves.count == 2, let high = UInt32(halves[0], radix: 16), let low = UInt32(halves[1], radix: 16) else {
            return nil
        }
        offset = UInt64(high) << 32 | UInt64(low)
    }

    public init(from decoder: any Decoder) throws { offset = try decoder.singleValueContainer().decode(UInt64.self) }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(offset)
    }

    public static func < (left: Self, right: Self) -> Bool { left.offset < right.offset }

    public var description: String {
        String(offset >> 32, radix: 16, uppercase: true) + "/"
            + String(offset & 0xffff_ffff, radix: 16, uppercase: true)
    }
}

/// How far a member's log goes: the epoch of its last byte, then its end. Epoch first: a longer log from an
/// older leader is not ahead of a shorter one from a newer leader.
public struct Position: Hashable, Sendable, Comparable, Codable, CustomStringConvertible {
    /// The epoch of the leader that wrote the last byte, whoever handed it on; not the one that the member has
    /// promised.
    public var epoch: Epoch
    /// The position behind the last byte that the member has on disk.
    public var end: LSN

    /// Of a member's own account: see ``Lineage`` for how the epoch of a byte is known.
    public init(epoch: Epoch, end: LSN) {
        self.epoch = epoch
        self.end = end
    }

    public static func < (left: Self, right: Self) -> Bool { (left.epoch, left.end) < (right.epoch, right.end) }
    public var description: String { "\(end) of epoch \(epoch)" }
}

/// One leader's part of a cluster's log. The log of a cluster is the chain of these; a member whose log is not
/// a prefix of the chain has diverged.
public struct Reign: Hashable, Sendable, Codable {
    /// The epoch that began with it; in a chain they grow, but not always by one: a recruitment may come to nothing.
    public var epoch: Epoch
    /// Who led; the only one that wrote log in this epoch.
    public var leader: MemberName
    /// Where the leader's own part of the log begins: the end of its log at the moment it was chosen.
    public var begin: LSN
    /// What a newer version has written.
    public var unknown = UnknownFields()

    /// What is added to the history when a leader is named.
    public init(epoch: Epoch, leader: MemberName, begin: LSN) {
        self.epoch = epoch
        self.leader = leader
        self.begin = begin
    }
}

/// The rule of a cluster: the one record that says who leads. Changed only by compare-and-swap.
public struct ClusterRule: Hashable, Sendable, Codable {
    /// That of ``leader``. It grows by a change of leader alone.
    public var epoch: Epoch
    /// The only member whose Postgres may be a primary, and only while it renews its ``Heartbeat``.
    public var leader: MemberName
    /// All members, the leader among them, in the order in which they came.
    public var members: [MemberName]
    /// How many standbys must have a commit on disk before it is confirmed (`ANY n`).
    public var confirmations: Int
    /// From the first epoch to the present one; bounded by ``historyMax`` (older reigns are dropped: a member
    /// that only knows a dropped epoch is cloned anew).
    public var history: [Reign]
    /// The Postgres timeline that the leader's own part of the log began on, as far as it was known when the leader
    /// was chosen: one more than that of the log it took over.
    public var timeline: UInt32?
    /// Set while members are asked to leave the leader for a new epoch.
    public var recruitment: Recruitment?
    /// The last request for a planned switchover that has not led to a new epoch.
    public var switchover: SwitchoverRequest?
    /// For maintenance: while it lasts nobody but a person makes another member the leader. Whoever leads goes on leading,
    /// also when it is away for a while; what keeps two from leading, and commits from being lost, is as ever. Whoever could
    /// call a recruitment knows of it: one that does not changes an older rule, and the store refuses that. It may be over.
    public var pause: WishTerm?
    /// The last request that members be started anew; it may have been carried out.
    public var restart: RestartRequest?
    /// How often ``members`` has changed since the cluster was made. Nil: never.
    public var changes: UInt64?
    /// The last request that members come or go; it may have been carried out.
    public var change: MemberChange?
    /// Which database this is, of all that initdb ever made: the number that it drew (`IDENTIFY_SYSTEM` of Postgres). Written
    /// by a leader that is open: so many standbys stream from it that its data is the cluster's. Nil until then. A wrong one is
    /// put right by a later leader that at least one other member streams from.
    public var system: UInt64?
    /// The last failover that a person has decided; nil: there was none.
    public var forced: ForcedFailover?
    /// More than half of the members must have answered for any decision on who leads, and keep the leader's lease. Written by a
    /// leader when every member has said that it knows this (``MemberSkill/majority``), and never taken back. Nil means no.
    public var majority: Bool?
    /// What a newer version has written.
    public var unknown = UnknownFields()

    /// In reigns. A member whose last epoch is older than all of these cannot be compared with the cluster and is
    /// cloned.
    public static let historyMax = 64

    /// A whole rule. `history` must end with the reign of `leader`; whoever changes a rule changes the one that was
    /// read, so that ``unknown`` stays.
    public init(
        epoch: Epoch, leader: MemberName, members: [MemberName], confirmations: Int, history: [Reign],
        timeline: UInt32? = nil, recruitment: Recruitment? = nil, switchover: SwitchoverRequest? = nil
    ) {
        self.epoch = epoch
        self.leader = leader
        self.members = members
        self.confirmations = confirmations
        self.history = history
        self.timeline = timeline
        self.recruitment = recruitment
        self.switchover = switchover
    }
}

/// A wish that another member lead. Whoever asks writes it into the rule by compare-and-swap and then watches:
/// a higher epoch without the request means that it was carried out, `refusal` means that it was not.
public struct SwitchoverRequest: Hashable, Sendable, Codable {
    /// Made by whoever asks, so that they recognise their own request.
    public var id: String
    /// Nil: any member that is up to date.
    public var target: MemberName?
    /// Written by the leader: why it goes on leading. A refused request stays until the next one replaces it.
    public var refusal: String?
    /// What a newer version has written.
    public var unknown = UnknownFields()

    /// A wish that nobody has answered yet.
    public init(id: String, target: MemberName?, refusal: String? = nil) {
        self.id = id
        self.target = target
        self.refusal = refusal
    }
}

/// A call to the members: stop following the leader, write `epoch` on disk, report how far you are.
public struct Recruitment: Hashable, Sendable, Codable {
    /// Why the members are called.
    public enum Reason: OpenEnum {
        /// A standby has waited long enough for the leader's next heartbeat.
        case leaderSilent
        /// The leader says that it cannot go on.
        case leaderResigned
        /// The leader has less of its own log than a standby was sent of it.
        case leaderLostLog
        /// Somebody asked for a switchover.
        case switchover
        /// The store had gone back, and somebody has put the rule right.
        case storeRecovered
        /// A person has decided who leads, since too few members are left: ``ClusterRule/forced``.
        case forced
        /// A word of a newer version.
        case unknown(String)

        public static let known: [Self] = [
            .leaderSilent, .leaderResigned, .leaderLostLog, .switchover, .storeRecovered, .forced,
        ]

        public var rawValue: String {
            switch self {
            case .leaderSilent: "leader_silent"
            case .leaderResigned: "leader_resigned"
            case .leaderLostLog: "leader_lost_log"
            case .switchover: "switchover"
            case .storeRecovered: "store_recovered"
            case .forced: "forced"
            case .unknown(let word): word
            }
        }
    }

    /// What members promise: above the rule's own, by one where members call. No member that has promised it follows an older leader again.
    public var epoch: Epoch
    /// Who called; it has no right to lead by that.
    public var proposer: MemberName
    /// For those who watch; a switchover alone also says who is preferred (``target``).
    public var reason: Reason
    /// For a switchover: the member that is to lead, if one was named.
    public var target: MemberName?
    /// What a newer version has written.
    public var unknown = UnknownFields()

    /// A call, to be put into the rule by compare-and-swap.
    public init(epoch: Epoch, proposer: MemberName, reason: Reason, target: MemberName? = nil) {
        self.epoch = epoch
        self.proposer = proposer
        self.reason = reason
        self.target = target
    }
}

/// The leader's renewed lease. Written only while the rule still has the leader's epoch.
public struct Heartbeat: Hashable, Sendable, Codable {
    /// The epoch that the lease is for. A host ignores a renewal that is older than what it knows.
    public var epoch: Epoch
    /// Who renews; its host checks that no other member does so for it.
    public var leader: MemberName
    /// Grows with every renewal.
    public var sequence: UInt64
    /// The leader accepts clients: enough standbys have confirmed where its log stands, and they are let in.
    public var isOpen: Bool
    /// This member may remove its data before it has a copy: enough others have all that was confirmed.
    public var mayReplace: MemberName?
    /// The other members as the leader's own Postgres sees them now; nil from a program that does not say.
    public var standbys: [StandbyView]?

    /// A leader stops when this long has passed since it sent the last heartbeat that was accepted. The members and their
    /// hosts go by it.
    public static let lease = Duration.seconds(6)
    /// After that, its host gives it this long to stop by itself.
    public static let grace = Duration.seconds(1)

    /// One renewal; the leader sends one every 300 ms (`FailoverTimings` of RoostFailover).
    public init(
        epoch: Epoch, leader: MemberName, sequence: UInt64, isOpen: Bool, mayReplace: MemberName? = nil,
        standbys: [StandbyView]? = nil
    ) {
        self.epoch = epoch
        self.leader = leader
        self.sequence = sequence
        self.isOpen = isOpen
        self.mayReplace = mayReplace
        self.standbys = standbys
    }

    enum CodingKeys: String, CodingKey {
        case epoch, leader, sequence, standbys
        case isOpen = "is_open"
        case mayReplace = "may_replace"
    }
}

/// A standby as its leader sees it.
public struct StandbyView: Hashable, Sendable, Codable {
    /// Never the leader itself.
    public var member: MemberName
    /// It streams in the leader's epoch, and has on disk what the leader had a few seconds ago: commits may be confirmed
    /// by it.
    public var isConfirming: Bool
    /// How much of the leader's log it does not have on disk yet; nil without a stream.
    public var behindBytes: UInt64?

    /// What the leader's own view of its replication streams says.
    public init(member: MemberName, isConfirming: Bool, behindBytes: UInt64?) {
        self.member = member
        self.isConfirming = isConfirming
        self.behindBytes = behindBytes
    }

    enum CodingKeys: String, CodingKey {
        case member
        case isConfirming = "is_confirming"
        case behindBytes = "behind_bytes"
    }
}

/// What a member says of itself; the member is its only writer.
public struct MemberReport: Hashable, Sendable, Codable {
    /// What the member is in the cluster.
    public enum Role: OpenEnum {
        /// Its Postgres is or may still be one, until it has stopped: whoever guards the lease from outside goes by
        /// this word.
        case primary
        /// Its Postgres is none, or does not run.
        case standby
        /// A word of a newer version.
        case unknown(String)

        public static let known: [Self] = [.primary, .standby]

        public var rawValue: String {
            switch self {
            case .primary: "primary"
            case .standby: "standby"
            case .unknown(let word): word
            }
        }
    }

    /// What the member does.
    public enum State: OpenEnum {
        /// No usable data yet.
        case empty
        /// Running initdb.
        case initializing
        /// Copying the leader's data.
        case cloning
        /// Taking back what the leader never had.
        case rewinding
        /// Postgres is starting or recovering.
        case starting
        /// Postgres runs and follows, or leads.
        case running
        /// Follows nobody: recruited, or waiting for a leader.
        case waiting
        /// Postgres is stopped.
        case stopped
        /// Cannot go on by itself; `detail` says why.
        case failed
        /// A word of a newer version.
        case unknown(String)

        public static let known: [Self] = [
            .empty, .initializing, .cloning, .rewinding, .starting, .running, .waiting, .stopped, .failed,
        ]

        public var rawValue: String {
            switch self {
            case .empty: "empty"
            case .initializing: "initializing"
            case .cloning: "cloning"
            case .rewinding: "rewinding"
            case .starting: "starting"
            case .running: "running"
            case .waiting: "waiting"
            case .stopped: "stopped"
            case .failed: "failed"
            case .unknown(let word): word
            }
        }
    }

    /// Also the last part of the record's key; a report under another's key is not believed.
    public var member: MemberName
    /// What the Postgres is, not what the rule says that it should be.
    public var role: Role
    /// What the member is at; the finer steps of a member are its core's own.
    public var state: State
    /// The highest epoch the member has promised, on disk, to follow or await.
    public var promised: Epoch
    /// Nil while the member has no data that may count (empty, cloning, rewinding), and also before it has read how far the
    /// data goes that it has: ``data`` tells the two apart.
    public var position: Position?
    /// The reigns that the bytes up to `position` come from. Only sent while recruited.
    public var chain: [Reign]?
    /// Postgres's own count; 0 before it was seen. In answer to a recruitment that of the log's last byte, else that of
    /// the running Postgres.
    public var timeline: UInt32
    /// Up to here Postgres has replayed, so readers see it; 0/0 before anything was seen.
    public var replayed: LSN
    /// Receives from the leader of `promised` at this moment.
    public var isStreaming: Bool
    /// Log that this standby has received but not replayed; 0 when it does not stream. What it has not received its
    /// leader knows (``StandbyView/behindBytes``).
    public var lagBytes: UInt64
    /// How old what its readers see may be, while it follows; without a stream it grows with the time since the last
    /// one.
    public var lagMilliseconds: Int64
    /// In words for people: what it waits for or why it failed; at most 1 KiB is kept. Nil when there is nothing to
    /// say.
    public var detail: String?
    /// What it says of `position` counts in a recruitment, but it cannot lead: its log goes on with bytes that no leader
    /// wrote, or its Postgres does not start, as where its volume has no room, or answers nothing, or is being stopped.
    /// `detail` says which. Nil means no.
    public var cannotLead: Bool?
    /// Its data has to be replaced by a copy, and its volume has no room for both: it asks the leader for leave to
    /// remove its own first. Nil means no.
    public var asksToReplace: Bool?
    /// Grows with every report, also when nothing else has changed: one that stands still comes from nobody. Nil from a
    /// program that does not count.
    public var sequence: UInt64?
    /// What of a rule its program understands that came later than the rule itself. Nil from a program that does not say.
    public var skills: [MemberSkill]?
    /// What it knows of the cluster, and the store does not. Only of one that has proof that the store has gone back.
    public var knowledge: MemberKnowledge?
    /// The first epoch that it promised on the volume it has: what was before that it may have known and lost.
    /// ``Epoch/none`` of the one that made the cluster on it. Nil when nobody knows.
    public var keptSince: Epoch?
    /// Whether it has data, whatever it knows of where that ends. Nil from a program that does not say.
    public var data: MemberData?
    /// When the last commit was made that it has replayed, by the clock of the leader that made it, in milliseconds. Nil of a
    /// leader, and when it is not known.
    public var committedAt: Int64?
    /// Of a reader: the standby that it follows, or is to. Nil: it knows of none that could feed it, and of a member.
    public var upstream: MemberName?
    /// Of a reader: clients are let in to it. Nil of a member, of which its leader's word and its own stream tell.
    public var isOpen: Bool?
    /// As ``ClusterRule/changes``, of the last members that it has written down. Nil from a program that does not say.
    public var memberChanges: UInt64?

    /// A member that lives reports at least this often.
    public static let tick = Duration.seconds(3)

    /// What can be left out is absent from the record, for programs that do not know it.
    public init(
        member: MemberName, role: Role, state: State, promised: Epoch, position: Position?, timeline: UInt32,
        replayed: LSN, isStreaming: Bool, lagBytes: UInt64, lagMilliseconds: Int64, detail: String? = nil,
        chain: [Reign]? = nil, cannotLead: Bool? = nil, asksToReplace: Bool? = nil, sequence: UInt64? = nil,
        skills: [MemberSkill]? = nil, knowledge: MemberKnowledge? = nil, keptSince: Epoch? = nil,
        data: MemberData? = nil, committedAt: Int64? = nil, upstream: MemberName? = nil,
        memberChanges: UInt64? = nil
    ) {
        self.member = member
        self.role = role
        self.state = state
        self.promised = promised
        self.position = position
        self.chain = chain
        self.timeline = timeline
        self.replayed = replayed
        self.isStreaming = isStreaming
        self.lagBytes = lagBytes
        self.lagMilliseconds = lagMilliseconds
        self.detail = detail
        self.cannotLead = cannotLead
        self.asksToReplace = asksToReplace
        self.sequence = sequence
        self.skills = skills
        self.knowledge = knowledge
        self.keptSince = keptSince
        self.data = data
        self.committedAt = committedAt
        self.upstream = upstream
        self.memberChanges = memberChanges
    }

    enum CodingKeys: String, CodingKey {
        case member, role, state, promised, position, chain, timeline, replayed, sequence, skills, knowledge, data
        case upstream
        case isOpen = "is_open"
        case isStreaming = "is_streaming"
        case lagBytes = "lag_bytes"
        case lagMilliseconds = "lag_ms"
        case detail
        case cannotLead = "cannot_lead"
        case keptSince = "kept_since"
        case committedAt = "committed_at"
        case asksToReplace = "asks_to_replace"
        case memberChanges = "member_changes"
    }
}

extension MemberReport {
    /// Of a reader: without all that decides anything where a member says it.
    public var withoutVoice: Self {
        var report = self
        report.role = .standby
        (report.position, report.chain, report.knowledge, report.keptSince) = (nil, nil, nil, nil)
        (report.cannotLead, report.asksToReplace, report.skills) = (nil, nil, nil)
        return report
    }
}
