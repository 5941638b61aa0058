import RoostModel
import RoostPlanet
import RoostStore
import RoostWire
import Synchronization

/// The store as one member has it: its own cluster's records, read whole, and changed one at a time under compares. Whether
/// it may say what it says is its routes' business.
struct MemberStore: Sendable {
    let caller: MemberRoutes.Caller
    let watcher: PlanetWatcher
    let store: any Store
    /// What this member may still write.
    let allowance = ByteAllowance(MemberBounds.bytesPerSecondMax, burst: MemberBounds.burstBytesMax)
    /// What this member has read and written of the rule: it goes on from that before its host has heard of it.
    let noted = NotedRules()

    /// As the store has them at this moment.
    func read() async throws(Refusal) -> (records: Planet.ClusterRecords?, secrets: ClusterSecrets?) {
        let number = watcher.listing(of: caller.cluster)
        let listing: Listing
        do { listing = try await store.read(.prefix(StoreKeys.cluster(caller.cluster)), at: nil) } catch {
            throw Refusal(store: error)
        }
        var planet = Planet()
        _ = planet.apply(.listing(listing))
        // A spec that a newer program has written takes no member its rule.
        let records = planet.clusters[caller.cluster]?
            .withReadableSpec(of: watcher.read { $0.clusters[caller.cluster] })
        if let records, let rule = records.rule {
            noted.note(KnownRule(rule: rule, revision: records.ruleRevision), since: number)
        }
        // What was just read counts more than what was heard before.
        var secrets = records?.secrets ?? watcher.read { $0.clusters[caller.cluster]?.secrets }
        if secrets == nil {
            secrets = try await store.record(ClusterSecrets.self, at: StoreKeys.secrets(caller.cluster))?.record
        }
        return (records, secrets)
    }

