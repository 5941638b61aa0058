import Glibc
import RoostLinux

/// Takes in what Postgres writes to its log and passes it on. Users, names and statements of clients are in it: it is
/// for people, and nothing is ever decided by it.
final class PostgresLog: Sendable {
    /// What Postgres writes to.
    let input: Int32
    private let output: Int32
    private let isOutputOurs: Bool
    private let source: Int32
    private let heard: @Sendable (String) -> Void

    /// Large, so that a supervisor that is slow or frozen for a while does not hold Postgres up.
    private static let pipeBytes: Int32 = 1 << 20
    private static let lineBytesMax = 16 << 10
    private static let setPipeSize: Int32 = 1031  // F_SETPIPE_SZ, which Swift's Glibc lacks

    /// - Parameters:
    ///   - path: the file to add the log to; nil: standard error.
    ///   - heard: told the last words of Postgres itself, shortened, for people to read.
    init(path: String?, heard: @escaping @Sendable (String) -> Void) throws(SystemError) {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw SystemError("pipe", "the log of Postgres") }
        (source, input) = (ends[0], ends[1])
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = fcntl(input, Self.setPipeSize, Self.pipeBytes)
        isOutputOurs = path != nil
        output = path.map { open($0, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644) } ?? 2
        self.heard = heard
        guard output >= 0 else {
            let failure = SystemError("open", path ?? "")
            for end in ends { close(end) }
            throw failure
        }
        do { try OwnThread.start("log of Postgres") { self.pump() } } catch {
            for end in ends { close(end) }
            if isOutputOurs { close(output) }
            throw error
        }
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
                    if let words = LastWords.words(in: line) { heard(words) }
                    line.removeAll(keepingCapacity: true)
                } else if line.count < Self.lineBytesMax {
                    line.append(byte)
                }
            }
        }
        close(source)
        if isOutputOurs { close(output) }
    }
}

/// What a person wants to know of a Postgres that does not run: why it says that it ended.
enum LastWords {
    /// A member's detail is a line in a table.
    static let bytesMax = 300

    /// The severity and the message of a line of a process without a session: postmaster, startup process, receiver. Their
    /// lines have the severity right behind the number (`log_line_prefix`).
    static func words(in line: [UInt8]) -> String? {
        let text = String(decoding: line, as: UTF8.self)
        guard let end = text.firstIndex(of: "]") else { return nil }
        let words = text[text.index(after: end)...].drop { $0 == " " }
        let isLast = ["FATAL:  ", "PANIC:  ", "LOG:  server process (PID "].contains { words.hasPrefix($0) }
        guard isLast else { return nil }
        return shortened(String(words))
    }

    /// At most ``bytesMax`` bytes, cut between letters.
    static func shortened(_ text: String) -> String {
        guard text.utf8.count > bytesMax else { return text }
        var short = ""
        var bytes = 0
        for letter in text {
            bytes += letter.utf8.count
            guard bytes <= bytesMax - 3 else { break }
            short.append(letter)
        }
        return short + "…"
    }
}
