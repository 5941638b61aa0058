public import RoostModel

/// What a machine's restart policy needs to remember, and the decision that follows an exit. Pure: the time comes in
/// as an argument. It is kept in the host's ledger, so a restart of the agent forgets nothing.
public struct RestartHistory: Hashable, Sendable, Codable {
    public enum Decision: Hashable, Sendable {
        case restart(after: Duration)
        /// The policy asks for nothing more.
        case rest
        /// The policy has been followed as often as it allows.
        case giveUp
    }

    /// Restarts since the machine last ran for ``stableAfter``.
    public private(set) var restartsInARow = 0
    /// On the host's monotonic clock; nil until the present launch has started.
    private var startedAtMilliseconds: Int64?

    /// The first restart is immediate: a database that crashed once is back in moments.
    public static let pauseFirst = Duration.milliseconds(100)
    public static let pauseMax = Duration.seconds(30)
    /// A machine that ran for so long is taken for healthy again.
    public static let stableAfter = Duration.seconds(30)
    /// Fly.io's default for `on-failure`.
    public static let retriesMaxDefault = 10

    public init() {}

    enum CodingKeys: String, CodingKey {
        case restartsInARow = "restarts_in_a_row"
        case startedAtMilliseconds = "started_at_ms"
    }

    /// Process 1 of a launch runs.
    public mutating func noteStart(at now: Moment) {
        startedAtMilliseconds = now.sinceBoot.milliseconds
    }

    /// Process 1 has ended. One that ran for long was healthy.
    public mutating func noteEnd(at now: Moment) {
        guard let started = startedAtMilliseconds else { return }
        let ran = Duration.milliseconds(now.sinceBoot.milliseconds - started)
        // Negative: the host was booted in between, so its machines start afresh.
        if ran < .zero || ran >= Self.stableAfter { restartsInARow = 0 }
        startedAtMilliseconds = nil
    }

    /// Process 1 has ended, or a launch came to nothing, without anybody having asked for it.
    public mutating func decide(after exit: MachineExit, policy: MachineRestart, at now: Moment) -> Decision {
        noteEnd(at: now)
        switch policy.policy {
        // A policy of a newer version: nothing is done that nobody asked for.
        case .no, .unknown: return .rest
        case .onFailure:
            guard exit.code != 0 || exit.signal != nil else { return .rest }
            guard restartsInARow < policy.retriesMax ?? Self.retriesMaxDefault else { return .giveUp }
            return restart()
        case .always: return restart()
        }
    }

    private mutating func restart() -> Decision {
        let pause = Self.pause(before: restartsInARow)
        restartsInARow += 1
        return .restart(after: pause)
    }

    /// Nothing, then 100 ms, doubling up to ``pauseMax``.
    static func pause(before restart: Int) -> Duration {
        guard restart > 0 else { return .zero }
        var pause = pauseFirst
        for _ in 1..<max(restart, 1) {
            pause *= 2
            if pause >= pauseMax { return pauseMax }
        }
        return pause
    }
}
