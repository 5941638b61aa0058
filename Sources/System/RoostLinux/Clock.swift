import CLinux
public import RoostModel

/// The host's monotonic clock. It counts the time the host was suspended too: a lease must not outlive a nap.
public enum BootClock {
    /// CLOCK_BOOTTIME. Simulations and cores take their time as an argument instead.
    public static func now() -> Moment {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Moment(sinceBoot: .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec))
    }

    /// What the kernel says in clock ticks since boot (proc_pid_stat(5)), down to a tick, which is 10 ms.
    static func moment(ticks: UInt64) -> Moment {
        let perSecond = max(Int64(sysconf(Int32(_SC_CLK_TCK))), 1)
        return Moment(sinceBoot: .milliseconds(Int64(clamping: ticks) * 1000 / perSecond))
    }
}

/// The wall clock, for people and records; never for decisions, but for how much is left of a pause of a cluster, or of
/// the time in which its members may be started anew: several hosts count it, over restarts, and its length bounds what a wrong clock does.
public enum WallClock {
    /// Milliseconds since 1970, UTC; it jumps when somebody sets the clock.
    public static func milliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}

/// Waits for a condition instead of for a time.
///
/// - Returns: the first non-nil value of `condition`, or nil when the deadline passed first.
public func poll<Value: Sendable>(
    for deadline: Duration, every interval: Duration = .milliseconds(50),
    until condition: () async throws -> Value?
) async throws -> Value? {
    let end = BootClock.now() + deadline
    while true {
        if let value = try await condition() { return value }
        if BootClock.now() >= end { return nil }
        try await Task.sleep(for: interval)
    }
}
