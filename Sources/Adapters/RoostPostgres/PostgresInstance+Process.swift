import Glibc
import Logging
public import RoostFailover
import RoostLinux
import RoostModel
import Synchronization

extension PostgresInstance {
    static let orphansDeadline = Duration.seconds(10)

    public var isRunning: Bool { postmaster.withLock { $0.map { $0.exit == nil } ?? false } }

    /// Starts Postgres with the configuration as written. Returns when its process is there, not when it answers:
    /// recovery may take long. Whoever waits asks ``status()``.
    public func start() async throws(PostgresError) {
        do {
            guard try hasData else { throw PostgresError("start Postgres", "there is no data") }
            guard !isRunning else { return }
            try await removeRemains()
            try await makeRoomToStart()
            // Connections to the Postgres before this one.
            for database in [observer, probe, control, lengthy, identity] { await database.disconnect() }
            let line = layout.program(
                "postgres", ["-D", layout.data, "-c", "config_file=\(layout.configFile)"])
            words.withLock { $0 = nil }
            let number = try? await BlockingCall.run { () throws(SystemError) in try self.systemIdentifier() }
            system.withLock { $0 = number }
            let log = try PostgresLog(path: log) { [weak self] last in
                self?.words.withLock { $0 = last }
            }
            defer { log.closeInput() }
            // It reads what is written now; what is written from here on it has to be told.
            let role = written.withLock { written in
                written.isUntold = false
                return written.settings?.role
            }
            let new = try Postmaster(line, log: log.input) { [weak self] ended in
                if !ended.isWanted { self?.listener.withLock { $0 }?.crashed() }
            }
            postmaster.withLock { $0 = new }
            comingUp.withLock { $0 = role }
            // Every process of it begins with what it was started with.
            confirming.withLock { $0 = role }
        } catch {
            throw PostgresError("start Postgres", error)
        }
    }

    /// It runs, was started to confirm like this, and has not come to serve yet.
    func isComingUp(as role: PostgresSettings.Role) -> Bool {
        isRunning && role.confirms(like: comingUp.withLock { $0 })
    }

    /// Returns when its first process has ended. Never throws: what does not end in time is killed.
    public func stop(_ mode: StopMode, within deadline: Duration) async {
        guard postmaster.withLock({ $0 }) != nil else { return }
        do { try await end(mode, within: deadline) } catch {
            logger.warning("it is not known that Postgres has ended", metadata: ["why": "\(error)"])
        }
    }

    /// From SIGKILL to its end.
    private static let killMax = Duration.seconds(1)

    /// As ``stop(_:within:)``, and proves it.
    ///
    /// - Throws: when a process of it is left, or may be: also one of a Postgres before.
    public func end(_ mode: StopMode, within deadline: Duration) async throws(PostgresError) {
        if let postmaster = postmaster.withLock({ $0 }) {
            postmaster.expectEnd()
            postmaster.signal(mode == .fast ? SIGINT : SIGQUIT)
            let ended = try? await poll(for: deadline, every: .milliseconds(10)) { postmaster.exit }
            if ended == nil {
                logger.warning(
                    "Postgres did not stop in time and is killed", metadata: ["after": "\(deadline.words)"])
                kill()
                // One that waits for a disk ends when the disk goes on: no longer than for all that is left of it.
                _ = try? await poll(for: Self.killMax, every: .milliseconds(10)) { postmaster.exit }
            }
            // In order, it has ended its children before itself and has taken its files away. To look for them takes a busy
            // computer seconds, in which a successor could lead; who starts it again looks.
            if case .code(0)? = ended { return }
        }
        try await endRemains()
        // What is left of its files stands in nobody's way but that of who starts it, and looks.
        try? await removeLocks()
    }

    /// Kills Postgres with everything it started, now. Safe to call from any thread; does not wait.
    public func kill() {
        // While it lives its children are known by it, and it makes no new ones afterwards.
        let children = processes.seen()
        postmaster.withLock { $0 }?.signal(SIGKILL)
        for process in children { Glibc.kill(process, SIGKILL) }
        // A child that was just being made may not have been seen.
        for process in processes.seen() { Glibc.kill(process, SIGKILL) }
    }

    /// How the postmaster ended, in words; nil while it runs or if it never did.
    public var exit: String? {
        let how = postmaster.withLock { $0.flatMap { $0.exit.map { "Postgres \($0)" } } }
        return how.map { how in lastWords.map { "\(how): \($0)" } ?? how }
    }

    /// What the Postgres that runs or ran last said of its end; for people.
    public var lastWords: String? { words.withLock { $0 } }

    /// What it said last, if it may be why it ended.
    var lastWordsOfFailure: String? {
        let isInOrder = postmaster.withLock { $0?.exit } == .code(0)
        return isInOrder ? nil : lastWords
    }

    /// The same as `exit`, once the log had a moment to come through.
    func exitInWords() async -> String? {
        _ = try? await poll(for: Self.wordsDeadline, every: .milliseconds(10)) { lastWords }
        return exit
    }

    private static let wordsDeadline = Duration.milliseconds(200)

    /// Returns when the postmaster that runs now has ended; at once if none runs.
    public func waitForExit() async -> String {
        guard let postmaster = postmaster.withLock({ $0 }) else { return "Postgres does not run" }
        return "Postgres \(await postmaster.waitForExit())"
    }

    public func reload() throws(PostgresError) {
        guard isRunning else { throw PostgresError("reload the configuration", "Postgres does not run") }
        written.withLock { $0.isUntold = false }
        postmaster.withLock { $0 }?.signal(SIGHUP)
    }

    /// Tells Postgres of a configuration that is other than the one it was told of last.
    public func reloadIfChanged() throws(PostgresError) {
        if written.withLock({ $0.isUntold }) { try reload() }
    }

    /// Whether Postgres accepts connections and answers. False as well while it starts, recovers or is frozen.
    func isAnswering() async -> Bool {
        guard isRunning else { return false }
        return (try? await probe.query("SELECT 1", within: Self.probeDeadline)) != nil
    }

    /// A dead postmaster's children hold its shared memory until they notice; its lock files name a process number
    /// that may be another process's by now. Neither may stand in the way of the next start.
    func removeRemains() async throws {
        try await endRemains()
        try await removeLocks()
    }

    /// Ends what is left of a Postgres whose postmaster is gone, and sees that nothing is.
    func endRemains() async throws(PostgresError) {
        let operation = "end the processes of an earlier Postgres"
        let gone: Bool?
        do {
            gone = try await poll(for: Self.orphansDeadline, every: .milliseconds(20)) { () -> Bool? in
                let remaining = try? processes.all()
                for process in remaining ?? processes.seen() { Glibc.kill(process, SIGKILL) }
                return remaining?.isEmpty == true ? true : nil
            }
        } catch { throw PostgresError(operation, error) }
        guard gone == nil else { return }
        throw PostgresError(operation, "these do not end, or it cannot be seen whether they have: \(processes.seen())")
    }

    private func removeLocks() async throws {
        try layout.remove(layout.data + "/postmaster.pid")
        let folder = layout.outside(layout.runFolder)
        // Its own: the relay's has the same form, in a folder below.
        try await Command("find", [folder, "-maxdepth", "1", "-name", ".s.PGSQL.*", "-delete"]).run()
    }
}
