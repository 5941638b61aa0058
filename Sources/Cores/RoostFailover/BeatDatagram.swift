public import RoostModel

/// A beat on its way from one member to another, before it is sealed. All numbers are big-endian:
///
///     1 version   1 flags (1: open, 2: misses the leader)   8 each: life, number, challenge, echo, epoch
///     the sender's name, the receiver's, then how many members it hears (1) and their names; a name is its length (1) and bytes
///
/// What follows is of a later version, and passed over. A version that changes what is here has another number.
public struct BeatDatagram: Hashable, Sendable {
    public static let version: UInt8 = 1
    /// Without the seal. It fits, with it, through every path of the mesh.
    public static let bytesMax = 1100
    private static let nameBytesMax = 63

    public var beat: MemberBeat
    public var receiver: MemberName
    /// Another in each life of the sender's process.
    public var life: UInt64
    /// Grows in a life.
    public var number: UInt64
    /// What the receiver is to say back to show that it is there now.
    public var challenge: UInt64
    /// The receiver's own challenge, as last heard; 0 before.
    public var echo: UInt64

    public init(
        _ beat: MemberBeat, to receiver: MemberName, life: UInt64, number: UInt64, challenge: UInt64, echo: UInt64
    ) {
        self.beat = beat
        self.receiver = receiver
        self.life = life
        self.number = number
        self.challenge = challenge
        self.echo = echo
    }

    public var bytes: [UInt8] {
        var bytes: [UInt8] = [Self.version, (beat.isOpen ? 1 : 0) | (beat.missesLeader ? 2 : 0)]
        for number in [life, number, challenge, echo, beat.epoch.number] {
            for shift in stride(from: 56, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: number >> UInt64(shift)))
            }
        }
        func append(_ name: MemberName) {
            let text = name.text.utf8.prefix(Self.nameBytesMax)
            bytes.append(UInt8(text.count))
            bytes += text
        }
        append(beat.member)
        append(receiver)
        let heard = beat.hears.prefix(PostgresNames.membersMax)
        bytes.append(UInt8(heard.count))
        heard.forEach(append)
        return bytes
    }

    /// Nil for what is none, or of another version.
    public init?(_ bytes: some RandomAccessCollection<UInt8>) {
        guard bytes.count <= Self.bytesMax else { return nil }
        var rest = bytes[...]
        func byte() -> UInt8? { rest.popFirst() }
        func number() -> UInt64? {
            guard rest.count >= 8 else { return nil }
            let number = rest.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            rest = rest.dropFirst(8)
            return number
        }
        func name() -> MemberName? {
            guard let count = byte(), count <= Self.nameBytesMax, rest.count >= count else { return nil }
            let text = String(decoding: rest.prefix(Int(count)), as: UTF8.self)
            rest = rest.dropFirst(Int(count))
            return try? MemberName(text)
        }
        guard byte() == Self.version, let flags = byte(), let life = number(), let count = number(),
            let challenge = number(), let echo = number(), let epoch = number(), let sender = name(),
            let receiver = name(), let heard = byte(), heard <= PostgresNames.membersMax
        else { return nil }
        var hears: [MemberName] = []
        for _ in 0..<heard {
            guard let name = name() else { return nil }
            hears.append(name)
        }
        self.init(
            MemberBeat(
                member: sender, epoch: Epoch(epoch), isOpen: flags & 1 != 0, missesLeader: flags & 2 != 0,
                hears: hears),
            to: receiver, life: life, number: count, challenge: challenge, echo: echo)
    }
}
