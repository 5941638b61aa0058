import Glibc
import RoostLinux

/// Takes in what Postgres writes to its log, passes it on, and finds in it the one thing that nothing else tells:
/// that a standby can never catch up with its leader.
final class PostgresLog: Sendable {
    /// What Postgres writes to.
    let input: Int32
    private let output: Int32
    private let isOutputOurs: Bool
    private let source: Int32
    private let cannotFollow: @Sendable (String) -> Void

    /// Large, so that a supervisor that is slow or frozen for a while does not hold Postgres up.
    private static let pipeBytes: Int32 = 1 << 20
    private static let lineBytesMax = 16 << 10
    private static let setPipeSize: Int32 = 1031  // F_SETPIPE_SZ, which Swift's Glibc lacks

    /// Phrases of a walreceiver's or startup process's last word, from Postgres's sources (walsender.c, slot.c,
    /// xlogrecovery.c). Lost or refused connections are not among them: those pass.
    private static let lastWords = [
        "has already been removed", "is not in this server's history", "before current recovery point",
        "can no longer access replication slot", "can no longer get changes from replication slot",
    ]

    /// - Parameter path: the file to add the log to; nil: standard error.
    init(path: String?, cannotFollow: @escaping @Sendable (String) -> Void) throws(SystemError) {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw SystemError("pipe", "the log of Postgres") }
        (source, input) = (ends[0], ends[1])
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = fcntl(input, Self.setPipeSize, Self.pipeBytes)
        isOutputOurs = path != nil
        output = path.map { open($0, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644) } ?? 2
        self.cannotFollow = cannotFollow
        guard output >= 0 else { throw SystemError("open", path ?? "") }
        try WorkThread.spawn("log of Postgres") { self.pump() }
    }

    /// Postgres has its own copy of `input` now; when the last copy is closed, the log ends.
    func closeInput() { close(input) }

    private func pump() {
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        var line: [UInt8] = []
        while true {
            let count = read(source, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            var written = 0
            while written < count {
                let part = chunk.withUnsafeBytes {
                    write(output, $0.baseAddress?.advanced(by: written), count - written)
                }
                if part > 0 { written += part } else if errno != EINTR { break }
            }
            for byte in chunk[..<count] {
                if byte == 10 {
                    examine(line)
                    line.removeAll(keepingCapacity: true)
                } else if line.count < Self.lineBytesMax {
                    line.append(byte)
                }
            }
        }
        close(source)
        if isOutputOurs { close(output) }
    }

    private func examine(_ line: [UInt8]) {
        let text = String(decoding: line, as: UTF8.self)
        if Self.lastWords.contains(where: { text.contains($0) }) { cannotFollow(text) }
    }
}
