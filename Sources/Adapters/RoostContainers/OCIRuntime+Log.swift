import Glibc
import RoostLinux
public import RoostModel
public import RoostRuntime

/// Logs. conmon writes one file per machine, in the form of Kubernetes' container logs (time, stream, `P` or `F` for
/// a partial or full line, text); when it is full, conmon starts it anew. A new launch sets the old log aside, as
/// the one before.
extension OCIRuntime {
    public static let logTailBytesMax = 1 << 20

    public func logTail(_ machine: MachineID, bytesMax: Int) async throws(RuntimeError) -> String {
        let folders = folders(machine)
        let limit = min(max(bytesMax, 0), Self.logTailBytesMax)
        return try report("read the log of", machine) { () throws(SystemError) in
            // The form costs some 45 bytes a line: read more than is asked for.
            var raw = try Self.tail(folders.log, bytesMax: limit * 4 + 4096)
            if raw.count < limit { raw = try Self.tail(folders.previousLog, bytesMax: limit * 4 + 4096) + raw }
            let text = Self.plain(raw)
            return String(decoding: Array(text.utf8).suffix(limit), as: UTF8.self)
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
    static func plain(_ raw: [UInt8]) -> String {
        var text: [UInt8] = []
        for line in raw.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: true) {
            let parts = line.split(separator: UInt8(ascii: " "), maxSplits: 3, omittingEmptySubsequences: false)
            // The first line may have been cut in the middle.
            guard parts.count == 4, parts[2].count == 1, let tag = parts[2].first else { continue }
            text += parts[3]
            if tag == UInt8(ascii: "F") { text.append(UInt8(ascii: "\n")) }
        }
        return String(decoding: text, as: UTF8.self)
    }

    func rotateLogs(_ machine: MachineID) {
        let folders = folders(machine)
        guard access(folders.log, F_OK) == 0 else { return }
        rename(folders.log, folders.previousLog)
    }

    /// Keeps the logs of the machines that are here and of the ``logsKeptMax`` newest that were.
    func forgetOldLogs() {
        let folder = configuration.logFolder
        guard let names = try? FolderListing.names(in: folder) else { return }
        let gone = names.filter { name in
            access("\(configuration.stateFolder)/machines-oci/\(name.prefix { $0 != "." })", F_OK) != 0
        }
        guard gone.count > Self.logsKeptMax else { return }
        let byAge = gone.map { name -> (name: String, time: Int) in
            var file = stat()
            return (name, stat("\(folder)/\(name)", &file) == 0 ? file.st_mtim.tv_sec : 0)
        }.sorted { $0.time > $1.time }
        for old in byAge.dropFirst(Self.logsKeptMax) { unlink("\(folder)/\(old.name)") }
    }
}