    /// - Parameter revision: the rule that it replaces.
    func put(_ rule: ClusterRule, over revision: Int64) async throws(Refusal) -> ChangeOutcome {
        let key = StoreKeys.clusterRule(caller.cluster)
        let number = watcher.listing(of: caller.cluster)
        let outcome = try await put(
            rule, at: key, under: [try await isThere(), .modified(key: key, equals: Revision(revision))])
        if outcome.isApplied {
            noted.note(KnownRule(rule: rule, revision: outcome.revision), since: number)
        }
        return outcome
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

    // MARK: - What it is measured by

    /// The rule with exactly this revision, where this host knows it without asking. A member knows of a revision by what its
    /// host hears, by what it was answered, and by what it has written: all three are here.
    func knownRule(at revision: Int64) -> KnownRule? {
        if let records = watcher.heard(caller.cluster), records.ruleRevision == revision, let rule = records.rule {
            return KnownRule(rule: rule, revision: revision)
        }
        return noted.rule(at: revision, since: watcher.listing(of: caller.cluster))
    }

    /// The present rule, as the store has it now.
    func presentRule() async throws(Refusal) -> KnownRule? {
        let number = watcher.listing(of: caller.cluster)
        guard let stored = try await store.record(ClusterRule.self, at: StoreKeys.clusterRule(caller.cluster)) else {
            return nil
        }
        let present = KnownRule(rule: stored.record, revision: stored.revision.number)
        noted.note(present, since: number)
        return present
    }

    /// The rule names it. A member that has just come knows that before its host does; and what this host knows does while the
    /// store is away.
    func isMember() async throws(Refusal) -> Bool {
        if watcher.read({ $0.clusters[caller.cluster]?.rule?.members.contains(caller.member) }) == true { return true }
        return try await presentRule()?.rule.members.contains(caller.member) ?? false
    }

    /// It reads only, and by nobody's rule but the spec's.
    func isReader() async throws(Refusal) -> Bool {
        if watcher.read({ $0.clusters[caller.cluster]?.spec?.isReader(caller.member) }) == true { return true }
        let spec = try await store.record(ClusterSpec.self, at: StoreKeys.clusterSpec(caller.cluster))
        return spec?.record.isReader(caller.member) ?? false
    }

    /// What it says of itself counts: a member's word, and that of one of which the store has forgotten everything. A reader has
    /// none, nor what was taken off the spec and has its place yet.
    ///
    /// - Throws: when another machine is this member.
    func hasVoice() async throws(Refusal) -> Bool {
        let isPlaced = try await isPlaced()
        let heard = watcher.read { $0.clusters[caller.cluster] }
        if let heard, heard.hasMember(caller.member) { return true }
        guard isPlaced else { return true }
        // Whom this host has heard of it judges by that; who has just been made is there before this host follows its cluster.
        if let heard, heard.spec != nil, heard.placements[caller.member] != nil { return false }
        do throws(Refusal) {
            let spec = try await store.record(ClusterSpec.self, at: StoreKeys.clusterSpec(caller.cluster))
            return spec?.record.members.contains { $0.name == caller.member } ?? false
        } catch {
            // A spec of a newer version: its rule names the members as well.
            return try await isMember()
        }
    }

    /// Those that the cluster shall have, as the store has it now.
    func wantedMembers() async throws(Refusal) -> [MemberName] {
        guard let spec = try await store.record(ClusterSpec.self, at: StoreKeys.clusterSpec(caller.cluster)) else {
            throw Refusal(.notFound, "cluster \(caller.cluster) not found")
        }
        return spec.record.members.map(\.name)
    }

    /// Whose place it is where the member lives: a host knows of its machine only whom it was made for, and a store that has
    /// gone back gives names again.
    ///
    /// - Returns: false: nobody's, as this store has it; it may have forgotten the machine.
    /// - Throws: when another machine is this member.
    func isPlaced() async throws(Refusal) -> Bool {
        if watcher.read({ $0.clusters[caller.cluster]?.placements[caller.member]?.machine }) == caller.machine {
            return true
        }
        // A member that has just been made is there before this host follows its cluster.
        let key = StoreKeys.placement(caller.cluster, caller.member)
        guard let placement = try await store.record(MemberPlacement.self, at: key)?.record else { return false }
        guard placement.machine == caller.machine else { throw Self.foreign(caller, placement) }
        return true
    }

    static func foreign(_ caller: MemberRoutes.Caller, _ placement: MemberPlacement) -> Refusal {
        Refusal(
            .failedPrecondition,
            "member \(caller.member) of cluster \(caller.cluster) is machine \(placement.machine) on host "
                + "\(placement.host); this one, \(caller.machine), is of before: destroy it when nothing of it is needed"
        )
    }

    /// A cluster that was destroyed stays destroyed: a record that comes late is not taken for one of a new cluster of
    /// the same name. What its spec says is none of this: a newer program may have written it.
    private func isThere() async throws(Refusal) -> Transaction.Compare {
        let key = StoreKeys.clusterSpec(caller.cluster)
        if let known = watcher.read({ $0.clusters[caller.cluster]?.specStored }), known != 0 {
            return .modified(key: key, equals: Revision(known))
        }
        // A member that has just been made is there before this host follows its cluster.
        let stored: Listing
        do { stored = try await store.read(.key(key), at: nil) } catch { throw Refusal(store: error) }
        guard let spec = stored.entries.first else {
            throw Refusal(.notFound, "cluster \(caller.cluster) not found")
        }
        return .modified(key: key, equals: spec.modified)
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

/// A rule, and the revision that wrote it.
struct KnownRule: Hashable, Sendable {
    var rule: ClusterRule
    var revision: Int64
}

/// Rules by their revisions, as the store had them. A store that goes back gives revisions again: what was noted is forgotten
/// with the first lower one, and whenever the cluster is listed anew.
final class NotedRules: Sendable {
    /// What was read, what was written over it, and one that was on its way meanwhile.
    static let countMax = 3

    private let state: Mutex<(rules: [KnownRule], listing: UInt64)> = Mutex(([], 0))

    /// - Parameter listing: the number of the listing that this host went on from before it asked.
    func note(_ rule: KnownRule, since listing: UInt64) {
        state.withLock { state in
            if state.listing != listing || (state.rules.last?.revision ?? 0) > rule.revision { state.rules = [] }
            state.listing = listing
            state.rules.removeAll { $0.revision == rule.revision }
            state.rules = (state.rules + [rule]).suffix(Self.countMax)
        }
    }

    func rule(at revision: Int64, since listing: UInt64) -> KnownRule? {
        state.withLock { state in
            state.listing == listing ? state.rules.first { $0.revision == revision } : nil
        }
    }
}

extension Planet.ClusterRecords {
    /// It is one, or comes to be one. A spec that has forgotten a member of the rule is of a store that went back.
    func hasMember(_ name: MemberName) -> Bool {
        spec?.members.contains { $0.name == name } == true || rule?.members.contains(name) == true
    }
}
