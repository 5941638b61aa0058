import FoundationEssentials
import Glibc
import RoostLinux

enum Output {
    // A whole line in one write, so that lines of several tasks never mix.
    static func line(_ text: String) { put(text, on: 1) }
    static func errorLine(_ text: String) { put(text, on: 2) }

    private static func put(_ text: String, on file: Int32) {
        let bytes = Array((text + "\n").utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                write(file, $0.baseAddress?.advanced(by: written), bytes.count - written)
            }
            if count > 0 { written += count } else if errno != EINTR { return }
        }
    }

    static func json(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }
}

/// The signals that ask a program to end. Caught by a handler, not blocked: children would inherit a blocked one.
enum StopSignals {
    /// Set once, before the handler.
    nonisolated(unsafe) private static var bell: [Int32] = [-1, -1]

    static func install() {
        signal(SIGPIPE, SIG_IGN)
        guard pipe(&bell) == 0 else { return }
        for end in bell { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        for number in [SIGTERM, SIGINT] {
            signal(number) { _ in
                var one: UInt8 = 1
                _ = write(StopSignals.bell[1], &one, 1)
            }
        }
    }

    /// Returns when the process has been asked to end.
    static func wait() async {
        let source = bell[0]
        await BlockingCall.run {
            var byte: UInt8 = 0
            while read(source, &byte, 1) < 0, errno == EINTR {}
        }
    }
}
