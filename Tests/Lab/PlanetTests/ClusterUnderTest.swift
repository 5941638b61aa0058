import Foundation
import RoostClient
import RoostLab
import RoostLinux
import RoostModel
import RoostWire
import Testing

/// A Postgres cluster of a planet, and what a test asks of it.
struct ClusterUnderTest {
    let planet: LabPlanet
    let name: AppName

    static let readyMax = Duration.seconds(180)

    /// The cluster of that name, made if there is none; whole in either case.
    static func ready(
        on planet: LabPlanet, name: String = "orders", region: String = "ams", replicas: [String] = ["iad", "sin"],
        replaceAfter: String? = nil
    ) async throws -> ClusterUnderTest {
        let cluster = ClusterUnderTest(planet: planet, name: try AppName(name))
        if try await cluster.ask({ try await $0.clusters() }).contains(where: { $0.name == cluster.name }) == false {
            _ = try await cluster.ask {
                try await $0.createCluster(
                    CreateClusterRequest(
                        name: name, region: region, replicaRegions: replicas, volumeSizeGigabytes: 1,
                        replaceAfter: replaceAfter))
            }
        }
        _ = try await cluster.wait(for: "the cluster to be ready", within: readyMax) { $0.status == .ready }
        return cluster
    }

    /// Asks the hosts in turn until one answers: any of them may be the one that is down.
    func ask<Answer: Sendable>(_ question: (RoostAPIClient) async throws -> Answer) async throws -> Answer {
        var last: (any Error)?
        for host in planet.plan.hosts where planet.state(of: host) == .running {
            do { return try await question(planet.api(of: host.name)) } catch { last = error }
        }
        throw last ?? CancellationError()
    }

    func body() async throws -> ClusterBody {
        try AuthorityFile.trusting(try await ask { try await $0.cluster(name) })
    }

    @discardableResult
    func wait(
        for what: String, within limit: Duration, sourceLocation: SourceLocation = #_sourceLocation,
        _ condition: (ClusterBody) -> Bool
    ) async throws -> ClusterBody {
        var last: ClusterBody?
        let found = try await poll(for: limit, every: .milliseconds(100)) { () -> ClusterBody? in
            guard let body = try? await body() else { return nil }
            last = body
            return condition(body) ? body : nil
        }
        return try #require(
            found,
            "\(what) did not come within \(limit): \(last.map { "\($0.status) \($0.detail ?? "") \($0.members)" } ?? "no answer")",
            sourceLocation: sourceLocation)
    }

    func leader() async throws -> MemberBody {
        let body = try await body()
        return try #require(body.members.first { $0.name == body.leader })
    }

    /// One statement from a client, by `psql` through the anycast address or straight at a member.
    func sql(
        _ statement: String, from client: String = "client-ams", url: String? = nil, deadline: Duration = .seconds(30)
    ) async throws -> String {
        let target: String
        if let url { target = url } else { target = try await body().writeURL }
        let output = try await planet.run(
            in: client, ["psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", target, "-c", statement],
            environment: ["PGCONNECT_TIMEOUT": "10"], deadline: deadline)
        guard output.status == 0 else { throw StatementFailed(text: output.standardError) }
        return output.standardOutput.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    struct StatementFailed: Error { var text: String }
}

/// Writers on a client that write through the anycast address while something happens, each to a table of its own and
/// one row at a time; afterwards every confirmed row is looked for.
final class Writers {
    let cluster: ClusterUnderTest
    let client: String
    private let folder: String
    private var processes: [ChildProcess] = []
    private var accounts: [Account] = []
    private let prefix: String
    private let url: String

    /// What a writer that was told to end has for the row that it waits for.
    private static let farewellMax = Duration.seconds(20)

