public import RoostLinux
import Synchronization

/// A thread with a queue, for calls that block (libpq) and must neither wait for the cooperative pool nor fill it.
/// Jobs run one after another, in order.
public final class WorkThread: Sendable {
    public static let jobsMax = 64
    /// A thread without work sleeps until it is rung for; this is only an end to one sleep.
    private static let idleMax = Duration.seconds(3600)

    private struct Queue {
        var jobs: [@Sendable () -> Void] = []
        var isClosed = false
    }

    private let queue = Mutex(Queue())
    private let bell: Bell
    private let name: String

    public init(_ name: String) throws(SystemError) {
        self.name = name
        bell = try Bell()
        try OwnThread.start(name) { self.work() }
    }

    /// Ends the thread after the jobs that wait.
    public func close() {
        queue.withLock { $0.isClosed = true }
        bell.ring()
    }

    public func perform<Value: Sendable, Failure: Error>(
        _ body: @escaping @Sendable () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let outcome: Result<Value, Failure> = await withCheckedContinuation { continuation in
            submit { continuation.resume(returning: Result { () throws(Failure) in try body() }) }
        }
        return try outcome.get()
    }

    func submit(_ job: @escaping @Sendable () -> Void) {
        let isAccepted = queue.withLock { queue in
            guard !queue.isClosed, queue.jobs.count < Self.jobsMax else { return false }
            queue.jobs.append(job)
            return true
        }
        // A full queue means a caller that never waits for its answers.
        precondition(isAccepted, "the queue of thread \(name) is full or closed")
        bell.ring()
    }

    private func work() {
        while true {
            let (job, isClosed) = queue.withLock { queue in
                (queue.jobs.isEmpty ? nil : queue.jobs.removeFirst(), queue.isClosed)
            }
            if let job {
                job()
            } else if isClosed {
                return
            } else {
                bell.wait(within: Self.idleMax)
            }
        }
    }
}
