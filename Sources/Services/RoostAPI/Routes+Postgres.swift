import Hummingbird
import RoostControl
import RoostHost
import RoostModel
import RoostPlanet
import RoostPostgresControl
import RoostWire

extension PlanetAPI {
    func addPostgres(to group: RouterGroup<BasicRequestContext>) {
        let postgres = group.group("postgres")
        postgres.get { _, _ in
            let planet = watcher.planet
            let isCurrent = watcher.isLive
            let bodies = planet.clusters.keys.sorted().compactMap {
                ClusterStatus.body(of: $0, in: planet, isCurrent: isCurrent, silence: hearing.silence(in: $0))
            }
            return try Answer.json(ListClustersBody(clusters: bodies))
        }
        postgres.post { request, _ in
            let wish = try await RequestReader.wish(CreateClusterRequest.self, from: request)
            let spec = try await clusters.create(try order(from: wish))
            return try Answer.json(try await freshBody(of: spec.name), status: .created)
        }
        postgres.get(":name") { _, context in
            try Answer.json(try await freshBody(of: try RequestReader.id("name", context)))
        }
        postgres.delete(":name") { _, context in
            let name: AppName = try RequestReader.id("name", context)
            try await clusters.destroy(name)
            return try Answer.json(OKBody(), status: .accepted)
        }
        postgres.post(":name/switchover") { request, context in
            let name: AppName = try RequestReader.id("name", context)
            let data = try await RequestReader.body(of: request)
            let wish =
                data.isEmpty ? SwitchoverBody(target: nil) : try RequestReader.wish(SwitchoverBody.self, from: data)
            let target = try wish.target.map { text throws(Refusal) in
                try RequestReader.value(MemberName.self, text)
            }
            let id = try await clusters.requestSwitchover(of: name, to: target)
            return try Answer.json(SwitchoverAnswer(id: id), status: .accepted)
        }
    }

    /// A cluster that was made a moment ago may not have reached this host's copy yet: the store knows.
    private func freshBody(of name: AppName) async throws(Refusal) -> ClusterBody {
        if let body = ClusterStatus.body(
            of: name, in: watcher.planet, isCurrent: watcher.isLive, silence: hearing.silence(in: name))
        {
            return body
        }
        let planet = try await clusters.read(name)
        guard let body = ClusterStatus.body(of: name, in: planet) else {
            throw Refusal(.notFound, "Postgres cluster \(name) not found")
        }
        return body
    }

    private func order(from wish: CreateClusterRequest) throws(Refusal) -> ClusterDirectory.Order {
        let name = try RequestReader.value(AppName.self, wish.name)
        var regions: [RegionCode] = []
        for text in [wish.region] + wish.replicaRegions { regions.append(try requireRegion(text)) }
        let guest = wish.guest ?? CreateClusterRequest.guestDefault
        try HostAgent.validate(guest, as: "guest")
        guard guest.memoryMebibytes >= 256 else {
            throw Refusal(.invalid, "guest.memory_mb must be at least 256 for Postgres")
        }
        guard (1...HostAgent.volumeSizeMax.wholeGibibytes).contains(wish.volumeSizeGigabytes ?? 1) else {
            throw Refusal(
                .invalid, "volume_size_gb must be 1 to \(HostAgent.volumeSizeMax.wholeGibibytes)")
        }
        guard let image = wish.image ?? configuration.ownerImages[.postgres] else {
            throw Refusal(.invalid, "field 'image' is missing, and host \(host) has none of its own for Postgres")
        }
        try HostAgent.validate(image: image)
        return ClusterDirectory.Order(
            name: name, regions: regions, volumeSize: .gibibytes(wish.volumeSizeGigabytes ?? 1), guest: guest,
            image: image)
    }
}
