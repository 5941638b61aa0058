import Foundation
import GRDB
import RoostModel

/// The store's meaning in SQL, on one connection inside one SQLite transaction.
struct StoreLedger {
    let database: Database

    struct Clock {
        var revision: Revision
        /// Whatever came at or before it may be incomplete.
        var compacted: Revision
    }

    func clock() throws -> Clock {
        let row = try database.cachedStatement(sql: "SELECT revision, compacted FROM clock")
        guard let found = try Row.fetchOne(row) else {
            throw StoreError.unavailable("read the clock", "the file has no clock row: it is damaged")
        }
        return Clock(revision: Revision(found[0]), compacted: Revision(found[1]))
    }

    // MARK: Reading

    func read(_ range: KeyRange, at revision: Revision?) throws -> Listing {
        let clock = try clock()
        guard let revision, revision != clock.revision else {
            return Listing(entries: try entries(range), revision: clock.revision)
        }
        guard revision < clock.revision else {
            throw StoreError.invalid(
                "read \(range.text)", "revision \(revision) is in the future; the store is at \(clock.revision)")
        }
        guard revision >= clock.compacted, revision >= Schema.firstRevision else {
            throw StoreError(
                code: .compacted, operation: "read \(range.text)",
                cause: "revision \(revision) is gone; the oldest is \(clock.compacted)")
        }
        return Listing(entries: try entries(range, at: revision), revision: revision)
    }

    func entries(_ range: KeyRange) throws -> [Entry] {
        let (condition, arguments) = Self.condition(range)
        let statement = try database.cachedStatement(
            sql: "SELECT key, value, created, modified, lease FROM entries WHERE \(condition) ORDER BY key")
        return try Row.fetchAll(statement, arguments: arguments).map(Self.entry)
    }

    private func entries(_ range: KeyRange, at revision: Revision) throws -> [Entry] {
        let (condition, arguments) = Self.condition(range)
        let statement = try database.cachedStatement(
            sql: """
                SELECT key, value, created, revision, lease FROM changes AS last
                WHERE \(condition) AND value IS NOT NULL AND revision = (
                    SELECT max(revision) FROM changes WHERE key = last.key AND revision <= ?)
                ORDER BY key
                """)
        return try Row.fetchAll(statement, arguments: arguments + [revision.number]).map(Self.entry)
    }

    /// Whole revisions of changes from `from` on, oldest first, up to about `countMax` changes or `bytesMax` bytes.
    func changes(
        _ range: KeyRange, from: Revision, countMax: Int, bytesMax: Int
    ) throws -> (found: [(revision: Revision, changes: [WatchEvent.Change])], isAll: Bool) {
        let (condition, arguments) = Self.condition(range)
        let statement = try database.cachedStatement(
            sql: """
                SELECT key, value, created, revision, lease FROM changes
                WHERE revision >= ? AND \(condition) ORDER BY id
                """)
        let rows = try Row.fetchCursor(statement, arguments: [from.number] + arguments)
        var found: [(revision: Revision, changes: [WatchEvent.Change])] = []
        var count = 0
        var bytes = 0
        while let row = try rows.next() {
            let revision = Revision(row[3])
            if found.last?.revision != revision {
                if count >= countMax || bytes >= bytesMax { return (found, false) }
                found.append((revision, []))
            }
            let change: WatchEvent.Change = row.hasNull(atIndex: 1) ? .delete(key: row[0]) : .put(Self.entry(row))
            found[found.count - 1].changes.append(change)
            count += 1
            if case .put(let entry) = change { bytes += entry.weight }
        }
        return (found, true)
    }

    // MARK: Changing

    /// What a transaction did, for whoever keeps count of the log.
    struct Effect {
        var outcome: TransactionOutcome
        var changes = 0
        var bytes = 0
    }

    func commit(_ transaction: Transaction, isAlive: (LeaseID) -> Bool) throws -> Effect {
        let before = try clock().revision
        let succeeded = try transaction.compares.allSatisfy(holds)
        let writing = Revision(before.number + 1)
        var effect = Effect(outcome: .init(succeeded: succeeded, revision: before, listings: []))
        for operation in succeeded ? transaction.then : transaction.otherwise {
            switch operation {
            case .put(let key, let value, let lease):
                if let lease, try !isAlive(lease) || !exists(lease) {
                    throw StoreError(
                        code: .leaseNotFound, operation: "put \(key)",
                        cause: "lease \(lease) has expired or was never granted")
                }
                try put(key, value, lease: lease, at: writing)
                effect.changes += 1
                effect.bytes += value.count
            case .delete(let range):
                effect.changes += try delete(range, at: writing)
            case .read(let range):
                effect.outcome.listings.append(Listing(entries: try entries(range), revision: before))
            }
        }
        if effect.changes > 0 {
            try advance(to: writing)
            effect.outcome.revision = writing
            for index in effect.outcome.listings.indices { effect.outcome.listings[index].revision = writing }
        }
        return effect
    }

