public import RoostMesh
public import RoostModel
public import RoostTelemetry
public import RoostWire

/// What this host sees of the paths to the others.
public struct Reachability: Sendable {
    private let mesh: any Mesh
    private let host: HostName
    private let region: RegionCode

    public init(mesh: any Mesh, host: HostName, region: RegionCode) {
        self.mesh = mesh
        self.host = host
        self.region = region
    }

    /// Hosts that answered a probe of late, and this one.
    public func hosts() async -> Set<HostName> { await mesh.reachableHosts(from: host) }

    /// So many probes must have gone unanswered before a host is taken for away: this one may have just begun to send them.
    static let probesToTellMin: UInt64 = 10

    /// It is known that the host answers none of this one's probes: nobody has to wait for a connection to see it.
    public func isAway(_ peer: HostName) async -> Bool {
        guard let path = await mesh.measurements().first(where: { $0.peer == peer }) else { return false }
        return !path.isAnswering && path.probesSent >= Self.probesToTellMin
    }

    /// - Throws: where the host is known to be away. Whoever has asked may have other hosts to ask, one after the other, each of
    ///   which would wait as long for it.
    public func expect(_ peer: HostName) async throws(Refusal) {
        guard await isAway(peer) else { return }
        throw Refusal(
            .unavailable,
            "host \(peer) cannot be reached (it answers no probe of host \(host)); try again when it is back")
    }

    /// The paths to the others as numbers.
    public func samples() async -> [MetricSample] {
        let up = await hosts()
        return await mesh.measurements().flatMap { path in
            var samples = [
                MetricSample(.meshPeerUp, up.contains(path.peer) ? 1 : 0, path.peer.text),
                MetricSample(.meshPeerLoss, path.lossPercent / 100, path.peer.text),
            ]
            if let microseconds = path.roundTripMicroseconds {
                samples.append(MetricSample(.meshPeerRoundTrip, Double(microseconds) / 1_000_000, path.peer.text))
            }
            return samples
        }
    }

    /// This host's row of the planet's matrix.
    public func row() async -> MeshMatrixBody.Row {
        let paths = await mesh.measurements().map {
            MeshMatrixBody.Path(
                peer: $0.peer, roundTripMicroseconds: $0.roundTripMicroseconds,
                jitterMicroseconds: $0.jitterMicroseconds, lossPercent: $0.lossPercent,
                fullSizeLossPercent: $0.fullSizeLossPercent)
        }
        return MeshMatrixBody.Row(host: host, region: region, paths: paths.sorted { $0.peer < $1.peer })
    }
}
