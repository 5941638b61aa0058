import ArgumentParser
import RoostClient
import RoostModel
import RoostWire

/// What commands have in common that ask for other members or readers of a cluster, and wait until it has them.
struct ChangeOptions: ParsableArguments {
    typealias Request<Answer> = @Sendable (RoostAPIClient, AppName) async throws(APIError) -> Answer

    @Argument(help: "The cluster's name.", transform: { try PostgresNames.cluster($0) })
    var name: AppName

    @Option(help: "How long it may take, for example 10m (else 600 s).", transform: { try timeLimit($0) })
    var timeout = DurationText(.seconds(600))

    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    func show(_ cluster: ClusterBody, _ words: (ClusterBody) -> String = { $0.report }) throws {
        try output.show(try AuthorityFile.trusting(cluster), table: words)
    }

    func show(_ what: String, _ request: @escaping Request<ChangeAnswer>) async throws {
        try show(try await members(what, request))
    }

    /// Waits until the change of members that is asked for has ended.
    func members(_ what: String, _ request: @escaping Request<ChangeAnswer>) async throws -> ClusterBody {
        let name = name
        return try await wait(what, "; take back what is left: roost pg scale \(name) --cancel") { planet, progress in
            let answer = try await planet.ask { client async throws(APIError) in try await request(client, name) }
            guard let id = answer.id else {
                Terminal.say("\(name) has the members that are asked for: nothing is changed.")
                return try await planet.ask { try await $0.cluster(name) }
            }
            let operation = try? PlanetOperationID(id)
            return try await until("the members that were asked for", planet, progress, seeing: operation) { cluster in
                guard let change = cluster.change, change.id == id else { return false }
                if let refusal = change.refusal {
                    throw CommandFailure(
                        "\(name) has not the members that were asked for: \(refusal)",
                        advice: "See it: roost pg status \(name)")
                }
                // Who asks for the next change at once is not refused because this one is not confirmed by yet.
                return change.left.isEmpty && !cluster.members.contains { $0.state == "leaving" } && cluster.isServing
            }
        }
    }

    /// Waits until those readers are there, and whoever came by this serves. One that was there before and does not serve, as with
    /// its host lost, holds up nobody who asks for others, or for its removal.
    func readers(_ what: String, _ request: @escaping Request<ReadersAnswer>) async throws -> ClusterBody {
        let name = name
        return try await wait(what, "") { planet, progress in
            let former = Set((try await planet.ask { try await $0.cluster(name) }.readers ?? []).map(\.name))
            let answer = try await planet.ask { client async throws(APIError) in try await request(client, name) }
            let wanted = Set(answer.readers)
            let (comers, leavers) = (wanted.subtracting(former), former.subtracting(wanted))
            return try await until(
                "the readers that were asked for", and: ", and those that came serve", planet, progress, seeing: nil
            ) { cluster in
                let readers = cluster.readers ?? []
                // Others may be replaced by themselves meanwhile.
                return leavers.isDisjoint(with: readers.map(\.name))
                    && comers.isSubset(of: readers.filter(\.isServing).map(\.name))
            }
        }
    }

    private func wait(
        _ what: String, _ advice: String,
        _ body: @escaping @Sendable (Roostds, Progress) async throws -> ClusterBody
    ) async throws -> ClusterBody {
        let planet = try Roostds.find(global)
        return try await interruptible(advice: "It goes on by itself. See it: roost pg status \(name)" + advice) {
            try await Progress.show(what) { try await body(planet, $0) }
        }
    }

    private func until(
        _ what: String, and more: String = "", _ planet: Roostds, _ progress: Progress,
        seeing operation: PlanetOperationID?,
        _ condition: (ClusterBody) throws -> Bool
    ) async throws -> ClusterBody {
        try await PostgresWait.until(
            "has \(what)\(more)", name, on: planet, seeing: operation, orElse: "has not \(what)",
            timeout: timeout.duration,
            progress: progress, advice: "Who waits for what: roost pg status \(name)", condition)
    }
}
