import GRDB

/// The tables. `entries` is the present; `changes` is the past from the compaction on, plus the last value before
/// it of every key that has one, so that the range can be read as it was at any revision that is not compacted.
enum Schema {
    /// As in etcd, an empty store is at revision 1.
    static let firstRevision = Revision(1)

    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1 entries, changes, leases") { database in
            try database.execute(
                sql: """
                    CREATE TABLE clock (
                        id INTEGER PRIMARY KEY CHECK (id = 1),
                        revision INTEGER NOT NULL,
                        compacted INTEGER NOT NULL,
                        lease INTEGER NOT NULL
                    );
                    INSERT INTO clock VALUES (1, 1, 0, 0);
                    CREATE TABLE entries (
                        key TEXT NOT NULL PRIMARY KEY,
                        value BLOB NOT NULL,
                        created INTEGER NOT NULL,
                        modified INTEGER NOT NULL,
                        lease INTEGER
                    );
                    CREATE INDEX entries_by_lease ON entries (lease) WHERE lease IS NOT NULL;
                    CREATE TABLE changes (
                        id INTEGER PRIMARY KEY,
                        revision INTEGER NOT NULL,
                        key TEXT NOT NULL,
                        value BLOB,
                        created INTEGER NOT NULL,
                        lease INTEGER
                    );
                    CREATE INDEX changes_by_revision ON changes (revision);
                    CREATE UNIQUE INDEX changes_by_key ON changes (key, revision);
                    CREATE TABLE leases (id INTEGER PRIMARY KEY, time_to_live_ms INTEGER NOT NULL);
                    """)
        }
        return migrator
    }
}
