/// What a machine is to be: the shape of Fly.io's `fly.MachineConfig`, the fields this version acts on.
///
/// A request that sets any other field of Fly's config is refused with the field's name, so nobody believes in a
/// setting that is silently ignored.
public struct MachineConfig: Hashable, Sendable, Codable {
    /// As ``ImageReference`` reads it. Checked once more at each launch.
    public var image: String
    /// Limits of CPU and memory; absent means Fly's smallest machine.
    public var guest: MachineGuest
    /// Added to the image's own and stronger than it, but not than the names that the platform sets (`FLY_…`,
    /// `ROOST_…`).
    public var environment: [String: String]
    /// Labels that lists can be narrowed by; nothing follows from them, but `fly_process_group` is in the environment.
    public var metadata: [String: String]
    /// Absent: the image's own command.
    public var initial: MachineInit
    /// None or one: a machine has at most one volume, as on Fly.io.
    public var mounts: [MachineMount]
    /// What follows when process 1 ends by itself.
    public var restart: MachineRestart
    /// How an ordered end goes about.
    public var stop: StopConfig
    /// The machine is destroyed when it has ended by itself and its restart policy asks for nothing more.
    public var autoDestroy: Bool

    /// What is left out gets the default that a request without the field gets.
    public init(
        image: String, guest: MachineGuest = .init(), environment: [String: String] = [:],
        metadata: [String: String] = [:], initial: MachineInit = .init(), mounts: [MachineMount] = [],
        restart: MachineRestart = .init(), stop: StopConfig = .init(), autoDestroy: Bool = false
    ) {
        self.image = image
        self.guest = guest
        self.environment = environment
        self.metadata = metadata
        self.initial = initial
        self.mounts = mounts
        self.restart = restart
        self.stop = stop
        self.autoDestroy = autoDestroy
    }

    enum CodingKeys: String, CodingKey {
        case image, guest
        case environment = "env"
        case metadata
        case initial = "init"
        case mounts, restart
        case stop = "stop_config"
        case autoDestroy = "auto_destroy"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        image = try container.decode(String.self, forKey: .image)
        guest = try container.decodeIfPresent(MachineGuest.self, forKey: .guest) ?? .init()
        environment = try container.decodeIfPresent([String: String].self, forKey: .environment) ?? [:]
        metadata = try container.decodeIfPresent([String: String].self, forKey: .metadata) ?? [:]
        initial = try container.decodeIfPresent(MachineInit.self, forKey: .initial) ?? .init()
        mounts = try container.decodeIfPresent([MachineMount].self, forKey: .mounts) ?? []
        restart = try container.decodeIfPresent(MachineRestart.self, forKey: .restart) ?? .init()
        stop = try container.decodeIfPresent(StopConfig.self, forKey: .stop) ?? .init()
        autoDestroy = try container.decodeIfPresent(Bool.self, forKey: .autoDestroy) ?? false
    }
}

/// The size of a machine, Fly's `fly.MachineGuest`.
public struct MachineGuest: Hashable, Sendable, Codable {
    /// How much of a CPU is promised.
    public enum CPUKind: OpenEnum {
        /// A sixteenth of a core's weight: with work on all sides it gets that much, on an idle host all of ``cpus``.
        case shared
        /// A whole core's weight.
        case performance
        /// A word of a newer version.
        case unknown(String)

        public static let known: [Self] = [.shared, .performance]

        public var rawValue: String {
            switch self {
            case .shared: "shared"
            case .performance: "performance"
            case .unknown(let word): word
            }
        }
    }

    /// Weighs against other machines of the host; a word of a newer version counts as ``CPUKind/shared``.
    public var cpuKind: CPUKind
    /// The most cores that it may use at one time, 1 to 1,024.
    public var cpus: Int
    /// The hard limit, in MiB (Fly's `memory_mb` is MiB too), 64 MiB to 1 TiB. What needs more is ended by the kernel.
    public var memoryMebibytes: Int

    /// Fly's smallest machine, `shared-cpu-1x`.
    public init(cpuKind: CPUKind = .shared, cpus: Int = 1, memoryMebibytes: Int = 256) {
        self.cpuKind = cpuKind
        self.cpus = cpus
        self.memoryMebibytes = memoryMebibytes
    }

    enum CodingKeys: String, CodingKey {
        case cpuKind = "cpu_kind"
        case cpus
        case memoryMebibytes = "memory_mb"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        cpuKind = try container.decodeIfPresent(CPUKind.self, forKey: .cpuKind) ?? .shared
        cpus = try container.decodeIfPresent(Int.self, forKey: .cpus) ?? 1
        memoryMebibytes = try container.decodeIfPresent(Int.self, forKey: .memoryMebibytes) ?? 256
    }
}

/// How the image's command is replaced. `exec` replaces everything; `entrypoint` and `cmd` their own part.
public struct MachineInit: Hashable, Sendable, Codable {
    /// Replaces entrypoint and command together. Nil: those below count.
    public var exec: [String]?
    /// Replaces the image's entrypoint; the image's command stays and becomes its arguments. Nil: the image's own.
    public var entrypoint: [String]?
    /// Replaces the image's command, the arguments of the entrypoint. Nil: the image's own.
    public var cmd: [String]?

    /// All nil: what the image says.
    public init(exec: [String]? = nil, entrypoint: [String]? = nil, cmd: [String]? = nil) {
        self.exec = exec
        self.entrypoint = entrypoint
        self.cmd = cmd
    }
}

