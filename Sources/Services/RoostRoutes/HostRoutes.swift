public import RoostAPI
public import RoostControl
import RoostHost
import RoostModel

/// What hosts ask each other, and nobody else may.
public struct HostRoutes: RouteGroup {
    let view: PlanetView
    let edge: EdgeOrders

    public init(view: PlanetView, edge: EdgeOrders) {
        self.view = view
        self.edge = edge
    }

    public var callers: Principal.Kind { .peer }

    public var routes: [APIRoute] {
        let agent = view.agent
        return [
            APIRoute(.get, "/v1/internal/mesh") { _ in try Answer.json(await view.reachability.row()) },
            APIRoute(.get, "/v1/internal/edge") { _ in try Answer.json(edge.standing) },
            APIRoute(.get, "/v1/internal/apps/:app") { call in
                try Answer.json(try await AppHoldings(view: view).here(try call.id("app")))
            },
            APIRoute(.get, "/v1/internal/apps/:app/destroyed") { call in
                try Answer.json(await DestroyedMachines(view: view).here(try call.id("app")))
            },
            APIRoute(.get, "/v1/internal/volumes/:volume") { call in
                let id: VolumeID = try call.id("volume")
                guard let volume = await agent.volume(id) else { throw Refusal(.notFound, "volume \(id) not found") }
                return try Answer.json(volume)
            },
            APIRoute(.put, "/v1/internal/volumes/:volume") { call in
                let id: VolumeID = try call.id("volume")
                let order = try call.decoded(VolumeOrder.self)
                guard order.id == id else { throw Refusal(.invalid, "the order is for volume \(order.id)") }
                return try Answer.json(try await make(order))
            },
            APIRoute(.delete, "/v1/internal/volumes/:volume") { call in
                let id: VolumeID = try call.id("volume")
                guard let gone = try await agent.takeBack(id) else {
                    throw Refusal(.notFound, "volume \(id) not found")
                }
                return try Answer.json(gone)
            },
            APIRoute(.get, "/v1/internal/machines/:machine") { call in
                let id: MachineID = try call.id("machine")
                guard let row = await agent.machine(id) else { throw Refusal(.notFound, "machine \(id) not found") }
                return try Answer.json(row.record)
            },
            APIRoute(.put, "/v1/internal/machines/:machine") { call in
                let id: MachineID = try call.id("machine")
                let order = try call.decoded(MachineOrder.self)
                guard order.id == id else { throw Refusal(.invalid, "the order is for machine \(order.id)") }
                return try Answer.json(try await make(order))
            },
            APIRoute(.put, "/v1/internal/machines/:machine/renounced") { call in
                let id: MachineID = try call.id("machine")
                guard try await agent.renounce(id) else { throw Refusal(.alreadyExists, "machine \(id) is here") }
                return try Answer.ok()
            },
            APIRoute(.delete, "/v1/internal/machines/:machine") { call in
                let id: MachineID = try call.id("machine")
                guard let gone = try await agent.takeBack(id, timeout: PlanetDispatch.destroyTimeout) else {
                    throw Refusal(.notFound, "machine \(id) not found")
                }
                return try Answer.json(gone)
            },
        ]
    }

    // MARK: - Made here, for an app that somebody else has looked at

    private func make(_ order: MachineOrder) async throws(Refusal) -> MachineRecord {
        let agent = view.agent
        let record = try await agent.createMachine(order)
        // A feature makes and takes apart what it has by its own records.
        guard order.owner == nil else { return record }
        try await view.confirm(order: order.app, in: order.network) { () throws(Refusal) in
            // It is ordered, and goes on whoever waits.
            if try await !agent.renounce(order.id) {
                _ = try await agent.destroy(order.id, force: true, by: .roostd)
            }
        }
        return record
    }

    private func make(_ order: VolumeOrder) async throws(Refusal) -> VolumeRecord {
        let agent = view.agent
        let record = try await agent.createVolume(order)
        try await view.confirm(order: order.app, in: nil) { () throws(Refusal) in
            _ = try await agent.takeBack(order.id)
        }
        return record
    }
}
