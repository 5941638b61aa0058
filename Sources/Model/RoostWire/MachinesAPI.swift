public import RoostModel

// The REST shapes of Fly.io's Machines API (part of it), field by field as its OpenAPI description has them.

/// `POST /v1/apps`, Fly's `CreateAppRequest`.
public struct CreateAppRequest: Sendable, Codable {
    /// One of this and ``appName`` must be there.
    public var name: String?
    /// The older spelling in Fly's guides.
    public var appName: String?
    /// A private network to share with other apps that name it. Nil or empty: one of its own.
    public var network: String?
    /// Taken from Fly's clients and without a meaning: there is one organization.
    public var organization: String?

    /// In the present spelling.
    public init(name: String, network: String? = nil) {
        self.name = name
        self.network = network
    }

    enum CodingKeys: String, CodingKey {
        case name
        case appName = "app_name"
        case network
        case organization = "org_slug"
    }
}

/// An app, Fly's `App`.
public struct AppBody: Sendable, Codable, Hashable {
    /// The name once more: here it is what does not change.
    public var id: String
    /// Unique on the planet.
    public var name: AppName
    /// The network's name, not its number.
    public var network: String
    /// `deployed` with a machine, whatever its state, else `pending`.
    public var status: String
    /// On all hosts that the asked one knows of; destroyed ones do not count.
    public var machineCount: Int
    /// On all hosts that the asked one knows of.
    public var volumeCount: Int
    /// Milliseconds since 1970, unlike other times of this API: so has Fly's.
    public var createdAt: Int64

    /// Counted by the asked host.
    public init(
        id: String, name: AppName, network: String, status: String, machineCount: Int, volumeCount: Int,
        createdAt: Int64
    ) {
        self.id = id
        self.name = name
        self.network = network
        self.status = status
        self.machineCount = machineCount
        self.volumeCount = volumeCount
        self.createdAt = createdAt
    }

    enum CodingKeys: String, CodingKey {
        case id, name, network, status
        case machineCount = "machine_count"
        case volumeCount = "volume_count"
        case createdAt = "created_at"
    }
}

/// `GET /v1/apps`
public struct ListAppsBody: Sendable, Codable {
    /// In the order of their names.
    public var apps: [AppBody]
    /// How many there are; the list is always whole.
    public var totalApps: Int

    /// All that the asked host knows of.
    public init(apps: [AppBody]) {
        self.apps = apps
        totalApps = apps.count
    }

    enum CodingKeys: String, CodingKey {
        case apps
        case totalApps = "total_apps"
    }
}

/// `POST /v1/apps/{app}/machines`, Fly's `CreateMachineRequest`.
public struct CreateMachineRequest: Sendable, Codable {
    /// A DNS label, unique among the app's machines. Nil or empty: `machine-<id>`.
    public var name: String?
    /// Nil or empty: the region of the host that takes the request, or that of the volume.
    public var region: String?
    /// Checked before a host is asked, and by the host.
    public var config: MachineConfig
    /// True: the machine is only made, and stays `created` until somebody starts it.
    public var skipLaunch: Bool?

    /// What is left out the host decides.
    public init(name: String? = nil, region: String? = nil, config: MachineConfig, skipLaunch: Bool? = nil) {
        self.name = name
        self.region = region
        self.config = config
        self.skipLaunch = skipLaunch
    }

    enum CodingKeys: String, CodingKey {
        case name, region, config
        case skipLaunch = "skip_launch"
    }
}

/// A machine, Fly's `Machine`.
public struct MachineBody: Sendable, Codable, Hashable {
    /// Made by the host that took the request.
    public var id: MachineID
    /// Unique among the app's machines.
    public var name: String
    /// From another host's record it may be some moments old.
    public var state: MachineState
    /// Its host's.
    public var region: RegionCode
    /// Which version of the machine it is; `wait` can be bound to it.
    public var instanceID: String
    /// Its address on the mesh, reached from machines of the same network. It does not contain the host.
    public var privateIP: IPv6Address
    /// As it was ordered, with the defaults filled in.
    public var config: MachineConfig
    /// What the name of its image says; nothing is asked of a registry.
    public var imageRef: ImageRefBody
    /// Newest first, at most 20. Nil where the host that answers does not know them, which is not that nothing has
    /// happened: in a list where the machine is on another host, of a host that does not answer, and in the answer to
    /// its creation.
    public var events: [MachineEvent]?
    /// RFC 3339.
    public var createdAt: String
    /// RFC 3339: when its state last changed.
    public var updatedAt: String
    /// `ok`, or `unreachable` when its host has not been heard of.
    public var hostStatus: String
    /// Roost's own: the host the machine is on.
    public var host: HostName
    /// Roost's own: the app it is of, without which nobody finds it again in a list of several. Nil: a host of an older
    /// version says so.
    public var app: AppName?

