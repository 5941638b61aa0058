/// Records whose truth is the store: what must be unique or must outlive a host.

public struct AppRecord: Hashable, Sendable, Codable {
    public var name: AppName
    public var network: NetworkNumber
    public var networkName: NetworkName
    public var createdAt: Int64
    /// Set when the app's machines and volumes come and go with a feature of the platform, which is named as the app.
    public var owner: OwnerKind?

    public init(
        name: AppName, network: NetworkNumber, networkName: NetworkName, createdAt: Int64, owner: OwnerKind? = nil
    ) {
        self.name = name
        self.network = network
        self.networkName = networkName
        self.createdAt = createdAt
        self.owner = owner
    }

    enum CodingKeys: String, CodingKey {
        case name, network
        case networkName = "network_name"
        case createdAt = "created_at"
        case owner
        /// The first version's word for an app that is left alone.
        case isPostgres = "is_postgres"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        name = try container.decode(AppName.self, forKey: .name)
        network = try container.decode(NetworkNumber.self, forKey: .network)
        networkName = try container.decode(NetworkName.self, forKey: .networkName)
        createdAt = try container.decode(Int64.self, forKey: .createdAt)
        let former: OwnerKind? = try container.decodeIfPresent(Bool.self, forKey: .isPostgres) == true ? .postgres : nil
        owner = try container.decodeIfPresent(OwnerKind.self, forKey: .owner) ?? former
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        try container.encode(network, forKey: .network)
        try container.encode(networkName, forKey: .networkName)
        try container.encode(createdAt, forKey: .createdAt)
        try container.encodeIfPresent(owner, forKey: .owner)
        try container.encode(owner != nil, forKey: .isPostgres)
    }
}

/// An anycast address and the app it leads to.
public struct IPRecord: Hashable, Sendable, Codable {
    public var address: IPv4Address
    public var app: AppName
    public var createdAt: Int64

    public init(address: IPv4Address, app: AppName, createdAt: Int64) {
        self.address = address
        self.app = app
        self.createdAt = createdAt
    }

    enum CodingKeys: String, CodingKey {
        case address, app
        case createdAt = "created_at"
    }
}

/// What a Postgres cluster is to be. Written once by `create`, removed by `destroy`.
public struct ClusterSpec: Hashable, Sendable, Codable {
    public var name: AppName
    public var address: IPv4Address
    public var volumeSize: ByteCount
    public var guest: MachineGuest
    public var image: String
    /// In order; the first is the one that runs initdb.
    public var members: [MemberSpec]
    public var createdAt: Int64
    /// Being destroyed: machines and volumes go first, the records last.
    public var isDestroying: Bool

    public struct MemberSpec: Hashable, Sendable, Codable {
        public var name: MemberName
        public var region: RegionCode

        public init(name: MemberName, region: RegionCode) {
            self.name = name
            self.region = region
        }
    }

    public init(
        name: AppName, address: IPv4Address, volumeSize: ByteCount, guest: MachineGuest, image: String,
        members: [MemberSpec], createdAt: Int64, isDestroying: Bool = false
    ) {
        self.name = name
        self.address = address
        self.volumeSize = volumeSize
        self.guest = guest
        self.image = image
        self.members = members
        self.createdAt = createdAt
        self.isDestroying = isDestroying
    }

    enum CodingKeys: String, CodingKey {
        case name, address
        case volumeSize = "volume_size"
        case guest, image, members
        case createdAt = "created_at"
        case isDestroying = "is_destroying"
    }
}

/// Where a member lives. Written by compare-and-swap before anything is made on the host, with the ids made
/// beforehand, so that whoever repeats the work makes the same machine and volume, not a second pair.
public struct MemberPlacement: Hashable, Sendable, Codable {
    public var member: MemberName
    public var host: HostName
    public var region: RegionCode
    public var machine: MachineID
    public var volume: VolumeID
    public var address: IPv6Address

    public init(
        member: MemberName, host: HostName, region: RegionCode, machine: MachineID, volume: VolumeID,
        address: IPv6Address
    ) {
        self.member = member
        self.host = host
        self.region = region
        self.machine = machine
        self.volume = volume
        self.address = address
    }
}

/// What keeps a cluster from becoming what it is to be, or from going: written by the host that works on it, for
/// every host to show. Absent when nothing is in the way.
public struct ClusterObstacle: Hashable, Sendable, Codable {
    public var reason: String

    public init(reason: String) { self.reason = reason }
}

/// What the members of one cluster share and nobody else may read.
public struct ClusterSecrets: Hashable, Sendable, Codable {
    public var superuserPassword: String
    public var replicationPassword: String
    /// PEM. The cluster's own certificate authority, and the one server certificate its members and edges show.
    public var authorityCertificate: String
    public var serverCertificate: String
    public var serverKey: String

    public init(
        superuserPassword: String, replicationPassword: String, authorityCertificate: String,
        serverCertificate: String, serverKey: String
    ) {
        self.superuserPassword = superuserPassword
        self.replicationPassword = replicationPassword
        self.authorityCertificate = authorityCertificate
        self.serverCertificate = serverCertificate
        self.serverKey = serverKey
    }

    enum CodingKeys: String, CodingKey {
        case superuserPassword = "superuser_password"
        case replicationPassword = "replication_password"
        case authorityCertificate = "authority_certificate"
        case serverCertificate = "server_certificate"
        case serverKey = "server_key"
    }
}
