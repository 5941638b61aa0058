public import RoostAPI
public import RoostControl
import RoostHost
import RoostModel
import RoostWire

/// What is asked of a machine, and what is run in it.
public struct MachineQuestionRoutes: RouteGroup {
    let view: PlanetView

    public init(view: PlanetView) { self.view = view }

    public var callers: Principal.Kind { .user }

    /// Linux takes no argument of 128 KiB or more.
    static let commandBytesMax = (128 << 10) - 1
    static let commandTimeDefault = 30
    static let commandTimeMax = 120
    static let waits = ConcurrencyLimit("waits", perCaller: 1024, perMachine: 512)
    static let commands = ConcurrencyLimit("commands", perCaller: 128, perMachine: 32)
    /// Each holds up to 16 MiB while it looks for the end of a log.
    static let logs = ConcurrencyLimit("reads of logs", perCaller: 32, perMachine: 8)
    /// What an answer that was waited for may take on its way over another host.
    static let passageMax = Duration.seconds(5)

    public var routes: [APIRoute] {
        let agent = view.agent
        let machine = MachineRoutes.machine
        return [
            APIRoute(
                .get, machine + "/wait", query: ["state", "timeout", "version", "instance_id"],
                concurrency: Self.waits, endsWithCaller: true
            ) { try await wait($0) },
            APIRoute(.get, machine + "/events", query: ["limit"]) { call in
                try await view.onOwnerOfMachine(call) { id in
                    let limit = try call.query.number("limit", default: 20, within: 1...MachineRow.eventsMax)
                    guard let row = await agent.machine(id) else { throw Refusal(.notFound, "machine \(id) not found") }
                    return try Answer.json(Array(row.events.prefix(limit)))
                }
            },
            APIRoute(.get, machine + "/logs", query: ["bytes"], concurrency: Self.logs) { call in
                try await view.onOwnerOfMachine(call) { id in
                    let bytes = try call.query.number("bytes", default: 64 << 10, within: 1...(1 << 20))
                    return Answer.text(try await agent.log(of: id, bytesMax: bytes))
                }
            },
            APIRoute(.post, machine + "/exec", concurrency: Self.commands, endsWithCaller: true) {
                try await execute($0)
            },
        ]
    }

    // MARK: - Waiting

    private func wait(_ call: APICall) async throws -> Answer {
        let wish = try WaitWish(call.query)
        return try await view.onOwnerOfMachine(call, timeout: wish.timeout + Self.passageMax) { id in
            let record = try await view.agent.wait(
                for: id, states: wish.states, instance: wish.instance, timeout: wish.timeout)
            return try Answer.json(WaitBody(ok: true, state: record.state, version: record.instance))
        }
    }

    // MARK: - Running commands

    private func execute(_ call: APICall) async throws -> Answer {
        let wish = try call.wish(ExecBody.self)
        let command = try Self.command(of: wish)
        let size = command.reduce(0) { $0 + $1.utf8.count + 1 }
        guard size <= Self.commandBytesMax, !command.contains(where: { $0.utf8.contains(0) }) else {
            throw Refusal(
                .invalid, "a command has at most \(Self.commandBytesMax) bytes and no NUL; hand more over as 'stdin'")
        }
        // Zero is what a client sends whose user did not set it.
        let seconds = wish.timeout.flatMap { $0 == 0 ? nil : $0 } ?? Self.commandTimeDefault
        guard (1...Self.commandTimeMax).contains(seconds) else {
            throw Refusal(.invalid, "timeout must be 1 to \(Self.commandTimeMax) seconds")
        }
        let time = Duration.seconds(seconds)
        return try await view.onOwnerOfMachine(call, timeout: time + Self.passageMax * 2) { id in
            let result = try await view.agent.runCommand(command, input: wish.stdin ?? "", timeout: time, in: id)
            return try Answer.json(ExecResponse(result))
        }
    }

    /// An empty one counts as not sent, as everywhere. Of two that ask for something nobody knows which one is meant.
    private static func command(of wish: ExecBody) throws(Refusal) -> [String] {
        let words = wish.command ?? []
        let line = wish.cmd.flatMap(\.ifNotEmpty)
        switch (words.isEmpty, line) {
        case (false, nil): return words
        case (true, let line?): return ["/bin/sh", "-c", line]
        case (true, nil): throw Refusal(.invalid, "field 'command' (a list) or 'cmd' (a shell line) is missing")
        case (false, .some):
            throw Refusal(.invalid, "field 'command' and field 'cmd' exclude each other: send one of them")
        }
    }
}

/// What a wait is for.
struct WaitWish {
    var states: Set<MachineState>
    var timeout: Duration
    /// The wait is for this run of the machine and no other. Fly.io calls it by two names.
    var instance: String?

    init(_ query: APIQuery) throws(Refusal) {
        let names = query.list("state")
        states = names.isEmpty ? [.started] : Set(try MachineState.named(names))
        timeout = try query.duration("timeout") ?? HostAgent.waitMax
        guard timeout <= HostAgent.waitMax else { throw Refusal(.invalid, "a wait lasts at most 60 s") }
        if let version = try query.text("version") {
            instance = version
        } else {
            instance = try query.text("instance_id")
        }
    }
}

extension ExecResponse {
    init(_ answer: CommandAnswer) {
        self.init(
            exitCode: Int(answer.exitCode), exitSignal: Int(answer.signal ?? 0), stdout: answer.standardOutput,
            stderr: answer.standardError, isOutputCut: answer.isOutputTruncated, isErrorCut: answer.isErrorTruncated)
    }
}
