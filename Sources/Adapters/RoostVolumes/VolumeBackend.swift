public import RoostModel

/// Keeps volumes on this host's disks. Every call is idempotent: it may be repeated after a crash at any point.
public protocol VolumeBackend: Sendable {
    /// Makes the volume, formatted and of exactly this size. Repeating it with the same id is a no-op.
    func create(_ volume: VolumeID, size: ByteCount) async throws(VolumeError)

    /// Attaches and mounts the volume at its place; a no-op when it already is. One that has turned read-only is
    /// checked and mounted anew. For a machine that is about to start, so nobody uses it meanwhile.
    /// - Returns: what the machine's runtime is handed of it.
    func mount(_ volume: VolumeID) async throws(VolumeError) -> DiskAttachment

    /// Unmounts and detaches; a no-op when it is not mounted.
    func unmount(_ volume: VolumeID) async throws(VolumeError)

    /// Unmounts and removes for good; a no-op when it does not exist.
    func destroy(_ volume: VolumeID) async throws(VolumeError)

    /// The volumes that exist on disk, whatever the ledger says.
    func list() async throws(VolumeError) -> [VolumeID]

    /// Size and use of a mounted volume's filesystem, nil if it is not mounted.
    func usage(of volume: VolumeID) async throws(VolumeError) -> VolumeUsage?

    /// What the pool can still give.
    func freeSpace() async throws(VolumeError) -> ByteCount
}

public struct VolumeUsage: Hashable, Sendable {
    public var blockSize: Int64
    public var blocks: Int64
    public var blocksFree: Int64
    public var blocksAvailable: Int64
    /// Files and folders it can hold.
    public var inodes: Int64
    public var inodesFree: Int64
    /// After an error of the disk the kernel takes no more writes, until the volume is mounted anew.
    public var isReadOnly: Bool

    public init(
        blockSize: Int64, blocks: Int64, blocksFree: Int64, blocksAvailable: Int64, inodes: Int64, inodesFree: Int64,
        isReadOnly: Bool
    ) {
        self.blockSize = blockSize
        self.blocks = blocks
        self.blocksFree = blocksFree
        self.blocksAvailable = blocksAvailable
        self.inodes = inodes
        self.inodesFree = inodesFree
        self.isReadOnly = isReadOnly
    }
}

public struct VolumeError: Error, Sendable, CustomStringConvertible {
    public enum Code: String, Hashable, Sendable {
        case notFound, noSpace, busy, invalid, failed
    }

    public let code: Code
    public let operation: String
    public let volume: VolumeID?
    /// For whoever gave the order: no command lines, no paths of the host.
    public let cause: String

    public init(code: Code, operation: String, volume: VolumeID?, cause: String) {
        self.code = code
        self.operation = operation
        self.volume = volume
        self.cause = cause
    }

    public var description: String { "volume \(volume?.text ?? "pool"): \(operation): \(cause)" }
}
