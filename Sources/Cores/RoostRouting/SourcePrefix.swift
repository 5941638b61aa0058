public import RoostModel

/// Where a client comes from, as coarse as the Internet hands out addresses: whoever has one address of a /24 can
/// often use all of them, so bounds on sources are bounds on /24s.
public struct SourcePrefix: Hashable, Sendable, CustomStringConvertible {
    public static let length = 24

    private let bits: UInt32

    public init(of address: IPv4Address) { bits = address.bits & ~(UInt32.max >> UInt32(Self.length)) }

    public var description: String { "\(IPv4Address(bits: bits))/\(Self.length)" }
}

extension Dictionary where Value == Int {
    /// One less; what is down to none is not kept.
    mutating func countDown(_ key: Key) {
        let left = (self[key] ?? 1) - 1
        self[key] = left > 0 ? left : nil
    }
}
