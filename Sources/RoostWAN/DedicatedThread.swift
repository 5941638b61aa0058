import Glibc

/// Work that must have a thread of its own: system calls that block for long, and `setns`, which changes the
/// thread it is called on for good.
public enum DedicatedThread {
    private final class Job<Value: Sendable>: @unchecked Sendable {
        let work: @Sendable () throws -> Value
        let finished: (@Sendable (Result<Value, any Error>) -> Void)?
        /// Written by the thread, read after it was joined.
        var result: Result<Value, any Error>?

        init(
            _ work: @escaping @Sendable () throws -> Value,
            finished: (@Sendable (Result<Value, any Error>) -> Void)? = nil
        ) {
            self.work = work
            self.finished = finished
        }

        func run() {
            let outcome = Result { try work() }
            result = outcome
            finished?(outcome)
        }
    }

    /// Waits on the calling thread: for programs whose main thread is their own.
    public static func wait<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) throws -> Value {
        let job = Job(work)
        let thread = try start { job.run() }
        pthread_join(thread, nil)
        guard let result = job.result else { throw WANError("a thread ended without a result") }
        return try result.get()
    }

    /// Suspends until the work is done. Cancellation does not stop it.
    public static func run<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            let job = Job(work) { continuation.resume(with: $0) }
            do {
                pthread_detach(try start { job.run() })
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }

    private final class Body {
        let run: () -> Void
        init(_ run: @escaping () -> Void) { self.run = run }
    }

    private static func start(_ run: @escaping @Sendable () -> Void) throws -> pthread_t {
        let body = Unmanaged.passRetained(Body(run))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { pointer in
                guard let pointer else { return nil }
                Unmanaged<Body>.fromOpaque(pointer).takeRetainedValue().run()
                return nil
            }, body.toOpaque())
        guard code == 0 else {
            body.release()
            throw WANError("cannot start a thread: \(String(cString: strerror(code)))")
        }
        return thread
    }
}
