import CLinux
import Glibc
import Logging
import RoostLinux
public import RoostModel

/// Volumes as image files in a folder (the pool), each an ext4 filesystem on a loop device with direct I/O.
///
/// - The size is a hard limit, and all of it is reserved when the volume is made.
/// - A mounted volume belongs to one mount namespace of this computer. When that namespace is gone the kernel frees
///   the loop device by itself, so a host that died holds nothing.
/// - There is no state but the files and the kernel's: any process may go on where another was killed.
public struct LoopVolumes: VolumeBackend {
    public let pool: String
    public let mountRoot: String
    let writtenOnce: ByteCount
    /// Where the kernel says what ext4 has seen of each device (Documentation/ABI/testing/sysfs-fs-ext4).
    let counts: String
    let reserve: ByteCount
    let logger: Logger

    public static let sizeMin = ByteCount.mebibytes(16)
    public static let sizeMax = ByteCount.gibibytes(16 << 10)
    /// Left to the pool's own filesystem; never given to a volume.
    public static let reserveDefault = ByteCount.mebibytes(64)
    /// How much of a new volume is written once when it is made; the rest is only reserved. At the speed limit of
    /// ``VolumeFile`` this bounds how long `create` takes.
    public static let writtenOnceDefault = ByteCount.gibibytes(4)
    /// A host that died frees its volumes within moments; who else holds one will not let go.
    static let busyPatience = Duration.seconds(3)
    static let lockPatience = Duration.seconds(120)
    static let stackedMountsMax = 8

    /// - Parameters:
    ///   - pool: folder for the image files, on the disk whose speed and space the volumes are to have.
    ///   - mountRoot: folder in which each mounted volume appears under its id.
    public init(
        pool: String, mountRoot: String, writtenOnce: ByteCount = LoopVolumes.writtenOnceDefault,
        reserve: ByteCount = LoopVolumes.reserveDefault, logger: Logger = Logger(label: "roost.volumes")
    ) {
        self.init(
            pool: pool, mountRoot: mountRoot, writtenOnce: writtenOnce, reserve: reserve, counts: "/sys/fs/ext4",
            logger: logger)
    }

    init(
        pool: String, mountRoot: String, writtenOnce: ByteCount, reserve: ByteCount = LoopVolumes.reserveDefault,
        counts: String,
        logger: Logger
    ) {
        self.pool = pool
        self.mountRoot = mountRoot
        self.writtenOnce = writtenOnce
        self.counts = counts
        self.reserve = reserve
        self.logger = logger
    }

    func image(_ volume: VolumeID) -> String { "\(pool)/\(volume).img" }
    private func lockFile(_ volume: VolumeID) -> String { "\(pool)/.\(volume).lock" }
    func mountPoint(_ volume: VolumeID) -> String { "\(mountRoot)/\(volume)" }

    // MARK: - Making and removing

    public func create(_ volume: VolumeID, size: ByteCount) async throws(VolumeError) {
        guard size >= Self.sizeMin, size <= Self.sizeMax, size.bytes % Int64(LoopDevice.sectorSize) == 0 else {
            throw VolumeError(
                code: .invalid, operation: "create", volume: volume,
                cause: "\(size) is no size for a volume: use \(Self.sizeMin) to \(Self.sizeMax), whole 4 KiB blocks")
        }
        try await locked(volume, "create") { () throws(VolumeError) in
            if let existing = try await sizeOfImage(volume, "create") {
                guard existing == size.bytes else {
                    throw VolumeError(
                        code: .invalid, operation: "create", volume: volume,
                        cause: "it exists already, with \(ByteCount(bytes: existing)) instead of \(size)")
                }
                return
            }
            try await sweep()
            let free = try await freeBytes()
            guard free >= size else {
                throw VolumeError(
                    code: .noSpace, operation: "create", volume: volume,
                    cause: "the host's pool has \(free) left, \(size) are wanted: destroy volumes or use another host")
            }
            let file = VolumeFile.unfinished(volume, in: pool)
            do throws(VolumeFileError) {
                try await VolumeFile.make(file, as: image(volume), size: size, writtenOnce: writtenOnce)
            } catch {
                logger.error("a volume was not made", metadata: ["volume": "\(volume)", "error": "\(error)"])
                throw VolumeError(
                    code: error.isNoSpace ? .noSpace : .failed, operation: "create", volume: volume,
                    cause: error.isNoSpace ? "the host's pool is full" : error.summary)
            }
            try await report(volume, "create") { () throws(SystemError) in try DurableFile.flushFolder(pool) }
        }
    }

    public func destroy(_ volume: VolumeID) async throws(VolumeError) {
        if try await sizeOfImage(volume, "destroy") == nil {
            guard try await hasMount(volume) else { return }
        }
        try await locked(volume, "destroy") { () throws(VolumeError) in
            try await detach(volume, "destroy")
            try await waitUntilFree(volume, "destroy")
            try await report(volume, "destroy") { () throws(SystemError) in
                guard unlink(image(volume)) == 0 || errno == ENOENT else { throw SystemError("remove", image(volume)) }
                rmdir(mountPoint(volume))
                unlink(lockFile(volume))
                try DurableFile.flushFolder(pool)
            }
        }
    }

    public func list() async throws(VolumeError) -> [VolumeID] {
        try await sweep()
        try await sweepLocks()
        return try await names().compactMap { name in
            name.hasSuffix(".img") && !name.hasPrefix(".") ? try? VolumeID(String(name.dropLast(4))) : nil
        }
    }

