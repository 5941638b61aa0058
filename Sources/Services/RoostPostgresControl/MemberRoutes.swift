import Logging
import RoostAPI
import RoostFailover
import RoostLinux
import RoostModel
import RoostPlanet
import RoostWire

/// What a member may ask of its host (RoostWire, MemberAPI.swift has the list): its own cluster and nothing else. Only the
/// machine that the member's placement names is heard; one that no placement names may look and say what it has, as the store may
/// have forgotten it, and changes nothing.
struct MemberRoutes: RouteGroup {
    let caller: Caller
    let watcher: PlanetWatcher
    let store: MemberStore
    let warden: LeaseWarden
    /// Who leads, and whether clients are let in, for edges that need not wait for the store.
    let tell: @Sendable (_ beat: Heartbeat, _ isStored: Bool) -> Void
    /// The nearest first, as this host measures them; nil: it measures none.
    var nearRegions: @Sendable () -> [RegionCode]? = { nil }
    /// Opens or closes the gate of the caller's machine.
    let setGate: @Sendable (GateRequest) async throws(Refusal) -> Void

    /// Who is on the other end of one socket.
    struct Caller: Hashable, Sendable {
        var machine: MachineID
        var cluster: AppName
        var member: MemberName
    }

    var callers: Principal.Kind { .member }

    /// A member sends a heartbeat every 300 ms, and at most a report every 250 and a read every 150 (`FailoverTimings`).
    /// Each of them has its own measure: none can take the room of the leader's lease.
    static let rate = CallRate(perSecond: 10, burst: 20)

    var routes: [APIRoute] {
        [
            APIRoute(.get, "/v1/cluster", rate: Self.rate) { try Answer.json(try await freshView(for: $0)) },
            APIRoute(.get, "/v1/cluster/last", rate: Self.rate) { try Answer.json(try await lastView(for: $0)) },
            APIRoute(.get, "/v1/cluster/watch", rate: Self.rate) { try await watch(for: $0) },
            APIRoute(.put, "/v1/cluster/rule", rate: Self.rate) { try await changeRule($0) },
            APIRoute(.put, "/v1/cluster/heartbeat", rate: Self.rate) { try await renew($0) },
            APIRoute(.put, "/v1/cluster/lease", rate: Self.rate) { try await holdLease($0) },
            APIRoute(.put, "/v1/cluster/report", rate: Self.rate) { try await report($0) },
            APIRoute(.put, "/v1/cluster/gate", rate: Self.rate) { call in
                let wish = try call.decoded(GateRequest.self)
                if wish.isOpen { try await checkMembership() }
                try await setGate(wish)
                return try Answer.ok()
            },
        ]
    }

    // MARK: - Views

    private func freshView(for call: APICall) async throws(Refusal) -> ClusterView {
        _ = try await store.isPlaced()
        let (found, secrets) = try await store.read()
        let withServerKey = Self.needsServerKey(call.header(CallHeader.tlsEndsBefore))
        guard let records = found,
            let view = Self.view(
                for: caller, records, secrets, withServerKey: withServerKey, nearRegions: nearRegions())
        else {
            throw Refusal(.notFound, "cluster \(caller.cluster) not found")
        }
        return view
    }

    /// For a member that starts while the store is away: it weighs this by what is on its own disk. Of a machine that is this
    /// member by what this host knows, and by nothing else.
    private func lastView(for call: APICall) async throws(Refusal) -> ClusterView {
        let withServerKey = Self.needsServerKey(call.header(CallHeader.tlsEndsBefore))
        let records = watcher.read { $0.clusters[caller.cluster] }
        guard let records, records.placements[caller.member]?.machine == caller.machine,
            let view = Self.view(
                for: caller, records, records.secrets, withServerKey: withServerKey, nearRegions: nearRegions())
        else {
            throw Refusal(
                .unavailable,
                "this host has not heard all of cluster \(caller.cluster) since its program started: the store has to answer "
                    + "first")
        }
        return view
    }

    /// Members' programs come with their machines' image, and stay when the host's program changes. What they say is all
    /// that tells the versions apart: it spares a program the key, and keeps it from nobody who is root in the machine.
    static func needsServerKey(_ header: String?) -> Bool { header != "edge" }

