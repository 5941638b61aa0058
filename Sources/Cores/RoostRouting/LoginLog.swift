public import RoostModel

/// Which logins are written down. A client that connects for every query must not fill the log, and must not hide another
/// client's one login either: each client has lines of its own at each service.
public struct LoginLog: Sendable {
    private struct Way: Hashable {
        var client: IPv4Address
        var service: IPv4Address
    }

    private var lines: RateMeter<Way>
    /// Logins to a service that were left out since its last line. Services are few: an edge's own addresses.
    private var unlogged: [IPv4Address: Int] = [:]

    /// - Parameter limit: of lines, for each client at each service.
    public init(limit: RateLimit) { lines = RateMeter(limit: limit) }

    /// A client has logged in.
    ///
    /// - Returns: how many logins to the service were left out since its last line, for this one's line; nil: it gets none.
    public mutating func take(_ client: IPv4Address, at service: IPv4Address, now: Moment) -> Int? {
        guard lines.take(Way(client: client, service: service), now: now) else {
            unlogged[service, default: 0] += 1
            return nil
        }
        return unlogged.removeValue(forKey: service) ?? 0
    }
}
