import Glibc
import RoostLinux
import RoostModel

/// What is free on a volume.
struct VolumeRoom: Hashable, Sendable {
    var size: ByteCount
    var free: ByteCount
    /// How many more files fit; nil: the file system has no fixed number of them.
    var filesLeft: UInt64?
    var filesMax: UInt64

    init(size: ByteCount, free: ByteCount, filesLeft: UInt64? = nil, filesMax: UInt64 = 0) {
        self.size = size
        self.free = free
        self.filesLeft = filesLeft
        self.filesMax = filesMax
    }

    /// Nil for a plain folder: it shares its room with others, and keeping some of it would not help.
    init?(ofVolume folder: String) {
        var (own, parent, facts) = (stat(), stat(), statvfs())
        guard stat(folder, &own) == 0, stat(folder + "/..", &parent) == 0, own.st_dev != parent.st_dev,
            statvfs(folder, &facts) == 0
        else { return nil }
        let block = Int64(clamping: facts.f_frsize)
        size = ByteCount(bytes: Int64(clamping: facts.f_blocks) * block)
        free = ByteCount(bytes: Int64(clamping: facts.f_bavail) * block)
        filesMax = UInt64(facts.f_files)
        filesLeft = facts.f_files > 0 ? UInt64(facts.f_favail) : nil
    }
}

/// A file that takes up room on a volume until Postgres needs it: for its log, or to start after it had none.
struct Ballast: Hashable, Sendable {
    enum State: Hashable, Sendable {
        /// There was never room for it.
        case missing
        case held
        /// Given up, and not taken again.
        case given
    }

    enum Order: Hashable, Sendable {
        case give
        case take(ByteCount)
    }

    let path: String

    var state: State {
        var facts = stat()
        guard lstat(path, &facts) == 0 else { return .missing }
        return facts.st_size > 0 ? .held : .given
    }

    func carryOut(_ order: Order) throws(SystemError) {
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw SystemError("open", path) }
        defer { close(file) }
        var failure: SystemError?
        if case .take(let size) = order {
            let code = posix_fallocate(file, 0, off_t(size.bytes))
            if code == 0 { return }
            failure = SystemError("take room for", path, code: code)
        }
        // Its name stays: a program that starts later sees that the volume was full.
        guard ftruncate(file, 0) == 0 else { throw SystemError("give up", path) }
        // A journal lets nobody have blocks before it has written down that they are free.
        guard fsync(file) == 0 else { throw SystemError("flush", path) }
        if let failure { throw failure }
    }
}

/// Decides by the room on a volume whether clients may write, and what becomes of the ballast.
///
/// Below one reserve clients only read. Below half of one the ballast, another reserve, is given up: Postgres's log goes
/// on. It is taken again when that leaves two, and then clients write again. Without the distance between these a volume
/// at its bound would go to and fro.
struct RoomKeeping: Hashable, Sendable {
    private(set) var isFull = false

    /// A 32nd of the volume, 64 MiB of one up to 2 GiB, a 16th of one below 1 GiB; at most 1 GiB.
    static func reserve(of volume: ByteCount) -> ByteCount {
        let wanted = max(volume.bytes / 32, ByteCount.mebibytes(64).bytes)
        return ByteCount(bytes: min(wanted, volume.bytes / 16, ByteCount.gibibytes(1).bytes))
    }

    /// Postgres's log needs new files, too.
    static func isShort(_ room: VolumeRoom) -> Bool {
        room.free < reserve(of: room.size) || (room.filesLeft ?? .max) < room.filesMax / 64
    }

    mutating func look(_ room: VolumeRoom, _ ballast: Ballast.State) -> Ballast.Order? {
        let (reserve, free) = (Self.reserve(of: room.size).bytes, room.free.bytes)
        let enough = ballast == .given ? reserve * 3 : reserve * 2
        if isFull {
            isFull = free < enough || (room.filesLeft ?? .max) < room.filesMax / 32
        } else {
            isFull = Self.isShort(room) || (ballast == .given && free < enough)
        }
        switch ballast {
        case .held: return free < reserve / 2 ? .give : nil
        case .missing, .given: return free >= reserve * 3 ? .take(ByteCount(bytes: reserve)) : nil
        }
    }

    /// What the temporary files of one session may take: a power of two, so that a small change of the free room is no
    /// change of the configuration.
    static func temporaryMax(_ room: VolumeRoom) -> ByteCount {
        let spare = (room.free.bytes - reserve(of: room.size).bytes * 2) >> 20
        var mebibytes = temporaryMinMebibytes
        while mebibytes * 2 <= spare { mebibytes *= 2 }
        return .mebibytes(Int(mebibytes))
    }

    private static let temporaryMinMebibytes: Int64 = 16
}
