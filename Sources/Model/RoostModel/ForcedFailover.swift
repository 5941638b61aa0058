/// A failover that a person has decided, since too few members were left for members to decide one: what was asked for, as
/// evidence. It stays in the rule. Hosts alone write it, and no member changes it.
///
/// It is also what makes it lawful that the history lacks reigns which were open: nothing else does.
public struct ForcedFailover: Hashable, Sendable, Codable {
    /// Its operation's.
    public var id: String
    /// Who is to lead. Nobody else can be named for ``epoch``.
    public var member: MemberName
    /// What the members that are left were called to.
    public var epoch: Epoch
    /// Wall clock of the host that wrote it, in milliseconds.
    public var at: Int64
    /// Who asked, as whoever asked says it; at most ``wordsMax`` bytes. Nil: not said.
    public var by: String?
    /// Who led before.
    public var formerLeader: MemberName
    /// In which epoch.
    public var formerEpoch: Epoch
    /// How far the log of ``member`` was known to go.
    public var position: Position
    /// The furthest that any other member has ever reported, where that is further: what lies between may be lost.
    public var furthest: Position?
    /// No members any more since this one or an earlier one, in the order of that. Nothing of them is touched: their volumes may
    /// have what was confirmed and nobody else has. At most ``givenUpMax``, the last.
    public var givenUp: [MemberName]
    /// Reigns of the former history of which ``member`` is not known to have a byte, of earlier ones too. Who knows one of these to have been
    /// open has no proof that the store went back. At most ``lostMax``, the last.
    public var lost: [Reign]
    /// What a newer version has written.
    public var unknown = UnknownFields()

    /// In names.
    public static let givenUpMax = 32
    /// In reigns.
    public static let lostMax = 16
    /// In bytes of ``by``.
    public static let wordsMax = 128
    /// Why what was asked for before is not done any more.
    public static let refusalOfWishes = "a person has decided a failover since"

    /// One that is about to be written; see `ForcedElection` of RoostFailover for what follows from it.
    public init(
        id: String, member: MemberName, epoch: Epoch, at: Int64, by: String?, formerLeader: MemberName,
        formerEpoch: Epoch, position: Position, furthest: Position?, givenUp: [MemberName], lost: [Reign]
    ) {
        self.id = id
        self.member = member
        self.epoch = epoch
        self.at = at
        self.by = by
        self.formerLeader = formerLeader
        self.formerEpoch = formerEpoch
        self.position = position
        self.furthest = furthest
        self.givenUp = Array(givenUp.suffix(Self.givenUpMax))
        self.lost = Array(lost.suffix(Self.lostMax))
    }
}

extension ForcedFailover {
    private enum CodingKeys: String, CodingKey {
        case id, member, epoch, at, by, position, furthest, lost
        case formerLeader = "former_leader"
        case formerEpoch = "former_epoch"
        case givenUp = "given_up"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        id = try container.decode(String.self, forKey: .id)
        member = try container.decode(MemberName.self, forKey: .member)
        epoch = try container.decode(Epoch.self, forKey: .epoch)
        at = try container.decode(Int64.self, forKey: .at)
        by = try container.decodeIfPresent(String.self, forKey: .by)
        formerLeader = try container.decode(MemberName.self, forKey: .formerLeader)
        formerEpoch = try container.decode(Epoch.self, forKey: .formerEpoch)
        position = try container.decode(Position.self, forKey: .position)
        furthest = try container.decodeIfPresent(Position.self, forKey: .furthest)
        givenUp = try container.decode([MemberName].self, forKey: .givenUp)
        lost = try container.decode([Reign].self, forKey: .lost)
        unknown = try UnknownFields(of: decoder, besides: CodingKeys.self)
    }

    public func encode(to encoder: any Encoder) throws {
        try unknown.encode(beside: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(member, forKey: .member)
        try container.encode(epoch, forKey: .epoch)
        try container.encode(at, forKey: .at)
        try container.encodeIfPresent(by, forKey: .by)
        try container.encode(formerLeader, forKey: .formerLeader)
        try container.encode(formerEpoch, forKey: .formerEpoch)
        try container.encode(position, forKey: .position)
        try container.encodeIfPresent(furthest, forKey: .furthest)
        try container.encode(givenUp, forKey: .givenUp)
        try container.encode(lost, forKey: .lost)
    }
}

extension ClusterRule {
    /// The failover that a person has decided, and that members have not carried out yet; nil: there is none.
    public var forcedCall: ForcedFailover? {
        guard let recruitment, recruitment.reason == .forced, let forced, forced.epoch == recruitment.epoch else {
            return nil
        }
        return forced
    }

    /// Given up by a person, and not named again since.
    public var givenUp: [MemberName] { (forced?.givenUp ?? []).filter { !members.contains($0) } }
}
