public import RoostModel
import RoostPlanet

/// Whether something that was just made for an app may stay: what a copy shows of the app may be being deleted, or have
/// been made anew as a feature's, a moment ago. While the store is away the copy stands, as for everything else.
///
/// Looked at twice: by the host that was asked for the thing, and by the one that has made it, since the first may have died
/// or given up by then, and a deletion that asked the second before that found nothing. Neither look is cut off with its
/// caller.
extension PlanetView {
    /// At the host that was asked.
    ///
    /// - Parameters:
    ///   - app: as it was found when the order was given.
    ///   - takeBack: undoes what was made.
    public func confirm(
        _ app: AppRecord, orElse takeBack: @escaping @Sendable () async throws(Refusal) -> Void
    ) async throws(Refusal) {
        try await confirm(app.name, orElse: takeBack) { present in
            guard let present else { return Self.gone(app.name) }
            if present.createdAt == app.createdAt, present.network == app.network {
                return present.deletionBegan == nil ? nil : AppDirectory.going(app.name)
            }
            return present.owner.map { AppDirectory.owned(app.name, by: $0) } ?? Self.madeAnew(app.name)
        }
    }

    /// At the host that has made it, of which somebody else was asked.
    ///
    /// - Parameters:
    ///   - order: its app.
    ///   - network: that the order names. Nil: it names none, and the thing may also be a feature's.
    ///   - takeBack: undoes what was made.
    public func confirm(
        order name: AppName, in network: NetworkNumber?,
        orElse takeBack: @escaping @Sendable () async throws(Refusal) -> Void
    ) async throws(Refusal) {
        // A feature makes and takes apart what it has by its own records.
        if network == nil, watcher.read({ $0.apps[name]?.owner }) != nil { return }
        try await confirm(name, orElse: takeBack) { present in
            guard let present else { return Self.gone(name) }
            if present.owner != nil, network == nil { return nil }
            if let owner = present.owner { return AppDirectory.owned(name, by: owner) }
            if let network, present.network != network { return Self.madeAnew(name) }
            return present.deletionBegan == nil ? nil : AppDirectory.going(name)
        }
    }

    private func confirm(
        _ name: AppName, orElse takeBack: @escaping @Sendable () async throws(Refusal) -> Void,
        _ objection: @escaping @Sendable (AppRecord?) -> Refusal?
    ) async throws(Refusal) {
        guard watcher.isLive(PlanetPart.common) else { return }
        if let refusal = await Task(operation: { await look(at: name, takeBack, objection) }).value { throw refusal }
    }

    /// - Returns: why it may not stay, once it was taken back.
    private func look(
        at name: AppName, _ takeBack: @Sendable () async throws(Refusal) -> Void,
        _ objection: @Sendable (AppRecord?) -> Refusal?
    ) async -> Refusal? {
        let present: AppRecord?
        do throws(Refusal) { present = try await apps.find(name) } catch { return nil }
        guard let refusal = objection(present) else { return nil }
        do throws(Refusal) { try await takeBack() } catch {
            return Refusal(
                .outcomeUnknown,
                "\(refusal.message); what was made for it could not be taken back (\(error.message)): destroy it by hand",
                details: error.details)
        }
        return refusal
    }

    private static func gone(_ app: AppName) -> Refusal { Refusal(.notFound, "app \(app) not found") }

    private static func madeAnew(_ app: AppName) -> Refusal {
        Refusal(.failedPrecondition, "app \(app) was destroyed and made anew at this moment; try again")
    }
}
