import CLinux
import Glibc

/// A request to the kernel as netlink has it (netlink(7)): a header, the family's fixed part, and attributes.
/// Numbers are in the host's byte order unless the family says otherwise.
public struct NetlinkMessage: Sendable {
    /// What is attempted, in words, for the error if it fails.
    let operation: String
    let type: UInt16
    let flags: UInt16
    let body: [UInt8]

    /// - Parameters:
    ///   - operation: what is attempted, for example `add address`.
    ///   - type: the family's message type.
    ///   - flags: of the header, beside those that every request has.
    ///   - fixed: the family's fixed part.
    init(
        _ operation: String, type: UInt16, flags: Int32 = 0, fixed: [UInt8], attributes: NetlinkAttributes = .init()
    ) {
        self.operation = operation
        self.type = type
        self.flags = UInt16(truncatingIfNeeded: flags)
        body = fixed + attributes.bytes
    }

    var isDump: Bool { flags & UInt16(NLM_F_DUMP) == UInt16(NLM_F_DUMP) }

    static let headerSize = 16

    /// The whole message on the wire.
    func bytes(sequence: UInt32, extraFlags: Int32) -> [UInt8] {
        var bytes = [UInt8]()
        bytes.reserveCapacity(Self.headerSize + body.count)
        bytes.append(host: UInt32(Self.headerSize + body.count))
        bytes.append(host: type)
        bytes.append(host: flags | UInt16(truncatingIfNeeded: extraFlags))
        bytes.append(host: sequence)
        bytes.append(host: UInt32(0))
        return bytes + body + [UInt8](repeating: 0, count: Netlink.padding(of: body.count))
    }
}

/// The attributes of a message or of another attribute.
struct NetlinkAttributes: Sendable {
    private(set) var bytes: [UInt8] = []

    /// None yet.
    init() {}

    /// Raw bytes.
    mutating func add(_ type: Int, _ value: some Collection<UInt8>) {
        bytes.append(host: UInt16(4 + value.count))
        bytes.append(host: UInt16(type))
        bytes += value
        bytes += [UInt8](repeating: 0, count: Netlink.padding(of: value.count))
    }

    /// A number in the host's byte order.
    mutating func add(_ type: Int, _ value: UInt32) {
        var number: [UInt8] = []
        number.append(host: value)
        add(type, number)
    }

    /// A byte.
    mutating func add(_ type: Int, _ value: UInt8) { add(type, [value]) }

    /// A text that ends with a zero byte.
    mutating func add(_ type: Int, _ value: String) { add(type, Array(value.utf8) + [0]) }

    /// Attributes within an attribute.
    mutating func nest(
        _ type: Int, after fixed: [UInt8] = [], _ fill: (inout NetlinkAttributes) -> Void
    ) {
        var inner = NetlinkAttributes()
        fill(&inner)
        add(type | Int(NLA_F_NESTED), fixed + inner.bytes)
    }
}

/// What came back of one message: its payload, behind netlink's header.
struct NetlinkReply: Hashable, Sendable {
    /// The family's message type.
    let type: UInt16
    /// The family's fixed part and the attributes.
    let payload: [UInt8]

    /// The attributes behind a fixed part of so many bytes.
    func attributes(after fixed: Int) -> [Int: ArraySlice<UInt8>] {
        Netlink.attributes(payload[min(fixed, payload.count)...])
    }
}

/// Reading and writing of netlink's elements.
enum Netlink {
    static func padding(of count: Int) -> Int { (4 - count % 4) % 4 }

    /// Attributes by type; of several of one type the last. What does not fit ends the list.
    static func attributes(_ bytes: ArraySlice<UInt8>) -> [Int: ArraySlice<UInt8>] {
        var found: [Int: ArraySlice<UInt8>] = [:]
        for (type, value) in list(bytes) { found[type] = value }
        return found
    }

    /// Attributes in their order.
    static func list(_ bytes: ArraySlice<UInt8>) -> [(type: Int, value: ArraySlice<UInt8>)] {
        var all: [(type: Int, value: ArraySlice<UInt8>)] = []
        var rest = bytes
        while rest.count >= 4 {
            let length = Int(rest.host16(at: 0))
            guard length >= 4, length <= rest.count else { break }
            let type = Int(rest.host16(at: 2)) & ~(Int(NLA_F_NESTED) | Int(NLA_F_NET_BYTEORDER))
            all.append((type, rest[rest.startIndex + 4..<rest.startIndex + length]))
            rest = rest.dropFirst(length + padding(of: length))
        }
        return all
    }
}

extension [UInt8] {
    mutating func append(host value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value) { append(contentsOf: $0) }
    }

    mutating func append(network value: some FixedWidthInteger) { append(host: value.bigEndian) }
}

extension ArraySlice<UInt8> {
    func host16(at offset: Int) -> UInt16 { number(at: offset) }
    func host32(at offset: Int) -> UInt32 { number(at: offset) }

    /// Zero where there are too few bytes.
    func number<Value: FixedWidthInteger>(at offset: Int) -> Value {
        guard offset + MemoryLayout<Value>.size <= count else { return 0 }
        return withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Value.self) }
    }

    /// A text up to its first zero byte.
    var text: String { String(decoding: prefix { $0 != 0 }, as: UTF8.self) }
}
