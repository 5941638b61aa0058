import RoostStore
import Synchronization

/// A store that becomes another one when a test says so, as etcd does that was restored from a copy: its watches list anew.
final class GoingBackStore: Store {
    private struct Present {
        var base: SQLiteStore
        /// Whose watches end when it is replaced.
        var watches: [AsyncStream<Void>.Continuation] = []
    }

    private let present: Mutex<Present>

    init(_ base: SQLiteStore) { present = Mutex(Present(base: base)) }

    func goBack(to copy: SQLiteStore) {
        let former = present.withLock { present in
            defer { present = Present(base: copy) }
            return present.watches
        }
        for watch in former { watch.finish() }
    }

    private var base: SQLiteStore { present.withLock { $0.base } }

    func read(_ range: KeyRange, at revision: Revision?) async throws(StoreError) -> Listing {
        try await base.read(range, at: revision)
    }

    func commit(_ transaction: Transaction) async throws(StoreError) -> TransactionOutcome {
        try await base.commit(transaction)
    }

    func watch(_ range: KeyRange, from revision: Revision?) -> AsyncStream<WatchEvent> {
        let (events, continuation) = AsyncStream.makeStream(of: WatchEvent.self)
        let task = Task {
            var from = revision
            while !Task.isCancelled {
                let (end, watch) = AsyncStream.makeStream(of: Void.self)
                let base = present.withLock { present in
                    present.watches.append(watch)
                    return present.base
                }
                await withTaskGroup(of: Void.self) { [from] group in
                    group.addTask { for await event in base.watch(range, from: from) { continuation.yield(event) } }
                    group.addTask { for await _ in end {} }
                    await group.next()
                    group.cancelAll()
                }
                from = nil
            }
        }
        continuation.onTermination = { _ in task.cancel() }
        return events
    }

    func grantLease(timeToLive: Duration) async throws(StoreError) -> LeaseID {
        try await base.grantLease(timeToLive: timeToLive)
    }

    func keepAlive(_ lease: LeaseID) async throws(StoreError) -> Bool { try await base.keepAlive(lease) }

    func revoke(_ lease: LeaseID) async throws(StoreError) { try await base.revoke(lease) }
}
