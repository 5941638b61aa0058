public import RoostAPI
public import RoostControl
import RoostModel
import RoostWire

/// Readers of clusters, for users.
public struct ReaderRoutes: RouteGroup {
    let view: PlanetView
    let clusters: ClusterDirectory

    public init(view: PlanetView, clusters: ClusterDirectory) {
        self.view = view
        self.clusters = clusters
    }

    public var callers: Principal.Kind { .user }

    public var routes: [APIRoute] {
        [
            APIRoute(.put, "/v1/postgres/:name/readers") { call in
                let body = try call.wish(ScaleBody.self)
                guard !body.regions.isEmpty else { throw Refusal(.invalid, "field 'regions' names no region") }
                let counts = try Self.counts(body.regions, in: view)
                if counts.values.contains(where: { $0 > 0 }) { try Self.check(await view.hosts()) }
                return try await change(call, .scale(counts))
            },
            APIRoute(.delete, "/v1/postgres/:name/readers/:reader") { call in
                try await change(call, .remove(try call.id("reader")))
            },
            APIRoute(.post, "/v1/postgres/:name/readers/:reader/replace") { call in
                let wish = call.body.isEmpty ? AddMemberBody() : try call.wish(AddMemberBody.self)
                let (region, host) = try await MembersRoutes.place(wish, in: view)
                try Self.check(await view.hosts())
                return try await change(call, .replace(try call.id("reader"), region, host))
            },
        ]
    }

    private func change(_ call: APICall, _ wish: ReaderWish) async throws(Refusal) -> Answer {
        try Answer.json(ReadersAnswer(readers: try await clusters.changeReaders(of: try call.id("name"), wish)))
    }

    /// How many in which region.
    static func counts(_ regions: [String: Int], in view: PlanetView) throws(Refusal) -> [RegionCode: Int] {
        var counts: [RegionCode: Int] = [:]
        for (text, count) in regions {
            guard (0...ClusterSpec.readersMax).contains(count) else {
                throw Refusal(.invalid, "a region has 0 to \(ClusterSpec.readersMax) readers of a cluster")
            }
            // One that has no hosts any more may have readers yet.
            let region = count == 0 ? try APICall.value(RegionCode.self, text) : try view.region(text)
            counts[region] = count
        }
        return counts
    }

    /// A host of before would not let clients in to them, and with the duty take them apart.
    static func check(_ hosts: [HostRecord]) throws(Refusal) {
        let old = hosts.filter { !$0.capabilities.contains(.readers) }.map(\.host.text)
        guard !old.isEmpty else { return }
        throw Refusal(
            .failedPrecondition, "hosts whose program knows no readers: upgrade \(old.joined(separator: ", ")) first")
    }
}
