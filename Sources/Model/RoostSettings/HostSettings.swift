public import RoostModel

/// What a host is told about itself, as its file has it. Everything else it finds out.
public struct HostSettings: Hashable, Sendable, Codable {
    /// What machines may use of the host together.
    public struct Capacity: Hashable, Sendable, Codable {
        /// Processors.
        public var cpus: Int
        /// In MiB.
        public var memoryMebibytes: Int
        /// In GiB.
        public var diskGibibytes: Int

        /// As the file would have it.
        public init(cpus: Int, memoryMebibytes: Int, diskGibibytes: Int) {
            self.cpus = cpus
            self.memoryMebibytes = memoryMebibytes
            self.diskGibibytes = diskGibibytes
        }

        enum CodingKeys: String, CodingKey {
            case cpus
            case memoryMebibytes = "memory_mb"
            case diskGibibytes = "disk_gb"
        }
    }

    /// Where images are, and which of the host's own folders may be some.
    public struct Images: Hashable, Sendable, Codable {
        /// Where images are unpacked.
        public var directory: String
        /// What members of clusters run unless the cluster names an image.
        public var postgres: String
        /// Absolute paths; none unless the operator names them.
        public var allowedDirectories: [String]
        /// How long an image stays that nothing uses.
        public var keepHours: Int

        /// As the file would have it.
        public init(
            directory: String = Defaults.imageFolder, postgres: String = Defaults.postgresImage,
            allowedDirectories: [String] = [], keepHours: Int = Defaults.imageHours
        ) {
            self.directory = directory
            self.postgres = postgres
            self.allowedDirectories = allowedDirectories
            self.keepHours = keepHours
        }

        enum CodingKeys: String, CodingKey {
            case directory, postgres
            case allowedDirectories = "allowed_directories"
            case keepHours = "keep_hours"
        }
    }

    /// What is left free of the host's disk, and what machines may take of it.
    public struct Disk: Hashable, Sendable, Codable {
        /// In GiB: for the ledger, etcd and logs.
        public var reserveGibibytes: Int
        /// In GiB: what a machine may have written outside of volumes.
        public var rootGibibytes: Int

        /// As the file would have it.
        public init(reserveGibibytes: Int = Defaults.diskReserve, rootGibibytes: Int = Defaults.diskRoot) {
            self.reserveGibibytes = reserveGibibytes
            self.rootGibibytes = rootGibibytes
        }

        enum CodingKeys: String, CodingKey {
            case reserveGibibytes = "reserve_gb"
            case rootGibibytes = "root_gb"
        }
    }

    /// Where the store is.
    public struct Store: Hashable, Sendable, Codable {
        /// What keeps the store.
        public enum Backend: String, Hashable, Sendable, Codable, CaseIterable {
            /// `sqlite` for a single host, `etcd` for several.
            case sqlite, etcd
        }

        /// What keeps the store.
        public var backend: Backend
        /// All members of etcd, the nearest first; empty with SQLite.
        public var endpoints: [String]
        /// A member of etcd runs on this host.
        public var member: Bool

        /// As the file would have it.
        public init(backend: Backend = .sqlite, endpoints: [String] = [], member: Bool = false) {
            self.backend = backend
            self.endpoints = endpoints
            self.member = member
        }
    }

    /// The host's part of the mesh.
    public struct Mesh: Hashable, Sendable, Codable {
        /// The WireGuard interface's name.
        public var interface: String
        /// WireGuard's UDP port.
        public var listenPort: UInt16
        /// On the outside: an address and a UDP port.
        public var endpoint: String
        /// The UDP port of probes.
        public var probePort: UInt16
        /// 1280 to 1420 bytes.
        public var mtu: Int
        /// Etcd's members at least.
        public var seeds: [Seed]

        /// As the file would have it.
        public init(
            interface: String = Defaults.meshInterface, listenPort: UInt16 = Defaults.meshPort, endpoint: String,
            probePort: UInt16 = Defaults.probePort, mtu: Int = Defaults.mtu, seeds: [Seed] = []
        ) {
            self.interface = interface
            self.listenPort = listenPort
            self.endpoint = endpoint
            self.probePort = probePort
            self.mtu = mtu
            self.seeds = seeds
        }

        enum CodingKeys: String, CodingKey {
            case interface, endpoint, mtu, seeds
            case listenPort = "listen_port"
            case probePort = "probe_port"
        }
    }

    /// A host that must be reachable before the store can be read.
    public struct Seed: Hashable, Sendable, Codable {
        /// Its name, unique on the planet.
        public var host: HostName
        /// 44 characters of base64.
        public var publicKey: String
        /// On the outside: an address and a UDP port.
        public var endpoint: String
        /// The UDP port of probes.
        public var probePort: UInt16

        /// As the file would have it.
        public init(host: HostName, publicKey: String, endpoint: String, probePort: UInt16 = Defaults.probePort) {
            self.host = host
            self.publicKey = publicKey
            self.endpoint = endpoint
            self.probePort = probePort
        }

        enum CodingKeys: String, CodingKey {
            case host, endpoint
            case publicKey = "public_key"
            case probePort = "probe_port"
        }
    }

    /// The API on the mesh.
    public struct API: Hashable, Sendable, Codable {
        /// On the mesh address, the same on all hosts.
        public var tcpPort: UInt16
        /// An absolute path; holds the planet's token.
        public var tokenFile: String

        /// As the file would have it.
        public init(tcpPort: UInt16 = Defaults.apiPort, tokenFile: String = Defaults.tokenFile) {
            self.tcpPort = tcpPort
            self.tokenFile = tokenFile
        }

        enum CodingKeys: String, CodingKey {
            case tcpPort = "tcp_port"
            case tokenFile = "token_file"
        }
    }

