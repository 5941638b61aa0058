import Foundation
import GRDB
import Glibc
import RoostLinux
import RoostModel
import RoostRecords

/// The host's own truth, in SQLite: its machines, its volumes and the generation of what it publishes.
///
/// Rows are written whole, with what a newer program has put into them. Every change of anything that is published raises
/// the generation in the same transaction. `synchronous=FULL`: what was confirmed to a caller survives a power loss.
struct Ledger {
    private let database: DatabaseQueue
    /// By the id of the row that they are in; as a rule there are none. Kept from the reading of the rows on, so that no
    /// row has to be read again to be written.
    private var newer: [String: NewerFields] = [:]

    init(path: String) throws(Refusal) {
        do {
            // It holds what machines find in their environment. SQLite gives its other files the same mode.
            try Self.restrict(path)
            var configuration = Configuration()
            configuration.prepareDatabase { database in
                try database.execute(sql: "PRAGMA journal_mode = WAL")
                try database.execute(sql: "PRAGMA synchronous = FULL")
            }
            database = try DatabaseQueue(path: path, configuration: configuration)
            var migrator = DatabaseMigrator()
            migrator.registerMigration("machines, volumes, generation") { database in
                try database.execute(
                    sql: """
                        CREATE TABLE machines (id TEXT PRIMARY KEY, row BLOB NOT NULL);
                        CREATE TABLE volumes (id TEXT PRIMARY KEY, row BLOB NOT NULL);
                        CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
                        INSERT INTO counters VALUES ('generation', 1);
                        """)
            }
            migrator.registerMigration("renounced ids") { database in
                try database.execute(
                    sql: """
                        CREATE TABLE renounced (
                            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, since_ms INTEGER NOT NULL);
                        """)
            }
            try migrator.migrate(database)
        } catch {
            throw Refusal(.failed, "the host cannot open its ledger", details: "\(path): \(error)")
        }
    }

    private static func restrict(_ path: String) throws(SystemError) {
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw SystemError("create", path) }
        defer { close(file) }
        guard fchmod(file, 0o600) == 0 else { throw SystemError("change the mode of", path) }
    }

    /// To be read before one of them is written.
    mutating func machines() throws(Refusal) -> Rows<MachineRow> {
        try rows(of: "machines", former: MachineRow.formerMembers)
    }

    /// As ``machines()``.
    mutating func volumes() throws(Refusal) -> Rows<VolumeRecord> { try rows(of: "volumes", former: []) }

    func generation() throws(Refusal) -> Generation {
        do {
            let value = try database.read {
                try Int64.fetchOne($0, sql: "SELECT value FROM counters WHERE name = 'generation'")
            }
            return Generation(UInt64(value ?? 1))
        } catch {
            throw Refusal(.failed, "the host cannot read its ledger", details: "\(error)")
        }
    }

    // MARK: - Ids that are not used again

    /// The oldest first.
    func renounced() throws(Refusal) -> [String] {
        do {
            return try database.read { database in
                try String.fetchAll(database, sql: "SELECT id FROM renounced ORDER BY number")
            }
        } catch {
            throw Refusal(.failed, "the host cannot read its ledger", details: "\(error)")
        }
    }

    /// Nothing of it is published, so the generation stays.
    func renounce(_ ids: [String]) throws(Refusal) {
        do { try database.write { try Self.renounce(ids, in: $0) } } catch {
            throw Refusal(.failed, "the host cannot write its ledger", details: "\(error)")
        }
    }

    func forget(renounced ids: [String]) throws(Refusal) {
        do {
            try database.write { database in
                for id in ids {
                    try database.execute(sql: "DELETE FROM renounced WHERE id = ?", arguments: [id])
                }
            }
        } catch {
            throw Refusal(.failed, "the host cannot write its ledger", details: "\(error)")
        }
    }

    private static func renounce(_ ids: [String], in database: Database) throws {
        for id in ids {
            try database.execute(
                sql: "INSERT OR IGNORE INTO renounced (id, since_ms) VALUES (?, ?)",
                arguments: [id, WallClock.milliseconds()])
        }
    }

    // MARK: - Rows

    /// Writes the given rows, removes the given ids and raises the generation, all or nothing.
    ///
    /// - Parameter renouncing: ids that are never used again.
    /// - Returns: the new generation.
    mutating func write(
        machines: [MachineRow] = [], volumes: [VolumeRecord] = [], removingMachines: [MachineID] = [],
        removingVolumes: [VolumeID] = [], renouncing: [String] = []
    ) throws(Refusal) -> Generation {
        do {
            var next = newer
            var rows: [(table: String, id: String, bytes: Data)] = []
            for row in machines {
                let id = row.record.id.text
                rows.append(("machines", id, Data(try RecordCodec.write(row, beside: &next[id]))))
            }
            for row in volumes {
                rows.append(("volumes", row.id.text, Data(try RecordCodec.write(row, beside: &next[row.id.text]))))
            }
            let removed =
                removingMachines.map { (table: "machines", id: $0.text) }
                + removingVolumes.map { (table: "volumes", id: $0.text) }
            let generation = try database.write { [rows] database in
                for row in rows {
                    // Not replaced: a newer program may have given the table another column.
                    try database.execute(
                        sql: """
                            INSERT INTO \(row.table) (id, row) VALUES (?, ?)
                            ON CONFLICT (id) DO UPDATE SET row = excluded.row
                            """, arguments: [row.id, row.bytes])
                }
                for row in removed {
                    try database.execute(sql: "DELETE FROM \(row.table) WHERE id = ?", arguments: [row.id])
                }
                try Self.renounce(renouncing, in: database)
                try database.execute(sql: "UPDATE counters SET value = value + 1 WHERE name = 'generation'")
                let value = try Int64.fetchOne(
                    database, sql: "SELECT value FROM counters WHERE name = 'generation'")
                return Generation(UInt64(value ?? 1))
            }
            for row in removed { next[row.id] = nil }
            newer = next
            return generation
        } catch {
            throw Refusal(.failed, "the host cannot write its ledger", details: "\(error)")
        }
    }

    /// What of a table can be read, and what cannot.
    struct Rows<Row: Sendable>: Sendable {
        var rows: [Row] = []
        var unreadable: [UnreadableRow] = []
    }

    /// - Parameter former: members of a row that this version knows and does not always write.
    private mutating func rows<Row: Codable & Sendable>(
        of table: String, former: Set<String>
    ) throws(Refusal) -> Rows<Row> {
        let stored: [(id: String, row: Data)]
        do {
            stored = try database.read { database in
                try GRDB.Row.fetchAll(database, sql: "SELECT id, row FROM \(table) ORDER BY id").map { row in
                    // Whatever is there: SQLite holds any kind of value in any column.
                    (String.fromDatabaseValue(row["id"]) ?? "", Data.fromDatabaseValue(row["row"]) ?? Data())
                }
            }
        } catch {
            throw Refusal(.failed, "the host cannot read its ledger", details: "\(table): \(error)")
        }
        var found = Rows<Row>()
        let decoder = JSONDecoder()
        for (id, bytes) in stored {
            do {
                let row = try decoder.decode(Row.self, from: bytes)
                newer[id] = try NewerFields(in: Array(bytes), of: row, former: former)
                found.rows.append(row)
            } catch {
                found.unreadable.append(
                    UnreadableRow(table: table, id: id, reason: "\(error)", row: bytes))
            }
        }
        return found
    }
}
