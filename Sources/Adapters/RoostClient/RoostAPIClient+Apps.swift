public import RoostModel
public import RoostWire

extension RoostAPIClient {
    public func apps() async throws(APIError) -> [AppBody] {
        try await send(.get, "/v1/apps", as: ListAppsBody.self).apps
    }

    public func app(_ name: AppName) async throws(APIError) -> AppBody {
        try await send(.get, "/v1/apps/\(name)")
    }

    public func createApp(_ request: CreateAppRequest) async throws(APIError) {
        try await sendForData(.post, "/v1/apps", body: request)
    }

    public func destroyApp(_ name: AppName) async throws(APIError) {
        try await sendForData(.delete, "/v1/apps/\(name)", timeout: Self.lastingTimeout)
    }

    /// For calls that end only when a machine or a volume has come up or gone.
    public static let lastingTimeout = Duration.seconds(330)
}
