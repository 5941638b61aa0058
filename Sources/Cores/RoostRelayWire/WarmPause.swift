public import RoostModel

/// Between two attempts to have a connection to a peer's relay.
public struct WarmPause: Hashable, Sendable {
    static let first = Duration.milliseconds(100)
    static let longest = Duration.seconds(2)

    private var pause = first
    /// Not before this.
    public private(set) var nextAt = Moment.zero

    public init() {}

    public mutating func failed(_ now: Moment) {
        nextAt = now + pause
        pause = min(pause * 2, Self.longest)
    }

    /// It was proven. One that breaks right away is not made anew at once.
    public mutating func succeeded(_ now: Moment) {
        nextAt = now + Self.first
        pause = Self.first
    }
}

/// Whether receivers are led through the relay: one whose stream did not come about goes straight to the leader for a
/// while, and Postgres sees for itself.
public struct RelayTrust: Hashable, Sendable {
    static let pause = Duration.seconds(10)
    /// A stream that ends on the leader's side sooner came to nothing: whatever ended it may be the relay's doing.
    static let soundAge = Duration.seconds(5)

    private var notBefore = Moment.zero

    public init() {}

    public mutating func streamCameToNothing(_ now: Moment) { notBefore = now + Self.pause }
    /// - Parameter begin: when the leader accepted it.
    public mutating func streamEnded(since begin: Moment, _ now: Moment) {
        if now - begin < Self.soundAge { streamCameToNothing(now) }
    }
    /// Another leader, or another reign.
    public mutating func forget() { notBefore = .zero }
    public func isGiven(_ now: Moment) -> Bool { now >= notBefore }
}
