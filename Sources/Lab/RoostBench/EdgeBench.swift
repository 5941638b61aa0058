import RoostDemo
import RoostLab
import RoostLinux
import RoostModel
import RoostWire

/// Select-only pgbench against one cluster: by the way every client takes, through an edge, in TLS; through HAProxy on
/// the same edge's host, in clear (it does not speak Postgres's way of asking for TLS); and from that host without any
/// proxy.
struct EdgeBench: Sendable {
    private let demo: Demo
    private let cluster: ClusterBody
    private let client: LabClient

    private static let crowds = [1, 32, 128]
    private static let goal = 1.0

    private enum Way: Int, CaseIterable { case edge, proxy, straight }

    init(_ demo: Demo, _ cluster: ClusterBody) {
        self.demo = demo
        self.cluster = cluster
        client = demo.planet.plan.clients[0]
    }

    func run(_ rounds: Int) async throws -> [BenchRow] {
        let planet = demo.planet
        guard let login = DatabaseLogin(url: cluster.writeURL),
            let primary = cluster.members.first(where: { $0.name == cluster.leader })?.address
        else { throw LabError(.failed, "the cluster '\(cluster.name)' has no primary, or a strange URL") }
        guard let landing = try await demo.landing(of: client.name, login.port, cluster.writeURL, in: cluster) else {
            throw LabError(.failed, "\(client.name) reaches no edge")
        }
        let edge = try planet.host(landing.edge.text)
        let (here, there) = (BenchSite(planet, client.name), BenchSite(planet, edge.name.text))
        demo.progress("edge: \(client.name) by \(edge.name) to the primary on \(landing.memberHost)")
        let proxy = try await HAProxy.start(on: there, address: edge.underlay, to: primary)
        do {
            let straight = Pgbench(site: there, address: "\(primary)", port: 5432, login: login)
            let ways = [
                Way.edge: Pgbench(
                    site: here, address: login.address, port: login.port, login: login, usesTLS: true),
                .proxy: Pgbench(site: here, address: "\(edge.underlay)", port: HAProxy.port, login: login),
                .straight: straight,
            ]
            try await straight.fill()
            let found = try await measure(ways, rounds)
            try await straight.empty()
            try await proxy.stop()
            return Self.rows(found)
        } catch {
            try? await proxy.stop()
            throw error
        }
    }

    private typealias Results = [Int: [Way: [Double]]]

    private func measure(_ ways: [Way: Pgbench], _ rounds: Int) async throws -> Results {
        var found: Results = [:]
        for round in 0..<rounds {
            demo.progress("edge: round \(round + 1) of \(rounds)")
            for crowd in Self.crowds {
                for index in Statistics.order(of: Way.allCases.count, inRound: round) {
                    let way = Way.allCases[index]
                    guard let speed = try await ways[way]?.transactionsPerSecond(clients: crowd) else { continue }
                    found[crowd, default: [:]][way, default: []].append(speed)
                }
            }
        }
        return found
    }

    private static func rows(_ found: Results) -> [BenchRow] {
        crowds.flatMap { crowd in
            let speeds = found[crowd] ?? [:]
            let title = "pgbench -S, \(crowd) client\(crowd == 1 ? "" : "s")"
            let proxy = BenchRow.Peer(name: "HAProxy", values: speeds[.proxy] ?? [])
            let straight = BenchRow.Peer(name: "no proxy", values: speeds[.straight] ?? [])
            let edge = speeds[.edge] ?? []
            return [
                BenchRow(.edge, title, .perSecond, edge, against: proxy, goal: .init(.ratio, .atLeast, goal)),
                BenchRow(.edge, title, .perSecond, edge, against: straight),
            ]
        }
    }
}
