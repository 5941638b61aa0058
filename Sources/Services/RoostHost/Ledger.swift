import Foundation
import GRDB
import RoostModel

/// The host's own truth, in SQLite: its machines, its volumes and the generation of what it publishes.
///
/// Rows are written whole. Every change of anything that is published raises the generation in the same
/// transaction. `synchronous=FULL`: what was confirmed to a caller survives a power loss.
struct Ledger {
    private let database: DatabaseQueue

    init(path: String) throws(Refusal) {
        do {
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
            try migrator.migrate(database)
        } catch {
            throw Refusal(.failed, "cannot open the ledger \(path): \(error)")
        }
    }

    func machines() throws(Refusal) -> [MachineRow] { try rows(of: "machines") }
    func volumes() throws(Refusal) -> [VolumeRecord] { try rows(of: "volumes") }

    func generation() throws(Refusal) -> Generation {
        do {
            let value = try database.read {
                try Int64.fetchOne($0, sql: "SELECT value FROM counters WHERE name = 'generation'")
            }
            return Generation(UInt64(value ?? 1))
        } catch {
            throw Refusal(.failed, "cannot read the ledger: \(error)")
        }
    }

    /// Writes the given rows, removes the given ids and raises the generation, all or nothing.
    /// - Returns: the new generation.
    func write(
        machines: [MachineRow] = [], volumes: [VolumeRecord] = [], removingMachines: [MachineID] = [],
        removingVolumes: [VolumeID] = []
    ) throws(Refusal) -> Generation {
        do {
            let encoder = JSONEncoder()
            return try database.write { database in
                for row in machines {
                    try database.execute(
                        sql: "INSERT OR REPLACE INTO machines VALUES (?, ?)",
                        arguments: [row.record.id.text, try encoder.encode(row)])
                }
                for row in volumes {
                    try database.execute(
                        sql: "INSERT OR REPLACE INTO volumes VALUES (?, ?)",
                        arguments: [row.id.text, try encoder.encode(row)])
                }
                for id in removingMachines {
                    try database.execute(sql: "DELETE FROM machines WHERE id = ?", arguments: [id.text])
                }
                for id in removingVolumes {
                    try database.execute(sql: "DELETE FROM volumes WHERE id = ?", arguments: [id.text])
                }
                try database.execute(sql: "UPDATE counters SET value = value + 1 WHERE name = 'generation'")
                let value = try Int64.fetchOne(
                    database, sql: "SELECT value FROM counters WHERE name = 'generation'")
                return Generation(UInt64(value ?? 1))
            }
        } catch {
            throw Refusal(.failed, "cannot write the ledger: \(error)")
        }
    }

    private func rows<Row: Decodable>(of table: String) throws(Refusal) -> [Row] {
        do {
            return try database.read { database in
                try Data.fetchAll(database, sql: "SELECT row FROM \(table) ORDER BY id")
            }.map { try JSONDecoder().decode(Row.self, from: $0) }
        } catch {
            throw Refusal(.failed, "cannot read the ledger's \(table): \(error)")
        }
    }
}
