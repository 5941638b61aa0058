public import RoostModel
public import RoostPeers

/// The host's part of the mesh: its WireGuard interface, its routes to machines, the links of its own machines
/// and the rules on them. Every call is idempotent; all but ``MeshPeers/changePeers(_:)`` take the whole desired state.
public protocol Mesh: MeshPeers, MeshPaths {
    /// Brings the interface up with the host's own key (made here on first use) and address.
    func start() async throws(MeshError) -> MeshIdentity

    /// What the machine's runtime is handed of its network; there once it is attached.
    func attachment(of machine: MachineID) -> NetworkAttachment
    /// Makes the machine's network, with its link, address and rules.
    func attach(_ machine: MachineLink) async throws(MeshError)
    func detach(_ machine: MachineID) async throws(MeshError)
    /// The machines that have a network now, whatever the ledger says.
    func attached() async throws(MeshError) -> [MachineID]

    /// The closed service ports of this host's machines: connections to them from other hosts and edges are
    /// answered with a reset, connections from within the machine's own network are not touched.
    func setClosedPorts(_ closed: [ClosedPort]) async throws(MeshError)
}

/// Who is told of the other hosts.
public protocol MeshPeers: Sendable {
    /// The other hosts, and the machine addresses each of them has now. Replaces what was set before.
    func setPeers(_ peers: [MeshPeer]) async throws(MeshError)
    /// What is another than the last call said, of one or the other kind. After an error it is not known what of it was
    /// done: the whole is to be set again.
    func changePeers(_ changes: [PeerChange]) async throws(MeshError)
}

/// Who knows how far the other hosts are.
public protocol MeshPaths: Sendable {
    /// What the probes have measured, by peer.
    func measurements() async -> [PathMeasurement]
}

public struct MachineLink: Hashable, Sendable {
    public var machine: MachineID
    public var network: NetworkNumber
    public var address: IPv6Address

    public init(machine: MachineID, network: NetworkNumber, address: IPv6Address) {
        self.machine = machine
        self.network = network
        self.address = address
    }
}

public struct ClosedPort: Hashable, Sendable {
    public var address: IPv6Address
    public var port: UInt16

    public init(address: IPv6Address, port: UInt16) {
        self.address = address
        self.port = port
    }
}

/// The direct path to one peer as the probes see it.
public struct PathMeasurement: Hashable, Sendable {
    public var peer: HostName
    /// Smoothed; nil until a probe was answered.
    public var roundTripMicroseconds: Int64?
    public var jitterMicroseconds: Int64?
    /// A probe of the last seconds was answered.
    public var isAnswering: Bool
    /// Of the recent window.
    public var lossPercent: Double
    /// The same of probes as large as the mesh's largest packet; nil before the fate of one is known.
    public var fullSizeLossPercent: Double?
    public var probesSent: UInt64
    public var probesAnswered: UInt64

    public init(
        peer: HostName, roundTripMicroseconds: Int64?, jitterMicroseconds: Int64?, isAnswering: Bool,
        lossPercent: Double, fullSizeLossPercent: Double? = nil,
        probesSent: UInt64, probesAnswered: UInt64
    ) {
        self.peer = peer
        self.roundTripMicroseconds = roundTripMicroseconds
        self.jitterMicroseconds = jitterMicroseconds
        self.isAnswering = isAnswering
        self.lossPercent = lossPercent
        self.fullSizeLossPercent = fullSizeLossPercent
        self.probesSent = probesSent
        self.probesAnswered = probesAnswered
    }
}

public struct MeshError: Error, Sendable, CustomStringConvertible {
    public let operation: String
    public let subject: String
    public let cause: String

    public init(operation: String, subject: String, cause: String) {
        self.operation = operation
        self.subject = subject
        self.cause = cause
    }

    public var description: String { "mesh: \(operation) \(subject): \(cause)" }
}
