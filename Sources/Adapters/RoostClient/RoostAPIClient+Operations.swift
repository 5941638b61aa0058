public import RoostModel
public import RoostWire

extension RoostAPIClient {
    /// The newest first.
    public func operations(on object: AppName? = nil, state: OperationRecord.State? = nil) async throws(APIError)
        -> [OperationBody]
    {
        var query: [(name: String, value: String)] = []
        if let object { query.append(("object", object.text)) }
        if let state { query.append(("state", state.rawValue)) }
        return try await send(.get, "/v1/operations", query: query, as: ListOperationsBody.self).operations
    }

    public func operation(_ id: PlanetOperationID) async throws(APIError) -> OperationBody {
        try await send(.get, "/v1/operations/\(id)")
    }

    /// The operation when it has ended; nil when it has not after this time, at most 60 s.
    public func wait(for operation: PlanetOperationID, timeout: Duration) async throws(APIError) -> OperationBody? {
        do throws(APIError) {
            return try await send(
                .get, "/v1/operations/\(operation)/wait", query: [("timeout", "\(DurationText(timeout))")],
                timeout: timeout + APIRequest.timeoutDefault)
        } catch {
            guard error.status == 408 else { throw error }
            return nil
        }
    }
}
