import RoostModel
import RoostRouting

/// What an edge says in its own name.
extension ErrorResponse {
    /// The name PostgreSQL 17 clients give in the handshake.
    public static let protocolName = "postgresql"

    static func nothing(at address: IPv4Address) -> Self {
        ErrorResponse(
            .cannotConnectNow, "no database cluster is served at \(address)",
            hint: "See 'roost ips list' for the addresses in use.")
    }

    static func encryptionRequired(_ app: AppName) -> Self {
        ErrorResponse(
            .invalidAuthorization, "cluster \(app) accepts encrypted connections only",
            hint: "Connect with sslmode=require or stricter.")
    }

    static func notAllowed(_ client: IPv4Address, _ app: AppName) -> Self {
        ErrorResponse(
            .invalidAuthorization, "cluster \(app) does not take logins from \(client)",
            hint: "Its operator says from where: see 'roost pg allow \(app)'.")
    }

    static func noReplication(_ app: AppName) -> Self {
        ErrorResponse(
            .featureNotSupported, "cluster \(app) takes no connections in the replication protocol from clients",
            hint: "Leave the parameter 'replication' out; pg_dump copies a database without it.")
    }

    /// In Postgres's words (`ProcessStartupPacket`).
    static func noUser() -> Self {
        ErrorResponse(.invalidAuthorization, "no PostgreSQL user name specified in startup packet")
    }

    static func ownRole(_ role: String, _ app: AppName) -> Self {
        ErrorResponse(
            .invalidAuthorization, "cluster \(app) does not let \"\(role)\" in: the role is its members' own",
            hint: "Log in as another role. The superuser's statements go through 'roost pg superuser \(app)'.")
    }

    static func certificateUnusable(_ app: AppName) -> Self {
        ErrorResponse(
            .cannotConnectNow,
            "the certificate of cluster \(app) cannot be used at this edge, and nobody is served without encryption",
            hint: "The log of the edge says what is wrong with it.")
    }

    static func queueCrowded(_ app: AppName) -> Self {
        ErrorResponse(
            .tooManyConnections, "too many connections already wait for a primary of cluster \(app)",
            hint: "Connect again in a few seconds.")
    }

    static func sourceCrowded(_ app: AppName) -> Self {
        ErrorResponse(
            .tooManyConnections,
            "too many connections from your network (a /\(SourcePrefix.length)) already wait for cluster \(app)"
                + " at this edge",
            hint: "Connect again in a few seconds.")
    }

    static func loginsCrowded(_ app: AppName) -> Self {
        ErrorResponse(
            .tooManyConnections, "too many clients are logging in to cluster \(app) at this edge",
            hint: "Connect again in a few seconds.")
    }

    static func waitedTooLong(_ app: AppName, _ time: Duration, _ shortage: SessionCore.Shortage?) -> Self {
        guard let shortage else {
            return ErrorResponse(
                .cannotConnectNow,
                "no member of cluster \(app) accepted this connection within \(time.components.seconds) s",
                hint: "What keeps the cluster from being open says 'roost pg status \(app)'.")
        }
        return ErrorResponse(
            .tooManyConnections,
            "this edge is out of \(shortage.rawValue) and could not connect to cluster \(app) within"
                + " \(time.components.seconds) s",
            hint: "The cluster may be well: connect again, or through another edge.")
    }

    static func loginTooSlow(_ time: Duration) -> Self {
        ErrorResponse(
            .cannotConnectNow, "the login was not over within \(time.components.seconds) s",
            hint: "Connect again, and answer the member's questions at once.")
    }

    static func memberLost(_ reason: BackendLogin.Unfit) -> Self {
        ErrorResponse(
            .cannotConnectNow, "the connection to a member of the cluster ended: \(reason.rawValue)",
            hint: "Connect again: the next attempt waits for the new primary.")
    }
}

extension Admission.Refusal {
    /// What the client is told. `app`: the cluster it came for, where that is known.
    func response(for app: AppName?) -> ErrorResponse {
        switch self {
        case .edgeFull:
            ErrorResponse(
                .tooManyConnections, "too many connections at this edge", hint: "Connect again in a few seconds.")
        case .sourceFull:
            ErrorResponse(
                .tooManyConnections,
                "too many connections at this edge from your network (a /\(SourcePrefix.length))",
                hint: "Close some, or connect again in a few seconds.")
        case .sourceHurried:
            ErrorResponse(
                .tooManyConnections,
                "too many new connections at this edge from your network (a /\(SourcePrefix.length)) in a short time",
                hint: "Connect again in a few seconds, and keep connections instead of making one for each query.")
        case .serviceFull:
            ErrorResponse(
                .tooManyConnections,
                "too many connections to \(app.map { "cluster \($0)" } ?? "this cluster") at this edge",
                hint: "Connect again in a few seconds.")
        }
    }
}
