import Glibc
import RoostEdge
import RoostLinux
import RoostModel
import RoostPostgresWire
import RoostRouting
import Testing

@Suite("An edge in front of real Postgres", .serialized, .postgresPair, .timeLimit(.minutes(3)))
struct PostgresTests {
    private let pair: PostgresPair

    init() throws { pair = try PostgresPair.present }

    /// An edge at the address of the certificate, in front of the pair.
    private func withServing(
        _ adjust: (inout ClusterRoute) -> Void = { _ in }, _ body: (EdgeUnderTest) async throws -> Void
    ) async throws {
        let edge = try EdgeUnderTest(at: pair.address)
        do {
            var served = try route(
                leader: pair.primary, replicas: [replica(pair.standby)], encryption: .optional(pair.tls))
            adjust(&served)
            try await edge.serve(served)
            try await body(edge)
        } catch {
            await edge.stop()
            throw error
        }
        await edge.stop()
    }

    private func psql(
        _ edge: EdgeUnderTest, _ sql: String, user: String = "locked", _ options: String = "sslmode=disable",
        access: Access = .write, input: String = ""
    ) async throws -> Command.Output {
        let target = "host=\(edge.address) port=\(edge.port(access)) user=\(user) dbname=postgres \(options)"
        return try await Command(
            "psql", ["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", target, "-c", sql],
            environment: ["PGPASSWORD": "secret", "PGCONNECT_TIMEOUT": "20"], input: input
        ).outcome()
    }

    @Test("psql logs in with SCRAM, in clear and with every degree of TLS")
    func logins() async throws {
        try await withServing { edge in
            let authority = "sslrootcert=\(pair.authority)"
            for (options, isEncrypted) in [
                ("sslmode=disable", false), ("sslmode=prefer", true), ("sslmode=require", true),
                ("sslmode=verify-ca \(authority)", true), ("sslmode=verify-full \(authority)", true),
            ] {
                let before = edge.service.stats().tls
                let output = try await psql(edge, "SELECT 6*7, pg_is_in_recovery()", options)
                #expect(output.standardOutput == "42|f\n", "\(options): \(output.standardError)")
                #expect((edge.service.stats().tls == before + 1) == isEncrypted, "\(options)")
                let read = try await psql(edge, "SELECT pg_is_in_recovery()", options, access: .read)
                #expect(read.standardOutput == "t\n", "\(options): \(read.standardError)")
            }
            let wrong = try await psql(edge, "SELECT 1", "password=wrong sslmode=require")
            #expect(wrong.status == 2 && wrong.standardError.contains("password authentication failed"))
            let unknown = try await psql(edge, "SELECT 1", "dbname=nothere sslmode=disable")
            #expect(unknown.standardError.contains("does not exist"))
        }
        try await withServing({ $0.encryption = .required(pair.tls) }) { edge in
            let clear = try await psql(edge, "SELECT 1", "sslmode=disable")
            #expect(clear.standardError.contains("encrypted"), "\(clear)")
            let second = try await psql(edge, "SELECT 1", "sslmode=allow")
            #expect(second.standardOutput == "1\n", "\(second)")
        }
    }

    @Test("TLS without asking works with the protocol's name, and not without")
    func directTLS() async throws {
        try await withServing { edge in
            // A startup packet, and a Terminate right behind it: Postgres logs the client in, then ends.
            let opening = (startup() + message("X")).map { "\\\(String($0, radix: 8))" }.joined()
            for (option, expected) in [("-alpn postgresql", "in_hot_standby"), ("", "without ALPN")] {
                let output = try await Command(
                    "sh",
                    [
                        "-c",
                        "printf '\(opening)' | timeout 10 openssl s_client -quiet \(option)"
                            + " -connect \(edge.address):\(edge.writePort) 2>&1 | tr -d '\\000'",
                    ]
                ).outcome()
                #expect(output.standardOutput.contains(expected), "\(option): \(output.standardOutput)")
            }
        }
    }

