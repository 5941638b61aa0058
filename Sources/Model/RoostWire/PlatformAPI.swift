public import RoostModel

// Roost's own REST shapes, beside Fly's: Postgres clusters, addresses, hosts, the mesh.

/// `GET /v1/postgres/{name}`; also what `roost pg status --json` prints.
public struct ClusterBody: Sendable, Codable, Hashable {
    /// What a client of the cluster has to expect.
    public enum Status: OpenEnum {
        /// `creating`: it was never ready, and a member has not been made or copied for the first time. `ready`: the
        /// primary accepts writes, all others follow it.
        case creating, ready
        /// Serves, with fewer members than it should have.
        case degraded
        /// No primary accepts writes now.
        case unavailable
        /// Its machines and volumes are being removed, the records last.
        case destroying
        /// A word of a newer version, or ``unheard``.
        case unknown(String)

        /// The host that was asked has lost the store: the rest of the answer is what it heard last.
        public static let unheard = Self.unknown("unknown")

        /// All that this version knows.
        public static let known: [Self] = [.creating, .ready, .degraded, .unavailable, .destroying, .unheard]

        public var rawValue: String {
            switch self {
            case .creating: "creating"
            case .ready: "ready"
            case .degraded: "degraded"
            case .unavailable: "unavailable"
            case .destroying: "destroying"
            case .unknown(let word): word
            }
        }
    }

    /// Also the app's.
    public var name: AppName
    /// As the asked host judges what it has heard.
    public var status: Status
    /// Why the status is what it is, in words, when it is not `ready`.
    public var detail: String?
    /// 0 before the cluster is initialised.
    public var epoch: Epoch
    /// Nil before the cluster is initialised. It need not be open: see ``status``.
    public var leader: MemberName?
    /// For example `ANY 1 of 2`.
    public var rule: String
    /// Where the primary is reached, as the role that owns what users make, with its password: a secret. Clients add
    /// `sslrootcert`.
    public var writeURL: String
    /// The same at port 5433: the nearest replica that is fit.
    public var readURL: String
    /// PEM; what clients have to trust for `sslmode=verify-full`.
    public var authorityCertificate: String
    /// What this answer lacks, because the asked host does not keep it and the store did not say it; nil: nothing. Another
    /// host, or the same a moment later, may have it.
    public var missing: [Credential]?
    /// All that the cluster is to have, in the order of their numbers, also those without a place.
    public var members: [MemberBody]
    /// Those that only read, in the order of their numbers; nil: none, and from hosts that know none.
    public var readers: [ReaderBody]?
    /// Nil when nobody has asked, or the last wish was carried out.
    public var switchover: SwitchoverState?
    /// The networks that clients may log in from; nil: from everywhere.
    public var allow: [String]?
    /// Hosts that have several of the members; nil: none. Right after `create`, before members have a place: as they would
    /// be placed by what the asked host knows.
    public var sharedHosts: [SharedHostBody]?
    /// Nil: nothing that the asked host knows of.
    public var leftovers: [LeftoverBody]?
    /// Nil when nobody has asked for one, and when it is over.
    public var pause: PauseState?
    /// What the call that was to end a pause found; nil in every other answer, and in that of a host of an earlier version.
    public var resumed: ResumedState?
    /// The last request that members be started anew; nil: there was none. One that was
    /// taken back has a ``RestartState/refusal``.
    public var restart: RestartState?
    /// The last request that members come or go; nil: there was none.
    public var change: ChangeState?
    /// When a lost member is replaced by itself; nil from hosts that do not do it.
    public var replaceAfter: ReplacementTerm?
    /// What it survives. Nil from hosts that do not say.
    public var survival: SurvivalBody?
    /// The last failover that a person has decided; nil: there was none.
    public var forced: ForcedState?

