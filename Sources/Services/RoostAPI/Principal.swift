public import RoostModel

/// Who calls. A caller of one kind never reaches the routes of another (``RouteGroup/callers``).
public enum Principal: Hashable, Sendable {
    /// Who administers the planet: root on a host, or whoever has the planet's token. `origin` is where the call comes
    /// from, for bounds and for the log.
    case user(origin: String)
    /// Another host of the planet, for itself.
    case peer(HostName)
    /// A machine, through the socket that only it has.
    case member(MachineID)

    /// What a caller is, whoever it is.
    public enum Kind: Hashable, Sendable {
        case user, peer, member
    }

    /// What this caller is.
    public var kind: Kind {
        switch self {
        case .user: .user
        case .peer: .peer
        case .member: .member
        }
    }
}

extension Principal: CustomStringConvertible {
    public var description: String {
        switch self {
        case .user(let origin): "user at \(origin)"
        case .peer(let host): "host \(host)"
        case .member(let machine): "machine \(machine)"
        }
    }
}