    @Test("psql's Ctrl-C cancels the statement, in clear and in TLS")
    func interrupt() async throws {
        try await withServing { edge in
            for mode in ["disable", "require"] {
                let target = "host=\(edge.address) port=\(edge.writePort) user=open dbname=postgres sslmode=\(mode)"
                let start = BootClock.now()
                let output = try await Command(
                    "timeout", ["-s", "INT", "1", "psql", "-X", target, "-c", "SELECT pg_sleep(20)"]
                ).outcome()
                #expect(output.standardError.contains("canceling statement due to user request"), "\(output)")
                #expect(BootClock.now() - start < .seconds(10))
            }
        }
    }

    @Test("A cancel request works through another edge, for readers too")
    func cancelElsewhere() async throws {
        try await withServing { edge in
            let other = try EdgeUnderTest()
            do {
                try await other.serve(try route(leader: pair.primary, replicas: [replica(pair.standby)]))
                for access in Access.allCases {
                    let session = try RawClient(edge.address, edge.port(access))
                    try session.send(startup())
                    let stream = try await session.receive(until: isReady)
                    let key = try #require(messages(in: stream).first { $0.type == "K" }?.body)
                    session.forget()
                    try session.send(query("SELECT pg_sleep(20)"))
                    // The statement may not have begun when the first request arrives: it is asked again.
                    let cancelled = try await poll(for: .seconds(5)) { () -> Bool? in
                        let canceller = try RawClient(other.address, other.port(access))
                        try canceller.send(packet(80_877_102, key))
                        #expect(try await canceller.receiveAll().isEmpty)
                        session.take()
                        return error(in: session.received)?.code == "57014" ? true : nil
                    }
                    #expect(cancelled == true)
                }
            } catch {
                await other.stop()
                throw error
            }
            await other.stop()
        }
    }

    @Test("COPY goes both ways unharmed, in clear and in TLS")
    func copy() async throws {
        try await withServing { edge in
            let rows =
                (0..<100_000).map { "\($0)\t\(String(repeating: "x", count: $0 % 97))" }
                .joined(separator: "\n") + "\n"
            for mode in ["sslmode=disable", "sslmode=require"] {
                _ = try await psql(edge, "DROP TABLE IF EXISTS t; CREATE TABLE t (n int, x text)", mode)
                let into = try await psql(edge, "COPY t FROM STDIN", mode, input: rows)
                #expect(into.status == 0, "\(into.standardError)")
                let back = try await psql(edge, "COPY (SELECT * FROM t WHERE n < 30000 ORDER BY n) TO STDOUT", mode)
                let expected = rows.split(separator: "\n", omittingEmptySubsequences: true).prefix(30_000)
                #expect(back.standardOutput == expected.joined(separator: "\n") + "\n")
            }
        }
    }

