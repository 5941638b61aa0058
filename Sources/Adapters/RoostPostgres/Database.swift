import CLibPQ
import Glibc
public import RoostLinux
import RoostModel
import Synchronization

public struct DatabaseError: Error, CustomStringConvertible {
    public enum Cause: Hashable, Sendable {
        /// No connection, or it broke: nobody knows whether the statement was carried out.
        case connection(String)
        /// No answer in time; the connection was given up. As `connection`.
        case deadlineExceeded(Duration)
        /// Postgres refused: SQLSTATE and its message.
        case refused(code: String, message: String)
        /// Postgres let nobody in: as `refused`. Nothing was carried out.
        case loginRefused(code: String, message: String)
    }

    public let database: String
    public let statement: String
    public let cause: Cause

    public var description: String {
        let what = statement.isEmpty ? "connecting to \(database)" : "'\(statement.prefix(120))' on \(database)"
        return "\(what): \(outcome)"
    }

    /// What happened, without what was asked.
    public var outcome: String {
        switch cause {
        case .connection(let why): why
        case .deadlineExceeded(let limit): "no answer within \(limit.words)"
        case .refused(let code, let message), .loginRefused(let code, let message): "\(message) (SQLSTATE \(code))"
        }
    }
}

/// One connection to a Postgres, confined to a thread of its own, made when it is needed and made anew when it broke.
/// Every call has a deadline that holds even when the other side is frozen: libpq is only asked when its socket is
/// ready.
public final class Database: Sendable {
    public typealias Row = [String?]

    public let name: String
    private let thread: WorkThread
    private let session: DatabaseSession

    /// - Parameters:
    ///   - parameters: libpq's connection keywords.
    ///   - connectDeadline: a question waits for its login for so long at most.
    ///   - keepsLogin: a login that a question could not wait for goes on, and the next question has it: where a login takes
    ///     longer than any question waits, none would ever come to its end otherwise. For a Postgres on this computer; one that
    ///     is elsewhere may be gone without a word.
    public init(
        _ name: String, parameters: [(String, String)], connectDeadline: Duration, keepsLogin: Bool = false
    ) throws(SystemError) {
        self.name = name
        thread = try WorkThread(name)
        session = DatabaseSession(
            name: name, parameters: parameters, connectDeadline: connectDeadline, keepsLogin: keepsLogin)
    }

    deinit {
        let session = session
        let thread = thread
        // The connection may only be touched on its thread.
        Self.end(session, on: thread)
    }

    private static func end(_ session: DatabaseSession, on thread: WorkThread) {
        thread.submit { session.disconnect() }
        thread.close()
    }

    /// Connects if there is no connection, and makes sure that Postgres answers on it.
    public func connect() async throws(DatabaseError) {
        let session = session
        try await thread.perform { () throws(DatabaseError) in try session.connect() }
    }

    public func disconnect() async {
        let session = session
        await thread.perform { session.disconnect() }
    }

    @discardableResult
    public func query(
        _ statement: String, _ arguments: [String] = [], within deadline: Duration
    ) async throws(DatabaseError) -> [Row] {
        try await answer(to: statement, arguments, within: deadline) { true } ?? []
    }

    /// Whoever is cancelled waits for nobody: a question may have as long as the operation that asks it.
    private func answer(
        to statement: String, _ arguments: [String], within deadline: Duration,
        while isWanted: @escaping @Sendable () -> Bool
    ) async throws(DatabaseError) -> [Row]? {
        let withdrawal = Withdrawal()
        let outcome = await withTaskCancellationHandler {
            await self.outcome(of: statement, arguments, within: deadline, unless: withdrawal, while: isWanted)
        } onCancel: {
            withdrawal.isDone.store(true, ordering: .relaxed)
        }
        return try outcome.get()
    }

    private func outcome(
        of statement: String, _ arguments: [String], within deadline: Duration, unless withdrawal: Withdrawal,
        while isWanted: @escaping @Sendable () -> Bool
    ) async -> Result<[Row]?, DatabaseError> {
        let session = session
        do throws(DatabaseError) {
            return .success(
                try await thread.perform { () throws(DatabaseError) -> [Row]? in
                    guard isWanted() else { return nil }
                    return try session.query(statement, arguments, within: deadline, unless: withdrawal)
                })
        } catch {
            return .failure(error)
        }
    }

