import CLinux
import Glibc
import RoostLinux
public import RoostModel
public import RoostRuntime

/// Logs. conmon writes one file per machine, in the form of Kubernetes' container logs (time, stream, `P` or `F` for
/// a partial or full line, text); when it is full, conmon starts it anew, and ``LogHalves`` keeps the full one. A new
/// launch sets the log of the one before aside.
extension OCIRuntime {
    public static let logTailBytesMax = 1 << 20
    /// Kept of the first launch of a crash loop: what began it is what people look for.
    static let firstLogBytesMax = 64 << 10
    /// Two launches in a row are at most so far apart: as long as a machine runs before it is taken for healthy, and
    /// the longest pause between restarts.
    static let crashLoopGap = Duration.seconds(65)

    public func logTail(_ machine: MachineID, bytesMax: Int) async throws(RuntimeError) -> String {
        let folders = folders(machine)
        let limit = min(max(bytesMax, 0), Self.logTailBytesMax)
        return try await onDisk("read the log of", machine) { () throws(SystemError) in
            var text: [UInt8] = []
            for path in [folders.log, folders.olderLog, folders.previousLog, folders.previousOlderLog] {
                guard text.count < limit else { break }
                // The form costs some 45 bytes a line: read more than is asked for.
                text = Self.plain(try Self.tail(path, bytesMax: limit * 4 + 4096)) + text
            }
            if text.count < limit {
                let first = Self.plain(try Self.tail(folders.firstLog, bytesMax: Self.firstLogBytesMax))
                if !text.starts(with: first) { text = first + text }
            }
            return String(decoding: text.suffix(limit), as: UTF8.self)
        }
    }

    private static func tail(_ path: String, bytesMax: Int) throws(SystemError) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            if errno == ENOENT { return [] }
            throw SystemError("open", path)
        }
        defer { close(file) }
        let size = Int(lseek(file, 0, SEEK_END))
        var bytes = [UInt8](repeating: 0, count: min(max(size, 0), bytesMax))
        let count = bytes.withUnsafeMutableBytes { pread(file, $0.baseAddress, $0.count, off_t(size - $0.count)) }
        guard count >= 0 else { throw SystemError("read", path) }
        return Array(bytes[..<count])
    }

    /// What the machine itself wrote: lines without the time and stream before them, parts of lines joined.
    static func plain(_ raw: [UInt8]) -> [UInt8] {
        var text: [UInt8] = []
        for line in raw.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: true) {
            let parts = line.split(separator: UInt8(ascii: " "), maxSplits: 3, omittingEmptySubsequences: false)
            // The first line may have been cut in the middle.
            guard parts.count == 4, parts[2].count == 1, let tag = parts[2].first else { continue }
            text += parts[3]
            if tag == UInt8(ascii: "F") { text.append(UInt8(ascii: "\n")) }
        }
        return text
    }

    /// Before a launch: its log starts empty, and the one before is kept as the previous. On a thread that may wait.
    ///
    /// A log with nothing in it takes nobody's place: launches that come to nothing, one after the other, leave the log
    /// of the last one that ran.
    static func rotateLogs(_ folders: MachineFolders) {
        var present = stat()
        guard stat(folders.log, &present) == 0 else {
            unlink(folders.heldLog)
            return
        }
        if present.st_size == 0, access(folders.olderLog, F_OK) != 0 { return }
        unlink(folders.heldLog)
        keepFirst(folders)
        if rename(folders.olderLog, folders.previousOlderLog) != 0 { unlink(folders.previousOlderLog) }
        rename(folders.log, folders.previousLog)
    }

    private static func keepFirst(_ folders: MachineFolders) {
        var previous = stat()
        var first = stat()
        // The previous log got its name when the launch that has just ended began (rename(2) sets the time of change).
        let began = stat(folders.previousLog, &previous) == 0 ? previous.st_ctim.tv_sec : 0
        let isInLoop = WallClock.milliseconds() / 1000 - Int64(began) <= crashLoopGap.milliseconds / 1000
        if isInLoop, stat(folders.firstLog, &first) == 0 { return }
        guard let end = try? tail(folders.log, bytesMax: firstLogBytesMax) else { return }
        try? PlainFile.replace(end, at: folders.firstLog)
    }

    public func forgetLogs(keeping known: Set<MachineID>) async {
        await BlockingCall.run { removeLogs(keeping: known) }
    }

    /// Keeps the logs of the ``logsKeptMax`` newest of those that are gone.
    private func removeLogs(keeping known: Set<MachineID>) {
        let folder = configuration.logFolder
        guard let names = try? FolderListing.names(in: folder) else { return }
        var gone: [MachineID: (names: [String], time: Int)] = [:]
        for name in names {
            guard let machine = try? MachineID(String(name.prefix { $0 != "." })), !known.contains(machine) else {
                continue
            }
            var file = stat()
            let time = stat("\(folder)/\(name)", &file) == 0 ? file.st_mtim.tv_sec : 0
            let before = gone[machine]
            gone[machine] = ((before?.names ?? []) + [name], max(time, before?.time ?? 0))
        }
        for old in gone.sorted(by: { $0.value.time > $1.value.time }).dropFirst(Self.logsKeptMax) {
            removeLogs(old.value.names, of: old.key)
        }
    }

    /// Unless something of the machine is there, or somebody works on it: it was made since it was asked for.
    private func removeLogs(_ names: [String], of machine: MachineID) {
        let folders = folders(machine)
        // Where that could not be seen there may be something.
        guard let lock = try? FileLock.attempt(folders.lock) else { return }
        defer { lock.release() }
        guard (try? DurableFile.exists(folders.state)) == false else { return }
        for name in names { unlink("\(configuration.logFolder)/\(name)") }
        unlink(folders.lock)
    }
}
