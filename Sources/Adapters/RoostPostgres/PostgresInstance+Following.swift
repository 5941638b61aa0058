import Glibc
import Logging
import RoostFailover
public import RoostLinux
public import RoostModel
import Synchronization

extension PostgresInstance {
    /// A receiver that has not ended by then is ended with its whole Postgres.
    static let receiverDeadline = Duration.seconds(1)
    /// Attempts to see who waits at a relay that is gone.
    private static let relayEndsMax = 5

    /// Makes Postgres follow its leader no more, and proves it. Call ``configure(_:_:)`` with no upstream first.
    ///
    /// The proof: the password file was removed before this call, so a receiver that starts now cannot log in. One
    /// that had read it before is in Postgres's own list of its processes already (auxprocess.c: a process enters
    /// itself before it does anything) and is waited for. When none is left, none can come. A Postgres that does not show
    /// its list in time is stopped, and every child of it is seen to be gone.
    public func stopFollowing() async throws(PostgresError) {
        let canLogIn: Bool
        do { canLogIn = try layout.exists(layout.passwordFile) } catch {
            throw PostgresError("stop following", error)
        }
        guard !canLogIn else { throw PostgresError("stop following", "\(layout.passwordFile) is still there") }
        // One whose first process has died may have left a receiver.
        guard isRunning else { return try await endRemains() }
        try reload()
        let isProven: Bool?
        do {
            isProven = try await poll(for: Self.receiverDeadline, every: .milliseconds(10)) { () -> Bool? in
                guard let receivers = try? await receivers(),
                    let recovery = try? await recovery(within: Self.receiverDeadline)
                else { return nil }
                // Somebody else has promoted it, and it has not said so before.
                guard recovery.isInRecovery else { return false }
                let ours = processes.seen()
                for receiver in receivers where ours.contains(receiver) { Glibc.kill(receiver, SIGTERM) }
                return receivers.isEmpty ? true : nil
            }
        } catch {
            throw PostgresError("stop following", error)
        }
        guard isProven != true else { return }
        logger.warning("it is not known that the receiver has ended, or it is a primary; Postgres is stopped")
        try await end(.immediate, within: .milliseconds(500))
    }

    /// The receivers there are. A session of a client has another type, whatever it calls itself.
    func receivers() async throws(DatabaseError) -> [pid_t] {
        try await receivers(amongThose: "true")
    }

    private func receivers(amongThose condition: String) async throws(DatabaseError) -> [pid_t] {
        let row = try await row(
            """
            SELECT (SELECT string_agg(pid::text, ' ') FROM pg_stat_activity
              WHERE backend_type = 'walreceiver' AND \(condition)), current_setting('is_superuser')
            """, count: 2, by: probe, within: Self.receiverDeadline)
        try Self.requireSight(row[1], of: probe)
        return (row[0] ?? "").split(separator: " ").compactMap { pid_t($0) }
    }

    /// Its receiver is connected to this one.
    func receives(from upstream: PostgresSettings.Upstream) async -> Bool {
        let rows = try? await observer.query("SELECT sender_host FROM pg_stat_wal_receiver", within: Self.probeDeadline)
        return rows?.first?[0] == "\(upstream.address)"
    }

    /// Ends the receivers that are not known to follow straight: one that waits at a relay which neither answers nor dies would
    /// wait for ever, since neither libpq nor Postgres bounds a login that a receiver waits for. The next one goes another
    /// way. What comes to nothing is tried again for some seconds: Postgres may be starting.
    func endReceiversAtTheRelay() async {
        let straight = "SELECT pid FROM pg_stat_wal_receiver WHERE pid IS NOT NULL AND sender_host NOT LIKE '/%'"
        for _ in 0..<Self.relayEndsMax {
            if let others = try? await receivers(amongThose: "pid NOT IN (\(straight))") {
                let ours = processes.seen()
                for receiver in others where ours.contains(receiver) { Glibc.kill(receiver, SIGTERM) }
                return
            }
            guard isRunning, (try? await Task.sleep(for: Self.receiverDeadline)) != nil else { return }
        }
    }

