CREATE TABLE grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY);
INSERT INTO grdb_migrations VALUES ('machines, volumes, generation'), ('renounced ids');
CREATE TABLE machines (id TEXT PRIMARY KEY, row BLOB NOT NULL);
CREATE TABLE volumes (id TEXT PRIMARY KEY, row BLOB NOT NULL);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT INTO counters VALUES ('generation', 41);
CREATE TABLE renounced (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, since_ms INTEGER NOT NULL);
INSERT INTO renounced (id, since_ms) VALUES ('148ed127c4438a', 1760000000000), ('vol_0123456789abcdee', 1760000000001);
