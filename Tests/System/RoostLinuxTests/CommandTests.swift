import Glibc
import RoostLinux
import RoostModel
import Testing

@Suite(.timeLimit(.minutes(2)))
struct CommandTests {
    /// More than a pipe holds.
    private static let much = String(repeating: "All of it arrives.\n", count: 50_000)

    @Test func theInputArrivesWhole() async throws {
        let output = try await Command("cat", [], input: Self.much).run()
        #expect(output.standardOutput == Self.much)
        #expect(try await Command("cat", []).run().standardOutput.isEmpty)
        // A program that opens its input by name.
        #expect(try await Command("cat", ["/dev/stdin"], input: Self.much).run().standardOutput == Self.much)
    }

    @Test func aProgramNeedNotReadItsInput() async throws {
        for _ in 0..<50 { try await Command("true", [], input: Self.much).run() }
        let output = try await Command("sh", ["-c", "echo why >&2; exit 3"], input: Self.much).outcome()
        #expect(output.status == 3)
        #expect(output.standardError == "why\n")
    }

    @Test(arguments: ["", much]) func aCommandCanBeCancelledAtAnyMoment(_ input: String) async throws {
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<60 {
                group.addTask {
                    let command = Task {
                        try await Command("sh", ["-c", "cat >/dev/null; sleep 30"], input: input).run()
                    }
                    for _ in 0..<(number * 20) { await Task.yield() }
                    command.cancel()
                    await #expect(throws: CommandError.self) { try await command.value }
                }
            }
        }
    }

    @Test func aCommandHasEndedWhenItsProcessHas() async throws {
        // What it leaves in the background keeps its outputs open.
        let began = BootClock.now()
        let output = try await Command("sh", ["-c", "sleep 40 & echo done; exit 3"]).outcome()
        #expect(output.status == 3 && output.standardOutput == "done\n")
        let error = await #expect(throws: CommandError.self) {
            try await Command("sh", ["-c", "sleep 40 & wait"], deadline: .milliseconds(200)).run()
        }
        if case .deadlineExceeded = error?.cause {} else { Issue.record("\(error?.description ?? "")") }
        #expect(BootClock.now() - began < .seconds(20))
    }

    @Test func aProgramFindsNothingOfOursInItsEnvironment() async throws {
        setenv("ROOST_TEST_SECRET", "hidden", 1)
        defer { unsetenv("ROOST_TEST_SECRET") }
        let output = try await Command("env", [], environment: ["GIVEN": "1"]).run().standardOutput
        #expect(!output.contains("hidden"))
        #expect(output.contains("GIVEN=1\n") && output.contains("LC_ALL=C.UTF-8\n") && output.contains("PATH="))
    }

    @Test func tooMuchOutputIsSaid() async throws {
        let error = await #expect(throws: CommandError.self) {
            try await Command("sh", ["-c", "yes | head -c \(Command.outputBytesMax + 1)"]).run()
        }
        if case .outputTooLong = error?.cause {} else { Issue.record("\(error?.description ?? "")") }
        #expect(error?.summary.contains("head") == false)
    }

    @Test func aCommandEndsAtItsDeadline() async throws {
        let error = await #expect(throws: CommandError.self) {
            try await Command("sleep", ["30"], input: Self.much, deadline: .milliseconds(200)).run()
        }
        guard case .deadlineExceeded = error?.cause else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test("Who dies with this process dies by no word of its own, and is started as any other")
    func bond() async throws {
        let asked = try await Command("setpriv", ["--dump"]).bound().run().standardOutput
        #expect(asked.contains("Parent death signal: KILL"))
        #expect(!(try await Command("setpriv", ["--dump"]).run().standardOutput.contains("death signal: KILL")))
        // The thread that starts it stays, whatever other threads come and go meanwhile.
        async let long = Command("sh", ["-c", "cat; sleep 0.5; exit 3"]).bound().outcome()
        for _ in 0..<20 {
            try await Command("true", []).bound().run()
            await BlockingCall.run {}
        }
        #expect(try await long.status == 3)
        let missing = await #expect(throws: CommandError.self) {
            try await Command("roost-no-such-program", []).bound().run()
        }
        if case .notStarted = missing?.cause {} else { Issue.record("\(missing?.description ?? "")") }
    }

    @Test("A lock stays with the program that it was lent to when its holder is gone")
    func lentLock() async throws {
        let path = "/var/tmp/roost-command-test-\(getpid()).lock"
        defer { unlink(path) }
        // It stays in the background, with the lock: as what goes on when the process that began it was killed.
        let words = try await leaveBehind("exec 3<&0; sleep 60 <&3 >/dev/null 2>&1 & echo $!", holding: path)
        let orphan = try #require(Int32(words.prefix { $0 != "\n" }))
        #expect(try FileLock.attempt(path) == nil)
        kill(orphan, SIGKILL)
        let lock = try await FileLock.acquire(path, within: .seconds(10))
        lock.release()
    }

    /// Nothing of this process has the lock when it returns, and nobody has let go of it.
    private func leaveBehind(_ script: String, holding path: String) async throws -> String {
        let lock = try #require(try FileLock.attempt(path))
        return try await Command("sh", ["-c", script]).bound(to: lock).run().standardOutput
    }

    @Test("What a command's outcome says to people shows its words, and nothing of how it was called")
    func outcomes() {
        let line = "/usr/lib/postgresql/17/bin/pg_rewind '--source-server=host=fdaa::1 passfile=/run/x' --target=/data"
        let outcomes: [(CommandError.Cause, String)] = [
            (.exited(1, "pg_rewind: error: why"), "pg_rewind failed with status 1: pg_rewind: error: why"),
            (.notStarted("no such file"), "pg_rewind could not be started: no such file"),
            (.deadlineExceeded(.seconds(3)), "pg_rewind did not end within 3 s"),
            (.outputTooLong(bytesMax: 7), "pg_rewind wrote more than 7 bytes"), (.cancelled, "pg_rewind was cancelled"),
        ]
        for (cause, words) in outcomes {
            let error = CommandError(command: line, cause: cause)
            #expect(error.outcome == words)
            for text in [error.outcome, error.summary] { #expect(!text.contains("/") && !text.contains("fdaa")) }
        }
        #expect(CommandError(command: "initdb", cause: .cancelled).outcome == "initdb was cancelled")
        let other = CommandError(command: "/usr/bin/setpriv --reuid=7 -- /usr/bin/initdb -D /x", cause: .cancelled)
        #expect(other.outcome == "initdb was cancelled")
    }

    /// As PostgreSQL 15 and 17 print it.
    @Test("Of what programs say, the way to their server and the places of files are left out")
    func places() throws {
        let isThere = "\tIs the server running on that host and accepting TCP/IP connections?"
        for (said, left) in [
            (
                "pg_basebackup: error: connection to server at \"::1\", port 59999 failed: Connection refused\n"
                    + isThere,
                "pg_basebackup: error: connection to server failed: Connection refused\n" + isThere
            ),
            (
                "pg_basebackup: error: connection to server at \"fdaa:0:1::5\", port 5432 failed: FATAL:  number of requested "
                    + "standby connections exceeds max_wal_senders (currently 10)",
                "pg_basebackup: error: connection to server failed: FATAL:  number of requested standby connections exceeds "
                    + "max_wal_senders (currently 10)"
            ),
            (
                "pg_rewind: error: connection to server at \"db.example\" (fdaa:0:1::5), port 5432 failed: timeout expired",
                "pg_rewind: error: connection to server failed: timeout expired"
            ),
            (
                "psql: error: connection to server on socket \"/run/roost/pg/.s.PGSQL.5432\" failed: No such file or "
                    + "directory\n\tIs the server running locally and accepting connections on that socket?",
                "psql: error: connection to server failed: No such file or directory\n\tIs the server running locally and "
                    + "accepting connections on that socket?"
            ),
            (
                "psql: error: could not translate host name \"db.example\" to address: Name or service not known",
                "psql: error: could not translate host name to address: Name or service not known"
            ),
            (
                "FATAL:  no pg_hba.conf entry for replication connection from host \"fdaa::9\", user \"r\", SSL encryption",
                "FATAL:  no pg_hba.conf entry for replication connection from host \"…\", user \"r\", SSL encryption"
            ),
            (
                "pg_rewind: error: could not open file \"/data/pg/global/pg_control\" for reading: Permission denied",
                "pg_rewind: error: could not open file \"pg_control\" for reading: Permission denied"
            ),
            (
                "root certificate file \"/run/roost/ca.crt\" does not exist",
                "root certificate file \"ca.crt\" does not exist"
            ),
            ("invalid connection option host=192.0.2.1: [fdaa::1]:5432", "invalid connection option host=…: […]:5432"),
            ("waiting for WAL 0/3000148 of 13:53:40, 17.5", "waiting for WAL 0/3000148 of 13:53:40, 17.5"),
        ] {
            #expect(said.withoutPlaces == left)
            #expect(left.withoutPlaces == left)
            let error = CommandError(command: "pg_rewind --source-server=host=fdaa::1", cause: .exited(1, said))
            #expect(error.outcome == "pg_rewind failed with status 1: \(left)")
        }
        // Not where the words are cut.
        let long = String(repeating: "x", count: 520) + " connection to server at \"fdaa::5\", port 5432 failed: "
        let cut = CommandError(command: "psql", cause: .exited(2, long + String(repeating: "y", count: 560)))
        #expect(!cut.outcome.contains("fdaa") && !cut.outcome.contains("5432"))
    }

    @Test("What programs say really is as these tests have it", arguments: ["::1", "127.0.0.1", "/nowhere/roost"])
    func realWords(place: String) async throws {
        let psql = Command(
            "psql", ["host=\(place) port=59999 user=x dbname=y connect_timeout=2"], deadline: .seconds(20))
        let error = await #expect(throws: CommandError.self) { try await psql.run() }
        guard case .exited = error?.cause else {
            return #expect(error?.outcome.contains("could not be started") == true)
        }
        let outcome = error?.outcome ?? ""
        #expect(outcome.contains("connection to server failed: "), "\(outcome)")
        #expect(!outcome.contains(place) && !outcome.contains("59999"), "\(outcome)")
    }
}
