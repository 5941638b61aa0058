// The rule is read, changed and written back by members and hosts of different versions. What one of them does not
// know goes through unchanged.

extension ClusterRule {
    private enum CodingKeys: String, CodingKey {
        case epoch, leader, members, confirmations, history, timeline, recruitment, switchover, pause, restart, system,
            majority
        case forced = "forced_failover"
        case changes = "member_changes"
        case change = "member_change"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        epoch = try container.decode(Epoch.self, forKey: .epoch)
        leader = try container.decode(MemberName.self, forKey: .leader)
        members = try container.decode([MemberName].self, forKey: .members)
        confirmations = try container.decode(Int.self, forKey: .confirmations)
        history = try container.decode([Reign].self, forKey: .history)
        timeline = try container.decodeIfPresent(UInt32.self, forKey: .timeline)
        recruitment = try container.decodeIfPresent(Recruitment.self, forKey: .recruitment)
        switchover = try container.decodeIfPresent(SwitchoverRequest.self, forKey: .switchover)
        pause = try container.decodeIfPresent(WishTerm.self, forKey: .pause)
        restart = try container.decodeIfPresent(RestartRequest.self, forKey: .restart)
        changes = try container.decodeIfPresent(UInt64.self, forKey: .changes)
        change = try container.decodeIfPresent(MemberChange.self, forKey: .change)
        system = try container.decodeIfPresent(UInt64.self, forKey: .system)
        forced = try container.decodeIfPresent(ForcedFailover.self, forKey: .forced)
        majority = try container.decodeIfPresent(Bool.self, forKey: .majority)
        unknown = try UnknownFields(of: decoder, besides: CodingKeys.self)
    }

    public func encode(to encoder: any Encoder) throws {
        try unknown.encode(beside: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(epoch, forKey: .epoch)
        try container.encode(leader, forKey: .leader)
        try container.encode(members, forKey: .members)
        try container.encode(confirmations, forKey: .confirmations)
        try container.encode(history, forKey: .history)
        try container.encodeIfPresent(timeline, forKey: .timeline)
        try container.encodeIfPresent(recruitment, forKey: .recruitment)
        try container.encodeIfPresent(switchover, forKey: .switchover)
        try container.encodeIfPresent(pause, forKey: .pause)
        try container.encodeIfPresent(restart, forKey: .restart)
        try container.encodeIfPresent(changes, forKey: .changes)
        try container.encodeIfPresent(change, forKey: .change)
        try container.encodeIfPresent(system, forKey: .system)
        try container.encodeIfPresent(forced, forKey: .forced)
        try container.encodeIfPresent(majority, forKey: .majority)
    }
}

extension Reign {
    private enum CodingKeys: String, CodingKey {
        case epoch, leader, begin
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        epoch = try container.decode(Epoch.self, forKey: .epoch)
        leader = try container.decode(MemberName.self, forKey: .leader)
        begin = try container.decode(LSN.self, forKey: .begin)
        unknown = try UnknownFields(of: decoder, besides: CodingKeys.self)
    }

    public func encode(to encoder: any Encoder) throws {
        try unknown.encode(beside: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(epoch, forKey: .epoch)
        try container.encode(leader, forKey: .leader)
        try container.encode(begin, forKey: .begin)
    }
}

extension SwitchoverRequest {
    private enum CodingKeys: String, CodingKey {
        case id, target, refusal
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        id = try container.decode(String.self, forKey: .id)
        target = try container.decodeIfPresent(MemberName.self, forKey: .target)
        refusal = try container.decodeIfPresent(String.self, forKey: .refusal)
        unknown = try UnknownFields(of: decoder, besides: CodingKeys.self)
    }

    public func encode(to encoder: any Encoder) throws {
        try unknown.encode(beside: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encodeIfPresent(target, forKey: .target)
        try container.encodeIfPresent(refusal, forKey: .refusal)
    }
}

extension Recruitment {
    private enum CodingKeys: String, CodingKey {
        case epoch, proposer, reason, target
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        epoch = try container.decode(Epoch.self, forKey: .epoch)
        proposer = try container.decode(MemberName.self, forKey: .proposer)
        reason = try container.decode(Reason.self, forKey: .reason)
        target = try container.decodeIfPresent(MemberName.self, forKey: .target)
        unknown = try UnknownFields(of: decoder, besides: CodingKeys.self)
    }

    public func encode(to encoder: any Encoder) throws {
        try unknown.encode(beside: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(epoch, forKey: .epoch)
        try container.encode(proposer, forKey: .proposer)
        try container.encode(reason, forKey: .reason)
        try container.encodeIfPresent(target, forKey: .target)
    }
}
