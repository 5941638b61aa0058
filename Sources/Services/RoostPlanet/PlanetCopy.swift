import Foundation
import GRDB
import RoostLinux
import RoostModel
import RoostRecords
import RoostStore

/// The last known good copy of the store on this host's disk: the records as they came, byte by byte, so that nothing is
/// lost that only another version understands. Written in proportion to what changed.
///
/// It is a copy: when the file is broken it is made anew, and a power loss may cost its last seconds.
struct PlanetCopy: Sendable {
    let rule: CopyRule
    private let database: DatabaseQueue

    /// - Parameter lockedMax: how long another process may hold the file: a former `roostd` that is about to end.
    init(path: String, rule: CopyRule, lockedMax: Duration = .seconds(5)) throws {
        self.rule = rule
        database = try Self.openOrRenew(path, lockedMax)
        try clean()
    }

    /// Removes what a program before this one has kept and this one does not, or what this host does not keep any more.
    private func clean() throws {
        var isChanged = false
        for entry in try entries() where CopyRule.isSecret(entry.key) || rule.kept(entry) == nil {
            let kept = rule.kept(entry)
            guard kept != entry else { continue }
            try database.write { database in
                if let kept { try Self.put(kept, in: database) } else { try Self.delete(entry.key, in: database) }
            }
            isChanged = true
        }
        if isChanged { try wipe() }
    }

    /// What was overwritten or deleted is zeros in the file; here it also goes from the log beside it.
    private func wipe() throws {
        try database.writeWithoutTransaction { try $0.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)") }
    }

    /// Makes a file anew that SQLite calls broken. One that cannot be opened now (a full disk, a lock) is left alone.
    private static func openOrRenew(_ path: String, _ lockedMax: Duration) throws -> DatabaseQueue {
        do {
            return try open(path, lockedMax)
        } catch let error as DatabaseError where isBroken(error) {
            for suffix in ["", "-wal", "-shm"] { try DurableFile.remove(path + suffix) }
            return try open(path, lockedMax)
        }
    }

    private static func isBroken(_ error: DatabaseError) -> Bool {
        [.SQLITE_CORRUPT, .SQLITE_NOTADB].contains(error.resultCode)
    }

