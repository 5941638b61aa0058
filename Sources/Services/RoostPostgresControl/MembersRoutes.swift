public import RoostAPI
import RoostControl
import RoostModel
import RoostWire

/// Members of clusters that come and go, for users.
public struct MembersRoutes: RouteGroup {
    let view: PlanetView
    let clusters: ClusterDirectory

    public init(view: PlanetView, clusters: ClusterDirectory) {
        self.view = view
        self.clusters = clusters
    }

    public var callers: Principal.Kind { .user }

    public var routes: [APIRoute] {
        [
            APIRoute(.post, "/v1/postgres/:name/members") { call in
                let (region, host) = try await Self.place(try wish(call), in: view)
                guard let region else {
                    throw Refusal(.invalid, "say where: field 'region' or field 'host' is missing")
                }
                return try await ask(call, .add(region, host))
            },
            APIRoute(.delete, "/v1/postgres/:name/members/:member") { call in
                try await ask(call, .remove(try call.id("member")))
            },
            APIRoute(.post, "/v1/postgres/:name/members/:member/replace") { call in
                let (region, host) = try await Self.place(try wish(call), in: view)
                return try await ask(call, .replace(try call.id("member"), region, host))
            },
            APIRoute(.put, "/v1/postgres/:name/scale") { call in
                let body = try call.wish(ScaleBody.self)
                guard !body.regions.isEmpty else { throw Refusal(.invalid, "field 'regions' names no region") }
                var counts: [RegionCode: Int] = [:]
                for (text, count) in body.regions {
                    guard (0...PostgresNames.membersMax).contains(count) else {
                        throw Refusal(.invalid, "a region has 0 to \(PostgresNames.membersMax) members of a cluster")
                    }
                    // One that has no hosts any more may have members yet.
                    let region = count == 0 ? try APICall.value(RegionCode.self, text) : try view.region(text)
                    counts[region] = count
                }
                return try await ask(call, .scale(counts))
            },
            APIRoute(.delete, "/v1/postgres/:name/scale") { call in
                let wasUnderWay = try await clusters.cancelChange(of: try call.id("name"))
                return try Answer.json(TakenBackBody(wasUnderWay: wasUnderWay))
            },
        ]
    }

    private func wish(_ call: APICall) throws(Refusal) -> AddMemberBody {
        call.body.isEmpty ? AddMemberBody() : try call.wish(AddMemberBody.self)
    }

    static func place(_ wish: AddMemberBody, in view: PlanetView) async throws(Refusal) -> (RegionCode?, HostName?) {
        let region = try wish.region.map { text throws(Refusal) in try view.region(text) }
        guard let text = wish.host else { return (region, nil) }
        let name = try APICall.value(HostName.self, text)
        guard let host = await view.hosts().first(where: { $0.host == name }) else {
            throw Refusal(.notFound, "host \(name) not found")
        }
        guard region == nil || region == host.region else {
            throw Refusal(.invalid, "host \(name) is in region \(host.region), not in \(wish.region ?? "")")
        }
        return (host.region, name)
    }

    private func ask(_ call: APICall, _ wish: MemberWish) async throws(Refusal) -> Answer {
        let id = try await clusters.requestMembers(of: try call.id("name"), wish)
        let answer = try Answer.json(ChangeAnswer(id: id?.text), status: id == nil ? 200 : 202)
        return id.map(answer.naming) ?? answer
    }
}
