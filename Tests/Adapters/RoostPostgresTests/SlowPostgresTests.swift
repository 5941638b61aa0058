import Foundation
import Glibc
import Logging
import RoostLinux
import RoostModel
import Synchronization
import Testing

@testable import RoostPostgres

/// A Postgres that answers late gets to its answer all the same, however often it is asked anew.
@Suite struct SlowPostgresTests {
    private func database(_ server: LateServer, keepsLogin: Bool) throws -> Database {
        try Database(
            "m1",
            parameters: [
                ("host", server.folder), ("port", "\(LateServer.port)"), ("user", "roost"), ("dbname", "postgres"),
                ("sslmode", "disable"), ("gssencmode", "disable"),
            ], connectDeadline: .seconds(30), keepsLogin: keepsLogin)
    }

    /// With a login for each question none would ever come to its end, and each costs Postgres a process.
    @Test(arguments: [true, false])
    func aLoginThatNoQuestionWaitedForGoesOnForTheNext(_ keepsLogin: Bool) async throws {
        let server = try LateServer()
        defer { server.close() }
        let database = try database(server, keepsLogin: keepsLogin)
        for _ in 1...3 {
            let error = await #expect(throws: DatabaseError.self) {
                try await database.query("SELECT 1", within: .milliseconds(100))
            }
            guard case .deadlineExceeded = error?.cause else { throw try #require(error) }
        }
        server.letIn()
        try await database.query("SELECT 1", within: .seconds(30))
        #expect(server.accepted == (keepsLogin ? 1 : 4))
    }

    /// As long as an operation may take: what ends the operation must not wait for it.
    @Test(arguments: [true, false])
    func whoeverIsCancelledWaitsForNoAnswer(onlyWhileWanted: Bool) async throws {
        let server = try LateServer()
        defer { server.close() }
        let database = try database(server, keepsLogin: true)
        let began = BootClock.now()
        let question = Task {
            if onlyWhileWanted {
                _ = try await database.query("SELECT 1", within: .seconds(600), while: { true })
            } else {
                try await database.query("SELECT 1", within: .seconds(600))
            }
        }
        _ = try await poll(for: .seconds(30), every: .milliseconds(5)) { server.accepted == 1 ? true : nil }
        question.cancel()
        await #expect(throws: DatabaseError.self) { try await question.value }
        #expect(BootClock.now() - began < .seconds(60))
        // Whoever asks next goes on with its login.
        server.letIn()
        try await database.query("SELECT 1", within: .seconds(30))
        #expect(server.accepted == 1)
    }

    /// A session that has read what counts now is one that was begun since; but one is enough, however long its login takes.
    @Test func aLoginThatIsToBeNewGoesOnFromQuestionToQuestion() async throws {
        let server = try LateServer()
        defer { server.close() }
        let database = try database(server, keepsLogin: true)
        server.letIn()
        try await database.query("SELECT 1", within: .seconds(30))
        server.letNobodyIn()
        var session = FreshSession(database)
        for _ in 1...3 {
            await #expect(throws: DatabaseError.self) {
                try await session.query("SELECT 1", within: .milliseconds(100))
            }
        }
        server.letIn()
        for _ in 1...2 { _ = try await session.query("SELECT 1", within: .seconds(30)) }
        #expect(server.accepted == 2, "not the one of before, and one for all questions")
        // What it answered was too old.
        session.renew()
        _ = try await session.query("SELECT 1", within: .seconds(30))
        #expect(server.accepted == 3)
    }

    @Test func anAnswerThatDidNotComeHasTwiceAsLongTheNextTimeAndNoLongerThanThereIs() {
        let now = Moment(sinceBoot: .seconds(100))
        let late = DatabaseError(database: "m1", statement: "", cause: .deadlineExceeded(.seconds(1)))
        let refused = DatabaseError(database: "m1", statement: "", cause: .connection("is starting up"))
        var patience = AnswerPatience(for: .seconds(120), now)
        var limits: [Duration] = []
        for _ in 1...9 {
            limits.append(patience.limit(now))
            patience.note(late)
            patience.note(refused)
        }
        let doubled = (0..<8).map { AnswerPatience.first * (1 << $0) }
        #expect(limits == doubled + [.seconds(120)])
        #expect(patience.limit(now + .seconds(119)) == .seconds(1) && !patience.isOver(now + .seconds(119)))
        #expect(patience.isOver(now + .seconds(120)))
    }

    /// In a member's own sessions, and with the time that its own questions have.
    @Test func theSupervisorsQuestionsKeepTheirLoginsAndHaveTwiceAsLong() async throws {
        let server = try LateServer()
        defer { server.close() }
        try DurableFile.makeFolder(server.folder + "/etc")
        try DurableFile.write("postgres:x:\(getuid()):\(getgid())::/:/bin/sh\n", to: server.folder + "/etc/passwd")
        let instance = try PostgresInstance(
            layout: PostgresLayout(root: server.folder, volume: "/data", runFolder: "/"), member: MemberName("m1"),
            port: UInt16(LateServer.port), logger: Logger(label: "test"))
        let sessions = [
            instance.probe, instance.observer, instance.control, instance.lengthy, instance.identity, instance.ordinary,
        ]
        for session in sessions {
            for _ in 1...3 {
                await #expect(throws: DatabaseError.self) {
                    try await session.query("SELECT 1", within: .milliseconds(100))
                }
            }
        }
        #expect(server.accepted == sessions.count)
        var patience = AnswerPatience(for: .seconds(600))
        let answer = await instance.ask(&patience) { (limit) async throws(DatabaseError) -> Bool in
            throw DatabaseError(database: "m1", statement: "", cause: .deadlineExceeded(limit))
        }
        #expect(answer == nil && patience.limit() == AnswerPatience.first * 2)
    }

    @Test func aLoginIsTakenForOneThatHangsLaterEachTime() {
        let begin = Moment(sinceBoot: .seconds(100))
        var patience = LoginPatience()
        for seconds in [30, 60, 120, 240, 480, 480] {
            let limit = Duration.seconds(seconds)
            let isOver = [limit - .milliseconds(1), limit].map { patience.isOver(for: begin, begin + $0) }
            #expect(isOver == [false, true], "\(seconds)")
        }
        patience.came()
        let isOver = patience.isOver(for: begin, begin + LoginPatience.first)
        #expect(isOver)
    }

    @Test func processOneSaysWhyTheMachineEnds() {
        typealias Ending = InitProcess.Ending
        #expect(Ending.exited(74).exitCode == 74 && Ending.exited(0).words == nil)
        #expect(Ending.signalled(9).exitCode == 137 && Ending.signalled(9).words?.contains("signal 9") == true)
        let lease = Ending.leaseOver
        #expect(lease.exitCode == 75 && lease.words?.contains("lease is over") == true)
        // One line, which is written as a whole.
        #expect(lease.words.map { $0.hasSuffix("\n") && $0.utf8.count < 512 } == true)
    }
}

