import RoostModel

/// One watch: reads the change log from where it stands, and sleeps when there is nothing new. Nothing is queued
/// for a slow consumer; one that falls behind the log's bound gets a fresh listing.
actor SQLiteWatch {
    private let store: SQLiteStore
    private let range: KeyRange
    /// The next revision to look at; nil: a listing is wanted.
    private var position: Revision?
    private var pending: ArraySlice<WatchEvent> = []
    private var isInterrupted = false

    static let changesMax = 256
    static let bytesMax = 4 << 20
    static let retryDelay = Duration.seconds(1)

    init(store: SQLiteStore, range: KeyRange, from revision: Revision?) {
        self.store = store
        self.range = range
        position = revision
    }

    /// - Returns: nil only when the consumer's task is cancelled.
    func next() async -> WatchEvent? {
        while !Task.isCancelled {
            if let event = pending.popFirst() { return event }
            do {
                try await look()
            } catch {
                if Task.isCancelled { return nil }
                guard isInterrupted else {
                    isInterrupted = true
                    return .interrupted
                }
                try? await Task.sleep(for: Self.retryDelay)
            }
        }
        return nil
    }

    private enum Finding: Sendable {
        case listing(Listing)
        case changes([WatchEvent], next: Revision)
    }

    /// One look at the file: everything in one SQLite transaction, so that nothing falls between.
    private func look() async throws(StoreError) {
        let (range, position) = (range, position)
        let finding = try await store.reading("watch \(range.text)") { ledger -> Finding in
            let clock = try ledger.clock()
            guard let position, position > clock.compacted, position >= Schema.firstRevision else {
                return .listing(Listing(entries: try ledger.entries(range), revision: clock.revision))
            }
            guard position <= clock.revision else { return .changes([], next: position) }
            let batch = try ledger.changes(
                range, from: position, countMax: Self.changesMax, bytesMax: Self.bytesMax)
            let last = batch.isAll ? clock.revision : batch.found.last?.revision ?? clock.revision
            return .changes(
                batch.found.map { .changes($0.changes, revision: $0.revision) }, next: Revision(last.number + 1))
        }
        switch finding {
        case .listing(let listing):
            pending = [.listing(listing)]
            self.position = Revision(listing.revision.number + 1)
        case .changes(let events, let next):
            pending = events[...]
            self.position = next
            if events.isEmpty, isInterrupted {
                pending = [.changes([], revision: Revision(next.number - 1))]
            } else if events.isEmpty {
                await store.signal.wait(after: Revision(next.number - 1))
            }
        }
        isInterrupted = false
    }
}
