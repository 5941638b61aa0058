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
        let end = ContinuousClock.now + timeout
        var last = "nothing was heard of it"
        var (isReached, isSo) = (false, false)
        while true {
            do {
                let cluster = try await planet.cluster(name)
                isSo = try condition(cluster)
                isReached = isReached || isSo
                last = cluster.detail ?? cluster.summary
                if !isReached { progress.say("cluster \(name): \(last)") }
                let sight = try await steps.look(progress, asking: planet, isDue: isReached)
                if case .failed(let why) = sight {
                    throw CommandFailure("\(name) \(failure): \(why)", advice: "See it: roost pg status \(name)")
                }
                if isReached, sight != .running { return cluster }
            } catch let error as APIError where error.isPassing {
                last = "\(error)"
            }
            try await pause(before: end) {
                guard !isSo else { return late("\(name) \(goal)", name, timeout) }
                return CommandFailure(
                    "no sign after \(Figure.seconds(timeout)) that \(name) \(goal): \(last)",
                    advice: advice.map { $0 + seen(operation) } ?? goingOn(name, operation))
            }
        }
    }

    /// Returns when the operation has succeeded: of what has the cluster's name then, it may be another that was made since.
    /// Where there is no operation, when there is no cluster.
    static func untilGone(
        _ name: AppName, on planet: Roostds, seeing operation: PlanetOperationID?, timeout: Duration, progress: Progress
    ) async throws {
        var steps = OperationSteps(of: operation)
        let end = ContinuousClock.now + timeout
        var last = "nothing was heard of it"
        var isGone = false
        while true {
            do {
                if !isGone {
                    let cluster = try await planet.cluster(name)
                    last = cluster.detail ?? cluster.summary
                    progress.say("cluster \(name): \(last)")
                }
            } catch let error as APIError where error.isNotFound {
                isGone = true
            } catch let error as APIError where error.isPassing {
                last = "\(error)"
            }
            switch try await steps.look(progress, asking: planet, isDue: isGone) {
            case .succeeded: return
            case .nothing where isGone: return
            case .nothing, .running: break
            case .failed(let why):
                throw CommandFailure("\(name) was not destroyed: \(why)", advice: "See it: roost pg status \(name)")
            }
            try await pause(before: end) {
                guard !isGone else { return late("cluster \(name) is gone", name, timeout) }
                return CommandFailure(
                    "no sign after \(Figure.seconds(timeout)) that \(name) is gone: \(last)",
                    advice: goingOn(name, operation))
            }
        }
    }

    /// What goes on after the command, by its name: another one that is asked for meanwhile is refused because of it.
    private static func goingOn(_ name: AppName, _ operation: PlanetOperationID?) -> String {
        "It is still being worked on. See it: roost pg status \(name) --watch" + seen(operation)
    }

    private static func seen(_ operation: PlanetOperationID?) -> String {
        operation.map { "\nIts operation: roost operations show \($0)" } ?? ""
    }

    /// All that was waited for is so, and who writes that down is behind.
    private static func late(_ what: String, _ name: AppName, _ timeout: Duration) -> CommandFailure {
        CommandFailure(
            "\(what), but after \(Figure.seconds(timeout)) its operation has not ended",
            advice: "See it: roost operations list --object \(name)")
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