    /// From a host's record.
    public init(
        id: MachineID, name: String, state: MachineState, region: RegionCode, instanceID: String,
        privateIP: IPv6Address, config: MachineConfig, imageRef: ImageRefBody, events: [MachineEvent]?,
        createdAt: String, updatedAt: String, hostStatus: String, host: HostName, app: AppName?
    ) {
        self.id = id
        self.name = name
        self.state = state
        self.region = region
        self.instanceID = instanceID
        self.privateIP = privateIP
        self.config = config
        self.imageRef = imageRef
        self.events = events
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.hostStatus = hostStatus
        self.host = host
        self.app = app
    }

    enum CodingKeys: String, CodingKey {
        case id, name, state, region, config, events, host, app
        case instanceID = "instance_id"
        case privateIP = "private_ip"
        case imageRef = "image_ref"
        case createdAt = "created_at"
        case updatedAt = "updated_at"
        case hostStatus = "host_status"
    }
}

/// The parts of an image's name, Fly's `image_ref`; each is empty where the name does not have it.
public struct ImageRefBody: Sendable, Codable, Hashable {
    /// Before the first slash, if it has a dot or a colon in it.
    public var registry: String
    /// All between registry and tag.
    public var repository: String
    /// Behind the last colon; nothing is filled in for a name without one.
    public var tag: String
    /// Behind `@`: what whoever ordered the machine wants, not what was found.
    public var digest: String

    /// The parts as they stand in the name.
    public init(registry: String, repository: String, tag: String, digest: String) {
        self.registry = registry
        self.repository = repository
        self.tag = tag
        self.digest = digest
    }
}

/// A machine as ``MachineBody``, without what is large: `GET …/machines?summary=true`.
public struct MachineSummaryBody: Sendable, Codable, Hashable {
    /// As ``MachineBody/id``.
    public var id: MachineID
    /// As ``MachineBody/name``.
    public var name: String
    /// As ``MachineBody/state``.
    public var state: MachineState
    /// As ``MachineBody/region``.
    public var region: RegionCode
    /// As ``MachineBody/instanceID``.
    public var instanceID: String
    /// As ``MachineBody/privateIP``.
    public var privateIP: IPv6Address
    /// As ``MachineBody/imageRef``.
    public var imageRef: ImageRefBody
    /// RFC 3339.
    public var createdAt: String
    /// RFC 3339: when its state last changed.
    public var updatedAt: String
    /// As ``MachineBody/hostStatus``: the state of a machine whose host is away is an old one. Fly.io leaves it out here.
    public var hostStatus: String
    /// Roost's own: the host the machine is on.
    public var host: HostName
    /// As ``MachineBody/app``.
    public var app: AppName?

    /// Cut from a ``MachineBody``.
    public init(
        id: MachineID, name: String, state: MachineState, region: RegionCode, instanceID: String,
        privateIP: IPv6Address, imageRef: ImageRefBody, createdAt: String, updatedAt: String, hostStatus: String,
        host: HostName, app: AppName?
    ) {
        self.id = id
        self.name = name
        self.state = state
        self.region = region
        self.instanceID = instanceID
        self.privateIP = privateIP
        self.imageRef = imageRef
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.hostStatus = hostStatus
        self.host = host
        self.app = app
    }

    enum CodingKeys: String, CodingKey {
        case id, name, state, region, host, app
        case instanceID = "instance_id"
        case privateIP = "private_ip"
        case imageRef = "image_ref"
        case createdAt = "created_at"
        case updatedAt = "updated_at"
        case hostStatus = "host_status"
    }
}

/// What is said of a machine that was told to start.
public struct StartMachineBody: Sendable, Codable {
    /// Always true: what is refused is an ``ErrorBody``.
    public var ok = true
    /// Before the order; nil when the host had no such machine at that moment.
    public var previousState: MachineState?

    /// The order is in the host's ledger now.
    public init(previousState: MachineState?) { self.previousState = previousState }

    enum CodingKeys: String, CodingKey {
        case ok
        case previousState = "previous_state"
    }
}

/// `POST …/machines/{id}/stop`; without a body the machine's own stop config counts.
public struct StopMachineRequest: Sendable, Codable {
    /// The machine once more, as Fly.io's client sends it.
    public var id: String?
    /// Of Fly's list, with or without `SIG`. Nil or empty: the machine's own.
    public var signal: String?
    /// Until SIGKILL. Nil or zero (which Fly's client sends for what nobody set): the machine's own.
    public var timeout: DurationText?

    /// Nil is the machine's own.
    public init(signal: String? = nil, timeout: DurationText? = nil) {
        self.signal = signal
        self.timeout = timeout
    }
}