/// A volume at a place in the machine, Fly's `fly.MachineMount`.
public struct MachineMount: Hashable, Sendable, Codable {
    /// Must be on the machine's host, of its app, and no other machine's.
    public var volume: VolumeID
    /// An absolute folder below `/`, without `.` and `..`. It is made if the image has none.
    public var path: String

    /// Checked by the host, not here.
    public init(volume: VolumeID, path: String) {
        self.volume = volume
        self.path = path
    }
}

/// What follows when process 1 ends without an order, Fly's `fly.MachineRestart`.
public struct MachineRestart: Hashable, Sendable, Codable {
    /// When a machine that ended is started again.
    public enum Policy: OpenEnum {
        /// It stays as it ended.
        case no
        /// Started again, however it ended, without an end of tries.
        case always
        /// Started again after a signal or a status other than 0.
        case onFailure
        /// A word of a newer version.
        case unknown(String)

        public static let known: [Self] = [.no, .always, .onFailure]

        public var rawValue: String {
            switch self {
            case .no: "no"
            case .always: "always"
            case .onFailure: "on-failure"
            case .unknown(let word): word
            }
        }
    }

    /// A word of a newer version restarts nothing.
    public var policy: Policy
    /// Restarts in a row before `on-failure` gives up. Nil: Fly's default, 10.
    public var retriesMax: Int?

    /// Fly's default without arguments.
    public init(policy: Policy = .onFailure, retriesMax: Int? = nil) {
        self.policy = policy
        self.retriesMax = retriesMax
    }

    /// A restart without a policy is Fly's default, `on-failure`.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let isUnset = try container.decodeIfPresent(String.self, forKey: .policy)?.isEmpty ?? true
        policy = isUnset ? .onFailure : try container.decode(Policy.self, forKey: .policy)
        retriesMax = try container.decodeIfPresent(Int.self, forKey: .retriesMax)
    }

    enum CodingKeys: String, CodingKey {
        case policy
        case retriesMax = "max_retries"
    }
}

/// How a machine is told to end, Fly's `fly.StopConfig`.
public struct StopConfig: Hashable, Sendable, Codable {
    /// A signal's name, `SIGINT` or `INT`.
    public var signal: String?
    /// As Fly writes durations, `5s`, `1m30s`; or whole nanoseconds.
    public var timeout: DurationText?

    /// Nil is the default of each.
    public init(signal: String? = nil, timeout: DurationText? = nil) {
        self.signal = signal
        self.timeout = timeout
    }

    /// Fly's defaults: SIGINT, 5 s.
    public static let signalDefault = "SIGINT"
    /// Fly's default.
    public static let timeoutDefault = Duration.seconds(5)
    /// A host refuses a longer one.
    public static let timeoutMax = Duration.seconds(300)

    /// How long process 1 has before it gets SIGKILL.
    public var effectiveTimeout: Duration { timeout?.duration ?? Self.timeoutDefault }
    /// What process 1 gets first.
    public var effectiveSignal: String { signal ?? Self.signalDefault }
}

/// A duration in Go's notation (`300ms`, `15s`, `1m30s`), as the Machines API writes it; on the way in also
/// a number of nanoseconds.
public struct DurationText: Hashable, Sendable, Codable {
    /// From outside never negative.
    public let duration: Duration

    /// Some thirty years: more would not fit into the milliseconds of records.
    public static let longest = Duration.seconds(1_000_000_000)

    /// A time of our own; nothing is checked.
    public init(_ duration: Duration) { self.duration = duration }

    /// Reads numbers with units, `h`, `m`, `s`, `ms`, `us` or `µs`, `ns`, without fractions or a sign.
    /// - Throws: ``InvalidValue`` for another text, and for more than ``longest`` in all.
    public init(_ text: String) throws(InvalidValue) {
        let wrong = InvalidValue(kind: "duration", value: text, rule: "for example 300ms, 15s or 1m30s")
        var total = Duration.zero
        var rest = Substring(text)
        guard !rest.isEmpty else { throw wrong }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            guard let count = Int64(digits), count <= 1_000_000_000 else { throw wrong }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(unit.count)
            switch unit {
            case "ns": total += .nanoseconds(count)
            case "us", "µs": total += .microseconds(count)
            case "ms": total += .milliseconds(count)
            case "s": total += .seconds(count)
            case "m": total += .seconds(count * 60)
            case "h": total += .seconds(count * 3600)
            default: throw wrong
            }
            guard total <= Self.longest else { throw wrong }
        }
        duration = total
    }

    /// Reads what Go writes for a duration.
    private init(nanoseconds: Int64) throws(InvalidValue) {
        duration = .nanoseconds(nanoseconds)
        guard nanoseconds >= 0, duration <= Self.longest else {
            throw InvalidValue(
                kind: "duration", value: String(nanoseconds), rule: "nanoseconds, from 0 to some thirty years")
        }
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        do {
            if let nanoseconds = try? container.decode(Int64.self) {
                try self.init(nanoseconds: nanoseconds)
            } else {
                try self.init(container.decode(String.self))
            }
        } catch let error as InvalidValue {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: error.description))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

extension DurationText: CustomStringConvertible {
    public var description: String {
        let (seconds, attoseconds) = duration.components
        if attoseconds == 0 { return "\(seconds)s" }
        // In the largest unit that loses nothing, in two numbers where one would be longer than can be read back.
        let nanoseconds = attoseconds / 1_000_000_000
        let rest =
            nanoseconds % 1_000_000 == 0
            ? "\(nanoseconds / 1_000_000)ms" : nanoseconds % 1000 == 0 ? "\(nanoseconds / 1000)us" : "\(nanoseconds)ns"
        return seconds == 0 ? rest : "\(seconds)s" + rest
    }
}
