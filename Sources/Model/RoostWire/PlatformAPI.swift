public import RoostModel

// Roost's own REST shapes, beside Fly's: Postgres clusters, addresses, hosts, the mesh.

/// `POST /v1/postgres`
public struct CreateClusterRequest: Sendable, Codable {
    public var name: String
    public var region: String
    public var replicaRegions: [String]
    public var volumeSizeGigabytes: Int?
    public var guest: MachineGuest?
    public var image: String?

    public init(
        name: String, region: String, replicaRegions: [String], volumeSizeGigabytes: Int? = nil,
        guest: MachineGuest? = nil, image: String? = nil
    ) {
        self.name = name
        self.region = region
        self.replicaRegions = replicaRegions
        self.volumeSizeGigabytes = volumeSizeGigabytes
        self.guest = guest
        self.image = image
    }

    /// What a member gets when `guest` is absent.
    public static let guestDefault = MachineGuest(cpuKind: .shared, cpus: 1, memoryMebibytes: 512)

    enum CodingKeys: String, CodingKey {
        case name, region, guest, image
        case replicaRegions = "replica_regions"
        case volumeSizeGigabytes = "volume_size_gb"
    }
}

/// `GET /v1/postgres/{name}`; also what `roost pg status --json` prints.
public struct ClusterBody: Sendable, Codable, Hashable {
    public enum Status: String, Sendable, Codable {
        case creating, ready
        /// Serves, with fewer members than it should have.
        case degraded
        /// No primary accepts writes now.
        case unavailable
        case destroying
        /// The host that was asked has lost the store: the rest of the answer is what it heard last.
        case unknown
    }

    public var name: AppName
    public var status: Status
    /// Why the status is what it is, in words, when it is not `ready`.
    public var detail: String?
    public var epoch: Epoch
    public var leader: MemberName?
    /// For example `ANY 1 of 2`.
    public var rule: String
    public var writeURL: String
    public var readURL: String
    public var authorityCertificate: String
    public var members: [MemberBody]
    public var switchover: SwitchoverState?

    public init(
        name: AppName, status: Status, detail: String?, epoch: Epoch, leader: MemberName?, rule: String,
        writeURL: String, readURL: String, authorityCertificate: String, members: [MemberBody],
        switchover: SwitchoverState? = nil
    ) {
        self.name = name
        self.status = status
        self.detail = detail
        self.epoch = epoch
        self.leader = leader
        self.rule = rule
        self.writeURL = writeURL
        self.readURL = readURL
        self.authorityCertificate = authorityCertificate
        self.members = members
        self.switchover = switchover
    }

    /// A primary accepts writes.
    public var isServing: Bool { status == .ready || status == .degraded }

    enum CodingKeys: String, CodingKey {
        case name, status, detail, epoch, leader, rule, members, switchover
        case writeURL = "write_url"
        case readURL = "read_url"
        case authorityCertificate = "ca_certificate"
    }
}

public struct MemberBody: Sendable, Codable, Hashable {
    public var name: MemberName
    public var machine: MachineID?
    public var volume: VolumeID?
    public var host: HostName?
    public var region: RegionCode
    public var address: IPv6Address?
    public var role: MemberReport.Role
    public var state: String
    public var timeline: UInt32
    public var lagBytes: UInt64?
    public var lagSeconds: Double?
    public var detail: String?

    public init(
        name: MemberName, machine: MachineID?, volume: VolumeID?, host: HostName?, region: RegionCode,
        address: IPv6Address?, role: MemberReport.Role, state: String, timeline: UInt32, lagBytes: UInt64?,
        lagSeconds: Double?, detail: String?
    ) {
        self.name = name
        self.machine = machine
        self.volume = volume
        self.host = host
        self.region = region
        self.address = address
        self.role = role
        self.state = state
        self.timeline = timeline
        self.lagBytes = lagBytes
        self.lagSeconds = lagSeconds
        self.detail = detail
    }

    enum CodingKeys: String, CodingKey {
        case name, machine, volume, host, region, address, role, state, timeline, detail
        case lagBytes = "lag_bytes"
        case lagSeconds = "lag_seconds"
    }
}

public struct ListClustersBody: Sendable, Codable {
    public var clusters: [ClusterBody]
    public init(clusters: [ClusterBody]) { self.clusters = clusters }
}

