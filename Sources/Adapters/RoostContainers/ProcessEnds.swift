import CLinux
import Glibc
import RoostLinux
import Synchronization

/// Tells when processes that are not our children end: one thread, asleep in epoll, over a pidfd for each.
final class ProcessEnds: Sendable {
    private let core: Core

    init() throws(SystemError) {
        core = try Core()
        let core = core
        try OwnThread.start("process ends") { core.run() }
    }

    deinit { core.stop() }

    /// Returns when the process has ended; false when the waiting task was cancelled before.
    func wait(for process: ProcessIdentity) async throws(SystemError) -> Bool {
        let descriptor = roost_pidfd_open(process.pid)
        guard descriptor >= 0 else {
            if descriptor == -ESRCH { return true }
            throw SystemError("watch", "process \(process.pid)", code: -descriptor)
        }
        // Opened by number: make sure that it is still the one that was meant.
        do throws(SystemError) {
            guard try process.isAlive else {
                close(descriptor)
                return true
            }
        } catch {
            close(descriptor)
            throw error
        }
        let token = core.newToken()
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Core.Outcome, Never>) in
                core.add(token, descriptor: descriptor, continuation)
            }
        } onCancel: {
            core.cancel(token)
        }
        switch outcome {
        case .ended: return true
        case .cancelled: return false
        case .failed(let code): throw SystemError("watch", "process \(process.pid)", code: code)
        }
    }

    final class Core: Sendable {
        enum Outcome: Sendable {
            case ended, cancelled
            case failed(Int32)
        }

        private struct Waiting {
            var descriptor: Int32
            var continuation: CheckedContinuation<Outcome, Never>
        }

        private struct State {
            var next: UInt64 = 1
            var waiting: [UInt64: Waiting] = [:]
            /// Cancelled before they were added.
            var cancelled: Set<UInt64> = []
        }

        /// The token of the descriptor that says "stop".
        private static let stopToken: UInt64 = 0
        private static let eventsMax = 32

        private let epoll: Int32
        private let wake: Bell
        private let state = Mutex(State())

        init() throws(SystemError) {
            epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
            wake = try Bell()
            guard epoll >= 0 else { throw SystemError("open", "epoll") }
            var event = epoll_event()
            event.events = EPOLLIN.rawValue
            event.data.u64 = Self.stopToken
            guard epoll_ctl(epoll, EPOLL_CTL_ADD, wake.descriptor, &event) == 0 else {
                throw SystemError("watch", "eventfd")
            }
        }

        deinit {
            close(epoll)
        }

        func newToken() -> UInt64 {
            state.withLock { state in
                defer { state.next += 1 }
                return state.next
            }
        }

        func add(_ token: UInt64, descriptor: Int32, _ continuation: CheckedContinuation<Outcome, Never>) {
            let refused = state.withLock { state -> Outcome? in
                guard state.cancelled.remove(token) == nil else { return .cancelled }
                var event = epoll_event()
                event.events = EPOLLIN.rawValue
                event.data.u64 = token
                guard epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else { return .failed(errno) }
                state.waiting[token] = Waiting(descriptor: descriptor, continuation: continuation)
                return nil
            }
            guard let refused else { return }
            close(descriptor)
            continuation.resume(returning: refused)
        }

        func cancel(_ token: UInt64) {
            let waiting = state.withLock { state -> Waiting? in
                guard let waiting = state.waiting.removeValue(forKey: token) else {
                    state.cancelled.insert(token)
                    return nil
                }
                return waiting
            }
            finish(waiting, .cancelled)
        }

        private func finish(_ waiting: Waiting?, _ outcome: Outcome) {
            guard let waiting else { return }
            // Closing takes it out of the epoll set.
            close(waiting.descriptor)
            waiting.continuation.resume(returning: outcome)
        }

        func stop() {
            wake.ring()
        }

        func run() {
            var events = [epoll_event](repeating: epoll_event(), count: Self.eventsMax)
            while true {
                let count = epoll_wait(epoll, &events, Int32(Self.eventsMax), -1)
                if count < 0 {
                    guard errno == EINTR else { return }
                    continue
                }
                for event in events[..<Int(count)] {
                    let token = event.data.u64
                    if token == Self.stopToken { return }
                    finish(state.withLock { $0.waiting.removeValue(forKey: token) }, .ended)
                }
            }
        }
    }
}
