import Glibc
import RoostFailover
import RoostLinux
public import RoostModel
public import RoostWire

extension PostgresInstance {
    /// A copy that has written nothing for so long is given up.
    static let copyStallMax = Duration.seconds(60)

    /// The leader must answer in this time before data is given up for a copy of its own.
    static let leaderDeadline = Duration.seconds(5)

    /// Whether this member could copy from that leader now: it answers, and keeps the log for this member's stream of
    /// the epoch, which only the leader of that epoch does. Changes nothing here.
    ///
    /// - Parameter system: which database the leader's must be; nil: it does not matter.
    /// - Returns: why it could not; nil when it could.
    func obstacle(
        to upstream: PostgresSettings.Upstream, _ settings: PostgresSettings, _ secrets: MemberSecrets,
        system: ExpectedSystem? = nil
    ) async -> String? {
        let connection = settings.connection(to: upstream, layout, application: "roost_look")
        let slot = StreamName(member: member, epoch: upstream.epoch).slot
        do {
            var answer = ""
            try await withPassword(secrets) {
                // A row of nothing when there is no such slot (PostgreSQL manual, 53.4).
                answer = try await self.layout.command(
                    "psql",
                    [
                        "-XAtq", "--no-password", "--dbname=\(connection) replication=true",
                        "--command=READ_REPLICATION_SLOT \"\(slot)\"", "--command=IDENTIFY_SYSTEM",
                    ], deadline: Self.leaderDeadline
                ).run().standardOutput
            }
            let lines = answer.split(separator: "\n")
            guard lines.count == 2, lines[0].hasPrefix("physical|") else { return "it has no slot \(slot)" }
            guard let system, !lines[1].hasPrefix("\(system.number)|") else { return nil }
            return "it has the data of another database system than \(system.words)"
        } catch {
            return PostgresError.words(for: error)
        }
    }

    /// Which database a leader must have, by the number that initdb drew, and who says so.
    enum ExpectedSystem: Hashable, Sendable {
        /// What is here.
        case own(UInt64)
        /// The cluster's, as its rule has it: what is here may be another, and is what has to go.
        case clusters(UInt64)

        var number: UInt64 {
            switch self {
            case .own(let number), .clusters(let number): number
            }
        }

        fileprivate var words: String {
            switch self {
            case .own(let number): "\(number), which is here and is kept"
            case .clusters(let number): "\(number), which is the cluster's: no copy of it is made"
            }
        }
    }

    /// The number that initdb drew for this data: what `pg_control` begins with (pg_control.h, ControlFileData). Nil when
    /// there is no such file.
    func systemIdentifier() throws(SystemError) -> UInt64? {
        let bytes = try DurableFile.read(layout.outside(layout.data + "/global/pg_control")) ?? []
        guard bytes.count >= 8 else { return nil }
        return bytes.prefix(8).withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
    }

    /// Makes a copy of a running Postgres (`pg_basebackup`) beside the data, with the slot that the leader keeps for this
    /// member, so that it finds all of the log it needs afterwards. The data and its Postgres are not touched; the copy
    /// is whole and flushed when this returns, and gone when it throws. ``exchange()`` makes it the data.
    ///
    /// - Parameter progress: told how much has been written.
    public func clone(
        from upstream: PostgresSettings.Upstream, _ settings: PostgresSettings, _ secrets: MemberSecrets,
        within deadline: Duration, progress: @escaping @Sendable (ByteCount) -> Void = { _ in }
    ) async throws(PostgresError) {
        do {
            try await removeCopies()
            try await makeUnfinished()
            try await withPassword(secrets) {
                let connection = settings.connection(to: upstream, self.layout, application: "roost_clone")
                let slot = StreamName(member: self.member, epoch: upstream.epoch).slot
                let before = try self.layout.space().used
                try await self.watched(since: before, progress) {
                    try await self.layout.command(
                        "pg_basebackup",
                        [
                            "--dbname=\(connection)", "--pgdata=\(self.layout.unfinished)", "--wal-method=stream",
                            "--slot=\(slot)", "--checkpoint=fast", "--no-password", "--sync-method=syncfs",
                        ], deadline: deadline
                    ).run()
                }
            }
        } catch {
            // What it takes up may be what Postgres needs.
            try? await removeCopies()
            throw PostgresError("clone \(upstream.leader)", error)
        }
    }

