public import RoostModel

extension Mesh {
    /// Hosts that answered a probe of late, and this one.
    public func reachableHosts(from host: HostName) async -> Set<HostName> {
        let answering = await measurements().filter { $0.roundTripMicroseconds != nil && $0.lossPercent < 100 }
        return Set(answering.map(\.peer)).union([host])
    }
}
