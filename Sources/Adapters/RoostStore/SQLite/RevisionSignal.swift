import Synchronization

/// Wakes those who wait for a newer revision. In process: no polling, nothing is lost.
final class RevisionSignal: Sendable {
    private struct State {
        var revision: Revision
        var nextWaiter = 0
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
    }

    private let state: Mutex<State>

    init(revision: Revision) {
        state = Mutex(State(revision: revision))
    }

    func advance(to revision: Revision) {
        let woken = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            guard revision > state.revision else { return [] }
            state.revision = revision
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in woken { waiter.resume() }
    }

    /// Returns once there is a revision after `revision`, or the task is cancelled.
    func wait(after revision: Revision) async {
        let waiter = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isDone = state.withLock { state in
                    if state.revision > revision || Task.isCancelled { return true }
                    state.waiters[waiter] = continuation
                    return false
                }
                if isDone { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: waiter) }?.resume()
        }
    }
}