    public struct EndOfLog: Hashable, Sendable {
        /// The end of the last replayed record: where a promotion would branch off.
        public var end: LSN
        /// Of the last replayed byte.
        public var timeline: UInt32
    }

    /// How far a running standby that follows nobody is, when it has replayed everything it has; flushed.
    public func endOfLog(within deadline: Duration) async throws(PostgresError) -> EndOfLog {
        var patience = AnswerPatience(for: deadline)
        do {
            let replayed = try await waitUntilReplayed(within: deadline, &patience)
            let timeline = try await replayedTimeline(&patience)
            try await flushLog()
            return EndOfLog(end: replayed, timeline: timeline)
        } catch {
            throw PostgresError("find the end of the log", error)
        }
    }

    func flushLog() async throws(SystemError) {
        let folder = layout.outside(layout.data + "/pg_wal")
        try await BlockingCall.run { () throws(SystemError) in try LogFiles(folder).flush() }
    }

    /// Needs a positive sign that all was replayed: the startup process has looked at the log on disk and found nothing more,
    /// and either there is nothing received beyond, or it has looked again and found no further whole record (the
    /// received part may end in the middle of one).
    private func waitUntilReplayed(within deadline: Duration, _ patience: inout AnswerPatience) async throws -> LSN {
        // Anybody who is superuser may have paused it, and it would never come to its end.
        var isResumed = false
        var quietSince: (moment: Moment, replayed: LSN)?
        let replayed = try await poll(for: deadline, every: .milliseconds(20)) { () -> LSN? in
            guard isRunning else { throw PostgresError("replay the log", exit ?? "Postgres does not run") }
            if !isResumed {
                let answer = await ask(&patience) { (limit) async throws(DatabaseError) in
                    try await probe.query(Self.resumption, within: limit)
                }
                isResumed = answer != nil
            }
            let answer = await ask(&patience) { (limit) async throws(DatabaseError) in try await recovery(within: limit)
            }
            guard let recovery = answer else { return nil }
            guard recovery.isInRecovery else { throw PostgresError("replay the log", "Postgres is a primary") }
            if recovery.isComplete { return recovery.replayed }
            guard recovery.isRetrying, quietSince.map({ $0.replayed == recovery.replayed }) ?? true else {
                quietSince = nil
                return nil
            }
            let since = quietSince ?? (BootClock.now(), recovery.replayed)
            quietSince = since
            return BootClock.now() - since.moment > PostgresSettings.retryInterval * 3 ? recovery.replayed : nil
        }
        guard let replayed else {
            throw PostgresError("replay the log", "not done within \(deadline.words)")
        }
        return replayed
    }

    private static let resumption =
        "SELECT pg_wal_replay_resume() WHERE pg_is_in_recovery() AND pg_is_wal_replay_paused()"

    /// The timeline of the last replayed byte. No function of SQL tells it; the replication protocol does
    /// (IDENTIFY_SYSTEM, PostgreSQL manual 53.4).
    func replayedTimeline() async throws -> UInt32 { try await identify().timeline }

