/// A size in bytes. Sizes never travel as bare integers.
public struct ByteCount: Hashable, Sendable, Comparable, Codable, CustomStringConvertible {
    /// May be negative: what is left of an over-promised host is.
    public let bytes: Int64

    /// From a source that counts bytes.
    public init(bytes: Int64) { self.bytes = bytes }

    /// No bytes.
    public static let zero = ByteCount(bytes: 0)
    /// 2²⁰ bytes each. Fly's "MB" are these.
    public static func mebibytes(_ count: Int) -> ByteCount { ByteCount(bytes: Int64(count) << 20) }
    /// 2³⁰ bytes each. Fly's "GB" are these.
    public static func gibibytes(_ count: Int) -> ByteCount { ByteCount(bytes: Int64(count) << 30) }

    /// Rounded down.
    public var wholeMebibytes: Int { Int(bytes >> 20) }
    /// Rounded down.
    public var wholeGibibytes: Int { Int(bytes >> 30) }

    public init(from decoder: any Decoder) throws {
        bytes = try decoder.singleValueContainer().decode(Int64.self)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(bytes)
    }

    public static func < (left: Self, right: Self) -> Bool { left.bytes < right.bytes }
    /// Traps on overflow: sizes from outside are bounded first (`RecordBounds`).
    public static func + (left: Self, right: Self) -> Self { ByteCount(bytes: left.bytes + right.bytes) }
    /// May go below zero: see ``bytes``.
    public static func - (left: Self, right: Self) -> Self { ByteCount(bytes: left.bytes - right.bytes) }

    public var description: String {
        for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] where bytes >= 1 << Int64(shift) {
            let tenths = (bytes >> Int64(shift)) * 10 + ((bytes & (1 << Int64(shift) - 1)) * 10) >> Int64(shift)
            return tenths % 10 == 0 ? "\(tenths / 10) \(unit)" : "\(tenths / 10).\(tenths % 10) \(unit)"
        }
        return "\(bytes) B"
    }
}

/// A point on one host's own monotonic clock. Two hosts' moments cannot be compared.
public struct Moment: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// CLOCK_BOOTTIME of clock_gettime(2): it goes on while the host sleeps.
    public let sinceBoot: Duration

    /// Comes from `BootClock`, or from a simulation's own clock.
    public init(sinceBoot: Duration) { self.sinceBoot = sinceBoot }

    /// The boot itself: before everything that happened.
    public static let zero = Moment(sinceBoot: .zero)

    public static func < (left: Self, right: Self) -> Bool { left.sinceBoot < right.sinceBoot }
    /// A deadline: so long after it.
    public static func + (left: Self, right: Duration) -> Self { Moment(sinceBoot: left.sinceBoot + right) }
    /// How much time lies between; negative when the right one is later.
    public static func - (left: Self, right: Self) -> Duration { left.sinceBoot - right.sinceBoot }

    public var description: String { "\(sinceBoot)" }
}

extension Duration {
    /// For records and wire shapes that carry milliseconds.
    public var milliseconds: Int64 {
        components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
    }

    /// For people: in seconds, with a tenth below ten of them, and below a tenth in milliseconds. What was measured, or is left of
    /// something, has more digits than anybody reads.
    public var words: String {
        let milliseconds = milliseconds
        if abs(milliseconds) < 100 { return milliseconds == 0 ? "0 s" : "\(milliseconds) ms" }
        let tenths = (abs(milliseconds) + 50) / 100
        let sign = milliseconds < 0 ? "-" : ""
        if tenths < 100, tenths % 10 != 0 { return "\(sign)\(tenths / 10).\(tenths % 10) s" }
        return "\(sign)\((abs(milliseconds) + 500) / 1000) s"
    }

    /// For arithmetic on measurements. A double is exact to the nanosecond for some hundred days.
    public var secondsAsDouble: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}

/// The version of one owner's record: a record with a lower generation is stale and must not be acted on.
public struct Generation: Hashable, Sendable, Comparable, Codable, CustomStringConvertible {
    /// 0 when nothing was ever written.
    public let number: UInt64

    /// As it was read or counted: the ledger of a host raises it with every write.
    public init(_ number: UInt64) { self.number = number }

    public init(from decoder: any Decoder) throws {
        number = try decoder.singleValueContainer().decode(UInt64.self)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(number)
    }

    public static func < (left: Self, right: Self) -> Bool { left.number < right.number }
    public var description: String { "\(number)" }
}
