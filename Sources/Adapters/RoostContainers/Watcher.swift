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

    /// conmon's report: the machine's process id, or -1 and what the runtime said. Older versions call the id `pid`.
    private struct Report: Decodable {
        var data: Int32?
        var pid: Int32?
        var message: String?
    }

    enum Failure: Error {
        case system(SystemError)
        case refused(String)
        case deadline
    }

    /// - Returns: the id of the machine's process 1, created but not yet started.
    func create() async throws(Failure) -> Int32 {
        try await BlockingCall.run { () throws(Failure) in try spawnAndListen() }
    }

    private func spawnAndListen() throws(Failure) -> Int32 {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw .system(SystemError("make a pipe for", program)) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        let child: pid_t
        do throws(SystemError) {
            defer { close(ends[1]) }
            child = try spawn(report: ends[1])
        } catch { throw .system(error) }
        let line = read(ends[0])
        // The process we started ends once it has handed over to its detached child, which has a session of its own.
        // One that hangs before is ended here, with all that is of its session; a child whose runtime hangs is ended
        // by whoever takes the launch apart.
        if line == nil { kill(-child, SIGKILL) }
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0, errno == EINTR {}
        guard let line else { throw .deadline }
        guard let report = try? JSONFile.decode(Report.self, from: line) else {
            throw .refused("\(program) ended without a report (status \(status))")
        }
        guard let pid = report.data ?? report.pid, pid > 0 else {
            throw .refused(report.message ?? "\(program) gave no reason")
        }
        return pid
    }

    private func spawn(report: Int32) throws(SystemError) -> pid_t {
        let environment = ["PATH=\(SearchPath.own)", "_OCI_SYNCPIPE=\(Self.reportDescriptor)", "LC_ALL=C"]
        var argv: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        let child = roost_spawn_detached(program, &argv, &envp, directory, report)
        guard child > 0 else { throw SystemError("start", program, code: -child) }
        return child
    }

    /// One line, or nil when none came in time. An empty line when conmon ended without a word.
    private func read(_ end: Int32) -> String? {
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
