import GRDB

/// How much of the past the store keeps for watches that were away.
public struct ChangeLogBound: Sendable {
    public var changesMax: Int
    public var bytesMax: Int

    public static let standard = ChangeLogBound(changesMax: 10_000, bytesMax: 64 << 20)

    public init(changesMax: Int, bytesMax: Int) {
        self.changesMax = changesMax
        self.bytesMax = bytesMax
    }

    /// Compaction waits until a quarter too much is there: it costs a scan.
    func isExceeded(changes: Int, bytes: Int) -> Bool {
        changes > changesMax + changesMax / 4 || bytes > bytesMax + bytesMax / 4
    }
}

/// How much past is kept now.
struct ChangeLogSize {
    var changes: Int
    var bytes: Int
}

extension StoreLedger {
    func logSize() throws -> ChangeLogSize {
        let row = try Row.fetchOne(
            database,
            sql: """
                SELECT count(*), coalesce(sum(length(value)), 0) FROM changes
                WHERE revision > (SELECT compacted FROM clock)
                """)
        return ChangeLogSize(changes: row?[0] ?? 0, bytes: row?[1] ?? 0)
    }

    /// Forgets all but the newest changes within the bound; always whole revisions.
    func compact(to bound: ChangeLogBound) throws -> ChangeLogSize {
        let clock = try clock()
        var cut = clock.compacted
        var kept = ChangeLogSize(changes: 0, bytes: 0)
        let rows = try Row.fetchCursor(
            database,
            sql: """
                SELECT revision, count(*), coalesce(sum(length(value)), 0) FROM changes
                WHERE revision > ? GROUP BY revision ORDER BY revision DESC
                """, arguments: [clock.compacted.number])
        while let row = try rows.next() {
            let grown = ChangeLogSize(changes: kept.changes + row[1], bytes: kept.bytes + row[2])
            guard grown.changes <= bound.changesMax, grown.bytes <= bound.bytesMax else {
                cut = Revision(row[0])
                break
            }
            kept = grown
        }
        guard cut > clock.compacted else { return kept }
        // Reading at the cut itself stays possible, so the last change of every key up to it stays, unless it is
        // a deletion. What is superseded goes first: without its deletion an old value would be the last one.
        try database.execute(
            sql: """
                DELETE FROM changes WHERE revision <= ?1 AND EXISTS (
                    SELECT 1 FROM changes AS newer
                    WHERE newer.key = changes.key AND newer.revision > changes.revision AND newer.revision <= ?1)
                """, arguments: [cut.number])
        try database.execute(
            sql: "DELETE FROM changes WHERE revision <= ? AND value IS NULL", arguments: [cut.number])
        try database.execute(sql: "UPDATE clock SET compacted = ?", arguments: [cut.number])
        return kept
    }
}
