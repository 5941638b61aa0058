/// What a member keeps on its volume of the cluster's history, for whoever puts the store's rule right.
public struct MemberKnowledge: Hashable, Sendable, Codable {
    /// The last reign that it knows to have been open. Its own it writes down before it opens.
    public var opened: Reign?
    /// The last history that it took from a rule without a recruitment, whole.
    public var history: [Reign]
    /// Of the last reign of ``history``, as ``ClusterRule/timeline``.
    public var timeline: UInt32?
    /// Its own log goes at least up to here; nil when that was not read.
    public var position: Position?
    /// The last members that it knows of; nil where they have never changed.
    public var membership: Membership?
    /// What a newer version has written.
    public var unknown = UnknownFields()

    /// As the member has it on disk.
    public init(opened: Reign?, history: [Reign], timeline: UInt32?, position: Position?, membership: Membership? = nil)
    {
        self.opened = opened
        self.history = history
        self.timeline = timeline
        self.position = position
        self.membership = membership
    }

    private enum CodingKeys: String, CodingKey {
        case opened, history, timeline, position, membership
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        opened = try container.decodeIfPresent(Reign.self, forKey: .opened)
        history = try container.decode([Reign].self, forKey: .history)
        timeline = try container.decodeIfPresent(UInt32.self, forKey: .timeline)
        position = try container.decodeIfPresent(Position.self, forKey: .position)
        membership = try container.decodeIfPresent(Membership.self, forKey: .membership)
        unknown = try UnknownFields(of: decoder, besides: CodingKeys.self)
    }

    public func encode(to encoder: any Encoder) throws {
        try unknown.encode(beside: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeIfPresent(opened, forKey: .opened)
        try container.encode(history, forKey: .history)
        try container.encodeIfPresent(timeline, forKey: .timeline)
        try container.encodeIfPresent(position, forKey: .position)
        try container.encodeIfPresent(membership, forKey: .membership)
    }
}