    private static func open(_ path: String, _ lockedMax: Duration) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.busyMode = .timeout(lockedMax.secondsAsDouble)
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA journal_mode = WAL")
            try database.execute(sql: "PRAGMA synchronous = NORMAL")
            // A secret that is gone from the store is gone from the disk.
            try database.execute(sql: "PRAGMA secure_delete = ON")
        }
        let database = try DatabaseQueue(path: path, configuration: configuration)
        try database.write { database in
            try database.execute(
                sql: """
                    CREATE TABLE IF NOT EXISTS entries
                    (key TEXT PRIMARY KEY, value BLOB NOT NULL, modified INTEGER NOT NULL) WITHOUT ROWID
                    """)
            try database.execute(
                sql: "CREATE TABLE IF NOT EXISTS last_numbers (what TEXT PRIMARY KEY, number INTEGER NOT NULL)")
            // Reads every page: one that is broken shows now.
            _ = try Row.fetchOne(database, sql: "SELECT sum(length(value) + modified) FROM entries")
        }
        return database
    }

    func entries() throws -> [Entry] {
        try database.read { database in
            try Row.fetchAll(database, sql: "SELECT key, value, modified FROM entries ORDER BY key").map { row in
                let (key, value, modified): (String, Data, Int64) = (row[0], row[1], row[2])
                return Entry(
                    key: key, value: Array(value), created: Revision(modified), modified: Revision(modified))
            }
        }
    }

    /// The highest number of a network that this host has heard of; what the store says now is no part of that.
    func lastNetwork() throws -> NetworkNumber {
        let number = try database.read { database in
            try Int64.fetchOne(database, sql: "SELECT number FROM last_numbers WHERE what = 'network'")
        }
        return NetworkNumber(UInt32(clamping: number ?? 0))
    }

    func write(_ changes: Changes, lastNetwork: NetworkNumber = .hosts) throws {
        let hadSecret = try database.write { database in
            try database.execute(
                sql: """
                    INSERT INTO last_numbers VALUES ('network', ?)
                    ON CONFLICT (what) DO UPDATE SET number = excluded.number WHERE excluded.number > number
                    """, arguments: [Int64(lastNetwork.number)])
            var hadSecret = false
            for listed in changes.listings { hadSecret = try Self.write(listed, in: database) || hadSecret }
            for (key, entry) in changes.records {
                if let entry { try Self.put(entry, in: database) } else { try Self.delete(key, in: database) }
                hadSecret = hadSecret || CopyRule.isSecret(key)
            }
            return hadSecret
        }
        if hadSecret { try wipe() }
    }

    /// - Returns: whether a secret was removed or changed.
    private static func write(_ listed: Changes.Listed, in database: Database) throws -> Bool {
        var hadSecret = false
        var wanted = Dictionary(listed.entries.map { ($0.key, $0) }) { $1 }
        var gone: [String] = []
        let rows = try Row.fetchCursor(database, sql: "SELECT key, modified, value FROM entries")
        while let row = try rows.next() {
            let (key, modified): (String, Int64) = (row[0], row[1])
            guard listed.has(key) else { continue }
            guard let entry = wanted[key] else {
                if !listed.unreadable.contains(key) { gone.append(key) }
                continue
            }
            // The value as well: a store that was restored gives revisions that it had given before.
            let value: Data = row[2]
            if modified == entry.modified.number, value.elementsEqual(entry.value) {
                wanted[key] = nil
            } else {
                hadSecret = hadSecret || CopyRule.isSecret(key)
            }
        }
        for key in gone {
            hadSecret = hadSecret || CopyRule.isSecret(key)
            try delete(key, in: database)
        }
        for entry in wanted.values { try put(entry, in: database) }
        return hadSecret
    }

    private static func put(_ entry: Entry, in database: Database) throws {
        try database.execute(
            sql: "INSERT OR REPLACE INTO entries VALUES (?, ?, ?)",
            arguments: [entry.key, Data(entry.value), entry.modified.number])
    }

    private static func delete(_ key: String, in database: Database) throws {
        try database.execute(sql: "DELETE FROM entries WHERE key = ?", arguments: [key])
    }
}

/// The copy as the first version kept it: one file of JSON with everything in it.
enum FormerCopy {
    static func entries(in file: String) -> [Entry] {
        guard let bytes = try? DurableFile.read(file),
            let planet = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any]
        else { return [] }
        var entries: [Entry] = []
        func add(_ record: Any?, _ key: String) {
            guard let record, !(record is NSNull),
                let value = try? JSONSerialization.data(withJSONObject: record, options: .fragmentsAllowed)
            else { return }
            entries.append(Entry(key: key, value: Array(value), created: .absent, modified: .absent))
        }
        func each(_ name: String, of object: [String: Any], _ body: (String, Any) -> Void) {
            for (key, value) in object[name] as? [String: Any] ?? [:] { body(key, value) }
        }
        each("hosts", of: planet) { add($1, StoreKeys.hosts + $0) }
        each("apps", of: planet) { add($1, StoreKeys.apps + $0) }
        each("addresses", of: planet) { add($1, StoreKeys.addresses + $0) }
        each("clusters", of: planet) { name, cluster in
            guard let records = cluster as? [String: Any] else { return }
            let prefix = StoreKeys.clusters + name + "/"
            for part in ["spec", "rule", "secrets", "obstacle"] { add(records[part], prefix + part) }
            each("placements", of: records) { add($1, prefix + "placements/" + $0) }
            each("reports", of: records) { add($1, prefix + "reports/" + $0) }
        }
        return entries.sorted { $0.key < $1.key }
    }
}
