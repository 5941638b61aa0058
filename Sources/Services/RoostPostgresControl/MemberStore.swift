import RoostModel
import RoostPlanet
import RoostStore
import RoostWire

/// The store as one member has it: its own cluster's records, read whole, and changed one at a time under compares. Whether
/// it may say what it says is its routes' business.
struct MemberStore: Sendable {
    let caller: MemberRoutes.Caller
    let watcher: PlanetWatcher
    let store: any Store
    /// What this member may still write.
    let allowance = ByteAllowance(MemberBounds.bytesPerSecondMax, burst: MemberBounds.burstBytesMax)

    /// As the store has them at this moment.
    func read() async throws(Refusal) -> (records: Planet.ClusterRecords?, secrets: ClusterSecrets?) {
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
        return (planet.clusters[caller.cluster], secrets)
    }

    /// - Parameter revision: the rule that it replaces.
    func put(_ rule: ClusterRule, over revision: Int64) async throws(Refusal) -> ChangeOutcome {
        let key = StoreKeys.clusterRule(caller.cluster)
        return try await put(
            rule, at: key, under: [try await isThere(), .modified(key: key, equals: Revision(revision))])
    }

    /// - Parameter revision: the rule under which it leads.
    func put(_ heartbeat: Heartbeat, under revision: Int64) async throws(Refusal) -> ChangeOutcome {
        try await put(
            heartbeat, at: StoreKeys.clusterHeartbeat(caller.cluster),
            under: [.modified(key: StoreKeys.clusterRule(caller.cluster), equals: Revision(revision))])
    }

    func put(_ report: MemberReport) async throws(Refusal) -> ChangeOutcome {
        try await put(report, at: StoreKeys.report(caller.cluster, caller.member), under: [try await isThere()])
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

    private func put(
        _ record: some Encodable, at key: String, under compares: [Transaction.Compare]
    ) async throws(Refusal) -> ChangeOutcome {
        let put = try Transaction.Operation.put(record, at: key)
        if case .put(_, let value, _) = put { try MemberBounds.check(bytes: value.count, allowance) }
        let outcome = try await store.carryOut(Transaction(compares: compares, then: [put]))
        return ChangeOutcome(isApplied: outcome.succeeded, revision: outcome.revision.number)
    }
}
