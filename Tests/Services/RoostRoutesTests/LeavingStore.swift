import RoostStore
import Synchronization

/// A store that goes away when a test says so: what is asked of it fails, and watches go on as if nothing had been noticed.
struct LeavingStore: Store {
    private enum Presence: Sendable {
        case there
        case away
        /// Until this key is written.
        case thereUntil(String)
    }

    /// Shared by all who have the store.
    final class Leave: Sendable {
        private let presence = Mutex(Presence.there)

        func go() { presence.withLock { $0 = .away } }
        func go(afterWriteOf key: String) { presence.withLock { $0 = .thereUntil(key) } }
        func comeBack() { presence.withLock { $0 = .there } }

        fileprivate func check() throws(StoreError) {
            let isAway = presence.withLock { presence in if case .away = presence { true } else { false } }
            if isAway { throw StoreError(code: .unavailable, operation: "test", cause: "the store is away") }
        }

        fileprivate func note(_ transaction: Transaction) {
            presence.withLock { presence in
                guard case .thereUntil(let last) = presence else { return }
                let isLast = transaction.then.contains { operation in
                    if case .put(let key, _, _) = operation { key == last } else { false }
                }
                if isLast { presence = .away }
            }
        }
    }

    let base: SQLiteStore
    let leave: Leave

    func read(_ range: KeyRange, at revision: Revision?) async throws(StoreError) -> Listing {
        try leave.check()
        return try await base.read(range, at: revision)
    }

    func commit(_ transaction: Transaction) async throws(StoreError) -> TransactionOutcome {
        try leave.check()
        let outcome = try await base.commit(transaction)
        leave.note(transaction)
        return outcome
    }

    func watch(_ range: KeyRange, from revision: Revision?) -> AsyncStream<WatchEvent> {
        base.watch(range, from: revision)
    }

    func grantLease(timeToLive: Duration) async throws(StoreError) -> LeaseID {
        try leave.check()
        return try await base.grantLease(timeToLive: timeToLive)
    }

    func keepAlive(_ lease: LeaseID) async throws(StoreError) -> Bool {
        try leave.check()
        return try await base.keepAlive(lease)
    }

    func revoke(_ lease: LeaseID) async throws(StoreError) {
        try leave.check()
        try await base.revoke(lease)
    }
}
