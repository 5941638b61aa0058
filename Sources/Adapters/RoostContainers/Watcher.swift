import CLinux
import Glibc
import RoostLinux
import RoostModel

/// Starts `conmon`, which runs the OCI runtime's `create` and then stays: it holds the machine's output, writes its
/// log and keeps its exit code. It detaches itself into a session of its own, so it and the machine live on when this
/// process dies.
struct Watcher: Sendable {
    var program: String
    var arguments: [String]
    /// conmon leaves small files where it stands.
    var directory: String

    static let startDeadlineDefault = Duration.seconds(60)
    var startDeadline = Watcher.startDeadlineDefault
    private static let reportBytesMax = 256 << 10
    /// The descriptor, in conmon, on which it reports (`_OCI_SYNCPIPE`).
    private static let reportDescriptor: Int32 = 3
    /// The descriptor, in conmon, from which it reads its word.
    private static let wordDescriptor: Int32 = 4

    /// conmon's report: the machine's process id, or -1 and what the runtime said. Older versions call the id `pid`.
    fileprivate struct Report: Decodable {
        var data: Int32?
        var pid: Int32?
        var message: String?
    }

    enum Failure: Error {
        case system(SystemError)
        case refused(String)
        case deadline
    }

    /// Starts it; it loads, and then waits for its word (`_OCI_STARTPIPE`) before it does anything. Blocks.
    ///
    /// When this process dies meanwhile, conmon reads an end and goes on without a word. So whoever starts it early
    /// puts the bundle's configuration in place last of all: until then there is nothing to run, and it ends.
    func start() throws(SystemError) -> Waiting {
        let (word, wordThere) = try UnixSocket.pair()
        let ends: (report: Int32, there: Int32)
        do throws(SystemError) { ends = try UnixSocket.pair() } catch {
            for end in [word, wordThere] { close(end) }
            throw error
        }
        defer { for end in [ends.there, wordThere] { close(end) } }
        do throws(SystemError) {
            let child = try spawn(report: ends.there, start: wordThere)
            return Waiting(watcher: self, child: child, report: ends.report, word: word)
        } catch {
            for end in [ends.report, word] { close(end) }
            throw error
        }
    }

    /// One that was started and waits for its word. It is used up by one call of either function.
    struct Waiting: Sendable {
        fileprivate let watcher: Watcher
        fileprivate let child: pid_t
        fileprivate let report: Int32
        fileprivate let word: Int32

        /// Gives the word and blocks until it reports.
        /// - Returns: the id of the machine's process 1, created but not yet started.
        func create() throws(Failure) -> Int32 {
            defer { close(report) }
            var byte: UInt8 = 1
            // One that is gone says so by its report.
            _ = send(word, &byte, 1, Int32(MSG_NOSIGNAL))
            close(word)
            let line = watcher.read(report)
            // The process we started ends once it has handed over to its detached child, which has a session of its
            // own. One that hangs before is ended here, with all that is of its session; a child whose runtime hangs is
            // ended by whoever takes the launch apart.
            if line == nil { kill(-child, SIGKILL) }
            let status = reap()
            guard let line else { throw .deadline }
            guard let report = try? JSONFile.decode(Report.self, from: line) else {
                throw .refused("\(watcher.program) ended without a report (status \(status))")
            }
            guard let pid = report.data ?? report.pid, pid > 0 else {
                throw .refused(report.message ?? "\(watcher.program) gave no reason")
            }
            return pid
        }

        /// Ends it before it has done anything.
        func abandon() {
            kill(-child, SIGKILL)
            close(word)
            close(report)
            _ = reap()
        }

        private func reap() -> Int32 {
            var status: Int32 = 0
            while waitpid(child, &status, 0) < 0, errno == EINTR {}
            return status
        }
    }

    private func spawn(report: Int32, start: Int32) throws(SystemError) -> pid_t {
        let environment = [
            "PATH=\(SearchPath.own)", "_OCI_SYNCPIPE=\(Self.reportDescriptor)",
            "_OCI_STARTPIPE=\(Self.wordDescriptor)", "LC_ALL=C",
        ]
        var argv: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        let child = roost_spawn_detached(program, &argv, &envp, directory, report, start)
        guard child > 0 else { throw SystemError("start", program, code: -child) }
        return child
    }

    /// One line, or nil when none came in time. An empty line when conmon ended without a word.
    fileprivate func read(_ end: Int32) -> String? {
        let deadline = BootClock.now() + startDeadline
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while bytes.count < Self.reportBytesMax {
            let left = deadline - BootClock.now()
            guard left > .zero else { return nil }
            var waiting = pollfd(fd: end, events: Int16(POLLIN), revents: 0)
            let ready = Glibc.poll(&waiting, 1, Int32(clamping: left.milliseconds + 1))
            if ready == 0 || (ready < 0 && errno == EINTR) { continue }
            let count = chunk.withUnsafeMutableBytes { Glibc.read(end, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            bytes += chunk[..<count]
            if bytes.contains(UInt8(ascii: "\n")) { break }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
