public import RoostAPI
public import RoostControl
import RoostHost
import RoostModel
import RoostPlacement
import RoostPlanet
import RoostWire

/// Postgres clusters, for users.
public struct ClusterRoutes: RouteGroup {
    let view: PlanetView
    let clusters: ClusterDirectory
    let inquiry: ClusterInquiry

    public init(view: PlanetView, clusters: ClusterDirectory, hearing: ClusterHearing) {
        self.view = view
        self.clusters = clusters
        inquiry = ClusterInquiry(view: view, clusters: clusters, hearing: hearing)
    }

    public var callers: Principal.Kind { .user }

    public var routes: [APIRoute] {
        [
            APIRoute(.get, "/v1/postgres") { _ in
                try Answer.json(ListClustersBody(clusters: try await inquiry.bodies()))
            },
            APIRoute(.post, "/v1/postgres") { call in
                let operation = OperationDirectory.makeID()
                let order = try await order(from: try call.wish(CreateClusterRequest.self))
                let spec = try await clusters.create(order, operation: operation)
                var body = try await inquiry.body(after: spec, isNew: true)
                body.sharedHosts = SharedHosts.expected(
                    spec, view.watcher.read { $0.clusters[spec.name] } ?? .init(), among: await hosts())
                return try Answer.json(body, status: 201).naming(operation)
            },
            APIRoute(.get, "/v1/postgres/:name") { call in
                try Answer.json(try await inquiry.body(of: try call.id("name")))
            },
            APIRoute(.delete, "/v1/postgres/:name") { call in
                let (name, operation): (AppName, _) = (try call.id("name"), OperationDirectory.makeID())
                let answer = try Answer.ok(status: 202)
                if try await clusters.destroy(name, operation: operation) { return answer.naming(operation) }
                // It was being destroyed already: by which operation, this host may not have heard yet.
                let others = view.watcher.planet.operations.values.filter {
                    $0.object == name && $0.kind == .destroyCluster && $0.state == .running
                }
                return others.map(\.id).max().map(answer.naming) ?? answer
            },
            APIRoute(.put, "/v1/postgres/:name/allow") { try await allow($0) },
            APIRoute(.put, "/v1/postgres/:name/replace-after") { try await replaceAfter($0) },
            APIRoute(.put, "/v1/postgres/:name/pause") { call in
                let wish = call.body.isEmpty ? PauseBody(seconds: nil) : try call.wish(PauseBody.self)
                let name: AppName = try call.id("name")
                try await clusters.pause(name, for: wish.seconds.map { Duration.seconds($0) } ?? WishTerm.pauseDefault)
                return try Answer.json(try await inquiry.bodyWithPause(of: name))
            },
            APIRoute(.delete, "/v1/postgres/:name/pause") { try await resume($0) },
            APIRoute(.post, "/v1/postgres/:name/restart") { try await restart($0) },
            APIRoute(.delete, "/v1/postgres/:name/restart") { call in
                let name: AppName = try call.id("name")
                let wasUnderWay = try await clusters.cancelRestart(
                    of: name, hearing: await inquiry.termVoices(of: name))
                return try Answer.json(TakenBackBody(wasUnderWay: wasUnderWay))
            },
            APIRoute(.get, "/v1/postgres/:name/recovery") { call in
                let name: AppName = try call.id("name")
                return try Answer.json(
                    try await clusters.recovery(of: name, hearing: try await inquiry.voices(of: name)))
            },
            APIRoute(.post, "/v1/postgres/:name/recovery") { call in
                let (name, wish): (AppName, _) = (try call.id("name"), try call.wish(RecoverBody.self))
                try await clusters.recover(name, as: wish, hearing: try await inquiry.voices(of: name))
                return try Answer.json(try await inquiry.bodyAfterChange(of: name))
            },
            APIRoute(.get, "/v1/postgres/:name/failover", query: ["to"]) { try await failover($0) },
            APIRoute(.post, "/v1/postgres/:name/failover") { try await decideFailover($0) },
            APIRoute(.post, "/v1/postgres/:name/switchover") { call in
                let wish = call.body.isEmpty ? SwitchoverBody(target: nil) : try call.wish(SwitchoverBody.self)
                let target = try wish.target.map { text throws(Refusal) in
                    try APICall.value(MemberName.self, text)
                }
                let id = try await clusters.requestSwitchover(of: try call.id("name"), to: target)
                return try Answer.json(SwitchoverAnswer(id: id.text), status: 202).naming(id)
            },
        ]
    }

