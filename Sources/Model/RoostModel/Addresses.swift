/// An IPv6 address as its 128 bits.
public struct IPv6Address: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The first 64 bits, in the order of the text: of an address of the mesh `fdaa`, the network and 16 bits of the
    /// machine.
    public let high: UInt64
    /// The last 64 bits.
    public let low: UInt64

    /// Any 128 bits are an address; nothing is checked.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The eight groups, RFC 5952: lower case, the longest run of zeros (of two or more) as `::`.
    public var description: String {
        let groups = (0..<8).map { index -> UInt16 in
            let word = index < 4 ? high : low
            return UInt16(truncatingIfNeeded: word >> UInt64(48 - 16 * (index % 4)))
        }
        var best = 0..<0
        var index = 0
        while index < 8 {
            var end = index
            while end < 8, groups[end] == 0 { end += 1 }
            if end - index > max(best.count, 1) { best = index..<end }
            index = max(end, index + 1)
        }
        let text = { (part: ArraySlice<UInt16>) in part.map { String($0, radix: 16) }.joined(separator: ":") }
        guard !best.isEmpty else { return text(groups[...]) }
        return text(groups[..<best.lowerBound]) + "::" + text(groups[best.upperBound...])
    }

    /// Reads the forms of RFC 4291, 2.2, without an embedded IPv4 address, a zone or a prefix length.
    /// - Throws: ``InvalidValue`` for all else, also for a second `::` or one that stands for no group.
    public init(_ text: String) throws(InvalidValue) {
        let wrong = InvalidValue(kind: "IPv6 address", value: text, rule: "for example fdaa:0:1::2")
        let halves = Self.halves(of: text)
        guard (1...2).contains(halves.count) else { throw wrong }
        var groups: [[UInt16]] = []
        for half in halves {
            var parsed: [UInt16] = []
            for part in half.isEmpty ? [] : half.split(separator: ":", omittingEmptySubsequences: false) {
                guard (1...4).contains(part.utf8.count), let group = UInt16(part, radix: 16) else { throw wrong }
                parsed.append(group)
            }
            groups.append(parsed)
        }
        let count = groups.reduce(0) { $0 + $1.count }
        guard halves.count == 2 ? count < 8 : count == 8 else { throw wrong }
        let all = halves.count == 2 ? groups[0] + Array(repeating: 0, count: 8 - count) + groups[1] : groups[0]
        high = all[0..<4].reduce(0) { $0 << 16 | UInt64($1) }
        low = all[4..<8].reduce(0) { $0 << 16 | UInt64($1) }
    }

    private static func halves(of text: String) -> [Substring] {
        var halves: [Substring] = []
        var start = text.startIndex
        var index = text.startIndex
        while index < text.endIndex {
            let next = text.index(after: index)
            if text[index] == ":", next < text.endIndex, text[next] == ":" {
                halves.append(text[start..<index])
                start = text.index(after: next)
                index = start
            } else {
                index = next
            }
        }
        halves.append(text[start...])
        return halves
    }

    public static func < (left: Self, right: Self) -> Bool { (left.high, left.low) < (right.high, right.low) }
}

extension IPv6Address: Codable {
    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        do { try self.init(text) } catch {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: error.description))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// An IPv4 address as its 32 bits.
public struct IPv4Address: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The first byte of the text is the highest.
    public let bits: UInt32

    /// Any 32 bits are an address; nothing is checked.
    public init(bits: UInt32) { self.bits = bits }

    /// Reads four decimal numbers. One with a leading zero is refused: inet_aton(3) takes it for octal.
    /// - Throws: ``InvalidValue`` for all else.
    public init(_ text: String) throws(InvalidValue) {
        let wrong = InvalidValue(kind: "IPv4 address", value: text, rule: "for example 203.0.113.7")
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { throw wrong }
        var bits: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.utf8.count), let byte = UInt8(part), String(byte) == part else { throw wrong }
            bits = bits << 8 | UInt32(byte)
        }
        self.bits = bits
    }

    public var description: String {
        (0..<4).map { String(bits >> UInt32(24 - 8 * $0) & 0xff) }.joined(separator: ".")
    }

    public static func < (left: Self, right: Self) -> Bool { left.bits < right.bits }
}

extension IPv4Address: Codable {
    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        do { try self.init(text) } catch {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: error.description))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// An IPv4 prefix such as 203.0.113.0/24.
