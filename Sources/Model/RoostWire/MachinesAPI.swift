public import RoostModel

// The REST shapes of Fly.io's Machines API (part of it), field by field as its OpenAPI description has them.

public struct CreateAppRequest: Sendable, Codable {
    public var name: String?
    /// The older spelling in Fly's guides.
    public var appName: String?
    public var network: String?
    public var organization: String?

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

public struct AppBody: Sendable, Codable, Hashable {
    public var id: String
    public var name: AppName
    public var network: String
    public var status: String
    public var machineCount: Int
    public var volumeCount: Int
    public var createdAt: Int64

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

public struct ListAppsBody: Sendable, Codable {
    public var apps: [AppBody]
    public var totalApps: Int

    public init(apps: [AppBody]) {
        self.apps = apps
        totalApps = apps.count
    }

    enum CodingKeys: String, CodingKey {
        case apps
        case totalApps = "total_apps"
    }
}

public struct CreateMachineRequest: Sendable, Codable {
    public var name: String?
    public var region: String?
    public var config: MachineConfig
    public var skipLaunch: Bool?

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

public struct MachineBody: Sendable, Codable, Hashable {
    public var id: MachineID
    public var name: String
    public var state: MachineState
    public var region: RegionCode
    public var instanceID: String
    public var privateIP: IPv6Address
    public var config: MachineConfig
    public var imageRef: ImageRefBody
    public var events: [MachineEvent]
    /// RFC 3339.
    public var createdAt: String
    public var updatedAt: String
    /// `ok`, or `unreachable` when its host has not been heard of.
    public var hostStatus: String
    /// Roost's own: the host the machine is on.
    public var host: HostName

    public init(
        id: MachineID, name: String, state: MachineState, region: RegionCode, instanceID: String,
        privateIP: IPv6Address, config: MachineConfig, imageRef: ImageRefBody, events: [MachineEvent],
        createdAt: String, updatedAt: String, hostStatus: String, host: HostName
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
    }

    enum CodingKeys: String, CodingKey {
        case id, name, state, region, config, events, host
        case instanceID = "instance_id"
        case privateIP = "private_ip"
        case imageRef = "image_ref"
        case createdAt = "created_at"
        case updatedAt = "updated_at"
        case hostStatus = "host_status"
    }
}

public struct ImageRefBody: Sendable, Codable, Hashable {
    public var registry: String
    public var repository: String
    public var tag: String
    public var digest: String

    public init(registry: String, repository: String, tag: String, digest: String) {
        self.registry = registry
        self.repository = repository
        self.tag = tag
        self.digest = digest
    }
}

/// A machine as ``MachineBody``, without what is large: `GET …/machines?summary=true`.
public struct MachineSummaryBody: Sendable, Codable, Hashable {
    public var id: MachineID
    public var name: String
    public var state: MachineState
    public var region: RegionCode
    public var instanceID: String
    public var privateIP: IPv6Address
    public var imageRef: ImageRefBody
    /// RFC 3339.
    public var createdAt: String
    public var updatedAt: String
    /// Roost's own: the host the machine is on.
    public var host: HostName

    public init(
        id: MachineID, name: String, state: MachineState, region: RegionCode, instanceID: String,
        privateIP: IPv6Address, imageRef: ImageRefBody, createdAt: String, updatedAt: String, host: HostName
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
        self.host = host
    }

    enum CodingKeys: String, CodingKey {
        case id, name, state, region, host
        case instanceID = "instance_id"
        case privateIP = "private_ip"
        case imageRef = "image_ref"
        case createdAt = "created_at"
        case updatedAt = "updated_at"
    }
}

/// What is said of a machine that was told to start.
public struct StartMachineBody: Sendable, Codable {
    public var ok = true
    public var previousState: MachineState?

    public init(previousState: MachineState?) { self.previousState = previousState }

    enum CodingKeys: String, CodingKey {
        case ok
        case previousState = "previous_state"
    }
}

public struct StopMachineRequest: Sendable, Codable {
    /// The machine once more, as Fly.io's client sends it.
    public var id: String?
    public var signal: String?
    public var timeout: DurationText?

    public init(signal: String? = nil, timeout: DurationText? = nil) {
        self.signal = signal
        self.timeout = timeout
    }
}

public struct OKBody: Sendable, Codable {
    public var ok: Bool
    public init(ok: Bool = true) { self.ok = ok }
}

public struct WaitBody: Sendable, Codable {
    public var ok: Bool
    public var state: MachineState
    public var version: String

