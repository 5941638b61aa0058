/// A Postgres ErrorResponse of an edge's own: severity FATAL, and the connection ends after it.
///
/// Format: PostgreSQL documentation, "Message Formats" and "Error and Notice Message Fields".
public struct ErrorResponse: Hashable, Sendable {
    public var code: SQLState
    public var message: String
    public var hint: String?

    public init(_ code: SQLState, _ message: String, hint: String? = nil) {
        self.code = code
        self.message = message
        self.hint = hint
    }

    public var bytes: [UInt8] {
        var fields: [UInt8] = []
        func append(_ type: Character, _ text: String) {
            fields += type.utf8
            // A zero byte ends a field; one inside a text would cut the message in two.
            fields += text.utf8.lazy.filter { $0 != 0 }
            fields.append(0)
        }
        append("S", "FATAL")
        append("V", "FATAL")
        append("C", code.rawValue)
        append("M", message)
        if let hint { append("H", hint) }
        fields.append(0)
        return [UInt8(ascii: "E")] + UInt32(fields.count + 4).bigEndianBytes + fields
    }
}

/// The codes an edge uses (PostgreSQL documentation, appendix "PostgreSQL Error Codes").
public enum SQLState: String, Hashable, Sendable {
    case connectionFailure = "08006"
    case protocolViolation = "08P01"
    case featureNotSupported = "0A000"
    case invalidAuthorization = "28000"
    case tooManyConnections = "53300"
    case adminShutdown = "57P01"
    case cannotConnectNow = "57P03"
}

extension UInt32 {
    var bigEndianBytes: [UInt8] {
        [
            UInt8(truncatingIfNeeded: self >> 24), UInt8(truncatingIfNeeded: self >> 16),
            UInt8(truncatingIfNeeded: self >> 8), UInt8(truncatingIfNeeded: self),
        ]
    }

    init(bigEndianBytes bytes: some Collection<UInt8>) {
        self = bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }
}
