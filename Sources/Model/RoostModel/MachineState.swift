/// The states of a machine, in Fly.io's words.
public enum MachineState: String, Sendable, Codable, CaseIterable {
    /// Known to its host, never started. Becomes `starting` or `destroying`.
    case created
    /// Being prepared or launched. Becomes `started`, or `stopped` when the launch fails.
    case starting
    /// Its process 1 runs. Becomes `stopping`, `restarting` or, when the process ends, `starting` or `stopped`.
    case started
    /// Was sent its stop signal. Becomes `stopped`.
    case stopping
    /// Being stopped to be started again at once. Becomes `starting`.
    case restarting
    /// Its process has ended and nothing will start it but an order. Becomes `starting` or `destroying`.
    case stopped
    /// Being taken apart. Becomes `destroyed`.
    case destroying
    /// Gone; only its record is left, for a while.
    case destroyed
    /// Could not be launched and will not be tried again by itself. Becomes `starting` or `destroying`.
    case failed
}

public enum VolumeState: String, Sendable, Codable, CaseIterable {
    case creating, created
    case pendingDestroy = "pending_destroy"
    case destroyed
}

/// Something that happened to a machine, newest first in lists. Times are wall-clock milliseconds, for people.
public struct MachineEvent: Hashable, Sendable, Codable {
    public enum Kind: String, Sendable, Codable { case launch, start, restart, stop, exit, destroy, failure }
    public enum Source: String, Sendable, Codable { case user, roostd }

    public var id: String
    public var type: Kind
    /// The machine's state after the event.
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
