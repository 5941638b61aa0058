// Records whose truth is the store: what must be unique or must outlive a host.

/// A name on the planet that machines and volumes belong to, and the private network that they share.
public struct AppRecord: Hashable, Sendable, Codable {
    /// Also the last part of the record's key.
    public var name: AppName
    /// What the network's name stood for when the app was made.
    public var network: NetworkNumber
    /// The network that was named, else one named as the app.
    public var networkName: NetworkName
    /// Wall clock of the host that made it, in milliseconds.
    public var createdAt: Int64
    /// Set when the app's machines and volumes come and go with a feature of the platform, which is named as the app.
    public var owner: OwnerKind?
    /// When its deletion began, in milliseconds of the wall clock of the host that deletes it; nil: it stays. Whoever makes
    /// something for the app looks here afterwards, and takes it back. Hosts of versions that do not know the field do
    /// not, and their own deletions do not set it.
    public var deletionBegan: Int64?

    /// An app, to be written only where there is none of that name.
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
        case deletionBegan = "deletion_began"
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
        deletionBegan = try container.decodeIfPresent(Int64.self, forKey: .deletionBegan)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        try container.encode(network, forKey: .network)
        try container.encode(networkName, forKey: .networkName)
        try container.encode(createdAt, forKey: .createdAt)
        try container.encodeIfPresent(owner, forKey: .owner)
        try container.encodeIfPresent(deletionBegan, forKey: .deletionBegan)
        try container.encode(owner != nil, forKey: .isPostgres)
    }
}

/// An anycast address and the app it leads to.
public struct IPRecord: Hashable, Sendable, Codable {
    /// Of the planet's anycast prefixes; every edge takes connections to it.
    public var address: IPv4Address
    /// A Postgres cluster's: nothing else gets an address in this version.
    public var app: AppName
    /// Wall clock of the host that made it, in milliseconds.
    public var createdAt: Int64

    /// To be written only where the address is free.
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

/// What a Postgres cluster is to be. Written by `create`, removed by `destroy`.
public struct ClusterSpec: Hashable, Sendable, Codable {
    /// Also the name of the app that its machines and volumes are of, and of its network.
    public var name: AppName
    /// Where clients reach it; given with the cluster, and free again when it is gone.
    public var address: IPv4Address
    /// Of each member's volume: 1 to 500 GiB.
    public var volumeSize: ByteCount
    /// Of each member's machine.
    public var guest: MachineGuest
    /// Of each member's machine, as ``ImageReference`` reads it; kept, so that a new default changes no cluster.
    public var image: String
    /// In order; the first is the one that runs initdb.
    public var members: [MemberSpec]
    /// Wall clock of the host that took the request, in milliseconds.
    public var createdAt: Int64
    /// Being destroyed: machines and volumes go first, the records last.
    public var isDestroying: Bool
    /// The networks that clients may log in from, as ``IPv4Prefix`` reads them. Nil or empty: from everywhere. A text
    /// that a version cannot read stands for nobody.
    public var allowedClients: [String]?
    /// The highest number that a member was ever given. Nil: no member has come since the cluster was made.
    public var lastNumber: Int?
    /// Nil: ``ReplacementTerm/standard``.
    public var replaceAfter: ReplacementTerm?
    /// What it is to survive, where somebody has asked for that and not for places: then a lost member may be replaced in
    /// another region. Nil: regions were asked for.
    public var survive: SurvivalGoal?
    /// Where it is to be led from, with ``survive``.
    public var home: RegionCode?
    /// A switchover that somebody has asked for, in a cluster with a ``home``. Nil: nobody has, or the last one has come to nothing.
    public var ledAway: LedAway?
    /// Replacements of lost members that nobody has asked for. Nil: there were none since somebody last changed its members.
    public var attempts: ReplacementAttempts?
    /// Those that only read, in the order in which they came. They are no members: no rule ever names one. Nil: none.
    public var readers: [MemberSpec]?
    /// In ``allowedClients``.
    public static let allowedClientsMax = 64

