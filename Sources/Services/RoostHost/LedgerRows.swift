public import RoostMachines
public import RoostModel

/// A machine in the host's ledger: what it is, what it shall be, and what is needed to go on after a crash.
public struct MachineRow: Hashable, Sendable, Codable {
    /// What the machine shall be.
    public enum Goal: String, Sendable, Codable { case started, stopped, destroyed }

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
    /// The member said that it accepts clients. Closed again with every launch.
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
    public var member: MemberName?
    public var startsAtOnce: Bool

    public init(
        id: MachineID, name: String, app: AppName, network: NetworkNumber, config: MachineConfig,
        member: MemberName?, startsAtOnce: Bool
    ) {
        self.id = id
        self.name = name
        self.app = app
        self.network = network
        self.config = config
        self.member = member
        self.startsAtOnce = startsAtOnce
    }
}
