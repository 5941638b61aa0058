import CLinux
import Glibc
import RoostLinux
import RoostModel

/// The image file of a volume: all its space is reserved before it gets its name, so a volume that exists can always
/// be filled to its size.
enum VolumeFile {
    static let chunkBytes = 4 << 20
    /// The highest speed at which a new volume is written once, so that its neighbours' commits do not starve.
    static let writeBytesPerSecondMax: Int64 = 1 << 30
    static let formatDeadline = Duration.seconds(300)

    /// A name for a file that is being made as `name`, which no other one ever gets: whoever removes what it found under
    /// such a name removes that and nothing else.
    static func unfinished(_ volume: VolumeID, in pool: String) -> String {
        var generator = SystemRandomNumberGenerator()
        let attempt = String(UInt64.random(in: .min ... .max, using: &generator), radix: 16)
        return "\(pool)/.\(volume).\(attempt)\(unfinishedEnding)"
    }

    /// Makes the file at `path`, which is nobody else's: reserved, its first `writtenOnce` bytes written, formatted, flushed; then it gets its
    /// `name`. The file stays locked (flock) until it has that, which tells a file being made from one left over by a crash.
    static func make(
        _ path: String, as name: String, size: ByteCount, writtenOnce: ByteCount
    ) async throws(VolumeFileError) {
        let file = try await BlockingCall.run { () throws(VolumeFileError) -> Int32 in
            try reserve(path, size: size)
        }
        defer { close(file) }
        do {
            try await writeOnce(path, bytes: min(size.bytes, writtenOnce.bytes))
            try await format(path)
            try await BlockingCall.run { () throws(VolumeFileError) in
                guard fsync(file) == 0 else { throw .system(SystemError("flush", path)) }
                guard rename(path, name) == 0 else { throw .system(SystemError("rename", path)) }
            }
        } catch {
            unlink(path)
            throw error
        }
    }

    /// While it is made, a file has this ending.
    static let unfinishedEnding = ".img.new"
    /// And until it is locked this one behind it.
    static let unlockedEnding = ".making"
    /// Far longer than it takes to lock a new file.
    private static let unlockedAge = Duration.seconds(60)

    /// Removes a file that no living process is making. Safe to call at any time.
    /// - Returns: whether it was there and was removed.
    static func removeIfLeftOver(_ path: String) throws(SystemError) -> Bool {
        let file = open(path, O_RDWR | O_CLOEXEC)
        guard file >= 0 else {
            if errno == ENOENT { return false }
            throw SystemError("open", path)
        }
        defer { close(file) }
        return try removeIfLeftOver(path, openedAs: file)
    }

    static func removeIfLeftOver(_ path: String, openedAs file: Int32) throws(SystemError) -> Bool {
        // A new one is not even tried: its maker would find it locked.
        var status = stat()
        guard fstat(file, &status) == 0 else { throw SystemError("look at", path) }
        let age = WallClock.milliseconds() / 1000 - Int64(status.st_mtim.tv_sec)
        if path.hasSuffix(unlockedEnding), age < unlockedAge.milliseconds / 1000 { return false }
        // Since it was opened its maker may have given it its name, or another one like us have removed it.
        guard FileLock.hold(file), FileLock.isNamed(file, path) else { return false }
        guard unlink(path) == 0 else {
            if errno == ENOENT { return false }
            throw SystemError("remove", path)
        }
        return true
    }

    private static func reserve(_ path: String, size: ByteCount) throws(VolumeFileError) -> Int32 {
        // It gets the name under which it is looked for when it is locked: a file that is not would be taken for a
        // left-over one.
        let unlocked = path + unlockedEnding
        let file = open(unlocked, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw .system(SystemError("create", unlocked)) }
        guard FileLock.hold(file), rename(unlocked, path) == 0 else {
            let error = SystemError("lock", unlocked)
            unlink(unlocked)
            close(file)
            throw .system(error)
        }
        let code = -roost_fallocate(file, 0, size.bytes)
        if code != 0 {
            unlink(path)
            close(file)
            throw .system(SystemError("reserve \(size) for", path, code: code))
        }
        return file
    }

    /// The first write to a block that is only reserved costs the pool's filesystem a journal commit of its own;
    /// paid here, not by the first fsync'ed write of a database.
    private static func writeOnce(_ path: String, bytes: Int64) async throws(VolumeFileError) {
        let start = BootClock.now()
        var offset: Int64 = 0
        while offset < bytes {
            // A burst at a time, so that no thread is held for seconds and a cancelled create ends soon.
            let end = min(bytes, offset + 16 * Int64(chunkBytes))
            let from = offset
            try await BlockingCall.run { () throws(VolumeFileError) in
                try writeZeros(path, from: from, to: end)
            }
            offset = end
            let due = start + .milliseconds(offset * 1000 / writeBytesPerSecondMax)
            let now = BootClock.now()
            do {
                if now < due { try await Task.sleep(for: due - now) }
                try Task.checkCancellation()
            } catch { throw .system(SystemError("write", path, code: ECANCELED)) }
        }
    }

    private static func writeZeros(_ path: String, from: Int64, to end: Int64) throws(VolumeFileError) {
        // Past the page cache where the filesystem can: gigabytes of zeros would push out what others need.
        var file = open(path, O_WRONLY | O_CLOEXEC | roost_open_direct)
        if file < 0, errno == EINVAL { file = open(path, O_WRONLY | O_CLOEXEC) }
        guard file >= 0 else { throw .system(SystemError("open", path)) }
        defer { close(file) }
        let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: chunkBytes, alignment: 4096)
        defer { zeros.deallocate() }
        zeros.initializeMemory(as: UInt8.self, repeating: 0)
        var offset = from
        while offset < end {
            let count = pwrite(file, zeros.baseAddress, min(chunkBytes, Int(end - offset)), off_t(offset))
            if count < 0 {
                if errno == EINTR { continue }
                throw .system(SystemError("write", path))
            }
            offset += Int64(count)
        }
    }

    private static func format(_ path: String) async throws(VolumeFileError) {
        do { try await formatting(path).run() } catch { throw .command(error) }
    }

    /// It dies with this process: another one takes the file for left over.
    static func formatting(_ path: String) -> Command {
        // Reserved space reads as zeros, so nothing has to be zeroed again; discarding would give it back to the pool.
        Command(
            "mkfs.ext4",
            [
                "-q", "-F", "-b", "4096", "-m", "0", "-e", "remount-ro",
                "-E", "nodiscard,assume_storage_prezeroed=1", path,
            ], deadline: formatDeadline
        ).bound()
    }
}

enum VolumeFileError: Error, CustomStringConvertible {
    case system(SystemError)
    case command(CommandError)

    var isNoSpace: Bool {
        switch self {
        case .system(let error): error.code == ENOSPC || error.code == EDQUOT || error.code == EFBIG
        case .command: false
        }
    }

    /// For whoever gave the order.
    var summary: String {
        switch self {
        case .system(let error): String(cString: strerror(error.code))
        case .command(let error): error.summary
        }
    }

    var description: String {
        switch self {
        case .system(let error): error.description
        case .command(let error): error.description
        }
    }
}
