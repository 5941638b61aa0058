import Glibc
import Synchronization

/// Runs an actor on a thread of its own: for actors that block on a disk or a C library, which must never happen on
/// the shared pool.
public final class ThreadExecutor: SerialExecutor, Sendable {
    private final class Queue: @unchecked Sendable {
        // Guarded by `mutex`; a pthread condition, since the thread must sleep while there is nothing to do.
        var jobs: [UnownedJob] = []
        var isEnded = false
        let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

        init() {
            pthread_mutex_init(mutex, nil)
            pthread_cond_init(condition, nil)
        }

        deinit {
            pthread_cond_destroy(condition)
            pthread_mutex_destroy(mutex)
            condition.deallocate()
            mutex.deallocate()
        }

        func add(_ job: UnownedJob) {
            pthread_mutex_lock(mutex)
            jobs.append(job)
            pthread_cond_signal(condition)
            pthread_mutex_unlock(mutex)
        }

        func end() {
            pthread_mutex_lock(mutex)
            isEnded = true
            pthread_cond_signal(condition)
            pthread_mutex_unlock(mutex)
        }

        /// Waits for work. Nil: the executor is gone and nothing is left to do.
        func take() -> [UnownedJob]? {
            pthread_mutex_lock(mutex)
            defer { pthread_mutex_unlock(mutex) }
            while jobs.isEmpty {
                if isEnded { return nil }
                pthread_cond_wait(condition, mutex)
            }
            defer { jobs.removeAll(keepingCapacity: true) }
            return jobs
        }
    }

    private let queue = Queue()

    /// - Parameter name: shown by `ps -T`; the kernel keeps 15 bytes of it.
    public init(name: String) {
        let queue = queue
        let body: @Sendable () -> Void = { [weak self] in
            while let jobs = queue.take() {
                // A job keeps its actor alive, and the actor its executor.
                guard let executor = self else { return }
                for job in jobs { job.runSynchronously(on: executor.asUnownedSerialExecutor()) }
            }
        }
        do throws(SystemError) { try OwnThread.start(name, body) } catch {
            preconditionFailure("\(error)")
        }
    }

    deinit { queue.end() }

    /// In the order of the calls; never waits.
    public func enqueue(_ job: consuming ExecutorJob) { queue.add(UnownedJob(job)) }
}
