public import RoostModel

extension Mesh {
    /// Hosts that answered a probe of late, and this one.
    public func reachableHosts(from host: HostName) async -> Set<HostName> {
        Set(await measurements().filter(\.isAnswering).map(\.peer)).union([host])
    }
}
