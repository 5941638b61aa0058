import Hummingbird
import RoostControl
import RoostHost
import RoostModel
import RoostPlanet
import RoostPostgresControl
import RoostWire

extension PlanetAPI {
    func addApps(to group: RouterGroup<BasicRequestContext>) {
        group.get("apps") { _, _ in
            let planet = watcher.planet
            let records = await hostRecords()
            let apps = planet.apps.values.sorted { $0.name < $1.name }
            return try Answer.json(ListAppsBody(apps: apps.map { body(of: $0, on: records) }))
        }
        group.post("apps") { request, _ in
            let wish = try await RequestReader.wish(CreateAppRequest.self, from: request)
            guard let text = wish.name ?? wish.appName else {
                throw Refusal(.invalid, "field 'name' is missing")
            }
            let name = try RequestReader.value(AppName.self, text)
            let network = try wish.network.map { network throws(Refusal) in
                try RequestReader.value(NetworkName.self, network)
            }
            let app = try await apps.create(name, network: network)
            return try Answer.json(body(of: app, on: []), status: .created)
        }
        group.get("apps/:app") { _, context in
            let app = try await requireApp(context)
            return try Answer.json(body(of: app, on: await hostRecords()))
        }
        group.delete("apps/:app") { _, context in
            let name = try await requireApp(context).name
            try refuseIfOwned(name)
            let records = await hostRecords()
            let machines = records.flatMap(\.machines).filter { $0.app == name }
            let volumes = records.flatMap(\.volumes).filter { $0.app == name }
            guard machines.isEmpty, volumes.isEmpty else {
                throw Refusal(
                    .failedPrecondition,
                    "app \(name) still has \(machines.count) machines and \(volumes.count) volumes; destroy them first")
            }
            try await apps.delete(name)
            return try Answer.json(OKBody(), status: .accepted)
        }
    }

    private func body(of app: AppRecord, on hosts: [HostRecord]) -> AppBody {
        let machines = hosts.flatMap(\.machines).filter { $0.app == app.name }
        let volumes = hosts.flatMap(\.volumes).filter { $0.app == app.name }
        return AppBody(
            id: app.name.text, name: app.name, network: app.networkName.text,
            status: machines.isEmpty ? "pending" : "deployed", machineCount: machines.count,
            volumeCount: volumes.count, createdAt: app.createdAt)
    }
}