    /// What all edges of the planet announce.
    public struct Anycast: Hashable, Sendable, Codable {
        /// Such as 203.0.113.0/24; the same on all hosts.
        public var prefixes: [String]

        /// As the file would have it.
        public init(prefixes: [String] = []) { self.prefixes = prefixes }
    }

    /// What an edge is told beside.
    public struct Edge: Hashable, Sendable, Codable {
        /// The platform's AS number.
        public var localAS: UInt32
        /// The edge's BGP identifier.
        public var routerID: IPv4Address
        /// One at least.
        public var uplinks: [Uplink]
        /// The host takes its own routes from what its uplinks announce.
        public var importsRoutes: Bool

        /// As the file would have it.
        public init(localAS: UInt32, routerID: IPv4Address, uplinks: [Uplink], importsRoutes: Bool = false) {
            self.localAS = localAS
            self.routerID = routerID
            self.uplinks = uplinks
            self.importsRoutes = importsRoutes
        }

        enum CodingKeys: String, CodingKey {
            case uplinks
            case localAS = "local_as"
            case routerID = "router_id"
            case importsRoutes = "imports_routes"
        }
    }

    /// A provider's end of a link.
    public struct Uplink: Hashable, Sendable, Codable {
        /// The provider's name.
        public var name: String
        /// The provider's address on the link.
        public var neighbor: IPv4Address
        /// The provider's AS number.
        public var neighborAS: UInt32
        /// This host's address on the link.
        public var local: IPv4Address
        /// Signs the session (RFC 2385); nil: it is not signed.
        public var password: String?
        /// Packets must come from the link itself (RFC 5082).
        public var checksTTL: Bool

        /// As the file would have it.
        public init(
            name: String, neighbor: IPv4Address, neighborAS: UInt32, local: IPv4Address, password: String? = nil,
            checksTTL: Bool = false
        ) {
            self.name = name
            self.neighbor = neighbor
            self.neighborAS = neighborAS
            self.local = local
            self.password = password
            self.checksTTL = checksTTL
        }

        enum CodingKeys: String, CodingKey {
            case name, neighbor, local, password
            case neighborAS = "neighbor_as"
            case checksTTL = "ttl_security"
        }
    }

    /// What is written to standard error.
    public struct Log: Hashable, Sendable, Codable {
        /// The lowest level that is written.
        public var level: String
        /// How lines look.
        public var format: LogFormat

        /// As the file would have it.
        public init(level: String = Defaults.logLevel, format: LogFormat = .text) {
            self.level = level
            self.format = format
        }
    }

    /// Its name, unique on the planet.
    public var host: HostName
    /// The region it is in.
    public var region: RegionCode
    /// An absolute path: what must survive.
    public var stateFolder: String
    /// An absolute path: what a boot may clear.
    public var runFolder: String
    /// What machines and volumes may use together.
    public var capacity: Capacity
    /// The control group below which machines run.
    public var cgroupParent: String
    /// Images.
    public var images: Images
    /// What is left free of the disk, and what machines may take of it.
    public var disk: Disk
    /// The store.
    public var store: Store
    /// The mesh.
    public var mesh: Mesh
    /// The API.
    public var api: API
    /// What edges announce.
    public var anycast: Anycast
    /// Nil on a host that is no edge.
    public var edge: Edge?
    /// What is written to standard error.
    public var log: Log

    /// As the file would have it.
    public init(
        host: HostName, region: RegionCode, stateFolder: String = Defaults.stateFolder,
        runFolder: String = Defaults.runFolder, capacity: Capacity, cgroupParent: String = Defaults.cgroupParent,
        images: Images = Images(), disk: Disk = Disk(), store: Store = Store(), mesh: Mesh, api: API = API(),
        anycast: Anycast = Anycast(), edge: Edge? = nil, log: Log = Log()
    ) {
        self.host = host
        self.region = region
        self.stateFolder = stateFolder
        self.runFolder = runFolder
        self.capacity = capacity
        self.cgroupParent = cgroupParent
        self.images = images
        self.disk = disk
        self.store = store
        self.mesh = mesh
        self.api = api
        self.anycast = anycast
        self.edge = edge
        self.log = log
    }

    enum CodingKeys: String, CodingKey {
        case host, region, capacity, images, disk, store, mesh, api, anycast, edge, log
        case stateFolder = "state_dir"
        case runFolder = "run_dir"
        case cgroupParent = "cgroup_parent"
    }

    /// What is so unless somebody says otherwise.
    public enum Defaults {
        /// An absolute path: what must survive.
        public static let stateFolder = "/var/lib/roost"
        /// An absolute path: what a boot may clear.
        public static let runFolder = "/run/roost"
        /// The control group below which machines run.
        public static let cgroupParent = "/roost"
        /// `images.directory`
        public static let imageFolder = "/var/lib/roost/images"
        /// `images.postgres`
        public static let postgresImage = "oci:/var/lib/roost/postgres-image:17"
        /// `images.keep_hours`
        public static let imageHours = 24
        /// `disk.reserve_gb`
        public static let diskReserve = 2
        /// `disk.root_gb`
        public static let diskRoot = 8
        /// `mesh.interface`
        public static let meshInterface = "roost0"
        /// `mesh.listen_port`
        public static let meshPort: UInt16 = 51820
        /// The UDP port of probes.
        public static let probePort: UInt16 = 51821
        /// 1280 to 1420 bytes.
        public static let mtu = 1420
        /// `api.tcp_port`
        public static let apiPort: UInt16 = 4280
        /// An absolute path; holds the planet's token.
        public static let tokenFile = "/etc/roost/token"
        /// `log.level`
        public static let logLevel = "info"
    }
}
