/// Counts the leaders a cluster has had. Whoever acts for an older epoch is wrong.
public struct Epoch: Hashable, Sendable, Comparable, Codable, CustomStringConvertible {
    public let number: UInt64

    public init(_ number: UInt64) { self.number = number }

    /// Before the first leader.
    public static let none = Epoch(0)
    public static let first = Epoch(1)
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
    public let offset: UInt64

    public init(_ offset: UInt64) { self.offset = offset }

    public static let zero = LSN(0)

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
    public var epoch: Epoch
    public var end: LSN

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
    public var epoch: Epoch
    public var leader: MemberName
    /// Where the leader's own part of the log begins: the end of its log at the moment it was chosen.
    public var begin: LSN
    /// What a newer version has written.
    public var unknown = UnknownFields()

    public init(epoch: Epoch, leader: MemberName, begin: LSN) {
        self.epoch = epoch
        self.leader = leader
        self.begin = begin
    }
}

/// The rule of a cluster: the one record that says who leads. Changed only by compare-and-swap.
public struct ClusterRule: Hashable, Sendable, Codable {
    public var epoch: Epoch
    public var leader: MemberName
    /// All members, the leader among them. Fixed order.
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
    /// What a newer version has written.
    public var unknown = UnknownFields()

    public static let historyMax = 64

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
        /// Somebody asked for a switchover.
        case switchover
        /// A word of a newer version.
        case unknown(String)

        public static let known: [Self] = [.leaderSilent, .leaderResigned, .switchover]

        public var rawValue: String {
            switch self {
            case .leaderSilent: "leader_silent"
            case .leaderResigned: "leader_resigned"
            case .switchover: "switchover"
            case .unknown(let word): word
            }
        }
    }

    public var epoch: Epoch
    public var proposer: MemberName
    public var reason: Reason
    /// For a switchover: the member that is to lead, if one was named.
    public var target: MemberName?
    /// What a newer version has written.
    public var unknown = UnknownFields()

    public init(epoch: Epoch, proposer: MemberName, reason: Reason, target: MemberName? = nil) {
        self.epoch = epoch
        self.proposer = proposer
        self.reason = reason
        self.target = target
    }
}

/// The leader's renewed lease. Written only while the rule still has the leader's epoch.
public struct Heartbeat: Hashable, Sendable, Codable {
    public var epoch: Epoch
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
    public var member: MemberName
    /// It streams in the leader's epoch, and has on disk what the leader had a few seconds ago: commits may be confirmed
    /// by it.
    public var isConfirming: Bool
    /// How much of the leader's log it does not have on disk yet; nil without a stream.
    public var behindBytes: UInt64?

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
        case primary
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

    public var member: MemberName
    public var role: Role
    public var state: State
    /// The highest epoch the member has promised, on disk, to follow or await.
    public var promised: Epoch
    /// Nil while the member has no data that may count (empty, cloning, rewinding).
    public var position: Position?
    /// The reigns that the bytes up to `position` come from. Only sent while recruited.
    public var chain: [Reign]?
    public var timeline: UInt32
    public var replayed: LSN
    /// Receives from the leader of `promised` at this moment.
    public var isStreaming: Bool
    public var lagBytes: UInt64
    public var lagMilliseconds: Int64
    public var detail: String?
    /// Its log goes on past `position` with bytes that no leader wrote: what it says of `position` counts in
    /// a recruitment, but it cannot lead. Nil means no.
    public var cannotLead: Bool?
    /// Its data has to be replaced by a copy, and its volume has no room for both: it asks the leader for leave to
    /// remove its own first. Nil means no.
    public var asksToReplace: Bool?
    /// Grows with every report, also when nothing else has changed: one that stands still comes from nobody. Nil from a
    /// program that does not count.
    public var sequence: UInt64?

    /// A member that lives reports at least this often.
    public static let tick = Duration.seconds(3)

    public init(
        member: MemberName, role: Role, state: State, promised: Epoch, position: Position?, timeline: UInt32,
        replayed: LSN, isStreaming: Bool, lagBytes: UInt64, lagMilliseconds: Int64, detail: String? = nil,
        chain: [Reign]? = nil, cannotLead: Bool? = nil, asksToReplace: Bool? = nil, sequence: UInt64? = nil
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
    }

    enum CodingKeys: String, CodingKey {
        case member, role, state, promised, position, chain, timeline, replayed, sequence
        case isStreaming = "is_streaming"
        case lagBytes = "lag_bytes"
        case lagMilliseconds = "lag_ms"
        case detail
        case cannotLead = "cannot_lead"
        case asksToReplace = "asks_to_replace"
    }
}
