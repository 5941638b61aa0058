import Logging
import RoostFailover
import RoostLinux
import RoostModel
import Synchronization

/// Has each operation end when its time is over, and one that waits for a Postgres to come up when that hangs.
final class OperationClock: Sendable {
    private struct State {
        /// How long each may take.
        var patience: OperationPatience
        /// Of the Postgres that comes up.
        var start: StartWatch
    }

    /// What it has to know of a Postgres, and to do with it.
    struct Charge: Sendable {
        var isRunning: @Sendable () -> Bool
        /// See ``PostgresInstance/lookAtStart(onlyOnce:)``.
        var look: @Sendable (_ onlyOnce: Bool) -> StartLook?
        /// Ends it at once.
        var end: @Sendable () async -> Void
    }

    private let charge: Charge
    private let logger: Logger
    private let state: Mutex<State>

    init(charge: Charge, timings: FailoverTimings, logger: Logger) {
        self.charge = charge
        self.logger = logger
        state = Mutex(
            State(
                patience: OperationPatience(timings), start: StartWatch(standstillMax: timings.standstillAtStartMax)))
    }

    /// - Parameter perform: does it, within that time.
    func carryOut(
        _ operation: PostgresOperation, _ perform: @escaping @Sendable (Duration) async throws -> OperationOutcome
    ) async -> OperationOutcome {
        let began = BootClock.now()
        let limit = state.withLock { $0.patience.begin(operation, began) }
        do {
            let outcome = try await withThrowingTaskGroup(of: OperationOutcome.self) { group in
                group.addTask { try await perform(limit) }
                group.addTask {
                    try await Task.sleep(for: limit)
                    throw PostgresError(operation.words, "not done within \(limit.words)")
                }
                if operation.waitsForStart { group.addTask { try await self.watchStart(of: operation) } }
                defer { group.cancelAll() }
                return try await group.next() ?? .failed("cancelled")
            }
            noteEnd(of: operation, .byItself)
            return outcome
        } catch {
            // What in it has as much time may be the first to say so.
            return await ended(operation, by: error, isLate: BootClock.now() - began >= limit)
        }
    }

    private func noteEnd(of operation: PostgresOperation, _ ending: OperationPatience.Ending) {
        state.withLock { $0.patience.end(operation, ending, BootClock.now()) }
    }

    private func ended(
        _ operation: PostgresOperation, by error: any Error, isLate: Bool
    ) async -> OperationOutcome {
        let words = PostgresError.words(for: error)
        // What was given up for another operation says nothing.
        guard !Task.isCancelled else {
            noteEnd(of: operation, .givenUp)
            return .failed(words)
        }
        if error is StartHangs {
            logger.warning("Postgres is ended", metadata: ["why": "\(words)"])
            await charge.end()
            noteEnd(of: operation, .givenUp)
            return .failed(words)
        }
        noteEnd(of: operation, isLate ? .timeIsOver : .byItself)
        guard isLate, operation.goesOnWhileAtWork, charge.isRunning(), state.withLock({ $0.start.isAtWork }) else {
            return .failed(words)
        }
        return .recovering("\(words); Postgres is at work on it, and goes on")
    }

    private struct StartHangs: Error, CustomStringConvertible {
        var time: Duration
        var description: String {
            "\(PostgresError("wait for Postgres", "it has done nothing for \(time.words): it is ended"))"
        }
    }

    /// Ends with an error alone: when the Postgres that comes up hangs.
    private func watchStart(of operation: PostgresOperation) async throws -> OperationOutcome {
        let interval = state.withLock { $0.start.interval }
        let onlyOnce = operation.leavesFollower
        while true {
            let look = await BlockingCall.run { self.charge.look(onlyOnce) }
            let hangs = state.withLock { state in
                state.start.note(look, BootClock.now())
                return state.start.hangs
            }
            if hangs { throw StartHangs(time: state.withLock { $0.start.standstillMax }) }
            try await Task.sleep(for: interval)
        }
    }
}
