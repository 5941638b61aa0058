import CLinux
import Glibc
public import RoostModel
import Synchronization

/// What a folder with all that is in it takes of its disk, as far as a walk can see.
public struct FolderUse: Hashable, Sendable {
    /// Blocks of files and folders; of a file with several names once.
    public private(set) var size = ByteCount.zero
    /// Names, of whatever they are.
    public private(set) var names = 0
    /// False where the walk gave up: there are more names than it may see, or folders nested deeper.
    public private(set) var isWhole = true
    /// False where the time was over, or the disk did not show all: there is more.
    public private(set) var isDone = true

    /// Deeper than any honest tree. A walk holds a descriptor for each folder that it is in.
    public static let depthMax = 512
    /// Files of so many blocks are remembered by number, so that one that gets another name while the walk is on its way
    /// counts once. What many small ones add by that is little.
    static let blocksNoted: blkcnt_t = 128
    private static let blockSize: Int64 = 512

    /// Walks the folder. Its owner may change it meanwhile in any way and be nobody's friend: no link is followed, no
    /// other file system entered, nothing opened but folders, and a name is looked up in the open folder that has it, so
    /// that the walk cannot be led out. Blocks: until the end and for one question to the disk more.
    ///
    /// - Parameter end: when it ends with what it has seen; nil: never.
    /// - Throws: ``SystemError`` for a folder that cannot be opened (ENOENT: there is none), and when the walk itself
    ///   lacks descriptors or memory. What vanishes on the way is no error, and what the disk does not show is left out.
    public static func measure(
        _ folder: String, namesMax: Int, until end: WalkEnd? = nil
    ) throws(SystemError) -> FolderUse {
        try measure(folder, namesMax: namesMax, until: end, read: readdir)
    }

    typealias Read = (OpaquePointer) -> UnsafeMutablePointer<dirent>?

    /// - Parameter read: readdir(3).
    static func measure(
        _ folder: String, namesMax: Int, until end: WalkEnd? = nil, read: @escaping Read
    ) throws(SystemError) -> FolderUse {
        var walk = Walk(namesMax: namesMax, end: end, read: read)
        return try walk.measure(folder)
    }

    enum Sight: Hashable {
        /// There is nothing, or no more, or something else by now.
        case nothing
        case hidden
        /// The walk itself lacks something.
        case lack
    }

    /// What an error says of what was looked at; 0 is the end of a folder.
    static func sight(_ code: Int32) -> Sight {
        switch code {
        case 0, ENOENT, ENOTDIR, ELOOP: .nothing
        case EMFILE, ENFILE, ENOMEM: .lack
        default: .hidden
        }
    }

    private struct Walk {
        let namesMax: Int
        let end: WalkEnd?
        let read: Read
        var use = FolderUse()
        /// The folders that the walk is in, the innermost last.
        var open: [OpaquePointer] = []
        var noted: Set<ino_t> = []
        var device: dev_t = 0

        init(namesMax: Int, end: WalkEnd?, read: @escaping Read) {
            self.read = read
            self.namesMax = namesMax
            self.end = end
        }

        mutating func measure(_ folder: String) throws(SystemError) -> FolderUse {
            defer { for stream in open { closedir(stream) } }
            let top = Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            var status = stat()
            guard top >= 0 else { throw SystemError("open", folder) }
            guard fstat(top, &status) == 0, let stream = fdopendir(top) else {
                let code = errno
                close(top)
                throw SystemError("open", folder, code: code)
            }
            open.append(stream)
            device = status.st_dev
            count(status)
            while use.isWhole, let stream = open.last {
                guard end?.isReached != true else {
                    use.isDone = false
                    break
                }
                // readdir(3): the end and a failure look alike but for this.
                errno = 0
                guard let entry = read(stream) else {
                    let code = meet(errno)
                    guard code == 0 else { throw SystemError("walk", folder, code: code) }
                    closedir(stream)
                    open.removeLast()
                    continue
                }
                let code = withUnsafeBytes(of: &entry.pointee.d_name) { bytes -> Int32 in
                    guard let name = bytes.baseAddress?.assumingMemoryBound(to: CChar.self) else { return 0 }
                    return look(at: name, in: dirfd(stream))
                }
                guard code == 0 else { throw SystemError("walk", folder, code: code) }
            }
            return use
        }

        /// - Returns: what the walk itself lacks, or 0.
        private mutating func look(at name: UnsafePointer<CChar>, in folder: Int32) -> Int32 {
            guard strcmp(name, ".") != 0, strcmp(name, "..") != 0 else { return 0 }
            var status = stat()
            guard fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { return meet(errno) }
            guard status.st_dev == device else { return 0 }
            guard use.names < namesMax else {
                use.isWhole = false
                return 0
            }
            use.names += 1
            count(status)
            return status.st_mode & S_IFMT == S_IFDIR ? enter(name, in: folder) : 0
        }

        /// It may be something else by now: a link is not followed, what is no folder not opened.
        private mutating func enter(_ name: UnsafePointer<CChar>, in folder: Int32) -> Int32 {
            guard open.count < FolderUse.depthMax else {
                use.isWhole = false
                return 0
            }
            let file = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard file >= 0 else { return meet(errno) }
            var status = stat()
            guard fstat(file, &status) == 0, status.st_dev == device else {
                close(file)
                return 0
            }
            guard let stream = fdopendir(file) else {
                let code = errno
                close(file)
                return code
            }
            open.append(stream)
            return 0
        }

        /// What could not be seen for an error of the disk is there all the same.
        /// - Returns: what the walk itself lacks, or 0.
        private mutating func meet(_ code: Int32) -> Int32 {
            switch FolderUse.sight(code) {
            case .nothing: return 0
            case .hidden:
                use.isDone = false
                return 0
            case .lack: return code
            }
        }

        private mutating func count(_ status: stat) {
            if status.st_mode & S_IFMT != S_IFDIR,
                status.st_nlink > 1 || status.st_blocks >= FolderUse.blocksNoted,
                !noted.insert(status.st_ino).inserted
            {
                return
            }
            use.size = use.size + ByteCount(bytes: Int64(status.st_blocks) * FolderUse.blockSize)
        }
    }
}

/// When a walk ends with what it has seen: at its time, or as soon as nobody waits for it any more.
public final class WalkEnd: Sendable {
    private let time: Moment
    private let isOver = Atomic(false)

    /// At this time.
    public init(at time: Moment) { self.time = time }

    /// Now.
    public func come() { isOver.store(true, ordering: .relaxed) }

    /// The walk is to end.
    public var isReached: Bool { isOver.load(ordering: .relaxed) || BootClock.now() >= time }
}

extension BlockingCall {
    /// The same on a thread that gets of processors and disks what nobody else wants.
    public static func runIdly<Value: Sendable, Failure: Error>(
        _ body: @escaping @Sendable () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        try await run { () throws(Failure) in
            roost_idle_thread()
            return try body()
        }
    }
}