/// What an order answers that has nothing more to say.
public struct OKBody: Sendable, Codable {
    /// Always true: what is refused is an ``ErrorBody``.
    public var ok: Bool
    /// The order is carried out, or written down where it comes true in any case.
    public init(ok: Bool = true) { self.ok = ok }
}

/// `GET …/machines/{id}/wait`: one of the states that were waited for has come.
public struct WaitBody: Sendable, Codable {
    /// Always true: a wait that is over before is an ``ErrorBody``.
    public var ok: Bool
    /// The state that came; it may be another by now.
    public var state: MachineState
    /// The machine's ``MachineBody/instanceID`` at that moment.
    public var version: String

    /// As the host has seen it.
    public init(ok: Bool, state: MachineState, version: String) {
        self.ok = ok
        self.state = state
        self.version = version
    }
}

/// `POST …/machines/{id}/exec`, Fly's `MachineExecRequest`.
public struct ExecBody: Sendable, Codable {
    /// A line for `/bin/sh -c` in the machine; refused beside ``command``.
    public var cmd: String?
    /// Program and arguments, at most 128 KiB; one of this and ``cmd`` must be there.
    public var command: [String]?
    /// What the command reads; nil: nothing, its input is at its end.
    public var stdin: String?
    /// Seconds.
    public var timeout: Int?

    /// Without a shell. What is left out the host decides.
    public init(command: [String], stdin: String? = nil, timeout: Int? = nil) {
        self.command = command
        self.stdin = stdin
        self.timeout = timeout
    }
}

/// How a command has ended, Fly's `flydv1.ExecResponse`.
public struct ExecResponse: Sendable, Codable {
    /// 0 to 255; 128 and the signal where one ended it.
    public var exitCode: Int
    /// 0: none ended it.
    public var exitSignal: Int
    /// At most ``textBytesMax`` as JSON; what is no UTF-8 is U+FFFD.
    public var stdout: String
    /// As ``stdout``.
    public var stderr: String
    /// True when the command wrote more than `stdout` has; nil otherwise. Roost's own, like the next.
    public var isOutputCut: Bool?
    /// True when the command wrote more than `stderr` has; nil otherwise.
    public var isErrorCut: Bool?

    /// An answer, its texts cut to what fits into one.
    ///
    /// - Parameters:
    ///   - isOutputCut: the output was cut before.
    ///   - isErrorCut: the error output was.
    public init(
        exitCode: Int, exitSignal: Int, stdout: String, stderr: String, isOutputCut: Bool = false,
        isErrorCut: Bool = false
    ) {
        self.exitCode = exitCode
        self.exitSignal = exitSignal
        (self.stdout, self.isOutputCut) = Self.cut(stdout, isOutputCut)
        (self.stderr, self.isErrorCut) = Self.cut(stderr, isErrorCut)
    }

    /// Each text has at most so many bytes as JSON writes them, which takes up to six for one. Both together fit into
    /// what one host takes from another.
    public static let textBytesMax = 3 << 20

    private static func cut(_ text: String, _ wasCut: Bool) -> (String, Bool?) {
        var bytes = 0
        for index in text.unicodeScalars.indices {
            let scalar = text.unicodeScalars[index]
            let width =
                switch scalar {
                case "\"", "\\", "/", "\n", "\r", "\t", "\u{8}", "\u{c}": 2
                case "\u{0}"..<" ": 6
                default: UTF8.width(scalar)
                }
            bytes += width
            if bytes > textBytesMax { return (String(text[..<index]), true) }
        }
        return (text, wasCut ? true : nil)
    }

    enum CodingKeys: String, CodingKey {
        case exitCode = "exit_code"
        case exitSignal = "exit_signal"
        case stdout, stderr
        case isOutputCut = "stdout_truncated"
        case isErrorCut = "stderr_truncated"
    }
}

/// `GET /v1/platform/regions`
public struct RegionsBody: Sendable, Codable {
    /// A region in which there is a host.
    public struct Region: Sendable, Codable, Hashable {
        /// As its hosts are configured.
        public var code: RegionCode
        /// The code once more: nobody has told Roost the place.
        public var name: String
        /// How many there are, reachable or not.
        public var hosts: Int
        /// Machines of 256 MiB that would still fit.
        public var capacity: Int

        /// As the asked host sees it.
        public init(code: RegionCode, name: String, hosts: Int, capacity: Int) {
            self.code = code
            self.name = name
            self.hosts = hosts
            self.capacity = capacity
        }
    }

    /// In the order of their codes.
    public var regions: [Region]
    /// That of the asked host: whoever asks came to it because it is near.
    public var nearest: RegionCode

    /// Counted by the asked host.
    public init(regions: [Region], nearest: RegionCode) {
        self.regions = regions
        self.nearest = nearest
    }
}