    /// - Parameter isWanted: asked right before the statement goes out, when all that was asked before has been answered.
    /// - Returns: nil when it was not wanted any more.
    func query(
        _ statement: String, within deadline: Duration, while isWanted: @escaping @Sendable () -> Bool
    ) async throws(DatabaseError) -> [Row]? {
        try await answer(to: statement, [], within: deadline, while: isWanted)
    }
}

/// Nobody waits for the answer any more.
private final class Withdrawal: Sendable {
    let isDone = Atomic(false)
    /// So soon it is noticed.
    static let interval = Duration.milliseconds(100)
}

extension Database {
    /// Sends a statement whose answer nobody waits for. It is carried out whether the connection lasts or not.
    func send(_ statement: String) async throws(DatabaseError) {
        let session = session
        try await thread.perform { () throws(DatabaseError) in try session.send(statement) }
    }

    /// What a statement of the replication protocol that never ends (`START_REPLICATION`) began with.
    enum Beginning: Hashable, Sendable {
        /// Something of the stream has come.
        case message
        /// The other side has nothing to send and says so.
        case end
    }

    /// Sends a statement that copies without end, waits for the first of it, and breaks the connection off.
    func begin(_ statement: String, within deadline: Duration) async throws(DatabaseError) -> Beginning {
        let session = session
        return try await thread.perform { () throws(DatabaseError) in
            defer { session.disconnect() }
            return try session.begin(statement, within: deadline)
        }
    }
}

/// What libpq says of a login that failed.
enum LoginRefusal {
    /// `connection to server … failed: FATAL:  28000: role "roost" is not permitted to log in`, and in another line
    /// where in Postgres's source that was. Whatever else went wrong has no code behind its severity.
    static func cause(in text: String) -> DatabaseError.Cause {
        let said = text.split(separator: "; LOCATION:").first.map(String.init) ?? text
        guard let mark = said.firstRange(of: "FATAL:  ") else { return .connection(said) }
        let rest = said[mark.upperBound...]
        let code = rest.prefix(5)
        guard code.utf8.count == 5, code.allSatisfy({ $0.isASCII && ($0.isNumber || $0.isUppercase) }),
            rest.dropFirst(5).hasPrefix(": ")
        else { return .connection(said) }
        return .loginRefused(code: String(code), message: String(rest.dropFirst(7)))
    }
}

/// A login that is under way.
private struct PendingLogin {
    let connection: OpaquePointer
    let begunAt: Moment
    /// What libpq waits for; this at first (PQconnectStartParams).
    var wanted = PGRES_POLLING_WRITING
}

/// For how long a login is waited for by one question after the other before it is taken for one that hangs, and begun anew:
/// twice as long after each.
struct LoginPatience: Sendable {
    static let first = Duration.seconds(30)
    static let longest = Duration.seconds(480)
    private var limit = first

    /// - Returns: whether it is to be given up.
    mutating func isOver(for begunAt: Moment, _ now: Moment) -> Bool {
        guard now - begunAt >= limit else { return false }
        limit = min(limit * 2, Self.longest)
        return true
    }

    mutating func came() { limit = Self.first }
}

/// The connection itself. Used on its owner's thread only, which is what makes it safe to share.
private final class DatabaseSession: @unchecked Sendable {
    private let name: String
    private let parameters: [(String, String)]
    private let connectDeadline: Duration
    private let keepsLogin: Bool
    private var connection: OpaquePointer?
    private var login: PendingLogin?
    private var patience = LoginPatience()
    /// Of whoever asks now.
    private var withdrawal: Withdrawal?

    init(name: String, parameters: [(String, String)], connectDeadline: Duration, keepsLogin: Bool) {
        self.name = name
        self.parameters = parameters
        self.connectDeadline = connectDeadline
        self.keepsLogin = keepsLogin
    }

    func disconnect() {
        if let connection { PQfinish(connection) }
        connection = nil
        if let login { PQfinish(login.connection) }
        login = nil
    }

