import Logging
import RoostAPI
import RoostHost
import RoostLinux
import RoostModel
import RoostPlanet
import RoostStore
import RoostWire

/// What a member may ask of its host (RoostWire, MemberAPI.swift has the list): its own cluster and nothing else.
struct MemberRoutes: RouteGroup {
    let caller: Caller
    let agent: HostAgent
    let watcher: PlanetWatcher
    let store: any Store
    let warden: LeaseWarden
    /// What this member may still write.
    let allowance = ByteAllowance(MemberBounds.bytesPerSecondMax, burst: MemberBounds.burstBytesMax)

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
            APIRoute(.get, "/v1/cluster/watch", rate: Self.rate) { watch(for: $0) },
            APIRoute(.put, "/v1/cluster/rule", rate: Self.rate) { try await changeRule($0) },
            APIRoute(.put, "/v1/cluster/heartbeat", rate: Self.rate) { try await renew($0) },
            APIRoute(.put, "/v1/cluster/report", rate: Self.rate) { try await report($0) },
            APIRoute(.put, "/v1/cluster/gate", rate: Self.rate) { call in
                let wish = try call.decoded(GateRequest.self)
                try await agent.setGate(caller.machine, port: ClusterPorts.write, isOpen: wish.isOpen)
                return try Answer.ok()
            },
        ]
    }

    // MARK: - Views

    private func freshView(for call: APICall) async throws(Refusal) -> ClusterView {
        let listing: Listing
        do { listing = try await store.read(.prefix(StoreKeys.cluster(caller.cluster)), at: nil) } catch {
            throw Refusal(store: error)
        }
        var planet = Planet()
        _ = planet.apply(.listing(listing))
        // What was just read counts more than what was heard before.
        var secrets = planet.clusters[caller.cluster]?.secrets ?? watcher.read { $0.clusters[caller.cluster]?.secrets }
        if secrets == nil {
            secrets = try await store.record(ClusterSecrets.self, at: StoreKeys.secrets(caller.cluster))?.record
        }
        let withServerKey = Self.needsServerKey(call.header(CallHeader.tlsEndsBefore))
        guard let records = planet.clusters[caller.cluster],
            let view = Self.view(for: caller, records, secrets, withServerKey: withServerKey)
        else {
            throw Refusal(.notFound, "cluster \(caller.cluster) not found")
        }
        return view
    }

    /// Members' programs come with their machines' image, and stay when the host's program changes. What they say is all
    /// that tells the versions apart: it spares a program the key, and keeps it from nobody who is root in the machine.
    static func needsServerKey(_ header: String?) -> Bool { header != "edge" }

    static func view(
        for caller: Caller, _ records: Planet.ClusterRecords, _ secrets: ClusterSecrets?, withServerKey: Bool
    ) -> ClusterView? {
        guard let spec = records.spec, let secrets else { return nil }
        return ClusterView(
            member: caller.member, revision: records.revision, spec: spec, rule: records.rule,
            ruleRevision: records.ruleRevision, heartbeat: records.heartbeat,
            placements: records.placements.values.sorted { $0.member < $1.member },
            reports: records.reports.values.sorted { $0.member < $1.member },
            secrets: MemberSecrets(secrets, withServerKey: withServerKey))
    }

    /// A line for every change, from this host's copy of the planet.
    private func watch(for call: APICall) -> Answer {
        let withServerKey = Self.needsServerKey(call.header(CallHeader.tlsEndsBefore))
        return Answer(
            contentType: "application/x-ndjson",
            body: .stream { [caller, watcher] in
                let cluster = caller.cluster
                let changes = watcher.changes.subscribe { $0.concerns(cluster: cluster) || $0 == .connection }
                return MemberWatch(changes: changes) {
                    watcher.heard(cluster).flatMap {
                        Self.view(for: caller, $0, $0.secrets, withServerKey: withServerKey)
                    }
                }
            })
    }

    // MARK: - Changes

    private func changeRule(_ call: APICall) async throws(Refusal) -> Answer {
        let wish = try call.decoded(ChangeRuleRequest.self)
        guard wish.rule.members.contains(caller.member) else {
            throw Refusal(.invalid, "member \(caller.member) is not in the rule it wants to write")
        }
        try MemberBounds.check(wish.rule)
        let key = StoreKeys.clusterRule(caller.cluster)
        let former = watcher.read { $0.clusters[caller.cluster]?.rule }
        return try await apply(
            compares: [try await isThere(), .modified(key: key, equals: Revision(wish.expectedRevision))],
            MemberBounds.cut(wish.rule), at: key
        ) { Self.log(wish.rule, over: former, of: caller, by: call.logger) }
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
        let rule = StoreKeys.clusterRule(caller.cluster)
        let response = try await apply(
            compares: [.modified(key: rule, equals: Revision(wish.ruleRevision))], wish.heartbeat,
            at: StoreKeys.clusterHeartbeat(caller.cluster)
        ) { warden.noteRenewal(by: caller.machine, epoch: wish.heartbeat.epoch, requestedAt: asked) }
        return response
    }

    private func report(_ call: APICall) async throws(Refusal) -> Answer {
        let report = try call.decoded(MemberReport.self)
        guard report.member == caller.member else {
            throw Refusal(.invalid, "member \(caller.member) cannot report for \(report.member)")
        }
        try MemberBounds.check(report)
        warden.noteReport(report, by: caller.machine)
        return try await apply(
            compares: [try await isThere()], MemberBounds.cut(report),
            at: StoreKeys.report(caller.cluster, caller.member))
    }

    /// A cluster that was destroyed stays destroyed: a record that comes late is not taken for one of a new cluster of
    /// the same name.
    private func isThere() async throws(Refusal) -> Transaction.Compare {
        let key = StoreKeys.clusterSpec(caller.cluster)
        if let records = watcher.read({ $0.clusters[caller.cluster] }), records.spec != nil {
            return .modified(key: key, equals: Revision(records.specRevision))
        }
        // A member that has just been made is there before this host follows its cluster.
        guard let stored = try await store.record(ClusterSpec.self, at: key) else {
            throw Refusal(.notFound, "cluster \(caller.cluster) not found")
        }
        return .modified(key: key, equals: stored.revision)
    }

    /// A put under compares.
    private func apply(
        compares: [Transaction.Compare], _ record: some Encodable, at key: String, then: () -> Void = {}
    ) async throws(Refusal) -> Answer {
        let put = try Transaction.Operation.put(record, at: key)
        if case .put(_, let value, _) = put { try MemberBounds.check(bytes: value.count, allowance) }
        let outcome = try await store.carryOut(Transaction(compares: compares, then: [put]))
        if outcome.succeeded { then() }
        return try Answer.json(
            ChangeOutcome(isApplied: outcome.succeeded, revision: outcome.revision.number))
    }
}
