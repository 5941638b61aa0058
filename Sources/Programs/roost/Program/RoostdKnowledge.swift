import RoostClient
import RoostModel
import RoostWire

/// Questions that a host which has lost the store answers with what it heard last, or without what only the store has, and
/// says so. Of several hosts the others are asked then, all at once: any that knows better counts.
extension Roostds {
    func cluster(_ name: AppName) async throws -> ClusterBody {
        try await best(unknown: { $0.unknown }) { try await $0.cluster(name) }
    }

    /// For whoever logs in: a host that has lost the store may still know with what, and how the cluster is the client sees
    /// for itself.
    func login(to name: AppName) async throws -> ClusterBody {
        try await best(unknown: { $0.missing?.count ?? 0 }) { try await $0.cluster(name) }
    }

    func clusters() async throws -> [ClusterBody] {
        try await best(unknown: { $0.reduce(0) { $0 + $1.unknown } }) { try await $0.clusters() }
    }

    /// Of several views the one that reaches the most: a host that is cut off sees all others away.
    func hostList() async throws -> ListHostsBody {
        try await best(unknown: { $0.hosts.count { !$0.isReachable } }) { try await $0.hostList() }
    }

    /// A host without the store goes on saying that an operation runs.
    func operation(_ id: PlanetOperationID) async throws -> OperationBody {
        try await best(unknown: { $0.state == .running ? 1 : 0 }) { try await $0.operation(id) }
    }

    /// A host that does not reach a machine's answers with what it heard of it last.
    func machine(_ id: MachineID, of app: AppName) async throws -> MachineBody {
        try await best(unknown: { $0.hostStatus == "ok" ? 0 : 1 }) { try await $0.machine(id, of: app) }
    }

    /// As for ``machine(_:of:)``.
    func volume(_ id: VolumeID, of app: AppName) async throws -> VolumeBody {
        try await best(unknown: { $0.hostStatus == "ok" ? 0 : 1 }) { try await $0.volume(id, of: app) }
    }

    /// - Parameter unknown: how much of an answer is not known; of equals the first counts.
    private func best<Value: Sendable>(
        unknown: (Value) -> Int, _ question: @escaping @Sendable (RoostAPIClient) async throws -> Value
    ) async throws -> Value {
        let (first, endpoint) = try await ask { (try await question($0), $0.endpoint) }
        let others = clients.filter { $0.endpoint != endpoint }
        guard unknown(first) > 0, !others.isEmpty else { return first }
        return try await withThrowingTaskGroup(of: Value?.self) { group in
            for client in others { group.addTask { try await answer(of: client, to: question) } }
            defer { group.cancelAll() }
            var best = first
            while let told = try await group.next() {
                if let told, unknown(told) < unknown(best) { best = told }
                if unknown(best) == 0 { break }
            }
            return best
        }
    }

    /// - Returns: nil where the host says nothing.
    /// - Throws: where it says that there is no such thing: it knows the store, then.
    private func answer<Value: Sendable>(
        of client: RoostAPIClient, to question: @Sendable (RoostAPIClient) async throws -> Value
    ) async throws -> Value? {
        guard try await isThere(client) else { return nil }
        do { return try await question(client) } catch let error as APIError where !error.isNotFound { return nil }
    }
}

extension ClusterBody {
    /// How much of it the asked host did not know. How the cluster is counts more than what to log in with.
    fileprivate var unknown: Int { (status == .unheard ? Credential.known.count + 1 : 0) + (missing?.count ?? 0) }
}
