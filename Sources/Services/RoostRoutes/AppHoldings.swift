import RoostControl
import RoostHost
import RoostModel
import RoostPlanet

/// What an app still has, by each host's own word. A copy may be a moment old: what was destroyed through another host is
/// still in it, and what was made there not yet.
struct AppHoldings {
    let view: PlanetView

    static let answerMax = Duration.seconds(2)

    struct Count: Hashable, Codable {
        var machines = 0
        var volumes = 0

        init() {}

        init(_ record: HostRecord, of app: AppName) {
            machines = record.machines.count { $0.app == app }
            volumes = record.volumes.count { $0.app == app }
        }

        /// - Parameters:
        ///   - own: what the host can tell of itself.
        ///   - published: what it has published.
        ///   - unreadable: ids of rows of its ledger that it cannot read: what they stand for is there all the same.
        init(_ own: HostRecord, published: HostRecord?, unreadable: Set<String>, of app: AppName) {
            self.init(own, of: app)
            guard let published, !unreadable.isEmpty else { return }
            machines += published.machines.count { $0.app == app && unreadable.contains($0.id.text) }
            volumes += published.volumes.count { $0.app == app && unreadable.contains($0.id.text) }
        }

        var isNothing: Bool { machines == 0 && volumes == 0 }
    }

    /// On all hosts. For one that no probe reaches, or that is of a version that does not know the question, the copy
    /// counts.
    ///
    /// - Throws: where one can be reached and does not say: what it has may be in no copy yet.
    func of(_ app: AppName) async throws(Refusal) -> Count {
        let reachable = await view.reachability.hosts()
        let records = await view.hosts()
        let answers = await withTaskGroup(of: Result<Count, Refusal>.self) { group in
            for record in records {
                if record.host == view.host {
                    group.addTask { .success(await here(app)) }
                } else if reachable.contains(record.host) {
                    group.addTask { await answer(of: record, about: app) }
                } else {
                    group.addTask { .success(Count(record, of: app)) }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        var sum = Count()
        for answer in answers {
            let count = try answer.get()
            sum.machines += count.machines
            sum.volumes += count.volumes
        }
        return sum
    }

    private func answer(of record: HostRecord, about app: AppName) async -> Result<Count, Refusal> {
        do throws(Refusal) {
            return .success(
                try await view.peers.value(
                    Count.self, "GET", "/v1/internal/apps/\(app)", from: record.host, timeout: Self.answerMax))
        } catch {
            guard error.code != .notFound else { return .success(Count(record, of: app)) }
            return .failure(
                Refusal(
                    .unavailable, "host \(record.host) does not say what it has of app \(app); try again",
                    details: error.description))
        }
    }

    func here(_ app: AppName) async -> Count {
        let published = view.watcher.read { $0.hosts[view.host] }
        let unreadable = Set(await view.agent.unreadableRows.map(\.id))
        return Count(await view.agent.record(), published: published, unreadable: unreadable, of: app)
    }
}
