/// What a member knows of another one's datagrams, to tell those of now from what somebody has kept and says again.
///
/// A life of the other's is believed once it has said this member's challenge back, which nobody can have kept; then the
/// challenge is another. Within a life, numbers grow.
public struct BeatAcquaintance: Hashable, Sendable {
    /// What the other is to say back.
    public private(set) var challenge: UInt64
    /// What the other wants to hear; 0 before it has spoken.
    public private(set) var echo: UInt64 = 0
    private var life: UInt64?
    private var number: UInt64 = 0

    /// The last that was believed, for the other to know what this member had heard when it spoke.
    public var heard: BeatMark? { life.map { BeatMark(life: $0, number: number) } }

    /// - Parameter challenge: that nobody can foresee.
    public init(challenge: UInt64) { self.challenge = challenge }

    /// - Parameters:
    ///   - datagram: whose seal is the cluster's, from this member to the one that asks.
    ///   - next: the next challenge, that nobody can foresee.
    /// - Returns: whether it is of now, and later than all that were before.
    public mutating func admits(_ datagram: BeatDatagram, next: UInt64) -> Bool {
        if datagram.life == life {
            guard datagram.number > number else { return false }
        } else {
            // Also when it may be an old one: the other cannot be believed here before it has heard this.
            echo = datagram.challenge
            guard datagram.echo == challenge else { return false }
            life = datagram.life
            challenge = next
        }
        echo = datagram.challenge
        number = datagram.number
        return true
    }
}