/// The last wish for a switchover that has not led to a new primary.
public struct SwitchoverState: Sendable, Codable, Hashable {
    public var id: String
    public var target: MemberName?
    /// Why the leader goes on leading; nil while it is being carried out.
    public var refusal: String?

    public init(id: String, target: MemberName?, refusal: String?) {
        self.id = id
        self.target = target
        self.refusal = refusal
    }
}

/// The answer to `POST /v1/postgres/{name}/switchover`: ``ClusterBody/switchover`` says under this id what became of it.
public struct SwitchoverAnswer: Sendable, Codable {
    public var ok = true
    public var id: String?

    public init(id: String) { self.id = id }
}

/// `POST /v1/postgres/{name}/switchover`
public struct SwitchoverBody: Sendable, Codable {
    public var target: String?
    public init(target: String?) { self.target = target }

    enum CodingKeys: String, CodingKey { case target = "to" }
}

/// `GET /v1/platform/ips`
public struct ListIPsBody: Sendable, Codable {
    public struct IP: Sendable, Codable, Hashable {
        public var address: IPv4Address
        public var app: AppName
        public var ports: [UInt16]
        public var createdAt: String

        public init(address: IPv4Address, app: AppName, ports: [UInt16], createdAt: String) {
            self.address = address
            self.app = app
            self.ports = ports
            self.createdAt = createdAt
        }

        enum CodingKeys: String, CodingKey {
            case address, app, ports
            case createdAt = "created_at"
        }
    }

    public var ips: [IP]
    public init(ips: [IP]) { self.ips = ips }
}

/// `GET /v1/platform/hosts`
public struct ListHostsBody: Sendable, Codable {
    public struct Host: Sendable, Codable, Hashable {
        public var name: HostName
        public var region: RegionCode
        public var isReachable: Bool
        public var isEdge: Bool
        public var isStoreMember: Bool
        public var address: IPv6Address
        public var machines: Int
        public var volumes: Int
        public var capacity: HostCapacity
        public var free: HostCapacity

        public init(
            name: HostName, region: RegionCode, isReachable: Bool, isEdge: Bool, isStoreMember: Bool,
            address: IPv6Address, machines: Int, volumes: Int, capacity: HostCapacity, free: HostCapacity
        ) {
            self.name = name
            self.region = region
            self.isReachable = isReachable
            self.isEdge = isEdge
            self.isStoreMember = isStoreMember
            self.address = address
            self.machines = machines
            self.volumes = volumes
            self.capacity = capacity
            self.free = free
        }

        enum CodingKeys: String, CodingKey {
            case name, region, address, machines, volumes, capacity, free
            case isReachable = "reachable"
            case isEdge = "edge"
            case isStoreMember = "store_member"
        }
    }

    public var hosts: [Host]
    public init(hosts: [Host]) { self.hosts = hosts }
}

/// `GET /v1/platform/mesh`: one row for each host that answered.
public struct MeshMatrixBody: Sendable, Codable {
    public struct Row: Sendable, Codable {
        public var host: HostName
        public var region: RegionCode
        public var paths: [Path]

        public init(host: HostName, region: RegionCode, paths: [Path]) {
            self.host = host
            self.region = region
            self.paths = paths
        }
    }

    public struct Path: Sendable, Codable {
        public var peer: HostName
        public var roundTripMicroseconds: Int64?
        public var jitterMicroseconds: Int64?
        public var lossPercent: Double

        public init(peer: HostName, roundTripMicroseconds: Int64?, jitterMicroseconds: Int64?, lossPercent: Double) {
            self.peer = peer
            self.roundTripMicroseconds = roundTripMicroseconds
            self.jitterMicroseconds = jitterMicroseconds
            self.lossPercent = lossPercent
        }

        enum CodingKeys: String, CodingKey {
            case peer
            case roundTripMicroseconds = "rtt_us"
            case jitterMicroseconds = "jitter_us"
            case lossPercent = "loss_percent"
        }
    }

    public var rows: [Row]
    /// Hosts that did not answer in time.
    public var silent: [HostName]

    public init(rows: [Row], silent: [HostName]) {
        self.rows = rows
        self.silent = silent
    }
}

/// `POST /v1/platform/hosts/{host}/edge`
public struct EdgeRequest: Sendable, Codable {
    public enum State: String, Sendable, Codable { case started, stopped }
    public var state: State
    public init(state: State) { self.state = state }
}
