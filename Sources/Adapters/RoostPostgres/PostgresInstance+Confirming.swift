import Logging
import RoostFailover
import RoostLinux
import RoostModel
import RoostWire
import Synchronization

// Who confirms commits is changed while clients write. Each sender of Postgres goes by what it has read last, and sends what
// waits on its way by that, counting every stream that shows a priority, whoever has given it: one that reads late would
// confirm by the old names, and one that is counted late would be counted by the new ones. So nobody confirms in between,
// and nobody is counted, until each sender has shown that it has read so. Then either list may follow: also the old one, if
// that does not come about.
//
// What is proven decides, and never what was written: an attempt that is broken off leaves what was proven as it was.
extension PostgresInstance {
    private static let proofInterval = Duration.milliseconds(20)
    /// A sender that has not shown anything for so long is ended: its standby connects again.
    private static let senderPatience = Duration.seconds(2)
    /// Nobody confirms for so long at most. What is left of the operation is for the way back and for the slots.
    private static let barrierMax = Duration.seconds(4)
    /// A commit of our own that waits is seen to wait within this time.
    private static let trialMax = Duration.milliseconds(300)

    /// Has commits confirmed by what `next` says and by nothing else, by no process of Postgres. If it throws, it is as it
    /// was, or nobody confirms.
    func confirm(by next: PostgresSettings, _ secrets: MemberSecrets) async throws {
        let former = confirming.withLock { $0 }
        if next.role.needsBarrier(after: former) {
            do { try await holdBack(next, secrets, after: former) } catch {
                await confirmAgain(by: former, next, secrets)
                throw error
            }
        }
        // From here on some may go by the next one.
        confirming.withLock { $0 = nil }
        try await configure(next, secrets)
        confirming.withLock { $0 = next.role }
        try reloadIfChanged()
    }

    /// Returns when nobody confirms, and nobody is counted, by no process of Postgres.
    func holdBack(
        _ next: PostgresSettings, _ secrets: MemberSecrets, after former: PostgresSettings.Role?
    ) async throws {
        let end = BootClock.now() + Self.barrierMax
        var settings = next
        // Slots are theirs as long as nothing is proven.
        if let former, former.epoch == next.role.epoch { settings.role = former }
        settings.isHeldBack = true
        try await configure(settings, secrets)
        try reload()
        try await waitUntilTold(until: end)
        let wasAlone = !(former?.asksSomebody ?? false)
        try await proveThatNobodyCounts(next.role.epoch ?? Epoch.none, withCheckpointer: wasAlone, until: end)
        if wasAlone { try await proveThatCommitsWait(until: end) }
    }

    /// Who reads the barrier late, or has read it alone, counts nobody and is not counted: it may go back to what is proven
    /// at any moment. Not when the operation is given up for another: that one stops Postgres, or fences it.
    private func confirmAgain(
        by former: PostgresSettings.Role?, _ next: PostgresSettings, _ secrets: MemberSecrets
    ) async {
        guard let former, former.epoch == next.role.epoch, !Task.isCancelled else { return }
        var settings = next
        settings.role = former
        do {
            try await configure(settings, secrets)
            try reloadIfChanged()
        } catch {
            logger.warning("nobody confirms until the next attempt", metadata: ["why": "\(error)"])
        }
    }

    // MARK: - Proof

    /// Postgres reads the barrier first, and tells its processes before it lets anybody in: a new session that shows it is
    /// proof that all were told.
    private func waitUntilTold(until end: Moment) async throws {
        var session = FreshSession(probe)
        let told: Bool? = try await proving(until: end) { left in
            guard let rows = try? await session.query("SHOW synchronous_standby_names", within: left) else {
                return nil
            }
            if rows.first?.first == PostgresSettings.nobodysNames { return true }
            session.renew()
            return nil
        }
        if told == nil { throw held("Postgres does not read its configuration") }
    }

    private func proveThatNobodyCounts(_ epoch: Epoch, withCheckpointer: Bool, until end: Moment) async throws {
        var proof = BarrierProof()
        let began = BootClock.now()
        let isWhole: Bool? = try await proving(until: end) { left in
            guard let present = try? await processes(of: epoch, withCheckpointer, within: left) else { return nil }
            proof.note(present)
            if proof.isWhole { return true }
            if BootClock.now() - began >= Self.senderPatience { try await endSenders(proof.doubted ?? [], left) }
            return nil
        }
        if isWhole == nil { throw held("one of its processes goes by what counted before, or does not show itself") }
    }

