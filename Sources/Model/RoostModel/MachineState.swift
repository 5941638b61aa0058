/// The states of a machine, in Fly.io's words.
public enum MachineState: OpenEnum {
    /// Known to its host, never started. Becomes `starting` or `destroying`.
    case created
    /// Being prepared or launched. Becomes `started`; `failed` when it cannot be launched; `stopping` by an order.
    case starting
    /// Its process 1 runs. Becomes `stopping`, `restarting` or, when the process ends, `starting` or `stopped`.
    case started
    /// Was told to end, or has ended and is being cleared away. Becomes `stopped` or `failed`; `restarting` when it is
    /// started before it has ended.
    case stopping
    /// Being stopped to be started again at once. Becomes `starting`; `stopping` when it is stopped once more.
    case restarting
    /// Its process has ended and nothing will start it but an order. Becomes `starting` or `destroying`.
    case stopped
    /// Being taken apart. Becomes `destroyed`.
    case destroying
    /// Gone; only its record is left, for a while.
    case destroyed
    /// Could not be launched and will not be tried again by itself. Becomes `starting` or `destroying`.
    case failed
    /// A word of a newer version.
    case unknown(String)

    public static let known: [Self] = [
        .created, .starting, .started, .stopping, .restarting, .stopped, .destroying, .destroyed, .failed,
    ]

    public var rawValue: String {
        switch self {
        case .created: "created"
        case .starting: "starting"
        case .started: "started"
        case .stopping: "stopping"
        case .restarting: "restarting"
        case .stopped: "stopped"
        case .destroying: "destroying"
        case .destroyed: "destroyed"
        case .failed: "failed"
        case .unknown(let word): word
        }
    }
}

/// The states of a volume, in Fly.io's words.
public enum VolumeState: OpenEnum {
    /// Being made on its host.
    case creating
    /// Whole; a machine may mount it.
    case created
    /// Being removed.
    case pendingDestroy
    /// Gone.
    case destroyed
    /// A word of a newer version.
    case unknown(String)

    public static let known: [Self] = [.creating, .created, .pendingDestroy, .destroyed]

    public var rawValue: String {
        switch self {
        case .creating: "creating"
        case .created: "created"
        case .pendingDestroy: "pending_destroy"
        case .destroyed: "destroyed"
        case .unknown(let word): word
        }
    }
}

/// Something that happened to a machine, newest first in lists. Times are wall-clock milliseconds, for people.
public struct MachineEvent: Hashable, Sendable, Codable {
    /// What happened.
    public enum Kind: OpenEnum {
        case launch
        case start
        case restart
        case stop
        case exit
        case destroy
        case failure
        /// A word of a newer version.
        case unknown(String)

        public static let known: [Self] = [.launch, .start, .restart, .stop, .exit, .destroy, .failure]

        public var rawValue: String {
            switch self {
            case .launch: "launch"
            case .start: "start"
            case .restart: "restart"
            case .stop: "stop"
            case .exit: "exit"
            case .destroy: "destroy"
            case .failure: "failure"
            case .unknown(let word): word
            }
        }
    }

    /// Who caused it.
    public enum Source: OpenEnum {
        case user
        case roostd
        /// A word of a newer version.
        case unknown(String)

        public static let known: [Self] = [.user, .roostd]

        public var rawValue: String {
            switch self {
            case .user: "user"
            case .roostd: "roostd"
            case .unknown(let word): word
            }
        }
    }

    public var id: String
    public var type: Kind
    /// The state that the event led to.
    public var status: MachineState
    public var source: Source
    public var timestamp: Int64
    public var request: Detail?

    public struct Detail: Hashable, Sendable, Codable {
        public var exitEvent: Exit?
        public var message: String?

        public init(exitEvent: Exit? = nil, message: String? = nil) {
            self.exitEvent = exitEvent
            self.message = message
        }

        enum CodingKeys: String, CodingKey {
            case exitEvent = "exit_event"
            case message
        }
    }

    public struct Exit: Hashable, Sendable, Codable {
        public var exitCode: Int
        public var signal: Int?
        public var oomKilled: Bool
        public var requestedStop: Bool
        public var restarting: Bool

        public init(exitCode: Int, signal: Int?, oomKilled: Bool, requestedStop: Bool, restarting: Bool) {
            self.exitCode = exitCode
            self.signal = signal
            self.oomKilled = oomKilled
            self.requestedStop = requestedStop
            self.restarting = restarting
        }

        enum CodingKeys: String, CodingKey {
            case exitCode = "exit_code"
            case signal
            case oomKilled = "oom_killed"
            case requestedStop = "requested_stop"
            case restarting
        }
    }

    public init(
        id: String, type: Kind, status: MachineState, source: Source, timestamp: Int64, request: Detail? = nil
    ) {
        self.id = id
        self.type = type
        self.status = status
        self.source = source
        self.timestamp = timestamp
        self.request = request
    }
}
