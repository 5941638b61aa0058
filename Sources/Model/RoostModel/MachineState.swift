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

    /// Nothing of the machine runs, and nothing will but by an order: who wanted it stopped has what they wanted.
    public static let withoutProcess: [Self] = [.created, .stopped, .failed, .destroyed]

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
        /// The host took the machine on: the first event of each.
        case launch
        /// Somebody ordered a start, or process 1 runs; ``MachineEvent/source`` says which.
        case start
        /// Somebody ordered a restart.
        case restart
        /// Somebody ordered a stop, or the machine has come to rest after one.
        case stop
        /// Process 1 has ended; ``MachineEvent/request`` says how.
        case exit
        /// Somebody ordered it, or nothing is left.
        case destroy
        /// A launch came to nothing; the message says why.
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
        /// Somebody's order by the API.
        case user
        /// What the host found or did by itself, or was told by the platform, which has the machine for something else: a
        /// member of a cluster is made and taken away by nobody's order for this machine.
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

    /// Fly's form: 26 characters that sort by age (a ULID).
    public var id: String
    /// What happened.
    public var type: Kind
    /// The state that the event led to.
    public var status: MachineState
    /// Who ordered it or found it.
    public var source: Source
    /// Wall clock of the host, in milliseconds.
    public var timestamp: Int64
    /// More about it; nil when the type says it all. Fly's name, though nobody requested anything.
    public var request: Detail?

    /// What there is to say beside the type.
    public struct Detail: Hashable, Sendable, Codable {
        /// Only with ``Kind/exit``.
        public var exitEvent: Exit?
        /// Why, in words for people. Only where Roost has something to say: Fly.io has no such field.
        public var message: String?

        /// One of them at least, else an event has none.
        public init(exitEvent: Exit? = nil, message: String? = nil) {
            self.exitEvent = exitEvent
            self.message = message
        }

        enum CodingKeys: String, CodingKey {
            case exitEvent = "exit_event"
            case message
        }
    }

    /// How process 1 ended; Fly's `exit_event`.
    public struct Exit: Hashable, Sendable, Codable {
        /// 0 to 255, see ``MachineExit/code``; 137 also when nobody saw the end.
        public var exitCode: Int
        /// Nil where it is not known for sure, see ``MachineExit/signal``.
        public var signal: Int?
        /// The kernel ended process 1 for want of memory.
        public var oomKilled: Bool
        /// It was told to end, by a stop, a restart or a destroy: no fault of it.
        public var requestedStop: Bool
        /// A new launch follows, by the restart policy or by the order.
        public var restarting: Bool

        /// As the machine's life has judged the end.
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

    /// Its id and time are given by who writes it down.
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
