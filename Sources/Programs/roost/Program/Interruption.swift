import Synchronization
import UnixSignals

/// Runs `work` and ends it when the user presses Ctrl-C (or a supervisor sends SIGTERM), with words about what is
/// left and how to go on.
/// - Parameter ending: for work that comes to an end by itself when it is asked: called at the first signal, which then
///   ends nothing; the next one does.
func interruptible<Value: Sendable>(
    advice: @autoclosure @Sendable @escaping () -> String, ending: (@Sendable () -> Void)? = nil,
    _ work: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
    return try await withThrowingTaskGroup(of: Value.self) { group in
        group.addTask { try await work() }
        group.addTask {
            var ending = ending
            for await _ in signals {
                guard let ask = ending else { throw Interrupted(advice: advice()) }
                ask()
                ending = nil
            }
            throw CancellationError()
        }
        defer { group.cancelAll() }
        guard let value = try await group.next() else { throw CancellationError() }
        return value
    }
}

/// What an interrupted command says, for one that learns on the way what it has made.
final class InterruptionAdvice: Sendable {
    private let words: Mutex<String>

    init(_ words: String) { self.words = Mutex(words) }

    var text: String { words.withLock { $0 } }

    /// From here on `words` are true.
    func become(_ words: String) { self.words.withLock { $0 = words } }
}
