import Glibc
public import RoostHistory
public import RoostLinux
import RoostModel

/// A client that appends to lists, inserts into sets and reads both, one thing after another, and says of each what came
/// of it. What it writes it says before it sends it: should it die in between, the write is known as one of unknown
/// outcome.
public final class HistoryWorker: Sendable {
    /// Which lists and sets are in use. They change with time, so that none grows without end: what is read stays small.
    public struct Keys: Sendable {
        /// Since boot, in microseconds: the same for all workers.
        public var origin: Int64
        public var perWindow: Int
        public var window: Duration
        /// Of so many reads, one is of a list or set that is not written to any more.
        static let oldReads = 5

        public init(origin: Int64, perWindow: Int = 6, window: Duration = .seconds(15)) {
            self.origin = origin
            self.perWindow = perWindow
            self.window = window
        }

        func choose(at now: Int64, isRead: Bool, using random: inout SplitMix64) -> Int {
            let current = max(0, (now - origin) / (window.milliseconds * 1000))
            let isOld = isRead && random.next() % UInt64(Self.oldReads) == 0
            let chosen = isOld ? Int64(random.next() % UInt64(current + 1)) : current
            return Int(chosen) * perWindow + Int(random.next() % UInt64(perWindow))
        }
    }

    public static let deadlineDefault = Duration.seconds(5)
    static let retryPause = Duration.milliseconds(50)
    /// For all that is there.
    static let wholeMax = Duration.seconds(60)

    private let name: String
    private let port: UInt16
    private let database: Database
    private let tables: String
    private let deadline: Duration

    /// - Parameters:
    ///   - name: no two workers of a history have the same.
    ///   - port: which of the cluster's ports the URL leads to: at the primary's it writes too.
    ///   - tables: what the names of the two tables begin with (see ``makeTables()``).
    public init(
        name: String, url: String, port: UInt16, tables: String, deadline: Duration = deadlineDefault
    ) throws(SystemError) {
        self.name = name
        self.port = port
        self.tables = tables
        self.deadline = deadline
        database = try Database(
            "the database", parameters: [("dbname", url), ("application_name", "roost-pg history")],
            connectDeadline: deadline)
    }

    public func close() async { await database.disconnect() }

    /// Makes the tables where they are missing. Elements have no unique key: what is there twice is to be seen.
    public func makeTables() async throws(DatabaseError) {
        try await database.query(
            """
            CREATE TABLE IF NOT EXISTS \(tables)_lists (k bigint PRIMARY KEY, v bigint[] NOT NULL);
            CREATE TABLE IF NOT EXISTS \(tables)_sets (k bigint NOT NULL, e bigint NOT NULL);
            CREATE INDEX IF NOT EXISTS \(tables)_sets_k ON \(tables)_sets (k)
            """, within: deadline)
    }

    /// Works until the task is cancelled.
    /// - Parameters:
    ///   - elements: the first number that is this worker's own; each write takes the next.
    ///   - say: gets each write twice: before it is sent, and when it is known what came of it.
    public func run(
        keys: Keys, elements: Int64, interval: Duration, seed: UInt64, _ say: @Sendable (HistoryEntry) -> Void
    ) async throws {
        var random = SplitMix64(seed: seed)
        var (number, session, isConnected) = (0, 0, false)
        while !Task.isCancelled {
            if !isConnected {
                guard await connects() else {
                    try await Task.sleep(for: Self.retryPause)
                    continue
                }
                (session, isConnected) = (session + 1, true)
            }
            let action = choose(using: &random)
            let now = Self.now()
            let entry = HistoryEntry(
                worker: name, number: number, port: port, session: session, action: action,
                keyNumber: keys.choose(at: now, isRead: !action.isWrite, using: &random),
                elements: action.isWrite ? [elements + Int64(number)] : [], begin: now)
            number += 1
            if action.isWrite { say(entry) }
            let done = await carryOut(entry)
            say(done)
            if done.outcome != .confirmed {
                // Whatever it was, the next connection may lead to another member.
                await database.disconnect()
                isConnected = false
                try await Task.sleep(for: Self.retryPause)
            }
            try await Task.sleep(for: interval)
        }
    }

