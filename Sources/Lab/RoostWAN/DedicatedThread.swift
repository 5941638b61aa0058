import Glibc

/// Work that must have a thread of its own since it changes the thread for good: `setns`. What only blocks is for
/// `BlockingCall`.
public enum DedicatedThread {
    private final class Job<Value: Sendable>: @unchecked Sendable {
        let work: @Sendable () throws -> Value
        /// Written by the thread, read after it was joined.
        var result: Result<Value, any Error>?

        init(_ work: @escaping @Sendable () throws -> Value) { self.work = work }

        func run() { result = Result { try work() } }
    }

    /// Waits on the calling thread: for programs whose main thread is their own.
    public static func wait<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) throws -> Value {
        let job = Job(work)
        let thread = try start { job.run() }
        pthread_join(thread, nil)
        guard let result = job.result else { throw WANError("a thread ended without a result") }
        return try result.get()
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