    /// Asked until there is an answer: for want of it all that was replayed would be looked for once more.
    private func replayedTimeline(_ patience: inout AnswerPatience) async throws -> UInt32 {
        while true {
            do { return try await identify(within: patience.limit()).timeline } catch let error as DatabaseError {
                patience.note(error)
                guard isRunning, !error.isLockedOut, !patience.isOver() else { throw error }
            }
            // A refusal, as of one for whom there is no place just now, comes at once.
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Which database this is, of all that were ever made by initdb, and the timeline of its last replayed byte.
    func identify(within deadline: Duration = probeDeadline) async throws -> (system: String, timeline: UInt32) {
        let rows = try await identity.query("IDENTIFY_SYSTEM", within: deadline)
        await identity.disconnect()
        guard let row = rows.first, row.count >= 3, let system = row[0], let timeline = row[1].flatMap({ UInt32($0) })
        else { throw PostgresError("ask for the timeline", "unexpected answer \(rows)") }
        return (system, timeline)
    }

    /// Removes what a leader left of whom nothing was replayed: history files and segments of timelines above
    /// `timeline`, whose numbers a later fork may use again. Postgres must be stopped.
    ///
    /// - Returns: whether there was anything.
    public func hasLeftovers(above timeline: UInt32) throws(SystemError) -> Bool {
        try !LogFiles(layout.outside(layout.data + "/pg_wal")).above(timeline).isEmpty
    }

    public func removeLeftovers(above timeline: UInt32) async throws(PostgresError) {
        guard !isRunning else { throw PostgresError("remove leftovers of the log", "Postgres runs") }
        do throws(SystemError) {
            try await layout.onDisk { layout throws(SystemError) in
                let files = LogFiles(layout.outside(layout.data + "/pg_wal"))
                for name in try files.above(timeline) { try layout.remove("\(layout.data)/pg_wal/\(name)") }
                try files.flush()
            }
        } catch {
            throw PostgresError("remove leftovers of the log", error)
        }
    }

    /// Tells a standby that follows nobody of the timeline that its leader begins where this log ends: what Postgres
    /// would write itself once it has asked the leader, met the end of the old timeline and connected anew. One that
    /// runs looks for it at once.
    public func expect(_ fork: TimelineFork) async throws(PostgresError) {
        let layout = layout
        do {
            let isNew = try await BlockingCall.run { () throws(SystemError) in try Self.write(fork, layout) }
            // It sleeps between two looks; this wakes it, before the change of configuration lets it connect.
            if isNew, isRunning { try reload() }
        } catch {
            throw PostgresError("expect timeline \(fork.timeline)", error)
        }
    }

    /// - Returns: false when it knows the timeline already, or does not know the one it leaves.
    private static func write(_ fork: TimelineFork, _ layout: PostgresLayout) throws(SystemError) -> Bool {
        let parent = fork.timeline - 1
        let folder = layout.data + "/pg_wal/"
        let path = folder + TimelineHistory.fileName(fork.timeline)
        guard try !layout.exists(path) else { return false }
        let ancestry = try DurableFile.read(layout.outside(folder + TimelineHistory.fileName(parent)))
        guard ancestry != nil || parent == 1 else { return false }
        let line = "\(parent)\t\(fork.begin)\tfollowing a new leader\n"
        try layout.write(String(decoding: ancestry ?? [], as: UTF8.self) + line, to: path)
        return true
    }

    /// Ends recovery: this standby becomes a primary on a timeline of its own. Configure it as leader first, so that
    /// the first commit already waits for its standbys.
    ///
    /// - Returns: the new timeline and where it begins.
    public func promote(within deadline: Duration) async throws(PostgresError) -> TimelineSwitch {
        do {
            var patience = AnswerPatience(for: deadline)
            var isTold = false
            _ = try await answer(within: deadline) { () -> Bool? in
                let answer = await ask(&patience) { (limit) async throws(DatabaseError) in
                    try await recovery(within: limit)
                }
                guard let recovery = answer, recovery.isInRecovery else { return answer.map { _ in true } }
                guard !isTold else { return nil }
                try reload()
                // Told twice it is promoted once.
                isTold = try await tellToPromote(&patience)
                return nil
            }
            // It may stand behind a question of the observation's that Postgres has not answered yet.
            let sample = try await answer(within: deadline) { try? await observe(epoch: .none) }
            guard case .primary(let primary) = sample,
                let ancestor = try history(of: primary.timeline)?.last
            else { throw PostgresError("promote", "the new timeline has no history") }
            // Until it led nobody confirmed.
            let role = role
            confirming.withLock { $0 = role }
            return TimelineSwitch(timeline: primary.timeline, parent: ancestor.timeline, begin: ancestor.end)
        } catch {
            throw PostgresError("promote", error)
        }
    }

    /// - Returns: whether it knows; false when nobody can tell.
    private func tellToPromote(_ patience: inout AnswerPatience) async throws(DatabaseError) -> Bool {
        do throws(DatabaseError) {
            try await control.query("SELECT pg_promote(false)", within: patience.limit())
            return true
        } catch {
            patience.note(error)
            switch error.cause {
            case .connection, .deadlineExceeded: return false
            // object_not_in_prerequisite_state: it is a primary by now, told by a question whose answer did not come.
            case .refused(code: "55000", _): return true
            case .refused, .loginRefused: throw error
            }
        }
    }

    /// Asks until there is an answer: a single question may come too early, or find a computer that is busy.
    private func answer<Answer: Sendable>(
        within deadline: Duration, _ question: () async throws -> Answer?
    ) async throws -> Answer {
        let answer = try await poll(for: deadline, every: .milliseconds(10)) { () -> Answer? in
            guard isRunning else { throw PostgresError("promote", exit ?? "Postgres does not run") }
            return try await question()
        }
        guard let answer else {
            throw PostgresError("promote", "no answer, or still in recovery, after \(deadline.words)")
        }
        return answer
    }

    /// Whether Postgres runs as a primary, as far as it answers.
    func isPrimary() async -> Bool {
        guard isRunning, let recovery = try? await recovery() else { return false }
        return !recovery.isInRecovery
    }

    /// The same, asked until it answers.
    func isPrimary(within deadline: Duration) async throws(PostgresError) -> Bool {
        var patience = AnswerPatience(for: deadline)
        let answer: Bool?
        do {
            answer = try await poll(for: deadline, every: .milliseconds(10)) { () -> Bool? in
                guard isRunning else { throw PostgresError("see its role", exit ?? "Postgres does not run") }
                return await ask(&patience) { (limit) async throws(DatabaseError) in
                    try await !recovery(within: limit).isInRecovery
                }
            }
        } catch { throw PostgresError("see whether Postgres is a primary", error) }
        guard let answer else {
            throw PostgresError("see whether Postgres is a primary", "no answer within \(deadline.words)")
        }
        return answer
    }

    /// Where each timeline of the log that ends on `timeline` begins, but the first; oldest first.
    func forks(of timeline: UInt32) throws(PostgresError) -> [TimelineFork] {
        guard timeline > 1 else { return [] }
        do {
            guard let ancestors = try history(of: timeline) else {
                throw PostgresError("read its history", "there is none")
            }
            return TimelineHistory(ancestors: ancestors).forks(to: timeline)
        } catch {
            throw PostgresError("tell where timeline \(timeline) comes from", error)
        }
    }

    /// The ancestors of a timeline, oldest first; nil for a timeline without a history file, as the first.
    public func history(of timeline: UInt32) throws(SystemError) -> [TimelineHistory.Ancestor]? {
        let path = layout.outside("\(layout.data)/pg_wal/\(TimelineHistory.fileName(timeline))")
        return try DurableFile.read(path).map { TimelineHistory(text: String(decoding: $0, as: UTF8.self)).ancestors }
    }
}

/// Where one timeline left another.
public struct TimelineSwitch: Hashable, Sendable {
    public var timeline: UInt32
    public var parent: UInt32
    public var begin: LSN
}

/// A timeline's `.history` file: a line for each ancestor, oldest first (PostgreSQL manual, 25.3.6 Timelines).
public struct TimelineHistory: Hashable, Sendable {
    public struct Ancestor: Hashable, Sendable {
        public var timeline: UInt32
        /// Where its child begins.
        public var end: LSN
    }

    public var ancestors: [Ancestor]

    public init(text: String) {
        ancestors = text.split(separator: "\n").compactMap { line in
            let fields = line.split { $0 == "\t" || $0 == " " }
            guard fields.count >= 2, let timeline = UInt32(fields[0]), let end = LSN(text: fields[1]) else {
                return nil
            }
            return Ancestor(timeline: timeline, end: end)
        }
    }

    init(ancestors: [Ancestor]) { self.ancestors = ancestors }

    /// Where each timeline on the way to `timeline`, whose history this is, begins, but the first; oldest first.
    func forks(to timeline: UInt32) -> [TimelineFork] {
        zip(ancestors.dropFirst().map(\.timeline) + [timeline], ancestors).map {
            TimelineFork(timeline: $0, begin: $1.end)
        }
    }

    static func fileName(_ timeline: UInt32) -> String {
        let digits = String(timeline, radix: 16, uppercase: true)
        return String(repeating: "0", count: 8 - digits.count) + digits + ".history"
    }
}
