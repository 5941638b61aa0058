public import RoostModel
public import RoostRuntime

/// A machine in the host's ledger: what it is, what it shall be, and what is needed to go on after a crash.
public struct MachineRow: Hashable, Sendable, Codable {
    /// What the machine shall be.
    public enum Goal: OpenEnum {
        case started
        case stopped
        case destroyed
        /// A word of a newer version: the machine is left as it is.
        case unknown(String)

        public static let known: [Self] = [.started, .stopped, .destroyed]

        public var rawValue: String {
            switch self {
            case .started: "started"
            case .stopped: "stopped"
            case .destroyed: "destroyed"
            case .unknown(let word): word
            }
        }
    }

    public var record: MachineRecord
    public var goal: Goal
    /// The newest launch. Written before the launch is tried, so that a running process can always be named.
    public var attempt: String?
    /// This launch is to be stopped and followed by a new one.
    public var restartAttempt: String?
    /// The launch whose end is already in `events` and was decided on.
    public var concludedAttempt: String?
    public var restarts: RestartHistory
    /// How the stop was asked for, if not by the config's own words.
    public var stopSignal: String?
    public var stopTimeoutMilliseconds: Int64?
    /// The owner said that the machine accepts clients. Closed again with every launch.
    public var isGateOpen: Bool
    /// Newest first, at most ``eventsMax``.
    public var events: [MachineEvent]

    public static let eventsMax = 50

    public init(record: MachineRecord, goal: Goal) {
        self.record = record
        self.goal = goal
        restarts = RestartHistory()
        isGateOpen = false
        events = []
    }

    mutating func add(_ event: MachineEvent) {
        events.insert(event, at: 0)
        if events.count > Self.eventsMax { events.removeLast(events.count - Self.eventsMax) }
    }
}

/// An order to make a volume. The id is made by whoever orders, so that an order can be repeated.
public struct VolumeOrder: Hashable, Sendable, Codable {
    public var id: VolumeID
    public var name: String
    public var app: AppName
    public var size: ByteCount
    public var reserved: MachineGuest?

    public init(id: VolumeID, name: String, app: AppName, size: ByteCount, reserved: MachineGuest?) {
        self.id = id
        self.name = name
        self.app = app
        self.size = size
        self.reserved = reserved
    }
}

/// An order to make a machine, likewise repeatable.
public struct MachineOrder: Hashable, Sendable, Codable {
    public var id: MachineID
    public var name: String
    public var app: AppName
    public var network: NetworkNumber
    public var config: MachineConfig
    public var owner: MachineOwner?
    public var startsAtOnce: Bool

    public init(
        id: MachineID, name: String, app: AppName, network: NetworkNumber, config: MachineConfig,
        owner: MachineOwner?, startsAtOnce: Bool
    ) {
        self.id = id
        self.name = name
        self.app = app
        self.network = network
        self.config = config
        self.owner = owner
        self.startsAtOnce = startsAtOnce
    }

    enum CodingKeys: String, CodingKey {
        case id, name, app, network, config, owner
        /// The first version's word for the role in a Postgres cluster.
        case member
        case startsAtOnce
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        id = try container.decode(MachineID.self, forKey: .id)
        name = try container.decode(String.self, forKey: .name)
        app = try container.decode(AppName.self, forKey: .app)
        network = try container.decode(NetworkNumber.self, forKey: .network)
        config = try container.decode(MachineConfig.self, forKey: .config)
        owner = try container.decodeOwner(.owner, former: .member, app: app)
        startsAtOnce = try container.decode(Bool.self, forKey: .startsAtOnce)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(name, forKey: .name)
        try container.encode(app, forKey: .app)
        try container.encode(network, forKey: .network)
        try container.encode(config, forKey: .config)
        try container.encodeOwner(owner, .owner, former: .member)
        try container.encode(startsAtOnce, forKey: .startsAtOnce)
    }
}
