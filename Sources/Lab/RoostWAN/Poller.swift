import CLinux
import Glibc

/// epoll, a timer with the precision of the kernel's high-resolution clock, and the signals that end the program.
final class Poller {
    enum Source: Equatable {
        case end(Int)
        case timer
        case signal
        case listener
        case client(Int32)
    }

    private static let eventsMax = 64
    private static let kindShift: UInt64 = 56

    private let epoll: Int32
    private let timer: Int32
    private let signals: Int32
    private let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: Poller.eventsMax)
    private var armed: Int64?

    init() throws {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        timer = timerfd_create(CLOCK_MONOTONIC, Int32(TFD_NONBLOCK | TFD_CLOEXEC))
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGTERM)
        sigaddset(&set, SIGINT)
        pthread_sigmask(SIG_BLOCK, &set, nil)
        signals = signalfd(-1, &set, Int32(SFD_NONBLOCK | SFD_CLOEXEC))
        guard epoll >= 0, timer >= 0, signals >= 0 else {
            throw WANError("cannot make epoll, timer or signal descriptors: \(String(cString: strerror(errno)))")
        }
        try add(timer, as: .timer)
        try add(signals, as: .signal)
    }

    deinit {
        for file in [epoll, timer, signals] { close(file) }
        events.deallocate()
    }

    /// Nanoseconds of the monotonic clock.
    func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    func add(_ file: Int32, as source: Source) throws {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.u64 = Self.encode(source)
        guard epoll_ctl(epoll, EPOLL_CTL_ADD, file, &event) == 0 else {
            throw WANError("cannot watch a descriptor: \(String(cString: strerror(errno)))")
        }
    }

    /// Waits for anything to happen.
    /// - Returns: how many events there are; ``event(_:)`` tells each.
    func wait() throws -> Int {
        let count = epoll_wait(epoll, events, Int32(Self.eventsMax), -1)
        if count >= 0 { return Int(count) }
        guard errno == EINTR else { throw WANError("epoll_wait: \(String(cString: strerror(errno)))") }
        return 0
    }

    func event(_ index: Int) -> Source { Self.decode(events[index].data.u64) }

    /// Sets the timer to the moment. Without one it is left alone: waking once for nothing costs less.
    func arm(at moment: Int64?) {
        guard let moment, moment != armed else { return }
        armed = moment
        var setting = itimerspec()
        // A moment of zero would switch the timer off; one in the past fires at once.
        let nanoseconds = max(moment, 1)
        setting.it_value.tv_sec = Int(nanoseconds / 1_000_000_000)
        setting.it_value.tv_nsec = Int(nanoseconds % 1_000_000_000)
        timerfd_settime(timer, Int32(TFD_TIMER_ABSTIME), &setting, nil)
    }

    func clearTimer() {
        var count: UInt64 = 0
        _ = read(timer, &count, 8)
        armed = nil
    }

    private static func encode(_ source: Source) -> UInt64 {
        switch source {
        case .end(let index): UInt64(index)
        case .timer: 1 << kindShift
        case .signal: 2 << kindShift
        case .listener: 3 << kindShift
        case .client(let file): 4 << kindShift | UInt64(file)
        }
    }

    private static func decode(_ word: UInt64) -> Source {
        let rest = word & (1 << kindShift - 1)
        return switch word >> kindShift {
        case 0: .end(Int(rest))
        case 1: .timer
        case 2: .signal
        case 3: .listener
        default: .client(Int32(truncatingIfNeeded: rest))
        }
    }
}
