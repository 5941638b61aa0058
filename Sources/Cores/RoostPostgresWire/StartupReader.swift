/// Reads what a Postgres client says first, byte by byte if it must be, and never more than a bounded number of them.
///
/// Facts: PostgreSQL documentation, "Frontend/Backend Protocol" (Start-up, Cancel Request, SSL and GSSAPI session
/// encryption); the bound on a startup packet is Postgres's own `MAX_STARTUP_PACKET_LENGTH`.
public struct StartupReader: Sendable {
    /// What a client asks for.
    public enum Request: Hashable, Sendable {
        /// A session. The whole message, as the backend is to get it.
        case startup(StartupMessage)
        /// To cancel a statement of another session. The connection ends after it.
        case cancel(CancelRequest)
        /// TLS, if the answer is 'S'; another request in clear follows an 'N'.
        case tls
        /// GSSAPI encryption; the answer is 'N', then another request follows.
        case gssEncryption
        /// TLS without asking (PostgreSQL 17): a TLS ClientHello. ``remainder`` has its first bytes.
        case directTLS
    }

    /// Bytes after the length word; Postgres accepts no more either.
    public static let packetBytesMax = 10_000
    private static let tlsHandshakeRecord: UInt8 = 0x16
    private static let cancelCode: UInt32 = 80_877_102
    private static let tlsCode: UInt32 = 80_877_103
    private static let gssCode: UInt32 = 80_877_104
    private static let protocolMajor: UInt32 = 3

    private var buffer: [UInt8] = []
    private var isEncrypted = false
    private var mayAskForTLS = true
    private var mayAskForGSS = true

    public init() {}

    /// Bytes that came after the last request.
    public var remainder: [UInt8] { buffer }

    /// TLS is on: what comes now was decrypted. It starts with an empty buffer, whatever came in clear is gone.
    public mutating func beganTLS() {
        buffer = []
        isEncrypted = true
        mayAskForTLS = false
        mayAskForGSS = false
    }

    /// Takes the next bytes, of any number.
    ///
    /// - Returns: the request they complete, or nil: more bytes are needed. After a request its answer has to be given
    ///   before more bytes are read.
    public mutating func read(_ bytes: some Sequence<UInt8>) throws(StartupError) -> Request? {
        buffer += bytes
        guard let first = buffer.first else { return nil }
        if first == Self.tlsHandshakeRecord, mayAskForTLS, mayAskForGSS { return .directTLS }
        // The length of anything a client may say is below 2^24.
        guard first == 0 else { throw .notPostgres }
        guard buffer.count >= 4 else { return nil }
        let length = Int(UInt32(bigEndianBytes: buffer))
        guard length >= 8 else { throw .lengthInvalid(length) }
        guard length <= Self.packetBytesMax + 4 else { throw .lengthInvalid(length) }
        guard buffer.count >= length else { return nil }
        let packet = Array(buffer[..<length])
        buffer.removeFirst(length)
        return try request(in: packet)
    }

    private mutating func request(in packet: [UInt8]) throws(StartupError) -> Request {
        let code = UInt32(bigEndianBytes: packet[4...])
        switch code {
        case Self.cancelCode:
            guard CancelRequest.lengths.contains(packet.count) else { throw .lengthInvalid(packet.count) }
            return .cancel(CancelRequest(bytes: packet))
        case Self.tlsCode:
            guard mayAskForTLS else { throw .encryptionAskedTwice }
            mayAskForTLS = false
            try refuseEarlyBytes(packet)
            return .tls
        case Self.gssCode:
            guard mayAskForGSS else { throw .encryptionAskedTwice }
            mayAskForGSS = false
            try refuseEarlyBytes(packet)
            return .gssEncryption
        default:
            guard code >> 16 == Self.protocolMajor else {
                throw .versionUnsupported(major: Int(code >> 16), minor: Int(code & 0xffff))
            }
            guard let message = StartupMessage(minorVersion: Int(code & 0xffff), packet) else { throw .layoutInvalid }
            return .startup(message)
        }
    }

    /// What was sent before the encryption was agreed may have been put there by somebody between (CVE-2021-23222).
    private func refuseEarlyBytes(_ packet: [UInt8]) throws(StartupError) {
        guard packet.count == 8 else { throw .lengthInvalid(packet.count) }
        guard buffer.isEmpty else { throw .dataBeforeEncryption }
    }
}

/// A CancelRequest as it came: the process number and a key of 4 bytes (protocol 3.0) to 256 (3.2).
public struct CancelRequest: Hashable, Sendable {
    public var bytes: [UInt8]
    static let lengths = 16...(12 + 256)
}

/// Why a client's first bytes cannot be served.
public enum StartupError: Error, Hashable, Sendable {
    case notPostgres
    case lengthInvalid(Int)
    case layoutInvalid
    case versionUnsupported(major: Int, minor: Int)
    case encryptionAskedTwice
    case dataBeforeEncryption

    /// What the client is told.
    public var response: ErrorResponse {
        switch self {
        case .notPostgres:
            ErrorResponse(
                .protocolViolation, "this is not the PostgreSQL protocol",
                hint: "This address serves PostgreSQL clients only, for example psql.")
        case .lengthInvalid(let length):
            ErrorResponse(.protocolViolation, "invalid length of startup packet: \(length) bytes")
        case .layoutInvalid:
            ErrorResponse(
                .protocolViolation, "invalid startup packet layout: expected terminator as last byte")
        case .versionUnsupported(let major, let minor):
            ErrorResponse(
                .featureNotSupported, "unsupported frontend protocol \(major).\(minor): this edge supports 3.x")
        case .encryptionAskedTwice:
            ErrorResponse(.protocolViolation, "encryption was requested twice on one connection")
        case .dataBeforeEncryption:
            ErrorResponse(
                .protocolViolation, "received unencrypted data after a request for encryption",
                hint: "This could be an attempt at a man-in-the-middle attack, or a bug in the client.")
        }
    }
}
