import Glibc
import RoostLinux

/// The files of a write-ahead log's folder.
struct LogFiles: Sendable {
    let folder: String

    init(_ folder: String) { self.folder = folder }

    func names() throws(SystemError) -> [String] { try FolderListing.names(in: folder, mustExist: true) }

    func segments() throws(SystemError) -> [LogSegment] { try names().compactMap { LogSegment(fileName: $0) } }

    /// Segments (partial ones too) and history files of later timelines.
    func above(_ timeline: UInt32) throws(SystemError) -> [String] {
        try names().filter { name in
            let isLog = name.utf8.count >= 24 || name.hasSuffix(".history")
            return isLog && (UInt32(name.prefix(8), radix: 16).map { $0 > timeline } ?? false)
        }
    }

    /// Makes every file and the folder durable.
    func flush() throws(SystemError) {
        for name in try names() where LogSegment(fileName: name) != nil || name.hasSuffix(".history") {
            try Self.flush("\(folder)/\(name)", O_RDONLY)
        }
        try Self.flush(folder, O_RDONLY | O_DIRECTORY)
    }

    /// Nil: there is no such file.
    static func bytes(of path: String) -> UInt64? {
        var facts = stat()
        return stat(path, &facts) == 0 ? UInt64(clamping: facts.st_size) : nil
    }

    private static func flush(_ path: String, _ mode: Int32) throws(SystemError) {
        let file = open(path, mode | O_CLOEXEC)
        guard file >= 0 else {
            // Recycled in the meantime.
            if errno == ENOENT { return }
            throw SystemError("open", path)
        }
        defer { close(file) }
        guard fsync(file) == 0 else { throw SystemError("flush", path) }
    }
}

/// A file of the log, by its name: timeline, then which 4 GiB of the log, then which segment of those.
struct LogSegment: Hashable, Sendable {
    var timeline: UInt32
    var high: UInt32
    var low: UInt32

    init?(fileName: String) {
        guard fileName.utf8.count == 24, let timeline = UInt32(fileName.prefix(8), radix: 16),
            let high = UInt32(fileName.dropFirst(8).prefix(8), radix: 16),
            let low = UInt32(fileName.suffix(8), radix: 16)
        else { return nil }
        self.timeline = timeline
        self.high = high
        self.low = low
    }

    /// Where the next segment begins, as an offset into the log.
    func end(segmentSize: UInt64) -> UInt64 { (UInt64(high) << 32) + (UInt64(low) + 1) * segmentSize }
}
