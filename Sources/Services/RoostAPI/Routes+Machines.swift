import Foundation
import Hummingbird
import RoostControl
import RoostHost
import RoostMesh
import RoostModel
import RoostPlacement
import RoostPlanet
import RoostPostgresControl
import RoostRuntime
import RoostWire

extension PlanetAPI {
    /// Linux takes no argument of 128 KiB or more.
    static let commandBytesMax = (128 << 10) - 1

    func addMachines(to group: RouterGroup<BasicRequestContext>) {
        let machines = group.group("apps/:app/machines")
        machines.get { request, context in
            let app = try await requireApp(context)
            return try Answer.json(try await listMachines(of: app.name, request))
        }
        machines.post { request, context in try await createMachine(request, context) }
        machines.get(":machine") { request, context in
            try await onOwner(request, context) { id, _ in
                guard let row = await agent.machine(id) else { throw notFound(id) }
                return try Answer.json(body(of: row.record, row.events))
            }
        }
        machines.delete(":machine") { request, context in
            try await onOwner(request, context) { id, _ in
                let force = try RequestReader.flag("force", in: request)
                let kill = try RequestReader.flag("kill", in: request)
                if let record = await agent.machine(id)?.record {
                    if let owner = record.owner { throw AppDirectory.owned(record.app, by: owner.kind) }
                    try refuseIfOwned(record.app)
                }
                _ = try await agent.destroy(id, force: force || kill)
                return try Answer.json(OKBody())
            }
        }
        addMachineOrders(to: machines)
        addMachineQuestions(to: machines)
    }

    private func addMachineOrders(to machines: RouterGroup<BasicRequestContext>) {
        machines.post(":machine/start") { request, context in
            try await onOwner(request, context) { id, _ in
                _ = try await agent.start(id)
                return try Answer.json(OKBody())
            }
        }
        machines.post(":machine/stop") { request, context in
            try await onOwner(request, context) { id, body in
                let wish =
                    body.isEmpty ? StopMachineRequest() : try RequestReader.wish(StopMachineRequest.self, from: body)
                _ = try await agent.stop(id, signal: wish.signal, timeout: wish.timeout?.duration)
                return try Answer.json(OKBody())
            }
        }
        machines.post(":machine/restart") { request, context in
            try await onOwner(request, context) { id, _ in
                let force = try RequestReader.flag("force_stop", in: request)
                _ = try await agent.restart(
                    id, signal: force ? "SIGKILL" : RequestReader.text("signal", in: request),
                    timeout: try RequestReader.duration("timeout", in: request))
                return try Answer.json(OKBody())
            }
        }
    }

    private func addMachineQuestions(to machines: RouterGroup<BasicRequestContext>) {
        machines.get(":machine/wait") { request, context in
            try await onOwner(request, context, timeout: HostAgent.waitMax + .seconds(5)) { id, _ in
                var states: Set<MachineState> = []
                for name in (RequestReader.text("state", in: request) ?? "started").split(separator: ",") {
                    states.insert(try machineState(String(name)))
                }
                let instance = RequestReader.text("instance_id", in: request)
                let timeout = try RequestReader.duration("timeout", in: request) ?? HostAgent.waitMax
                guard timeout <= HostAgent.waitMax else { throw Refusal(.invalid, "a wait lasts at most 60 s") }
                let record = try await agent.wait(
                    for: id, states: states, instance: instance, timeout: timeout)
                return try Answer.json(WaitBody(ok: true, state: record.state, version: record.instance))
            }
        }
        machines.get(":machine/events") { request, context in
            try await onOwner(request, context) { id, _ in
                guard let row = await agent.machine(id) else { throw notFound(id) }
                let limit = try RequestReader.number(
                    "limit", in: request, default: 20, within: 1...MachineRow.eventsMax)
                return try Answer.json(Array(row.events.prefix(limit)))
            }
        }
        machines.get(":machine/logs") { request, context in
            try await onOwner(request, context) { id, _ in
                let bytes = try RequestReader.number(
                    "bytes", in: request, default: 64 << 10, within: 1...(1 << 20))
                let text = try await agent.log(of: id, bytesMax: bytes)
                return Response(
                    status: .ok, headers: [.contentType: "text/plain; charset=utf-8"],
                    body: .init(byteBuffer: ByteBuffer(string: text)))
            }
        }
        machines.post(":machine/exec") { request, context in
            try await onOwner(request, context, timeout: .seconds(130)) { id, body in try await execute(id, body) }
        }
    }

