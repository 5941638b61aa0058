import CLinux
import Glibc
import RoostModel

/// Threads that are nobody's but their maker's. The one place where threads are made.
public enum OwnThread {
    /// Starts a thread that ends when `body` does, and that nobody waits for.
    /// - Parameter name: shown by `ps -T`; the kernel keeps 15 bytes of it.
    public static func start(_ name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
        pthread_detach(try begin(name, body))
    }

    /// Runs `body` on a thread of its own and blocks the calling thread until it ends: for programs whose main thread
    /// is their own, and for work that changes its thread for good.
    public static func wait<Value: Sendable, Failure: Error>(
        _ name: String, failing failure: (SystemError) -> Failure,
        _ body: @escaping @Sendable () throws(Failure) -> Value
    ) throws(Failure) -> Value {
        let box = Box<Value, Failure>()
        let thread: pthread_t
        do throws(SystemError) {
            thread = try begin(name) { box.result = Result { () throws(Failure) in try body() } }
        } catch {
            throw failure(error)
        }
        pthread_join(thread, nil)
        guard let result = box.result else { throw failure(SystemError("run thread", name, code: ECANCELED)) }
        return try result.get()
    }

    /// Written by the thread, read after it was joined.
    private final class Box<Value: Sendable, Failure: Error>: @unchecked Sendable {
        var result: Result<Value, Failure>?
    }

    private final class Job: Sendable {
        let name: String
        let body: @Sendable () -> Void
        init(_ name: String, _ body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    private static func begin(
        _ name: String, _ body: @escaping @Sendable () -> Void
    ) throws(SystemError) -> pthread_t {
        let argument = Unmanaged.passRetained(Job(name, body))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let job = Unmanaged<Job>.fromOpaque(argument).takeRetainedValue()
                roost_name_thread(job.name)
                job.body()
                return nil
            }, argument.toOpaque())
        guard code == 0 else {
            argument.release()
            throw SystemError("start thread", name, code: code)
        }
        return thread
    }
}

/// A bell that wakes a thread asleep in `poll`: an eventfd(2). It may be rung from anywhere, also before anybody sleeps.
public final class Bell: Sendable {
    /// Readable after a ring, until ``hush()``. For poll(2) and epoll(7) only.
    public let descriptor: Int32

    /// A bell that has not rung.
    public init() throws(SystemError) {
        descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard descriptor >= 0 else { throw SystemError("open", "eventfd") }
    }

    deinit { close(descriptor) }

    /// Wakes whoever sleeps, and whoever goes to sleep next.
    public func ring() { eventfd_write(descriptor, 1) }

    /// Takes back all rings so far.
    func hush() {
        var count: eventfd_t = 0
        _ = eventfd_read(descriptor, &count)
    }

    /// Sleeps until it rings or the time is over; hushes it.
    /// - Returns: whether it rang.
    @discardableResult
    public func wait(within time: Duration) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, Int32(clamping: max(time.milliseconds + 1, 0))) > 0 else { return false }
        hush()
        return true
    }
}