    /// Those that confirm and are counted, or could be, and the one that says whether commits wait at all.
    private func processes(
        of epoch: Epoch, _ withCheckpointer: Bool, within deadline: Duration
    ) async throws(DatabaseError) -> [BarrierProof.Process] {
        let rows = try await probe.query(
            """
            SELECT a.pid, a.backend_start, a.backend_type = 'checkpointer', current_setting('is_superuser'),
              coalesce(a.wait_event_type IN ('Activity', 'Client', 'IO') OR a.wait_event = 'CheckpointWriteDelay', false),
              CASE WHEN r.flush_lsn IS NOT NULL THEN r.sync_priority > 0 END, coalesce(r.state = 'startup', false)
            FROM pg_stat_activity a LEFT JOIN pg_stat_replication r USING (pid)
            WHERE a.backend_type = 'walsender' AND right(a.application_name, \(".e\(epoch)".count)) = '.e\(epoch)'
              OR a.backend_type = 'checkpointer'
            """, within: deadline)
        try Self.requireSight(rows.first?[3], of: probe)
        return rows.compactMap { row in
            let isCheckpointer = row[2] == "t"
            guard let pid = row[0].flatMap({ Int($0) }), let began = row[1], withCheckpointer || !isCheckpointer else {
                return nil
            }
            let counts = isCheckpointer ? false : row[5].map { $0 == "t" }
            return BarrierProof.Process(
                id: "\(pid) \(began)", pid: pid, isAtRest: row[4] == "t", counts: counts,
                isAtStart: row[6] == "t")
        }
    }

    private func endSenders(_ doubted: [BarrierProof.Process], _ left: Duration) async throws {
        let pids = doubted.map { "\($0.pid)" }.joined(separator: ", ")
        _ = try? await probe.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_replication WHERE pid IN (\(pids))", within: left)
    }

    /// Whether commits wait at all is told to sessions by the checkpointer, which looks when it gets to it: not during a
    /// checkpoint that is in a hurry, and that may take long. A commit of our own shows it. Nobody confirms it, and nothing
    /// ends its wait (roost_guard): it is left alone until somebody does.
    private func proveThatCommitsWait(until end: Moment) async throws {
        var session = FreshSession(ordinary)
        let waits: Bool? = try await proving(until: end) { left in
            guard let rows = try? await session.query("SELECT pg_backend_pid()", within: left),
                let pid = rows.first?[0].flatMap({ Int($0) })
            else { return nil }
            // What it is left with is a commit that waits, or one that did not.
            session.renew()
            try? await ordinary.send("SET synchronous_commit = on; SELECT pg_logical_emit_message(true, 'roost', '')")
            return try await poll(for: min(Self.trialMax, left), every: .milliseconds(5)) { () -> Bool? in
                await isWaiting(pid, within: left) ? true : nil
            }
        }
        await ordinary.disconnect()
        if waits == nil { throw held("commits do not wait yet: a checkpoint is being written") }
    }

    private func isWaiting(_ pid: Int, within deadline: Duration) async -> Bool {
        let rows = try? await probe.query(
            "SELECT wait_event_type = 'IPC' AND wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = \(pid)",
            within: deadline)
        return rows?.first?.first == "t"
    }

    /// As long as Postgres runs. Each question has what is left of the time, and not more than somebody waits for one.
    private func proving<Value: Sendable>(
        until end: Moment, _ question: (Duration) async throws -> Value?
    ) async throws -> Value? {
        try await poll(for: end - BootClock.now(), every: Self.proofInterval) { () -> Value? in
            guard isRunning else { throw held(exit ?? "Postgres does not run") }
            let left = end - BootClock.now()
            guard left > .zero else { return nil }
            return try await question(min(left, Self.probeDeadline))
        }
    }

    private func held(_ why: String) -> PostgresError { PostgresError("keep commits from being confirmed", why) }
}

extension PostgresSettings.Role {
    /// Nil: a standby's.
    var epoch: Epoch? {
        switch self {
        case .leader(let epoch, _, _, _): epoch
        case .standby: nil
        }
    }

    /// A commit waits for somebody.
    var asksSomebody: Bool {
        switch self {
        case .leader(_, _, let confirmations, _): confirmations > 0
        case .standby: true
        }
    }

    /// - Parameter former: by what Postgres is proven to confirm; nil: nobody knows.
    func needsBarrier(after former: Self?) -> Bool {
        // Where nobody is asked, nobody can be counted wrongly.
        guard case .leader(_, _, 1..., _) = self else { return false }
        return !confirms(like: former)
    }

    /// Whoever besides may stream.
    func confirms(like other: Self?) -> Bool {
        guard case .leader(let epoch, let standbys, let confirmations, _) = self,
            case .leader(epoch, let others, confirmations, _)? = other
        else { return false }
        return Set(others) == Set(standbys)
    }
}
