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
