import RoostControl
import RoostHost
import RoostModel
import RoostPlanet
import RoostWire

/// What hosts still remember of machines that are gone: each host the last ones of its own, and nobody else.
struct DestroyedMachines {
    let view: PlanetView

    static let answerMax = Duration.seconds(2)

    /// Of the hosts that can be reached; one that does not answer is left out.
    func of(_ app: AppName) async -> [MachineBody] {
        let known = Set(view.watcher.planet.hosts.keys)
        let asked = await view.reachability.hosts().intersection(known).subtracting([view.host])
        let others = await withTaskGroup(of: [MachineBody].self) { group in
            for host in asked {
                group.addTask {
                    let bodies = try? await view.peers.value(
                        [MachineBody].self, "GET", "/v1/internal/apps/\(app)/destroyed", from: host,
                        timeout: Self.answerMax)
                    return bodies ?? []
                }
            }
            return await group.reduce(into: [MachineBody]()) { $0 += $1 }
        }
        return await here(app) + others
    }

    func here(_ app: AppName) async -> [MachineBody] {
        await view.agent.machines(of: app).filter { $0.record.state == .destroyed }
            .map { MachineBody($0, on: view.host) }
    }
}
