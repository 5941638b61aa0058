public import RoostModel
public import RoostPeers

/// What a host's mesh is made of. Two hosts on one computer (a lab, a test) need different network namespaces and,
/// since wireguard-go keeps its control sockets in /run/wireguard, either different interface names or different
/// mount namespaces.
public struct MeshConfiguration: Hashable, Sendable {
    public var host: HostName
    /// The WireGuard interface, at most 15 characters.
    public var interface: String
    public var listenPort: UInt16
    /// Where other hosts reach this one's WireGuard: its outside address and port.
    public var endpoint: UnderlayEndpoint
    /// UDP port on the outside address that sends and answers probes.
    public var probePort: UInt16
    /// Of the interface and of every machine's link. 1420 leaves room for WireGuard over IPv6 (80 bytes) in 1500.
    public var mtu: Int
    /// Holds `mesh.key`.
    public var stateDirectory: String
    /// Machines' network namespaces are bound in its folder `netns`.
    public var runDirectory: String
    /// Known before the store is: through them the store is reached. Each stays until ``WireGuardMesh/setPeers(_:)``
    /// names a peer of the same host.
    public var seeds: [MeshPeer]
    /// The addresses that this host announces as an edge; nil: it is none.
    public var anycast: AnycastAddresses?
    /// The network namespace the mesh lives in, as a path; nil is that of this process. Every command runs there
    /// (by `nsenter`, which leaves the mount namespace as it is), and so do the sockets to the kernel and of the probes.
    public var networkNamespace: String?

    public static let interfaceLengthMax = 15

    public init(
        host: HostName, interface: String = "roost0", listenPort: UInt16 = 51820, endpoint: UnderlayEndpoint,
        probePort: UInt16 = 51821, mtu: Int = 1420, stateDirectory: String, runDirectory: String,
        seeds: [MeshPeer] = [], anycast: AnycastAddresses? = nil, networkNamespace: String? = nil
    ) {
        self.host = host
        self.interface = interface
        self.listenPort = listenPort
        self.endpoint = endpoint
        self.probePort = probePort
        self.mtu = mtu
        self.stateDirectory = stateDirectory
        self.runDirectory = runDirectory
        self.seeds = seeds
        self.anycast = anycast
        self.networkNamespace = networkNamespace
    }

    var address: IPv6Address { MeshAddress.host(host) }
    var namespaceFolder: String { runDirectory + "/netns" }

    func namespacePath(of machine: MachineID) -> String { namespaceFolder + "/" + machine.text }

    /// Only what names a link may reach a command line or a rule.
    func validate() throws(MeshError) {
        let allowed = interface.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
        }
        guard allowed, (1...Self.interfaceLengthMax).contains(interface.utf8.count) else {
            throw MeshError(
                operation: "use interface", subject: interface,
                cause: "use 1 to 15 lower-case letters, digits, '-' or '_', for example roost0")
        }
        guard (1280...1420).contains(mtu) else {
            throw MeshError(
                operation: "use mtu", subject: "\(mtu)",
                cause: "IPv6 needs 1280, and more than 1420 does not fit with WireGuard into 1500")
        }
        if let anycast, anycast.prefixes.isEmpty || anycast.ports.isEmpty {
            throw MeshError(operation: "serve", subject: "anycast addresses", cause: "give prefixes and ports")
        }
    }
}

/// The addresses of an edge that the whole world reaches, and what is served there. All else that this host listens on
/// is not.
public struct AnycastAddresses: Hashable, Sendable {
    public var prefixes: [IPv4Prefix]
    /// TCP.
    public var ports: Set<UInt16>

    public init(prefixes: [IPv4Prefix], ports: Set<UInt16>) {
        self.prefixes = prefixes
        self.ports = ports
    }
}