    /// Whether ``rewind(to:_:_:within:)`` would work; Postgres is stopped first and left stopped, and the data is as it was.
    ///
    /// - Returns: why it would not. Nil also when it cannot be tried: pg_rewind tries nothing out on data that was not
    ///   stopped cleanly; in earnest it recovers that first.
    public func tryRewind(
        to upstream: PostgresSettings.Upstream, _ settings: PostgresSettings, _ secrets: MemberSecrets,
        within deadline: Duration
    ) async throws(PostgresError) -> String? {
        do {
            try await makeReadyToRewind(settings, secrets)
            let look = try await layout.command("pg_controldata", ["-D", layout.data], deadline: deadline).outcome()
            guard look.status != 0 || ControlData(text: look.standardOutput).isStopped else { return nil }
            var obstacle: String?
            try await withPassword(secrets) {
                let trial = self.rewinding(to: upstream, settings, ["--dry-run"], within: deadline)
                do { try await trial.run() } catch { obstacle = PostgresError.words(for: error) }
            }
            return obstacle
        } catch {
            throw PostgresError("try to rewind to \(upstream.leader)", error)
        }
    }

    /// Takes back what the leader never had (`pg_rewind`); Postgres is stopped first and left stopped. When it throws,
    /// the data is good for nothing but to be replaced.
    public func rewind(
        to upstream: PostgresSettings.Upstream, _ settings: PostgresSettings, _ secrets: MemberSecrets,
        within deadline: Duration
    ) async throws(PostgresError) {
        do {
            try await makeReadyToRewind(settings, secrets)
            try await withPassword(secrets) {
                try await self.rewinding(to: upstream, settings, [], within: deadline).run()
            }
        } catch {
            throw PostgresError("rewind to \(upstream.leader)", error)
        }
    }

    private func makeReadyToRewind(_ settings: PostgresSettings, _ secrets: MemberSecrets) async throws {
        await stop(.fast, within: .seconds(5))
        try await endCopies()
        guard try hasData else { throw PostgresError("rewind", "there is no data") }
        try await removeRemains()
        var stopped = settings
        stopped.role = .standby(upstream: nil)
        try await configure(stopped, secrets)
        // Recovery in single-user mode refuses to work as a standby.
        try layout.remove(layout.data + "/standby.signal")
    }

    private func rewinding(
        to upstream: PostgresSettings.Upstream, _ settings: PostgresSettings, _ options: [String],
        within deadline: Duration
    ) -> Command {
        let connection = settings.connection(to: upstream, layout, application: "roost_rewind")
        let arguments = [
            "--target-pgdata=\(layout.data)", "--source-server=\(connection) dbname=postgres",
            "--config-file=\(layout.configFile)", "--sync-method=syncfs",
        ]
        return layout.command("pg_rewind", options + arguments, deadline: deadline)
    }

    /// Ends copies that an operation which was given up left behind: they have children of their own.
    func endCopies() async throws {
        let layout = layout
        try await endCopies { () throws(SystemError) in try PostgresProcesses.copies(into: layout) }
    }

    /// - Parameter look: finds those that still run.
    func endCopies(found look: () throws(SystemError) -> [pid_t]) async throws {
        var unseen: SystemError?
        let gone = try await poll(for: Self.orphansDeadline, every: .milliseconds(20)) { () -> Bool? in
            // What could not be seen for a moment is looked at again.
            do throws(SystemError) {
                let remaining = try look()
                unseen = nil
                for process in remaining { Glibc.kill(process, SIGKILL) }
                return remaining.isEmpty ? true : nil
            } catch {
                unseen = error
                return nil
            }
        }
        guard gone != nil else {
            throw PostgresError("end earlier copies", unseen.map { "\($0)" } ?? "they do not end")
        }
    }

    /// What a copy needs to reach the leader: the password, which is gone again afterwards however `body` ends.
    func withPassword(_ secrets: MemberSecrets, _ body: () async throws -> Void) async throws {
        try await BlockingCall.run { () throws(SystemError) in try self.writePassword(secrets) }
        do { try await body() } catch {
            try layout.remove(layout.passwordFile)
            throw error
        }
        try layout.remove(layout.passwordFile)
    }

    /// Runs `body`, and gives it up when the volume has not changed for ``copyStallMax``.
    private func watched(
        since before: ByteCount, _ progress: @escaping @Sendable (ByteCount) -> Void,
        _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        let layout = layout
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await body() }
            group.addTask {
                var last = before
                var changed = BootClock.now()
                while BootClock.now() - changed < Self.copyStallMax {
                    try await Task.sleep(for: .seconds(1))
                    let used = try layout.space().used
                    if used != last { changed = BootClock.now() }
                    last = used
                    progress(used - before)
                }
                throw PostgresError("copy", "nothing was written for \(Self.copyStallMax)")
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }
}
