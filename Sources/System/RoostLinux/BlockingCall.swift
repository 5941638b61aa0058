import CLinux
import Glibc

/// Runs calls that may block for long (mount, flock, a read from a pipe) on a thread of their own: the few threads of
/// the cooperative pool must never wait for a disk or a lock.
public enum BlockingCall {
    public static func run<Value: Sendable, Failure: Error>(
        _ body: @escaping @Sendable () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let outcome: Result<Value, Failure> = await withCheckedContinuation { continuation in
            let job = Job {
                continuation.resume(returning: Result { () throws(Failure) in try body() })
            }
            start(job)
        }
        return try outcome.get()
    }

    private final class Job: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    private static func start(_ job: Job) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let argument = Unmanaged.passRetained(job)
        var thread = pthread_t()
        let code = pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Job>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            }, argument.toOpaque())
        // No thread to be had: slow is better than never.
        if code != 0 { argument.takeRetainedValue().body() }
    }
}
