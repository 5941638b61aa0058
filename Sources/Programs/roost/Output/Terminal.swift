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

    enum Style: String, Sendable, CaseIterable {
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
        style == .plain || text.isEmpty || !isColoured(stream) ? text : style.rawValue + text + uncoloured
    }

    /// A line on standard error.
    static func say(_ text: String) { put(text + "\n", on: .error) }

    /// A line of a result.
    static func result(_ text: String) { put(text + "\n", on: .output) }

    /// A result that cannot be written is no result: the program ends. Quietly where its reader has gone, as a program
    /// does that SIGPIPE ends; else with words and a failure.
    static func put(_ text: String, on stream: Stream) {
        let bytes = Array(text.utf8)
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                write(stream.descriptor, buffer.baseAddress?.advanced(by: sent), bytes.count - sent)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                if case .output = stream { endForUnwritten(errno) }
                return
            }
            sent += count
        }
    }

    /// What a machine or a program elsewhere has written: on a terminal its control characters are shown, not obeyed,
    /// for they could move the cursor, change the title or rewrite lines that were printed before.
    static func putForeign(_ text: String, on stream: Stream) {
        put(isTerminal(stream) ? harmless(text) : text, on: stream)
    }

    /// As ``harmless(_:)``, for text that has parts of ours in it: the colours that ``paint(_:_:on:)`` writes stay. What
    /// others write may be coloured by it, and no more.
    static func harmlessButColours(_ text: String) -> String {
        var shown = ""
        var rest = text[...]
        while let escape = rest.unicodeScalars.firstIndex(of: "\u{1b}") {
            shown += harmless(String(rest[..<escape]))
            rest = rest[escape...]
            let colour = (Style.allCases.map(\.rawValue) + [uncoloured]).first { !$0.isEmpty && rest.hasPrefix($0) }
            shown += colour ?? harmless("\u{1b}")
            rest = Substring(rest.unicodeScalars.dropFirst(colour?.unicodeScalars.count ?? 1))
        }
        return shown + harmless(String(rest))
    }

    private static let uncoloured = "\u{1b}[0m"

    /// C0 and C1 control characters but line feed and tab as `\\x1b`; a carriage return before a line feed is dropped.
    static func harmless(_ text: String) -> String {
        var shown = ""
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x0a, 0x09: shown.unicodeScalars.append(scalar)
            case 0x0d: continue
            case 0..<0x20, 0x7f..<0xa0:
                let digits = String(scalar.value, radix: 16)
                shown += "\\x" + (digits.count < 2 ? "0" : "") + digits
            default: shown.unicodeScalars.append(scalar)
            }
        }
        return shown
    }

    /// Whoever read our results has gone: nothing that is printed from now on is read.
    static var isReaderGone: Bool {
        var descriptor = pollfd(fd: STDOUT_FILENO, events: Int16(POLLOUT), revents: 0)
        guard poll(&descriptor, 1, 0) == 1 else { return false }
        return descriptor.revents & Int16(POLLERR) != 0
    }

    /// Ends the program as SIGPIPE would have.
    static func endAsUnread() -> Never {
        signal(SIGPIPE, SIG_DFL)
        raise(SIGPIPE)
        exit(ExitStatus.failed)
    }

    private static func endForUnwritten(_ code: Int32) -> Never {
        if code == EPIPE { endAsUnread() }
        say(paint("error: ", .bad, on: .error) + "could not write the output: \(String(cString: strerror(code)))")
        exit(ExitStatus.failed)
    }

    /// Descriptors 0 to 2 that the caller had closed are taken, so that no socket or file gets the number of an output
    /// and receives what was meant for a person. Reading and writing them fails, as it did before.
    static func claimStandardDescriptors() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
            // The lowest free number is taken, and that is this one; a standard output is opened for reading only.
            _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
        }
    }
}
