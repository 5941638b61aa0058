public import RoostAPI
public import RoostControl
public import RoostHost
import RoostModel
import RoostPlacement
import RoostPlanet
import RoostWire

/// Machines: made, listed, ordered. What is asked of them is in ``MachineQuestionRoutes``.
public struct MachineRoutes: RouteGroup {
    let view: PlanetView
    let dispatch: any HostDispatch
    let names: MachineNames
    let remains: (any OwnedRemains)?

    /// - Parameter remains: what is left over of features; nil: nobody knows.
    public init(
        view: PlanetView, dispatch: any HostDispatch, names: MachineNames, remains: (any OwnedRemains)? = nil
    ) {
        self.view = view
        self.dispatch = dispatch
        self.names = names
        self.remains = remains
    }

    public var callers: Principal.Kind { .user }

    static let machines = "/v1/apps/:app/machines"
    static let machine = machines + "/:machine"

    public var routes: [APIRoute] {
        let agent = view.agent
        return [
            APIRoute(.get, Self.machines, query: MachineFilter.query) { try await list($0) },
            APIRoute(.post, Self.machines) { try await create($0) },
            APIRoute(.get, Self.machine) { try await show($0) },
            APIRoute(.delete, Self.machine, query: ["force", "kill", "last_copy"]) { try await destroy($0) },
            APIRoute(.post, Self.machine + "/start") { call in
                try await view.onOwnerOfMachine(call) { id in
                    let before = await agent.machine(id)?.record.state
                    _ = try await agent.start(id)
                    return try Answer.json(StartMachineBody(previousState: before))
                }
            },
            APIRoute(.post, Self.machine + "/stop") { try await stop($0) },
            APIRoute(.post, Self.machine + "/restart", query: ["timeout", "signal", "force_stop"]) { call in
                try await view.onOwnerOfMachine(call) { id in
                    let force = try call.query.flag("force_stop")
                    let signal = try call.query.text("signal")
                    _ = try await agent.restart(
                        id, signal: force ? "SIGKILL" : signal,
                        timeout: Self.unlessDefault(try call.query.duration("timeout")))
                    return try Answer.ok()
                }
            },
        ]
    }

    // MARK: - Orders

    private func destroy(_ call: APICall) async throws -> Answer {
        let force = try call.query.flag("force")
        // What Fly.io's client calls it.
        let kill = try call.query.flag("kill")
        // That it runs is one thing, and that it may have what nobody else has another: who says the one has not said the other.
        let evenLastCopy = try call.query.flag("last_copy")
        return try await view.onOwnerOfMachine(call) { id in
            if let record = await view.agent.machine(id)?.record {
                try await view.refuseIfOwned(
                    .machine(id), of: record.app, by: record.owner?.kind, unless: remains, evenLastCopy: evenLastCopy)
            }
            _ = try await view.agent.destroy(id, force: force || kill)
            return try Answer.ok()
        }
    }

    private func stop(_ call: APICall) async throws -> Answer {
        let wish = call.body.isEmpty ? StopMachineRequest() : try call.wish(StopMachineRequest.self)
        return try await view.onOwnerOfMachine(call) { id in
            if let other = wish.id.flatMap(\.ifNotEmpty), other != id.text {
                throw Refusal(.invalid, "field 'id' is '\(other.prefix(80))', the path says \(id)")
            }
            _ = try await view.agent.stop(
                id, signal: wish.signal.flatMap(\.ifNotEmpty), timeout: Self.unlessDefault(wish.timeout?.duration))
            return try Answer.ok()
        }
    }

    /// Fly.io's client sends `0s` for a time that nobody set. Whoever wants no grace asks for SIGKILL.
    private static func unlessDefault(_ timeout: Duration?) -> Duration? { timeout == .zero ? nil : timeout }

    // MARK: - Creating

    private func create(_ call: APICall) async throws(Refusal) -> Answer {
        let app = try await view.openApp(try call.id("app"))
        let wish = try call.wish(CreateMachineRequest.self)
        try HostAgent.validate(wish.config)
        let region = try wish.region.flatMap(\.ifNotEmpty).map { text throws(Refusal) in try view.region(text) }
        var random = SystemRandomNumberGenerator()
        let id = MachineID.random(using: &random)
        let name = wish.name.flatMap(\.ifNotEmpty)
        if let name, (try? AppName(name)) == nil {
            throw Refusal(
                .invalid, InvalidValue(kind: "machine name", value: name, rule: AppNameKind.rule).description)
        }
        let order = MachineOrder(
            id: id, name: name ?? "machine-\(id)", app: app.name, network: app.network, config: wish.config,
            owner: nil, startsAtOnce: wish.skipLaunch != true)
        let (record, chosen) = try await make(order, hasOwnName: name != nil, in: region)
        try await view.confirm(app) { () throws(Refusal) in
            try await dispatch.destroyMachine(id, of: app.name, on: chosen)
            if name != nil { try await names.release(order.name, of: app.name, by: id) }
        }
        await view.settle(on: chosen) { $0.machines.contains { $0.id == id } }
        return try Answer.json(MachineBody(record, events: nil, on: chosen))
    }