/// Takes connections as Postgres does, and lets nobody in before it is told to.
private final class LateServer: Sendable {
    static let port = 5432
    let folder: String
    private let listener: Int32
    private let connections = Mutex<[Int32]>([])
    private let isOpen = Atomic(false)
    private let isClosed = Atomic(false)

    init() throws {
        folder = "/tmp/roost-late-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        guard mkdir(folder, 0o700) == 0 else { throw SystemError("make folder", folder) }
        let path = "\(folder)/.s.PGSQL.\(Self.port)"
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard bound == 0, listen(listener, 16) == 0 else { throw SystemError("listen at", path) }
        try OwnThread.start("late") { self.serve() }
    }

    var accepted: Int { connections.withLock { $0.count } }

    func letIn() { isOpen.store(true, ordering: .sequentiallyConsistent) }

    func letNobodyIn() { isOpen.store(false, ordering: .sequentiallyConsistent) }

    func close() {
        isClosed.store(true, ordering: .sequentiallyConsistent)
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// One thread for all: it looks every few milliseconds who has said something.
    private func serve() {
        var greeted: Set<Int32> = []
        while !isClosed.load(ordering: .sequentiallyConsistent) {
            if isReady(listener) {
                let new = accept(listener, nil, nil)
                if new >= 0 { connections.withLock { $0.append(new) } }
            }
            guard isOpen.load(ordering: .sequentiallyConsistent) else {
                usleep(2000)
                continue
            }
            for connection in connections.withLock({ $0 }) where isReady(connection) {
                var bytes = [UInt8](repeating: 0, count: 4096)
                guard recv(connection, &bytes, bytes.count, 0) > 0 else { continue }
                // AuthenticationOk, or CommandComplete; then ReadyForQuery (PostgreSQL manual, 53.7).
                var answer: [UInt8] =
                    greeted.insert(connection).inserted
                    ? [UInt8(ascii: "R"), 0, 0, 0, 8, 0, 0, 0, 0]
                    : [UInt8(ascii: "C"), 0, 0, 0, 13] + Array("SELECT 1".utf8) + [0]
                answer += [UInt8(ascii: "Z"), 0, 0, 0, 5, UInt8(ascii: "I")]
                _ = send(connection, answer, answer.count, Int32(MSG_NOSIGNAL))
            }
            usleep(2000)
        }
        for connection in connections.withLock({ $0 }) { _ = Glibc.close(connection) }
        _ = Glibc.close(listener)
    }

    private func isReady(_ file: Int32) -> Bool {
        var entry = pollfd(fd: file, events: Int16(POLLIN), revents: 0)
        return Glibc.poll(&entry, 1, 0) == 1
    }
}
