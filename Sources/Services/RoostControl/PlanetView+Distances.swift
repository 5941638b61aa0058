public import RoostModel
import RoostPlanet
import RoostWire

extension PlanetView {
    /// How long a host that is asked what it measures may take.
    static let distancesMax = Duration.seconds(2)
    /// Hosts of one region that are asked, one after the other.
    static let distancesAskedMax = 3

    /// Round trips from a region to the others, as one of its hosts measures them. Without those that nobody answers from, and
    /// empty where no host of the region answers.
    public func distances(from home: RegionCode) async -> [RegionCode: Duration] {
        let regions = watcher.planet.hosts.mapValues(\.region)
        guard let row = await row(of: home, regions) else { return [:] }
        var distances: [RegionCode: Duration] = [:]
        for path in row.paths {
            guard let region = regions[path.peer], let microseconds = path.roundTripMicroseconds else { continue }
            let distance = Duration.microseconds(microseconds)
            distances[region] = min(distance, distances[region] ?? distance)
        }
        return distances
    }

    private func row(of home: RegionCode, _ regions: [HostName: RegionCode]) async -> MeshMatrixBody.Row? {
        if regions[host] == home { return await reachability.row() }
        let reachable = await reachability.hosts()
        let asked = regions.filter { $0.value == home && reachable.contains($0.key) }.keys.sorted()
        for other in asked.prefix(Self.distancesAskedMax) {
            let row = try? await peers.value(
                MeshMatrixBody.Row.self, "GET", "/v1/internal/mesh", from: other, timeout: Self.distancesMax)
            if let row { return row }
        }
        return nil
    }
}
