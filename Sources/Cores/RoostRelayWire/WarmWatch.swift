public import RoostModel

/// Whether the relay at the other end of a connection that waits still answers. TCP shows only that its kernel lives: one that
/// stands still, or whose process cannot die, keeps its connections. So it is asked, with five bytes each second.
public struct WarmWatch: Hashable, Sendable {
    /// From one question to the next.
    static let interval = Duration.seconds(1)
    /// Only one that has answered within so long is led to: the time between two questions, a way around the earth, and once
    /// what TCP takes to send again what got lost.
    public static let answeredMax = Duration.seconds(2)
    /// One that leaves a question unanswered so long is given up, and connected to anew.
    static let silenceMax = Duration.seconds(3)

    /// A question and an answer have the form of a message with nothing in it; Postgres has none of these types.
    static let question = WireMessage("?").bytes
    static let answer = WireMessage("!").bytes

    public enum Step: Hashable, Sendable {
        case more
        case ask([UInt8])
        case giveUp
    }

    private var askedAt: Moment
    private var answeredAt: Moment
    private var isAsked = false
    /// Of an answer that has not come whole.
    public private(set) var unread: [UInt8] = []

    /// - Parameter now: it has proven itself.
    public init(_ now: Moment) { (askedAt, answeredAt) = (now, now) }

    public var wakeAt: Moment { askedAt + (isAsked ? Self.silenceMax : Self.interval) }

    public func isWarm(_ now: Moment) -> Bool { now - answeredAt <= Self.answeredMax }

    /// - Returns: false: it says what it was not asked for.
    public mutating func read(_ bytes: some Sequence<UInt8>, now: Moment) -> Bool {
        unread += bytes
        guard !unread.isEmpty else { return true }
        guard isAsked, unread.count <= Self.answer.count, Self.answer.starts(with: unread) else { return false }
        guard unread.count == Self.answer.count else { return true }
        (unread, isAsked, answeredAt) = ([], false, now)
        return true
    }

    /// After what has come was read.
    public mutating func tick(_ now: Moment) -> Step {
        guard now >= wakeAt else { return .more }
        guard !isAsked else { return .giveUp }
        (isAsked, askedAt) = (true, now)
        return .ask(Self.question)
    }
}
