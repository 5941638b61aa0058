import FoundationEssentials
import Glibc
public import RoostClient
public import RoostLab
import RoostLinux
public import RoostModel
import RoostWAN
public import RoostWire

/// Brings a planet up, puts a Postgres cluster on it, breaks things, and measures what a client notices.
public struct Demo: Sendable {
    public let planet: LabPlanet
    public let cluster: AppName
    public let progress: LabPlanet.Progress

    /// - Parameters:
    ///   - planet: a lab that is up.
    ///   - cluster: the name of the cluster that is made on it.
    public init(planet: LabPlanet, cluster: AppName, progress: @escaping LabPlanet.Progress) {
        self.planet = planet
        self.cluster = cluster
        self.progress = progress
    }

    static let createMax = Duration.seconds(300)
    public static let recoverMax = Duration.seconds(120)
    /// What an event does to writes is looked at for at least this long.
    static let watchMin = Duration.seconds(3)
    /// Rows that must get through afterwards before it counts as over.
    static let rowsAfter = 50
    private static let queriesForTiming = 7

    /// Runs the demo on a lab of its own, which stays up. A lab of the same name makes room first.
    ///
    /// - Throws: ``LabError`` when something does not come up or does not recover. Rows that were lost are in the
    ///   report.
    public static func run(
        _ shape: LabShape, cluster: AppName, progress: @escaping LabPlanet.Progress = { _ in }
    ) async throws -> DemoReport {
        guard shape.regions.count > 1 else {
            throw LabError(.usage, "the demo needs two regions or more", advice: "use --regions ams,iad,sin")
        }
        if try LabPlanet.exists(shape.name) {
            progress("removing the lab '\(shape.name)' of before")
            try await LabPlanet.down(shape.name)
        }
        let begin = BootClock.now()
        let planet = try await LabPlanet.up(shape, progress: progress)
        let isUp = BootClock.now()
        let demo = Demo(planet: planet, cluster: cluster, progress: progress)
        let created = try await demo.create()
        progress("the cluster '\(cluster)' is ready after \(Self.seconds(BootClock.now() - isUp))")
        var report = DemoReport(
            lab: shape.name, cluster: cluster, upMilliseconds: (isUp - begin).milliseconds,
            createMilliseconds: (BootClock.now() - isUp).milliseconds, before: try await demo.landings(created),
            events: [], after: [], rowsConfirmed: 0, rowsLost: 0)
        let (events, rows) = try await demo.breakThings(created)
        report.events = events
        let healthy = try await demo.wait(for: Self.recoverMax, "is whole again") { $0.status == .ready }
        report.after = try await demo.landings(healthy)
        (report.rowsConfirmed, report.rowsLost) = try await demo.rows.verify(rows, healthy.writeURL)
        return report
    }

    // MARK: - The cluster

    public func create() async throws -> ClusterBody {
        let regions = planet.plan.shape.regions
        progress("a Postgres cluster '\(cluster)' in \(regions.map(\.text).joined(separator: ", "))")
        let request = CreateClusterRequest(
            name: cluster.text, region: regions[0].text, replicaRegions: regions.dropFirst().prefix(2).map(\.text))
        _ = try await ask { try await $0.createCluster(request) }
        return try await wait(for: Self.createMax, "is ready") { $0.status == .ready }
    }

    /// The cluster when it is whole; made if there is none.
    public func ensure() async throws -> ClusterBody {
        let present = try await ask { try await $0.clusters() }.contains { $0.name == cluster }
        return present ? try await wait(for: Self.recoverMax, "is ready") { $0.status == .ready } : try await create()
    }

    /// Any host can answer; the next one is asked when one cannot.
    public func ask<Value: Sendable>(_ call: (RoostAPIClient) async throws -> Value) async throws -> Value {
        var failure: (any Error)?
        for host in planet.plan.hosts where planet.state(of: host) == .running {
            do { return try await call(planet.api(of: host.name)) } catch { failure = error }
        }
        throw failure ?? LabError(.failed, "no host of the lab is running")
    }

    public func wait(
        for limit: Duration, _ goal: String, until condition: (ClusterBody) async throws -> Bool
    ) async throws -> ClusterBody {
        var last = "nobody answered"
        let found: ClusterBody? = try await poll(for: limit, every: .milliseconds(300)) {
            guard let body = try? AuthorityFile.trusting(await ask({ try await $0.cluster(cluster) })) else {
                return nil
            }
            last = body.detail ?? "it is \(body.status.rawValue)"
            return try await condition(body) ? body : nil
        }
        guard let found else {
            throw LabError(
                .failed, "no sign within \(Self.seconds(limit)) that '\(cluster)' \(goal): \(last)",
                advice: "the lab is still up: see 'roost pg status \(cluster)' and 'roost lab status'")
        }
        return found
    }

    // MARK: - Clients

    private func landings(_ body: ClusterBody) async throws -> [DemoReport.Landing] {
        var found: [DemoReport.Landing] = []
        for client in planet.plan.clients {
            for (port, url): (UInt16, String) in [(5432, body.writeURL), (5433, body.readURL)] {
                let reached: DemoReport.Landing? = try await poll(for: .seconds(30), every: .milliseconds(200)) {
                    try await landing(of: client.name, port, url, in: body)
                }
                guard let reached else {
                    throw LabError(
                        .failed, "\(client.name) cannot connect to port \(port) of '\(cluster)'",
                        advice: "try 'roost pg connect \(cluster) --from \(client.name)'")
                }
                found.append(reached)
            }
        }
        return found
    }

    /// An edge speaks to a member from its host's own address: that is how a session knows both.
    public func landing(
        of client: String, _ port: UInt16, _ url: String, in body: ClusterBody
    ) async throws -> DemoReport.Landing? {
        var words = ["psql", "-XAt", "-c", "\\timing on", "-c", "select inet_client_addr(), inet_server_addr()"]
        for _ in 0..<Self.queriesForTiming { words += ["-c", "select 1"] }
        let output = try await planet.run(
            in: client, words + [url], environment: ["PGCONNECT_TIMEOUT": "10"], deadline: .seconds(60))
        let lines = output.standardOutput.split(separator: "\n")
        let addresses = lines.first { $0.contains("|") }?.split(separator: "|").compactMap {
            try? IPv6Address(String($0))
        }
        guard let addresses, addresses.count == 2,
            let edge = planet.plan.hosts.first(where: { $0.mesh == addresses[0] }),
            let member = body.members.first(where: { $0.address == addresses[1] }), let host = member.host
        else { return nil }
        let times = lines.filter { $0.hasPrefix("Time: ") }.compactMap { Double($0.split(separator: " ")[1]) }
        return DemoReport.Landing(
            client: client, port: port, edge: edge.name, member: member.name, memberHost: host,
            roundTripMilliseconds: times.dropFirst().min() ?? 0)
    }

    // MARK: - Rows

    /// What the client in the primary's first region writes.
    public var rows: NumberedRows {
        NumberedRows(planet, client: planet.plan.clients[0].name, file: planet.paths.runFolder + "/demo-rows.json")
    }

    static func seconds(_ duration: Duration) -> String {
        let tenths = duration.milliseconds / 100
        return "\(tenths / 10).\(tenths % 10) s"
    }
}
