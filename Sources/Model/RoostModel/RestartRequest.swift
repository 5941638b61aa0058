/// A wish that members start their Postgres anew, one after the other: a standby only while all other standbys stream, the
/// leader while enough stream for it to open again, or to hand over. It is in the rule:
/// whoever asks may go away, and each member carries out its part and says so there.
public struct RestartRequest: Hashable, Sendable, Codable {
    /// Made by whoever asks, so that they recognise their own request.
    public var id: String
    /// Those whose turn is still to come, in this order; but whoever leads comes last.
    public var left: [MemberName]
    /// Those that have been started anew and stream, or lead, again.
    public var done: [MemberName]
    /// A leader hands over instead of being away while its Postgres starts.
    public var handsOver: Bool
    /// When it is over, nobody begins any more.
    public var term: WishTerm
    /// Written by the leader: why it is not to be started anew. The request is over with that, and stays until the next one
    /// replaces it.
    public var refusal: String?
    /// What a newer version has written.
    public var unknown = UnknownFields()

    /// A wish that nobody has begun yet.
    public init(id: String, members: [MemberName], handsOver: Bool, term: WishTerm) {
        self.id = id
        left = members
        done = []
        self.handsOver = handsOver
        self.term = term
    }

    /// Nothing is left to do, or nothing more will be done.
    public var hasEnded: Bool { left.isEmpty || refusal != nil }

    /// Whose turn it is.
    public func next(under leader: MemberName) -> MemberName? { left.first { $0 != leader } ?? left.first }

    private enum CodingKeys: String, CodingKey {
        case id, left, done, term, refusal
        case handsOver = "hands_over"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        id = try container.decode(String.self, forKey: .id)
        left = try container.decode([MemberName].self, forKey: .left)
        done = try container.decode([MemberName].self, forKey: .done)
        handsOver = try container.decode(Bool.self, forKey: .handsOver)
        term = try container.decode(WishTerm.self, forKey: .term)
        refusal = try container.decodeIfPresent(String.self, forKey: .refusal)
        unknown = try UnknownFields(of: decoder, besides: CodingKeys.self)
    }

    public func encode(to encoder: any Encoder) throws {
        try unknown.encode(beside: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(left, forKey: .left)
        try container.encode(done, forKey: .done)
        try container.encode(handsOver, forKey: .handsOver)
        try container.encode(term, forKey: .term)
        try container.encodeIfPresent(refusal, forKey: .refusal)
    }
}
