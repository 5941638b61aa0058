import Glibc

/// An IPv4 or IPv6 address as it stands in a packet; IPv4 as `::ffff:a.b.c.d`.
struct PacketAddress: Equatable {
    var high: UInt64
    var low: UInt64

    static let mappedIPv4: UInt64 = 0xffff_0000_0000

    init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    init(ipv4 bits: UInt32) { self.init(high: 0, low: Self.mappedIPv4 | UInt64(bits)) }
}

/// Source and destination of a packet, read from its first bytes.
struct PacketAddresses: Equatable {
    var source: PacketAddress
    var destination: PacketAddress

    /// Nil for what is neither IPv4 nor IPv6.
    init?(_ packet: UnsafeRawPointer, length: Int) {
        func word32(_ offset: Int) -> UInt32 {
            UInt32(bigEndian: packet.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        }
        func word64(_ offset: Int) -> UInt64 {
            UInt64(bigEndian: packet.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        guard length >= 20 else { return nil }
        switch packet.load(as: UInt8.self) >> 4 {
        case 4:
            source = PacketAddress(ipv4: word32(12))
            destination = PacketAddress(ipv4: word32(16))
        case 6:
            guard length >= 40 else { return nil }
            source = PacketAddress(high: word64(8), low: word64(16))
            destination = PacketAddress(high: word64(24), low: word64(32))
        default:
            return nil
        }
    }
}

/// `198.18.1.0/24` or `2001:db8::/32`; without a length, one address.
struct AddressPrefix: Equatable {
    private let network: PacketAddress
    private let maskHigh: UInt64
    private let maskLow: UInt64

    init(_ text: String) throws(WANError) {
        let wrong = WANError("'\(text)' is no address prefix: write for example 198.18.1.0/24")
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let address = Self.parse(String(parts[0])) else { throw wrong }
        let width = address.isIPv4 ? 32 : 128
        guard let length = parts.count == 2 ? Int(parts[1]) : width, (0...width).contains(length) else { throw wrong }
        let bits = address.isIPv4 ? length + 96 : length
        maskHigh = bits == 0 ? 0 : ~UInt64(0) << UInt64(max(0, 64 - bits))
        maskLow = bits <= 64 ? 0 : ~UInt64(0) << UInt64(128 - bits)
        network = PacketAddress(high: address.value.high & maskHigh, low: address.value.low & maskLow)
    }

    func contains(_ address: PacketAddress) -> Bool {
        address.high & maskHigh == network.high && address.low & maskLow == network.low
    }

    private static func parse(_ text: String) -> (value: PacketAddress, isIPv4: Bool)? {
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            return (PacketAddress(ipv4: UInt32(bigEndian: four.s_addr)), true)
        }
        var six = in6_addr()
        guard inet_pton(AF_INET6, text, &six) == 1 else { return nil }
        return withUnsafeBytes(of: &six) { bytes in
            let high = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
            let low = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            return (PacketAddress(high: high, low: low), false)
        }
    }
}
