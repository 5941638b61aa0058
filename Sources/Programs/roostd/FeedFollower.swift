import Foundation
import Glibc
import Logging
import RoostHost
import RoostLinux
import RoostMesh
import RoostModel
import RoostPeers
import RoostPlanet
import RoostPostgresControl
import RoostStore
import Synchronization

/// Follows a planet as a host does and does with it what a host does, but for the devices: who may be a peer on the mesh,
/// the clusters whose members it has, and an edge's routes. Measures what that costs this process.
struct FeedFollower: Sendable {
    let store: any Store
    let folder: String
    let host: HostName
    let isEdge: Bool

    struct Measured: Sendable, Codable {
        /// Of one core, while it followed changes.
        var cpuPercent: Double
        /// Resident, when everything had been heard and settled.
        var residentMebibytes: Double
        /// From before a machine's change was sent until a listener saw it here.
        var delayMedianMilliseconds: Double?
        var delayWorstMilliseconds: Double?
        var changes: Int

        enum CodingKeys: String, CodingKey {
            case cpuPercent = "cpu_percent"
            case residentMebibytes = "resident_mib"
            case delayMedianMilliseconds = "delay_median_ms"
            case delayWorstMilliseconds = "delay_worst_ms"
            case changes
        }
    }

    static let hearMax = Duration.seconds(60)
    /// The copy on disk is written.
    static let settlePause = Duration.seconds(5)

    /// - Parameter ready: called when the changes may begin.
    func run(for time: Duration, ready: @Sendable () -> Void) async throws -> Measured {
        let watcher = PlanetWatcher(
            store: store, stateFolder: folder, following: isEdge ? ClusterInterest.ofEdges : [], logger: Self.silent)
        let changes = watcher.changes.subscribe()
        let mesh = DevicelessMesh(host: host)
        let running = Task { try await work(on: watcher, mesh: mesh) }
        defer { running.cancel() }
        try await hear(watcher)
        let members = watcher.read { planet in
            Set(
                (planet.hosts[host]?.machines ?? []).compactMap { machine in
                    machine.owner?.kind == .postgres ? machine.owner?.name : nil
                })
        }
        watcher.follow(ClusterInterest.parts(ofMembers: members, isEdge: isEdge, hasDuty: false))
        try await hear(watcher)
        let peers = watcher.read { planet in planet.hosts.keys.count { $0 != host } }
        let isMeshed: Bool? = try await poll(for: Self.hearMax, every: .milliseconds(50)) {
            mesh.peerCount == peers ? true : nil
        }
        guard isMeshed != nil else { throw UnusableHost(what: "of \(peers) hosts \(mesh.peerCount) are peers") }
        try await Task.sleep(for: Self.settlePause)
        ready()
        let before = Self.processorTime()
        let begin = BootClock.now()
        let delays = await withTaskGroup(of: [Double]?.self) { group in
            group.addTask {
                var delays: [Double] = []
                for await some in changes {
                    let now = FeedPlanet.microseconds(BootClock.now())
                    for case .machine(let id, _) in some {
                        if let left = watcher.read({ $0.machine(id)?.updatedAt }), left > 1 {
                            delays.append(Double(now - left) / 1000)
                        }
                    }
                }
                return delays
            }
            group.addTask {
                try? await Task.sleep(for: time)
                return nil
            }
            var delays: [Double] = []
            for await result in group {
                if let result { delays = result } else { group.cancelAll() }
            }
            return delays
        }
        let used = Self.processorTime() - before
        let sorted = delays.sorted()
        return Measured(
            cpuPercent: 100 * (used / (BootClock.now() - begin)), residentMebibytes: Self.resident(),
            delayMedianMilliseconds: sorted.isEmpty ? nil : sorted[sorted.count / 2],
            delayWorstMilliseconds: sorted.last, changes: sorted.count)
    }

    /// Until everything that is followed has been heard.
    private func hear(_ watcher: PlanetWatcher) async throws {
        let isHeard: Bool? = try await poll(for: Self.hearMax, every: .milliseconds(50)) { watcher.isLive ? true : nil }
        guard isHeard != nil else { throw UnusableHost(what: "the planet was not heard within \(Self.hearMax)") }
    }

    private func work(on watcher: PlanetWatcher, mesh: DevicelessMesh) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await watcher.run() }
            group.addTask {
                try await MeshKeeper(host: host, seeds: [], watcher: watcher, mesh: mesh, logger: Self.silent).run()
            }
            if isEdge {
                let hearing = ClusterHearing(watcher: watcher)
                group.addTask { try await hearing.run() }
                group.addTask {
                    try await EdgeRouting(
                        watcher: watcher, hearing: hearing, news: LeaderNews(), mesh: mesh, host: host
                    ) { _, _ in }.run()
                }
            }
            try await group.waitForAll()
        }
    }

    private static var silent: Logger { Logger(label: "feed") { _ in SwiftLogNoOpLogHandler() } }

    private static func processorTime() -> Duration {
        // POSIX: in units of a millionth of a second, whatever the clock's resolution.
        .microseconds(Int64(clock()))
    }

    private static func resident() -> Double {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return (line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Double($0) } ?? 0) / 1024
    }
}

/// A host's part of the mesh without the device and the probes: it decides who may be a peer, and says that everybody is as
/// far as ever.
private final class DevicelessMesh: MeshPeers, MeshPaths {
    private let plan: Mutex<PeerPlan>

    init(host: HostName) { plan = Mutex(PeerPlan(own: host, key: "")) }

    var peerCount: Int { plan.withLock { $0.identities.count } }

    func setPeers(_ peers: [MeshPeer]) async throws(MeshError) { plan.withLock { _ = $0.replace(with: peers) } }
    func changePeers(_ changes: [PeerChange]) async throws(MeshError) { plan.withLock { _ = $0.take(changes) } }

    func measurements() async -> [PathMeasurement] {
        plan.withLock { plan in
            plan.identities.keys.map { peer in
                PathMeasurement(
                    peer: peer, roundTripMicroseconds: Int64(peer.text.utf8.count) * 10_000, jitterMicroseconds: 100,
                    isAnswering: true, lossPercent: 0, probesSent: 1, probesAnswered: 1)
            }
        }
    }
}