    private func holds(_ compare: Transaction.Compare) throws -> Bool {
        switch compare {
        case .modified(let key, let expected):
            let statement = try database.cachedStatement(sql: "SELECT modified FROM entries WHERE key = ?")
            return try Int64.fetchOne(statement, arguments: [key]) ?? Revision.absent.number == expected.number
        }
    }

    private func put(_ key: String, _ value: [UInt8], lease: LeaseID?, at revision: Revision) throws {
        let statement = try database.cachedStatement(
            sql: """
                INSERT INTO entries (key, value, created, modified, lease) VALUES (?1, ?2, ?3, ?3, ?4)
                ON CONFLICT (key) DO UPDATE SET value = ?2, modified = ?3, lease = ?4
                RETURNING created
                """)
        let data = Data(value)
        let created = try Int64.fetchOne(
            statement, arguments: [key, data, revision.number, lease?.number])
        try log(key, data, created: created ?? revision.number, lease: lease, at: revision)
    }

    /// - Returns: how many keys there were.
    private func delete(_ range: KeyRange, at revision: Revision) throws -> Int {
        let (condition, arguments) = Self.condition(range)
        let keys = try String.fetchAll(
            database.cachedStatement(sql: "SELECT key FROM entries WHERE \(condition) ORDER BY key"),
            arguments: arguments)
        for key in keys {
            try database.cachedStatement(sql: "DELETE FROM entries WHERE key = ?").execute(arguments: [key])
            try log(key, nil, created: 0, lease: nil, at: revision)
        }
        return keys.count
    }

    private func log(_ key: String, _ value: Data?, created: Int64, lease: LeaseID?, at revision: Revision) throws {
        try database.cachedStatement(
            sql: "INSERT INTO changes (revision, key, value, created, lease) VALUES (?, ?, ?, ?, ?)"
        ).execute(arguments: [revision.number, key, value, created, lease?.number])
    }

    private func advance(to revision: Revision) throws {
        try database.cachedStatement(sql: "UPDATE clock SET revision = ?").execute(arguments: [revision.number])
    }

    // MARK: Leases

    func grant(timeToLive: Duration) throws -> LeaseID {
        let statement = try database.cachedStatement(sql: "UPDATE clock SET lease = lease + 1 RETURNING lease")
        guard let number = try Int64.fetchOne(statement) else {
            throw StoreError.unavailable("grant a lease", "the file has no clock row: it is damaged")
        }
        try database.execute(
            sql: "INSERT INTO leases VALUES (?, ?)", arguments: [number, timeToLive.milliseconds])
        return LeaseID(number)
    }

    func leases() throws -> [(LeaseID, Duration)] {
        try Row.fetchAll(database, sql: "SELECT id, time_to_live_ms FROM leases").map { row in
            (LeaseID(row[0]), .milliseconds(row[1] as Int64))
        }
    }

    private func exists(_ lease: LeaseID) throws -> Bool {
        let statement = try database.cachedStatement(sql: "SELECT 1 FROM leases WHERE id = ?")
        return try Int64.fetchOne(statement, arguments: [lease.number]) != nil
    }

    /// The lease and its keys vanish, all in one revision.
    ///
    /// - Returns: how many keys vanished, and the revision afterwards.
    func end(_ lease: LeaseID) throws -> (changes: Int, revision: Revision) {
        let before = try clock().revision
        let writing = Revision(before.number + 1)
        let keys = try String.fetchAll(
            database, sql: "SELECT key FROM entries WHERE lease = ? ORDER BY key", arguments: [lease.number])
        var changes = 0
        for key in keys { changes += try delete(.key(key), at: writing) }
        try database.execute(sql: "DELETE FROM leases WHERE id = ?", arguments: [lease.number])
        guard changes > 0 else { return (0, before) }
        try advance(to: writing)
        return (changes, writing)
    }

    // MARK: Rows

    private static func condition(_ range: KeyRange) -> (String, StatementArguments) {
        switch range {
        case .key(let key): return ("key = ?", [key])
        case .prefix(let prefix):
            guard let end = range.prefixEnd else { return ("key >= ?", [""]) }
            return ("key >= ? AND key < ?", [prefix, end])
        }
    }

    private static func entry(_ row: Row) -> Entry {
        let value: Data = row[1]
        let lease: Int64? = row[4]
        return Entry(
            key: row[0], value: [UInt8](value), created: Revision(row[2]), modified: Revision(row[3]),
            lease: lease.map(LeaseID.init))
    }
}
