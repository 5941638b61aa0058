import Foundation
import Glibc
import RoostLab
import RoostLinux
import RoostModel
import RoostWire
import Testing

/// Writes straight to one member's Postgres over the cluster's private network, past every edge: from the machine of
/// another member, by `psql`, a row at a time, noting when each was sent and confirmed.
final class DirectWriter {
    private let cluster: ClusterUnderTest
    private let process: ChildProcess
    private let file: String

    /// The last row, and all that stands in front of it.
    private static let farewellMax = Duration.seconds(30)

    init(_ cluster: ClusterUnderTest, to address: IPv6Address, avoiding host: HostName) async throws {
        self.cluster = cluster
        let body = try await cluster.body()
        let other = try #require(body.members.first { $0.host != host })
        let machine = try #require(other.machine)
        file = NSTemporaryDirectory() + "roost-direct-\(UUID().uuidString)"
        // The loop ends when this file is gone: a signal would reach `nsenter`, not the shell behind it.
        try Data().write(to: URL(fileURLWithPath: file + ".run"))
        let password = try #require(URLComponents(string: body.writeURL)?.password)
        _ = try await cluster.sql(
            "DROP TABLE IF EXISTS direct_rows; CREATE TABLE direct_rows (id bigint PRIMARY KEY)")
        // Every row is a connection of its own: nothing of an old session can answer for a new one.
        let script = """
            export PGPASSWORD=\(password) PGCONNECT_TIMEOUT=3
            n=0
            while [ -e \(file).run ]; do
              n=$((n+1)); sent=$(date +%s%3N)
              if timeout 5 psql -X -q -h \(address) -U postgres -d postgres -c "INSERT INTO direct_rows VALUES ($n)" >/dev/null 2>&1; then
                echo "$n $sent $(date +%s%3N)"
              fi
            done
            """
        let inside = ["nsenter", "--net=\(cluster.planet.namespacePath(of: machine, on: try #require(other.host)))"]
        let line = try cluster.planet.commandLine(in: try #require(other.host).text, inside + ["bash", "-c", script])
        process = try ChildProcess("env", arguments: line, writingTo: file)
    }

    private var rows: [(id: Int, sent: Int64, confirmed: Int64)] {
        let text = (try? String(contentsOfFile: file, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").compactMap { line in
            let parts = line.split(separator: " ").compactMap { Int64($0) }
            return parts.count == 3 ? (Int(parts[0]), parts[1], parts[2]) : nil
        }
    }

    func waitForRows(_ count: Int) async throws {
        let reached = try await poll(for: .seconds(60), every: .milliseconds(100)) { rows.count >= count ? true : nil }
        try #require(reached == true, "only \(rows.count) rows were confirmed by the primary itself")
    }

    /// Rows the old primary confirmed although they were sent after `moment`.
    func confirmations(sentAfter moment: Int64) async throws -> Int { rows.filter { $0.sent > moment }.count }

    /// - Returns: the ids of all confirmed rows, joined by commas.
    func stop() async throws -> String {
        try FileManager.default.removeItem(atPath: file + ".run")
        process.end(after: Self.farewellMax)
        return rows.map { String($0.id) }.joined(separator: ",")
    }

    deinit {
        try? FileManager.default.removeItem(atPath: file + ".run")
        process.end(after: Self.farewellMax)
        try? FileManager.default.removeItem(atPath: file)
    }
}

extension ChildProcess {
    /// One whose words are kept in a new file.
    init(_ program: String, arguments: [String], writingTo path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw SystemError("open", path) }
        defer { close(file) }
        try self.init(program, arguments: arguments, output: file)
    }
}

extension LabPlanet {
    /// The network namespace of a machine, as its host sees the path.
    func namespacePath(of machine: MachineID, on host: HostName) -> String {
        "\(paths.runFolder)/\(host)/netns/\(machine)"
    }
}

/// The store's members as `etcdctl` sees them.
struct StoreUnderTest {
    let planet: LabPlanet

    /// The host whose etcd leads.
    func leader() async throws -> String {
        for host in planet.plan.hosts where host.isStoreMember {
            let address = MeshAddress.host(host.name)
            let output = try await planet.run(
                in: host.name.text,
                ["etcdctl", "--endpoints=http://[\(address)]:2379", "endpoint", "status", "-w", "json"],
                environment: ["ETCDCTL_API": "3"])
            guard output.status == 0,
                let answer = try? JSONDecoder().decode([Answer].self, from: Data(output.standardOutput.utf8)).first
            else { continue }
            if answer.Status.leader == answer.Status.header.member_id { return host.name.text }
        }
        return try #require(nil as String?, "etcd has no leader")
    }

    private struct Answer: Decodable {
        struct Status: Decodable {
            struct Header: Decodable { var member_id: UInt64 }
            var header: Header
            var leader: UInt64
        }
        var Status: Status
    }
}