    init(
        _ cluster: ClusterUnderTest, on client: String = "client-ams", count: Int = 12, url: String? = nil
    ) async throws {
        self.cluster = cluster
        self.client = client
        if let url { self.url = url } else { self.url = try await cluster.body().writeURL }
        prefix = "rows_\(UInt32.random(in: 0...UInt32.max))"
        folder = NSTemporaryDirectory() + "roost-writers-\(prefix)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let program = try LabPrograms().folder + "/roost-pg"
        for index in 0..<count {
            let line = try cluster.planet.commandLine(
                in: client,
                [
                    program, "writer", "--url", self.url, "--table", table(index), "--interval", "0", "--timeout", "3",
                    "--json",
                ])
            processes.append(try ChildProcess("env", arguments: line, writingTo: file(index)))
            accounts.append(Account())
        }
    }

    private func table(_ index: Int) -> String { "\(prefix)_\(index)" }
    private func file(_ index: Int) -> String { "\(folder)/\(index).ndjson" }

    struct Line: Decodable {
        var row: Int64?
        var sent_ms: Int64?
        var confirmed_ms: Int64?
        var backend: String?
        var error: String?
    }

    /// What a writer has printed so far, each line read and decoded once: the tests ask many times a second.
    private struct Account {
        var read: UInt64 = 0
        var lines: [Line] = []
    }

    private func lines(_ index: Int) -> [Line] {
        guard let output = FileHandle(forReadingAtPath: file(index)) else { return accounts[index].lines }
        defer { try? output.close() }
        guard (try? output.seek(toOffset: accounts[index].read)) != nil, let new = try? output.readToEnd(),
            // What comes behind the last end of a line is not whole yet.
            let end = new.lastIndex(of: UInt8(ascii: "\n"))
        else { return accounts[index].lines }
        accounts[index].read += UInt64(end - new.startIndex + 1)
        accounts[index].lines += new[...end].split(separator: UInt8(ascii: "\n")).compactMap {
            try? JSONDecoder().decode(Line.self, from: $0)
        }
        return accounts[index].lines
    }

    /// Rows confirmed so far, of all writers.
    var confirmed: [Line] { processes.indices.flatMap { lines($0).filter { $0.row != nil && $0.confirmed_ms != nil } } }

    /// The moment, in wall-clock milliseconds, of the first confirmation of a row that was sent after `moment`.
    func firstConfirmation(ofRowSentAfter moment: Int64) -> Int64? {
        confirmed.filter { ($0.sent_ms ?? 0) > moment }.compactMap(\.confirmed_ms).min()
    }

    func waitForRows(_ count: Int, within limit: Duration, sourceLocation: SourceLocation = #_sourceLocation)
        async throws
    {
        let before = confirmed.count
        let reached = try await poll(for: limit, every: .milliseconds(200)) {
            confirmed.count >= before + count ? true : nil
        }
        try #require(
            reached == true, "only \(confirmed.count - before) of \(count) rows were confirmed within \(limit)",
            sourceLocation: sourceLocation)
    }

    func stop() {
        for process in processes where !process.hasEnded() { kill(process.pid, SIGTERM) }
        for process in processes { process.end(after: Self.farewellMax) }
    }

    /// Counts what was confirmed and looks for every row of it in the database.
    func verify(sourceLocation: SourceLocation = #_sourceLocation) async throws -> Int {
        let program = try LabPrograms().folder + "/roost-pg"
        let url = try await cluster.body().writeURL
        let (planet, client) = (cluster.planet, client)
        let rows = processes.indices.map { index in
            (table(index), lines(index).filter { $0.confirmed_ms != nil }.compactMap(\.row))
        }
        // All at once: each of them mostly waits for an answer from far away.
        return try await withThrowingTaskGroup(of: Int.self) { group in
            for (table, rows) in rows where !rows.isEmpty {
                group.addTask {
                    let output = try await planet.run(
                        in: client, [program, "verify", "--url", url, "--table", table, "--rows", "-"],
                        input: rows.map(String.init).joined(separator: "\n") + "\n", deadline: .seconds(120))
                    #expect(
                        output.status == 0, "\(output.standardOutput) \(output.standardError)",
                        sourceLocation: sourceLocation)
                    return rows.count
                }
            }
            return try await group.reduce(0, +)
        }
    }

    deinit {
        stop()
        try? FileManager.default.removeItem(atPath: folder)
    }
}

func now() -> Int64 { WallClock.milliseconds() }
