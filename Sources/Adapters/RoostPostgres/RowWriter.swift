import Glibc
public import RoostLinux
import RoostModel
import Synchronization

/// Writes numbered rows one after another, each its own transaction, and remembers which were confirmed. A number
/// whose outcome is unknown is never used again, so a row that is there tells exactly one story.
public final class RowWriter: Sendable {
    public struct Confirmation: Hashable, Sendable {
        public var row: Int64
        /// Wall clock, milliseconds.
        public var sent: Int64
        public var confirmed: Int64
        /// The address of the Postgres that answered, behind every proxy.
        public var backend: String
    }

    public struct Failure: Hashable, Sendable {
        public var message: String
        public var at: Int64
        /// Postgres said no, so the row is not there; false: nobody knows.
        public var isKnown: Bool
    }

    public struct Summary: Hashable, Sendable {
        public var confirmed = 0
        public var failures = 0
        /// The longest time between two confirmations.
        public var gapMax = Duration.zero
    }

    public static let tableDefault = "roost_rows"
    public static let deadlineDefault = Duration.seconds(5)
    static let retryPause = Duration.milliseconds(20)

    private struct State {
        var summary = Summary()
        var last: Moment?
    }

    private let database: Database
    private let table: String
    private let deadline: Duration
    private let state = Mutex(State())

    public init(url: String, table: String = tableDefault, deadline: Duration = deadlineDefault) throws(SystemError) {
        self.table = table
        self.deadline = deadline
        database = try Database(
            "the database", parameters: [("dbname", url), ("application_name", "roost-pg writer")],
            connectDeadline: deadline)
    }

    /// Ends the connection. To be called before the program ends: its thread must not be in the middle of TLS while the
    /// libraries take themselves apart.
    public func close() async { await database.disconnect() }

    public var summary: Summary { state.withLock { $0.summary } }

    /// Writes until `duration` is over or the task is cancelled.
    public func run(
        interval: Duration, duration: Duration?, confirmed: @Sendable (Confirmation) -> Void,
        failed: @Sendable (Failure) -> Void
    ) async throws {
        let end = duration.map { BootClock.now() + $0 }
        let isOver = { end.map { BootClock.now() >= $0 } ?? false || Task.isCancelled }
        var next: Int64?
        while !isOver() {
            let began = BootClock.now()
            do {
                if let row = next {
                    next = row + 1
                    confirmed(try await write(row))
                    try await Task.sleep(for: max(interval - (BootClock.now() - began), .zero))
                } else {
                    next = try await firstRow()
                }
            } catch let error as DatabaseError {
                failed(note(error))
                await database.disconnect()
                try await Task.sleep(for: Self.retryPause)
            }
        }
    }

    private func write(_ row: Int64) async throws(DatabaseError) -> Confirmation {
        let sent = WallClock.milliseconds()
        let rows = try await database.query(
            "INSERT INTO \(quoted) (row, sent_ms) VALUES ($1, $2) RETURNING host(inet_server_addr())",
            ["\(row)", "\(sent)"], within: deadline)
        state.withLock { state in
            let now = BootClock.now()
            if let last = state.last { state.summary.gapMax = max(state.summary.gapMax, now - last) }
            state.last = now
            state.summary.confirmed += 1
        }
        return Confirmation(
            row: row, sent: sent, confirmed: WallClock.milliseconds(), backend: rows.first?.first.flatMap { $0 } ?? "")
    }

    private func firstRow() async throws(DatabaseError) -> Int64 {
        try await database.query(
            "CREATE TABLE IF NOT EXISTS \(quoted) (row bigint PRIMARY KEY, sent_ms bigint NOT NULL)", within: deadline)
        let rows = try await database.query("SELECT coalesce(max(row), 0) + 1 FROM \(quoted)", within: deadline)
        return rows.first?.first?.flatMap { Int64($0) } ?? 1
    }

    /// Which of `rows` the database lacks.
    public func missing(of rows: [Int64]) async throws(DatabaseError) -> [Int64] {
        let answer = try await database.query("SELECT row FROM \(quoted)", within: .seconds(60))
        let there = Set(answer.compactMap { $0.first.flatMap { $0 }.flatMap { Int64($0) } })
        return rows.filter { !there.contains($0) }
    }

    private func note(_ error: DatabaseError) -> Failure {
        state.withLock { $0.summary.failures += 1 }
        let isKnown =
            switch error.cause {
            case .refused, .loginRefused: true
            case .connection, .deadlineExceeded: false
            }
        return Failure(message: error.description, at: WallClock.milliseconds(), isKnown: isKnown)
    }

    private var quoted: String {
        "\"" + table.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
    }
}
