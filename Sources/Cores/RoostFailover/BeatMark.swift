public import RoostModel

/// One datagram of a member's, among all that it ever sent.
public struct BeatMark: Hashable, Sendable {
    /// Of the process that sent it.
    public var life: UInt64
    /// Among those of that life.
    public var number: UInt64

    public init(life: UInt64, number: UInt64) {
        self.life = life
        self.number = number
    }
}

/// When this process has sent its beats. Whoever names one of them speaks after that moment by this member's own clock, however
/// long the word was on its way: what is late shows its age by what it names.
public struct BeatTimes: Hashable, Sendable {
    private struct Round: Hashable {
        /// The first datagram of the beat; each receiver has one of its own.
        var first: UInt64
        var at: Moment
    }

    /// What names an older one proves nothing that is of use: a lease counted from then is over.
    public static let span = Heartbeat.lease
    /// More than are sent in ``span``, also where each answer of a recruitment is said at once. Of more, the older are forgotten.
    static let countMax = 512

    private let life: UInt64
    private var rounds: [Round] = []
    private var last: UInt64 = 0

    /// - Parameter life: of this process.
    public init(of life: UInt64) { self.life = life }

    /// - Parameters:
    ///   - first: the number of the first datagram of a beat; they grow.
    ///   - last: that of the last one.
    ///   - now: before any of them is sent.
    public mutating func note(_ first: UInt64, through last: UInt64, at now: Moment) {
        rounds.append(Round(first: first, at: now))
        self.last = last
        let late = rounds.prefix { now - $0.at > Self.span }.count
        rounds.removeFirst(max(late, rounds.count - Self.countMax))
    }

    /// Nil: another process has sent it, or this one so long ago that it does not matter any more, or never.
    public func moment(of mark: BeatMark?) -> Moment? {
        guard let mark, mark.life == life, mark.number <= last else { return nil }
        return rounds.last { $0.first <= mark.number }?.at
    }
}
