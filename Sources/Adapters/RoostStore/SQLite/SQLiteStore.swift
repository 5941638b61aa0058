import Dispatch
import GRDB
import Glibc
public import Logging
import RoostLinux
import RoostModel
import Synchronization

/// The store of a single host: one SQLite file that this process alone owns.
///
/// What is confirmed is on the disk (`synchronous = FULL`). Reads go beside the writer and see everything that was
/// confirmed before they began.
public final class SQLiteStore: Store {
    let pool: DatabasePool
    let signal: RevisionSignal
    private let path: String
    private let lock: OwnershipLock
    private let bound: ChangeLogBound
    private let leases = Mutex(LeaseTable())
    private let logSize: Mutex<ChangeLogSize>
    /// Leases end and the log is cut here, off the cooperative threads: both block on the disk.
    private let chores = DispatchQueue(label: "roost.store.chores")
    private let wakeUp = Mutex<Moment?>(nil)
    private let logger: Logger

    /// How long to wait before trying again to end a lease on a disk that failed.
    static let choreRetryDelay = Duration.seconds(1)
    /// The timer does not count the time the host was suspended, so it looks at least this often.
    static let choreIntervalMax = Duration.seconds(5)

    /// Opens the file, or makes it. The file's folder must exist.
    ///
    /// - Throws: ``StoreError/Code/unavailable`` when another store has the file open, or it cannot be opened.
    public init(
        path: String, changeLog: ChangeLogBound = .standard, logger: Logger = Logger(label: "store")
    ) throws(StoreError) {
        self.path = path
        self.logger = logger
        bound = changeLog
        lock = try OwnershipLock(of: path)
        do {
            let opened = try Self.open(path)
            pool = opened.pool
            signal = RevisionSignal(revision: opened.revision)
            logSize = Mutex(opened.logSize)
            let now = BootClock.now()
            leases.withLock { table in
                for (lease, timeToLive) in opened.leases { table.begin(lease, timeToLive: timeToLive, now: now) }
            }
        } catch {
            throw .unavailable("open \(path)", "\(error)")
        }
        scheduleChores()
    }

    deinit {
        // Before the lock goes: the next owner must find no writer.
        try? pool.close()
    }

    /// Puts the log beside the file into the file, which alone is the whole store then. For the end of an orderly life: whoever
    /// copies or restores the file by itself loses nothing. Where that fails the log stays, and nothing is lost by it.
    public func foldLog() {
        do {
            _ = try pool.writeWithoutTransaction { try $0.checkpoint(.truncate) }
        } catch {
            logger.warning(
                "cannot put the store's log into its file", metadata: ["path": "\(path)", "error": "\(error)"])
        }
    }

    private struct Opened {
        var pool: DatabasePool
        var revision: Revision
        var leases: [(LeaseID, Duration)]
        var logSize: ChangeLogSize
    }