    // MARK: - Space

    public func usage(of volume: VolumeID) async throws(VolumeError) -> VolumeUsage? {
        guard try await hasMount(volume) else { return nil }
        let point = mountPoint(volume)
        let outcome = await BlockingCall.run { () -> VolumeUsage? in
            var filesystem = statvfs()
            guard statvfs(point, &filesystem) == 0, let mount = try? MountTable.current().at(point) else { return nil }
            return VolumeUsage(
                blockSize: Int64(filesystem.f_frsize), blocks: Int64(filesystem.f_blocks),
                blocksFree: Int64(filesystem.f_bfree), blocksAvailable: Int64(filesystem.f_bavail),
                inodes: Int64(filesystem.f_files), inodesFree: Int64(filesystem.f_ffree),
                isReadOnly: mount.isReadOnly)
        }
        guard let outcome else {
            throw VolumeError(
                code: .failed, operation: "read the usage", volume: volume, cause: "its file system does not answer")
        }
        return outcome
    }

    public func freeSpace() async throws(VolumeError) -> ByteCount { try await freeBytes() }

    private func freeBytes() async throws(VolumeError) -> ByteCount {
        try await report(nil, "read the free space") { () throws(SystemError) -> ByteCount in
            try DurableFile.makeFolder(pool)
            var filesystem = statvfs()
            guard statvfs(pool, &filesystem) == 0 else { throw SystemError("look at", pool) }
            let available = Int64(filesystem.f_bavail) * Int64(filesystem.f_frsize)
            return ByteCount(bytes: max(0, available - reserve.bytes))
        }
    }

    // MARK: - Small parts

    /// Nil: there is none. One that could not be looked at may be there, with all that its owner has.
    func sizeOfImage(_ volume: VolumeID, _ operation: String) async throws(VolumeError) -> Int64? {
        let path = image(volume)
        return try await report(volume, operation) { () throws(SystemError) -> Int64? in
            var file = stat()
            guard stat(path, &file) == 0 else {
                guard errno == ENOENT else { throw SystemError("look at", path) }
                return nil
            }
            return Int64(file.st_size)
        }
    }

    private func names() async throws(VolumeError) -> [String] {
        try await report(nil, "list") { () throws(SystemError) in try FolderListing.names(in: pool) }
    }

    /// Removes what a create that was killed has left.
    private func sweep() async throws(VolumeError) {
        for name in try await names() where name.hasPrefix(".vol_") {
            guard name.hasSuffix(VolumeFile.unfinishedEnding) || name.hasSuffix(VolumeFile.unlockedEnding) else {
                continue
            }
            let wasLeftOver = try await report(nil, "sweep") { () throws(SystemError) in
                try VolumeFile.removeIfLeftOver("\(pool)/\(name)")
            }
            guard wasLeftOver else { continue }
            logger.notice("removed a volume that was only half made", metadata: ["file": "\(pool)/\(name)"])
        }
    }

    /// Removes the locks of volumes that are not there: of a `destroy` that was killed before its last step, of a `create`
    /// that came to nothing. Whoever works on one holds its lock, and whoever waits for a lock that is gone makes it anew.
    private func sweepLocks() async throws(VolumeError) {
        for name in try await names() where name.hasPrefix(".vol_") && name.hasSuffix(".lock") {
            guard let volume = try? VolumeID(String(name.dropFirst().dropLast(".lock".count))), await isGone(volume)
            else { continue }
            let path = lockFile(volume)
            let held = try await report(volume, "sweep") { () throws(SystemError) in try FileLock.attempt(path) }
            guard let lock = held else { continue }
            defer { lock.release() }
            // Somebody may have made one before we had the lock.
            if await isGone(volume) { unlink(path) }
        }
    }

    /// One that cannot be looked at is not gone.
    private func isGone(_ volume: VolumeID) async -> Bool {
        do throws(VolumeError) {
            guard try await sizeOfImage(volume, "sweep") == nil else { return false }
            return try await !hasMount(volume)
        } catch { return false }
    }

    func locked<Value: Sendable>(
        _ volume: VolumeID, _ operation: String, _ body: () async throws(VolumeError) -> Value
    ) async throws(VolumeError) -> Value {
        let lock: FileLock
        do {
            try DurableFile.makePrivateFolder(pool, mode: 0o700)
            lock = try await FileLock.acquire(lockFile(volume), within: Self.lockPatience)
        } catch let error {
            logger.error("a volume cannot be locked", metadata: ["volume": "\(volume)", "error": "\(error)"])
            throw VolumeError(
                code: error.code == ETIMEDOUT ? .busy : .failed, operation: operation, volume: volume,
                cause: error.code == ETIMEDOUT ? "others work on it" : String(cString: strerror(error.code)))
        }
        defer { lock.release() }
        return try await body()
    }

    /// On a thread that may wait. What failed where goes to the host's log; whoever gave the order hears what it means.
    func report<Value: Sendable>(
        _ volume: VolumeID?, _ operation: String, _ body: @escaping @Sendable () throws(SystemError) -> Value
    ) async throws(VolumeError) -> Value {
        do { return try await BlockingCall.run(body) } catch {
            logger.error(
                "a step of a volume failed",
                metadata: ["volume": "\(volume?.text ?? pool)", "operation": "\(operation)", "error": "\(error)"])
            throw VolumeError(
                code: error.code == ENOSPC ? .noSpace : .failed, operation: operation, volume: volume,
                cause: String(cString: strerror(error.code)))
        }
    }
}
