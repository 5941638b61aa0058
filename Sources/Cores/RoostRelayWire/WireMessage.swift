/// Numbers as they stand in the protocol of Postgres and in the relays' own: big-endian.
extension Array where Element == UInt8 {
    mutating func append(number value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }

    /// With a zero byte behind it.
    mutating func append(text: String) {
        // A zero byte inside would cut it in two.
        append(contentsOf: text.utf8.lazy.filter { $0 != 0 })
        append(0)
    }
}

extension Collection<UInt8> {
    /// The number that these bytes begin with. There must be enough of them.
    func number<Value: FixedWidthInteger>(as type: Value.Type = Value.self) -> Value {
        prefix(MemoryLayout<Value>.size).reduce(0) { $0 << 8 | Value(truncatingIfNeeded: $1) }
    }
}

/// A message of the protocol of Postgres: its type, its length with itself, its body (PostgreSQL manual, 53.7).
public struct WireMessage: Hashable, Sendable {
    public var type: UInt8
    public var body: [UInt8]

    public init(_ type: Character, _ body: [UInt8] = []) {
        self.type = type.asciiValue ?? 0
        self.body = body
    }

    init(type: UInt8, body: [UInt8]) {
        self.type = type
        self.body = body
    }

    public var bytes: [UInt8] {
        var all = [type]
        all.reserveCapacity(body.count + 5)
        all.append(number: UInt32(body.count + 4))
        return all + body
    }

    static let readyForQuery = Self("Z", [UInt8(ascii: "I")])

    public static func query(_ text: String) -> Self {
        var body: [UInt8] = []
        body.append(text: text)
        return Self("Q", body)
    }

    /// - Parameter code: SQLSTATE.
    public static func error(_ code: String, _ message: String, severity: String = "FATAL") -> Self {
        var body: [UInt8] = []
        for (field, text) in [("S", severity), ("V", severity), ("C", code), ("M", message)] {
            body += field.utf8
            body.append(text: text)
        }
        body.append(0)
        return Self("E", body)
    }

    /// The SQLSTATE of an error.
    var code: String? { field("C") }
    var words: String? { field("M") }

    private func field(_ name: Character) -> String? {
        guard type == UInt8(ascii: "E") else { return nil }
        let found = body.split(separator: 0).first { $0.first == name.asciiValue }
        return found.map { String(decoding: $0.dropFirst(), as: UTF8.self) }
    }

    /// The text of a query; nil when it is none, or not one text.
    var queryText: String? {
        guard type == UInt8(ascii: "Q"), body.last == 0, !body.dropLast().contains(0) else { return nil }
        return String(decoding: body.dropLast(), as: UTF8.self)
    }
}

/// The other side does not speak the protocol.
public enum WireError: Error, Hashable, Sendable {
    /// A message longer than any that has a place here, or shorter than its own length.
    case lengthInvalid(Int)
}

/// Puts messages together from bytes that come in pieces, and never keeps more than one message's bound of them.
struct MessageReader: Hashable, Sendable {
    /// Of one message's body.
    let bytesMax: Int
    private var buffer: [UInt8] = []

    init(bytesMax: Int) { self.bytesMax = bytesMax }

    mutating func append(_ bytes: some Sequence<UInt8>) { buffer += bytes }

    /// The next whole message; nil: more bytes are needed.
    mutating func next() throws(WireError) -> WireMessage? {
        guard buffer.count >= 5 else { return nil }
        let length = Int(buffer[1...].number(as: UInt32.self))
        guard length >= 4, length - 4 <= bytesMax else { throw .lengthInvalid(length) }
        guard buffer.count > length else { return nil }
        let message = WireMessage(type: buffer[0], body: Array(buffer[5..<(length + 1)]))
        buffer.removeFirst(length + 1)
        return message
    }

    /// What was not read as a message.
    mutating func takeRest() -> [UInt8] {
        defer { buffer = [] }
        return buffer
    }
}