    static func view(
        for caller: Caller, _ records: Planet.ClusterRecords, _ secrets: ClusterSecrets?, withServerKey: Bool,
        nearRegions: [RegionCode]? = nil
    ) -> ClusterView? {
        guard let spec = records.spec, let secrets else { return nil }
        var own = MemberSecrets(secrets, withServerKey: withServerKey)
        // Members make a cluster and give its owner the password: no reader, and nobody who was taken off the spec.
        if !records.hasMember(caller.member) { own.ownerPassword = "" }
        return ClusterView(
            member: caller.member, revision: records.revision, spec: spec, rule: records.rule,
            ruleRevision: records.ruleRevision, heartbeat: records.heartbeat,
            placements: records.placements.values.sorted { $0.member < $1.member },
            reports: records.reports.values.sorted { $0.member < $1.member },
            secrets: own, takesLeaseWord: true, takesVotes: true,
            nearRegions: nearRegions)
    }

    /// A line for every change, from this host's copy of the planet.
    private func watch(for call: APICall) async throws(Refusal) -> Answer {
        _ = try await store.isPlaced()
        let withServerKey = Self.needsServerKey(call.header(CallHeader.tlsEndsBefore))
        return Answer(
            contentType: "application/x-ndjson",
            body: .stream { [caller, watcher, nearRegions] in
                let cluster = caller.cluster
                let changes = watcher.changes.subscribe { $0.concerns(cluster: cluster) || $0 == .connection }
                return MemberWatch(changes: changes) {
                    watcher.heard(cluster).flatMap { records in
                        // Another machine has become this member since.
                        let place = records.placements[caller.member]
                        guard place == nil || place?.machine == caller.machine else { return nil }
                        return Self.view(
                            for: caller, records, records.secrets, withServerKey: withServerKey,
                            nearRegions: nearRegions())
                    }
                }
            })
    }

    // MARK: - Changes

    /// Nothing of a member is destroyed, or decided, by what another machine says it is.
    private func checkPlace() async throws(Refusal) {
        guard try await store.isPlaced() else {
            throw Refusal(
                .failedPrecondition,
                "the store has no place for member \(caller.member) of cluster \(caller.cluster): it may look and report"
            )
        }
    }

    /// Clients are let in to members and readers alone: who only joins, or was removed, has a place too.
    private func checkMembership() async throws(Refusal) {
        try await checkPlace()
        if try await store.isMember() { return }
        guard try await store.isReader() else {
            throw Refusal(
                .failedPrecondition,
                "\(caller.member) is no member of cluster \(caller.cluster) by its present rule: nobody is let in to it"
            )
        }
    }

    private func changeRule(_ call: APICall) async throws(Refusal) -> Answer {
        var wish = try call.decoded(ChangeRuleRequest.self)
        wish.rule = MemberBounds.cut(wish.rule)
        try MemberBounds.check(wish.rule, of: caller.cluster)
        try await checkPlace()
        let former = try await former(at: wish.expectedRevision)
        guard former?.revision ?? 0 == wish.expectedRevision else {
            return try Answer.json(ChangeOutcome(isApplied: false, revision: former?.revision ?? 0))
        }
        try await check(wish.rule, over: former?.rule)
        let outcome = try await store.put(wish.rule, over: wish.expectedRevision)
        if outcome.isApplied { Self.log(wish.rule, over: former?.rule, of: caller, by: call.logger) }
        return try Answer.json(outcome)
    }

    /// The rule with this revision; or the present one, where the store has another one by now.
    private func former(at revision: Int64) async throws(Refusal) -> KnownRule? {
        if let known = store.knownRule(at: revision) { return known }
        return try await store.presentRule()
    }

    /// A rule is measured by the one that it replaces, and by no other: what came between the two would be undone.
    ///
    /// - Throws: where the member may not make that of it.
    private func check(_ rule: ClusterRule, over former: ClusterRule?) async throws(Refusal) {
        let wanted = former == nil ? try await store.wantedMembers() : []
        do throws(UnlawfulChange) {
            if let former {
                // Words were cut by the host that wrote them, which may be of another version.
                try rule.check(asChangeOf: MemberBounds.cut(former), by: caller.member)
            } else {
                try rule.check(asFirstOf: wanted, by: caller.member)
            }
        } catch {
            throw refusal(error)
        }
    }

    private func refusal(_ fault: UnlawfulChange) -> Refusal {
        Refusal(.invalid, "member \(caller.member) cannot change the rule so: \(fault)")
    }

