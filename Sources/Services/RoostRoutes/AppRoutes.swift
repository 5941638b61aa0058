public import RoostAPI
public import RoostControl
import RoostHost
import RoostModel
import RoostPlanet
import RoostWire

/// Apps: names on the planet that machines and volumes belong to.
public struct AppRoutes: RouteGroup {
    let view: PlanetView
    let apps: AppDirectory

    public init(view: PlanetView, apps: AppDirectory) {
        self.view = view
        self.apps = apps
    }

    public var callers: Principal.Kind { .user }

    public var routes: [APIRoute] {
        [
            // One organization, so its name means nothing; there are no roles of apps, so none has one.
            APIRoute(.get, "/v1/apps", query: ["org_slug", "app_role"]) { try await list($0) },
            // Creation is always waited for.
            APIRoute(.post, "/v1/apps", query: ["wait"]) { try await create($0) },
            APIRoute(.get, "/v1/apps/:app") { call in
                let app = try await view.app(try call.id("app"))
                return try Answer.json(body(of: app, own: await view.agent.record()))
            },
            APIRoute(.delete, "/v1/apps/:app") { try await delete($0) },
        ]
    }

    private func list(_ call: APICall) async throws(Refusal) -> Answer {
        let own = await view.agent.record()
        let isWithoutRole = try call.query.text("app_role") == nil
        let apps = isWithoutRole ? view.watcher.planet.apps.values.sorted { $0.name < $1.name } : []
        return try Answer.json(ListAppsBody(apps: apps.map { body(of: $0, own: own) }))
    }

    private func create(_ call: APICall) async throws(Refusal) -> Answer {
        let wish = try call.wish(CreateAppRequest.self)
        guard let text = wish.name ?? wish.appName else { throw Refusal(.invalid, "field 'name' is missing") }
        let name = try APICall.value(AppName.self, text)
        let network = try wish.network.flatMap(\.ifNotEmpty).map { network throws(Refusal) in
            try APICall.value(NetworkName.self, network)
        }
        let app = try await apps.create(name, network: network)
        await view.settle(by: { $0.concerns(app: name) }, until: { $0.apps[name] != nil })
        return try Answer.json(body(of: app, machines: 0, volumes: 0), status: 201)
    }

    private func delete(_ call: APICall) async throws(Refusal) -> Answer {
        let app = try await view.app(try call.id("app"))
        try view.refuseIfOwned(app)
        try await apps.delete(app.name) { () throws(Refusal) in
            let held = try await AppHoldings(view: view).of(app.name)
            guard held.isNothing else {
                throw Refusal(
                    .failedPrecondition,
                    "app \(app.name) still has \(counted(held.machines, "machine")) and \(counted(held.volumes, "volume")); "
                        + "destroy them first")
            }
        }
        await view.settle(by: { $0.concerns(app: app.name) }, until: { $0.apps[app.name] == nil })
        return try Answer.ok(status: 202)
    }

    private func body(of app: AppRecord, own: HostRecord) -> AppBody {
        body(
            of: app, machines: view.machines(of: app.name, own: own).count,
            volumes: view.volumes(of: app.name, own: own).count)
    }

    private func body(of app: AppRecord, machines: Int, volumes: Int) -> AppBody {
        AppBody(
            id: app.name.text, name: app.name, network: app.networkName.text,
            status: machines == 0 ? "pending" : "deployed", machineCount: machines, volumeCount: volumes,
            createdAt: app.createdAt)
    }
}

extension String {
    /// Clients whose language has no absent values send an empty text for what nobody set.
    var ifNotEmpty: String? { isEmpty ? nil : self }
}
