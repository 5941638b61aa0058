/// One line of JSON to the control socket of `roost-wan`; the answer is one line too.
public struct WANRequest: Sendable, Codable, Equatable {
    public enum Command: String, Sendable, Codable {
        case addRules = "add_rules"
        case removeRules = "remove_rules"
        case setLink = "set_link"
        /// Opens the devices of a site whose namespace is there (again).
        case plug
        /// Closes them: nothing passes, and the namespace is no longer held.
        case unplug
        case list, stats
    }

    public var command: Command
    public var rules: [WANRule]?
    /// Of rules to remove; nil removes all.
    public var names: [String]?
    public var link: WANLinkChange?
    public var site: String?

    public static let lineBytesMax = 4 << 20

    public init(
        _ command: Command, rules: [WANRule]? = nil, names: [String]? = nil, link: WANLinkChange? = nil,
        site: String? = nil
    ) {
        self.command = command
        self.rules = rules
        self.names = names
        self.link = link
        self.site = site
    }
}

public struct WANLinkChange: Sendable, Codable, Equatable {
    public var name: String
    public var towardsA: WANDirection?
    public var towardsB: WANDirection?

    public init(name: String, towardsA: WANDirection? = nil, towardsB: WANDirection? = nil) {
        self.name = name
        self.towardsA = towardsA
        self.towardsB = towardsB
    }

    enum CodingKeys: String, CodingKey {
        case name
        case towardsA = "towards_a"
        case towardsB = "towards_b"
    }
}

public struct WANReply: Sendable, Codable, Equatable {
    public var ok: Bool
    /// What was wrong, when not ok.
    public var error: String?
    public var rules: [WANRule]?
    public var links: [WANLink]?
    public var stats: [WANDirectionStats]?

    public init(
        ok: Bool, error: String? = nil, rules: [WANRule]? = nil, links: [WANLink]? = nil,
        stats: [WANDirectionStats]? = nil
    ) {
        self.ok = ok
        self.error = error
        self.rules = rules
        self.links = links
        self.stats = stats
    }
}

/// Counters of one direction of one link since the start.
public struct WANDirectionStats: Sendable, Codable, Equatable {
    public var link: String
    /// The site that sends.
    public var from: String
    public var to: String
    public var counters: WANCounters
    public var queuedBytes: Int

    public init(link: String, from: String, to: String, counters: WANCounters, queuedBytes: Int) {
        self.link = link
        self.from = from
        self.to = to
        self.counters = counters
        self.queuedBytes = queuedBytes
    }

    enum CodingKeys: String, CodingKey {
        case link, from, to, counters
        case queuedBytes = "queued_bytes"
    }
}

public struct WANCounters: Sendable, Codable, Equatable {
    /// Taken in.
    public var packets: UInt64 = 0
    public var bytes: UInt64 = 0
    public var delivered: UInt64 = 0
    /// By the link's own cut or loss.
    public var droppedByLink: UInt64 = 0
    public var droppedByRules: UInt64 = 0
    /// No room in the queue or in the pool.
    public var droppedForRoom: UInt64 = 0
    /// The other end was not plugged in, or did not take the packet.
    public var droppedAtEnd: UInt64 = 0

    public init() {}

    enum CodingKeys: String, CodingKey {
        case packets, bytes, delivered
        case droppedByLink = "dropped_by_link"
        case droppedByRules = "dropped_by_rules"
        case droppedForRoom = "dropped_for_room"
        case droppedAtEnd = "dropped_at_end"
    }
}

/// A configuration or request that cannot be carried out.
public struct WANError: Error, Equatable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}