    /// One place in the cluster.
    public struct MemberSpec: Hashable, Sendable, Codable {
        /// `<cluster>-<number>`: numbered from 1, or above machines that are left of a cluster of that name, in the order in
        /// which they came.
        public var name: MemberName
        /// Hard: the member is placed there or nowhere.
        public var region: RegionCode
        /// Hard, too, where somebody has said so. Nil: any of the region.
        public var host: HostName?
        /// It gets no host that has another member, and rather none at all. Nil means no, but for ``ClusterSpec/isApart(_:)``.
        public var isApart: Bool?
        /// Of a reader: that it came by itself, and for whom. Nil: somebody has asked for it.
        public var cameFor: ReaderSuccession?

        /// As ``PostgresNames/member(_:of:)`` names it.
        public init(name: MemberName, region: RegionCode, host: HostName? = nil, isApart: Bool? = nil) {
            self.name = name
            self.region = region
            self.host = host
            self.isApart = isApart
        }

        enum CodingKeys: String, CodingKey {
            case name, region, host
            case isApart = "is_apart"
            case cameFor = "came_for"
        }
    }

    /// The member gets no host that has another one: one that comes though nobody has asked, and all of a cluster that is to
    /// survive something. Where somebody has named the host, that is where it goes.
    public func isApart(_ member: MemberSpec) -> Bool {
        member.host == nil && (survive != nil || member.isApart == true)
    }

    /// A new cluster's; how many members there may be is checked before (``PostgresNames/membersMax``).
    public init(
        name: AppName, address: IPv4Address, volumeSize: ByteCount, guest: MachineGuest, image: String,
        members: [MemberSpec], createdAt: Int64, isDestroying: Bool = false, allowedClients: [String]? = nil,
        replaceAfter: ReplacementTerm? = nil, survive: SurvivalGoal? = nil, home: RegionCode? = nil
    ) {
        self.survive = survive
        self.home = home
        self.name = name
        self.address = address
        self.volumeSize = volumeSize
        self.guest = guest
        self.image = image
        self.members = members
        self.createdAt = createdAt
        self.isDestroying = isDestroying
        self.allowedClients = allowedClients
        self.replaceAfter = replaceAfter
    }

    enum CodingKeys: String, CodingKey {
        case name, address
        case volumeSize = "volume_size"
        case guest, image, members
        case createdAt = "created_at"
        case isDestroying = "is_destroying"
        case allowedClients = "allowed_clients"
        case lastNumber = "last_number"
        case replaceAfter = "replace_after"
        case survive, home
        case ledAway = "led_away"
        case attempts, readers
    }
}

extension ClusterSpec {
    /// At a time.
    public static let readersMax = 32
    /// That one standby feeds. A Postgres has 16 places for whoever replicates (decisions/0028): five are its supervisor's, two a
    /// copy's, and some have to be free for questions and for whoever begins anew.
    public static let readersEachMax = 6

    /// It reads only.
    public func isReader(_ name: MemberName) -> Bool { readers?.contains { $0.name == name } == true }

    /// All that have a machine and a volume.
    public var everybody: [MemberSpec] { members + (readers ?? []) }
}

/// That somebody wanted the cluster to be led from elsewhere than its home.
public struct LedAway: Hashable, Sendable, Codable {
    /// The epoch in which it was asked for. It is about the leader of the next reign, and over with the next other one.
    public var epoch: Epoch
    /// Who was to lead. Nil: any other member.
    public var target: MemberName?

    /// Written with the wish for the switchover.
    public init(epoch: Epoch, target: MemberName?) {
        self.epoch = epoch
        self.target = target
    }
}

/// How often lost members were to be replaced, one time after the other and whichever they were, though nobody asked.
public struct ReplacementAttempts: Hashable, Sendable, Codable {
    /// At least 1: those that came to nothing, one after the other and lately, and the last one, of which the rule says what became.
    /// Each has taken a number that no member gets again, so it comes later each time.
    public var count: Int
    /// Where one that was to come did not come up, the last one last: the next one goes there only where no other host is
    /// free.
    public var avoided: [HostName]

