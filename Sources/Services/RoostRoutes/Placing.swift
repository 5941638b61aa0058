import RoostControl
import RoostModel
import RoostPlacement

extension PlanetView {
    /// Asks the candidates in order until one takes it; the error of the last resort names every host's reason.
    ///
    /// - Parameter prepare: done before a candidate is asked; when it fails, nobody is asked any more.
    func place<Made>(
        _ request: PlacementRequest, prepare: (HostName) async throws(Refusal) -> Void = { _ in },
        _ ask: (HostName) async throws(Refusal) -> Made
    ) async throws(Refusal) -> Made {
        let reachable = await reachability.hosts()
        var decision = Placement.decide(
            request, over: await hosts().map { PlacementHost(record: $0, isReachable: reachable.contains($0.host)) })
        // For the log of who asked: a host that is this one has written it nowhere.
        var details: [String] = []
        for candidate in decision.candidates {
            try await prepare(candidate)
            do throws(Refusal) {
                return try await ask(candidate)
            } catch {
                guard error.code == .insufficientCapacity || error.code == .unavailable else { throw error }
                decision.refusals.append(.init(host: candidate, reason: .refusedByHost(error.message)))
                if let more = error.details { details.append("\(candidate): \(more)") }
            }
        }
        throw Refusal(
            .insufficientCapacity, decision.explanation(for: request),
            details: details.isEmpty ? nil : details.joined(separator: "; "))
    }
}