    public init(ok: Bool, state: MachineState, version: String) {
        self.ok = ok
        self.state = state
        self.version = version
    }
}

public struct ExecBody: Sendable, Codable {
    public var cmd: String?
    public var command: [String]?
    public var stdin: String?
    /// Seconds.
    public var timeout: Int?

    public init(command: [String], stdin: String? = nil, timeout: Int? = nil) {
        self.command = command
        self.stdin = stdin
        self.timeout = timeout
    }
}

public struct ExecResponse: Sendable, Codable {
    public var exitCode: Int
    public var exitSignal: Int
    public var stdout: String
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
                case "\"", "\\": 2
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

public struct CreateVolumeRequest: Sendable, Codable {
    public var name: String
    public var region: String?
    public var sizeGigabytes: Int?
    /// The machine that will come with the volume: the volume goes where it fits, and the room is kept for it.
    public var compute: MachineGuest?
    public var requireUniqueZone: Bool?
    public var fstype: String?

    public init(
        name: String, region: String? = nil, sizeGigabytes: Int? = nil, compute: MachineGuest? = nil,
        requireUniqueZone: Bool? = nil
    ) {
        self.name = name
        self.region = region
        self.sizeGigabytes = sizeGigabytes
        self.compute = compute
        self.requireUniqueZone = requireUniqueZone
    }

    enum CodingKeys: String, CodingKey {
        case name, region, compute, fstype
        case sizeGigabytes = "size_gb"
        case requireUniqueZone = "require_unique_zone"
    }
}

public struct VolumeBody: Sendable, Codable, Hashable {
    public var id: VolumeID
    public var name: String
    public var state: VolumeState
    public var region: RegionCode
    public var sizeGigabytes: Int
    public var attachedMachineID: MachineID?
    public var blockSize: Int64
    public var blocks: Int64
    public var blocksFree: Int64
    public var blocksAvailable: Int64
    /// Files and folders it can hold; absent where it is not mounted on the host that was asked.
    public var inodes: Int64?
    public var inodesFree: Int64?
    /// True: it takes no writes after an error of the disk; a restart of its machine checks and mounts it anew.
    public var readOnly: Bool?
    public var fstype: String
    public var encrypted: Bool
    public var createdAt: String
    public var hostStatus: String
    /// The host; Fly calls the hardware a volume is on its zone.
    public var zone: String

    public init(
        id: VolumeID, name: String, state: VolumeState, region: RegionCode, sizeGigabytes: Int,
        attachedMachineID: MachineID?, blockSize: Int64, blocks: Int64, blocksFree: Int64, blocksAvailable: Int64,
        inodes: Int64? = nil, inodesFree: Int64? = nil, readOnly: Bool? = nil, fstype: String, encrypted: Bool,
        createdAt: String, hostStatus: String, zone: String
    ) {
        self.id = id
        self.name = name
        self.state = state
        self.region = region
        self.sizeGigabytes = sizeGigabytes
        self.attachedMachineID = attachedMachineID
        self.blockSize = blockSize
        self.blocks = blocks
        self.blocksFree = blocksFree
        self.blocksAvailable = blocksAvailable
        self.inodes = inodes
        self.inodesFree = inodesFree
        self.readOnly = readOnly
        self.fstype = fstype
        self.encrypted = encrypted
        self.createdAt = createdAt
        self.hostStatus = hostStatus
        self.zone = zone
    }

    enum CodingKeys: String, CodingKey {
        case id, name, state, region, fstype, encrypted, zone, blocks, inodes
        case inodesFree = "inodes_free"
        case readOnly = "read_only"
        case sizeGigabytes = "size_gb"
        case attachedMachineID = "attached_machine_id"
        case blockSize = "block_size"
        case blocksFree = "blocks_free"
        case blocksAvailable = "blocks_avail"
        case createdAt = "created_at"
        case hostStatus = "host_status"
    }
}

public struct RegionsBody: Sendable, Codable {
    public struct Region: Sendable, Codable, Hashable {
        public var code: RegionCode
        public var name: String
        public var hosts: Int
        /// Machines of 256 MiB that would still fit.
        public var capacity: Int

        public init(code: RegionCode, name: String, hosts: Int, capacity: Int) {
            self.code = code
            self.name = name
            self.hosts = hosts
            self.capacity = capacity
        }
    }

    public var regions: [Region]
    public var nearest: RegionCode

    public init(regions: [Region], nearest: RegionCode) {
        self.regions = regions
        self.nearest = nearest
    }
}