    private func failover(_ call: APICall) async throws(Refusal) -> Answer {
        let name: AppName = try call.id("name")
        let target = try call.query.text("to").map { text throws(Refusal) in try APICall.value(MemberName.self, text) }
        return try Answer.json(
            try await clusters.failover(of: name, to: target, hearing: try await inquiry.voices(of: name)))
    }

    private func decideFailover(_ call: APICall) async throws(Refusal) -> Answer {
        let (name, wish): (AppName, _) = (try call.id("name"), try call.wish(FailoverWish.self))
        let id = try await clusters.decideFailover(of: name, as: wish, hearing: try await inquiry.voices(of: name))
        return try Answer.json(FailoverAnswer(id: id.text), status: 202).naming(id)
    }

    /// As placement sees them.
    private func hosts() async -> [PlacementHost] {
        let reachable = await view.reachability.hosts()
        return await view.hosts().map { PlacementHost(record: $0, isReachable: reachable.contains($0.host)) }
    }

    private func resume(_ call: APICall) async throws(Refusal) -> Answer {
        let name: AppName = try call.id("name")
        // Who hears it has forgotten it afterwards.
        let voices = await inquiry.termVoices(of: name)
        let found = ClusterStatus.resumed(try await clusters.resume(name), hearing: voices)
        var body = try await inquiry.bodyWithPause(of: name)
        body.resumed = found
        return try Answer.json(body)
    }

    private func restart(_ call: APICall) async throws(Refusal) -> Answer {
        let wish = call.body.isEmpty ? RestartBody() : try call.wish(RestartBody.self)
        let member = try wish.member.map { text throws(Refusal) in try APICall.value(MemberName.self, text) }
        let limit = wish.seconds.map { Duration.seconds($0) } ?? Self.restartDefault
        let name: AppName = try call.id("name")
        let id = try await clusters.requestRestart(
            of: name, member, handsOver: wish.handsOver ?? true, within: limit,
            hearing: await inquiry.termVoices(of: name))
        return try Answer.json(RestartAnswer(id: id.text), status: 202).naming(id)
    }

    static let restartDefault = Duration.seconds(600)

    private func replaceAfter(_ call: APICall) async throws(Refusal) -> Answer {
        let term = try Self.term(try call.wish(ReplaceAfterBody.self).after)
        let spec = try await clusters.replace(after: term, in: try call.id("name"))
        var body = try await inquiry.body(after: spec, isNew: false)
        // This host's copy may be of a moment ago.
        body.replaceAfter = term
        return try Answer.json(body)
    }

    private static func term(_ text: String) throws(Refusal) -> ReplacementTerm {
        do throws(InvalidValue) { return try ReplacementTerm(text) } catch { throw Refusal(.invalid, "\(error)") }
    }

    private func allow(_ call: APICall) async throws(Refusal) -> Answer {
        let list = try ClientList(try call.wish(AllowBody.self).allow)
        let name: AppName = try call.id("name")
        if let obstacle = list.obstacle(among: await view.hosts()) { throw obstacle }
        let spec = try await clusters.allow(list, to: name)
        var body = try await inquiry.body(after: spec, isNew: false)
        // This host's copy may be of a moment ago.
        body.allow = list.shown
        return try Answer.json(body)
    }

    private func order(from wish: CreateClusterRequest) async throws(Refusal) -> ClusterDirectory.Order {
        let name: AppName
        do { name = try PostgresNames.cluster(wish.name) } catch { throw Refusal(.invalid, error.description) }
        var regions = try regions(of: wish)
        let guest = wish.guest ?? CreateClusterRequest.guestDefault
        try HostAgent.validate(guest, as: "guest")
        guard guest.memoryMebibytes >= 256 else {
            throw Refusal(.invalid, "guest.memory_mb must be at least 256 for Postgres")
        }
        guard (1...HostAgent.volumeSizeMax.wholeGibibytes).contains(wish.volumeSizeGigabytes ?? 1) else {
            throw Refusal(
                .invalid, "volume_size_gb must be 1 to \(HostAgent.volumeSizeMax.wholeGibibytes)")
        }
        let configuration = view.agent.configuration
        guard let image = wish.image.flatMap({ $0.isEmpty ? nil : $0 }) ?? configuration.ownerImages[.postgres] else {
            throw Refusal(
                .invalid, "field 'image' is missing, and host \(configuration.host) has none of its own for Postgres")
        }
        try HostAgent.validate(image: image)
        let size = ByteCount.gibibytes(wish.volumeSizeGigabytes ?? 1)
        let goal = wish.survive.map { SurvivalGoal(rawValue: $0) }
        if let goal, let home = regions.first {
            let request = PlacementRequest(region: home, guest: guest, disk: size, app: name, avoidsStoreMembers: true)
            regions = try SurvivalShape.regions(
                for: goal, home: home, request, over: await hosts(), distances: await view.distances(from: home))
        }
        return ClusterDirectory.Order(
            name: name, regions: regions, volumeSize: size, guest: guest, image: image,
            replaceAfter: try wish.replaceAfter.map { text throws(Refusal) in try Self.term(text) }, survive: goal,
            readers: try await readers(of: wish))
    }