    private static func open(_ path: String) throws -> Opened {
        // Secrets live in it, so nobody else reads it; SQLite gives the files beside it the same mode.
        let file = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw SystemError("open", path) }
        defer { close(file) }
        guard fchmod(file, 0o600) == 0 else { throw SystemError("change the mode of", path) }
        var configuration = Configuration()
        configuration.busyMode = .timeout(5)
        configuration.label = "roost.store"
        let pool = try DatabasePool(path: path, configuration: configuration)
        // GRDB chooses NORMAL for a pool, where a power loss takes back what was confirmed.
        try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
        try Schema.migrator.migrate(pool)
        return try pool.read { database in
            let ledger = StoreLedger(database: database)
            return Opened(
                pool: pool, revision: try ledger.clock().revision, leases: try ledger.leases(),
                logSize: try ledger.logSize())
        }
    }

    // MARK: Store

    public func read(_ range: KeyRange, at revision: Revision?) async throws(StoreError) -> Listing {
        let operation = "read \(range.text)"
        try range.check(for: operation)
        return try await reading(operation) { try $0.read(range, at: revision) }
    }

    public func commit(_ transaction: Transaction) async throws(StoreError) -> TransactionOutcome {
        let operation = transaction.summary
        try transaction.check(for: operation)
        let effect = try await writing(operation) { try $0.commit(transaction, isAlive: self.isAlive) }
        published(effect.outcome.revision, changes: effect.changes, bytes: effect.bytes)
        return effect.outcome
    }

    public func watch(_ range: KeyRange, from revision: Revision?) -> AsyncStream<WatchEvent> {
        let watch = SQLiteWatch(store: self, range: range, from: revision)
        return AsyncStream(unfolding: { await watch.next() })
    }

    public func grantLease(timeToLive: Duration) async throws(StoreError) -> LeaseID {
        let operation = "grant a lease of \(timeToLive)"
        try LeaseID.check(timeToLive: timeToLive, for: operation)
        let lease = try await writing(operation) { try $0.grant(timeToLive: timeToLive) }
        leases.withLock { $0.begin(lease, timeToLive: timeToLive, now: BootClock.now()) }
        scheduleChores()
        return lease
    }

    public func keepAlive(_ lease: LeaseID) async throws(StoreError) -> Bool {
        leases.withLock { $0.keepAlive(lease, now: BootClock.now()) }
    }

    public func revoke(_ lease: LeaseID) async throws(StoreError) {
        let ended = try await writing("revoke lease \(lease)") { try $0.end(lease) }
        leases.withLock { $0.end(lease) }
        published(ended.revision, changes: ended.changes, bytes: 0)
    }

    /// A lease that is due but not yet ended takes no more keys.
    private func isAlive(_ lease: LeaseID) -> Bool {
        leases.withLock { $0.isAlive(lease, now: BootClock.now()) }
    }

    // MARK: The file

    func reading<Value: Sendable>(
        _ operation: String, _ body: @escaping @Sendable (StoreLedger) throws -> Value
    ) async throws(StoreError) -> Value {
        do {
            return try await pool.read { try body(StoreLedger(database: $0)) }
        } catch let error as StoreError {
            throw error
        } catch {
            throw .unavailable(operation, "\(path): \(error)")
        }
    }

    private func writing<Value: Sendable>(
        _ operation: String, _ body: @escaping @Sendable (StoreLedger) throws -> Value
    ) async throws(StoreError) -> Value {
        let reachedCommit = Atomic(false)
        do {
            return try await pool.write { database in
                let value = try body(StoreLedger(database: database))
                reachedCommit.store(true, ordering: .releasing)
                return value
            }
        } catch let error as StoreError {
            throw error
        } catch {
            // Before the commit everything is rolled back; an error of the commit itself says nothing for sure.
            let isUnknown = reachedCommit.load(ordering: .acquiring)
            throw StoreError(
                code: isUnknown ? .outcomeUnknown : .unavailable, operation: operation, cause: "\(path): \(error)")
        }
    }

    private func published(_ revision: Revision, changes: Int, bytes: Int) {
        guard changes > 0 else { return }
        signal.advance(to: revision)
        let isTooLong = logSize.withLock { size in
            size.changes += changes
            size.bytes += bytes
            return bound.isExceeded(changes: size.changes, bytes: size.bytes)
        }
        if isTooLong { chores.async { [weak self] in self?.compact() } }
    }

    // MARK: Chores

    private func compact() {
        let size = logSize.withLock { $0 }
        guard bound.isExceeded(changes: size.changes, bytes: size.bytes) else { return }
        do {
            let removed = try pool.write { database in
                let ledger = StoreLedger(database: database)
                let before = try ledger.logSize()
                let kept = try ledger.compact(to: bound)
                return ChangeLogSize(changes: before.changes - kept.changes, bytes: before.bytes - kept.bytes)
            }
            // What was written meanwhile, and is counted a moment later, is in neither.
            logSize.withLock { size in
                size.changes -= removed.changes
                size.bytes -= removed.bytes
            }
        } catch {
            logger.warning("cannot cut the store's change log", metadata: ["path": "\(path)", "error": "\(error)"])
        }
    }

    private func scheduleChores() {
        guard let deadline = leases.withLock({ $0.nextDeadline }) else { return }
        scheduleChores(at: deadline)
    }

    private func scheduleChores(at moment: Moment) {
        let now = BootClock.now()
        let due = min(max(moment, now), now + Self.choreIntervalMax)
        let isEarlier = wakeUp.withLock { planned in
            if let planned, planned > now, planned <= due { return false }
            planned = due
            return true
        }
        guard isEarlier else { return }
        let delay = DispatchTimeInterval.milliseconds(Int((due - now).milliseconds) + 1)
        chores.asyncAfter(deadline: .now() + delay) { [weak self] in self?.endDueLeases() }
    }

    private func endDueLeases() {
        wakeUp.withLock { $0 = nil }
        for lease in leases.withLock({ $0.due(now: BootClock.now()) }) {
            do {
                let ended = try pool.write { try StoreLedger(database: $0).end(lease) }
                leases.withLock { $0.end(lease) }
                published(ended.revision, changes: ended.changes, bytes: 0)
            } catch {
                logger.warning(
                    "cannot end a lease yet; trying again",
                    metadata: ["path": "\(path)", "lease": "\(lease)", "error": "\(error)"])
                return scheduleChores(at: BootClock.now() + Self.choreRetryDelay)
            }
        }
        scheduleChores()
    }
}

extension Transaction {
    /// What a transaction is about, for errors: its first key.
    var summary: String {
        for step in then + otherwise {
            switch step {
            case .put(let key, _, _): return "commit on \(key)"
            case .delete(let range), .read(let range): return "commit on \(range.text)"
            }
        }
        return "commit"
    }
}