    /// Put together by the asked host from the cluster's records.
    public init(
        name: AppName, status: Status, detail: String?, epoch: Epoch, leader: MemberName?, rule: String,
        writeURL: String, readURL: String, authorityCertificate: String, members: [MemberBody],
        switchover: SwitchoverState? = nil, allow: [String]? = nil, sharedHosts: [SharedHostBody]? = nil,
        pause: PauseState? = nil, restart: RestartState? = nil, change: ChangeState? = nil,
        replaceAfter: ReplacementTerm? = nil, survival: SurvivalBody? = nil
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
        self.allow = allow
        self.sharedHosts = sharedHosts
        self.pause = pause
        self.restart = restart
        self.change = change
        self.replaceAfter = replaceAfter
        self.survival = survival
    }

    /// A primary accepts writes.
    public var isServing: Bool { status == .ready || status == .degraded }

    enum CodingKeys: String, CodingKey {
        case name, status, detail, epoch, leader, rule, members, switchover, allow, pause, resumed, restart, change,
            survival, leftovers, forced, readers
        case writeURL = "write_url"
        case readURL = "read_url"
        case authorityCertificate = "ca_certificate"
        case sharedHosts = "shared_hosts"
        case replaceAfter = "replace_after"
        case missing
    }
}

/// A host that has several members of one cluster.
public struct SharedHostBody: Sendable, Codable, Hashable {
    /// Whose loss is theirs together.
    public var host: HostName
    /// Two at least, in the order of their numbers.
    public var members: [MemberName]
    /// What its loss would mean for the cluster, in words; of what several hosts' loss would mean, nothing.
    public var loss: String

    /// One of ``ClusterBody/sharedHosts``.
    public init(host: HostName, members: [MemberName], loss: String) {
        self.host = host
        self.members = members
        self.loss = loss
    }
}

/// A machine or a volume that a host has of a cluster and that no record of the cluster names: it counts for nothing, and can be
/// removed by hand.
public struct LeftoverBody: Sendable, Codable, Hashable {
    /// The machine's. A member of the cluster may have the same; nil of a volume alone, and of a machine of which only its volume
    /// has told yet.
    public var name: String?
    /// Nil of a volume alone.
    public var machine: MachineID?
    /// Nil of a machine without one.
    public var volume: VolumeID?
    /// Which has it; nil where that is not known any more.
    public var host: HostName?
    /// Why it may be all that there is of what was confirmed, in words; then it is destroyed only by whoever says that it may be
    /// that. Nil: nobody says so; and from hosts of before.
    public var lastCopy: String?

    /// One of ``ClusterBody/leftovers``.
    public init(name: String?, machine: MachineID?, volume: VolumeID?, host: HostName?, lastCopy: String? = nil) {
        self.name = name
        self.machine = machine
        self.volume = volume
        self.host = host
        self.lastCopy = lastCopy
    }

    enum CodingKeys: String, CodingKey {
        case name, machine, volume, host
        case lastCopy = "last_copy"
    }
}

/// `PUT /v1/postgres/{name}/allow`
public struct AllowBody: Sendable, Codable, Hashable {
    /// IPv4 networks such as `203.0.113.0/24`, at most ``ClusterSpec/allowedClientsMax``. Empty: clients may come from
    /// everywhere.
    public var allow: [String]

    /// The whole list; what was there before is gone.
    public init(allow: [String]) { self.allow = allow }
}

/// One member, as the asked host knows it.
public struct MemberBody: Sendable, Codable, Hashable {
    /// `<cluster>-<number>`.
    public var name: MemberName
    /// Nil while the member has no place.
    public var machine: MachineID?
    /// Nil while the member has no place.
    public var volume: VolumeID?
    /// Nil while the member has no place.
    public var host: HostName?
    /// Where it is to be; never changes.
    public var region: RegionCode
    /// Of its machine on the mesh; nil while the member has no place.
    public var address: IPv6Address?
    /// By the rule: `primary` is who leads, whether it is open or not.
    public var role: MemberReport.Role
    /// In words: `unplaced`, `machine <state>` when its machine is not `started`, else what the member reports.
    public var state: String
    /// Postgres's own count, as the member reports it; 0 before it has.
    public var timeline: UInt32
    /// Log of the primary that the member has not replayed. Nil: nobody knows, because its leader does not see it.
    public var lagBytes: UInt64?
    /// How old what its readers see may be. Nil before it has reported.
    public var lagSeconds: Double?
    /// Nil when there is nothing to say: its own words, and for how long it was not heard from.
    public var detail: String?

