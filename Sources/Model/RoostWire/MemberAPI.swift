public import RoostModel

// What a member of a cluster may ask of its host through the machine's own socket, `/.roost/api`. The host knows by
// the socket which machine asks, and shows it its own cluster and nothing else.
//
//   GET  /v1/cluster            ClusterView, read from the store now; 503 when the store does not answer
//   GET  /v1/cluster/last       ClusterView as the host has heard it last, of any time; 503 when it lacks a part of it
//   GET  /v1/cluster/watch      a line of JSON (ClusterView) for every change, the present one first
//   PUT  /v1/cluster/rule       ChangeRuleRequest  -> ChangeOutcome
//   PUT  /v1/cluster/heartbeat  HeartbeatRequest   -> ChangeOutcome
//   PUT  /v1/cluster/lease      LeaseWord          -> OKBody: a lease that other members have renewed; the store is not asked
//   PUT  /v1/cluster/report     MemberReport       -> ChangeOutcome
//   PUT  /v1/cluster/gate       GateRequest        -> OKBody: open or close the service port on this host; opened for members of
//                                                  the present rule alone
//
// 503: the store did not carry it out. 504: nobody knows whether it did.

/// All that one cluster is at one revision of the store.
public struct ClusterView: Hashable, Sendable, Codable {
    /// The member that asks.
    public var member: MemberName
    /// Of the store as a whole; a view with a lower one is older. Of a watch: what this host's copy has reached.
    public var revision: Int64
    /// What the cluster is to be.
    public var spec: ClusterSpec
    /// Nil until the first member has initialised the cluster.
    public var rule: ClusterRule?
    /// The store's modification revision of `rule`; 0 when there is none.
    public var ruleRevision: Int64
    /// The last renewal that the store has taken; nil when there was none. Whose and of which epoch it is says the
    /// record.
    public var heartbeat: Heartbeat?
    /// In the order of names; without those that still have no place.
    public var placements: [MemberPlacement]
    /// In the order of names, the asking member's own among them; without those that have said nothing yet.
    public var reports: [MemberReport]
    /// What the member needs of the cluster's.
    public var secrets: MemberSecrets
    /// The host takes ``LeaseWord``: it ends no leader whose lease other members have renewed. Nil: a host of before there was
    /// that, which goes by the store alone.
    public var takesLeaseWord: Bool?
    /// The host takes rules that more than half of the members have decided by themselves, epochs ahead of the store's, and tells
    /// edges of a leader that the store does not have yet (``LeaseWord/heartbeat``). Nil: a host of before.
    public var takesVotes: Bool?
    /// Regions by their distance from the host's, the nearest first, as far as it measures them. Nil where it measures none, and
    /// from a host of before there were readers.
    public var nearRegions: [RegionCode]?

    /// Nothing is checked: the host puts together what the store has.
    public init(
        member: MemberName, revision: Int64, spec: ClusterSpec, rule: ClusterRule?, ruleRevision: Int64,
        heartbeat: Heartbeat?, placements: [MemberPlacement], reports: [MemberReport], secrets: MemberSecrets,
        takesLeaseWord: Bool? = nil, takesVotes: Bool? = nil, nearRegions: [RegionCode]? = nil
    ) {
        self.member = member
        self.revision = revision
        self.spec = spec
        self.rule = rule
        self.ruleRevision = ruleRevision
        self.heartbeat = heartbeat
        self.placements = placements
        self.reports = reports
        self.secrets = secrets
        self.takesLeaseWord = takesLeaseWord
        self.takesVotes = takesVotes
        self.nearRegions = nearRegions
    }

    enum CodingKeys: String, CodingKey {
        case member, revision, spec, rule, heartbeat, placements, reports, secrets
        case ruleRevision = "rule_revision"
        case takesLeaseWord = "takes_lease_word"
        case takesVotes = "takes_votes"
        case nearRegions = "near_regions"
    }
}

/// What a member is told of its cluster's secrets.
public struct MemberSecrets: Hashable, Sendable, Codable {
    /// Of the role `postgres`; the member that initialises the cluster gives it to the role.
    public var ownerPassword: String
    /// Of the role that members stream and rewind with.
    public var replicationPassword: String
    /// For members whose program is of a version that ends TLS itself: it reads no view without these three. Nil for all
    /// others (``CallHeader/tlsEndsBefore``).
    public var authorityCertificate: String?
    /// As ``authorityCertificate``.
    public var serverCertificate: String?
    /// As ``authorityCertificate``.
    public var serverKey: String?