    func connect(until limit: Moment? = nil) throws(DatabaseError) {
        if let connection, PQstatus(connection) == CONNECTION_OK { return }
        let now = BootClock.now()
        let end = min(now + connectDeadline, limit ?? now + connectDeadline)
        var login: PendingLogin
        if let pending = self.login {
            login = pending
        } else {
            disconnect()
            login = try beginLogin(now)
            self.login = login
        }
        while login.wanted != PGRES_POLLING_OK {
            guard login.wanted != PGRES_POLLING_FAILED, PQstatus(login.connection) != CONNECTION_BAD else {
                let why = message(of: login.connection)
                disconnect()
                throw failure("", LoginRefusal.cause(in: why))
            }
            guard wait(login.connection, for: login.wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT, until: end)
            else {
                if !keepsLogin || patience.isOver(for: login.begunAt, BootClock.now()) { disconnect() }
                throw failure("", .deadlineExceeded(end - now))
            }
            login.wanted = PQconnectPoll(login.connection)
            self.login = login
        }
        patience.came()
        self.login = nil
        // Messages of the server that nobody asked for would go to standard error.
        PQsetNoticeProcessor(login.connection, { _, _ in }, nil)
        PQsetErrorVerbosity(login.connection, PQERRORS_DEFAULT)
        connection = login.connection
    }

    private func beginLogin(_ now: Moment) throws(DatabaseError) -> PendingLogin {
        let keywords = parameters.map { strdup($0.0) }
        let values = parameters.map { strdup($0.1) }
        defer {
            keywords.forEach { free($0) }
            values.forEach { free($0) }
        }
        let new = (keywords + [nil]).map { UnsafePointer($0) }.withUnsafeBufferPointer { keys in
            (values + [nil]).map { UnsafePointer($0) }.withUnsafeBufferPointer { texts in
                PQconnectStartParams(keys.baseAddress, texts.baseAddress, 1)
            }
        }
        guard let new else { throw failure("", .connection("out of memory")) }
        // Of a login that fails libpq keeps the text alone; so the text must have the code.
        PQsetErrorVerbosity(new, PQERRORS_VERBOSE)
        return PendingLogin(connection: new, begunAt: now)
    }

    func query(
        _ statement: String, _ arguments: [String], within deadline: Duration, unless withdrawal: Withdrawal? = nil
    ) throws(DatabaseError) -> [Database.Row] {
        self.withdrawal = withdrawal
        defer { self.withdrawal = nil }
        // It may have waited behind another.
        if withdrawal?.isDone.load(ordering: .relaxed) == true {
            throw failure(statement, .connection("nobody waits for the answer any more"))
        }
        let end = BootClock.now() + deadline
        try connect(until: end)
        guard let connection else { throw failure(statement, .connection("no connection")) }
        let values = arguments.map { strdup($0) }
        defer { values.forEach { free($0) } }
        let isSent =
            arguments.isEmpty
            // The simple protocol, so that several statements may come in one text.
            ? PQsendQuery(connection, statement)
            : values.map { UnsafePointer($0) }.withUnsafeBufferPointer { texts in
                PQsendQueryParams(
                    connection, statement, Int32(texts.count), nil, texts.baseAddress, nil, nil, 0)
            }
        guard isSent == 1 else { throw giveUp(statement, .connection(message(of: connection))) }
        var rows: [Database.Row] = []
        var refusal: DatabaseError.Cause?
        while true {
            while PQisBusy(connection) == 1 {
                guard wait(connection, for: POLLIN, until: end) else {
                    throw giveUp(statement, .deadlineExceeded(deadline))
                }
                guard PQconsumeInput(connection) == 1 else {
                    throw giveUp(statement, .connection(message(of: connection)))
                }
            }
            guard let result = PQgetResult(connection) else { break }
            defer { PQclear(result) }
            switch PQresultStatus(result) {
            case PGRES_TUPLES_OK: rows = table(result)
            case PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: break
            default: refusal = refusal ?? cause(of: result)
            }
        }
        guard let refusal else { return rows }
        if PQstatus(connection) != CONNECTION_OK { throw giveUp(statement, .connection("\(refusal)")) }
        throw failure(statement, refusal)
    }