    private func execute(_ id: MachineID, _ body: Data) async throws(Refusal) -> Response {
        let wish = try RequestReader.wish(ExecBody.self, from: body)
        guard let command = wish.command ?? wish.cmd.map({ ["/bin/sh", "-c", $0] }), !command.isEmpty else {
            throw Refusal(.invalid, "field 'command' (a list) or 'cmd' (a shell line) is missing")
        }
        let size = command.reduce(0) { $0 + $1.utf8.count + 1 }
        guard size <= Self.commandBytesMax, !command.contains(where: { $0.utf8.contains(0) }) else {
            throw Refusal(
                .invalid, "a command has at most \(Self.commandBytesMax) bytes and no NUL; hand more over as 'stdin'")
        }
        let timeout = wish.timeout ?? 30
        guard (1...120).contains(timeout) else { throw Refusal(.invalid, "timeout must be 1 to 120 seconds") }
        let result = try await agent.execute(
            id, ExecRequest(command: command, input: wish.stdin ?? "", timeout: .seconds(timeout)))
        let answer = ExecResponse(
            exitCode: Int(result.exitCode), exitSignal: Int(result.signal ?? 0), stdout: result.standardOutput,
            stderr: result.standardError, stdoutTruncated: result.isOutputTruncated,
            stderrTruncated: result.isErrorTruncated)
        do { return try Answer.json(answer) } catch { throw Refusal(.failed, "\(error)") }
    }

    // MARK: - Creating

    private func createMachine(_ request: Request, _ context: BasicRequestContext) async throws -> Response {
        let app = try await requireApp(context)
        let wish = try await RequestReader.wish(CreateMachineRequest.self, from: request)
        try refuseIfOwned(app.name)
        try HostAgent.validate(wish.config)
        let region = try wish.region.map { text throws(Refusal) in try requireRegion(text) }
        var random = SystemRandomNumberGenerator()
        let id = MachineID.random(using: &random)
        let order = MachineOrder(
            id: id, name: try machineName(wish.name, id: id), app: app.name, network: app.network,
            config: wish.config, owner: nil, startsAtOnce: wish.skipLaunch != true)
        let record: MachineRecord
        let chosen: HostName
        if let mount = wish.config.mounts.first {
            guard let owner = await owner(of: mount.volume) else {
                throw Refusal(.notFound, "volume \(mount.volume) not found")
            }
            if let region, let there = watcher.planet.hosts[owner]?.region, there != region {
                throw Refusal(
                    .invalid, "volume \(mount.volume) is in region \(there); a machine runs where its volume is")
            }
            record = try await dispatch.createMachine(order, on: owner)
            chosen = owner
        } else {
            let request = PlacementRequest(
                region: region ?? configuration.region, guest: wish.config.guest, app: app.name)
            (record, chosen) = try await place(request) { host throws(Refusal) in
                (try await dispatch.createMachine(order, on: host), host)
            }
        }
        await settle(on: chosen) { $0.machines.contains { $0.id == id } }
        return try Answer.json(body(of: record, [], host: chosen))
    }

    private func machineName(_ wish: String?, id: MachineID) throws(Refusal) -> String {
        guard let wish else { return "machine-\(id)" }
        return try RequestReader.value(AppName.self, wish).text
    }

    /// Asks the candidates in order until one takes it; the error of the last resort names every host's reason.
    func place<Made>(
        _ request: PlacementRequest, _ ask: (HostName) async throws(Refusal) -> Made
    ) async throws(Refusal) -> Made {
        let reachable = await mesh.reachableHosts(from: host)
        var decision = Placement.decide(
            request,
            over: await hostRecords().map { PlacementHost(record: $0, isReachable: reachable.contains($0.host)) })
        for candidate in decision.candidates {
            do throws(Refusal) {
                return try await ask(candidate)
            } catch {
                guard error.code == .insufficientCapacity || error.code == .unavailable else { throw error }
                decision.refusals.append(.init(host: candidate, reason: .refusedByHost(error.message)))
            }
        }
        throw Refusal(.insufficientCapacity, decision.explanation(for: request))
    }