    /// In ``avoided``.
    public static let avoidedMax = 8

    /// Written with the wish.
    public init(count: Int, avoided: [HostName] = []) {
        self.count = count
        self.avoided = Array(avoided.suffix(Self.avoidedMax))
    }

    /// The same, with one more host to be avoided.
    public func avoiding(_ host: HostName) -> Self {
        Self(count: count, avoided: avoided.filter { $0 != host } + [host])
    }
}

/// Where a member lives. Written by compare-and-swap before anything is made on the host, with the ids made
/// beforehand, so that whoever repeats the work makes the same machine and volume, not a second pair.
public struct MemberPlacement: Hashable, Sendable, Codable {
    /// Also the last part of the record's key.
    public var member: MemberName
    /// Whose host: the machine and the volume are there or are still to be made.
    public var host: HostName
    /// That of the member's place in ``ClusterSpec``.
    public var region: RegionCode
    /// Made beforehand; whether it exists only the host knows.
    public var machine: MachineID
    /// Made beforehand, like the machine's.
    public var volume: VolumeID
    /// The machine's, ``MeshAddress/machine(_:in:)``, kept so that others reach the member without its host's record.
    public var address: IPv6Address

    /// To be written only where the member has no place yet.
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
    /// In words for people; several hosts' reasons in one text.
    public var reason: String
    /// Members that are none any more, and whose host could not take them away when it was asked. Nil: of a version before, it may
    /// be any.
    public var remaining: [MemberName]?

    /// Kept until what was in the way is gone.
    public init(reason: String, remaining: [MemberName]? = nil) {
        self.reason = reason
        self.remaining = remaining
    }
}

/// What an edge shows to a cluster's clients, so that they know whom they speak to.
public struct ClusterIdentity: Hashable, Sendable, Codable {
    /// PEM: the server's certificate, and those above it but for the authority's.
    public var certificateChain: String
    /// PEM: the key of the server's certificate.
    public var privateKey: String

    /// Both as they are in a cluster's secrets.
    public init(certificateChain: String, privateKey: String) {
        self.certificateChain = certificateChain
        self.privateKey = privateKey
    }

    enum CodingKeys: String, CodingKey {
        case certificateChain = "certificate_chain"
        case privateKey = "private_key"
    }
}

/// What the members of one cluster share and nobody else may read.
public struct ClusterSecrets: Hashable, Sendable, Codable {
    /// Of the role `postgres`, which clients log in with; 24 letters and digits, made with the cluster. The role owns
    /// what users make and is no superuser, except in clusters of the first version, whence the field's name.
    public var ownerPassword: String
    /// Of the role that members stream and rewind with; as long.
    public var replicationPassword: String
    /// PEM. The cluster's own certificate authority, and the one server certificate its members and edges show.
    public var authorityCertificate: String
    /// PEM, signed by the authority; its names are the cluster's address and name.
    public var serverCertificate: String
    /// PEM. The private key of ``serverCertificate``; that of the authority is kept nowhere.
    public var serverKey: String

    /// All are made with the cluster and never change.
    public init(
        ownerPassword: String, replicationPassword: String, authorityCertificate: String,
        serverCertificate: String, serverKey: String
    ) {
        self.ownerPassword = ownerPassword
        self.replicationPassword = replicationPassword
        self.authorityCertificate = authorityCertificate
        self.serverCertificate = serverCertificate
        self.serverKey = serverKey
    }

    /// The part of it that edges need.
    public var identity: ClusterIdentity { ClusterIdentity(certificateChain: serverCertificate, privateKey: serverKey) }

    enum CodingKeys: String, CodingKey {
        case ownerPassword = "superuser_password"
        case replicationPassword = "replication_password"
        case authorityCertificate = "authority_certificate"
        case serverCertificate = "server_certificate"
        case serverKey = "server_key"
    }
}