    /// Who leads, and why somebody else shall, is what people look for first.
    private static func log(_ rule: ClusterRule, over former: ClusterRule?, of caller: Caller, by logger: Logger) {
        var fields: Logger.Metadata = [
            "cluster": "\(caller.cluster)", "leader": "\(rule.leader)", "epoch": "\(rule.epoch)",
            "by": "\(caller.member)",
        ]
        if let recruitment = rule.recruitment {
            guard recruitment != former?.recruitment else { return }
            fields["reason"] = "\(recruitment.reason.rawValue)"
            fields["next_epoch"] = "\(recruitment.epoch)"
            logger.info("an election began", metadata: fields)
        } else if rule.epoch != former?.epoch || rule.leader != former?.leader {
            logger.info("elected", metadata: fields)
        }
    }

    private func renew(_ call: APICall) async throws(Refusal) -> Answer {
        let asked = BootClock.now()
        let wish = try call.decoded(HeartbeatRequest.self)
        guard wish.heartbeat.leader == caller.member else {
            throw Refusal(.invalid, "member \(caller.member) cannot renew the lease of \(wish.heartbeat.leader)")
        }
        try MemberBounds.check(wish.heartbeat)
        try await checkPlace()
        let known = try await former(at: wish.ruleRevision)
        guard let known, known.revision == wish.ruleRevision else {
            return try Answer.json(ChangeOutcome(isApplied: false, revision: known?.revision ?? 0))
        }
        guard known.rule.leader == caller.member, known.rule.epoch == wish.heartbeat.epoch else {
            throw Refusal(
                .invalid,
                "\(known.rule.leader) leads epoch \(known.rule.epoch), and member \(caller.member) has no lease to renew"
            )
        }
        tell(wish.heartbeat, true)
        let outcome = try await store.put(wish.heartbeat, under: wish.ruleRevision)
        if outcome.isApplied {
            warden.noteRenewal(by: caller.machine, epoch: wish.heartbeat.epoch, requestedAt: asked)
        }
        return try Answer.json(outcome)
    }

    /// Nothing rests on it but when this host ends the caller's own machine, as with what a member reports of its Postgres.
    private func holdLease(_ call: APICall) async throws(Refusal) -> Answer {
        let asked = BootClock.now()
        let word = try call.decoded(LeaseWord.self)
        guard (0...Heartbeat.lease.milliseconds).contains(word.ageMilliseconds) else {
            throw Refusal(
                .invalid,
                "age_ms is \(word.ageMilliseconds): a lease lasts \(Heartbeat.lease.milliseconds) ms, and is renewed as of a "
                    + "moment within it")
        }
        try await checkPlace()
        warden.noteRenewal(
            by: caller.machine, epoch: word.epoch,
            requestedAt: asked + .milliseconds(-word.ageMilliseconds))
        if let beat = word.heartbeat { try tellDecided(beat, word.epoch) }
        return try Answer.ok()
    }

    /// Of a leader that members have chosen among themselves this host hears from its own member alone, as it hears from it that it
    /// lets clients in. It tells it where the rule that it knows lets members choose, and asks them for no later choice.
    private func tellDecided(_ beat: Heartbeat, _ epoch: Epoch) throws(Refusal) {
        try MemberBounds.check(beat)
        guard beat.leader == caller.member, beat.epoch == epoch else {
            throw Refusal(.invalid, "member \(caller.member) leads epoch \(epoch), and speaks of another leader")
        }
        let rule = watcher.read { $0.clusters[caller.cluster]?.rule }
        guard let rule, rule.majority == true, rule.members.contains(caller.member),
            rule.mayElect(epoch) || rule.epoch == epoch && rule.leader == caller.member
        else { return }
        tell(beat, false)
    }

    private func report(_ call: APICall) async throws(Refusal) -> Answer {
        let report = try call.decoded(MemberReport.self)
        guard report.member == caller.member else {
            throw Refusal(.invalid, "member \(caller.member) cannot report for \(report.member)")
        }
        // Whatever else is wrong with it, and whether or not the store has room for it: this host kills the machine of one that
        // it has not heard say that its Postgres has stopped.
        warden.noteReport(report, by: caller.machine)
        try MemberBounds.check(report, of: caller.cluster)
        // What others say of themselves decides nothing, whoever is root there.
        let word = try await store.hasVoice() ? report : report.withoutVoice
        return try Answer.json(try await store.put(MemberBounds.cut(word)))
    }
}
