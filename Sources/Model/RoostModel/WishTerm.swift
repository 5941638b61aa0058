/// How long something counts that a person has asked of a cluster, who may not come back to end it.
public struct WishTerm: Hashable, Sendable, Codable {
    /// Wall clock of the host that wrote it, in milliseconds.
    public var beganAt: Int64
    /// It is over then, by itself. In milliseconds.
    public var endsAt: Int64
    /// What a newer version has written.
    public var unknown = UnknownFields()

    /// Whoever needs more says so again.
    public static let lengthMax = Duration.seconds(24 * 3600)
    /// Of a pause, when nobody says how long.
    public static let pauseDefault = Duration.seconds(3600)

    /// One that begins now.
    public init(beganAt: Int64, length: Duration) {
        self.beganAt = beganAt
        endsAt = beganAt + length.milliseconds
    }

    /// From its beginning to its end; nobody counts more, whatever the record says.
    public var length: Duration { Self.between(beganAt, endsAt) }

    /// - Parameter wallClock: in milliseconds.
    public func isOver(at wallClock: Int64) -> Bool { left(at: wallClock) <= .zero }

    /// How long it still lasts; never more than all of it, also where the clock is behind.
    public func left(at wallClock: Int64) -> Duration { min(Self.between(wallClock, endsAt), length) }

    private static func between(_ begin: Int64, _ end: Int64) -> Duration {
        // What is read is anybody's.
        let (milliseconds, isTooMuch) = end.subtractingReportingOverflow(begin)
        guard !isTooMuch, milliseconds > 0 else { return .zero }
        return min(.milliseconds(milliseconds), lengthMax)
    }

    private enum CodingKeys: String, CodingKey {
        case beganAt = "began_at"
        case endsAt = "ends_at"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        beganAt = try container.decode(Int64.self, forKey: .beganAt)
        endsAt = try container.decode(Int64.self, forKey: .endsAt)
        unknown = try UnknownFields(of: decoder, besides: CodingKeys.self)
    }

    public func encode(to encoder: any Encoder) throws {
        try unknown.encode(beside: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(beganAt, forKey: .beganAt)
        try container.encode(endsAt, forKey: .endsAt)
    }
}

/// Something in a rule that a member's program understands. A member's program comes with its machine's image, and may be
/// older or newer than its host's.
public enum MemberSkill: OpenEnum {
    /// Calls nobody while there is a ``ClusterRule/pause``.
    case pause
    /// Carries out its part of a ``RestartRequest``.
    case restart
    /// Says what it knows when the store has gone back (``MemberKnowledge``).
    case recovery
    /// Carries out its part of a ``MemberChange``, and does nothing when it is no member.
    case members
    /// Goes by a ``ForcedFailover``: names nobody else, and does not take what it gives up for a store that went back.
    case forcedFailover
    /// Goes by ``ClusterRule/majority``, as its host does.
    case majority
    /// As a standby, feeds readers.
    case readers
    /// Of a newer version.
    case unknown(String)

    public static let known: [Self] = [.pause, .restart, .recovery, .members, .forcedFailover, .majority, .readers]

    public var rawValue: String {
        switch self {
        case .pause: "pause"
        case .restart: "restart"
        case .recovery: "recovery"
        case .members: "members"
        case .forcedFailover: "forced_failover"
        case .majority: "majority"
        case .readers: "readers"
        case .unknown(let word): word
        }
    }
}
