import Foundation
import Glibc
import Logging
import RoostLinux
import RoostModel
import RoostPlanet
import RoostStore

/// Follows a planet as a host does, and measures what that costs this process.
struct FeedFollower: Sendable {
    let store: any Store
    let folder: String
    let following: Set<PlanetPart>

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
            store: store, stateFolder: folder, following: following,
            logger: Logger(label: "planet") { _ in SwiftLogNoOpLogHandler() })
        let changes = watcher.changes.subscribe()
        let running = Task { try await watcher.run() }
        defer { running.cancel() }
        let isHeard: Bool? = try await poll(for: Self.hearMax, every: .milliseconds(50)) { watcher.isLive ? true : nil }
        guard isHeard != nil else { throw UnusableHost(what: "the planet was not heard within \(Self.hearMax)") }
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
