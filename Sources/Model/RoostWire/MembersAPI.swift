public import RoostModel

// Members of a cluster that come and go.

/// `POST /v1/postgres/{name}/members` and `…/members/{member}/replace`: where the member that comes is to be.
public struct AddMemberBody: Sendable, Codable {
    /// A region's code. Nil: that of the host, or of the member that is replaced.
    public var region: String?
    /// A host's name: there or nowhere. Nil: any of the region with room.
    public var host: String?

    /// One of them at least for a member that replaces none.
    public init(region: String? = nil, host: String? = nil) {
        self.region = region
        self.host = host
    }
}

/// `PUT /v1/postgres/{name}/scale`
public struct ScaleBody: Sendable, Codable {
    /// How many members each of these regions is to have; regions that are not named keep theirs.
    public var regions: [String: Int]

    /// By the regions' codes.
    public init(regions: [String: Int]) { self.regions = regions }
}

/// `PUT /v1/postgres/{name}/replace-after`
public struct ReplaceAfterBody: Sendable, Codable {
    /// `never`, or a duration from 10s to 168h: as ``ReplacementTerm`` reads it.
    public var after: String

    /// Checked by who takes it.
    public init(after: String) { self.after = after }
}

/// The answer to whoever asks that members come or go: ``ClusterBody/change`` says under this id how far it is.
public struct ChangeAnswer: Sendable, Codable {
    /// Always true: what is refused is an ``ErrorBody``.
    public var ok = true
    /// Also the operation's. Nil: the cluster has these members already.
    public var id: String?

    /// The wish is in the rule now, or needs not be.
    public init(id: String?) { self.id = id }
}

/// `DELETE /v1/postgres/{name}/scale`, `DELETE /v1/postgres/{name}/restart`
public struct TakenBackBody: Sendable, Codable {
    /// Always true: what is refused is an ``ErrorBody``.
    public var ok = true
    /// False: nothing was under way, and nothing is changed. Nil from a host of an earlier version.
    public var wasUnderWay: Bool?

    /// As the store says.
    public init(wasUnderWay: Bool) { self.wasUnderWay = wasUnderWay }

    enum CodingKeys: String, CodingKey {
        case ok
        case wasUnderWay = "was_under_way"
    }
}

/// A request that members come or go.
public struct ChangeState: Sendable, Codable, Hashable {
    /// One member that comes or goes.
    public struct Step: Sendable, Codable, Hashable {
        /// What becomes of the member.
        public var kind: MemberChange.Step.Kind
        /// Who comes or goes.
        public var member: MemberName

        init(_ step: MemberChange.Step) {
            kind = step.kind
            member = step.member
        }
    }

    /// As ``ChangeAnswer`` gave it to whoever asked.
    public var id: String
    /// What is to be done yet; the first is under way.
    public var left: [Step]
    /// In the order in which it was done.
    public var done: [Step]
    /// Why nothing more is done; nil while it goes on, and when nothing is left.
    public var refusal: String?
    /// Nobody has asked for it: a lost member is replaced. Nil means no.
    public var isAutomatic: Bool?

    enum CodingKeys: String, CodingKey {
        case id, left, done, refusal
        case isAutomatic = "automatic"
    }

    /// As the rule has it.
    public init(_ change: MemberChange) {
        isAutomatic = change.isAutomatic
        id = change.id
        left = change.left.map(Step.init)
        done = change.done.map(Step.init)
        refusal = change.refusal
    }
}

/// The answer to whoever asks for readers: ``ClusterBody/readers`` says how far they are.
public struct ReadersAnswer: Sendable, Codable {
    /// Always true: what is refused is an ``ErrorBody``.
    public var ok = true
    /// All that the cluster is to have from now on.
    public var readers: [MemberName]

    /// It is written.
    public init(readers: [MemberName]) { self.readers = readers }
}

/// One that only reads.
public struct ReaderBody: Sendable, Codable, Hashable {
    /// `<cluster>-<number>`: no member has, had or gets the same.
    public var name: MemberName
    /// Nil while it has no place; as ``volume``, ``host`` and ``address``.
    public var machine: MachineID?
    /// See ``machine``.
    public var volume: VolumeID?
    /// See ``machine``.
    public var host: HostName?
    /// Where it is to be.
    public var region: RegionCode
    /// Of its machine on the mesh. See ``machine``.
    public var address: IPv6Address?
    /// The lost reader in whose place it came by itself; nil: somebody has asked for it.
    public var replaces: MemberName?
    /// The standby that it follows, or is to; nil: none is known to it that could feed it.
    public var upstream: MemberName?
    /// As ``MemberBody/state``.
    public var state: String
    /// It is fed by a standby that confirms: edges bring readers to it.
    public var isServing: Bool
    /// Log of the primary that it does not show yet. Nil: nobody knows.
    public var lagBytes: UInt64?
    /// How old what it shows may be. Nil: nobody knows.
    public var lagSeconds: Double?
    /// Nil when there is nothing to say.
    public var detail: String?

    /// What is nil is not known yet, or not there yet.
    public init(name: MemberName, placement: MemberPlacement?, region: RegionCode, state: String) {
        self.name = name
        machine = placement?.machine
        volume = placement?.volume
        host = placement?.host
        address = placement?.address
        self.region = region
        self.state = state
        isServing = false
    }

    enum CodingKeys: String, CodingKey {
        case name, machine, volume, host, region, address, replaces, upstream, state, detail
        case isServing = "is_serving"
        case lagBytes = "lag_bytes"
        case lagSeconds = "lag_seconds"
    }
}
