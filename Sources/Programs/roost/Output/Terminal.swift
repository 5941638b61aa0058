import Glibc

/// What the user sees. Results go to standard output, everything else to standard error.
enum Terminal {
    enum Stream: Sendable {
        case output, error

        var descriptor: Int32 {
            switch self {
            case .output: STDOUT_FILENO
            case .error: STDERR_FILENO
            }
        }
    }

    enum Style: String, Sendable {
        case plain = ""
        case good = "\u{1b}[32m"
        case warning = "\u{1b}[33m"
        case bad = "\u{1b}[31m"
        case faint = "\u{1b}[2m"
        case strong = "\u{1b}[1m"
    }

    static func isTerminal(_ stream: Stream) -> Bool { isatty(stream.descriptor) == 1 }

    static let columnsDefault = 80

    /// How many characters fit into a line.
    static func columns(of stream: Stream) -> Int {
        var size = winsize()
        guard ioctl(stream.descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return columnsDefault }
        return Int(size.ws_col)
    }

    static var hasUser: Bool { isatty(STDIN_FILENO) == 1 && isTerminal(.error) }

    /// https://no-color.org: any non-empty value turns colours off.
    static func isColoured(_ stream: Stream) -> Bool {
        isTerminal(stream) && environment("NO_COLOR") == nil && environment("TERM") != "dumb"
    }

    static func paint(_ text: String, _ style: Style, on stream: Stream = .output) -> String {
        style == .plain || text.isEmpty || !isColoured(stream) ? text : style.rawValue + text + "\u{1b}[0m"
    }

    /// A line on standard error.
    static func say(_ text: String) { put(text + "\n", on: .error) }

    static func put(_ text: String, on stream: Stream) {
        let bytes = Array(text.utf8)
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                write(stream.descriptor, buffer.baseAddress?.advanced(by: sent), bytes.count - sent)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            sent += count
        }
    }
}
