/// The store: what must be unique or must outlive a host. Two backends with one meaning: SQLite in this process
/// for a single host, etcd for several.
///
/// Every answer is linearizable unless it says otherwise. An unclear answer is an error of its own
/// (``StoreError/Code/unavailable`` or ``StoreError/Code/outcomeUnknown``), never a "no".
public protocol Store: Sendable {
    /// The entries of a range, in key order, as they were at one revision (nil: now).
    func read(_ range: KeyRange, at revision: Revision?) async throws(StoreError) -> Listing

    /// All compares true: carries out `then`; else `otherwise`. Atomic.
    func commit(_ transaction: Transaction) async throws(StoreError) -> TransactionOutcome

    /// Every change of the range from `revision` on, in order, without gaps; with nil, or when the wanted revision
    /// is compacted away, a whole listing first. The stream reconnects by itself and ends only by cancellation.
    func watch(_ range: KeyRange, from revision: Revision?) -> AsyncStream<WatchEvent>

    /// The same, for who may notice late that its connection is lost. A backend that cannot lose one makes no difference.
    func watch(_ range: KeyRange, from revision: Revision?, noticing: WatchNotice) -> AsyncStream<WatchEvent>

    /// Keys put with a lease vanish when it is not kept alive for its time to live (``LeaseID/timeToLiveMin`` to
    /// ``LeaseID/timeToLiveMax``; a backend may round it up).
    func grantLease(timeToLive: Duration) async throws(StoreError) -> LeaseID
    /// - Returns: false when the lease is already gone. True is no proof that its keys are still there: with etcd
    ///   an old leader may end a lease that was kept alive at a new one.
    func keepAlive(_ lease: LeaseID) async throws(StoreError) -> Bool
    /// The lease's keys vanish at once, in one revision. A lease that is already gone is no error.
    func revoke(_ lease: LeaseID) async throws(StoreError)
}

/// How soon a watch notices that what feeds it has died without a word, or is cut off from the others. To notice is to ask,
/// and all hosts ask the same few.
public enum WatchNotice: Hashable, Sendable {
    /// In one to two seconds: who leads and where clients go depends on it.
    case soon
    /// In some seconds.
    case late
}

extension Store {
    public func watch(
        _ range: KeyRange, from revision: Revision?, noticing: WatchNotice
    ) -> AsyncStream<WatchEvent> {
        watch(range, from: revision)
    }
}

/// The store's logical clock: grows with every change.
public struct Revision: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let number: Int64
    public init(_ number: Int64) { self.number = number }
    /// The modification revision of a key that does not exist.
    public static let absent = Revision(0)
    public static func < (left: Self, right: Self) -> Bool { left.number < right.number }
    public var description: String { "\(number)" }
}

public struct LeaseID: Hashable, Sendable, CustomStringConvertible {
    public let number: Int64
    public init(_ number: Int64) { self.number = number }
    public var description: String { "\(number)" }
}

/// A key is 1 to ``keyBytesMax`` bytes of printable ASCII; a prefix may be empty, and is then every key.
public enum KeyRange: Hashable, Sendable {
    case key(String)
    case prefix(String)
}

public struct Entry: Hashable, Sendable {
    public var key: String
    public var value: [UInt8]
    public var created: Revision
    public var modified: Revision
    public var lease: LeaseID?

    public init(key: String, value: [UInt8], created: Revision, modified: Revision, lease: LeaseID? = nil) {
        self.key = key
        self.value = value
        self.created = created
        self.modified = modified
        self.lease = lease
    }
}

public struct Listing: Hashable, Sendable {
    public var entries: [Entry]
    public var revision: Revision

    public init(entries: [Entry], revision: Revision) {
        self.entries = entries
        self.revision = revision
    }
}

/// Bounded: at most ``operationsMax`` compares and operations in each branch, ``valueBytesMax`` for one value,
/// ``bytesMax`` for all keys and values together. A branch may not put a key twice, nor put one that it deletes.
///
/// The operations of a branch are carried out in order; a read sees what was put and deleted before it.
public struct Transaction: Hashable, Sendable {
    public enum Compare: Hashable, Sendable {
        /// The key's modification revision is this; ``Revision/absent``: the key does not exist.
        case modified(key: String, equals: Revision)
    }

    public enum Operation: Hashable, Sendable {
        case put(key: String, value: [UInt8], lease: LeaseID?)
        case delete(KeyRange)
        case read(KeyRange)
    }

    public var compares: [Compare]
    public var then: [Operation]
    public var otherwise: [Operation]

    public static let operationsMax = 128
    public static let valueBytesMax = 1 << 20

    public init(compares: [Compare] = [], then: [Operation], otherwise: [Operation] = []) {
        self.compares = compares
        self.then = then
        self.otherwise = otherwise
    }
}

public struct TransactionOutcome: Hashable, Sendable {
    public var succeeded: Bool
    public var revision: Revision
    /// One listing for each `read` of the branch that was carried out, in order.
    public var listings: [Listing]

    public init(succeeded: Bool, revision: Revision, listings: [Listing]) {
        self.succeeded = succeeded
        self.revision = revision
        self.listings = listings
    }
}

public enum WatchEvent: Hashable, Sendable {
    /// The whole range as it is; whatever was known before is void.
    case listing(Listing)
    /// What changed, in order. All changes of one revision come in one event. Empty after ``interrupted``: the
    /// connection is back, and nothing changed up to this revision.
    case changes([Change], revision: Revision)
    /// The connection is lost; what is known may be old. Followed by `changes` or `listing` once it is back.
    case interrupted

    public enum Change: Hashable, Sendable {
        case put(Entry)
        case delete(key: String)
    }
}

public struct StoreError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Code: String, Hashable, Sendable, CaseIterable {
        /// The store did not carry it out, or it only reads; try again later.
        case unavailable
        /// It may or may not have been carried out, or may yet be, even after what is done next. Read before trying
        /// again, and compare revisions, so that a late one finds its compare false.
        case outcomeUnknown
        /// The revision asked for is compacted away.
        case compacted
        /// The request itself is wrong (too large, unknown lease); trying again will not help.
        case invalid
        case leaseNotFound
    }

    public let code: Code
    public let operation: String
    public let cause: String

    public init(code: Code, operation: String, cause: String) {
        self.code = code
        self.operation = operation
        self.cause = cause
    }

    public var description: String { "store: \(operation): \(code.rawValue): \(cause)" }
}
