public import RoostModel

/// `POST /v1/postgres`
public struct CreateClusterRequest: Sendable, Codable {
    /// Becomes the app's name too; at most ``PostgresNames/clusterBytesMax`` bytes.
    public var name: String
    /// Of the first member, which initialises the cluster. Nil with ``survive``.
    public var region: String?
    /// One for each further member, in order; a region may come more than once. At most 8
    /// (``PostgresNames/membersMax``). Nil with ``survive``.
    public var replicaRegions: [String]?
    /// In place of regions: what it is to survive, a ``SurvivalGoal``. Members and their places follow from it.
    public var survive: String?
    /// With ``survive``: the region that it is to be led from.
    public var home: String?
    /// In GiB, 1 to 500, for each member. Nil: 1.
    public var volumeSizeGigabytes: Int?
    /// For each member, with at least 256 MiB. Nil: ``guestDefault``.
    public var guest: MachineGuest?
    /// Nil or empty: `images.postgres` of the host that takes the request, if it has one.
    public var image: String?
    /// As ``ReplacementTerm`` reads it. Nil: ``ReplacementTerm/standard``.
    public var replaceAfter: String?
    /// How many readers each of these regions is to have. Nil: the cluster has none.
    public var readerRegions: [String: Int]?

    /// What is left out the host decides.
    public init(
        name: String, region: String, replicaRegions: [String], volumeSizeGigabytes: Int? = nil,
        guest: MachineGuest? = nil, image: String? = nil, replaceAfter: String? = nil
    ) {
        self.name = name
        self.region = region
        self.replicaRegions = replicaRegions
        self.volumeSizeGigabytes = volumeSizeGigabytes
        self.guest = guest
        self.image = image
        self.replaceAfter = replaceAfter
    }

    /// As what it has to survive; the hosts decide where its members are.
    public init(
        name: String, survive: SurvivalGoal, home: String, volumeSizeGigabytes: Int? = nil,
        guest: MachineGuest? = nil, image: String? = nil, replaceAfter: String? = nil
    ) {
        self.name = name
        self.survive = survive.rawValue
        self.home = home
        self.volumeSizeGigabytes = volumeSizeGigabytes
        self.guest = guest
        self.image = image
        self.replaceAfter = replaceAfter
    }

    /// What a member gets when `guest` is absent.
    public static let guestDefault = MachineGuest(cpuKind: .shared, cpus: 1, memoryMebibytes: 512)

    enum CodingKeys: String, CodingKey {
        case name, region, survive, home, guest, image
        case replicaRegions = "replica_regions"
        case readerRegions = "reader_regions"
        case volumeSizeGigabytes = "volume_size_gb"
        case replaceAfter = "replace_after"
    }
}

/// What a cluster survives: no confirmed commit is lost, and it goes on by itself.
public struct SurvivalBody: Sendable, Codable, Hashable {
    /// What it was made for; nil: somebody has named its regions.
    public var wanted: SurvivalGoal?
    /// Where it is to be led from, with ``wanted``.
    public var home: RegionCode?
    /// What it survives now, with the members that confirm now: the loss of any one of these. Nil while nobody knows, or while
    /// it does not take commits.
    public var now: [SurvivalGoal]?
    /// Hosts that it could not lose now; nil: none, or nobody knows.
    public var hosts: [HostName]?
    /// Regions that it could not lose now; nil: none, or nobody knows.
    public var regions: [RegionCode]?
    /// What the store does not survive, in words: it is in ``hosts`` and ``regions`` too. Nil: nothing, or nobody knows, and
    /// from a host of a version before.
    public var store: String?
    /// Somebody has had the present leader lead, so that it stays it, away from ``home`` too, until there is another one. Nil: nobody
    /// has, and from a host of a version before.
    public var isLedByHand: Bool?

    /// As the asked host judges what it has heard.
    public init(
        wanted: SurvivalGoal?, home: RegionCode?, now: [SurvivalGoal]?, hosts: [HostName]?, regions: [RegionCode]?,
        store: String? = nil
    ) {
        self.store = store
        self.wanted = wanted
        self.home = home
        self.now = now
        self.hosts = hosts
        self.regions = regions
    }

    enum CodingKeys: String, CodingKey {
        case wanted, home, now, hosts, regions, store
        case isLedByHand = "led_by_hand"
    }
}