    /// A region for each.
    private func readers(of wish: CreateClusterRequest) async throws(Refusal) -> [RegionCode] {
        let counts = try ReaderRoutes.counts(wish.readerRegions ?? [:], in: view)
        if counts.values.contains(where: { $0 > 0 }) { try ReaderRoutes.check(await view.hosts()) }
        return counts.sorted { $0.key < $1.key }.flatMap { Array(repeating: $0.key, count: $0.value) }
    }

    /// Those that are named; of a cluster that is to survive something, its home.
    private func regions(of wish: CreateClusterRequest) throws(Refusal) -> [RegionCode] {
        guard wish.survive == nil else {
            guard wish.region == nil, wish.replicaRegions == nil else {
                throw Refusal(.invalid, "'survive' says where members are, so 'region' and 'replica_regions' cannot")
            }
            guard let home = wish.home else { throw Refusal(.invalid, "field 'home' is missing") }
            return [try view.region(home)]
        }
        guard wish.home == nil else { throw Refusal(.invalid, "field 'home' comes with 'survive': host or region") }
        guard let region = wish.region else { throw Refusal(.invalid, "field 'region' is missing") }
        guard let others = wish.replicaRegions else { throw Refusal(.invalid, "field 'replica_regions' is missing") }
        var regions: [RegionCode] = []
        for text in [region] + others { regions.append(try view.region(text)) }
        return regions
    }
}

extension Answer {
    /// The same answer, with the operation that goes on behind it.
    func naming(_ operation: PlanetOperationID) -> Answer {
        var answer = self
        answer.headers.append((CallHeader.operation, operation.text))
        return answer
    }
}

/// What hosts ask each other about clusters that they do not follow themselves.
public struct ClusterPeerRoutes: RouteGroup {
    let inquiry: ClusterInquiry
    let watcher: PlanetWatcher
    let news: LeaderNews

    public init(view: PlanetView, clusters: ClusterDirectory, hearing: ClusterHearing, news: LeaderNews) {
        inquiry = ClusterInquiry(view: view, clusters: clusters, hearing: hearing)
        watcher = view.watcher
        self.news = news
    }

    public var callers: Principal.Kind { .peer }

    public var routes: [APIRoute] {
        [
            APIRoute(.get, ClusterInquiry.path) { _ in
                let names = watcher.read { Array($0.clusters.keys) }
                return try Answer.json(ListClustersBody(clusters: names.sorted().compactMap(inquiry.heardLast)))
            },
            APIRoute(.get, ClusterInquiry.path + "/:name") { call in
                let name: AppName = try call.id("name")
                guard let body = inquiry.heardLast(name) else {
                    throw Refusal(.notFound, "this host does not hear cluster \(name)")
                }
                return try Answer.json(body)
            },
            APIRoute(.get, ClusterInquiry.path + "/:name/voices") { call in
                let name: AppName = try call.id("name")
                guard let voices = inquiry.hearing.voices(of: name) else {
                    throw Refusal(.notFound, "this host does not hear cluster \(name)")
                }
                return try Answer.json(voices)
            },
            APIRoute(.put, ClusterInquiry.path + "/:name/leader") { call in
                let (name, beat): (AppName, _) = (try call.id("name"), try call.decoded(Heartbeat.self))
                try MemberBounds.check(beat)
                guard case .peer(let host) = call.caller else { throw Refusal(.failed, "only hosts tell who leads") }
                try news.note(beat, of: name, from: host, in: watcher.read { $0.clusters[name] })
                return try Answer.ok()
            },
        ]
    }
}