    /// With passwords only.
    public init(ownerPassword: String, replicationPassword: String) {
        self.ownerPassword = ownerPassword
        self.replicationPassword = replicationPassword
    }

    /// - Parameter withServerKey: the member shows the cluster's certificate itself.
    public init(_ secrets: ClusterSecrets, withServerKey: Bool) {
        self.init(ownerPassword: secrets.ownerPassword, replicationPassword: secrets.replicationPassword)
        guard withServerKey else { return }
        authorityCertificate = secrets.authorityCertificate
        serverCertificate = secrets.serverCertificate
        serverKey = secrets.serverKey
    }

    enum CodingKeys: String, CodingKey {
        case ownerPassword = "superuser_password"
        case replicationPassword = "replication_password"
        case authorityCertificate = "authority_certificate"
        case serverCertificate = "server_certificate"
        case serverKey = "server_key"
    }
}

/// A compare-and-swap of the rule, by a member that is in it.
public struct ChangeRuleRequest: Sendable, Codable {
    /// The whole next rule, with what the present one had that the member does not know.
    public var rule: ClusterRule
    /// The rule this one replaces; 0: there is none yet.
    public var expectedRevision: Int64

    /// Of the view that the member has decided by.
    public init(rule: ClusterRule, expectedRevision: Int64) {
        self.rule = rule
        self.expectedRevision = expectedRevision
    }

    enum CodingKeys: String, CodingKey {
        case rule
        case expectedRevision = "expected_revision"
    }
}

/// The leader's wish to renew its lease.
public struct HeartbeatRequest: Sendable, Codable {
    /// Its leader must be the member that asks, else 400.
    public var heartbeat: Heartbeat
    /// Refused unless the rule still has this revision.
    public var ruleRevision: Int64

    /// Of the view that says that the member leads.
    public init(heartbeat: Heartbeat, ruleRevision: Int64) {
        self.heartbeat = heartbeat
        self.ruleRevision = ruleRevision
    }

    enum CodingKeys: String, CodingKey {
        case heartbeat
        case ruleRevision = "rule_revision"
    }
}

/// Other members have said that they follow nobody later, and so renewed the lease of the leader that asks.
public struct LeaseWord: Hashable, Sendable, Codable {
    /// That it leads.
    public var epoch: Epoch
    /// So long before this was sent that was true, in milliseconds; from 0 to a lease's length.
    public var ageMilliseconds: Int64
    /// What the store would have, if it had the rule by which the caller leads: edges are told of it. Nil where it has.
    public var heartbeat: Heartbeat?

    /// Nothing is checked; the host refuses what cannot be.
    public init(epoch: Epoch, ageMilliseconds: Int64, heartbeat: Heartbeat? = nil) {
        self.epoch = epoch
        self.ageMilliseconds = ageMilliseconds
        self.heartbeat = heartbeat
    }

    enum CodingKeys: String, CodingKey {
        case epoch, heartbeat
        case ageMilliseconds = "age_ms"
    }
}

/// Whether a record was put; both answers are certain.
public struct ChangeOutcome: Sendable, Codable {
    /// False: the compare failed, somebody else changed it first.
    public var isApplied: Bool
    /// Of the store when it answered; when applied, the modification revision of what was put.
    public var revision: Int64

    /// As the store has answered.
    public init(isApplied: Bool, revision: Int64) {
        self.isApplied = isApplied
        self.revision = revision
    }

    enum CodingKeys: String, CodingKey {
        case isApplied = "applied"
        case revision
    }
}

/// Opens or closes the cluster's port at the machine's host. The answer comes when the mesh has it so.
public struct GateRequest: Sendable, Codable {
    /// True: hosts and edges may connect.
    public var isOpen: Bool
    /// Grows from word to word of one machine. A host refuses one that is less than what it was told already: two words
    /// that are on their way at once may overtake each other. Nil: from a program that does not number them.
    public var sequence: UInt64?

    /// Repeating it changes nothing.
    public init(isOpen: Bool, sequence: UInt64? = nil) {
        self.isOpen = isOpen
        self.sequence = sequence
    }

    enum CodingKeys: String, CodingKey {
        case isOpen = "open"
        case sequence
    }
}
