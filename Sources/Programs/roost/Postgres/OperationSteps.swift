import RoostClient
import RoostModel
import RoostWire

/// Tells, while a command waits for a cluster, what is done of the operation behind it, and whether that has ended. Of a
/// host that knows no operations nothing is heard: the wait goes by the cluster itself.
struct OperationSteps {
    enum Sight: Equatable {
        /// There is none that could be asked for.
        case nothing
        case running
        case succeeded
        /// Why.
        case failed(String)
    }

    private let operation: PlanetOperationID?
    private var told: Set<OperationBody.Step> = []

    init(of operation: PlanetOperationID?) { self.operation = operation }

    /// Looks once, and tells what is new.
    ///
    /// - Parameter isDue: it should have ended. Of several hosts, one that says that it goes on is not all that are asked.
    mutating func look(_ progress: Progress, asking planet: Roostds, isDue: Bool) async throws -> Sight {
        guard let operation else { return .nothing }
        let present: OperationBody
        do {
            if isDue {
                present = try await planet.operation(operation)
            } else {
                present = try await planet.ask { try await $0.operation(operation) }
            }
        } catch let error as APIError {
            if case .cancelled = error.cause { throw error }
            return error.isPassing ? .running : .nothing
        }
        for step in present.steps where told.insert(step).inserted { progress.tell(step.name) }
        // The record forgets the oldest of many.
        told.formIntersection(present.steps)
        switch present.state {
        case .running: return .running
        case .succeeded: return .succeeded
        case .failed: return .failed(present.result ?? "operation \(operation) failed")
        // The cluster itself shows what came of it.
        case .unknown: return .nothing
        }
    }
}