    private func choose(using random: inout SplitMix64) -> HistoryEntry.Action {
        let draw = random.next() % 10
        guard port == HistoryPort.primary else { return draw < 5 ? .readList : .readSet }
        return switch draw {
        case 0...3: .append
        case 4...5: .insert
        case 6...7: .readList
        default: .readSet
        }
    }

    private func connects() async -> Bool {
        do {
            try await database.connect()
            return true
        } catch { return false }
    }

    private func carryOut(_ entry: HistoryEntry) async -> HistoryEntry {
        var done = entry
        let arguments = ["\(entry.keyNumber)"] + entry.elements.map(String.init)
        do {
            let rows = try await database.query(statement(entry.action), arguments, within: deadline)
            done.end = Self.now()
            // A list that is not there is empty.
            let row = rows.first ?? [nil, nil, nil]
            guard row.count == 3 else { return done }
            done.outcome = .confirmed
            if !entry.action.isWrite { done.elements = Self.numbers(row[0]) }
            done.timeline = row[1].flatMap { UInt32($0, radix: 16) }
            done.server = row[2]
        } catch {
            switch error.cause {
            case .refused(let code, _):
                done.end = Self.now()
                // 40003: the server itself does not know.
                done.outcome = code == "40003" ? .unknown : .failed
            // Nobody was let in, so nothing was sent.
            case .loginRefused:
                done.end = Self.now()
                done.outcome = .failed
            case .connection, .deadlineExceeded: break
            }
        }
        return done
    }

    /// The primary's timeline, which its log files are named by; null on a standby.
    private static let timeline =
        "CASE WHEN pg_is_in_recovery() THEN NULL ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END"
    private static let origin = "\(timeline), host(inet_server_addr())"

    private func statement(_ action: HistoryEntry.Action) -> String {
        switch action {
        case .append:
            """
            INSERT INTO \(tables)_lists AS l VALUES ($1, ARRAY[$2::bigint]) ON CONFLICT (k) DO UPDATE SET v = l.v || \
            EXCLUDED.v RETURNING NULL, \(Self.origin)
            """
        case .insert: "INSERT INTO \(tables)_sets VALUES ($1, $2) RETURNING NULL, \(Self.origin)"
        case .readList:
            """
            SELECT (SELECT array_to_string(v, ' ') FROM \(tables)_lists WHERE k = $1), \(Self.origin)
            """
        case .readSet:
            """
            SELECT (SELECT string_agg(e::text, ' ') FROM \(tables)_sets WHERE k = $1), \(Self.origin)
            """
        }
    }

    /// All that is there, at one moment.
    public func readAll() async throws(DatabaseError) -> [HistoryEntry] {
        let begin = Self.now()
        let rows = try await database.query(
            """
            SELECT 'list', k, array_to_string(v, ' '), \(Self.origin) FROM \(tables)_lists UNION ALL \
            SELECT 'set', k, string_agg(e::text, ' '), \(Self.origin) FROM \(tables)_sets GROUP BY k
            """, within: Self.wholeMax)
        let end = Self.now()
        return rows.enumerated().compactMap { number, row in
            guard row.count == 5, let key = row[1].flatMap({ Int($0) }) else { return nil }
            var entry = HistoryEntry(
                worker: name, number: number, port: port, session: 0, action: row[0] == "list" ? .readList : .readSet,
                keyNumber: key, elements: Self.numbers(row[2]), begin: begin, isFinal: true)
            (entry.end, entry.outcome) = (end, .confirmed)
            entry.timeline = row[3].flatMap { UInt32($0, radix: 16) }
            entry.server = row[4]
            return entry
        }
    }

    private static func numbers(_ text: String?) -> [Int64] {
        (text ?? "").split(separator: " ").compactMap { Int64($0) }
    }

    private static func now() -> Int64 {
        let (seconds, attoseconds) = BootClock.now().sinceBoot.components
        return seconds * 1_000_000 + attoseconds / 1_000_000_000_000
    }
}
