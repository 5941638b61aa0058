import FoundationEssentials
public import RoostModel
public import RoostWire

extension RoostAPIClient {
    private func path(_ app: AppName, _ machine: MachineID? = nil, _ verb: String = "") -> String {
        "/v1/apps/\(app)/machines" + (machine.map { "/\($0)" } ?? "") + verb
    }

    public func machines(of app: AppName) async throws(APIError) -> [MachineBody] {
        try await send(.get, path(app))
    }

    /// As ``machines(of:)``, and refused where the asked host may not have heard of all.
    public func allMachines(of app: AppName) async throws(APIError) -> [MachineBody] {
        try await send(.get, path(app) + "?whole=true")
    }

    public func machine(_ machine: MachineID, of app: AppName) async throws(APIError) -> MachineBody {
        try await send(.get, path(app, machine))
    }

    /// Returns when the host has taken the machine on; ``waitForMachine(_:of:state:timeout:)`` tells when
    /// it runs.
    public func createMachine(
        _ request: CreateMachineRequest, in app: AppName
    ) async throws(APIError) -> MachineBody {
        try await send(.post, path(app), body: request, timeout: Self.lastingTimeout)
    }

    /// - Parameters:
    ///   - force: also if it runs.
    ///   - evenLastCopy: also where it may have all that is left of what a cluster has confirmed.
    public func destroyMachine(
        _ machine: MachineID, of app: AppName, force: Bool = false, evenLastCopy: Bool = false
    ) async throws(APIError) {
        var query: [(name: String, value: String)] = []
        if force { query.append(("force", "true")) }
        if evenLastCopy { query.append(("last_copy", "true")) }
        try await sendForData(.delete, path(app, machine), query: query, timeout: Self.lastingTimeout)
    }

    public func startMachine(_ machine: MachineID, of app: AppName) async throws(APIError) {
        try await sendForData(.post, path(app, machine, "/start"), timeout: Self.lastingTimeout)
    }

    public func stopMachine(
        _ machine: MachineID, of app: AppName, with request: StopMachineRequest = .init()
    ) async throws(APIError) {
        try await sendForData(.post, path(app, machine, "/stop"), body: request, timeout: Self.lastingTimeout)
    }

    public func restartMachine(
        _ machine: MachineID, of app: AppName, signal: String? = nil, timeout: DurationText? = nil
    ) async throws(APIError) {
        var query: [(name: String, value: String)] = []
        if let signal { query.append(("signal", signal)) }
        if let timeout { query.append(("timeout", timeout.description)) }
        try await sendForData(.post, path(app, machine, "/restart"), query: query, timeout: Self.lastingTimeout)
    }

    /// As ``waitForMachine(_:of:states:instance:timeout:)``, for one state.
    public func waitForMachine(
        _ machine: MachineID, of app: AppName, state: MachineState, timeout: Duration = .seconds(60)
    ) async throws(APIError) -> WaitBody {
        try await waitForMachine(machine, of: app, states: [state], timeout: timeout)
    }

    /// Waits on the host until the machine is in one of `states`, and says in which. A machine that is not there in time is refused with 408.
    ///
    /// - Parameter timeout: whole seconds, 1 to 60; the API's limit.
    public func waitForMachine(
        _ machine: MachineID, of app: AppName, states: [MachineState], instance: String? = nil,
        timeout: Duration = .seconds(60)
    ) async throws(APIError) -> WaitBody {
        let seconds = max(1, timeout.components.seconds)
        var query = [
            (name: "state", value: states.map(\.rawValue).joined(separator: ",")),
            (name: "timeout", value: "\(seconds)"),
        ]
        if let instance { query.append(("instance_id", instance)) }
        return try await send(.get, path(app, machine, "/wait"), query: query, timeout: .seconds(seconds + 10))
    }

    /// Newest first.
    public func events(
        of machine: MachineID, in app: AppName, limit: Int? = nil
    ) async throws(APIError) -> [MachineEvent] {
        try await send(
            .get, path(app, machine, "/events"), query: limit.map { [("limit", "\($0)")] } ?? [])
    }

    public func exec(
        _ request: ExecBody, on machine: MachineID, of app: AppName
    ) async throws(APIError) -> ExecResponse {
        let seconds = request.timeout ?? 60
        return try await send(
            .post, path(app, machine, "/exec"), body: request, timeout: .seconds(seconds + 10))
    }

    /// The end of what the machine wrote, at most `bytes` long; text as the machine wrote it.
    public func logs(of machine: MachineID, in app: AppName, bytes: Int? = nil) async throws(APIError) -> String {
        let data = try await sendForData(
            .get, path(app, machine, "/logs"), query: bytes.map { [("bytes", "\($0)")] } ?? [])
        return String(decoding: data, as: UTF8.self)
    }
}
