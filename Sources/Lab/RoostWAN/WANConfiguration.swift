/// What `roost-wan --config FILE` reads: the links it carries.
public struct WANConfiguration: Sendable, Codable, Equatable {
    /// Seeds the losses, so that a run can be repeated.
    public var seed: UInt64
    public var links: [WANLink]

    public static let linksMax = 4096

    public init(seed: UInt64, links: [WANLink]) {
        self.seed = seed
        self.links = links
    }
}

/// A cable between two network namespaces. What enters at `a` leaves at `b` after the delay, and the other way.
public struct WANLink: Sendable, Codable, Equatable {
    public var name: String
    public var a: WANEnd
    public var b: WANEnd
    public var towardsA: WANDirection
    public var towardsB: WANDirection

    public init(name: String, a: WANEnd, b: WANEnd, towardsA: WANDirection, towardsB: WANDirection) {
        self.name = name
        self.a = a
        self.b = b
        self.towardsA = towardsA
        self.towardsB = towardsB
    }

    enum CodingKeys: String, CodingKey {
        case name, a, b
        case towardsA = "towards_a"
        case towardsB = "towards_b"
    }
}

/// Where a link is plugged in.
public struct WANEnd: Sendable, Codable, Equatable {
    /// What the namespace is to the lab: a host, a client or a provider's point of presence. Rules speak of sites.
    public var site: String
    /// Path of the network namespace.
    public var namespace: String
    /// Name of the TUN device there.
    public var interface: String

    public init(site: String, namespace: String, interface: String) {
        self.site = site
        self.namespace = namespace
        self.interface = interface
    }
}

/// What a link does to packets in one direction.
public struct WANDirection: Sendable, Codable, Equatable {
    public var delayMicroseconds: Int64
    public var lossPercent: Double
    public var isCut: Bool
    /// Packets on their way that do not fit are dropped. The delay counts: a link of 40 ms at 1 Gbit/s holds 5 MB.
    public var queueBytesMax: Int

    public static let queueBytesDefault = 16 << 20
    public static let delayMicrosecondsMax: Int64 = 10_000_000

    public init(
        delayMicroseconds: Int64, lossPercent: Double = 0, isCut: Bool = false,
        queueBytesMax: Int = WANDirection.queueBytesDefault
    ) {
        self.delayMicroseconds = delayMicroseconds
        self.lossPercent = lossPercent
        self.isCut = isCut
        self.queueBytesMax = queueBytesMax
    }

    enum CodingKeys: String, CodingKey {
        case delayMicroseconds = "delay_us"
        case lossPercent = "loss_percent"
        case isCut = "cut"
        case queueBytesMax = "queue_bytes_max"
    }
}
