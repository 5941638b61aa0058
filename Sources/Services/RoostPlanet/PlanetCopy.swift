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
    private let database: DatabaseQueue

    /// What is to be written.
    struct Changes: Sendable {
        /// Everything, when the store was listed anew.
        var listing: [Entry]?
        /// Keys whose former row stays although the listing does not have it in a form that can be read.
        var unreadable: Set<String> = []
        /// After the listing: present records, and nil for those that are gone.
        var records: [String: Entry?] = [:]

        var isEmpty: Bool { listing == nil && records.isEmpty }

        mutating func add(_ event: WatchEvent, unreadable keys: Set<String>) {
            switch event {
            case .interrupted: break
            case .listing(let all):
                listing = all.entries.filter { Self.isKept($0.key) && !keys.contains($0.key) }
                unreadable = keys
                records = [:]
            case .changes(let changes, _):
                for change in changes {
                    switch change {
                    case .put(let entry):
                        if Self.isKept(entry.key), !keys.contains(entry.key) { records[entry.key] = .some(entry) }
                    case .delete(let key): records[key] = .some(nil)
                    }
                }
            }
        }

        /// These changes, then the later ones.
        func followed(by later: Self) -> Self {
            if later.listing != nil { return later }
            var all = self
            all.records.merge(later.records) { $1 }
            return all
        }

        /// Heartbeats change several times a second and mean nothing later; what is not of the planet is not kept.
        private static func isKept(_ key: String) -> Bool {
            switch StoreKey(key) {
            case .other, .cluster(_, .heartbeat): false
            case .host, .generation, .machine, .volume, .app, .address, .cluster, .operation: true
            }
        }
    }

    init(path: String) throws { database = try Self.openOrRenew(path) }

    private static func openOrRenew(_ path: String) throws -> DatabaseQueue {
        if let database = try? open(path) { return database }
        for suffix in ["", "-wal", "-shm"] { try DurableFile.remove(path + suffix) }
        return try open(path)
    }

    private static func open(_ path: String) throws -> DatabaseQueue {
        var configuration = Configuration()
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

    func write(_ changes: Changes) throws {
        try database.write { database in
            if let listing = changes.listing {
                var known: [String: Int64] = [:]
                for row in try Row.fetchAll(database, sql: "SELECT key, modified FROM entries") {
                    let (key, modified): (String, Int64) = (row[0], row[1])
                    known[key] = modified
                }
                for entry in listing where known.removeValue(forKey: entry.key) != entry.modified.number {
                    try Self.put(entry, in: database)
                }
                for key in known.keys where !changes.unreadable.contains(key) { try Self.delete(key, in: database) }
            }
            for (key, entry) in changes.records {
                if let entry { try Self.put(entry, in: database) } else { try Self.delete(key, in: database) }
            }
        }
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
