import CLinux
import Glibc
public import RoostLinux
import Synchronization

/// A thread with a queue, for calls that block (libpq) and must neither wait for the cooperative pool nor fill it.
/// Jobs run one after another, in order.
public final class WorkThread: Sendable {
    public static let jobsMax = 64

    private struct Queue {
        var jobs: [@Sendable () -> Void] = []
        var isClosed = false
    }

    private let queue = Mutex(Queue())
    /// Counts the jobs in the queue; the thread sleeps in `read`.
    private let bell: Int32
    private let name: String

    public init(_ name: String) throws(SystemError) {
        self.name = name
        bell = eventfd(0, Int32(EFD_CLOEXEC | EFD_SEMAPHORE))
        guard bell >= 0 else { throw SystemError("eventfd", name) }
        try Self.spawn(name) { self.work() }
    }

    /// Ends the thread after the jobs that wait.
    public func close() {
        queue.withLock { $0.isClosed = true }
        ring()
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
        ring()
    }

    private func ring() {
        var one: UInt64 = 1
        _ = write(bell, &one, 8)
    }

    private func work() {
        var count: UInt64 = 0
        while true {
            guard read(bell, &count, 8) == 8 else { continue }
            let (job, isClosed) = queue.withLock { queue in
                (queue.jobs.isEmpty ? nil : queue.jobs.removeFirst(), queue.isClosed)
            }
            if let job {
                job()
            } else if isClosed {
                Glibc.close(bell)
                return
            }
        }
    }

    /// Starts a detached thread.
    static func spawn(_ name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
        final class Body: Sendable {
            let run: @Sendable () -> Void
            init(_ run: @escaping @Sendable () -> Void) { self.run = run }
        }
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let argument = Unmanaged.passRetained(Body(body))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, argument.toOpaque())
        guard code == 0 else {
            argument.release()
            throw SystemError("start thread", name, code: code)
        }
    }
}
