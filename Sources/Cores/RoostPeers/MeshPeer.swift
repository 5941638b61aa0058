public import RoostModel

/// Another host, and the addresses of the machines that it has.
public struct MeshPeer: Hashable, Sendable {
    public var host: HostName
    public var identity: MeshIdentity
    public var machines: [IPv6Address]

    public init(host: HostName, identity: MeshIdentity, machines: [IPv6Address]) {
        self.host = host
        self.identity = identity
        self.machines = machines
    }
}

/// One thing that is another than before.
public enum PeerChange: Hashable, Sendable {
    /// How a host is reached; nil: it is no peer any more. What is said of its machines' addresses stands, and waits.
    case host(HostName, MeshIdentity?)
    /// A machine's address has come to the host, or has left it.
    case address(IPv6Address, on: HostName, isThere: Bool)
}

/// What makes the device what it should be, from what it was before.
public enum PeerStep: Hashable, Sendable {
    case remove(publicKey: String)
    /// - Parameters:
    ///   - endpoint: nil: as it is.
    ///   - addresses: all that lead to the peer, its own first; nil: as they are.
    case set(publicKey: String, isNew: Bool, endpoint: String?, addresses: [IPv6Address]?)
}

/// What follows from some changes.
public struct PeerSteps: Hashable, Sendable {
    /// Those that remove a peer come first, since another host may have its key now.
    public var steps: [PeerStep] = []
    /// Who the peers are, or how one of them is reached.
    public var areHostsChanged = false

    public init() {}
}
