/// A probe or its answer, 24 bytes, big-endian:
/// magic (4), version (1), kind (1), padding (2), number (4), held (4), the sender's monotonic nanoseconds (8).
/// The answer repeats padding, number and nanoseconds; they must match what was sent for an answer to count. It says in
/// microseconds how long it was held: zero in a probe, and from programs that answered at once and did not say. On the
/// wire the sender's signature follows (``ProbeSeal``), and then so many bytes of padding, all zero: with them, a probe
/// is as large as the largest packet of the mesh.
struct ProbePacket: Hashable, Sendable {
    enum Kind: UInt8, Sendable {
        case probe = 1
        case answer = 2
    }

    var kind: Kind
    var number: UInt32
    var sentNanoseconds: UInt64
    var padding: UInt16 = 0
    var heldMicroseconds: UInt32 = 0

    static let size = 24
    private static let magic: UInt32 = 0x5250_5242
    private static let version: UInt8 = 2

    init(kind: Kind, number: UInt32, sentNanoseconds: UInt64, padding: UInt16 = 0) {
        self.kind = kind
        self.number = number
        self.sentNanoseconds = sentNanoseconds
        self.padding = padding
    }

    /// Nil for anything that is not exactly such a packet.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == Self.size, UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self)) == Self.magic,
            bytes[4] == Self.version, let kind = Kind(rawValue: bytes[5])
        else { return nil }
        self.kind = kind
        padding = UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 6, as: UInt16.self))
        number = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        heldMicroseconds = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
        sentNanoseconds = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
    }

    var bytes: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Self.size)
        bytes.withUnsafeMutableBytes { buffer in
            buffer.storeBytes(of: Self.magic.bigEndian, as: UInt32.self)
            buffer[4] = Self.version
            buffer[5] = kind.rawValue
            buffer.storeBytes(of: padding.bigEndian, toByteOffset: 6, as: UInt16.self)
            buffer.storeBytes(of: number.bigEndian, toByteOffset: 8, as: UInt32.self)
            buffer.storeBytes(of: heldMicroseconds.bigEndian, toByteOffset: 12, as: UInt32.self)
            buffer.storeBytes(of: sentNanoseconds.bigEndian, toByteOffset: 16, as: UInt64.self)
        }
        return bytes
    }
}
