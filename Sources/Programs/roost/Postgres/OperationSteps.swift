import RoostClient
import RoostModel
import RoostWire

/// Tells, while a command waits for a cluster, what is done of the operation behind it. A host that knows no operations, or
/// does not answer, says nothing: the wait goes by the cluster itself.
struct OperationSteps {
    private let operation: PlanetOperationID?
    private var told: Set<OperationBody.Step> = []

    init(of operation: PlanetOperationID?) { self.operation = operation }

    /// Looks once, and tells what is new.
    mutating func tell(_ progress: Progress, asking planet: Roostds) async {
        guard let operation, let present = try? await planet.ask({ try await $0.operation(operation) }) else { return }
        for step in present.steps where told.insert(step).inserted { progress.tell(step.name) }
        // The record forgets the oldest of many.
        told.formIntersection(present.steps)
    }
}
