import Foundation
import Hummingbird
import NIOCore
public import RoostHost
import RoostLinux
import RoostModel
public import RoostPlanet
public import RoostPostgresControl
public import RoostStore
import RoostWire

/// What a member may ask of its host (RoostWire, MemberAPI.swift has the list): its own cluster and nothing else.
public struct MemberAPI: Sendable {
    let agent: HostAgent
    let watcher: PlanetWatcher
    let store: any Store
    let warden: LeaseWarden

    public init(agent: HostAgent, watcher: PlanetWatcher, store: any Store, warden: LeaseWarden) {
        self.agent = agent
        self.watcher = watcher
        self.store = store
        self.warden = warden
    }

    /// Who is on the other end of one socket.
    struct Caller: Hashable, Sendable {
        var machine: MachineID
        var cluster: AppName
        var member: MemberName
    }

    func router(for caller: Caller) -> Router<BasicRequestContext> {
        let router = Router()
        router.add(middleware: ErrorBodies())
        let cluster = router.group("v1/cluster")
        cluster.get { _, _ in try Answer.json(try await freshView(for: caller)) }
        cluster.get("watch") { _, _ in watch(for: caller) }
        cluster.put("rule") { request, _ in try await changeRule(request, caller) }
        cluster.put("heartbeat") { request, _ in try await renew(request, caller) }
        cluster.put("report") { request, _ in try await report(request, caller) }
        cluster.put("gate") { request, _ in
            let wish = try RequestReader.decode(GateRequest.self, from: try await RequestReader.body(of: request))
            try await agent.setGate(caller.machine, port: ClusterPorts.write, isOpen: wish.isOpen)
            return try Answer.json(OKBody())
        }
        return router
    }

    // MARK: - Views

    private func freshView(for caller: Caller) async throws(Refusal) -> ClusterView {
        let listing: Listing
        do { listing = try await store.read(.prefix(StoreKeys.cluster(caller.cluster)), at: nil) } catch {
            throw Refusal(store: error)
        }
        var planet = Planet()
        _ = planet.apply(.listing(listing))
        guard let view = Self.view(for: caller, in: planet) else {
            throw Refusal(.notFound, "cluster \(caller.cluster) not found")
        }
        return view
    }

    private static func view(for caller: Caller, in planet: Planet) -> ClusterView? {
        guard let records = planet.clusters[caller.cluster], let spec = records.spec, let secrets = records.secrets
        else { return nil }
        return ClusterView(
            member: caller.member, revision: planet.revision, spec: spec, rule: records.rule,
            ruleRevision: records.ruleRevision, heartbeat: records.heartbeat,
            placements: records.placements.values.sorted { $0.member < $1.member },
            reports: records.reports.values.sorted { $0.member < $1.member }, secrets: secrets)
    }

    /// A line for every change, from this host's copy of the planet. Lines that would only repeat are left out.
    private func watch(for caller: Caller) -> Response {
        let cluster = caller.cluster
        let changes = watcher.changes.subscribe { $0.concerns(cluster: cluster) || $0 == .connection }
        return Response(
            status: .ok, headers: [.contentType: "application/x-ndjson"],
            body: .init { writer in
                var last: ClusterView?
                if let line = try line(for: caller, after: &last) { try await writer.write(line) }
                for await _ in changes {
                    if let line = try line(for: caller, after: &last) { try await writer.write(line) }
                }
                try await writer.finish(nil)
            })
    }

    private func line(for caller: Caller, after last: inout ClusterView?) throws -> ByteBuffer? {
        guard watcher.isLive, let view = watcher.read({ Self.view(for: caller, in: $0) }) else { return nil }
        var repeated = view
        repeated.revision = last?.revision ?? view.revision
        guard repeated != last else { return nil }
        last = view
        var line = ByteBuffer(bytes: try JSONEncoder().encode(view))
        line.writeString("\n")
        return line
    }

    // MARK: - Changes

    private func changeRule(_ request: Request, _ caller: Caller) async throws -> Response {
        let wish = try RequestReader.decode(ChangeRuleRequest.self, from: try await RequestReader.body(of: request))
        guard wish.rule.members.contains(caller.member) else {
            throw Refusal(.invalid, "member \(caller.member) is not in the rule it wants to write")
        }
        let key = StoreKeys.clusterRule(caller.cluster)
        return try await apply(
            compares: [try isThere(caller), .modified(key: key, equals: Revision(wish.expectedRevision))], wish.rule,
            at: key)
    }

    private func renew(_ request: Request, _ caller: Caller) async throws -> Response {
        let asked = BootClock.now()
        let wish = try RequestReader.decode(HeartbeatRequest.self, from: try await RequestReader.body(of: request))
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

    private func report(_ request: Request, _ caller: Caller) async throws -> Response {
        let report = try RequestReader.decode(MemberReport.self, from: try await RequestReader.body(of: request))
        guard report.member == caller.member else {
            throw Refusal(.invalid, "member \(caller.member) cannot report for \(report.member)")
        }
        warden.noteReport(report, by: caller.machine)
        return try await apply(
            compares: [try isThere(caller)], report, at: StoreKeys.report(caller.cluster, caller.member))
    }

    /// A cluster that was destroyed stays destroyed: a record that comes late is not taken for one of a new cluster of
    /// the same name.
    private func isThere(_ caller: Caller) throws(Refusal) -> Transaction.Compare {
        guard let records = watcher.planet.clusters[caller.cluster], records.spec != nil else {
            throw Refusal(.notFound, "cluster \(caller.cluster) not found")
        }
        return .modified(key: StoreKeys.clusterSpec(caller.cluster), equals: Revision(records.specRevision))
    }

    /// A put under compares.
    private func apply(
        compares: [Transaction.Compare], _ record: some Encodable, at key: String, then: () -> Void = {}
    ) async throws -> Response {
        let value = Array(try JSONEncoder().encode(record))
        let outcome: TransactionOutcome
        do {
            outcome = try await store.commit(
                Transaction(compares: compares, then: [.put(key: key, value: value, lease: nil)]))
        } catch {
            throw Refusal(store: error)
        }
        if outcome.succeeded { then() }
        return try Answer.json(
            ChangeOutcome(isApplied: outcome.succeeded, revision: outcome.revision.number))
    }
}
