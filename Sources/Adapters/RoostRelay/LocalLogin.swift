import CLibPQ
import Glibc
import RoostModel
import RoostRelayWire

/// A login at this member's own Postgres as the one that members follow as. libpq does it, with the password; what comes
/// after it passes the relay as bytes.
final class LocalLogin {
    enum Outcome {
        case more
        case loggedIn
        case failed(SenderSession.Refusal, String)
    }

    private var connection: OpaquePointer?
    /// libpq's socket, which is closed with it; nil: there is none yet.
    private(set) var link: Link?

    init(_ stream: String, at place: RelayPlace, password: String) {
        let parameters = [
            ("host", place.postgresFolder), ("port", "\(place.postgresPort)"), ("user", PostgresNames.replicator),
            ("password", password), ("dbname", "replication"), ("replication", "true"),
            ("application_name", stream), ("sslmode", "disable"), ("gssencmode", "disable"),
        ]
        let keys = parameters.map { strdup($0.0) } + [nil]
        let values = parameters.map { strdup($0.1) } + [nil]
        defer { (keys + values).forEach { free($0) } }
        connection = PQconnectStartParams(keys.map { UnsafePointer($0) }, values.map { UnsafePointer($0) }, 0)
        // With the SQLSTATE, which libpq says of a login in no other way.
        if let connection { PQsetErrorVerbosity(connection, PQERRORS_VERBOSE) }
        watch(PGRES_POLLING_WRITING)
    }

    deinit { close() }

    /// Its descriptor's number may be another's right after.
    func close() {
        link?.close()
        PQfinish(connection)
        connection = nil
    }

    /// It has come to its end within its beginning: nobody listens. No descriptor will ever say so.
    var hasFailed: Bool { link == nil }

    /// Goes on where it is ready to.
    func advance() -> Outcome {
        guard let connection, PQstatus(connection) != CONNECTION_BAD else { return failure }
        guard let link else { return failure }
        guard link.isReadable || link.isWritable else { return .more }
        let step = PQconnectPoll(connection)
        switch step {
        case PGRES_POLLING_OK:
            // Nothing waits in libpq: Postgres says nothing more until it is asked.
            guard PQsetnonblocking(connection, 1) == 0 else { return failure }
            watch(PGRES_POLLING_READING)
            return .loggedIn
        case PGRES_POLLING_READING, PGRES_POLLING_WRITING:
            watch(step)
            return .more
        default: return failure
        }
    }

    private func watch(_ step: PostgresPollingStatusType) {
        guard let connection, PQsocket(connection) >= 0 else { return link = nil }
        if link?.file != PQsocket(connection) { link = Link(PQsocket(connection), isOwn: false) }
        link?.ready = 0
        link?.isReading = step == PGRES_POLLING_READING
        link?.isConnecting = step == PGRES_POLLING_WRITING
    }

    private var failure: Outcome {
        let words = connection.flatMap { PQerrorMessage($0) }.map { String(cString: $0) } ?? "no memory"
        let lines = words.split(whereSeparator: \.isNewline).filter { !$0.hasPrefix("LOCATION:") }
        return .failed(Self.refusal(in: words), lines.joined(separator: "; "))
    }

    /// - Parameter words: of libpq: `FATAL:  28P01: password …`, and for a socket the system's own words.
    static func refusal(in words: String) -> SenderSession.Refusal {
        let bytes = Array(words.utf8)
        // Two spaces, five of 0-9 and A-Z, a colon.
        let place = bytes.indices.first { at in
            at + 8 <= bytes.count && bytes[at] == UInt8(ascii: " ") && bytes[at + 1] == UInt8(ascii: " ")
                && bytes[(at + 2)..<(at + 7)].allSatisfy { Self.ofCode.contains(Character(UnicodeScalar($0))) }
                && bytes[at + 7] == UInt8(ascii: ":")
        }
        if let place { return .said(String(decoding: bytes[(place + 2)..<(place + 7)], as: UTF8.self)) }
        let isAbsent = [ENOENT, ECONNREFUSED].contains { words.contains(String(cString: strerror($0))) }
        return isAbsent ? .absent : .other
    }

    private static let ofCode = Set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
}
