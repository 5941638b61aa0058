/// A wish that members come and go. Whoever asks writes it into the rule by compare-and-swap; the leader carries it out, one
/// member at a time, and takes each step off the list in the very change of the rule that names or drops the member. The
/// last one stays in the rule when it has ended.
public struct MemberChange: Hashable, Sendable, Codable {
    /// One member that comes or goes.
    public struct Step: Hashable, Sendable, Codable {
        /// What becomes of the member.
        public enum Kind: OpenEnum {
            /// It copies the leader's data, streams, and is named by the rule then.
            case add
            /// The rule names it no more.
            case remove
            /// A word of a newer version.
            case unknown(String)

            public static let known: [Self] = [.add, .remove]

            public var rawValue: String {
                switch self {
                case .add: "add"
                case .remove: "remove"
                case .unknown(let word): word
                }
            }
        }

        /// What becomes of the member.
        public var kind: Kind
        /// Who comes or goes. One that comes has a name that the cluster has never had.
        public var member: MemberName
        /// What a newer version has written.
        public var unknown = UnknownFields()

        /// A step of a change that is asked for.
        public init(_ kind: Kind, _ member: MemberName) {
            self.kind = kind
            self.member = member
        }
    }

    /// Made by whoever asks, so that they recognise their own request: its operation's.
    public var id: String
    /// What is to be done, in this order; the first is under way.
    public var left: [Step]
    /// What was done, in the order in which it was.
    public var done: [Step] = []
    /// The leader's Postgres confirms already by what the first step of ``left`` leads to, or is about to: that asks more of
    /// a commit than the rule. Nil means no.
    public var isPrepared: Bool?
    /// Written by the leader, or by whoever takes it back: why the rest is not done.
    public var refusal: String?
    /// Nobody has asked for it: a lost member is replaced. Nil means no.
    public var isAutomatic: Bool?
    /// The store has gone back behind it, and its rule was put right since: who was to come may be a member by now. Set by hosts
    /// alone, no member changes it. Nil: of a version before, whose ``refusal`` says it.
    public var storeWentBack: Bool?
    /// It was to replace a member that was lost, and is back. Set by hosts alone, no member changes it. Nil: of a version before,
    /// whose ``refusal`` says it.
    public var memberReturned: Bool?
    /// What a newer version has written.
    public var unknown = UnknownFields()

    /// In ``left`` and ``done`` together: each of the most members comes and goes once.
    public static let stepsMax = 2 * PostgresNames.membersMax

    /// The refusal of what was asked for before the store went back.
    public static let refusalOfLostStore = "the store went back"

    /// One that nobody has begun.
    public init(id: String, steps: [Step], isAutomatic: Bool? = nil) {
        self.id = id
        left = steps
        storeWentBack = false
        memberReturned = false
        self.isAutomatic = isAutomatic
    }

    /// It was asked for in a store that has gone back since. Of one that a host of this version has made, the words of a refusal
    /// say nothing: its leader may write any.
    public var isOfLostStore: Bool { storeWentBack ?? (refusal == Self.refusalOfLostStore) }

    /// It has ended because it was not needed any more. Words of a refusal, as in ``isOfLostStore``, say that of old ones alone.
    public var wasNeedless: Bool {
        memberReturned ?? left.contains { $0.kind == .remove && refusal == Self.refusal(forReturnOf: $0.member) }
    }

    /// The refusal of what was not needed any more.
    public static func refusal(forReturnOf member: MemberName) -> String { "\(member) is back" }

    /// Nothing more comes of it.
    public var hasEnded: Bool { left.isEmpty || refusal != nil }

    /// What is under way; nil when it has ended.
    public var current: Step? { refusal == nil ? left.first : nil }
}

extension MemberChange {
    private enum CodingKeys: String, CodingKey {
        case id, left, done, refusal
        case isPrepared = "is_prepared"
        case isAutomatic = "is_automatic"
        case storeWentBack = "store_went_back"
        case memberReturned = "member_returned"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        id = try container.decode(String.self, forKey: .id)
        left = try container.decode([Step].self, forKey: .left)
        done = try container.decode([Step].self, forKey: .done)
        isPrepared = try container.decodeIfPresent(Bool.self, forKey: .isPrepared)
        refusal = try container.decodeIfPresent(String.self, forKey: .refusal)
        isAutomatic = try container.decodeIfPresent(Bool.self, forKey: .isAutomatic)
        storeWentBack = try container.decodeIfPresent(Bool.self, forKey: .storeWentBack)
        memberReturned = try container.decodeIfPresent(Bool.self, forKey: .memberReturned)
        unknown = try UnknownFields(of: decoder, besides: CodingKeys.self)
    }

    public func encode(to encoder: any Encoder) throws {
        try unknown.encode(beside: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(left, forKey: .left)
        try container.encode(done, forKey: .done)
        try container.encodeIfPresent(isPrepared, forKey: .isPrepared)
        try container.encodeIfPresent(refusal, forKey: .refusal)
        try container.encodeIfPresent(isAutomatic, forKey: .isAutomatic)
        try container.encodeIfPresent(storeWentBack, forKey: .storeWentBack)
        try container.encodeIfPresent(memberReturned, forKey: .memberReturned)
    }
}

extension MemberChange.Step {
    private enum CodingKeys: String, CodingKey {
        case kind, member
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        kind = try container.decode(Kind.self, forKey: .kind)
        member = try container.decode(MemberName.self, forKey: .member)
        unknown = try UnknownFields(of: decoder, besides: CodingKeys.self)
    }

    public func encode(to encoder: any Encoder) throws {
        try unknown.encode(beside: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(kind, forKey: .kind)
        try container.encode(member, forKey: .member)
    }
}

/// Who the members of a cluster are, as one of them last knew it.
public struct Membership: Hashable, Sendable, Codable {
    /// As ``ClusterRule/changes``: of two, the one with more is the later.
    public var changes: UInt64
    /// As ``ClusterRule/members``.
    public var members: [MemberName]
    /// As ``ClusterRule/confirmations``.
    public var confirmations: Int

    /// As a rule has it.
    public init(of rule: ClusterRule) {
        changes = rule.changes ?? 0
        members = rule.members
        confirmations = rule.confirmations
    }
}

extension ClusterRule {
    /// The member that the rule's wish adds now, and that is none yet: it may copy and stream, and counts for nothing.
    public var joining: MemberName? {
        guard let step = change?.current, step.kind == .add, !members.contains(step.member) else { return nil }
        return step.member
    }

    /// How many standbys must confirm where so many members are: a commit survives any that many losses, and a failover
    /// still finds enough members then.
    public static func confirmations(of members: Int) -> Int { members / 2 }
}
