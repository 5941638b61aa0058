public import RoostModel

// The volumes of Fly.io's Machines API, field by field as its OpenAPI description has them.

/// `POST /v1/apps/{app}/volumes`, Fly's `CreateVolumeRequest`.
public struct CreateVolumeRequest: Sendable, Codable {
    /// 1 to 30 lower-case letters, digits and `_`, as on Fly.io; several volumes may have it.
    public var name: String
    /// Nil or empty: the region of the host that takes the request.
    public var region: String?
    /// In GiB, 1 to 500. Nil: 1.
    public var sizeGigabytes: Int?
    /// The machine that will come with the volume: the volume goes where it fits, and the room is kept for it.
    public var compute: MachineGuest?
    /// Not false: on a host without a volume of the same name and app, as long as there is one that fits.
    public var requireUniqueZone: Bool?
    /// `ext4`, nil or empty: there is no other.
    public var fstype: String?

    /// What is left out the host decides.
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

/// A volume, Fly's `Volume`.
public struct VolumeBody: Sendable, Codable, Hashable {
    /// Made by the host that took the request.
    public var id: VolumeID
    /// Several volumes of an app may have it.
    public var name: String
    /// From another host's record it may be some moments old.
    public var state: VolumeState
    /// Its host's.
    public var region: RegionCode
    /// In GiB: the size of the device, of which the filesystem needs some for itself.
    public var sizeGigabytes: Int
    /// The one machine that may mount it; nil: none.
    public var attachedMachineID: MachineID?
    /// Bytes; 4,096 where the asked host cannot look.
    public var blockSize: Int64
    /// Of the filesystem. 0 where it is not mounted on the host that was asked.
    public var blocks: Int64
    /// Not in use, those kept for root among them; 0 as ``blocks``.
    public var blocksFree: Int64
    /// Free for everybody; 0 as ``blocks``.
    public var blocksAvailable: Int64
    /// Files and folders it can hold; absent where it is not mounted on the host that was asked.
    public var inodes: Int64?
    /// Absent with ``inodes``.
    public var inodesFree: Int64?
    /// True: it takes no writes after an error of the disk; a restart of its machine checks and mounts it anew.
    public var readOnly: Bool?
    /// `ext4`.
    public var fstype: String
    /// False: this version encrypts nothing.
    public var encrypted: Bool
    /// RFC 3339, in UTC.
    public var createdAt: String
    /// `ok`, or `unreachable` when its host has not been heard of.
    public var hostStatus: String
    /// The host; Fly calls the hardware a volume is on its zone.
    public var zone: String
    /// Roost's own: the app it is of. Nil: a host of an older version says so.
    public var app: AppName?

    /// From a host's record, and from its filesystem where the asked host has it.
    public init(
        id: VolumeID, name: String, state: VolumeState, region: RegionCode, sizeGigabytes: Int,
        attachedMachineID: MachineID?, blockSize: Int64, blocks: Int64, blocksFree: Int64, blocksAvailable: Int64,
        inodes: Int64? = nil, inodesFree: Int64? = nil, readOnly: Bool? = nil, fstype: String, encrypted: Bool,
        createdAt: String, hostStatus: String, zone: String, app: AppName?
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
        self.app = app
    }

    enum CodingKeys: String, CodingKey {
        case id, name, state, region, fstype, encrypted, zone, app, blocks, inodes
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
