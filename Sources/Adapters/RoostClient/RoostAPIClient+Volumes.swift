public import RoostModel
public import RoostWire

extension RoostAPIClient {
    public func volumes(of app: AppName) async throws(APIError) -> [VolumeBody] {
        try await send(.get, "/v1/apps/\(app)/volumes")
    }

    public func volume(_ volume: VolumeID, of app: AppName) async throws(APIError) -> VolumeBody {
        try await send(.get, "/v1/apps/\(app)/volumes/\(volume)")
    }

    /// Returns when the volume is on its host's disk: space is written, not promised, so a large one takes a while.
    public func createVolume(_ request: CreateVolumeRequest, in app: AppName) async throws(APIError) -> VolumeBody {
        try await send(.post, "/v1/apps/\(app)/volumes", body: request, timeout: Self.lastingTimeout)
    }

    /// - Parameter force: also where it may be all that is left of what a cluster has confirmed.
    public func destroyVolume(
        _ volume: VolumeID, of app: AppName, force: Bool = false
    ) async throws(APIError) -> VolumeBody {
        try await send(
            .delete, "/v1/apps/\(app)/volumes/\(volume)", query: force ? [("force", "true")] : [],
            timeout: Self.lastingTimeout)
    }
}
