import RoostLinux
public import RoostModel
import RoostTelemetry
import Synchronization

/// A store whose calls are counted and timed.
public struct MeasuredStore: Store {
    private let base: any Store
    private let lag: WatchLag

    /// - Parameter lag: told of every change that this host makes.
    public init(_ base: any Store, lag: WatchLag) {
        self.base = base
        self.lag = lag
        for operation in ["read", "commit", "grant", "keep_alive", "revoke"] {
            let results =
                (operation == "commit" ? ["ok", "refused"] : ["ok"]) + StoreError.Code.allCases.map(\.rawValue)
            for result in results { Metric.storeCalls.begin(operation, result) }
        }
    }

    public func read(_ range: KeyRange, at revision: Revision?) async throws(StoreError) -> Listing {
        try await measure("read") { () async throws(StoreError) in try await base.read(range, at: revision) }
    }

    public func commit(_ transaction: Transaction) async throws(StoreError) -> TransactionOutcome {
        let outcome = try await measure("commit", { $0.succeeded ? "ok" : "refused" }) { () async throws(StoreError) in
            try await base.commit(transaction)
        }
        // What only reads or deletes may leave the store's clock where it was; and of what is written, the watch brings
        // for certain what a host publishes.
        let branch = outcome.succeeded ? transaction.then : transaction.otherwise
        let writes = branch.contains {
            if case .put(let key, _, _) = $0 { key.hasPrefix(StoreKeys.hosts) } else { false }
        }
        if writes { lag.written(outcome.revision, at: BootClock.now()) }
        return outcome
    }

    public func watch(_ range: KeyRange, from revision: Revision?) -> AsyncStream<WatchEvent> {
        base.watch(range, from: revision)
    }

    public func watch(
        _ range: KeyRange, from revision: Revision?, noticing: WatchNotice
    ) -> AsyncStream<WatchEvent> {
        base.watch(range, from: revision, noticing: noticing)
    }

    public func grantLease(timeToLive: Duration) async throws(StoreError) -> LeaseID {
        try await measure("grant") { () async throws(StoreError) in try await base.grantLease(timeToLive: timeToLive) }
    }

    public func keepAlive(_ lease: LeaseID) async throws(StoreError) -> Bool {
        try await measure("keep_alive") { () async throws(StoreError) in try await base.keepAlive(lease) }
    }

    public func revoke(_ lease: LeaseID) async throws(StoreError) {
        try await measure("revoke") { () async throws(StoreError) in try await base.revoke(lease) }
    }

    private func measure<Value>(
        _ operation: String, _ result: (Value) -> String = { _ in "ok" },
        _ call: () async throws(StoreError) -> Value
    ) async throws(StoreError) -> Value {
        let began = BootClock.now()
        defer { Metric.storeDuration.observe(BootClock.now() - began, operation) }
        do throws(StoreError) {
            let value = try await call()
            Metric.storeCalls.add(operation, result(value))
            return value
        } catch {
            Metric.storeCalls.add(operation, error.code.rawValue)
            throw error
        }
    }
}

/// How long this host's watch of the store takes to bring what the store has taken from this host.
public final class WatchLag: Sendable {
    /// Changes that the watch has not brought yet; the oldest are forgotten.
    static let pendingMax = 256

    private struct State {
        var pending: [(revision: Revision, at: Moment)] = []
        var heard = Revision.absent
    }

    private let state = Mutex(State())

    public init() {}

    /// The store has taken a change at this revision.
    func written(_ revision: Revision, at now: Moment) {
        // The watch may be faster than the answer.
        let isHeard = state.withLock { state in
            if revision <= state.heard { return true }
            if state.pending.count >= Self.pendingMax { state.pending.removeFirst() }
            state.pending.append((revision, now))
            return false
        }
        if isHeard { Metric.storeWatchLag.observe(.zero) }
    }

    /// The watch has brought this.
    public func heard(_ event: WatchEvent, at now: Moment) {
        let waited = state.withLock { state -> [Duration] in
            switch event {
            case .changes(_, let revision):
                state.heard = max(state.heard, revision)
                let done = state.pending.filter { $0.revision <= revision }
                state.pending.removeAll { $0.revision <= revision }
                return done.map { now - $0.at }
            case .listing(let listing):
                // Begun anew: how long it was away is no lag of a watch.
                // Lower than what was heard before where the store has gone back.
                state.heard = listing.revision
                state.pending = []
                return []
            case .interrupted:
                state.pending = []
                return []
            }
        }
        for duration in waited { Metric.storeWatchLag.observe(duration) }
    }
}
