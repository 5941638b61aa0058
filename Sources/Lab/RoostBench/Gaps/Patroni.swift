import FoundationEssentials
import Glibc
import RoostDemo
import RoostLab
import RoostLinux
import RoostModel

/// Patroni 4 with an etcd of its own, of Debian 13's packages, on a host of each region beside Roost: the same delays, the
/// same faults, the same writer. Its client knows all three hosts and takes the one that can be written to.
struct Patroni: GapSubject {
    /// What decides how quickly it notices.
    enum Tuning: String, CaseIterable, Sendable {
        case standard = "Patroni"
        /// The least that Patroni takes: `ttl` 20 s, `loop_wait` 1 s, `retry_timeout` 3 s.
        case quickest = "Patroni, tuned"

        var settings: String {
            switch self {
            case .standard: #"{"ttl": 30, "loop_wait": 10, "retry_timeout": 10}"#
            case .quickest: #"{"ttl": 20, "loop_wait": 1, "retry_timeout": 3}"#
            }
        }
    }

    let planet: LabPlanet
    let hosts: [LabHost]
    let files: PatroniFiles
    let rows: NumberedRows
    var tuning = Tuning.standard

    private static let wholeMax = Duration.seconds(400)
    private static let askMax = Duration.seconds(3)
    /// Longer than three of Patroni's loops.
    private static let tuneMax = Duration.seconds(30)

    var name: String { tuning.rawValue }

    /// Installed once for each computer, and brought up as a cluster of three.
    static func start(on planet: LabPlanet, client: String, progress: LabPlanet.Progress) async throws -> Patroni {
        let hosts = planet.plan.shape.regions.compactMap { region in
            planet.plan.hosts.first { $0.region == region }
        }
        guard hosts.count == 3 else {
            throw LabError(.usage, "Patroni is measured on three regions", advice: "use --regions ams,iad,sin")
        }
        let files = PatroniFiles(planet: planet, hosts: hosts)
        try await files.install(progress)
        let rows = NumberedRows(planet, client: client, file: planet.paths.runFolder + "/patroni-rows.json")
        let peer = Patroni(planet: planet, hosts: hosts, files: files, rows: rows)
        progress("a cluster of Patroni on \(hosts.map(\.name.text).joined(separator: ", "))")
        for host in hosts { try await files.boot(host) }
        _ = try await peer.whole()
        return peer
    }

    /// The same cluster by other settings. Returns when all of them go by those.
    func tuned(_ tuning: Tuning) async throws -> Patroni {
        var peer = self
        peer.tuning = tuning
        let host = try await whole()
        _ = try await request(
            ["-X", "PATCH", "-d", tuning.settings], "http://\(host.underlay):8008/config", expecting: 200)
        let asked = WallClock.milliseconds() / 1000
        // Whoever has heard of its etcd since then has read the settings, and goes by them from the next loop on.
        let isTaken: Bool? = try await poll(for: Self.tuneMax, every: .seconds(1)) {
            for host in hosts {
                guard let seen = await lastSeen(by: host), seen > asked else { return nil }
            }
            return true
        }
        guard isTaken != nil else { throw LabError(.failed, "Patroni did not take new settings") }
        return peer
    }

    func writeURL() async throws -> String {
        let places = hosts.map { "\($0.underlay):5432" }.joined(separator: ",")
        return "postgresql://postgres@\(places)/postgres?target_session_attrs=read-write&connect_timeout=2"
            + "&tcp_user_timeout=2000&keepalives_idle=1&keepalives_interval=1&keepalives_count=2"
    }

    func whole() async throws -> LabHost {
        var last = "nobody answered"
        let found: LabHost? = try await poll(for: Self.wholeMax, every: .milliseconds(500)) {
            guard let cluster = await cluster() else { return nil }
            last = cluster.members.map { "\($0.name) \($0.role) \($0.state)" }.joined(separator: ", ")
            guard cluster.members.count == hosts.count,
                cluster.members.filter({ $0.role == "leader" && $0.state == "running" }).count == 1,
                cluster.members.filter({ $0.state == "streaming" }).count == hosts.count - 1,
                cluster.members.contains(where: { $0.role == "sync_standby" }),
                let leader = cluster.members.first(where: { $0.role == "leader" })
            else { return nil }
            return hosts.first { $0.name.text == leader.name }
        }
        guard let found else { throw LabError(.failed, "Patroni's cluster is not whole: \(last)") }
        return found
    }

    func primary(seenFromOutside region: String) async throws -> LabHost? {
        for host in hosts where host.region.text != region {
            if await isPrimary(host) { return host }
        }
        return nil
    }

    func crash(on host: LabHost) async throws {
        let root = files.root(of: host)
        for process in try planet.processes(named: "postgres", on: host.name.text) {
            if ProcessRoot.of(process)?.hasSuffix(root) == true { kill(process, SIGKILL) }
        }
    }

    func switchOver() async throws {
        guard let leader = await cluster()?.members.first(where: { $0.role == "leader" }),
            let host = hosts.first(where: { $0.name.text == leader.name })
        else { throw LabError(.failed, "Patroni has no primary to switch over from") }
        // It answers when it is done: that is not waited for.
        _ = try await request(
            ["-X", "POST", "-d", #"{"leader": "\#(leader.name)"}"#], "http://\(host.underlay):8008/switchover",
            expecting: nil)
    }

    func hostIsBack(_ host: LabHost) async throws {
        if hosts.contains(where: { $0.name == host.name }) { try await files.boot(host) }
    }

    func stepLog() async -> String? { nil }

    // MARK: - Its REST API

    private struct Cluster: Decodable {
        struct Member: Decodable {
            var name: String
            var role: String
            var state: String
        }

        var members: [Member]
    }

    private func cluster() async -> Cluster? {
        for host in hosts where planet.state(of: host) == .running {
            guard let text = try? await request([], "http://\(host.underlay):8008/cluster", expecting: 200),
                let cluster = try? JSONDecoder().decode(Cluster.self, from: Data(text.utf8))
            else { continue }
            return cluster
        }
        return nil
    }

    /// When a member has heard of its etcd, in seconds of the wall clock.
    private func lastSeen(by host: LabHost) async -> Int64? {
        struct Member: Decodable {
            var lastSeen: Int64

            enum CodingKeys: String, CodingKey { case lastSeen = "dcs_last_seen" }
        }

        let url = "http://\(host.underlay):8008/patroni"
        guard let text = try? await request([], url, expecting: nil) else { return nil }
        return try? JSONDecoder().decode(Member.self, from: Data(text.utf8)).lastSeen
    }

    private func isPrimary(_ host: LabHost) async -> Bool {
        guard planet.state(of: host) == .running else { return false }
        return (try? await request([], "http://\(host.underlay):8008/primary", expecting: 200)) != nil
    }

    private func request(_ words: [String], _ url: String, expecting status: Int?) async throws -> String {
        let limit = status == nil ? "1" : "2"
        let output = try await planet.run(
            in: rows.client, ["curl", "-s", "-m", limit, "-w", "\n%{http_code}"] + words + [url],
            deadline: Self.askMax)
        let lines = output.standardOutput.split(separator: "\n", omittingEmptySubsequences: false)
        guard status == nil || lines.last.flatMap({ Int($0) }) == status else {
            throw LabError(.failed, "Patroni said to \(url): \(output.standardOutput.suffix(300))")
        }
        return lines.dropLast().joined(separator: "\n")
    }
}