    func send(_ statement: String) throws(DatabaseError) {
        try connect()
        guard let connection else { throw failure(statement, .connection("no connection")) }
        guard PQsendQuery(connection, statement) == 1 else {
            throw giveUp(statement, .connection(message(of: connection)))
        }
    }

    func begin(_ statement: String, within deadline: Duration) throws(DatabaseError) -> Database.Beginning {
        let end = BootClock.now() + deadline
        try connect()
        guard let connection else { throw failure(statement, .connection("no connection")) }
        guard PQsendQuery(connection, statement) == 1 else {
            throw failure(statement, .connection(message(of: connection)))
        }
        while true {
            try fill(connection, statement, until: end, deadline) { PQisBusy(connection) == 1 }
            guard let result = PQgetResult(connection) else { return .end }
            defer { PQclear(result) }
            switch PQresultStatus(result) {
            case PGRES_COPY_BOTH:
                var text: UnsafeMutablePointer<CChar>?
                var count: Int32 = 0
                try fill(connection, statement, until: end, deadline) {
                    count = PQgetCopyData(connection, &text, 1)
                    return count == 0
                }
                if count > 0 {
                    PQfreemem(text)
                    return .message
                }
            case PGRES_TUPLES_OK, PGRES_COMMAND_OK: break
            default: throw failure(statement, cause(of: result))
            }
        }
    }

    /// Reads what comes while `isWanting`.
    private func fill(
        _ connection: OpaquePointer, _ statement: String, until end: Moment, _ deadline: Duration,
        while isWanting: () -> Bool
    ) throws(DatabaseError) {
        while isWanting() {
            guard wait(connection, for: POLLIN, until: end) else {
                throw failure(statement, .deadlineExceeded(deadline))
            }
            guard PQconsumeInput(connection) == 1 else {
                throw failure(statement, .connection(message(of: connection)))
            }
        }
    }

    private func table(_ result: OpaquePointer) -> [Database.Row] {
        (0..<PQntuples(result)).map { row in
            (0..<PQnfields(result)).map { column in
                PQgetisnull(result, row, column) == 1
                    ? nil : PQgetvalue(result, row, column).map { String(cString: $0) }
            }
        }
    }

    private func cause(of result: OpaquePointer) -> DatabaseError.Cause {
        // 'C' is PG_DIAG_SQLSTATE, 'M' PG_DIAG_MESSAGE_PRIMARY: macros Swift does not import.
        let field = { (letter: UInt8) in PQresultErrorField(result, Int32(letter)).map { String(cString: $0) } }
        guard let code = field(UInt8(ascii: "C")) else {
            return .connection(PQresultErrorMessage(result).map { trimmed(String(cString: $0)) } ?? "no answer")
        }
        return .refused(code: code, message: field(UInt8(ascii: "M")) ?? "")
    }

    /// Waits until the socket is ready; false when the time is over.
    private func wait(_ connection: OpaquePointer, for events: Int32, until end: Moment) -> Bool {
        while true {
            var left = (end - BootClock.now()).milliseconds
            guard left > 0 else { return false }
            if withdrawal != nil { left = min(left, Withdrawal.interval.milliseconds) }
            var entry = pollfd(fd: PQsocket(connection), events: Int16(events), revents: 0)
            let count = poll(&entry, 1, Int32(clamping: left))
            if count > 0 { return true }
            if count < 0, errno != EINTR { return true }
            if count == 0, withdrawal?.isDone.load(ordering: .relaxed) == true { return false }
        }
    }

    private func giveUp(_ statement: String, _ cause: DatabaseError.Cause) -> DatabaseError {
        disconnect()
        return failure(statement, cause)
    }

    private func failure(_ statement: String, _ cause: DatabaseError.Cause) -> DatabaseError {
        DatabaseError(database: name, statement: statement, cause: cause)
    }

    private func message(of connection: OpaquePointer) -> String {
        PQerrorMessage(connection).map { trimmed(String(cString: $0)) } ?? "unknown"
    }

    private func trimmed(_ text: String) -> String {
        text.split(separator: "\n").joined(separator: "; ")
    }
}
