import UnixSignals

/// Runs `work` and ends it when the user presses Ctrl-C (or a supervisor sends SIGTERM), with words about what is
/// left and how to go on.
func interruptible<Value: Sendable>(
    advice: @autoclosure @Sendable @escaping () -> String, _ work: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
    return try await withThrowingTaskGroup(of: Value.self) { group in
        group.addTask { try await work() }
        group.addTask {
            for await _ in signals { throw Interrupted(advice: advice()) }
            throw CancellationError()
        }
        defer { group.cancelAll() }
        guard let value = try await group.next() else { throw CancellationError() }
        return value
    }
}
