import RoostClient
import RoostModel
import RoostWire

/// Waits for what a cluster does by itself.
enum PostgresWait {
    static let interval = Duration.milliseconds(300)

    /// Returns when the cluster is as wanted and the operation that made it so has ended: what `operations` says afterwards
    /// is what this says.
    ///
    /// - Parameters:
    ///   - goal: what is waited for, to follow the cluster's name: `is ready`.
    ///   - operation: that goes on meanwhile; its steps are told.
    ///   - failure: what it means that the operation failed, to follow the cluster's name: `was not made`.
    ///   - advice: what to do when it does not come in time.
    static func until(
        _ goal: String, _ name: AppName, on planet: Roostds, seeing operation: PlanetOperationID?,
        orElse failure: String, timeout: Duration, progress: Progress, advice: String? = nil,
        _ condition: (ClusterBody) throws -> Bool
    ) async throws -> ClusterBody {
        var steps = OperationSteps(of: operation)
        return try await until(
            goal, name, on: planet, telling: &steps, orElse: failure, timeout: timeout, progress: progress,
            advice: advice, condition)
    }

    private static func until(
        _ goal: String, _ name: AppName, on planet: Roostds, telling steps: inout OperationSteps,
        orElse failure: String, timeout: Duration, progress: Progress, advice: String? = nil,
        _ condition: (ClusterBody) throws -> Bool
    ) async throws -> ClusterBody {
        let end = ContinuousClock.now + timeout
        var last = "nothing was heard of it"
        var isReached = false
        while true {
            do {
                let cluster = try await planet.cluster(name)
                isReached = try condition(cluster) || isReached
                last = cluster.detail ?? cluster.summary
                if !isReached { progress.say("cluster \(name): \(last)") }
                let sight = try await steps.look(progress, asking: planet, isDue: isReached)
                if case .failed(let why) = sight {
                    throw CommandFailure("\(name) \(failure): \(why)", advice: "See it: roost pg status \(name)")
                }
                if isReached, sight != .running { return cluster }
                if isReached { last = "its operation has not ended" }
            } catch let error as APIError where error.isPassing {
                last = "\(error)"
            }
            try await pause(before: end) {
                CommandFailure(
                    "no sign after \(Figure.seconds(timeout)) that \(name) \(goal): \(last)",
                    advice: advice ?? "It is still being worked on. See it: roost pg status \(name) --watch")
            }
        }
    }

    static func untilGone(
        _ name: AppName, on planet: Roostds, seeing operation: PlanetOperationID?, timeout: Duration, progress: Progress
    ) async throws {
        let end = ContinuousClock.now + timeout
        var steps = OperationSteps(of: operation)
        do {
            _ = try await until(
                "is gone", name, on: planet, telling: &steps, orElse: "was not destroyed", timeout: timeout,
                progress: progress
            ) { _ in false }
        } catch let error as APIError where error.isNotFound {
            // It is gone; that is written down a moment later.
            while try await steps.look(progress, asking: planet, isDue: true) == .running {
                try await pause(before: end) {
                    CommandFailure(
                        "cluster \(name) is gone, but after \(Figure.seconds(timeout)) its operation has not ended",
                        advice: "See it: roost operations list --object \(name)")
                }
            }
        }
    }

    private static func pause(
        before end: ContinuousClock.Instant, orElse failure: () -> CommandFailure
    ) async throws {
        guard ContinuousClock.now < end else { throw failure() }
        try await Task.sleep(for: interval)
    }
}

extension APIError {
    /// The same question may well be answered a moment later, or by another host.
    var isPassing: Bool {
        switch cause {
        case .unreachable, .unanswered: true
        case .refused(let status, _): status >= 500
        case .unreadable, .cancelled: false
        }
    }
}