    /// What is nil is not known yet, or not there yet.
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

/// `GET /v1/postgres`
public struct ListClustersBody: Sendable, Codable {
    /// In the order of their names. One whose records have not all arrived at the asked host is missing.
    public var clusters: [ClusterBody]
    /// All that the asked host knows of.
    public init(clusters: [ClusterBody]) { self.clusters = clusters }
}

/// The last wish for a switchover that has not led to a new primary.
public struct SwitchoverState: Sendable, Codable, Hashable {
    /// As ``SwitchoverAnswer`` gave it to whoever asked.
    public var id: String
    /// Nil: any member that is up to date.
    public var target: MemberName?
    /// Why the leader goes on leading; nil while it is being carried out.
    public var refusal: String?

    /// As the rule has it.
    public init(id: String, target: MemberName?, refusal: String?) {
        self.id = id
        self.target = target
        self.refusal = refusal
    }
}

/// The answer to `POST /v1/postgres/{name}/switchover`: ``ClusterBody/switchover`` says under this id what became of it.
public struct SwitchoverAnswer: Sendable, Codable {
    /// Always true: what is refused is an ``ErrorBody``.
    public var ok = true
    /// Made by the host that took the wish. Nil from a host of the first version, which gave none.
    public var id: String?

    /// The wish is in the rule now.
    public init(id: String) { self.id = id }
}

/// `POST /v1/postgres/{name}/switchover`
public struct SwitchoverBody: Sendable, Codable {
    /// A member's name. Nil: the leader chooses one that is up to date.
    public var target: String?
    /// Nil is as good as a request without a body.
    public init(target: String?) { self.target = target }

    enum CodingKeys: String, CodingKey { case target = "to" }
}

/// `GET /v1/platform/ips`
public struct ListIPsBody: Sendable, Codable {
    /// One address of the anycast prefixes that is given away.
    public struct IP: Sendable, Codable, Hashable {
        /// Every edge takes connections to it.
        public var address: IPv4Address
        /// The cluster that it leads to.
        public var app: AppName
        /// TCP, the same for all: 5432 the primary, 5433 the nearest replica.
        public var ports: [UInt16]
        /// RFC 3339, in UTC.
        public var createdAt: String

        /// Nothing is checked.
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

    /// In the order of the addresses.
    public var ips: [IP]
    /// What the asked host's copy of the planet has.
    public init(ips: [IP]) { self.ips = ips }
}

/// `GET /v1/platform/hosts`
public struct ListHostsBody: Sendable, Codable {
    /// One host, as the asked one sees it.
    public struct Host: Sendable, Codable, Hashable {
        /// As in its own configuration.
        public var name: HostName
        /// As in its own configuration.
        public var region: RegionCode
        /// It answered one of the asked host's probes of late; the asked host itself always does. Another may see it
        /// otherwise.
        public var isReachable: Bool
        /// It announces the anycast prefixes when healthy and not stopped; whether it does so now only it knows.
        public var isEdge: Bool
        /// Its edge was stopped by hand. Nil on a host that is none, and from hosts that do not say.
        public var isEdgeStopped: Bool?
        /// It runs a member of the store.
        public var isStoreMember: Bool
        /// On the mesh; its API listens there.
        public var address: IPv6Address
        /// How many it has, stopped ones too, destroyed ones not.
        public var machines: Int
        /// How many it has.
        public var volumes: Int
        /// All that it offers to machines and volumes.
        public var capacity: HostCapacity
        /// What is not promised; never below zero. CPUs are shared by weight, so all of them are always free.
        public var free: HostCapacity

        /// Machines and volumes beside those, of which its program cannot read what they are; it does nothing to them.
        /// Nil: none.
        public var unreadableRows: Int?

