import RoostClient
import RoostModel
import RoostWire

/// Tells, while a command waits for a cluster, what is done of the operation behind it. A host that knows no operations, or
/// does not answer, says nothing: the wait goes by the cluster itself.
struct OperationSteps {
    private let operation: PlanetOperationID?
    private var told: Set<OperationBody.Step> = []

    init(of operation: PlanetOperationID?) { self.operation = operation }

    /// What was done last is written down a moment after it shows in the cluster.
    static let lastMax = Duration.seconds(2)
    static let lastInterval = Duration.milliseconds(100)

    /// Looks once, and tells what is new.
    ///
    /// - Returns: how far the operation is, if somebody knows.
    @discardableResult
    mutating func tell(_ progress: Progress, asking planet: Roostds) async -> OperationRecord.State? {
        guard let operation, let present = try? await planet.ask({ try await $0.operation(operation) }) else {
            return nil
        }
        for step in present.steps where told.insert(step).inserted { progress.tell(step.name) }
        // The record forgets the oldest of many.
        told.formIntersection(present.steps)
        return present.state
    }

    /// When the cluster is what was waited for: tells the rest, until the operation has ended, but no longer than
    /// ``lastMax``.
    mutating func tellLast(_ progress: Progress, asking planet: Roostds) async {
        let end = ContinuousClock.now + Self.lastMax
        while await tell(progress, asking: planet) == .running, ContinuousClock.now < end {
            guard (try? await Task.sleep(for: Self.lastInterval)) != nil else { return }
        }
    }
}
