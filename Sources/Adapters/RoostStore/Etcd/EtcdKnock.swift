import RoostModel
import Synchronization

/// While nobody answers, one question at a time finds out when somebody does, for all who wait for it.
///
/// A host has several watches, and a planet many hosts: if each of them tried again by itself, a store that is coming back
/// would have to answer all of that before it could do anything else.
final class EtcdKnock: Sendable {
    typealias Answer = Result<Void, EtcdFailure>

    private struct State {
        var present: Task<Answer, Never>?
        /// Before the next question.
        var pause = Duration.zero
    }

    private let first: Duration
    private let last: Duration
    private let state = Mutex(State())

    /// - Parameters:
    ///   - first: the pause after a question that nobody answered…
    ///   - last: …and what it doubles to. Each is cut by up to a half at random, so that hosts do not ask in step.
    init(first: Duration, last: Duration) {
        self.first = first
        self.last = last
    }

    /// Asks, or waits for the answer to what somebody else asks already.
    func answer(to question: @escaping @Sendable () async -> Answer) async -> Answer {
        let task = state.withLock { state -> Task<Answer, Never> in
            if let present = state.present { return present }
            let pause = state.pause * Double.random(in: 0.5...1)
            // Without a parent, because none of those who wait for it is more than the others. It ends with the question,
            // which has a limit of its own.
            let task = Task {
                try? await Task.sleep(for: pause)
                let answer = await question()
                self.note(answer)
                return answer
            }
            state.present = task
            return task
        }
        return await task.value
    }

    private func note(_ answer: Answer) {
        state.withLock { state in
            state.present = nil
            switch answer {
            case .success: state.pause = .zero
            case .failure: state.pause = min(max(state.pause * 2, first), last)
            }
        }
    }
}
