public import RoostAPI
public import RoostControl
import RoostModel
import RoostPlanet
import RoostWire

/// What goes on after the call that began it.
public struct OperationRoutes: RouteGroup {
    let view: PlanetView
    let operations: OperationDirectory

    public init(view: PlanetView, operations: OperationDirectory) {
        self.view = view
        self.operations = operations
    }

    public var callers: Principal.Kind { .user }

    static let listDefault = 100
    static let listMax = 1000
    static let waitMax = Duration.seconds(60)

    public var routes: [APIRoute] {
        [
            APIRoute(.get, "/v1/operations", query: ["object", "state", "limit"]) { try list($0) },
            APIRoute(.get, "/v1/operations/:operation") { call in
                try Answer.json(body(of: try await find(try call.id("operation"))))
            },
            APIRoute(
                .get, "/v1/operations/:operation/wait", query: ["timeout"],
                concurrency: MachineQuestionRoutes.waits, endsWithCaller: true
            ) { try await wait($0) },
        ]
    }

    /// The newest first.
    private func list(_ call: APICall) throws -> Answer {
        let object = try call.query.text("object").map { text throws(Refusal) in try APICall.value(AppName.self, text) }
        let state = try call.query.text("state").map { text throws(Refusal) -> OperationRecord.State in
            guard let state = OperationRecord.State(known: text) else {
                let known = OperationRecord.State.known.map(\.rawValue).joined(separator: ", ")
                throw Refusal(.invalid, "there is no state '\(text.prefix(80))'; there are: \(known)")
            }
            return state
        }
        let limit = try call.query.number("limit", default: Self.listDefault, within: 1...Self.listMax)
        let found = view.watcher.read { planet in
            planet.operations.values
                .filter { (object == nil || $0.object == object) && (state == nil || $0.state == state) }
                .sorted { $0.id > $1.id }.prefix(limit).map(body)
        }
        return try Answer.json(ListOperationsBody(operations: found))
    }

    /// One that has begun a moment ago may not have reached this host's copy yet: the store knows.
    private func find(_ id: PlanetOperationID) async throws(Refusal) -> OperationRecord {
        if let record = view.watcher.read({ $0.operations[id] }) { return record }
        guard let record = try await operations.find(id) else {
            throw Refusal(.notFound, "operation \(id) not found")
        }
        return record
    }

    private func wait(_ call: APICall) async throws -> Answer {
        let id: PlanetOperationID = try call.id("operation")
        let timeout = try call.query.duration("timeout") ?? Self.waitMax
        guard timeout <= Self.waitMax else { throw Refusal(.invalid, "a wait lasts at most 60 s") }
        let changes = view.watcher.changes.subscribe { $0 == .operation(id) || $0 == .all }
        let ended: OperationRecord? = try await withThrowingTaskGroup(of: OperationRecord?.self) { group in
            group.addTask {
                var present = try await find(id)
                var iterator = changes.makeAsyncIterator()
                while present.state == .running, await iterator.next() != nil { present = try await find(id) }
                return present.state == .running ? nil : present
            }
            group.addTask {
                try await Task.sleep(for: timeout)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
        guard let ended else { throw Refusal(.deadlineExceeded, "operation \(id) is still running") }
        return try Answer.json(body(of: ended))
    }

    private func body(of record: OperationRecord) -> OperationBody {
        OperationBody(
            id: record.id, kind: record.kind, object: record.object, state: record.state,
            startedAt: TimeText.of(record.startedAt), endedAt: record.endedAt.map(TimeText.of),
            steps: record.steps.map { .init(name: $0.name, at: TimeText.of($0.at)) }, obstacle: record.obstacle,
            result: record.result, requestID: record.requestID)
    }
}
