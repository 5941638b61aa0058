import FoundationEssentials
import Glibc
import RoostLab
import RoostLinux

/// What it costs a host to follow a large planet: a real etcd on the loopback, filled with it; one process that follows
/// as a host does and measures itself; another one that makes the changes.
struct FeedBench {
    let progress: LabPlanet.Progress

    static let size = ["--hosts", "200", "--machines", "20000", "--clusters", "500"]
    /// On the whole planet: each of the 20,000 machines changes its state every 17 minutes.
    static let machinesPerSecond = 20
    /// What a tenth of the clusters write to stay alive, as often as they do.
    static let beatsPerSecond = 165
    static let seconds = 20
    static let startMax = Duration.seconds(20)
    /// Until a process has heard everything: it lists 20,000 machines.
    static let readyMax = Duration.seconds(90)
    static let benchMax = Duration.seconds(3600)

    private struct Followed: Decodable {
        var cpuPercent: Double
        var residentMebibytes: Double
        var delayMedian: Double?
        var changes: Int

        enum CodingKeys: String, CodingKey {
            case cpuPercent = "cpu_percent"
            case residentMebibytes = "resident_mib"
            case delayMedian = "delay_median_ms"
            case changes
        }
    }

    private struct Changed: Decodable {
        var bytes: Double

        enum CodingKeys: String, CodingKey { case bytes = "bytes_per_change" }
    }

    func run(_ rounds: Int) async throws -> [BenchRow] {
        let programs = try LabPrograms()
        let folder = "/var/lib/roost/bench-feed-\(getpid())"
        try DurableFile.makeFolder(folder)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let port = 20_000 + Int(getpid()) % 20_000
        let endpoint = "http://127.0.0.1:\(port)"
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await Self.etcd(folder + "/etcd", endpoint, "http://127.0.0.1:\(port + 1)") }
            defer { group.cancelAll() }
            progress("filling an etcd with 200 hosts, 20,000 machines, 500 clusters")
            try await Self.fill(endpoint, programs.folder + "/roostd")
            var hosts: [Followed] = []
            var edges: [Followed] = []
            var bytes: [Double] = []
            for round in 1...rounds {
                progress("feed: round \(round) of \(rounds)")
                let place = folder + "/\(round)"
                let (host, size) = try await Self.measure(endpoint, programs.folder, place + "h", isEdge: false)
                hosts.append(host)
                bytes.append(size)
                edges.append(try await Self.measure(endpoint, programs.folder, place + "e", isEdge: true).0)
            }
            return Self.rows(hosts, edges, bytes)
        }
    }

    private static func rows(_ hosts: [Followed], _ edges: [Followed], _ bytes: [Double]) -> [BenchRow] {
        [
            BenchRow(
                .feed, "a host's feed, of one core", .percent, hosts.map(\.cpuPercent), goal: .init(.figure, .atMost, 3)
            ),
            BenchRow(
                .feed, "a host's feed, resident", .mebibytes, hosts.map(\.residentMebibytes),
                goal: .init(.figure, .atMost, 100)),
            BenchRow(
                .feed, "one machine's change, written", .bytes, bytes, goal: .init(.figure, .atMost, 4000)),
            BenchRow(
                .feed, "one machine's change, until another host sees it", .milliseconds,
                hosts.compactMap(\.delayMedian), goal: .init(.figure, .atMost, 100)),
            BenchRow(.feed, "an edge's feed, of one core", .percent, edges.map(\.cpuPercent)),
            BenchRow(.feed, "an edge's feed, resident", .mebibytes, edges.map(\.residentMebibytes)),
        ]
    }

    private static func etcd(_ folder: String, _ client: String, _ peer: String) async throws {
        try await Command(
            "etcd",
            [
                "--name", "bench", "--data-dir", folder, "--listen-client-urls", client, "--advertise-client-urls",
                client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster",
                "bench=\(peer)", "--log-level", "error",
            ], deadline: benchMax
        ).run()
        throw LabError(.failed, "etcd ended before the bench did")
    }

    /// etcd takes a moment to start, and nothing is written before it answers.
    private static func fill(_ endpoint: String, _ roostd: String) async throws {
        let isFilled: Bool? = try await poll(for: startMax, every: .milliseconds(500)) {
            let outcome = try await Command(
                roostd, ["measure-feed", "fill", "--endpoint", endpoint] + size, deadline: readyMax
            ).outcome()
            return outcome.status == 0 ? true : nil
        }
        guard isFilled != nil else { throw LabError(.failed, "the etcd of the bench could not be filled") }
    }

    private static func measure(
        _ endpoint: String, _ programs: String, _ place: String, isEdge: Bool
    ) async throws -> (Followed, Double) {
        try DurableFile.makeFolder(place)
        let ready = place + "/ready"
        async let following = Command(
            programs + "/roostd",
            [
                "measure-feed", "follow", "--endpoint", endpoint, "--folder", place, "--seconds", "\(seconds)",
                "--ready",
                ready,
            ] + (isEdge ? ["--edge"] : []), deadline: readyMax * 2
        ).run()
        let isReady: Bool? = try await poll(for: readyMax, every: .milliseconds(50)) {
            access(ready, F_OK) == 0 ? true : nil
        }
        guard isReady != nil else { throw LabError(.failed, "the planet was not heard within \(readyMax)") }
        let changing = try await Command(
            programs + "/roostd",
            [
                "measure-feed", "change", "--endpoint", endpoint, "--machines-per-second", "\(machinesPerSecond)",
                "--beats-per-second", "\(beatsPerSecond)", "--seconds", "\(seconds)",
            ] + size, deadline: readyMax
        ).run()
        let (followed, changed) = try (
            JSONDecoder().decode(Followed.self, from: Data(try await following.standardOutput.utf8)),
            JSONDecoder().decode(Changed.self, from: Data(changing.standardOutput.utf8))
        )
        guard followed.changes > 0 else { throw LabError(.failed, "no change was seen") }
        return (followed, changed.bytes)
    }
}
