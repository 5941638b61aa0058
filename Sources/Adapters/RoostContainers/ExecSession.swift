import CLinux
import Glibc
import RoostLinux
import RoostModel

/// One command in a machine, from its start to its end.
///
/// The runtime only starts it and goes away (`exec --detach`): it would otherwise wait for the command's outputs, which
/// a process in the background may keep open for ever, and it would give its exit status by a number only. A small
/// supervisor adopts the command and reports how it really ended.
struct ExecSession: Sendable {
    /// Full path of the runtime, and what it is told.
    var program: String
    var arguments: [String]
    var input: String
    /// The runtime writes the command's process id here.
    var pidFile: String
    var timeout: Duration
    var outputBytesMax: Int

    enum Outcome: Sendable {
        /// As waitpid(2) gives it.
        case ended(status: Int32)
        /// The runtime never got as far as the command.
        case notBegun
        case timedOut
        case cancelled
    }

    struct Result: Sendable {
        var outcome: Outcome
        var output: OutputCollector.Stream
        var error: OutputCollector.Stream
    }

    /// For a supervisor whose last child was just killed.
    private static let reapPatience = Duration.seconds(5)

    func run() async throws(SystemError) -> Result {
        let collector = try OutputCollector(bytesMax: outputBytesMax)
        let line = try ReportLine()
        let supervisor: pid_t
        do { supervisor = try await BlockingCall.run { () throws(SystemError) in try start(collector, line) } } catch {
            collector.programHasEnded()
            throw error
        }
        async let collected = BlockingCall.run { collector.collect() }
        let end = BootClock.now() + timeout
        let outcome = await withTaskCancellationHandler {
            await BlockingCall.run { listen(line, until: end) }
        } onCancel: {
            line.cancel()
        }
        await BlockingCall.run { clear(supervisor, after: outcome) }
        collector.programHasEnded()
        let (output, error) = await collected
        return Result(outcome: outcome, output: output, error: error)
    }

    private func start(_ collector: OutputCollector, _ line: ReportLine) throws(SystemError) -> pid_t {
        defer { line.closeWriter() }
        let source = try inputFile()
        defer { close(source) }
        var argv: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        let environment = ["PATH=\(SearchPath.own)", "LC_ALL=C"]
        var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        let files = [source, collector.output, collector.error]
        let child = roost_supervise(program, &argv, &envp, files, line.writer)
        guard child > 0 else { throw SystemError("start", program, code: -child) }
        return child
    }

    private func inputFile() throws(SystemError) -> Int32 {
        guard !input.isEmpty else {
            let null = open("/dev/null", O_RDONLY | O_CLOEXEC)
            guard null >= 0 else { throw SystemError("open", "/dev/null") }
            return null
        }
        let file = roost_memory_file("input of a command")
        guard file >= 0 else { throw SystemError("make", "a file for the input", code: -file) }
        let bytes = Array(input.utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { write(file, $0.baseAddress?.advanced(by: written), $0.count - written) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let error = SystemError("write", "the input")
                close(file)
                throw error
            }
            written += count
        }
        lseek(file, 0, SEEK_SET)
        return file
    }

    private func listen(_ line: ReportLine, until end: Moment) -> Outcome {
        while true {
            switch line.next(until: end) {
            case .end(let report) where report.is_adopted == 0: if report.status != 0 { return .notBegun }
            case .end(let report):
                let command = try? ProcessNumber.read(pidFile)
                if command == nil || command == report.pid { return .ended(status: report.status) }
            case .closed: return .notBegun
            case .timedOut: return .timedOut
            case .cancelled: return .cancelled
            }
        }
    }

    /// Nothing of the command is left when nobody waits for it any more.
    private func clear(_ supervisor: pid_t, after outcome: Outcome) {
        switch outcome {
        case .ended, .notBegun: break
        case .timedOut, .cancelled:
            // What cannot be seen is ended as far as it is the supervisor's.
            if (try? ProcessIdentity(file: pidFile)) == nil {
                // The runtime itself hangs: it is of the supervisor's session.
                kill(-supervisor, SIGKILL)
            }
            if let command = try? ProcessIdentity(file: pidFile) { ProcessTree.end(command) }
        }
        var status: Int32 = 0
        let end = BootClock.now() + Self.reapPatience
        while waitpid(supervisor, &status, WNOHANG) == 0 {
            if BootClock.now() >= end { kill(supervisor, SIGKILL) }
            usleep(2000)
        }
    }
}

/// What the supervisor of a command reports, and a bell for whoever no longer wants to know.
final class ReportLine: Sendable {
    enum Event {
        case end(roost_end)
        case closed, timedOut, cancelled
    }

    let writer: Int32
    private let reader: Int32
    private let bell: Int32

    init() throws(SystemError) {
        var ends: [Int32] = [-1, -1]
        bell = eventfd(0, Int32(EFD_CLOEXEC))
        guard bell >= 0, pipe(&ends) == 0 else {
            let code = errno
            if bell >= 0 { close(bell) }
            throw SystemError("make", "a pipe for reports", code: code)
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (reader, writer) = (ends[0], ends[1])
    }

    deinit {
        close(reader)
        close(bell)
    }

    /// The supervisor has its own.
    func closeWriter() { close(writer) }

    func cancel() {
        var one: UInt64 = 1
        write(bell, &one, 8)
    }

    func next(until end: Moment) -> Event {
        while true {
            let left = end - BootClock.now()
            guard left > .zero else { return .timedOut }
            var waiting = [
                pollfd(fd: reader, events: Int16(POLLIN), revents: 0),
                pollfd(fd: bell, events: Int16(POLLIN), revents: 0),
            ]
            let ready = poll(&waiting, 2, Int32(clamping: left.milliseconds + 1))
            guard ready > 0 else { continue }
            if waiting[1].revents != 0 { return .cancelled }
            var report = roost_end()
            let count = withUnsafeMutableBytes(of: &report) { read(reader, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            return count == MemoryLayout<roost_end>.size ? .end(report) : .closed
        }
    }
}

/// A process id in a file.
enum ProcessNumber {
    /// Nil: there is no such file, or no number in it yet.
    static func read(_ path: String) throws(SystemError) -> Int32? {
        guard let bytes = try DurableFile.read(path) else { return nil }
        return Int32(String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace })
    }
}
