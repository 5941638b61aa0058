import CLinux
import Glibc
import Synchronization

/// Runs calls that may block for long (mount, flock, a read from a pipe) on a thread of their own: the few threads of
/// the cooperative pool must never wait for a disk or a lock.
public enum BlockingCall {
    /// So many at once; more wait in a queue, in the order they came. A bound on what a fault can cost (a dead disk
    /// under every call), not a measure of how much work is good: calls may wait for each other.
    static let threadsMax = 512

    /// Runs `body` on a thread that nothing ran on before and nothing will after: it may change the thread for good.
    public static func run<Value: Sendable, Failure: Error>(
        _ body: @escaping @Sendable () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let outcome: Result<Value, Failure> = await withCheckedContinuation { continuation in
            queue.add { continuation.resume(returning: Result { () throws(Failure) in try body() }) }
        }
        return try outcome.get()
    }

    private static let queue = BlockingQueue(threadsMax: threadsMax)
}

/// Jobs that get a thread each, at most so many at once.
final class BlockingQueue: Sendable {
    typealias Job = @Sendable () -> Void

    private struct State {
        var running = 0
        var waiting: [Job] = []
        /// Where the queue begins in `waiting`: what is before has gone.
        var first = 0
    }

    private let threadsMax: Int
    private let state = Mutex(State())

    init(threadsMax: Int) { self.threadsMax = threadsMax }

    func add(_ job: @escaping Job) {
        let goesAtOnce = state.withLock { state in
            guard state.running < threadsMax else {
                state.waiting.append(job)
                return false
            }
            state.running += 1
            return true
        }
        if goesAtOnce { start(job) }
    }

    private func start(_ job: @escaping Job) {
        let whole: Job = {
            job()
            if let next = self.next() { self.start(next) }
        }
        // No thread to be had: slow is better than never.
        do throws(SystemError) { try OwnThread.start("roost-blocking", whole) } catch { whole() }
    }

    private func next() -> Job? {
        state.withLock { state in
            guard state.first < state.waiting.count else {
                state.running -= 1
                state.waiting = []
                state.first = 0
                return nil
            }
            defer { state.first += 1 }
            return state.waiting[state.first]
        }
    }
}
