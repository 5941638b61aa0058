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
        ///   - unreadable: rows of its ledger that it cannot read: what they stand for is there all the same.
        /// - Throws: where nobody can tell whose one of them is: it may be of this app.
        init(
            _ own: HostRecord, published: HostRecord?, unreadable: [UnreadableRow], of app: AppName
        ) throws(Refusal) {
            self.init(own, of: app)
            let present = unreadable.filter { !$0.isOfDestroyed }
            guard !present.isEmpty else { return }
            // Of the version that wrote them, when the row itself does not even say that.
            let machines = Dictionary(
                (published?.machines ?? []).map { ($0.id.text, $0.app) }, uniquingKeysWith: { $1 })
            let volumes = Dictionary(
                (published?.volumes ?? []).map { ($0.id.text, $0.app) }, uniquingKeysWith: { $1 })
            for row in present {
                let isVolume = row.table == "volumes"
                guard let owner = row.app ?? (isVolume ? volumes : machines)[row.id] else {
                    throw AppHoldings.unknown(
                        on: own.host, "row \(row.id) of its \(row.table) cannot be read, and says of no app")
                }
                guard owner == app else { continue }
                if isVolume { self.volumes += 1 } else { self.machines += 1 }
            }
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
                    group.addTask { await ownAnswer(about: app) }
                } else if reachable.contains(record.host) {
                    group.addTask { await answer(of: record, about: app) }
                } else {
                    group.addTask { byCopy(record, app) }
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

    private func ownAnswer(about app: AppName) async -> Result<Count, Refusal> {
        do throws(Refusal) { return .success(try await here(app)) } catch { return .failure(error) }
    }

    private func answer(of record: HostRecord, about app: AppName) async -> Result<Count, Refusal> {
        do throws(Refusal) {
            return .success(
                try await view.peers.value(
                    Count.self, "GET", "/v1/internal/apps/\(app)", from: record.host, timeout: Self.answerMax))
        } catch {
            // It cannot tell, and will not when it is asked again.
            if error.code == .failedPrecondition { return .failure(error) }
            guard error.code != .notFound else { return byCopy(record, app) }
            return .failure(
                Refusal(
                    .unavailable, "host \(record.host) does not say what it has of app \(app); try again",
                    details: error.description))
        }
    }

    private func byCopy(_ record: HostRecord, _ app: AppName) -> Result<Count, Refusal> {
        guard !view.watcher.read({ $0.hasUnread(on: record.host) }) else {
            return .failure(Self.unknown(on: record.host, "what it has published is of a newer version"))
        }
        return .success(Count(record, of: app))
    }

    func here(_ app: AppName) async throws(Refusal) -> Count {
        let published = view.watcher.read { $0.hosts[view.host] }
        let unreadable = await view.agent.unreadableRows
        return try Count(await view.agent.record(), published: published, unreadable: unreadable, of: app)
    }

    private static func unknown(on host: HostName, _ why: String) -> Refusal {
        Refusal(
            .failedPrecondition,
            "host \(host) has something of which nobody can tell whose it is, so no app is deleted meanwhile: \(why); "
                + "give the host the version that wrote it")
    }
}
