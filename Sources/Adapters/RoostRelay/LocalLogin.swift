import CLibPQ
import Glibc
import RoostModel

/// A login at this member's own Postgres as the one that members follow as. libpq does it, with the password; what comes
/// after it passes the relay as bytes.
final class LocalLogin {
    enum Outcome {
        case more
        case loggedIn
        case failed(String)
    }

    private let connection: OpaquePointer?
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
        watch(PGRES_POLLING_WRITING)
    }

    deinit { PQfinish(connection) }

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
        return .failed(words.split(whereSeparator: \.isNewline).joined(separator: "; "))
    }
}
