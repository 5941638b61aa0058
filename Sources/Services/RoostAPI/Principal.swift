public import RoostModel

/// Who calls. A caller of one kind never reaches the routes of another (``RouteGroup/callers``).
public enum Principal: Hashable, Sendable {
    /// Who administers the planet: root on a host, or whoever has the planet's token. `origin` is where the call comes
    /// from, for bounds and for the log.
    case user(origin: String)
    /// A program that collects what hosts count: it may read that and nothing else.
    case scraper(origin: String)
    /// Another host of the planet, for itself.
    case peer(HostName)
    /// A machine, through the socket that only it has.
    case member(MachineID)

    /// What a caller is, whoever it is.
    public enum Kind: Hashable, Sendable {
        case user, scraper, peer, member
    }

    /// What this caller is.
    public var kind: Kind {
        switch self {
        case .user: .user
        case .scraper: .scraper
        case .peer: .peer
        case .member: .member
        }
    }
}

extension Principal: CustomStringConvertible {
    public var description: String {
        switch self {
        case .user(let origin): "user at \(origin)"
        case .scraper(let origin): "scraper at \(origin)"
        case .peer(let host): "host \(host)"
        case .member(let machine): "machine \(machine)"
        }
    }
}