public struct IPv4Prefix: Hashable, Sendable, CustomStringConvertible {
    /// The lowest address; its bits behind ``length`` are zero.
    public let network: IPv4Address
    /// How many leading bits all addresses share, 8 to 32.
    public let length: Int

    /// Reads `network/length`.
    /// - Throws: ``InvalidValue`` for a length outside 8 to 32 or with a leading zero, or an address with bits set
    ///   behind it: such a text says two things.
    public init(_ text: String) throws(InvalidValue) {
        func wrong(_ rule: String) -> InvalidValue { InvalidValue(kind: "IPv4 prefix", value: text, rule: rule) }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let length = Int(parts[1]), String(length) == parts[1] else {
            throw wrong("for example 203.0.113.0/24")
        }
        guard (8...32).contains(length) else { throw wrong("it has 8 to 32 bits, for example 203.0.113.0/24") }
        let address = try IPv4Address(String(parts[0]))
        network = IPv4Address(bits: address.bits & Self.mask(length))
        self.length = length
        guard network == address else {
            throw wrong("bits are set behind the first \(length); the network is \(network)/\(length)")
        }
    }

    /// The prefix of this one address, of 32 bits.
    public init(of address: IPv4Address) {
        network = address
        length = 32
    }

    private static func mask(_ length: Int) -> UInt32 { length == 0 ? 0 : ~UInt32(0) << UInt32(32 - length) }

    /// The address shares the first ``length`` bits.
    public func contains(_ address: IPv4Address) -> Bool { address.bits & Self.mask(length) == network.bits }

    /// Addresses a service may have: all but the first and, in prefixes shorter than /31, the last.
    public var serviceAddresses: some Sequence<IPv4Address> {
        let size = UInt32(1) << UInt32(32 - length)
        let range = size <= 2 ? 0..<size : 1..<(size - 1)
        return range.lazy.map { IPv4Address(bits: network.bits + $0) }
    }

    public var description: String { "\(network)/\(length)" }
}

extension IPv4Prefix: Codable {
    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        do { try self.init(text) } catch {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: error.description))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// A private network's number: the 32 bits after `fdaa` in the address of each of its machines.
/// Number 0 is the hosts' own network.
public struct NetworkNumber: Hashable, Sendable, Comparable, Codable {
    /// Counted up from 1 by the store's ``StoreKeys/networkCounter``; a number is never used again.
    public let number: UInt32

    /// Any number can be one; whether the network exists only the store knows.
    public init(_ number: UInt32) { self.number = number }

    /// The network that only the hosts themselves are in; no app gets it.
    public static let hosts = NetworkNumber(0)

    public init(from decoder: any Decoder) throws {
        number = try decoder.singleValueContainer().decode(UInt32.self)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(number)
    }

    public static func < (left: Self, right: Self) -> Bool { left.number < right.number }

    /// The network that an address of the mesh is in.
    public init(of address: IPv6Address) { self.init(UInt32(truncatingIfNeeded: address.high >> 16)) }

    /// All addresses of the network, `fdaa:NNNN:NNNN::/48`.
    public var prefix: String { "\(IPv6Address(high: high, low: 0))/48" }

    var high: UInt64 { 0xfdaa << 48 | UInt64(number) << 16 }
}

/// Where things are on the mesh. An address is a function of identity alone and never contains the host,
/// so what moves keeps its address and nothing has to be looked up.
public enum MeshAddress {
    /// `fdaa:<network>:<machine>::2`; the machine owns the /112 around it.
    public static func machine(_ machine: MachineID, in network: NetworkNumber) -> IPv6Address {
        IPv6Address(high: network.high | machine.bits >> 48, low: machine.bits << 16 | 2)
    }

    /// `fdaa:0:0:<hash of the name>::1`, FNV-1a over the name, 56 bits.
    public static func host(_ host: HostName) -> IPv6Address {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in host.text.utf8 {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        let bits = hash >> 8
        return IPv6Address(high: NetworkNumber.hosts.high | bits >> 48, low: bits << 16 | 1)
    }

    /// One of those that ``machine(_:in:)`` gives: of the mesh, and not of the hosts' network.
    public static func isOfMachine(_ address: IPv6Address) -> Bool {
        address.high >> 48 == 0xfdaa && NetworkNumber(of: address) != .hosts
    }

    /// Every address Roost hands out inside the mesh.
    public static let everything = "fdaa::/16"
    /// All hosts.
    public static let hosts = NetworkNumber.hosts.prefix
    /// The least address of ``hosts``.
    public static let firstOfHosts = IPv6Address(high: NetworkNumber.hosts.high, low: 0)
}
