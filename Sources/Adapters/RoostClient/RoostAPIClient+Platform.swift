public import RoostModel
public import RoostWire

extension RoostAPIClient {
    public func regions() async throws(APIError) -> RegionsBody { try await send(.get, "/v1/platform/regions") }

    public func hosts() async throws(APIError) -> [ListHostsBody.Host] { try await hostList().hosts }

    /// With whose view it is.
    public func hostList() async throws(APIError) -> ListHostsBody { try await send(.get, "/v1/platform/hosts") }

    public func ips() async throws(APIError) -> [ListIPsBody.IP] {
        try await send(.get, "/v1/platform/ips", as: ListIPsBody.self).ips
    }

    public func mesh() async throws(APIError) -> MeshMatrixBody { try await send(.get, "/v1/platform/mesh") }

    /// Starts or stops announcing the anycast prefixes at one host.
    ///
    /// - Parameter force: stop it also if no client reaches the planet then.
    public func setEdge(of host: HostName, to state: EdgeRequest.State, force: Bool = false) async throws(APIError) {
        let request = EdgeRequest(state: state, force: force ? true : nil)
        try await sendForData(.post, "/v1/platform/hosts/\(host)/edge", body: request)
    }
}
