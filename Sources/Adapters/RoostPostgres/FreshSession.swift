/// Asks by a login that is begun from now on: what such a session answers, it has read since. However often it is asked, the
/// login goes on from question to question, where the database keeps it: begun anew for each, it would never come to its end
/// on a computer where it takes longer than a question waits.
struct FreshSession {
    let database: Database
    private var isBegun = false

    init(_ database: Database) { self.database = database }

    mutating func query(_ statement: String, within deadline: Duration) async throws(DatabaseError) -> [Database.Row] {
        if !isBegun { await database.disconnect() }
        isBegun = true
        return try await database.query(statement, within: deadline)
    }

    /// What this one has answered is too old: the next question has a session of its own.
    mutating func renew() { isBegun = false }
}