        /// From the host's own record.
        public init(
            name: HostName, region: RegionCode, isReachable: Bool, isEdge: Bool, isEdgeStopped: Bool?,
            isStoreMember: Bool, address: IPv6Address, machines: Int, volumes: Int, capacity: HostCapacity,
            free: HostCapacity, unreadableRows: Int?
        ) {
            self.name = name
            self.region = region
            self.isReachable = isReachable
            self.isEdge = isEdge
            self.isEdgeStopped = isEdgeStopped
            self.isStoreMember = isStoreMember
            self.address = address
            self.machines = machines
            self.volumes = volumes
            self.capacity = capacity
            self.free = free
            self.unreadableRows = unreadableRows
        }

        enum CodingKeys: String, CodingKey {
            case name, region, address, machines, volumes, capacity, free
            case unreadableRows = "unreadable_rows"
            case isReachable = "reachable"
            case isEdge = "edge"
            case isEdgeStopped = "edge_stopped"
            case isStoreMember = "store_member"
        }
    }

    /// In the order of their names.
    public var hosts: [Host]
    /// The asked one: which hosts are reachable is as it sees them. Nil from hosts that do not say.
    public var asked: HostName?

    /// All that the asked host knows of.
    public init(hosts: [Host], asked: HostName?) {
        self.hosts = hosts
        self.asked = asked
    }
}

/// `GET /v1/platform/mesh`: one row for each host that answered.
public struct MeshMatrixBody: Sendable, Codable {
    /// What one host measures.
    public struct Row: Sendable, Codable {
        /// Who measures.
        public var host: HostName
        /// Its region.
        public var region: RegionCode
        /// To all others, in the order of their names.
        public var paths: [Path]

        /// As the host itself has measured.
        public init(host: HostName, region: RegionCode, paths: [Path]) {
            self.host = host
            self.region = region
            self.paths = paths
        }
    }

    /// The way to one other host, by probes over UDP outside of the tunnel.
    public struct Path: Sendable, Codable {
        /// Who was probed.
        public var peer: HostName
        /// Smoothed as RFC 6298 does for TCP. Nil: no probe was ever answered.
        public var roundTripMicroseconds: Int64?
        /// The variation of the round trip, of RFC 6298 too. Nil with the round trip.
        public var jitterMicroseconds: Int64?
        /// Of the last probes whose fate is known, 0 to 100; 0 before the first is known.
        public var lossPercent: Double
        /// The same of probes as large as the mesh's largest packet: a path may carry small packets only. Nil before the
        /// fate of one is known, and from hosts that send none.
        public var fullSizeLossPercent: Double?

        /// As the prober's table has it.
        public init(
            peer: HostName, roundTripMicroseconds: Int64?, jitterMicroseconds: Int64?, lossPercent: Double,
            fullSizeLossPercent: Double? = nil
        ) {
            self.peer = peer
            self.roundTripMicroseconds = roundTripMicroseconds
            self.jitterMicroseconds = jitterMicroseconds
            self.lossPercent = lossPercent
            self.fullSizeLossPercent = fullSizeLossPercent
        }

        enum CodingKeys: String, CodingKey {
            case peer
            case roundTripMicroseconds = "rtt_us"
            case jitterMicroseconds = "jitter_us"
            case lossPercent = "loss_percent"
            case fullSizeLossPercent = "full_size_loss_percent"
        }
    }

    /// By region, then by name.
    public var rows: [Row]
    /// Hosts that did not answer in time.
    public var silent: [HostName]

    /// Every host that is known is in one of the two.
    public init(rows: [Row], silent: [HostName]) {
        self.rows = rows
        self.silent = silent
    }
}

/// `POST /v1/platform/hosts/{host}/edge`
public struct EdgeRequest: Sendable, Codable {
    /// What can be asked of an edge.
    public enum State: String, ClosedEnum {
        /// `started`: it announces and takes connections. `stopped`: it drains, withdraws, then takes none, also after a
        /// restart.
        case started, stopped
        /// Another process of the program that is installed now takes over; no connection is cut. Nothing else changes.
        case replaced
    }

    /// What it is to be from now on.
    public var state: State
    /// Also the last edge that lets clients in may be stopped. Nil: it may not.
    public var force: Bool?
    /// Repeating it changes nothing.
    public init(state: State, force: Bool? = nil) {
        self.state = state
        self.force = force
    }
}
