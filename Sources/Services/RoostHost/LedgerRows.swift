public import RoostMachineLife
public import RoostModel

/// A machine in the host's ledger: what it is, what it shall be, and what is needed to go on after a crash.
public struct MachineRow: Hashable, Sendable, Codable {
    /// As it is published. Its state follows from the life.
    public var record: MachineRecord
    /// What it shall be, and how far that has come.
    public internal(set) var life: MachineLife
    /// The gated ports that its owner has opened. Closed again with every launch.
    public internal(set) var openPorts: Set<UInt16>
    /// Newest first, at most ``eventsMax``.
    public var events: [MachineEvent]
    /// The first version wrote down that the gate was open, and there was one port.
    var hadOpenGate = false

    public static let eventsMax = 50

    public init(record: MachineRecord, life: MachineLife) {
        self.record = record
        self.life = life
        openPorts = []
        events = []
    }

    mutating func add(_ event: MachineEvent) {
        events.insert(event, at: 0)
        if events.count > Self.eventsMax { events.removeLast(events.count - Self.eventsMax) }
    }

    private enum CodingKeys: String, CodingKey {
        case record, life, events
        case openPorts = "open_ports"
    }

    /// The first version's, written on for it where it needs them.
    static let formerMembers = Set(FormerMachineRow.CodingKeys.allCases.map(\.stringValue))

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        record = try container.decode(MachineRecord.self, forKey: .record)
        events = try container.decode([MachineEvent].self, forKey: .events)
        if let life = try container.decodeIfPresent(MachineLife.self, forKey: .life) {
            self.life = life
            openPorts = try container.decode(Set<UInt16>.self, forKey: .openPorts)
        } else {
            let former = try FormerMachineRow(from: decoder)
            life = MachineLife(phase: former.phase(of: record, events), restarts: former.restarts)
            openPorts = []
            hadOpenGate = former.isGateOpen
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(record, forKey: .record)
        try container.encode(life, forKey: .life)
        // In an order, so that equal rows are equal bytes.
        try container.encode(openPorts.sorted(), forKey: .openPorts)
        try container.encode(events, forKey: .events)
        try FormerMachineRow(life, isGateOpen: !openPorts.isEmpty).encode(to: encoder)
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
        /// The first version's word for the owner's role.
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
