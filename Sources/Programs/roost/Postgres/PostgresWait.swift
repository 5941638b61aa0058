import RoostClient
import RoostModel
import RoostWire

/// Waits for what a cluster does by itself.
enum PostgresWait {
    static let interval = Duration.milliseconds(300)

    /// - Parameters:
    ///   - goal: what is waited for, to follow the cluster's name: `is ready`.
    ///   - operation: that goes on meanwhile; its steps are told.
    ///   - advice: what to do when it does not come in time.
    static func until(
        _ goal: String, _ name: AppName, on planet: Roostds, seeing operation: PlanetOperationID?,
        timeout: Duration, progress: Progress, advice: String? = nil, _ condition: (ClusterBody) throws -> Bool
    ) async throws -> ClusterBody {
        let end = ContinuousClock.now + timeout
        var last = "nothing was heard of it"
        var steps = OperationSteps(of: operation)
        while true {
            do {
                let cluster = try await planet.ask { try await $0.cluster(name) }
                if try condition(cluster) {
                    await steps.tellLast(progress, asking: planet)
                    return cluster
                }
                last = cluster.detail ?? cluster.summary
                progress.say("cluster \(name): \(last)")
                await steps.tell(progress, asking: planet)
            } catch let error as APIError where error.isNotFound {
                await steps.tellLast(progress, asking: planet)
                throw error
            } catch let error as APIError where error.isPassing {
                last = "\(error)"
            }
            guard ContinuousClock.now < end else {
                throw CommandFailure(
                    "no sign after \(Figure.seconds(timeout)) that \(name) \(goal): \(last)",
                    advice: advice ?? "It is still being worked on. See it: roost pg status \(name) --watch")
            }
            try await Task.sleep(for: interval)
        }
    }

    static func untilGone(
        _ name: AppName, on planet: Roostds, seeing operation: PlanetOperationID?, timeout: Duration, progress: Progress
    ) async throws {
        do {
            _ = try await until(
                "is gone", name, on: planet, seeing: operation, timeout: timeout, progress: progress
            ) { _ in false }
        } catch let error as APIError where error.isNotFound {
            return
        }
    }
}

extension APIError {
    /// The same question may well be answered a moment later, or by another host.
    fileprivate var isPassing: Bool {
        switch cause {
        case .unreachable, .unanswered: true
        case .refused(let status, _): status >= 500
        case .unreadable, .cancelled: false
        }
    }
}