    /// A name that somebody gave is reserved before a host is asked, and given up when none makes the machine. When
    /// nobody knows whether one did, the reservation stays: it is found out when somebody wants the name.
    private func make(
        _ order: MachineOrder, hasOwnName: Bool, in region: RegionCode?
    ) async throws(Refusal) -> (MachineRecord, HostName) {
        do throws(Refusal) {
            return try await ask(order, in: region) { host throws(Refusal) in
                guard hasOwnName else { return }
                try await names.reserve(order.name, of: order.app, for: order.id, on: host)
            }
        } catch {
            guard hasOwnName, error.code.changedNothing else { throw error }
            // It took so long that another got the name, and its host promised not to make this one any more. Whoever
            // asked has chosen the name, and never saw the id that was refused.
            if error.code == .failedPrecondition, let holder = try? await names.holder(of: order.name, in: order.app),
                holder != order.id
            {
                throw Refusal(
                    .nameTaken,
                    "app \(order.app) has a machine named \(order.name) already: machine \(holder), ordered while this one took its time"
                )
            }
            try? await names.release(order.name, of: order.app, by: order.id)
            throw error
        }
    }

    private func ask(
        _ order: MachineOrder, in region: RegionCode?, reserve: (HostName) async throws(Refusal) -> Void
    ) async throws(Refusal) -> (MachineRecord, HostName) {
        guard let mount = order.config.mounts.first else {
            let request = PlacementRequest(
                region: region ?? view.agent.configuration.region, guest: order.config.guest, app: order.app)
            return try await view.place(request, prepare: reserve) { host throws(Refusal) in
                (try await dispatch.createMachine(order, on: host), host)
            }
        }
        let owner = try await view.owner(of: mount.volume)
        if let region, let there = view.watcher.planet.hosts[owner]?.region, there != region {
            throw Refusal(.invalid, "volume \(mount.volume) is in region \(there); a machine runs where its volume is")
        }
        if owner != view.host { try await view.reachability.expect(owner) }
        try await reserve(owner)
        return (try await dispatch.createMachine(order, on: owner), owner)
    }

    // MARK: - Listing

    /// Of a host that does not answer, what the list has of it.
    private func show(_ call: APICall) async throws -> Answer {
        do {
            return try await view.onOwnerOfMachine(call) { id in
                guard let row = await view.agent.machine(id) else {
                    throw Refusal(.notFound, "machine \(id) not found")
                }
                return try Answer.json(MachineBody(row, on: view.host))
            }
        } catch let error as Refusal where error.isOfAnotherHost && call.forwardedBy == nil {
            let (app, id): (AppName, MachineID) = (try call.id("app"), try call.id("machine"))
            guard let held = await view.machines(of: app).first(where: { $0.record.id == id }), held.host != view.host
            else { throw error }
            return try Answer.json(MachineBody(held.record, events: nil, on: held.host, isReachable: false))
        }
    }

    private func list(_ call: APICall) async throws(Refusal) -> Answer {
        let app = try await view.app(try call.id("app")).name
        let filter = try MachineFilter(call.query, in: view)
        if filter.isWhole { try await view.requireWhole("the list of \(app)'s machines") }
        let reachable = await view.reachability.hosts()
        var bodies: [MachineBody] = []
        for held in await view.machines(of: app) {
            let machine = held.record
            guard filter.accepts(machine.region, machine.state, machine.config) else { continue }
            let events = held.host == view.host ? await view.agent.machine(machine.id)?.events : nil
            bodies.append(
                MachineBody(machine, events: events, on: held.host, isReachable: reachable.contains(held.host)))
        }
        if filter.includesDeleted {
            bodies += await DestroyedMachines(view: view).of(app)
                .filter { filter.accepts($0.region, $0.state, $0.config) }
        }
        bodies.sort { $0.id < $1.id }
        return filter.isSummary
            ? try Answer.json(bodies.map(MachineSummaryBody.init)) : try Answer.json(bodies)
    }
}
