public import RoostAnycast
public import RoostModel

/// What a host is told about itself. Everything else it finds out.
public struct HostConfiguration: Sendable {
    public var host: HostName
    public var region: RegionCode
    public var stateFolder: String
    public var runFolder: String
    public var capacity: HostCapacity
    public var cgroupParent: String
    public var imageFolder: String
    /// Folders of this host that may be images; none unless its operator names them.
    public var allowedImageFolders: [String]
    /// What owned machines of each kind run unless they name an image of their own.
    public var ownerImages: [OwnerKind: String]
    public var disk: DiskSettings
    public var store: StoreChoice
    public var mesh: MeshSettings
    public var api: APISettings
    public var anycastPrefixes: [IPv4Prefix]
    /// Nil on a host that is no edge.
    public var edge: EdgeSettings?

    /// What is left free on the host's disk, and what goes so that it is.
    public struct DiskSettings: Hashable, Sendable {
        /// For the ledger, etcd and logs.
        public var reserve: ByteCount
        /// How long an image stays that nothing uses.
        public var imageTime: Duration
        /// What a machine may have written outside of volumes.
        public var rootMax: ByteCount

        public init(
            reserve: ByteCount = .gibibytes(2), imageTime: Duration = .seconds(24 * 3600),
            rootMax: ByteCount = .gibibytes(8)
        ) {
            self.reserve = reserve
            self.imageTime = imageTime
            self.rootMax = rootMax
        }

        /// With less free the host makes room, so that the reserve is not needed.
        public var freeWanted: ByteCount { reserve + reserve }

        /// With less free images go that nothing uses. More than a new image has to leave free, or one would be refused
        /// while there is still something to clear away.
        public var freeBesideImages: ByteCount { freeWanted + reserve }
    }

    public enum StoreChoice: Hashable, Sendable {
        case sqlite
        case etcd(endpoints: [String], isMember: Bool)

        public var isMember: Bool {
            switch self {
            case .sqlite: false
            case .etcd(_, let isMember): isMember
            }
        }
    }

    public struct MeshSettings: Hashable, Sendable {
        public var interface: String
        public var listenPort: UInt16
        /// This host on the outside, `192.0.2.1:51820`.
        public var endpoint: String
        public var probePort: UInt16
        public var mtu: Int
        public var seeds: [Seed]

        public init(
            interface: String, listenPort: UInt16, endpoint: String, probePort: UInt16, mtu: Int, seeds: [Seed]
        ) {
            self.interface = interface
            self.listenPort = listenPort
            self.endpoint = endpoint
            self.probePort = probePort
            self.mtu = mtu
            self.seeds = seeds
        }
    }

    /// A host that must be reachable before the store can be read.
    public struct Seed: Hashable, Sendable {
        public var host: HostName
        public var publicKey: String
        public var endpoint: String
        public var probePort: UInt16

        public init(host: HostName, publicKey: String, endpoint: String, probePort: UInt16) {
            self.host = host
            self.publicKey = publicKey
            self.endpoint = endpoint
            self.probePort = probePort
        }

        public var identity: MeshIdentity {
            MeshIdentity(
                publicKey: publicKey, endpoint: endpoint, probePort: probePort, address: MeshAddress.host(host))
        }
    }

    public struct APISettings: Hashable, Sendable {
        public var tcpPort: UInt16
        public var tokenFile: String

        public init(tcpPort: UInt16, tokenFile: String) {
            self.tcpPort = tcpPort
            self.tokenFile = tokenFile
        }
    }

    public struct EdgeSettings: Hashable, Sendable {
        public var localAS: UInt32
        public var routerID: IPv4Address
        public var uplinks: [EdgeUplink]
        /// The host takes its own routes from its uplinks' BGP too, instead of static ones.
        public var importsRoutes: Bool

        public init(localAS: UInt32, routerID: IPv4Address, uplinks: [EdgeUplink], importsRoutes: Bool) {
            self.localAS = localAS
            self.routerID = routerID
            self.uplinks = uplinks
            self.importsRoutes = importsRoutes
        }
    }

    public init(
        host: HostName, region: RegionCode, stateFolder: String, runFolder: String, capacity: HostCapacity,
        cgroupParent: String, imageFolder: String, allowedImageFolders: [String] = [],
        ownerImages: [OwnerKind: String], disk: DiskSettings = DiskSettings(), store: StoreChoice, mesh: MeshSettings,
        api: APISettings,
        anycastPrefixes: [IPv4Prefix], edge: EdgeSettings?
    ) {
        self.host = host
        self.region = region
        self.stateFolder = stateFolder
        self.runFolder = runFolder
        self.capacity = capacity
        self.cgroupParent = cgroupParent
        self.imageFolder = imageFolder
        self.allowedImageFolders = allowedImageFolders
        self.ownerImages = ownerImages
        self.disk = disk
        self.store = store
        self.mesh = mesh
        self.api = api
        self.anycastPrefixes = anycastPrefixes
        self.edge = edge
    }

    /// The socket of the host's own API, for root.
    public var apiSocket: String { runFolder + "/api.sock" }
    /// What a machine sees as `/.roost`.
    public func machineFolder(_ machine: MachineID) -> String { runFolder + "/machines/" + machine.text }
}