    @Test("A client that ends its side still gets the whole answer")
    func halfClose() async throws {
        try await withServing { edge in
            let client = try RawClient(edge.address, edge.writePort)
            try client.send(startup())
            try await client.receive(until: isReady)
            client.forget()
            try client.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 20000)"))
            client.endSending()
            let stream = try await client.receiveAll(within: .seconds(20))
            #expect(messages(in: stream).count { $0.type == "D" } == 20_000)
            try await expectStats(edge) { $0.sessions == 0 }
        }
    }

    @Test("A large result waits in Postgres, not in the edge, for a client that does not read")
    func largeResult() async throws {
        try await withServing { edge in
            let client = try RawClient(edge.address, edge.writePort, receiveBuffer: 64 << 10)
            try client.send(startup())
            try await client.receive(until: isReady)
            client.forget()
            let before = residentBytes()
            try client.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 60000)"))
            let idle = try await poll(for: .seconds(10)) { () -> Bool? in
                let state = try await psql(
                    edge, "SELECT wait_event FROM pg_stat_activity WHERE query LIKE 'SELECT repeat%'", user: "open")
                return state.standardOutput == "ClientWrite\n" ? true : nil
            }
            #expect(idle == true, "Postgres never waited")
            #expect(residentBytes() - before < 32 << 20)
            var rows = 0
            var total = 0
            var isDone = false
            while !isDone {
                try await client.receive(within: .seconds(10)) { !messages(in: $0).isEmpty }
                // What is whole is counted and let go, to keep the test itself small.
                let whole = messages(in: client.received)
                rows += whole.count { $0.type == "D" }
                isDone = whole.last?.type == "Z"
                let bytes = whole.reduce(0) { $0 + 5 + $1.body.count }
                total += bytes
                client.forget(first: bytes)
            }
            #expect(rows == 60_000 && total > 40 << 20)
        }
    }

    @Test("Many short sessions, and prepared statements", arguments: ["disable", "require"])
    func pgbench(mode: String) async throws {
        try await withServing { edge in
            let target = "host=\(edge.address) port=\(edge.writePort) user=locked dbname=postgres sslmode=\(mode)"
            let run = { (arguments: [String]) in
                try await Command("pgbench", arguments + [target], environment: ["PGPASSWORD": "secret"]).outcome()
            }
            let made = try await run(["-i", "-q", "-s", "1"])
            #expect(made.status == 0, "\(made.standardError)")
            for options in [["-C"], ["-M", "prepared"]] {
                let output = try await run(["-n", "-c", "8", "-t", "20", "-S"] + options)
                #expect(output.standardOutput.contains("processed: 160/160"), "\(output)")
            }
            try await expectStats(edge) { $0.sessions == 0 }
        }
    }

    @Test("A standby taken for the primary is never shown; the client gets the primary when it is known")
    func wrongRole() async throws {
        try await withServing({ $0.leader = pair.standby }) { edge in
            // With a password, the login cannot be moved: the client is told, and connects again.
            let locked = try await psql(edge, "SELECT 1")
            #expect(locked.status == 2 && locked.standardError.contains("it is a standby"), "\(locked)")
            async let patient = psql(edge, "SELECT pg_is_in_recovery()", user: "open")
            try await expectStats(edge) { $0.held == 1 && $0.attemptsFailed >= 2 }
            edge.service.update(ClusterTable([edge.address: try route(2, leader: pair.primary)]))
            let served = try await patient
            #expect(served.standardOutput == "f\n", "\(served)")
        }
    }

    @Test("Strangers who ask to replicate and never say a password take no walsender from those who do replicate")
    func strangersReplicating() async throws {
        try await withServing { edge in
            var strangers: [RawClient] = []
            // As many as log in at once from one network, and more than Postgres has senders: ten.
            for _ in 0..<16 {
                let stranger = try RawClient(edge.address, edge.writePort)
                try stranger.send(startup(user: "locked", "replication\0database\0"))
                try await stranger.receive { !messages(in: $0).isEmpty }
                strangers.append(stranger)
            }
            let target = "host=::1 port=\(pair.primary.port) user=open dbname=postgres replication=database"
            let follower = try await Command("psql", ["-X", "-A", "-t", target, "-c", "IDENTIFY_SYSTEM"]).outcome()
            #expect(follower.status == 0, "\(follower.standardError)")
            for stranger in strangers { #expect(error(in: stranger.received)?.code == "0A000") }
        }
    }

    @Test("Too many clients is Postgres's answer to give")
    func tooMany() async throws {
        try await withServing { edge in
            var clients: [RawClient] = []
            var refused: String?
            while refused == nil, clients.count < 80 {
                let client = try RawClient(edge.address, edge.writePort)
                try client.send(startup())
                try await client.receive { isReady($0) || error(in: $0) != nil }
                refused = error(in: client.received)?.code
                clients.append(client)
            }
            #expect(refused == "53300")
        }
    }
}
