public import RoostModel
public import RoostWire

extension RoostAPIClient {
    public func clusters() async throws(APIError) -> [ClusterBody] {
        try await send(.get, "/v1/postgres", as: ListClustersBody.self).clusters
    }

    public func cluster(_ name: AppName) async throws(APIError) -> ClusterBody {
        try await send(.get, "/v1/postgres/\(name)")
    }

    /// Returns when the cluster is written down; it is ready when its status says so.
    public func createCluster(_ request: CreateClusterRequest) async throws(APIError) -> ClusterBody {
        try await send(.post, "/v1/postgres", body: request)
    }

    /// As ``createCluster(_:)``.
    ///
    /// - Returns: the operation that goes on after it; nil from a host of a version that has none.
    public func beginCluster(_ request: CreateClusterRequest) async throws(APIError) -> PlanetOperationID? {
        try await sendForResponse(.post, "/v1/postgres", body: request).operation
    }

    /// - Returns: the operation that goes on after it, as ``beginCluster(_:)`` does.
    @discardableResult
    public func destroyCluster(_ name: AppName) async throws(APIError) -> PlanetOperationID? {
        try await sendForResponse(.delete, "/v1/postgres/\(name)", timeout: Self.lastingTimeout).operation
    }

    /// Says from which networks clients may log in; from everywhere with none.
    public func allow(_ networks: [String], to name: AppName) async throws(APIError) -> ClusterBody {
        try await send(.put, "/v1/postgres/\(name)/allow", body: AllowBody(allow: networks))
    }

    /// Says when a lost member is replaced.
    public func replace(after term: ReplacementTerm, in name: AppName) async throws(APIError) -> ClusterBody {
        try await send(
            .put, "/v1/postgres/\(name)/replace-after", body: ReplaceAfterBody(after: term.description))
    }

    /// Keeps the leader for so long, in whole seconds.
    public func pause(_ name: AppName, for length: Duration) async throws(APIError) -> ClusterBody {
        try await send(.put, "/v1/postgres/\(name)/pause", body: PauseBody(seconds: length.components.seconds))
    }

    /// Ends a pause; it is no fault that there is none.
    public func resume(_ name: AppName) async throws(APIError) -> ClusterBody {
        try await send(.delete, "/v1/postgres/\(name)/pause")
    }

    /// Has members start their Postgres anew, one after the other; nil: all.
    ///
    /// - Returns: the wish's id; the cluster's `restart` says under it how far it is.
    public func restart(_ name: AppName, _ member: MemberName?, handsOver: Bool, within limit: Duration)
        async throws(APIError) -> String
    {
        let answer: RestartAnswer = try await send(
            .post, "/v1/postgres/\(name)/restart",
            body: RestartBody(member: member?.text, handsOver: handsOver, seconds: limit.components.seconds))
        return answer.id
    }

    /// Has no member begin any more.
    ///
    /// - Returns: whether one was under way; nil from a host that does not say.
    public func cancelRestart(_ name: AppName) async throws(APIError) -> Bool? {
        let answer: TakenBackBody = try await send(.delete, "/v1/postgres/\(name)/restart")
        return answer.wasUnderWay
    }

    /// Has one more member come.
    public func addMember(to name: AppName, _ place: AddMemberBody) async throws(APIError) -> ChangeAnswer {
        try await send(.post, "/v1/postgres/\(name)/members", body: place)
    }

    /// Has a member go, with all that is on its volume.
    public func removeMember(_ member: MemberName, from name: AppName) async throws(APIError) -> ChangeAnswer {
        try await send(.delete, "/v1/postgres/\(name)/members/\(member)")
    }

    /// Has one more member come, and then this one go.
    public func replaceMember(
        _ member: MemberName, of name: AppName, _ place: AddMemberBody
    ) async throws(APIError) -> ChangeAnswer {
        try await send(.post, "/v1/postgres/\(name)/members/\(member)/replace", body: place)
    }

    /// Says how many members there are in each of these regions.
    public func scale(_ name: AppName, to regions: [String: Int]) async throws(APIError) -> ChangeAnswer {
        try await send(.put, "/v1/postgres/\(name)/scale", body: ScaleBody(regions: regions))
    }

    /// Says how many readers there are in each of these regions.
    public func scaleReaders(_ name: AppName, to regions: [String: Int]) async throws(APIError) -> ReadersAnswer {
        try await send(.put, "/v1/postgres/\(name)/readers", body: ScaleBody(regions: regions))
    }

    /// Has a reader go, with all that is on its volume.
    public func removeReader(_ reader: MemberName, from name: AppName) async throws(APIError) -> ReadersAnswer {
        try await send(.delete, "/v1/postgres/\(name)/readers/\(reader)")
    }

    /// Has another reader come for this one, which goes.
    public func replaceReader(
        _ reader: MemberName, of name: AppName, _ place: AddMemberBody
    ) async throws(APIError) -> ReadersAnswer {
        try await send(.post, "/v1/postgres/\(name)/readers/\(reader)/replace", body: place)
    }

    /// Takes back what is left of a change of members.
    ///
    /// - Returns: whether one was under way; nil from a host that does not say.
    public func cancelChange(of name: AppName) async throws(APIError) -> Bool? {
        let answer: TakenBackBody = try await send(.delete, "/v1/postgres/\(name)/scale")
        return answer.wasUnderWay
    }

    /// What members know of a cluster whose store has gone back.
    public func recovery(of name: AppName) async throws(APIError) -> RecoveryBody {
        try await send(.get, "/v1/postgres/\(name)/recovery")
    }

    /// Puts the rule right, if it is the one that was looked at and what was proposed still follows.
    public func recover(_ name: AppName, as wish: RecoverBody) async throws(APIError) -> ClusterBody {
        try await send(.post, "/v1/postgres/\(name)/recovery", body: wish)
    }

    /// What may be lost by a failover that a person decides.
    ///
    /// - Parameter member: nil: to the one that would lose least.
    public func failover(of name: AppName, to member: MemberName? = nil) async throws(APIError) -> FailoverBody {
        try await send(.get, "/v1/postgres/\(name)/failover", query: member.map { [("to", $0.text)] } ?? [])
    }

    /// Decides it, if the rule is the one that was looked at and what was proposed still follows.
    ///
    /// - Returns: the operation's id; the cluster's `forced` shows it under that.
    public func decideFailover(_ name: AppName, as wish: FailoverWish) async throws(APIError) -> String {
        let answer: FailoverAnswer = try await send(.post, "/v1/postgres/\(name)/failover", body: wish)
        return answer.id
    }

    /// Asks for a planned change of primary; nil leaves the choice of the member to the cluster.
    ///
    /// - Returns: the wish's id; the cluster's `switchover` says under it whether the leader refused.
    @discardableResult
    public func switchover(_ name: AppName, to member: MemberName? = nil) async throws(APIError) -> String? {
        let answer: SwitchoverAnswer = try await send(
            .post, "/v1/postgres/\(name)/switchover", body: SwitchoverBody(target: member?.text))
        return answer.id
    }
}

extension APIResponse {
    fileprivate var operation: PlanetOperationID? {
        header(CallHeader.operation).flatMap { try? PlanetOperationID($0) }
    }
}
