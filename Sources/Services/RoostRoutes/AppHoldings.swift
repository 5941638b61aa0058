import RoostControl
import RoostHost
import RoostModel
import RoostPlanet

/// What an app still has, by each host's own word. A copy may be a moment old: what was destroyed through another host is
/// still in it, and what was made there not yet.
struct AppHoldings {
    let view: PlanetView

    static let answerMax = Duration.seconds(2)

    struct Count: Hashable, Codable {
        var machines = 0
        var volumes = 0

        init() {}

        init(_ record: HostRecord, of app: AppName) {
            machines = record.machines.count { $0.app == app }
            volumes = record.volumes.count { $0.app == app }
        }

        var isNothing: Bool { machines == 0 && volumes == 0 }
    }

    /// On all hosts. For one that does not answer, or is of a version that does not know the question, the copy counts.
    func of(_ app: AppName) async -> Count {
        let reachable = await view.reachability.hosts()
        let records = await view.hosts()
        return await withTaskGroup(of: Count.self) { group in
            for record in records {
                group.addTask {
                    guard record.host != view.host, reachable.contains(record.host),
                        let fresh = try? await view.peers.value(
                            Count.self, "GET", "/v1/internal/apps/\(app)", from: record.host, timeout: Self.answerMax)
                    else { return Count(record, of: app) }
                    return fresh
                }
            }
            return await group.reduce(into: Count()) {
                $0.machines += $1.machines
                $0.volumes += $1.volumes
            }
        }
    }

    func here(_ app: AppName) async -> Count { Count(await view.agent.record(), of: app) }
}