    // MARK: - Reading

    private func listMachines(of app: AppName, _ request: Request) async throws(Refusal) -> [MachineBody] {
        let region = try RequestReader.text("region", in: request).map { text throws(Refusal) in
            try requireRegion(text)
        }
        let states = try RequestReader.text("state", in: request).map { text throws(Refusal) in
            var states: Set<MachineState> = []
            for name in text.split(separator: ",") { states.insert(try machineState(String(name))) }
            return states
        }
        let reachable = await mesh.reachableHosts(from: host)
        var bodies: [MachineBody] = []
        for record in await hostRecords() {
            for machine in record.machines where machine.app == app {
                let events = record.host == host ? await agent.machine(machine.id)?.events ?? [] : []
                bodies.append(
                    body(of: machine, events, host: record.host, isReachable: reachable.contains(record.host)))
            }
        }
        if let region { bodies.removeAll { $0.region != region } }
        if let states { bodies.removeAll { !states.contains($0.state) } }
        return bodies.sorted { $0.id < $1.id }
    }

    private func machineState(_ text: String) throws(Refusal) -> MachineState {
        guard let state = MachineState(known: text) else {
            throw Refusal(
                .invalid,
                "'\(text)' is not a machine state; use one of \(MachineState.known.map(\.rawValue).joined(separator: ", "))"
            )
        }
        return state
    }

    func body(
        of record: MachineRecord, _ events: [MachineEvent], host owner: HostName? = nil, isReachable: Bool = true
    ) -> MachineBody {
        let owner = owner ?? watcher.planet.hosts.values.first { $0.machines.contains { $0.id == record.id } }?.host
        return MachineBody(
            id: record.id, name: record.name, state: record.state, region: record.region,
            instanceID: record.instance, privateIP: record.address, config: record.config,
            imageRef: ImageRefBody(reference: record.config.image), events: Array(events.prefix(20)),
            createdAt: Self.timeText(record.createdAt), updatedAt: Self.timeText(record.updatedAt),
            hostStatus: isReachable ? "ok" : "unreachable", host: owner ?? host)
    }

    private func notFound(_ id: MachineID) -> Refusal { Refusal(.notFound, "machine \(id) not found") }

    /// Answers here if this host has the machine (and it belongs to the app of the path), else passes the request on.
    private func onOwner(
        _ request: Request, _ context: BasicRequestContext, timeout: Duration = PeerClient.timeoutDefault,
        _ answer: (MachineID, Data) async throws -> Response
    ) async throws -> Response {
        let app: AppName = try RequestReader.id("app", context)
        let id: MachineID = try RequestReader.id("machine", context)
        guard let owner = await owner(of: id) else { throw notFound(id) }
        let body = try await RequestReader.body(of: request)
        guard owner == host else {
            return try await forward(request, body: body.isEmpty ? nil : body, to: owner, timeout: timeout)
        }
        guard await agent.machine(id)?.record.app == app else { throw notFound(id) }
        return try await answer(id, body)
    }
}

extension ImageRefBody {
    /// The parts of an image's name, as far as it has them.
    init(reference: String) {
        let digestParts = reference.split(separator: "@", maxSplits: 1).map(String.init)
        let path = digestParts.first ?? reference
        let digest = digestParts.count == 2 ? digestParts[1] : ""
        let slash = path.lastIndex(of: "/") ?? path.startIndex
        let colon = path[slash...].lastIndex(of: ":")
        let name = colon.map { String(path[..<$0]) } ?? path
        let tag = colon.map { String(path[path.index(after: $0)...]) } ?? ""
        let parts = name.split(separator: "/", maxSplits: 1).map(String.init)
        let hasRegistry = parts.count == 2 && parts[0].contains(where: { $0 == "." || $0 == ":" })
        self.init(
            registry: hasRegistry ? parts[0] : "", repository: hasRegistry ? parts[1] : name, tag: tag, digest: digest)
    }
}
