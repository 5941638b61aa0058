/// A fault: what happens to the packets of some links, or between some parties, until the rule is removed.
///
/// Rules never change the links themselves, so faults that overlap are healed one by one.
public struct WANRule: Sendable, Codable, Equatable {
    /// Unique; adding a rule with the name of another replaces it.
    public var name: String
    public var drops: Bool
    public var lossPercent: Double
    /// Added to the delay of the link on which the rule catches the packet.
    public var delayMicroseconds: Int64
    /// Every packet on these.
    public var passages: [WANPassage]
    /// Packets from one party to another, caught once wherever the route leads.
    public var flows: [WANFlow]

    public init(
        name: String, drops: Bool = false, lossPercent: Double = 0, delayMicroseconds: Int64 = 0,
        passages: [WANPassage] = [], flows: [WANFlow] = []
    ) {
        self.name = name
        self.drops = drops
        self.lossPercent = lossPercent
        self.delayMicroseconds = delayMicroseconds
        self.passages = passages
        self.flows = flows
    }

    enum CodingKeys: String, CodingKey {
        case name
        case drops = "drop"
        case lossPercent = "loss_percent"
        case delayMicroseconds = "delay_us"
        case passages, flows
    }
}

/// One direction of one link: what enters at the end of the site.
public struct WANPassage: Sendable, Codable, Equatable {
    public var link: String
    public var from: String

    public init(link: String, from: String) {
        self.link = link
        self.from = from
    }
}

public struct WANFlow: Sendable, Codable, Equatable {
    public var from: WANParty
    public var to: WANParty

    public init(from: WANParty, to: WANParty) {
        self.from = from
        self.to = to
    }
}

/// Sites and the addresses that are theirs alone. An anycast address is nobody's alone: a packet with one is
/// recognised by the site it leaves or reaches.
public struct WANParty: Sendable, Codable, Equatable {
    public var sites: [String]
    public var prefixes: [String]

    public init(sites: [String], prefixes: [String]) {
        self.sites = sites
        self.prefixes = prefixes
    }
}
