import Glibc

/// Runs calls that may block for long (mount, flock, a read from a pipe) on a thread of their own: the few threads of
/// the cooperative pool must never wait for a disk or a lock.
public enum BlockingCall {
    /// So many at once; more wait in a queue, in the order they came. A bound on what a fault can cost (a dead disk
    /// under every call), not a measure of how much work is good: calls may wait for each other.
    static let threadsMax = 512

    /// Runs `body` on a thread that nothing ran on before and nothing will after: it may change the thread for good
    /// (its network namespace, its share of processors and disks). No other thread comes from it: see ``BlockingQueue``.
    /// That holds for what `body` itself starts only as far as it starts nothing: no task, no thread.
    public static func run<Value: Sendable, Failure: Error>(
        _ body: @escaping @Sendable () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let outcome: Result<Value, Failure> = await withCheckedContinuation { continuation in
            queue.add {
                let outcome = Result { () throws(Failure) in try body() }
                return { continuation.resume(returning: outcome) }
            }
        }
        return try outcome.get()
    }

    private static let queue = BlockingQueue(threadsMax: threadsMax)
}

/// Jobs that get a thread each, at most so many at once.
///
/// A new thread has the network namespace, the priority and the disk class of the thread that made it (clone(2),
/// ioprio_set(2)), and a job may change all three of its own. So one thread that runs no job makes all threads. It also
/// hands on what came of a job: whoever resumes a task may thereby make a thread of the cooperative pool (libdispatch
/// starts one on the caller's thread when none is idle), and that one would be in a machine's namespace for good.
///
/// Lives as long as the process.
final class BlockingQueue: Sendable {
    /// Never waits.
    typealias Ending = @Sendable () -> Void
    /// What it returns is not run on the job's thread.
    typealias Job = @Sendable () -> Ending
    typealias StartThread = @Sendable (String, @escaping @Sendable () -> Void) throws(SystemError) -> Void

    private enum Order: Sendable {
        case start(Job)
        case ended(Ending)
    }

    /// When no thread is to be had (EAGAIN), until the next try. The jobs keep their place.
    private static let retryPause = Duration.milliseconds(20)

    private let inbox = ThreadInbox<Order>()

    init(threadsMax: Int, startThread: @escaping StartThread = OwnThread.start) {
        let maker = Maker(threadsMax: threadsMax, startThread: startThread, inbox: inbox)
        do throws(SystemError) {
            try OwnThread.start("roost-threads") {
                var maker = maker
                maker.run()
            }
        } catch {
            preconditionFailure("\(error)")
        }
    }

    func add(_ job: @escaping Job) { inbox.add(.start(job)) }

    private struct Maker: Sendable {
        let threadsMax: Int
        let startThread: StartThread
        let inbox: ThreadInbox<Order>
        var running = 0
        var waiting: [Job] = []
        /// Where the queue begins in `waiting`: what is before has gone.
        var first = 0

        mutating func run() {
            var orders = inbox.take()
            while let some = orders {
                for order in some { carryOut(order) }
                if startAll() {
                    orders = inbox.take()
                } else {
                    usleep(UInt32(BlockingQueue.retryPause / .microseconds(1)))
                    orders = inbox.takeAtOnce()
                }
            }
        }

        private mutating func carryOut(_ order: Order) {
            switch order {
            case .start(let job): waiting.append(job)
            case .ended(let handOn):
                running -= 1
                handOn()
            }
        }

        /// - Returns: false when a thread is to be had but none was given.
        private mutating func startAll() -> Bool {
            defer {
                waiting.removeFirst(first)
                first = 0
            }
            while running < threadsMax, first < waiting.count {
                let (job, inbox) = (waiting[first], inbox)
                do throws(SystemError) { try startThread("roost-blocking") { inbox.add(.ended(job())) } } catch {
                    return false
                }
                first += 1
                running += 1
            }
            return true
        }
    }
}
