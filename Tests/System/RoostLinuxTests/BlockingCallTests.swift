import Glibc
import RoostModel
import Synchronization
import Testing

@testable import RoostLinux

@Suite(.timeLimit(.minutes(2))) struct BlockingCallTests {
    /// How many run now, and how many did at the most.
    private final class Running: Sendable {
        private let counts = Mutex((now: 0, most: 0))

        var most: Int { counts.withLock { $0.most } }

        func enter() {
            counts.withLock { counts in
                counts.now += 1
                counts.most = max(counts.most, counts.now)
            }
        }

        func leave() { counts.withLock { $0.now -= 1 } }
    }

    private static var nice: Int32 { getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0) }

    @Test("No more calls run at once than there may be, and all of them run")
    func bounded() async throws {
        let queue = BlockingQueue(threadsMax: 3)
        let running = Running()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<40 {
                group.addTask {
                    await withCheckedContinuation { continuation in
                        queue.add {
                            running.enter()
                            usleep(1000)
                            running.leave()
                            return { continuation.resume() }
                        }
                    }
                }
            }
        }
        #expect(running.most == 3)
    }

    @Test("What a call makes of its thread passes neither to a call that waited for it nor to whoever resumes its task")
    func changedThread() async throws {
        let queue = BlockingQueue(threadsMax: 1)
        let isQueued = try Bell()
        // Priorities on Linux are threads' own, and may be lowered without any right.
        let seen = Mutex((inside: Int32(0), handing: Int32(0)))
        let after = await withCheckedContinuation { (continuation: CheckedContinuation<Int32, Never>) in
            queue.add {
                setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 19)
                isQueued.wait(within: .seconds(60))
                let inside = Self.nice
                return { seen.withLock { $0 = (inside, Self.nice) } }
            }
            queue.add {
                let inside = Self.nice
                return { continuation.resume(returning: inside) }
            }
            isQueued.ring()
        }
        let (inside, handing) = seen.withLock { $0 }
        #expect(inside == 19)
        #expect(handing < 19)
        #expect(after < 19)
    }

    @Test("While no thread is to be had calls keep their place, and run on none that is not theirs")
    func noThreads() async throws {
        let tries = Mutex(0)
        let queue = BlockingQueue(threadsMax: 1) { (name, body) throws(SystemError) in
            let number = tries.withLock { tries in
                tries += 1
                return tries
            }
            guard number > 3 else { throw SystemError("start thread", name, code: EAGAIN) }
            try OwnThread.start(name, body)
        }
        let order = Mutex<[Int]>([])
        let threads = await withCheckedContinuation { (continuation: CheckedContinuation<[pthread_t], Never>) in
            let caller = pthread_self()
            for number in 0..<3 {
                queue.add {
                    let mine = pthread_self()
                    order.withLock { $0.append(number) }
                    return { if number == 2 { continuation.resume(returning: [caller, mine, pthread_self()]) } }
                }
            }
        }
        #expect(order.withLock { $0 } == [0, 1, 2])
        #expect(tries.withLock { $0 } == 6)
        #expect(threads[0] != threads[1] && threads[1] != threads[2])
    }
}
