/// A probe or its answer, 24 bytes, big-endian:
/// magic (4), version (1), kind (1), zero (2), number (4), zero (4), the sender's monotonic nanoseconds (8).
/// The answer repeats number and nanoseconds; both must match what was sent for an answer to count. On the wire the
/// sender's signature follows (``ProbeSeal``).
struct ProbePacket: Hashable, Sendable {
    enum Kind: UInt8, Sendable {
        case probe = 1
        case answer = 2
    }

    var kind: Kind
    var number: UInt32
    var sentNanoseconds: UInt64

    static let size = 24
    private static let magic: UInt32 = 0x5250_5242
    private static let version: UInt8 = 2

    init(kind: Kind, number: UInt32, sentNanoseconds: UInt64) {
        self.kind = kind
        self.number = number
        self.sentNanoseconds = sentNanoseconds
    }

    /// Nil for anything that is not exactly such a packet.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == Self.size, UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self)) == Self.magic,
            bytes[4] == Self.version, let kind = Kind(rawValue: bytes[5])
        else { return nil }
        self.kind = kind
        number = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        sentNanoseconds = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
    }

    var bytes: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Self.size)
        bytes.withUnsafeMutableBytes { buffer in
            buffer.storeBytes(of: Self.magic.bigEndian, as: UInt32.self)
            buffer[4] = Self.version
            buffer[5] = kind.rawValue
            buffer.storeBytes(of: number.bigEndian, toByteOffset: 8, as: UInt32.self)
            buffer.storeBytes(of: sentNanoseconds.bigEndian, toByteOffset: 16, as: UInt64.self)
        }
        return bytes
    }
}
