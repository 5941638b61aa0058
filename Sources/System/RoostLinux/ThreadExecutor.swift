import Glibc

/// Runs an actor on a thread of its own: for actors that block on a disk or a C library, which must never happen on
/// the shared pool.
public final class ThreadExecutor: SerialExecutor, Sendable {
    private let inbox = ThreadInbox<UnownedJob>()

    /// - Parameter name: shown by `ps -T`; the kernel keeps 15 bytes of it.
    public init(name: String) {
        let inbox = inbox
        let body: @Sendable () -> Void = { [weak self] in
            while let jobs = inbox.take() {
                // A job keeps its actor alive, and the actor its executor.
                guard let executor = self else { return }
                for job in jobs { job.runSynchronously(on: executor.asUnownedSerialExecutor()) }
            }
        }
        do throws(SystemError) { try OwnThread.start(name, body) } catch {
            preconditionFailure("\(error)")
        }
    }

    deinit { inbox.end() }

    /// In the order of the calls; never waits.
    public func enqueue(_ job: consuming ExecutorJob) { inbox.add(UnownedJob(job)) }
}
